"""Sterile dipole portal, Eqs. 7-9: upscattering of nu_l into a lepton of mass m4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.cross_sections import Electroweak, sterile_dipole_coefficients
from histnu.physics.models.magnetic_moment import moments, squares
from histnu.physics.models.protocol import Axis, HeldParameter, Model, logarithmic
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

MASSES_MEV = (*logarithmic(1e-3, 5.0, 20), *map(float, range(6, 21)))
"""Sterile masses from 1 keV, logarithmic while the signal hardly changes, then in steps of 1 MeV
past the end of the solar 8B spectrum (about 16 MeV), where upscattering is no longer possible."""
M4 = HeldParameter("m4", "m_4", "MeV", (0.0, 1e6), "sterile mass", MASSES_MEV, "m4_mev")


@dataclass(frozen=True)
class SterileDipole(Model):
    """Dipole portal at a held sterile mass; strengths ``mu2_l = mu_l^2``.

    Attributes:
        m4_mev: mass of the sterile state in MeV, >= 0.
    """

    m4_mev: float = 0.0
    weak: Electroweak = field(default_factory=Electroweak)
    name = "sterile_dipole"
    title = "sterile dipole portal"
    parameters = moments(FLAVOURS)
    held = (M4,)
    terms = squares(FLAVOURS)
    reference = "Eqs. 7-9; McKeen and Pospelov, Phys. Rev. D 82 (2010) 113018"

    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]:
        """Planes of the mass and a dipole, ``dipole_<flavour>``."""
        mass, dipole = (M4.name, M4.scan), logarithmic(0.1, 100.0, 31)
        return {f"dipole_{k}": (mass, (f"mu_{k}", dipole)) for k in FLAVOURS}

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return dR/dT for a dipole of 1e-9 mu_B per flavour, events/(t yr keV), shape (N,)."""
        return {
            f"mu2_{flavour}": scattering.spectrum(
                lambda t, p: sterile_dipole_coefficients(t, p, self.weak, self.m4_mev),
                flavour,
                e_recoil_kev,
                self.m4_mev,
            )
            for flavour in scattering.flavours
        }
