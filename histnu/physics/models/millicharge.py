"""Neutrino millicharges, Eqs. 5-6: three diagonal (interfering) and three transition charges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics import electron_scattering as electrons
from histnu.physics.cross_sections import (
    MILLICHARGE_UNIT,
    Electroweak,
    Particle,
    millicharge_linear_coefficients,
    millicharge_squared_coefficients,
)
from histnu.physics.models.protocol import Axis, Model, linear, planes
from histnu.physics.models.shifts import FlavourMatrix
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

CHARGE_UNIT = "1e-8 e"
PLANES = (("q_ee", "q_mumu"), ("q_ee", "q_emu"), ("q_ee", "q_mutau"))
"""The planes of the paper's Fig. 3."""
CHARGES = FlavourMatrix("q", 50.0)
"""Diagonal charges of a fit up to 50 in the unit of the analysis, wide against every bound."""


@dataclass(frozen=True)
class Millicharge(Model):
    """All six millicharges; exact through SM, linear and squared samples."""

    weak: Electroweak = field(default_factory=Electroweak)
    name = "millicharge"
    title = "neutrino millicharges"
    parameters = CHARGES.parameters(
        (r"Q_{\nu_{{}}}", r"Q_{\nu_{{}}}"), CHARGE_UNIT, 1e3, ("electric charge", 10.0)
    )
    terms = CHARGES.terms
    reference = (
        "Eqs. 5-6; Kouzakov and Studenikin, Phys. Rev. D 95 (2017) 055013; electrons: "
        "Giunti and Ternes, arXiv:2309.17380"
    )

    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]:
        """One grid per charge, and the planes of ``PLANES``."""
        return {**super().grids, **planes(PLANES, linear(-10.0, 10.0, 41))}

    def interference(
        self, e_recoil_mev: Array, particle: Particle, flavour: str, anti: bool = False
    ) -> Array:
        """Coefficients of the term linear in a diagonal charge of 1e-8 e, shape (3, N)."""
        if isinstance(particle, Isotope):
            return millicharge_linear_coefficients(e_recoil_mev, particle, self.weak)
        coupling = electrons.couplings(flavour, self.weak.sin2_theta_w, anti)
        return electrons.millicharge_linear_coefficients(e_recoil_mev, coupling, MILLICHARGE_UNIT)

    def square(self, e_recoil_mev: Array, particle: Particle) -> Array:
        """Coefficients of the term quadratic in a charge of 1e-8 e, shape (3, N)."""
        if isinstance(particle, Isotope):
            return millicharge_squared_coefficients(e_recoil_mev, particle, self.weak)
        return electrons.millicharge_squared_coefficients(e_recoil_mev, MILLICHARGE_UNIT)

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return linear and squared dR/dT per flavour for 1e-8 e, events/(t yr keV), shape (N,).

        On nuclei the linear spectra are negative: a small positive diagonal charge lowers the rate.
        On electrons that of nu_e is; those of nu_mu and nu_tau are positive and fifty times
        smaller, because they have no charged current.
        """
        anti, spectra = scattering.source.anti, {}
        for f in scattering.flavours:
            spectra[f"q_lin_{f}"] = scattering.spectrum(
                lambda t, p, f=f: self.interference(t, p, f, anti),  # type: ignore[misc]
                f,
                e_recoil_kev,
            )
            spectra[f"q_sq_{f}"] = scattering.spectrum(self.square, f, e_recoil_kev)
        return spectra
