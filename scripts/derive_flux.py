"""Reduce the public solar neutrino spectra and production profiles to the package's tables.

    python scripts/derive_flux.py RELEASES [-o histnu/data]

Reads ``RELEASES/solar_flux`` and writes ``flux/<component>.csv`` and ``sun/production_<x>.csv``
with a ``.source.json`` beside each. Re-run by ``tests/test_scripts.py`` where the releases are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from derived import parser, write_table
from scipy.interpolate import PchipInterpolator

from histnu.core.serialize import file_digest

BAHCALL = "J. N. Bahcall, solar neutrino spectra, http://www.sns.ias.edu/~jnb/SNdata/sndata.html"
ALLOWED = f"{BAHCALL}; Bahcall, Rev. Mod. Phys. 59 (1987) 505"
PP = f"{BAHCALL}; Bahcall, Phys. Rev. C 56 (1997) 3391, hep-ph/9710491"
SPECTRA = {
    "b8": (
        "B8_neutrino_flux.txt",
        "Bahcall et al., Phys. Rev. C 54 (1996) 411, nucl-th/9601044",
        0.05,
    ),
    "hep": ("hep_neutrino.txt", ALLOWED, None),
    "pp": ("pp_neutrino.txt", PP, None),
    "n13": ("N13_neutrino.txt", ALLOWED, 0.012),
    "o15": ("15O_neutrino.txt", ALLOWED, 0.015),
    "f17": ("17F_neutrino.txt", ALLOWED, 0.015),
}
LINES = {
    "be7_384": "7Be_3843_neutrino.txt",
    "be7_862": "7Be_8613_neutrino.txt",
    "pep": "pep_neutrino.txt",
}
LINE_SOURCE = f"{BAHCALL}; line energy without its thermal width (about 1 keV)"
PROFILES = {
    "b8": "8B_dist.txt",
    "hep": "hep_dist.txt",
    "pp": "pp_dist.txt",
    "pep": "pep_dist.txt",
    "be7": "7Be_dist.txt",
    "n13": "13N_dist.txt",
    "o15": "15O_dist.txt",
    "f17": "17F_dist.txt",
}
PROFILE_SOURCE = (
    "Radial production profile after Lopes and Turck-Chieze, ApJ 765 (2013) 14, arXiv:1302.2791 "
    "(digitised)"
)


def spectrum(path: Path, step_mev: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Read a spectrum, add its end points, thin it and normalise it to one (trapezium)."""
    data = np.loadtxt(path)
    energy, shape = data[:, 0], data[:, 1]
    if energy[0] > 0:
        energy, shape = np.append(0.0, energy), np.append(0.0, shape)
    if step_mev is not None:
        keep = np.append(np.arange(0.0, energy[-1], step_mev), energy[-1])
        energy, shape = keep, PchipInterpolator(energy, shape)(keep)
    return energy, shape / np.trapezoid(shape, energy)


def profile(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a production profile (0 where the digitisation dips below) and normalise it to one."""
    data = np.loadtxt(path, comments="#")
    order = np.argsort(data[:, 0], kind="stable")
    radius, first = np.unique(data[order, 0], return_index=True)
    density = np.maximum(data[order, 1][first], 0.0)
    return radius, density / np.trapezoid(density, radius)


def line(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the energy of a line: one node of weight one."""
    return np.array([np.loadtxt(path, ndmin=2)[0, 0]]), np.ones(1)


def write_spectra(folder: Path, output: Path) -> None:
    """Write the continuous spectra and the lines."""
    continuous = {k: (f, source, spectrum(folder / f, d)) for k, (f, source, d) in SPECTRA.items()}
    lines = {k: (f, LINE_SOURCE, line(folder / f)) for k, f in LINES.items()}
    for name, (file, source, columns) in {**continuous, **lines}.items():
        note = {
            "title": f"Normalised {name} neutrino spectrum",
            "source": source,
            "provenance": "derived",
            "units": {"e_nu_mev": "MeV", "shape_per_mev": "1 (line)" if name in LINES else "1/MeV"},
            "derived_by": "scripts/derive_flux.py",
            "input_sha256": file_digest(folder / file),
        }
        shape = dict(zip(("e_nu_mev", "shape_per_mev"), columns, strict=True))
        write_table(output / "flux" / name, shape, note, digits=8)


def main() -> None:
    options = parser(__doc__, "").parse_args()
    folder = options.releases / "solar_flux"
    write_spectra(folder, options.output)
    for name, file in PROFILES.items():
        radius, density = profile(folder / "production" / file)
        note = {
            "title": f"Production profile of {name} neutrinos, dN/d(r/R_sun)",
            "source": PROFILE_SOURCE,
            "provenance": "derived",
            "units": {"radius": "R_sun", "density": "1"},
            "derived_by": "scripts/derive_flux.py",
            "input_sha256": file_digest(folder / "production" / file),
        }
        columns = {"radius": radius, "density": density}
        write_table(options.output / "sun" / f"production_{name}", columns, note, digits=8)


if __name__ == "__main__":
    main()
