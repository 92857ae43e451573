"""Non-standard vector interactions of neutrinos with u and d quarks.

The coherent charge ``Q_V + eps^u (2 Z + N) + eps^d (Z + 2 N)`` is a matrix in flavour, and the rate
its square in the flavour density matrix of the source: ``Tr[rho Q^2]``. With real eps it is

    Q_V^2 + sum_{a<=b} Re rho_ab [w 2 Q_V sum_q n_q eps^q_ab + w sum_qr n_q n_r (eps^q eps^r)_ab],

w = 1 on and 2 off the diagonal. Effects on the propagation in the Sun are not included (their size
is in ``docs/hypotheses.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.polynomial import Monomial
from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak, Particle
from histnu.physics.flavour_density import flavour_pairs
from histnu.physics.models.protocol import Axis, Model, Parameter, Term, linear, planes
from histnu.physics.nuclei import Isotope
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource
from histnu.physics.scattering import NUCLEAR, Scattering

Array = NDArray[np.float64]

QUARKS = ("u", "d")
PRODUCTS = (("u", "u"), ("u", "d"), ("d", "d"))
PAIRS = flavour_pairs()
LARGEST = 10.0


def parameter_name(quark: str, pair: tuple[str, str]) -> str:
    """Name of a coupling, ``eps_u_emu``; the order of flavours does not matter."""
    a, b = sorted(pair, key=FLAVOURS.index)
    return f"eps_{quark}_{a}{b}"


def _symbol(quark: str, pair: tuple[str, str]) -> str:
    letters = "".join(x if x == "e" else rf"\{x}" for x in pair)
    return rf"\epsilon^{{{quark}V}}_{{{letters}}}"


def _square(pair: tuple[str, str], quarks: tuple[str, str]) -> tuple[Monomial, ...]:
    """``sum_g eps^q_ag eps^r_gb``, symmetrised in the quarks, as monomials."""
    a, b = pair
    terms: dict[tuple[tuple[str, int], ...], float] = {}
    orders = {quarks, quarks[::-1]}
    for q, r in orders:
        for g in FLAVOURS:
            names = (parameter_name(q, (a, g)), parameter_name(r, (g, b)))
            powers = {n: names.count(n) for n in names}
            key = tuple(sorted(powers.items()))
            terms[key] = terms.get(key, 0.0) + 1.0
    return tuple((c, dict(key)) for key, c in terms.items())


def _terms() -> tuple[Term, ...]:
    terms = []
    for pair in PAIRS:
        label = "".join(pair)
        for q in QUARKS:
            monomial = ((1.0, {parameter_name(q, pair): 1}),)
            name = f"nsi_lin_{q}_{label}"
            terms.append(Term(name, monomial, (-LARGEST, LARGEST), alone=False))
        for q, r in PRODUCTS:
            diagonal = pair[0] == pair[1] and q == r
            low = 0.0 if diagonal else -3.0 * LARGEST**2
            bounds = (low, 3.0 * LARGEST**2)
            name = f"nsi_sq_{q}{r}_{label}"
            terms.append(Term(name, _square(pair, (q, r)), bounds, alone=diagonal))
    return tuple(terms)


@dataclass(frozen=True)
class VectorNSI(Model):
    """All twelve real vector couplings to u and d quarks."""

    weak: Electroweak = field(default_factory=Electroweak)
    name = "vector_nsi"
    companions = "zero"
    title = "non-standard vector interactions"
    processes = (NUCLEAR,)
    parameters = tuple(
        Parameter(
            parameter_name(q, pair),
            _symbol(q, pair),
            "1",
            (-LARGEST, LARGEST),
            f"vector interaction of {' and '.join(dict.fromkeys(pair))} with {q} quarks",
            linear(-1.0, 1.0, 101),
        )
        for q in QUARKS
        for pair in PAIRS
    )
    terms = _terms()
    reference = "docs/physics.md; Barranco, Miranda and Rashba, JHEP 12 (2005) 021"

    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]:
        """One grid per coupling, and the planes of u and d couplings of one pair."""
        pairs = tuple((parameter_name("u", p), parameter_name("d", p)) for p in PAIRS)
        return {**super().grids, **planes(pairs, linear(-1.0, 1.0, 41))}

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return dR/dT of every term that the density matrix of the source has."""
        result = {}
        for pair in PAIRS:
            part = _element(scattering, pair)
            if part is None:
                continue
            weight = 1.0 if pair[0] == pair[1] else 2.0
            label = "".join(pair)
            for q in QUARKS:
                spectrum = self._spectrum(part, e_recoil_kev, (q,))
                result[f"nsi_lin_{q}_{label}"] = weight * spectrum
            for q, r in PRODUCTS:
                spectrum = self._spectrum(part, e_recoil_kev, (q, r))
                result[f"nsi_sq_{q}{r}_{label}"] = weight * spectrum
        return result

    def _spectrum(
        self, part: Scattering, e_recoil_kev: ArrayLike, quarks: tuple[str, ...]
    ) -> Array:
        """``2 Q_V n_q`` or ``n_q n_r`` times the coherent vector rate of one element of rho."""

        def coefficients(t: Array, particle: Particle) -> Array:
            if not isinstance(particle, Isotope):
                raise TypeError("vector NSI with quarks do not scatter on electrons")
            count = [new.nsi_charge(particle, q) for q in quarks]
            if len(count) == 1:
                return new.interference_coefficients(t, particle, self.weak, count[0])
            product = count[0] * count[1]
            return product * new.squared_coefficients(t, particle, self.weak, 1.0)

        (flavour,) = part.flavours
        return part.spectrum(coefficients, flavour, e_recoil_kev)


def _element(scattering: Scattering, pair: tuple[str, str]) -> Scattering | None:
    """The scattering weighted with ``Re rho_ab``; None where that is zero."""
    source = scattering.source
    if pair[0] == pair[1]:
        density = source.probabilities.get(pair[0])
    else:
        density = source.coherences.get(pair, source.coherences.get(pair[::-1]))
    if density is None:
        return None
    part = NeutrinoSource(source.flux, {pair[0]: density}, anti=source.anti)
    return Scattering(scattering.recoil, part, scattering.target)
