"""Write the tables of the example detector: responses, rates, a ROOT file with one background.

python make_tables.py
"""

from pathlib import Path

import numpy as np
import uproot

from histnu.experiments.smearing import Efficiency, Resolution, smeared_response
from histnu.physics.electrons import XENON_SHELLS
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.sources.solar import Solar
from histnu.templates.fold import fold

FOLDER = Path(__file__).parent / "histnu_example" / "experiments" / "example_detector"
EXPOSURE_TONNE_YEAR = 5.0
DETECTORS = {
    "nr": ("nuclear", [0.5, 1, 1.5, 2, 3], ([0.4, 1.5], [0.0, 0.5]), [6.0, 4.0, 3.0, 4.0]),
    "er": ("electron", [1, 2, 4, 8, 16], ([0.5, 1.5], [0.0, 0.9]), [60.0, 130.0, 260.0, 520.0]),
}
BACKGROUNDS = {"nr": "neutron", "er": "lead"}


def write(name: str, columns: dict[str, np.ndarray]) -> None:
    rows = [",".join(f"{v:.6g}" for v in row) for row in zip(*columns.values(), strict=True)]
    (FOLDER / name).write_text("\n".join([",".join(columns), *rows]) + "\n")


def main() -> None:
    for kind, (recoil, edges, (energy, value), background) in DETECTORS.items():
        efficiency = Efficiency(np.array(energy), np.array(value))
        resolution = Resolution(((0.2, 0.5),))
        made = smeared_response(
            np.array(edges, dtype=float), efficiency, resolution, XENON_SHELLS.steps_kev()
        )
        columns = {"e_recoil_kev": made.e_recoil_kev}
        write(
            f"response_{kind}.csv",
            columns | {f"bin_{i}": p for i, p in enumerate(made.probability)},
        )
        expected = np.array(background)
        for component in Solar().components(recoil):
            scattering = Scattering(recoil, component.source, XENON)
            expected = expected + fold(
                made,
                lambda t, s=scattering: next(iter(StandardModel().basis_spectra(s, t).values())),
                EXPOSURE_TONNE_YEAR,
            )
        table = {"observed": np.round(expected)}
        if kind == "er":
            table[BACKGROUNDS[kind]] = np.array(background)
        write(f"rates_{kind}.csv", table)
    edges, events = np.array(DETECTORS["nr"][1]), np.array(DETECTORS["nr"][3])
    with uproot.recreate(FOLDER / "backgrounds.root") as file:
        file["nr/neutron"] = (events, edges)


if __name__ == "__main__":
    main()
