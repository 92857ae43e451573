"""Write the tables of the reconstructed PandaX-4T US2 channel (see histnu/experiments/us2.py).

python scripts/reconstruct_pandax4t_us2.py [-o histnu/data/experiments/pandax4t_us2]
"""

from __future__ import annotations

from derived import parser, write_table

from histnu.experiments import us2
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.solar import solar_source
from histnu.templates.us2 import bare_signal

EXPOSURE_TONNE_YEAR = 1.04
SOURCE = (
    "reconstructed from the totals of Bo et al., Phys. Rev. Lett. 133 (2024) 191001, "
    "arXiv:2407.10892, with the assumptions of histnu/experiments/us2.py"
)


def main() -> None:
    folder = parser(__doc__, "experiments/pandax4t_us2", releases=False).parse_args().output
    assumptions = us2.Us2Assumptions()
    source = solar_source("b8")
    signal = bare_signal(assumptions, source, StandardModel(), EXPOSURE_TONNE_YEAR)
    total = us2.published_signal_total(source.flux.total_cm2_s)
    response = us2.response(assumptions, signal, total)
    columns = {"e_recoil_kev": response.e_recoil_kev}
    columns |= {f"bin_{i}": p for i, p in enumerate(response.probability)}
    rates = {"observed": us2.observed(assumptions, signal), **us2.backgrounds(assumptions)}
    common = {
        "source": SOURCE,
        "provenance": "reconstructed",
        "derived_by": "scripts/reconstruct_pandax4t_us2.py",
    }
    per_bin = "per bin of reconstructed electrons (4 to 8)"
    for name, title, made in (("response", "Detection probability", columns),
                              ("rates", "Events", rates)):  # fmt: skip
        source = {**common, "title": f"{title} {per_bin}"}
        write_table(folder / name, made, source, digits=9)


if __name__ == "__main__":
    main()
