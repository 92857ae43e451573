"""Neutrino millicharges, Eqs. 5-6: three diagonal (interfering) and three transition charges."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.cross_sections import (
    Electroweak,
    millicharge_linear_coefficients,
    millicharge_squared_coefficients,
)
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource, recoil_spectrum
from histnu.polynomial import Monomial, PolynomialMap

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


def charge_polynomial() -> PolynomialMap:
    """``q_lin_l = Q_ll`` and ``q_sq_l = Q_ll^2 + sum_{l' != l} Q_ll'^2`` for l = e, mu, tau."""
    outputs: list[str] = []
    terms: list[tuple[Monomial, ...]] = []
    for flavour in FLAVOURS:
        squares = [DIAGONAL[flavour]]
        squares += [name for pair, name in TRANSITION.items() if flavour in pair]
        outputs += [f"q_lin_{flavour}", f"q_sq_{flavour}"]
        terms.append(((1.0, {DIAGONAL[flavour]: 1}),))
        terms.append(tuple((1.0, {name: 2}) for name in squares))
    return PolynomialMap(CHARGES, tuple(outputs), tuple(terms))


@dataclass(frozen=True)
class Millicharge:
    """All six millicharges in units of 1e-8 e; exact through SM, linear and squared samples."""

    weak: Electroweak = field(default_factory=Electroweak)
    name: str = "millicharge"
    recoil: str = "nuclear"
    parameters: tuple[Parameter, ...] = tuple(
        Parameter(name, SYMBOLS[name], CHARGE_UNIT, (-1e3, 1e3), f"electric charge {name}")
        for name in CHARGES
    )
    polynomial: PolynomialMap = field(default_factory=charge_polynomial)
    reference: str = "Eqs. 5-6; Kouzakov and Studenikin, Phys. Rev. D 95 (2017) 055013"

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return linear and squared dR/dT per flavour for 1e-8 e, events/(t yr keV), shape (N,).

        The linear spectra are negative: a small positive diagonal charge lowers the rate.
        """
        spectra: dict[str, NDArray[np.float64]] = {}
        for flavour in FLAVOURS:
            for kind, coefficients in (
                ("lin", millicharge_linear_coefficients),
                ("sq", millicharge_squared_coefficients),
            ):
                spectra[f"q_{kind}_{flavour}"] = recoil_spectrum(
                    lambda t, i, c=coefficients: c(t, i, self.weak),  # type: ignore[misc]
                    source,
                    flavour,
                    target,
                    e_recoil_kev,
                )
        return spectra
