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
from histnu.physics.models.protocol import Axis, Model, linear, planes
from histnu.physics.models.shifts import FlavourMatrix, ShiftedCharge
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

UNIT = "1e-32 cm^2"
RADII = FlavourMatrix("r2", 1000.0)
"""Radii squared of a fit up to 1000e-32 cm^2."""


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
    parameters = RADII.parameters(
        (r"\langle r^2_{{}}\rangle", r"|\langle r^2_{{}}\rangle|"),
        UNIT,
        RADII.largest,
        ("charge radius squared", 100.0),
    )
    terms = RADII.terms
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
