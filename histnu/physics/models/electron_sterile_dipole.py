"""Sterile dipole portal on electrons: upscattering ``nu_l e -> N_4 e``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import PhysicsError
from histnu.physics.electron_scattering import (
    electron_recoil_spectrum,
    sterile_dipole_coefficients,
)
from histnu.physics.models.electron_magnetic_moment import (
    ELECTRON_MOMENT_UNIT,
    check_unit,
    in_unit,
)
from histnu.physics.models.magnetic_moment import moment_parameters
from histnu.physics.models.protocol import Parameter
from histnu.physics.models.sterile_dipole import SterileDipole
from histnu.physics.nuclei import Target
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource
from histnu.polynomial import PolynomialMap


@dataclass(frozen=True)
class ElectronSterileDipole:
    """Dipole portal at a fixed sterile mass; strengths ``mu2_l = mu_l^2`` as in the nuclear model.

    Attributes:
        m4_mev: mass of the sterile state in MeV, >= 0.
        unit_mu_b: unit of the dipoles in Bohr magnetons.
    """

    m4_mev: float = 0.0
    unit_mu_b: float = ELECTRON_MOMENT_UNIT
    name: str = "electron_sterile_dipole"
    recoil: str = "electron"
    polynomial: PolynomialMap = SterileDipole.polynomial
    reference: str = "Eqs. 7-9 with the electron's mass; McKeen and Pospelov, arXiv:1011.3046"

    def __post_init__(self) -> None:
        check_unit(self.unit_mu_b, "unit_mu_b")
        if not (np.isfinite(self.m4_mev) and self.m4_mev >= 0):
            raise PhysicsError(f"m4 = {self.m4_mev} MeV must be finite and >= 0")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``mu_e``, ``mu_mu``, ``mu_tau`` in units of ``unit_mu_b``."""
        return in_unit(moment_parameters(), f"{self.unit_mu_b:g} mu_B")

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return dR/dT for a dipole of one unit per flavour, events/(t yr keV), shape (N,)."""
        return {
            f"mu2_{flavour}": electron_recoil_spectrum(
                lambda t: sterile_dipole_coefficients(t, self.m4_mev, self.unit_mu_b),
                source,
                flavour,
                target,
                e_recoil_kev,
                self.m4_mev,
            )
            for flavour in FLAVOURS
        }
