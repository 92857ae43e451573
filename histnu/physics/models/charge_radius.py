"""Neutrino charge radii: three diagonal (interfering) and three transition radii.

The millicharge's amplitude with ``Q -> q^2 <r^2>/6``: a shift of the coherent charge that does not
depend on the recoil energy. Diagonal radii interfere, so that their allowed region may be in two
pieces; transition radii change the flavour and add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.models.protocol import Axis, Model, Parameter, Term, linear, planes
from histnu.physics.models.shifts import ShiftedCharge
from histnu.physics.nuclei import Isotope
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

UNIT = "1e-32 cm^2"
DIAGONAL = {"e": "r2_ee", "mu": "r2_mumu", "tau": "r2_tautau"}
TRANSITION = {("e", "mu"): "r2_emu", ("e", "tau"): "r2_etau", ("mu", "tau"): "r2_mutau"}
RADII = (*DIAGONAL.values(), *TRANSITION.values())
SYMBOLS = {
    "r2_ee": r"\langle r^2_{ee}\rangle",
    "r2_mumu": r"\langle r^2_{\mu\mu}\rangle",
    "r2_tautau": r"\langle r^2_{\tau\tau}\rangle",
    "r2_emu": r"|\langle r^2_{e\mu}\rangle|",
    "r2_etau": r"|\langle r^2_{e\tau}\rangle|",
    "r2_mutau": r"|\langle r^2_{\mu\tau}\rangle|",
}
LARGEST = 1000.0
"""Largest radius squared of a fit in 1e-32 cm^2."""


def _terms() -> tuple[Term, ...]:
    """``r2_lin_l = r2_ll`` and ``r2_sq_l = r2_ll^2 + sum_{l' != l} r2_ll'^2``."""
    terms = []
    for flavour in FLAVOURS:
        squared = [DIAGONAL[flavour], *(n for pair, n in TRANSITION.items() if flavour in pair)]
        interference = ((1.0, {DIAGONAL[flavour]: 1}),)
        terms.append(Term(f"r2_lin_{flavour}", interference, (-LARGEST, LARGEST), alone=False))
        square = tuple((1.0, {name: 2}) for name in squared)
        terms.append(Term(f"r2_sq_{flavour}", square, (0.0, LARGEST**2)))
    return tuple(terms)


def _shift(t: Array, particle: Particle, flavour: str) -> Array:
    if isinstance(particle, Isotope):
        return np.full_like(t, new.charge_radius_shift(particle))
    return np.full_like(t, new.charge_radius_coupling())


@dataclass(frozen=True)
class ChargeRadius(Model):
    """All six charge radii on top of the tree level of the Standard Model."""

    weak: Electroweak = field(default_factory=Electroweak)
    name = "charge_radius"
    companions = "zero"
    title = "neutrino charge radii"
    parameters = tuple(
        Parameter(
            name,
            SYMBOLS[name],
            UNIT,
            (-LARGEST, LARGEST),
            f"charge radius squared {name}",
            linear(-100.0, 100.0, 101),
        )
        for name in RADII
    )
    terms = _terms()
    reference = "docs/physics.md; Giunti and Studenikin, Rev. Mod. Phys. 87 (2015) 531"

    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]:
        """One grid per radius, and the plane of the two radii of a stopped-pion source."""
        pairs = (("r2_ee", "r2_mumu"),)
        return {**super().grids, **planes(pairs, linear(-100.0, 100.0, 41))}

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return linear and squared dR/dT per flavour for 1e-32 cm^2, events/(t yr keV), (N,)."""
        shifted = ShiftedCharge(scattering, self.weak, _shift)
        result = {}
        for f in scattering.flavours:
            result[f"r2_lin_{f}"] = shifted.interference(f, e_recoil_kev)
            result[f"r2_sq_{f}"] = shifted.square(f, e_recoil_kev)
        return result
