"""Effective neutrino magnetic moments, Eq. 4."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.cross_sections import Electroweak, magnetic_moment_coefficients
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource, recoil_spectrum
from histnu.polynomial import PolynomialMap

MOMENT_UNIT = "1e-9 mu_B"
LABELS = {"e": "e", "mu": r"\mu", "tau": r"\tau"}


def moment_parameters(prefix: str = "mu", extra: tuple[str, ...] = ()) -> tuple[Parameter, ...]:
    """Parameters ``mu_e, mu_mu, mu_tau`` (and more) of dipole models, in 1e-9 mu_B."""
    named = [
        Parameter(
            f"{prefix}_{flavour}",
            rf"\mu_{{\nu_{LABELS[flavour]}}}",
            MOMENT_UNIT,
            (0.0, 1e3),
            f"effective magnetic moment of nu_{flavour}",
        )
        for flavour in FLAVOURS
    ]
    named += [
        Parameter(f"{prefix}_{name}", r"\mu_\nu", MOMENT_UNIT, (0.0, 1e3), f"{name} moment")
        for name in extra
    ]
    return tuple(named)


@dataclass(frozen=True)
class MagneticMoment:
    """Magnetic moments of each flavour and a universal one; strengths ``mu2_l = mu_l^2``.

    The universal moment has a spectrum of its own (the sum over flavours), so that each of the
    four hypotheses is one ``normfactor`` of a workspace.
    """

    weak: Electroweak = field(default_factory=Electroweak)
    name: str = "magnetic_moment"
    recoil: str = "nuclear"
    parameters: tuple[Parameter, ...] = moment_parameters(extra=("universal",))
    polynomial: PolynomialMap = PolynomialMap(
        tuple(f"mu_{k}" for k in (*FLAVOURS, "universal")),
        tuple(f"mu2_{k}" for k in (*FLAVOURS, "universal")),
        tuple(((1.0, {f"mu_{k}": 2}),) for k in (*FLAVOURS, "universal")),
    )
    reference: str = "Eq. 4; Vogel and Engel, Phys. Rev. D 39 (1989) 3378"

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return dR/dT for a moment of 1e-9 mu_B of each kind, events/(t yr keV), shape (N,)."""
        spectra = {
            f"mu2_{flavour}": recoil_spectrum(
                lambda t, i: magnetic_moment_coefficients(t, i, self.weak),
                source,
                flavour,
                target,
                e_recoil_kev,
            )
            for flavour in FLAVOURS
        }
        return {**spectra, "mu2_universal": np.sum(list(spectra.values()), axis=0)}
