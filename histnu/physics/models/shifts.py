"""What hypotheses share that shift the vector coupling: interference and square, six couplings."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.electron_scattering import couplings
from histnu.physics.models.protocol import Parameter, Term, linear
from histnu.physics.nuclei import Isotope
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.scattering import Scattering

Array = NDArray[np.float64]
Shift = Callable[[Array, Particle, str], Array]
"""Shift of Q_V (nucleus) or g_V (electron) for one unit of a coupling, called with T in MeV, (N,),
the particle and the flavour."""


@dataclass(frozen=True)
class FlavourMatrix:
    """Six real couplings, a symmetric matrix in flavour.

    A diagonal one interferes with the Standard Model; one off the diagonal changes the flavour and
    adds to the squares of both. Names are ``prefix_emu``, terms ``prefix_lin_l``, ``prefix_sq_l``.

    Attributes:
        prefix: of the names. largest: size of a coupling in a fit, in its unit.
    """

    prefix: str
    largest: float

    @property
    def names(self) -> dict[str, tuple[str, str]]:
        """Names and pairs of flavours: the diagonal, then the rest."""
        pairs = [*((f, f) for f in FLAVOURS), *itertools.combinations(FLAVOURS, 2)]
        return {f"{self.prefix}_{a}{b}": (a, b) for a, b in pairs}

    def parameters(
        self, symbol: tuple[str, str], unit: str, bound: float, about: tuple[str, float]
    ) -> tuple[Parameter, ...]:
        """The parameters.

        Args:
            symbol: LaTeX on and off the diagonal, ``{}`` for the indices. unit: of all.
            bound: largest size. about: what they are, and the end of the default scan.
        """
        return tuple(
            Parameter(
                name,
                symbol[a != b].replace("{}", "".join(x if x == "e" else rf"\{x}" for x in (a, b))),
                unit,
                (-bound, bound),
                f"{about[0]} {name}",
                linear(-about[1], about[1], 101),
            )
            for name, (a, b) in self.names.items()
        )

    @property
    def terms(self) -> tuple[Term, ...]:
        """``lin_l = x_ll`` and ``sq_l = x_ll^2 + sum_{l' != l} x_ll'^2`` for l = e, mu, tau."""
        terms = []
        for flavour in FLAVOURS:
            linear_part = ((1.0, {f"{self.prefix}_{flavour}{flavour}": 1}),)
            ends = (-self.largest, self.largest)
            terms.append(Term(f"{self.prefix}_lin_{flavour}", linear_part, ends, alone=False))
            square = tuple((1.0, {n: 2}) for n, pair in self.names.items() if flavour in pair)
            terms.append(Term(f"{self.prefix}_sq_{flavour}", square, (0.0, self.largest**2)))
        return tuple(terms)


@dataclass(frozen=True)
class ShiftedCharge:
    """Spectra of a shift of the vector coupling in one kind of scattering.

    Attributes:
        scattering: what scatters on what.
        weak: weak mixing angle and form factor.
        shift: the shift for one unit.
    """

    scattering: Scattering
    weak: Electroweak
    shift: Shift

    def interference(self, flavour: str, e_recoil_kev: ArrayLike) -> Array:
        """dR/dT of the interference with the Standard Model, events/(t yr keV), shape (N,)."""

        def coefficients(t: Array, particle: Particle) -> Array:
            shift = self.shift(t, particle, flavour)
            if isinstance(particle, Isotope):
                return new.interference_coefficients(t, particle, self.weak, shift)
            anti = self.scattering.source.anti
            coupling = couplings(flavour, self.weak.sin2_theta_w, anti)
            return new.electron_interference_coefficients(t, coupling, shift)

        return self.scattering.spectrum(coefficients, flavour, e_recoil_kev)

    def square(self, flavour: str, e_recoil_kev: ArrayLike) -> Array:
        """dR/dT of the square of the shift, events/(t yr keV), shape (N,)."""
        return self.product(self.shift, flavour, e_recoil_kev)

    def product(self, other: Shift, flavour: str, e_recoil_kev: ArrayLike) -> Array:
        """dR/dT of the product of this shift and another one, shape (N,)."""

        def coefficients(t: Array, particle: Particle) -> Array:
            both = self.shift(t, particle, flavour) * other(t, particle, flavour)
            if isinstance(particle, Isotope):
                return both * new.squared_coefficients(t, particle, self.weak, 1.0)
            return both * new.electron_squared_coefficients(t, 1.0)

        return self.scattering.spectrum(coefficients, flavour, e_recoil_kev)
