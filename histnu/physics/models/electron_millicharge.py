"""Neutrino millicharges in electron scattering, with interference."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.constants import SIN2_THETA_W
from histnu.physics.electron_scattering import (
    couplings,
    electron_recoil_spectrum,
    millicharge_linear_coefficients,
    millicharge_squared_coefficients,
)
from histnu.physics.models.electron_magnetic_moment import check_unit
from histnu.physics.models.millicharge import CHARGES, SYMBOLS, charge_polynomial
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource
from histnu.polynomial import PolynomialMap

ELECTRON_CHARGE_UNIT = 1e-12
"""Default unit of neutrino charges in electron-recoil analyses, in elementary charges."""


@dataclass(frozen=True)
class ElectronMillicharge:
    """All six millicharges; the same parameters and strengths as the nuclear ``Millicharge``.

    Attributes:
        unit_e: unit of the charges in elementary charges.
        sin2_theta_w: weak mixing angle of the interference with the Standard Model.
    """

    unit_e: float = ELECTRON_CHARGE_UNIT
    sin2_theta_w: float = float(SIN2_THETA_W)
    name: str = "electron_millicharge"
    recoil: str = "electron"
    polynomial: PolynomialMap = field(default_factory=charge_polynomial)
    reference: str = "Eqs. 5-6 with an electron; Giunti and Ternes, arXiv:2309.17380"

    def __post_init__(self) -> None:
        check_unit(self.unit_e, "unit_e")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The three diagonal and three transition charges in units of ``unit_e``."""
        unit = f"{self.unit_e:g} e"
        return tuple(
            Parameter(name, SYMBOLS[name], unit, (-1e3, 1e3), f"electric charge {name}")
            for name in CHARGES
        )

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return linear and squared dR/dT per flavour for one unit, events/(t yr keV), (N,).

        The linear spectrum of nu_e is negative, as in the nuclear case; those of nu_mu and nu_tau
        are positive and fifty times smaller, because they have no charged current.
        """
        spectra: dict[str, NDArray[np.float64]] = {}
        for flavour in FLAVOURS:
            coupling = couplings(flavour, self.sin2_theta_w)
            spectra[f"q_lin_{flavour}"] = electron_recoil_spectrum(
                lambda t, c=coupling: millicharge_linear_coefficients(  # type: ignore[misc]
                    t, c, self.unit_e
                ),
                source,
                flavour,
                target,
                e_recoil_kev,
            )
            spectra[f"q_sq_{flavour}"] = electron_recoil_spectrum(
                lambda t: millicharge_squared_coefficients(t, self.unit_e),
                source,
                flavour,
                target,
                e_recoil_kev,
            )
        return spectra
