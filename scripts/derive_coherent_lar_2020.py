"""Derive the tables of the COHERENT liquid-argon experiment from its public release.

    python scripts/derive_coherent_lar_2020.py RELEASES [-o FOLDER]

Reads ``RELEASES/coherent_lar_2020`` (Zenodo 10.5281/zenodo.3903810, analysis A) and writes

* ``response*.csv``: probability of 12 x 8 bins (keVee, F90) against true recoil energy: quenching
  ``(a + b T) T``, a Gaussian of width 0.58 sqrt(keVee), the efficiency at the quenched energy, and
  the shares of F90 in an energy bin that the CEvNS distribution of the release has;
  ``_f90_*``: the shares of the release's F90 variations (which also tilt the release's energy
  distribution, by 5 %, at a fixed total: left out); ``_quenching_*``: a and b moved together by
  one standard deviation (the release gives them without correlation);
* ``rates.csv``: the 960 bins (time fastest) of data and backgrounds with their variations, and the
  release's own CEvNS prediction. Variations are normalised to the nominal total (the
  normalisation has its own uncertainty); one-sided ones are mirrored.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from derived import parser, response_columns, write_table
from scipy.stats import norm

SHAPE = (12, 8, 10)
EDGES_KEVEE = np.linspace(0.0, 120.0, 13)
ENDS_US = np.array([-0.1, 4.9])  # of the time bins around 0.15 ... 4.65 us
SOURCE = "COHERENT CENNS-10 data release, Zenodo 10.5281/zenodo.3903810 (arXiv:2003.10630)"
LARGEST_RECOIL_KEV = 155.0  # 2 E^2/m at the end point of the Michel spectrum on 36Ar: 167 keV
NODES_KEVEE = np.concatenate(
    [np.arange(0.75, 12.1, 0.5), np.arange(13.0, 40.0, 1.5), np.arange(42.0, 57.0, 4.0)]
)


def read(release: Path, name: str) -> np.ndarray:
    """Contents of a distribution, shape (12, 8, 10)."""
    return np.loadtxt(release / f"{name}.txt")[:, 3].reshape(SHAPE)


def parameters(release: Path) -> dict:
    """The release's parameter file."""
    return yaml.safe_load((release / "LArParametersAnlA.yaml").read_text())


def quenched(t_kev: np.ndarray, a: float, b: float) -> np.ndarray:
    """Visible energy in keVee, ``(a + b T) T``."""
    return (a + b * t_kev) * t_kev


def recoil(e_kevee: np.ndarray, a: float, b: float) -> np.ndarray:
    """Inverse of :func:`quenched` in keV."""
    return (np.sqrt(a**2 + 4.0 * b * e_kevee) - a) / (2.0 * b)


def f90_shares(distribution: np.ndarray) -> np.ndarray:
    """P(F90 | energy bin), shape (12, 8); empty bins take the shares of the last filled one."""
    plane = distribution.sum(axis=2)
    filled = plane.sum(axis=1) > 1e-6 * plane.sum()
    shares = plane / np.where(filled, plane.sum(axis=1), 1.0)[:, None]
    last = np.flatnonzero(filled)[-1]
    shares[~filled] = shares[last]
    return shares


def energy_response(
    t_kev: np.ndarray, release: Path, settings: dict, move: float = 0.0
) -> np.ndarray:
    """Probability per energy bin, shape (N, 12)."""
    a, b = (p["value"] + move * p["uncertainty"] for p in settings["larQF"]["parameters"])
    width = settings["energyResolution"]["parameters"][0]["value"]
    table = np.loadtxt(release / "CENNS10AnlAEfficiency.txt")
    visible = quenched(t_kev, a, b)
    efficiency = np.interp(visible, table[:, 0], table[:, 2])
    sigma = width * np.sqrt(visible)
    cumulative = norm.cdf((EDGES_KEVEE - visible[:, None]) / sigma[:, None])
    return efficiency[:, None] * np.diff(cumulative, axis=1)


def responses(release: Path) -> dict[str, np.ndarray]:
    """Tables of node energies and probabilities, name -> (N, 97)."""
    settings = parameters(release)
    a, b = (p["value"] for p in settings["larQF"]["parameters"])
    t = recoil(NODES_KEVEE, a, b)
    t = np.append(t[t < LARGEST_RECOIL_KEV], LARGEST_RECOIL_KEV)
    nominal = read(release, "cevnspdf")
    shares = f90_shares(nominal)
    result = {}
    for name, move in (("", 0.0), ("_quenching_down", -1.0), ("_quenching_up", 1.0)):
        energy = energy_response(t, release, settings, move)
        result[name] = energy[:, :, None] * shares
    energy = energy_response(t, release, settings)
    for name, file in (("_f90_down", "cevnspdf-1sigF90"), ("_f90_up", "cevnspdf+1sigF90")):
        result[name] = energy[:, :, None] * f90_shares(read(release, file))
    return {k: np.column_stack([t, v.reshape(t.size, -1)]) for k, v in result.items()}


def rates(release: Path) -> dict[str, np.ndarray]:
    """Columns of ``rates.csv``, each of 960 bins."""
    brn = read(release, "brnpdf")

    def like(name: str) -> np.ndarray:
        varied = read(release, name)
        return varied * brn.sum() / varied.sum()

    width = like("brnpdfBRNTimingWidthSyst")
    columns = {
        "observed": read(release, "datanobkgsub"),
        "steady_state": read(release, "bkgpdf"),
        "brn": brn,
        "brn_energy_down": like("brnpdf-1sigEnergy"),
        "brn_energy_up": like("brnpdf+1sigEnergy"),
        "brn_time_mean_down": like("brnpdf-1sigBRNTimingMean"),
        "brn_time_mean_up": like("brnpdf+1sigBRNTimingMean"),
        "brn_time_width_down": np.maximum(2.0 * brn - width, 0.0),
        "brn_time_width_up": width,
        "delayed_brn": read(release, "delbrnpdf"),
        "cevns": read(release, "cevnspdf"),
    }
    return {k: v.ravel() for k, v in columns.items()}


def write(release: Path, folder: Path) -> None:
    """Write all tables with their sources."""
    common = {
        "source": SOURCE,
        "provenance": "derived",
        "derived_by": "scripts/derive_coherent_lar_2020.py",
    }
    title = "Detection probability per bin of keVee and F90 (F90 fastest), all times"
    source = {**common, "title": title, "units": {"e_recoil_kev": "keV", "bin_*": "1"}}
    for name, rows in responses(release).items():
        write_table(folder / f"response{name}", response_columns(rows), source)
    title = "Efficiency in time: flat over the window of the release's bins"
    source = {**common, "title": title, "units": {"time_us": "us", "efficiency": "1"}}
    flat = {"time_us": ENDS_US, "efficiency": np.ones(2)}
    write_table(folder / "time_efficiency", flat, source)
    columns = rates(release)
    title = "Events per bin of keVee, F90 and time (time fastest)"
    units = dict.fromkeys(columns, "events")
    write_table(folder / "rates", columns, {**common, "title": title, "units": units})


def main() -> None:
    options = parser(__doc__, "experiments/coherent_lar_2020").parse_args()
    write(options.releases / "coherent_lar_2020", options.output)


if __name__ == "__main__":
    main()
