"""Atomic electrons as targets: shells, binding energies and the stepping approximation."""

from __future__ import annotations

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
        electrons: electrons in each shell, shape (K,).
        source: where the binding energies come from.
    """

    labels: tuple[str, ...]
    binding_kev: tuple[float, ...]
    electrons: tuple[int, ...]
    source: str

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.binding_kev) == len(self.electrons):
            raise PhysicsError("shells: labels, binding energies and electrons differ in length")
        if any(b < 0 for b in self.binding_kev) or any(n <= 0 for n in self.electrons):
            raise PhysicsError("shells: binding energies must be >= 0 and electrons > 0")

    @property
    def total(self) -> int:
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
        t = np.asarray(e_recoil_kev, dtype=float)
        freed = t[..., None] >= np.asarray(self.binding_kev)
        return np.asarray(freed @ np.asarray(self.electrons, dtype=float))

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

SHELLS = {"xenon": XENON_SHELLS}


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
