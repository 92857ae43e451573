"""Effective neutrino magnetic moments, Eq. 4, on nuclei and electrons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.cross_sections import Electroweak, magnetic_moment_coefficients
from histnu.physics.models.protocol import Model, Parameter, Term, linear
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]

MOMENT_UNIT = "1e-9 mu_B"
LABELS = {"e": "e", "mu": r"\mu", "tau": r"\tau"}
UNIVERSAL = "universal"


def moments(kinds: tuple[str, ...]) -> tuple[Parameter, ...]:
    """Parameters ``mu_<kind>`` of dipole models; kinds are flavours or ``universal``."""
    return tuple(
        Parameter(
            f"mu_{kind}",
            rf"\mu_{{\nu_{LABELS[kind]}}}" if kind in LABELS else r"\mu_\nu",
            MOMENT_UNIT,
            (0.0, 1e3),
            f"effective magnetic moment of nu_{kind}" if kind in LABELS else f"{kind} moment",
            linear(0.0, 5.0, 51),
        )
        for kind in kinds
    )


def squares(kinds: tuple[str, ...]) -> tuple[Term, ...]:
    """Terms ``mu2_<kind>`` with the strength ``mu_<kind>^2``."""
    return tuple(Term(f"mu2_{k}", ((1.0, {f"mu_{k}": 2}),)) for k in kinds)


@dataclass(frozen=True)
class MagneticMoment(Model):
    """Magnetic moments of each flavour and a universal one; strengths ``mu2_l = mu_l^2``.

    The universal moment has a spectrum of its own (the sum over flavours), so that each of the
    four hypotheses is one ``normfactor`` of a workspace.
    """

    weak: Electroweak = field(default_factory=Electroweak)
    name = "magnetic_moment"
    title = "neutrino magnetic moments"
    parameters = moments((*FLAVOURS, UNIVERSAL))
    terms = squares((*FLAVOURS, UNIVERSAL))
    reference = "Eq. 4; Vogel and Engel, Phys. Rev. D 39 (1989) 3378"

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return dR/dT for a moment of 1e-9 mu_B of each kind, events/(t yr keV), shape (N,)."""
        spectra = {
            f"mu2_{flavour}": scattering.spectrum(
                lambda t, p: magnetic_moment_coefficients(t, p, self.weak), flavour, e_recoil_kev
            )
            for flavour in scattering.flavours
        }
        return {**spectra, f"mu2_{UNIVERSAL}": np.sum(list(spectra.values()), axis=0)}
