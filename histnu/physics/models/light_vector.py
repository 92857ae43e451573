"""A light vector boson of held mass: B - L, universal, L_mu - L_tau.

Each gauge group shifts the coherent charge by ``g^2 delta_k(T)``; the rate is

    Q_V^2 + 2 Q_V sum_k g_k^2 delta_k + sum_kl g_k^2 g_l^2 delta_k delta_l,

so that strengths are g^2 (interference) and g^4. Two groups at once are two bosons of one mass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import PhysicsError
from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.models.protocol import HeldParameter, Model, Parameter, Term, logarithmic
from histnu.physics.models.shifts import Shift, ShiftedCharge
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

UNIT = 1e-5
LARGEST = 1e4
"""Largest coupling of a fit in units of 1e-5."""
GROUPS: Mapping[str, new.VectorCharges] = MappingProxyType(
    {
        "g_bl": new.B_MINUS_L,
        "g_universal": new.UNIVERSAL,
        "g_lmutau": new.L_MU_MINUS_L_TAU,
    }
)
SYMBOLS = {
    "g_bl": "g_{B-L}",
    "g_universal": "g_{V}",
    "g_lmutau": r"g_{L_\mu - L_\tau}",
}
MASS = HeldParameter(
    "m_v", "m_V", "MeV", (0.0, 1e6), "mediator mass", logarithmic(0.1, 1e4, 26), "m_v_mev"
)


def _terms() -> tuple[Term, ...]:
    terms = [Term(f"{k}_2", ((1.0, {k: 2}),), (0.0, LARGEST**2), alone=False) for k in GROUPS]
    for a, b in combinations_with_replacement(GROUPS, 2):
        if a == b:
            terms.append(Term(f"{a}_4", ((1.0, {a: 4}),), (0.0, LARGEST**4)))
        else:
            product = ((1.0, {a: 2, b: 2}),)
            terms.append(Term(f"{a}_{b}_4", product, (0.0, LARGEST**4), alone=False))
    return tuple(terms)


@dataclass(frozen=True)
class LightVector(Model):
    """A light vector boson at a held mass.

    Attributes:
        m_v_mev: mass of the boson in MeV, >= 0.
    """

    m_v_mev: float = 10.0
    weak: Electroweak = field(default_factory=Electroweak)
    name = "light_vector"
    title = "light vector mediator"
    parameters = tuple(
        Parameter(
            name,
            SYMBOLS[name],
            f"{UNIT:g}",
            (0.0, LARGEST),
            f"gauge coupling {name}",
            logarithmic(0.1, LARGEST, 101),
        )
        for name in GROUPS
    )
    held = (MASS,)
    terms = _terms()
    reference = "docs/physics.md; arXiv:1604.01025, 2202.11002"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.m_v_mev) and self.m_v_mev >= 0):
            raise PhysicsError(f"m_v = {self.m_v_mev} MeV must be finite and >= 0")

    def _shift(self, charges: new.VectorCharges) -> Shift:
        def shift(t: Array, particle: Particle, flavour: str) -> Array:
            if isinstance(particle, Isotope):
                made = new.mediator_shift(t, particle, charges, flavour, self.m_v_mev)
            else:
                made = new.electron_mediator_shift(t, charges, flavour, self.m_v_mev)
            return UNIT**2 * made

        return shift

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return dR/dT of every term for g = 1e-5, summed over flavours, events/(t yr keV)."""
        shifted = {
            k: ShiftedCharge(scattering, self.weak, self._shift(c)) for k, c in GROUPS.items()
        }
        flavours = scattering.flavours
        result = {
            f"{k}_2": np.sum([s.interference(f, e_recoil_kev) for f in flavours], axis=0)
            for k, s in shifted.items()
        }
        for a, b in combinations_with_replacement(GROUPS, 2):
            name, times = (f"{a}_4", 1.0) if a == b else (f"{a}_{b}_4", 2.0)
            other = shifted[b].shift
            spectra = [shifted[a].product(other, f, e_recoil_kev) for f in flavours]
            result[name] = times * np.sum(spectra, axis=0)
        return {k: v for k, v in result.items() if np.any(v != 0.0)}
