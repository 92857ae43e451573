"""One kind of scattering in a detector: what comes in, what it hits, what is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError
from histnu.physics.cross_sections import Particle
from histnu.physics.electron_scattering import electron_recoil_spectrum
from histnu.physics.electrons import ELECTRON
from histnu.physics.nuclei import Material
from histnu.physics.rates import NeutrinoSource, recoil_spectrum

Array = NDArray[np.float64]
Coefficients = Callable[[Array, Particle], Array]
"""``c_k(T)`` of ``d sigma/dT = sum_k c_k(T) E_nu^-k`` in MeV^(k-3), shape (3, N), called with T in
MeV, shape (N,), and the particle: an ``Isotope``, or the ``Electron``."""

NUCLEAR, ELECTRONIC = "nuclear", "electron"
RECOILS = (NUCLEAR, ELECTRONIC)


@dataclass(frozen=True)
class Scattering:
    """Neutrinos of one source component on the nuclei or the electrons of a material.

    Attributes:
        recoil: ``nuclear`` or ``electron``: which particle recoils.
        source: flux at the detector with its flavours.
        target: detector material.
    """

    recoil: str
    source: NeutrinoSource
    target: Material

    def __post_init__(self) -> None:
        if self.recoil not in RECOILS:
            raise PhysicsError(f"unknown recoil {self.recoil!r}; known: {', '.join(RECOILS)}")

    @property
    def flavours(self) -> tuple[str, ...]:
        """Flavours that the source holds."""
        return self.source.flavours

    def spectrum(
        self,
        coefficients: Coefficients,
        flavour: str,
        e_recoil_kev: ArrayLike,
        outgoing_mev: float = 0.0,
    ) -> Array:
        """Rate per tonne, year and keV of one flavour, summed over isotopes or bound electrons.

        Args:
            coefficients: cross section of one particle (see :data:`Coefficients`).
            flavour: one of :attr:`flavours`.
            e_recoil_kev: recoil energies T in keV, > 0, shape (N,).
            outgoing_mev: mass of the outgoing lepton in MeV (zero for elastic scattering).

        Returns:
            dR/dT in events/(t yr keV), shape (N,).
        """
        if self.recoil == NUCLEAR:
            return recoil_spectrum(
                coefficients, self.source, flavour, self.target, e_recoil_kev, outgoing_mev
            )
        return electron_recoil_spectrum(
            lambda t: coefficients(t, ELECTRON),
            self.source,
            flavour,
            self.target,
            e_recoil_kev,
            outgoing_mev,
        )
