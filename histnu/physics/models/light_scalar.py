"""A light scalar boson of held mass with the same coupling to neutrinos, quarks and electrons.

It flips helicity and adds to the Standard Model: one positive spectrum of strength g^4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.models.protocol import HeldParameter, Model, Parameter, Term, logarithmic
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

UNIT = 1e-5
LARGEST = 1e4
"""Largest coupling of a fit in units of 1e-5."""


@dataclass(frozen=True)
class LightScalar(Model):
    """A light scalar at a held mass; ``g_s^2 = g_nu g_q = g_nu g_e``.

    Attributes:
        m_s_mev: mass of the boson in MeV, >= 0.
    """

    m_s_mev: float = 10.0
    weak: Electroweak = field(default_factory=Electroweak)
    name = "light_scalar"
    title = "light scalar mediator"
    parameters = (
        Parameter(
            "g_s",
            "g_S",
            f"{UNIT:g}",
            (0.0, LARGEST),
            "universal scalar coupling",
            logarithmic(0.01, LARGEST, 101),
        ),
    )
    held = (
        HeldParameter(
            "m_s", "m_S", "MeV", (0.0, 1e6), "mediator mass", logarithmic(0.1, 1e4, 26), "m_s_mev"
        ),
    )
    terms = (Term("g_s_4", ((1.0, {"g_s": 4}),), (0.0, LARGEST**4)),)
    reference = "docs/physics.md; arXiv:1604.01025"

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return ``{"g_s_4": dR/dT}`` for g_s = 1e-5, events/(t yr keV), shape (N,)."""

        def coefficients(t: Array, particle: Particle) -> Array:
            if isinstance(particle, Isotope):
                made = new.scalar_coefficients(t, particle, self.weak, self.m_s_mev)
            else:
                made = new.electron_scalar_coefficients(t, self.m_s_mev)
            return UNIT**4 * made

        spectra = [scattering.spectrum(coefficients, f, e_recoil_kev) for f in scattering.flavours]
        return {"g_s_4": np.sum(spectra, axis=0)}
