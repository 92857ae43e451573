"""Derive the three-bin XENONnT SR0 + SR1 tables from the public 2024 release.

    python scripts/derive_xenonnt_sr01.py RELEASES [-o histnu/data/experiments/xenonnt_sr01]

Reads ``RELEASES/xenonnt_light_wimp_2024`` (Zenodo 10.5281/zenodo.14522706) and the events of
``RELEASES/xenonnt_cevns_2026/data`` (Zenodo 10.5281/zenodo.20576156) and writes ``response.csv``
and ``rates.csv``:

* the four-dimensional templates are summed over all axes but cS2;
* the monoenergetic basis (16 energies common to both runs, light and charge yields 1 to 10) is
  interpolated bicubically at the YBe-calibrated median yields of each energy;
* both runs are added bin by bin, weighted with their livetimes in t yr;
* backgrounds are templates times livetime; events are counted in the cS2 bins of their own run.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from derived import parser, response_columns, write_table
from scipy.interpolate import RegularGridInterpolator

LIVETIMES = {"sr0": 1.174398, "sr1": 2.342593}  # t yr, statistical_model_base.yaml
ENERGIES = (0.51, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
YIELDS = np.arange(1.0, 11.0)
SOURCE = "XENONnT 2024 data release, Zenodo 10.5281/zenodo.14522706 (arXiv:2409.17868, 2408.02877)"


def read_template(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (cS2 edges, contents summed over the other three observables)."""
    import h5py

    with h5py.File(path) as file:
        edges = file["bins/0"][()]
        return edges, file["templates/template"][()].sum(axis=(1, 2, 3))


def read_yield(path: Path, energies: np.ndarray) -> np.ndarray:
    """Interpolate a yield model (quanta/keV) at recoil energies in keV."""
    document = json.loads(path.read_text())
    return np.interp(energies, document["coordinate_system"], document["map"])


def basis_name(run: str, energy: float, ly: int, qy: int) -> str:
    """File name of a monoenergetic basis template."""
    text = f"{energy:.1f}" if float(energy).is_integer() else f"{energy:g}"
    mono = text.replace(".", "_")
    return f"template_XENONnT_{run}_recasting_mono_{mono}_cevns_tly_{ly}_tqy_{qy}.h5"


def response(release: Path, run: str) -> np.ndarray:
    """Detection probability per cS2 bin at the YBe median yields, shape (energies, 3)."""
    energies = np.array(ENERGIES)
    ly = read_yield(release / "signal" / "ly_ybe_model_median.json", energies)
    qy = read_yield(release / "signal" / "qy_ybe_model_median.json", energies)
    rows = []
    for i, energy in enumerate(ENERGIES):
        grid = np.array(
            [
                [
                    read_template(
                        release / "orthonormal_basis" / basis_name(run, energy, int(a), int(b))
                    )[1]
                    for b in YIELDS
                ]
                for a in YIELDS
            ]
        )
        interpolate = RegularGridInterpolator((YIELDS, YIELDS), grid, method="cubic")
        rows.append(interpolate((ly[i], qy[i])))
    return np.array(rows)


def count(releases: Path, run: str, edges: np.ndarray) -> np.ndarray:
    """Count the events of a run in its own cS2 bins."""
    path = releases / "xenonnt_cevns_2026" / "data" / f"{run}.csv"
    cs2 = np.loadtxt(path, delimiter=",", skiprows=1, usecols=1)  # columns: index, cs2, ...
    return np.histogram(cs2, bins=edges)[0].astype(float)


def derive(releases: Path) -> dict[str, np.ndarray]:
    """Return the response (16, 3) and, per bin, observed, ac, er, neutron and the release's b8."""
    release = releases / "xenonnt_light_wimp_2024"
    total = sum(LIVETIMES.values())
    result: dict[str, np.ndarray] = {"response": np.zeros((len(ENERGIES), 3))}
    for name in ("observed", "ac", "er", "neutron", "b8"):
        result[name] = np.zeros(3)
    for run, livetime in LIVETIMES.items():
        result["response"] += response(release, run) * livetime / total
        files = {
            "ac": f"ac/template_XENONnT_{run}_ac_cevns.h5",
            "er": f"er/template_XENONnT_{run}_er_cevns.h5",
            "neutron": f"rg/template_XENONnT_{run}_rg_cevns_tly_0.0_tqy_0.0.h5",
            "b8": f"b8/template_XENONnT_{run}_b8_cevns_tly_0.0_tqy_0.0.h5",
        }
        for name, file in files.items():
            edges, contents = read_template(release / file)
            result[name] += contents * livetime
        result["observed"] += count(releases, run, edges)
    return result


def write(result: dict[str, np.ndarray], folder: Path) -> None:
    """Write both tables with their sources."""
    response = response_columns(np.column_stack([ENERGIES, result["response"]]))
    rates = {name: result[name] for name in ("observed", "ac", "er", "neutron", "b8")}
    common = {
        "source": SOURCE,
        "provenance": "derived",
        "derived_by": "scripts/derive_xenonnt_sr01.py",
    }
    title = "Detection probability per cS2 bin, livetime-weighted mean of SR0 and SR1"
    units = {name: "keV" if name == "e_recoil_kev" else "1" for name in response}
    source = {**common, "title": title, "units": units}
    write_table(folder / "response", response, source, digits=9)
    title = "Events per cS2 bin, SR0 + SR1; b8: the release's template, 5.25e6 cm^-2 s^-1"
    source = {**common, "title": title, "units": dict.fromkeys(rates, "events")}
    write_table(folder / "rates", rates, source, digits=9)


def main() -> None:
    options = parser(__doc__, "experiments/xenonnt_sr01").parse_args()
    write(derive(options.releases), options.output)


if __name__ == "__main__":
    main()
