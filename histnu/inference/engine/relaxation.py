"""Global minima of polynomial models with a proof, from a convex relaxation.

Where every strength is ``s_k = c_k + sum_i (l_ki theta_i + q_ki theta_i^2)`` (charges, charge
radii, transition moments), replace the squares by free numbers ``W_i >= theta_i^2``. The rates
are linear in theta and W and the domain is convex, so that -2 log L at given nuisance parameters
is convex in them: its minimum is found from one start, and lies at or below -2 log L of every
theta. Where some theta reaches it, that theta is the global minimum of -2 log L, whatever other
minima there are. (That nuisance parameters are profiled does not matter for the bound where
-2 log L of the workspace with free strengths has one minimum, as all fits of HistFactory assume.)

Each Newton step eliminates the nuisance parameters and minimises the quadratic model over the
relaxed strengths by a primal-dual interior point (S. Boyd, L. Vandenberghe, Convex Optimization,
Cambridge 2004, chapter 11; relaxation of quadratic maps: N. Z. Shor, Sov. J. Comput. Syst. Sci. 25
(1987) 1). Parameters that enter squared only (transition charges) are replaced by their squares, so
that zero is a bound and no saddle point; slack of the others moves to them where the data
do not tell them apart. Compiled only; without numba every problem is left to the search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histnu.core.polynomial import PolynomialMap
from histnu.inference.engine.compiled import FEWEST, Tables, available, in_pieces, tables
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_ATTAINED = 1e-7
"""-2 log L above the bound at which the minimum is reached: rounding of both, and the gap."""
_NEWTON = 30  # steps of the relaxed problem
_POLISH = 25  # Newton iterations from a relaxed minimum


class Diagonal(NamedTuple):
    """A map without products of two parameters, as arrays.

    Attributes:
        constant: (K,). linear, square: (K, D). outputs: (K,) strengths among the parameters of the
            workspace. rest: (R,) the others.
    """

    constant: Array
    linear: Array
    square: Array
    outputs: Index
    rest: Index


@dataclass(frozen=True)
class Relaxation:
    """What is needed to relax a likelihood.

    Attributes:
        diagonal: its map. tables: of its workspace. squares: (D,) parameters that enter squared
            only. likelihood: with these replaced by their squares.
    """

    diagonal: Diagonal
    tables: Tables
    squares: Mask
    likelihood: MappedLikelihood


def relaxation(likelihood: MappedLikelihood) -> Relaxation | None:
    """Return the relaxation of a likelihood, kept with it; None where it has none."""
    known = vars(likelihood)
    if "_relaxation" not in known:
        known["_relaxation"] = _relaxation(likelihood)
    found: Relaxation | None = known["_relaxation"]
    return found


def _relaxation(likelihood: MappedLikelihood) -> Relaxation | None:
    powers, d = likelihood.table.powers, likelihood.n_theta
    model = tables(likelihood.base)
    if model is None or np.any((powers > 0).sum(axis=1) > 1) or np.any(powers > 2):
        return None
    zero = np.zeros(d)
    polynomial = likelihood.polynomial
    linear, bend = polynomial.jacobian(zero), polynomial.hessian(zero)
    square = np.ascontiguousarray(np.einsum("kii->ki", bend)) / 2
    squares = ~np.any(linear != 0, axis=0)
    low, high = likelihood.bounds[:d].T
    free = np.isinf(high) & (np.isinf(low) | (squares & (low == 0)))
    if not free.all() or not np.any(square != 0, axis=0).all():
        return None
    diagonal = Diagonal(polynomial(zero), linear, square, likelihood.outputs, likelihood.rest)
    return Relaxation(diagonal, model, squares, _of_squares(likelihood, squares))


def _of_squares(likelihood: MappedLikelihood, squares: Mask) -> MappedLikelihood:
    """Return the likelihood with some parameters replaced by their squares."""
    polynomial = likelihood.polynomial
    chosen = {p for p, s in zip(polynomial.parameters, squares, strict=True) if s}
    terms = tuple(
        tuple((c, {p: n // 2 if p in chosen else n for p, n in powers.items()}) for c, powers in row)
        for row in polynomial.terms
    )
    flat = PolynomialMap(polynomial.parameters, polynomial.outputs, terms)
    return MappedLikelihood(likelihood.base, flat, {p: (0.0, np.inf) for p in chosen})


def relaxed_fits(
    likelihood: MappedLikelihood, observed: Observed, problems: Problems, options: MinimiseOptions
) -> tuple[BatchFit, Mask] | None:
    """Return minima from the relaxation, and the (P,) mask of those that reach its bound.

    The bound is as good as a second start that agrees. None where there is no relaxation.
    """
    points = problems.start.shape[1]
    if not options.compiled or points < FEWEST or not available() or observed.templates is not None:
        return None
    found = relaxation(likelihood)
    if found is None:
        return None
    bound, start = _relaxed(found, observed, problems)
    fit = _polished(found, observed, Problems(start, problems.fixed), bound, options)
    x = fit.parameters[:, : likelihood.n_theta]
    squares = found.squares & ~problems.fixed[: likelihood.n_theta].T
    root = np.where(squares, np.sqrt(np.where(squares, np.maximum(x, 0.0), 0.0)), x)
    x[:] = np.where(problems.fixed[: likelihood.n_theta].T, problems.start.T[:, : len(x.T)], root)
    slope = fit.gradient[:, : likelihood.n_theta]
    slope[:] = np.where(found.squares, 2 * x * slope, slope)
    with np.errstate(invalid="ignore"):
        attained = np.abs(fit.twice_nll - bound) <= _ATTAINED
    fit.converged[attained] = True
    fit.agreeing[:] = np.where(attained, 2, fit.converged)
    return fit, attained


def _relaxed(
    found: Relaxation, observed: Observed, problems: Problems
) -> tuple[Array, Array]:  # fmt: skip
    """Return the bounds (P,) and what comes nearest to them (n, P), in the squares."""
    from histnu.inference.engine.relaxation_loops import relax

    points, d = problems.start.shape[1], len(found.squares)
    rest = len(found.diagonal.rest)
    out = (np.empty(points), np.empty((points, d)), np.empty((points, d)), np.empty((points, rest)))
    given = (problems.start.T.copy(), problems.fixed.T.copy())
    in_pieces(
        lambda data, per, results: relax(
            found.tables, found.diagonal, *per, *data, _NEWTON, *results
        ),
        observed, given, out,
    )  # fmt: skip
    bound, theta, slack, other = out
    held = problems.fixed[:d].T
    moved = np.where(found.squares, slack, theta)
    moved = np.where(held & found.squares, problems.start[:d].T ** 2, moved)
    start = np.concatenate([moved, other], axis=1).T
    lost = ~(np.isfinite(bound) & np.isfinite(start).all(axis=0))
    bound[lost] = -np.inf
    safe = problems.start.copy()
    safe[:d][found.squares] **= 2
    return bound, np.where(lost, safe, start)


def _polished(
    found: Relaxation, observed: Observed, problems: Problems, bound: Array,
    options: MinimiseOptions,
) -> BatchFit:  # fmt: skip
    """Newton's method from relaxed minima; slack is given to the squares first where it matters."""
    short = replace(options, max_iterations=_POLISH, stragglers=False, boundary=False)
    d = len(found.squares)
    with np.errstate(all="ignore"):
        above = found.likelihood.value(problems.start, observed) - bound
    todo = np.flatnonzero(~(above <= _ATTAINED))
    start = problems.start.copy()
    if len(todo) and found.squares.any():
        part = problems.select(todo)
        fixed = part.fixed.copy()
        fixed[:d][~found.squares] = True
        fixed[d:] = True
        near = minimise(found.likelihood, observed.select(todo), Problems(part.start, fixed), short)
        better = np.isfinite(near.twice_nll)
        start[:, todo[better]] = near.parameters[better].T
    return minimise(found.likelihood, observed, Problems(start, problems.fixed), short)
