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
from histnu.physics.models.protocol import Axis, Model, Parameter, Term, linear, planes
from histnu.physics.nuclei import Isotope
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

CHARGE_UNIT = "1e-8 e"
DIAGONAL = {"e": "q_ee", "mu": "q_mumu", "tau": "q_tautau"}
TRANSITION = {("e", "mu"): "q_emu", ("e", "tau"): "q_etau", ("mu", "tau"): "q_mutau"}
CHARGES = (*DIAGONAL.values(), *TRANSITION.values())
SYMBOLS = {
    "q_ee": r"Q_{\nu_{ee}}",
    "q_mumu": r"Q_{\nu_{\mu\mu}}",
    "q_tautau": r"Q_{\nu_{\tau\tau}}",
    "q_emu": r"Q_{\nu_{e\mu}}",
    "q_etau": r"Q_{\nu_{e\tau}}",
    "q_mutau": r"Q_{\nu_{\mu\tau}}",
}
PLANES = (("q_ee", "q_mumu"), ("q_ee", "q_emu"), ("q_ee", "q_mutau"))
"""The planes of the paper's Fig. 3."""
LARGEST = 50.0
"""Largest diagonal charge of a fit in the unit of the analysis, wide against every bound."""


def charge_terms() -> tuple[Term, ...]:
    """``q_lin_l = Q_ll`` and ``q_sq_l = Q_ll^2 + sum_{l' != l} Q_ll'^2`` for l = e, mu, tau."""
    terms = []
    for flavour in FLAVOURS:
        squared = [DIAGONAL[flavour]]
        squared += [name for pair, name in TRANSITION.items() if flavour in pair]
        interference = ((1.0, {DIAGONAL[flavour]: 1}),)
        terms.append(Term(f"q_lin_{flavour}", interference, (-LARGEST, LARGEST), alone=False))
        square = tuple((1.0, {name: 2}) for name in squared)
        terms.append(Term(f"q_sq_{flavour}", square, (0.0, LARGEST**2)))
    return tuple(terms)


@dataclass(frozen=True)
class Millicharge(Model):
    """All six millicharges; exact through SM, linear and squared samples."""

    weak: Electroweak = field(default_factory=Electroweak)
    name = "millicharge"
    title = "neutrino millicharges"
    parameters = tuple(
        Parameter(
            name,
            SYMBOLS[name],
            CHARGE_UNIT,
            (-1e3, 1e3),
            f"electric charge {name}",
            linear(-10.0, 10.0, 101),
        )
        for name in CHARGES
    )
    terms = charge_terms()
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
