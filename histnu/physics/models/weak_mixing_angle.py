"""Weak mixing angle at low momentum transfer: an exact polynomial of degree two.

On a nucleus ``Q_V = (1/2 - 2 s) Z - N/2``, on an electron ``g_V = 2 s +- 1/2``, s = sin^2 theta_W.
The strengths are powers of the departure from the value of the Standard Model's sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import SIN2_THETA_W
from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak
from histnu.physics.models.protocol import Model, Parameter, Term, linear
from histnu.physics.models.shifts import ShiftedCharge
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

LARGEST = 1.0
"""Largest departure of sin^2 theta_W from the Standard Model's."""


def _shift(t: Array, particle: object, flavour: str) -> Array:
    if isinstance(particle, Isotope):
        return np.full_like(t, new.weak_mixing_shift(particle))
    return np.full_like(t, new.ELECTRON_WEAK_MIXING_SHIFT)


@dataclass(frozen=True)
class WeakMixingAngle(Model):
    """Departure of sin^2 theta_W from 0.23857, the value of the Standard Model's sample."""

    weak: Electroweak = field(default_factory=Electroweak)
    name = "weak_mixing_angle"
    title = "weak mixing angle"
    parameters = (
        Parameter(
            "delta_s2w",
            r"\sin^2\theta_W - 0.23857",
            "1",
            (-LARGEST, LARGEST),
            f"sin^2 theta_W minus {float(SIN2_THETA_W)}",
            linear(-0.3, 0.3, 121),
        ),
    )
    terms = (
        Term("s2w_lin", ((1.0, {"delta_s2w": 1}),), (-LARGEST, LARGEST), alone=False),
        Term("s2w_sq", ((1.0, {"delta_s2w": 2}),), (0.0, LARGEST**2)),
    )
    reference = "Eqs. 1-2; docs/physics.md"

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return linear and squared dR/dT for a unit of sin^2 theta_W, summed over flavours."""
        shifted = ShiftedCharge(scattering, self.weak, _shift)
        pairs = [
            (shifted.interference(f, e_recoil_kev), shifted.square(f, e_recoil_kev))
            for f in scattering.flavours
        ]
        linear_part, squared = (np.sum(part, axis=0) for part in zip(*pairs, strict=True))
        return {"s2w_lin": linear_part, "s2w_sq": squared}
