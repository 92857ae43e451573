"""A light vector boson of held mass: B - L, universal, or L_mu - L_tau.

The coherent charge is shifted by ``g^2 delta(T)`` (:mod:`histnu.physics.interactions`); the rate
``(Q_V + g^2 delta)^2`` has strengths g^2 (interference) and g^4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.models.protocol import Axis, HeldParameter, Model, Parameter, Term, logarithmic
from histnu.physics.models.shifts import ShiftedCharge
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

UNIT = 1e-5
LARGEST = 1e4
"""Largest coupling of a fit in units of 1e-5."""
MASS = HeldParameter(
    "m_v", "m_V", "MeV", (0.0, 1e6), "mediator mass", logarithmic(0.1, 1e4, 26), "m_v_mev"
)


def _parameter(name: str, symbol: str) -> tuple[Parameter, ...]:
    scan = logarithmic(0.1, LARGEST, 101)
    unit, bounds = f"{UNIT:g}", (0.0, LARGEST)
    return (Parameter(name, symbol, unit, bounds, f"gauge coupling {name}", scan),)


def _terms(name: str) -> tuple[Term, ...]:
    """Interference and square; an interference cannot stand alone."""
    return (
        Term(f"{name}_2", ((1.0, {name: 2}),), (0.0, LARGEST**2), alone=False),
        Term(f"{name}_4", ((1.0, {name: 4}),), (0.0, LARGEST**4)),
    )


def _cancel(spectra: Array) -> bool:
    """Whether flavours cancel: nu_mu and nu_tau of the Sun, whose charges are opposite."""
    size = np.sum(np.abs(spectra), axis=0)
    return bool(np.all(np.abs(np.sum(spectra, axis=0)) <= 1e-12 * size))


@dataclass(frozen=True)
class VectorMediator(Model):
    """A vector boson at a held mass; a gauge group is a class derived from it.

    Attributes:
        m_v_mev: mass of the boson in MeV, >= 0.
    """

    m_v_mev: float = 10.0
    weak: Electroweak = field(default_factory=Electroweak)
    held = (MASS,)
    charges = new.B_MINUS_L
    reference = "docs/physics.md; arXiv:1604.01025, 2202.11002"

    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]:
        """The plane of mass and coupling."""
        (parameter,) = self.parameters
        return {"mass_coupling": ((MASS.name, MASS.scan), (parameter.name, parameter.scan[::4]))}

    def _shift(self, t: Array, particle: Particle, flavour: str) -> Array:
        if isinstance(particle, Isotope):
            made = new.mediator_shift(t, particle, self.charges, flavour, self.m_v_mev)
        else:
            made = new.electron_mediator_shift(t, self.charges, flavour, self.m_v_mev)
        return UNIT**2 * made

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return interference and square for g = 1e-5, summed over flavours, events/(t yr keV)."""
        flavours = [f for f in scattering.flavours if self.charges.neutrino[f] != 0.0]
        if not flavours:
            return {}
        shifted = ShiftedCharge(scattering, self.weak, self._shift)
        parts = (
            [shifted.interference(f, e_recoil_kev) for f in flavours],
            [shifted.square(f, e_recoil_kev) for f in flavours],
        )
        return {
            t.name: np.sum(p, axis=0)
            for t, p in zip(self.terms, parts, strict=True)
            if not _cancel(np.array(p))
        }


@dataclass(frozen=True)
class LightVector(VectorMediator):
    """B - L: quarks 1/3, leptons -1. Raises the CEvNS rate."""

    name = "light_vector"
    title = "light vector mediator, B - L"
    charges = new.B_MINUS_L
    parameters = _parameter("g_bl", "g_{B-L}")
    terms = _terms("g_bl")


@dataclass(frozen=True)
class UniversalVector(VectorMediator):
    """The same charge for neutrinos, quarks and electrons. First lowers the CEvNS rate."""

    name = "universal_vector"
    title = "light vector mediator, universal"
    charges = new.UNIVERSAL
    parameters = _parameter("g_universal", "g_V")
    terms = _terms("g_universal")


@dataclass(frozen=True)
class LMuLTauVector(VectorMediator):
    """L_mu - L_tau; matter couples through loops of mu and tau."""

    name = "lmutau_vector"
    title = "light vector mediator, L_mu - L_tau"
    charges = new.L_MU_MINUS_L_TAU
    parameters = _parameter("g_lmutau", r"g_{L_\mu - L_\tau}")
    terms = _terms("g_lmutau")
