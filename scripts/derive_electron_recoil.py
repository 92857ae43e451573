"""Derive the electron-recoil data sets of XENONnT, LZ and PandaX-4T from the stored releases.

    python scripts/derive_electron_recoil.py RELEASES [-o histnu/data]

Reads ``RELEASES/electron_recoil`` and writes, for each data set, ``response.csv`` (efficiency times
Gaussian energy resolution, per bin of reconstructed energy) and ``rates.csv`` (observed events and
backgrounds without solar neutrinos), and ``electrons/xenon_rrpa.csv``.

* Counts are integers up to the error of their digitisation and are rounded; the largest rounding
  is recorded.
* The published LZ and PandaX-4T background fits contain the solar neutrinos. This package's own
  Standard Model prediction, folded with the same response, is subtracted, so that prediction and
  background add up to the published fit. The XENONnT table is already without neutrinos.
* Components with a shape of their own (37Ar in LZ WS2022, tritium in PandaX-4T) are split off by
  a least-squares fit to the published total; the sum of all components stays the published total.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from derived import parser, write_table
from scipy.optimize import nnls

from histnu.core.serialize import file_digest
from histnu.experiments.smearing import (
    Efficiency,
    Resolution,
    bin_probabilities,
    smeared_response,
)
from histnu.physics.electrons import XENON_SHELLS
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.sources.solar import solar_sources

SCRIPT = "scripts/derive_electron_recoil.py"
XENON1T = Resolution(((0.3171, 0.5), (0.0015, 1.0)))  # arXiv:2003.03825
LZ = Resolution(((0.323, 0.5),))  # LZ SR1 calibrations, as used in arXiv:2208.06415
PANDAX = Resolution(((0.073, 0.0), (0.173, 1.0), (-0.0065, 2.0), (1.1e-4, 3.0)))  # 2206.02339
EXPOSURES = {  # t yr
    "xenonnt_er_2022": 1.16,
    "lz_er_ws2022": 0.904,
    "lz_er_ws2024": 3.31,
    "pandax4t_er_run1": 1.00,
}
AR37_LINE_KEV = 2.82
TRITIUM_END_POINT_KEV = 18.59
DIGITISATION = "counts round to integers; the largest shift is {:.2f} events"


@dataclass(frozen=True)
class Detector:
    """Reconstruction of one data set.

    Attributes:
        edges_kev: bin edges in reconstructed energy, shape (B + 1,).
        efficiency: published efficiency.
        resolution: Gaussian resolution.
        exposure_tonne_year: exposure in t yr.
    """

    edges_kev: np.ndarray
    efficiency: Efficiency
    resolution: Resolution
    exposure_tonne_year: float

    def fold(self, spectrum: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Events per bin of a spectrum in events/(t yr keV), trapezoidal on a 5 eV grid."""
        t = np.arange(self.efficiency.e_kev[0] + 1e-3, 2.0 * self.edges_kev[-1], 0.005)
        response = bin_probabilities(self.edges_kev, t, self.efficiency, self.resolution)
        return self.exposure_tonne_year * np.trapezoid(response * spectrum(t), t, axis=1)


@dataclass(frozen=True)
class DataSet:
    """What is written for one data set.

    Attributes:
        detector: response.
        observed: events per bin, shape (B,).
        backgrounds: events per bin without solar neutrinos.
        inputs: files it was made from.
        notes: digitisation errors and choices.
    """

    detector: Detector
    observed: np.ndarray
    backgrounds: dict[str, np.ndarray]
    inputs: tuple[Path, ...]
    notes: dict[str, str] = field(default_factory=dict)


def standard_model(t_kev: np.ndarray) -> np.ndarray:
    """Solar-neutrino spectrum on xenon electrons, events/(t yr keV)."""
    model = StandardModel()
    spectra = [
        model.basis_spectra(Scattering("electron", s, XENON), t_kev)["eves"]
        for s in solar_sources().values()
    ]
    return np.sum(spectra, axis=0)


def tritium(t_kev: np.ndarray) -> np.ndarray:
    """Allowed beta spectrum of tritium with the Fermi function, normalised to one event."""

    def shape(t: np.ndarray) -> np.ndarray:
        momentum = np.sqrt(t * (t + 2.0 * 511.0))
        eta = 2.0 / 137.036 * (t + 511.0) / momentum
        fermi = 2.0 * np.pi * eta / (1.0 - np.exp(-2.0 * np.pi * eta))
        phase = momentum * (t + 511.0) * (TRITIUM_END_POINT_KEV - t) ** 2
        return np.where(t < TRITIUM_END_POINT_KEV, fermi * phase, 0.0)

    grid = np.linspace(1e-3, TRITIUM_END_POINT_KEV, 4000)
    return shape(t_kev) / np.trapezoid(shape(grid), grid)


