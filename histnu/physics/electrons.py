"""Atomic electrons as targets: shells, binding energies and the stepping approximation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import ELECTRON_MASS
from histnu.core.errors import PhysicsError
from histnu.core.units import MEV_PER_KEV
from histnu.physics.nuclei import Material

Array = NDArray[np.float64]

XRAY_DATA = (
    "electron binding energies of xenon as in the X-ray Data Booklet (LBNL/PUB-490, 2009), "
    "outer shells from photoemission of the atom"
)


@dataclass(frozen=True)
class Electron:
    """The electron as the particle that a neutrino scatters on, beside an ``Isotope``."""

    mass_mev: float = float(ELECTRON_MASS)


ELECTRON = Electron()


@dataclass(frozen=True)
class AtomicShells:
    """Shells of an atom.

    Attributes:
        labels: names of the shells, K of them.
        binding_kev: binding energies in keV, shape (K,).
        electrons: electrons in each shell, on average over the atoms of a compound, shape (K,).
        source: where the binding energies come from.
    """

    labels: tuple[str, ...]
    binding_kev: tuple[float, ...]
    electrons: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.binding_kev) == len(self.electrons):
            raise PhysicsError("shells: labels, binding energies and electrons differ in length")
        if any(b < 0 for b in self.binding_kev) or any(n <= 0 for n in self.electrons):
            raise PhysicsError("shells: binding energies must be >= 0 and electrons > 0")

    @property
    def total(self) -> float:
        """Electrons of the neutral atom."""
        return sum(self.electrons)

    def effective_electrons(self, e_recoil_kev: ArrayLike) -> Array:
        """Electrons that an energy deposit T can free, ``sum_i n_i theta(T - B_i)``.

        Args:
            e_recoil_kev: energy deposit in keV, any shape.

        Returns:
            Number of electrons per atom, the shape of ``e_recoil_kev``.

        >>> XENON_SHELLS.effective_electrons([0.001, 1.0, 40.0]).tolist()
        [0.0, 40.0, 54.0]

        References: Chen et al., Phys. Lett. B 774 (2017) 656, arXiv:1610.04177 (the stepping
        approximation and how far it is from many-body calculations).
        """
        order = np.argsort(self.binding_kev)
        freed = np.concatenate([[0.0], np.cumsum(np.asarray(self.electrons, dtype=float)[order])])
        t = np.asarray(e_recoil_kev, dtype=float)
        return freed[np.searchsorted(np.asarray(self.binding_kev)[order], t, side="right")]

    def steps_kev(self) -> Array:
        """Distinct binding energies in keV, increasing: where rates jump."""
        return np.unique(np.asarray(self.binding_kev, dtype=float))


def _shells(rows: tuple[tuple[str, float, int], ...], source: str) -> AtomicShells:
    """Build shells from (label, binding energy in eV, electrons)."""
    labels, energies, electrons = zip(*rows, strict=True)
    return AtomicShells(labels, tuple(e * MEV_PER_KEV for e in energies), electrons, source)


XENON_SHELLS = _shells(
    (
        ("5p3/2", 12.0, 4),
        ("5p1/2", 13.4, 2),
        ("5s", 27.5, 2),
        ("4d5/2", 71.7, 6),
        ("4d3/2", 73.8, 4),
        ("4p3/2", 162.8, 4),
        ("4p1/2", 175.6, 2),
        ("4s", 229.4, 2),
        ("3d5/2", 649.9, 6),
        ("3d3/2", 708.1, 4),
        ("3p3/2", 961.2, 4),
        ("3p1/2", 1024.8, 2),
        ("3s", 1170.5, 2),
        ("2p3/2", 4835.6, 4),
        ("2p1/2", 5161.5, 2),
        ("2s", 5509.8, 2),
        ("1s", 34759.0, 2),
    ),
    XRAY_DATA,
)

EDGES_DATA = (
    "X-ray absorption edges of W. T. Elam et al., Radiat. Phys. Chem. 63 (2002) 121 with those of "
    "the X-ray Data Booklet, as tabulated in XrayDB 4.5.8; 6s of cesium: ionisation energy, NIST"
)

IODINE_SHELLS = _shells(
    (
        ("5p3/2", 3.0, 3),
        ("5p1/2", 3.0, 2),
        ("5s", 14.0, 2),
        ("4d5/2", 48.9, 6),
        ("4d3/2", 50.6, 4),
        ("4p3/2", 123.0, 4),
        ("4p1/2", 123.0, 2),
        ("4s", 186.0, 2),
        ("3d5/2", 619.3, 6),
        ("3d3/2", 630.8, 4),
        ("3p3/2", 875.0, 4),
        ("3p1/2", 931.0, 2),
        ("3s", 1072.0, 2),
        ("2p3/2", 4557.0, 4),
        ("2p1/2", 4852.0, 2),
        ("2s", 5188.0, 2),
        ("1s", 33169.0, 2),
    ),
    EDGES_DATA,
)

CESIUM_SHELLS = _shells(
    (
        ("6s", 3.894, 1),
        ("5p3/2", 12.1, 4),
        ("5p1/2", 14.2, 2),
        ("5s", 22.7, 2),
        ("4d5/2", 77.5, 6),
        ("4d3/2", 79.8, 4),
        ("4p3/2", 161.3, 4),
        ("4p1/2", 172.4, 2),
        ("4s", 232.3, 2),
        ("3d5/2", 726.6, 6),
        ("3d3/2", 740.5, 4),
        ("3p3/2", 1003.0, 4),
        ("3p1/2", 1071.0, 2),
        ("3s", 1211.0, 2),
        ("2p3/2", 5012.0, 4),
        ("2p1/2", 5359.0, 2),
        ("2s", 5714.0, 2),
        ("1s", 35985.0, 2),
    ),
    EDGES_DATA,
)


def compound(parts: Mapping[str, tuple[AtomicShells, float]]) -> AtomicShells:
    """Shells of the average atom of a compound, from those of its elements and their shares."""
    return AtomicShells(
        tuple(f"{name} {label}" for name, (s, _) in parts.items() for label in s.labels),
        tuple(b for s, _ in parts.values() for b in s.binding_kev),
        tuple(share * n for s, share in parts.values() for n in s.electrons),
        "; ".join(dict.fromkeys(s.source for s, _ in parts.values())),
    )


SHELLS = {
    "xenon": XENON_SHELLS,
    "cesium_iodide": compound({"Cs": (CESIUM_SHELLS, 0.5), "I": (IODINE_SHELLS, 0.5)}),
}


def shells(target: Material) -> AtomicShells:
    """Return the electron shells of a target material.

    Raises:
        PhysicsError: for a material without a table of binding energies.
    """
    try:
        return SHELLS[target.name]
    except KeyError:
        known = ", ".join(sorted(SHELLS))
        raise PhysicsError(f"no binding energies for {target.name!r}; known: {known}") from None
