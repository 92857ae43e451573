"""Sterile dipole portal, Eqs. 7-9: upscattering of nu_l into a lepton of mass m4."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import PhysicsError
from histnu.physics.cross_sections import Electroweak, sterile_dipole_coefficients
from histnu.physics.models.magnetic_moment import moment_parameters
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource, recoil_spectrum
from histnu.polynomial import PolynomialMap


@dataclass(frozen=True)
class SterileDipole:
    """Dipole portal at a fixed sterile mass; strengths ``mu2_l = mu_l^2`` in 1e-18 mu_B^2.

    Attributes:
        m4_mev: mass of the sterile state in MeV, >= 0.
    """

    m4_mev: float = 0.0
    weak: Electroweak = field(default_factory=Electroweak)
    name: str = "sterile_dipole"
    recoil: str = "nuclear"
    parameters: tuple[Parameter, ...] = moment_parameters()
    polynomial: PolynomialMap = PolynomialMap(
        tuple(f"mu_{k}" for k in FLAVOURS),
        tuple(f"mu2_{k}" for k in FLAVOURS),
        tuple(((1.0, {f"mu_{k}": 2}),) for k in FLAVOURS),
    )
    reference: str = "Eqs. 7-9; McKeen and Pospelov, Phys. Rev. D 82 (2010) 113018"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.m4_mev) and self.m4_mev >= 0):
            raise PhysicsError(f"m4 = {self.m4_mev} MeV must be finite and >= 0")

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return dR/dT for a dipole of 1e-9 mu_B per flavour, events/(t yr keV), shape (N,)."""
        return {
            f"mu2_{flavour}": recoil_spectrum(
                lambda t, i: sterile_dipole_coefficients(t, i, self.weak, self.m4_mev),
                source,
                flavour,
                target,
                e_recoil_kev,
                self.m4_mev,
            )
            for flavour in FLAVOURS
        }