def integers(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Round digitised counts; the note says by how much at most."""
    counts = np.round(values)
    return counts, DIGITISATION.format(np.abs(values - counts).max())


def xenonnt(folder: Path) -> DataSet:
    """XENONnT SR0: 2 keV bins up to 30 keV, the first one from the threshold of 1 keV."""
    files = (folder / "2022_binned_data_bkgnonu.txt", folder / "XNT_ER_22.csv")
    table = np.loadtxt(files[0])
    table = table[np.argsort(table[:, 0])][:15]
    efficiency = Efficiency(*np.loadtxt(files[1], delimiter=",").T, of_reconstructed=True)
    edges = np.concatenate([[1.0], np.arange(2.0, 31.0, 2.0)])
    detector = Detector(edges, efficiency, XENON1T, EXPOSURES["xenonnt_er_2022"])
    counts, note = integers(table[:, 1])
    background = table[:, 2].copy()
    # The digitised line has one point per bin, at its centre. That is the bin's content where the
    # efficiency is flat; in the first bin the rate before efficiency of the second one is used.
    fine = np.linspace(1.0, 2.0, 1001)
    per_kev = background[1] / 2.0 / efficiency(table[1, 0])
    background[0] = per_kev * np.trapezoid(efficiency(fine), fine)
    notes = {
        "counts": note,
        "units": "columns are events per 2 keV in 1.16 t yr: their sums (3657 observed; 3360 "
        "background without neutrinos) are those of the published fit, 3651 with 300 neutrinos",
        "first_bin": f"digitised at one point of a steep efficiency ({table[0, 2]:.2f} events); "
        f"replaced by {background[0]:.2f} events",
    }
    return DataSet(detector, counts, {"er": background}, files, notes)


def lz(folder: Path, run: str) -> DataSet:
    """LZ WS2022 or WS2024: 1 keV bins from 1 to 20 keV."""
    files = tuple(
        folder / name
        for name in (
            f"{run}_data_hist_data.txt",
            f"BKG_FIT_{run}.csv",
            f"{run}_1DROI_eff_data.txt",
        )
    )
    energy, value = np.loadtxt(files[2]).T
    plateau = float(value.max())
    below = energy <= 13.0  # above, the table falls because reconstructed energies leave the ROI
    efficiency = Efficiency(energy[below], value[below], beyond=plateau)
    name = f"lz_er_{run.lower()}"
    detector = Detector(np.arange(1.0, 21.0), efficiency, LZ, EXPOSURES[name])
    counts, note = integers(np.loadtxt(files[0])[1:, 1])
    total = np.loadtxt(files[1], delimiter=",")[1:, 1]
    rest = total - detector.fold(standard_model)
    notes = {
        "counts": note,
        "efficiency": f"above 13 keV the plateau {plateau:.3f}: the published fall towards 20 keV "
        "is the loss of events reconstructed above 20 keV, which the resolution describes",
    }
    if run == "WS2024":
        return DataSet(detector, counts, {"er": rest}, files, notes)
    flat = detector.fold(np.ones_like)
    line = bin_probabilities(
        detector.edges_kev, np.array([AR37_LINE_KEV]), efficiency, detector.resolution
    )[:, 0]
    use = np.arange(14) != 4  # without 5-6 keV, where 127Xe and 124Xe add a line
    weight = 1.0 / np.sqrt(total[:14][use])
    design = np.stack([flat, line], axis=1)[:14][use]
    (_, events), _ = nnls(design * weight[:, None], rest[:14][use] * weight)
    notes["ar37"] = f"{events:.1f} decays before efficiency, fitted to the published total"
    argon = events * line
    return DataSet(detector, counts, {"er": rest - argon, "ar37": argon}, files, notes)


def pandax(folder: Path) -> DataSet:
    """PandaX-4T Run1: 1 keV bins from 1 to 20 keV."""
    files = tuple(folder / n for n in ("run1_evts.csv", "run1_bkg.csv", "efficiency_ER_run1.csv"))
    energy, value = np.loadtxt(files[2], delimiter=",", skiprows=1).T
    efficiency = Efficiency(energy, value)
    edges = np.arange(1.0, 21.0)
    detector = Detector(edges, efficiency, PANDAX, EXPOSURES["pandax4t_er_run1"])
    counts, note = integers(np.loadtxt(files[0], delimiter=",")[1:20, 1])
    total = np.loadtxt(files[1], delimiter=",")[1:20, 1]
    rest = total - detector.fold(standard_model)
    flat, slope, beta = (detector.fold(f) for f in (np.ones_like, lambda t: t / 20.0, tritium))
    design = np.stack([flat, slope, beta], axis=1)[1:] / np.sqrt(total[1:, None])
    (_, _, events), _ = nnls(design, rest[1:] / np.sqrt(total[1:]))
    notes = {
        "counts": note,
        "tritium": f"{events:.0f} decays per t yr before efficiency, fitted to the published total "
        "between 2 and 20 keV beside a linear spectrum",
    }
    backgrounds = {"er": rest - events * beta, "tritium": events * beta}
    return DataSet(detector, counts, backgrounds, files, notes)


def derive(releases: Path) -> dict[str, DataSet]:
    """All four data sets."""
    folder = releases / "electron_recoil"
    return {
        "xenonnt_er_2022": xenonnt(folder / "xenonnt_2022"),
        "lz_er_ws2022": lz(folder / "lz_2025", "WS2022"),
        "lz_er_ws2024": lz(folder / "lz_2025", "WS2024"),
        "pandax4t_er_run1": pandax(folder / "pandax4t_2024"),
    }


def write(folder: Path, data: DataSet) -> None:
    """Write the three tables of a data set with their sources."""
    detector, efficiency = data.detector, data.detector.efficiency
    response = smeared_response(
        detector.edges_kev, efficiency, detector.resolution, XENON_SHELLS.steps_kev()
    )
    rows = {f"bin_{i}": r for i, r in enumerate(response.probability)}
    tables = {
        "efficiency": {"e_kev": efficiency.e_kev, "value": efficiency.value},
        "response": {"e_recoil_kev": response.e_recoil_kev, **rows},
        "rates": {"observed": data.observed, **data.backgrounds},
    }
    common = {
        "provenance": "derived",
        "derived_by": SCRIPT,
        "input_sha256": {p.name: file_digest(p) for p in data.inputs},
        "notes": data.notes,
    }
    notes = source_notes(detector)
    for name, columns in tables.items():
        kept = {k: np.where(np.abs(v) < 1e-9, 0.0, v) for k, v in columns.items()}
        write_table(folder / name, kept, {**notes[name], **common})


def source_notes(detector: Detector) -> dict[str, dict]:
    """Title, source and units of each table."""
    sigma = " + ".join(f"{a:g} T^{p:g}" for a, p in detector.resolution.terms)
    return {
        "efficiency": {
            "title": "Efficiency and Gaussian resolution that response.csv is made of",
            "source": "published efficiency (digitised where the publication has a figure only)",
            "units": {
                "e_kev": "keV",
                "value": "1",
                "resolution": "terms (a, p) of sum a T^p in keV",
            },
            "of_reconstructed": detector.efficiency.of_reconstructed,
            "beyond": detector.efficiency.beyond,
            "resolution": detector.resolution.terms,
        },
        "response": {
            "title": "Probability per bin of reconstructed energy against true recoil energy",
            "source": f"published efficiency; Gaussian resolution sigma/keV = {sigma}",
            "units": {"e_recoil_kev": "keV"},
        },
        "rates": {
            "title": "Observed events and expected backgrounds per bin, without solar neutrinos",
            "source": "digitised figures of the publication",
            "units": {"observed": "events", "backgrounds": "events"},
        },
    }


def write_many_body(releases: Path, folder: Path) -> None:
    """Write the ratio of the many-body rate to the stepping approximation."""
    file = releases / "electron_recoil" / "rrpa_rate.txt"
    energy, rate = np.loadtxt(file).T
    nodes = energy[np.append(np.diff(energy) > 0.02, True)]
    per_electron = 1e-6 * XENON.atoms_per_tonne * XENON_SHELLS.total * 365.25 * 86400.0
    ratio = np.interp(nodes, energy, rate) * per_electron / standard_model(nodes)
    note = {
        "title": "Many-body (RRPA) rate of solar neutrinos divided by the stepping approximation",
        "source": "Chen et al., Phys. Lett. B 774 (2017) 656, arXiv:1610.04177; arXiv:1902.06415 "
        "(digitised)",
        "provenance": "reconstructed",
        "assumption": "the file states no unit; per second, GeV and electron is inferred, because "
        "it is the only simple one that gives a rate within 20 % of free electrons at 2 to 28 keV",
        "units": {"e_recoil_kev": "keV", "ratio": "1"},
        "derived_by": SCRIPT,
        "input_sha256": file_digest(file),
    }
    write_table(folder / "xenon_rrpa", {"e_recoil_kev": nodes, "ratio": ratio}, note)


def main() -> None:
    options = parser(__doc__, "").parse_args()
    for name, data in derive(options.releases).items():
        write(options.output / "experiments" / name, data)
    write_many_body(options.releases, options.output / "electrons")


if __name__ == "__main__":
    main()
