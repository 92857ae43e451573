"""Likelihoods of physical parameters whose signal strengths are polynomials of them.

A :class:`MappedLikelihood` replaces normfactors ``s_k`` of a workspace by a polynomial map
``s_k(theta)`` and has the parameters (theta..., remaining parameters...). With base gradient
``g`` and Hessian ``H`` the chain rule gives

    G_i = sum_k g_k ds_k/dtheta_i,
    H_ij = sum_kl ds_k/dtheta_i H_kl ds_l/dtheta_j + sum_k g_k d^2 s_k / dtheta_i dtheta_j.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.core.polynomial import PolynomialMap
from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.kernel import pad, product
from histnu.inference.engine.likelihood import (
    BatchedLikelihood,
    Derivatives,
    Observed,
    checked_parameters,
)

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]
Powers = tuple[int, ...]


class PolynomialTable:
    """A polynomial map and its sparse derivatives for P points, points on the last axis.

    All derivatives are compiled into combinations of one list of monomials.

    Attributes:
        first_index: (N1, 2) output k and parameter i of each non-zero first derivative.
        second_index: (N2, 3) output k and parameters i <= j of second derivatives.
        powers: (M, D) of the monomials. coefficients: (K + N1 + N2, M) of values and derivatives.
    """

    def __init__(self, polynomial: PolynomialMap) -> None:
        self.polynomial = polynomial
        d = len(polynomial.parameters)
        rows: list[dict[Powers, float]] = []
        first: list[tuple[int, int]] = []
        second: list[tuple[int, int, int]] = []
        outputs = [_collect(terms, polynomial.parameters) for terms in polynomial.terms]
        slopes: list[dict[Powers, float]] = []
        curves: list[dict[Powers, float]] = []
        for k, powers in enumerate(outputs):
            rows.append(powers)
            for i in range(d):
                slope = _derive(powers, i)
                if slope:
                    first.append((k, i))
                    slopes.append(slope)
                for j in range(i, d):
                    curve = _derive(slope, j)
                    if curve:
                        second.append((k, i, j))
                        curves.append(curve)
        self.first_index = np.array(first, dtype=np.intp).reshape(-1, 2)
        self.second_index = np.array(second, dtype=np.intp).reshape(-1, 3)
        self._compile([*rows, *slopes, *curves], d)
        self._cuts = (len(rows), len(rows) + len(slopes))

    def _compile(self, rows: list[dict[Powers, float]], d: int) -> None:
        """Number the monomials and store the coefficients of every row."""
        monomials = sorted({p for row in rows for p in row})
        number = {p: m for m, p in enumerate(monomials)}
        self.coefficients = np.zeros((len(rows), len(monomials)))
        for r, row in enumerate(rows):
            for powers, c in row.items():
                self.coefficients[r, number[powers]] = c
        self._highest = max((max(p, default=0) for p in monomials), default=0)
        # row 0 of the table of powers is 1; row 1 + i + d * (n - 1) is theta_i ** n
        index = [[1 + i + d * (n - 1) for i, n in enumerate(p) if n] for p in monomials]
        self._monomials = pad(index, 0)
        self.powers = np.array(monomials, dtype=np.intp).reshape(-1, d)

    def _powers(self, theta: Array) -> Array:
        """Return the monomials, shape (M, P)."""
        d, points = theta.shape
        table = np.ones((1 + d * self._highest, points))
        for n in range(self._highest):
            previous = table[1 + d * (n - 1) : 1 + d * n] if n else 1.0
            table[1 + d * n : 1 + d * (n + 1)] = previous * theta
        return product(table, self._monomials)

    def values(self, theta: Array) -> Array:
        """Return the strengths (K, P) at theta (D, P)."""
        return self.coefficients[: self._cuts[0]] @ self._powers(theta)

    def derivatives(self, theta: Array) -> tuple[Array, Array, Array]:
        """Return strengths (K, P), first (N1, P) and second (N2, P) derivatives."""
        rows = self.coefficients @ self._powers(theta)
        a, b = self._cuts
        return rows[:a], rows[a:b], rows[b:]


def _collect(terms: tuple, parameters: tuple[str, ...]) -> dict[Powers, float]:
    """Return a polynomial as powers -> coefficient."""
    out: dict[Powers, float] = {}
    for c, named in terms:
        powers = tuple(int(named.get(p, 0)) for p in parameters)
        out[powers] = out.get(powers, 0.0) + float(c)
    return {p: c for p, c in out.items() if c != 0.0}


def _derive(row: Mapping[Powers, float], i: int) -> dict[Powers, float]:
    """Return the derivative of a polynomial with respect to parameter ``i``."""
    return {(*p[:i], p[i] - 1, *p[i + 1 :]): c * p[i] for p, c in row.items() if p[i] > 0}


def _check(base: BatchedLikelihood, polynomial: PolynomialMap) -> list[int]:
    """Return the parameters that remain; FitError if the two do not fit together."""
    missing = [k for k in polynomial.outputs if k not in base.compiled.normfactors]
    if missing:
        raise FitError(
            f"the polynomial sets {missing[0]!r}, which is not a normfactor of the workspace; "
            f"normfactors: {', '.join(sorted(base.compiled.normfactors))}"
        )
    rest = [i for i, name in enumerate(base.parameter_names) if name not in polynomial.outputs]
    used = set(polynomial.parameters) & {base.parameter_names[i] for i in rest}
    if used:
        raise FitError(f"physical parameter {min(used)!r} is also a parameter of the workspace")
    return rest


class MappedLikelihood:
    """A likelihood in physical parameters; interchangeable with :class:`BatchedLikelihood`.

    Args:
        base: likelihood whose normfactors are the outputs of the polynomial.
        polynomial: map from physical parameters to normfactors.
        bounds: (lower, upper) of physical parameters; unbounded where not given.
        init: start values of physical parameters; 0.1 where not given, because zero is a
            stationary point of any parameter that enters squared.

    Raises:
        FitError: an output is not a normfactor of the base, or a name is used twice.
    """

    def __init__(
        self,
        base: BatchedLikelihood,
        polynomial: PolynomialMap,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        init: Mapping[str, float] | None = None,
    ) -> None:
        rest = _check(base, polynomial)
        self.base = base
        self.polynomial = polynomial
        self.table = PolynomialTable(polynomial)
        self.outputs = np.array([base.index(k) for k in polynomial.outputs], dtype=np.intp)
        self.rest = np.array(rest, dtype=np.intp)
        d = len(polynomial.parameters)
        self.n_theta = d
        self.parameter_names: tuple[str, ...] = (
            *polynomial.parameters,
            *(base.parameter_names[i] for i in rest),
        )
        self.init = np.concatenate([np.full(d, 0.1), base.init[rest]])
        free = np.tile([-np.inf, np.inf], (d, 1))
        self.bounds = np.concatenate([free, base.bounds[rest]])
        self.fixed = np.concatenate([np.zeros(d, dtype=bool), base.fixed[rest]])
        for name, limits in (bounds or {}).items():
            self.bounds[self._theta(name)] = limits
        for name, value in (init or {}).items():
            self.init[self._theta(name)] = value
        self.init = np.clip(self.init, self.bounds[:, 0], self.bounds[:, 1])
        position = {b: d + k for k, b in enumerate(rest)}
        self.kinks = np.array([position[int(b)] for b in base.kinks], dtype=np.intp)
        self.floats_per_point = base.floats_per_point + 3 * len(self.init) ** 2
        self.n_bins = base.n_bins
        self.channels = base.channels
        self.auxdata = base.auxdata
        self.observation = base.observation
        self.poi_index: int | None = None

    def _theta(self, name: str) -> int:
        if name not in self.polynomial.parameters:
            raise FitError(
                f"{name!r} is not a physical parameter; "
                f"choose from {', '.join(self.polynomial.parameters)}"
            )
        return self.polynomial.parameters.index(name)

    def index(self, name: str) -> int:
        """Return the index of parameter ``name``; FitError if there is none."""
        try:
            return self.parameter_names.index(name)
        except ValueError:
            known = ", ".join(self.parameter_names)
            raise FitError(f"no parameter {name!r}; choose from {known}") from None

    def observe(self, data: ArrayLike, auxdata: ArrayLike | None = None) -> Observed:
        """Return checked data, see :meth:`BatchedLikelihood.observe`."""
        return self.base.observe(data, auxdata)

    def strengths(self, pars: ArrayLike) -> Array:
        """Return the strengths, shape (P, K), at parameters (P, n) or (n,)."""
        theta = checked_parameters(pars, len(self.parameter_names))[: self.n_theta]
        return self.table.values(theta).T

    def base_parameters(self, pars: ArrayLike) -> Array:
        """Return the parameters of the workspace, shape (P, n_base)."""
        return self._base(checked_parameters(pars, len(self.parameter_names))).T

    def _base(self, pars: Array) -> Array:
        out = np.empty((len(self.outputs) + len(self.rest), pars.shape[1]))
        out[self.outputs] = self.table.values(pars[: self.n_theta])
        out[self.rest] = pars[self.n_theta :]
        return out

    def least(self, observed: Observed) -> Array:
        """Return a bound of -2 log L from below, see the base likelihood."""
        return self.base.least(observed)

    def value(self, pars: Array, observed: Observed) -> Array:
        """Return -2 log L (P,) at parameters (n, P)."""
        return self.base.value(self._base(pars), observed)

    def derivatives(
        self, pars: Array, observed: Observed, information: Mask | None = None
    ) -> Derivatives:
        """Return value, gradient (n, P) and Hessian (n, n, P) at parameters (n, P).

        ``information`` as in :meth:`BatchedLikelihood.derivatives`; the curvature of the
        polynomial itself is always kept.
        """
        d, points = self.n_theta, pars.shape[1]
        strengths, first, second = self.table.derivatives(pars[:d])
        x = np.empty((len(self.outputs) + len(self.rest), points))
        x[self.outputs], x[self.rest] = strengths, pars[d:]
        base = self.base.derivatives(x, observed, information)
        gradient, hessian = np.zeros_like(pars), np.zeros((len(pars), len(pars), points))
        gradient[d:] = base.gradient[self.rest]
        hessian[d:, d:] = base.hessian[np.ix_(self.rest, self.rest)]
        slopes = np.zeros((d, len(x), points))  # sum_k ds_k/dtheta_i H_k.
        for (k, i), slope in zip(self.table.first_index, first, strict=True):
            gradient[i] += slope * base.gradient[self.outputs[k]]
            slopes[i] += slope * base.hessian[self.outputs[k]]
        for (k, j), slope in zip(self.table.first_index, first, strict=True):
            hessian[:d, j] += slope * slopes[:, self.outputs[k]]
        hessian[:d, d:] = slopes[:, self.rest]
        hessian[d:, :d] = slopes[:, self.rest].swapaxes(0, 1)
        for (k, i, j), curve in zip(self.table.second_index, second, strict=True):
            term = curve * base.gradient[self.outputs[k]]
            hessian[i, j] += term
            if i != j:
                hessian[j, i] += term
        return Derivatives(base.value, gradient, Hessian(hessian))

    def expected(self, pars: ArrayLike) -> Array:
        """Return expected counts, shape (P, B), at parameters (P, n) or (n,)."""
        return self.base.expected(self.base_parameters(pars))

    def expected_auxdata(self, pars: ArrayLike) -> Array:
        """Return expected auxiliary data, shape (P, A)."""
        return self.base.expected_auxdata(self.base_parameters(pars))

    def twice_nll(
        self, pars: ArrayLike, data: ArrayLike, auxdata: ArrayLike | None = None
    ) -> Array:
        """Return -2 log L, shape (P,), of the workspace at the strengths of ``pars``."""
        return self.base.twice_nll(self.base_parameters(pars), data, auxdata)
