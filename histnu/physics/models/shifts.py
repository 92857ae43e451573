"""What all hypotheses share that shift the vector coupling: interference and square."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.electron_scattering import couplings
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]
Shift = Callable[[Array, Particle, str], Array]
"""Shift of Q_V (nucleus) or g_V (electron) for one unit of a coupling, called with T in MeV, (N,),
the particle and the flavour."""


@dataclass(frozen=True)
class ShiftedCharge:
    """Spectra of a shift of the vector coupling in one kind of scattering.

    Attributes:
        scattering: what scatters on what.
        weak: weak mixing angle and form factor.
        shift: the shift for one unit.
    """

    scattering: Scattering
    weak: Electroweak
    shift: Shift

    def interference(self, flavour: str, e_recoil_kev: ArrayLike) -> Array:
        """dR/dT of the interference with the Standard Model, events/(t yr keV), shape (N,)."""

        def coefficients(t: Array, particle: Particle) -> Array:
            shift = self.shift(t, particle, flavour)
            if isinstance(particle, Isotope):
                return new.interference_coefficients(t, particle, self.weak, shift)
            anti = self.scattering.source.anti
            coupling = couplings(flavour, self.weak.sin2_theta_w, anti)
            return new.electron_interference_coefficients(t, coupling, shift)

        return self.scattering.spectrum(coefficients, flavour, e_recoil_kev)

    def square(self, flavour: str, e_recoil_kev: ArrayLike) -> Array:
        """dR/dT of the square of the shift, events/(t yr keV), shape (N,)."""
        return self.product(self.shift, flavour, e_recoil_kev)

    def product(self, other: Shift, flavour: str, e_recoil_kev: ArrayLike) -> Array:
        """dR/dT of the product of this shift and another one, shape (N,)."""

        def coefficients(t: Array, particle: Particle) -> Array:
            both = self.shift(t, particle, flavour) * other(t, particle, flavour)
            if isinstance(particle, Isotope):
                return both * new.squared_coefficients(t, particle, self.weak, 1.0)
            return both * new.electron_squared_coefficients(t, 1.0)

        return self.scattering.spectrum(coefficients, flavour, e_recoil_kev)
