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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histnu.core.polynomial import PolynomialMap
from histnu.inference.engine.compiled import FEWEST, Tables, available, in_pieces, tables
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems, lowest

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_ATTAINED = 1e-7
"""-2 log L above the bound at which the minimum is reached: rounding of both, and the gap."""
_NEWTON = 30  # steps of the relaxed problem
_POLISH = 12  # Newton iterations from a relaxed minimum
_SHARED = 10.0  # factor by which a square takes over the slack of others
_LONG = 300  # where it is not reached: along curved valleys


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

    def halved(powers: Mapping[str, int]) -> dict[str, int]:
        return {p: n // 2 if p in chosen else n for p, n in powers.items()}

    terms = tuple(tuple((c, halved(powers)) for c, powers in row) for row in polynomial.terms)
    flat = PolynomialMap(polynomial.parameters, polynomial.outputs, terms)
    return MappedLikelihood(likelihood.base, flat, dict.fromkeys(chosen, (0.0, np.inf)))


def relaxed_fits(
    likelihood: MappedLikelihood, observed: Observed, problems: Problems, options: MinimiseOptions
) -> tuple[BatchFit, Mask] | None:
    """Return minima from the relaxation, and the (P,) mask of those that are certified.

    A bound that is reached is as good as a second start that agrees. Where it is not reached
    (the relaxed square of a parameter is larger than it can be) Newton's method starts on both
    sides of the parameter. None where there is no relaxation.
    """
    points = problems.start.shape[1]
    if not options.compiled or points < FEWEST or not available() or observed.templates is not None:
        return None
    found = relaxation(likelihood)
    if found is None:
        return None
    point = relaxed_minima(found, observed, problems)
    short = replace(options, max_iterations=_POLISH, migrad=False, boundary=False)
    many = Problems(point.start, problems.fixed)
    fit = minimise(found.likelihood, observed, many, short)
    with np.errstate(invalid="ignore"):
        reached = np.abs(fit.twice_nll - point.bound) <= _ATTAINED
    fit.converged[reached] = True
    fit.agreeing[:] = np.where(reached, 2, fit.converged)
    longer = replace(short, max_iterations=_LONG)
    for sizes in ((1.0, -1.0), (0.4, -0.4, 1.6, -1.6)):
        left = np.flatnonzero(~fit.certified & np.isfinite(point.bound))
        if not len(left):
            break
        starts = _both_sides(found, point, left, sizes)
        part = Problems(starts, np.tile(problems.fixed[:, left], (1, len(sizes))))
        data = observed if observed.size is None else observed.select(np.tile(left, len(sizes)))
        again = minimise(found.likelihood, data, part, longer)
        settled = again.converged.reshape(len(sizes), -1).all(axis=0)
        again = lowest(BatchFit.join([fit.select(left), again]), len(left))
        with np.errstate(invalid="ignore"):
            reached = np.abs(again.twice_nll - point.bound[left]) <= _ATTAINED
        again.converged[reached] = True
        again.agreeing[~settled] = np.minimum(again.agreeing[~settled], 1)
        again.agreeing[reached] = 2
        fit.put(left, again)
    fit.agreeing[~np.isfinite(point.bound)] = 0
    _from_squares(found.squares, problems, fit)
    return fit, fit.certified


@dataclass(frozen=True)
class _Point:
    """Relaxed minima of P problems.

    Attributes:
        bound: (P,) of -2 log L, -inf where not found. start: (n, P) parameters near it, in the
            squares. slack: (P, D) of the squares of the others beyond theta^2.
    """

    bound: Array
    start: Array
    slack: Array


def relaxed_minima(found: Relaxation, observed: Observed, problems: Problems) -> _Point:
    """Return the relaxed minima."""
    from histnu.inference.engine.relaxation_loops import relax

    points, d = problems.start.shape[1], len(found.squares)
    bound, theta = np.empty(points), np.empty((points, d))
    slack, rest = np.empty((points, d)), np.empty((points, len(found.diagonal.rest)))
    in_pieces(
        relax,
        lambda data, per, results: relax(
            found.tables, found.diagonal, *per, *data, _NEWTON, *results
        ),
        observed,
        (problems.start.T.copy(), problems.fixed.T.copy()),
        (bound, theta, slack, rest),
    )
    safe = problems.start.copy()
    safe[:d][found.squares] **= 2
    squares = found.squares & ~problems.fixed[:d].T
    slack = np.where(problems.fixed[:d].T, 0.0, slack)
    moved = np.where(squares, _absorbed(found, slack), theta)
    start = np.concatenate([moved, rest], axis=1).T
    lost = ~(np.isfinite(bound) & np.isfinite(start).all(axis=0))
    start = np.where(problems.fixed | lost, safe, start)
    return _Point(np.where(lost, -np.inf, bound), start, np.where(found.squares, 0.0, slack))


def _absorbed(found: Relaxation, slack: Array) -> Array:
    """Return slacks (P, D) of the squares that make up for those of the other parameters.

    What the data cannot tell apart shares the slack: the squares grow by the factors that
    reproduce the strengths of the others' slack, the smallest such.
    """
    out = np.maximum(slack, 0.0)
    bend, chosen = found.diagonal.square, found.squares
    other = (out * ~chosen) @ bend.T
    if not chosen.any() or not np.isfinite(out).all():
        return out
    parts = bend[:, chosen] * out[:, None, chosen]
    share = np.einsum("pjk,pk->pj", np.linalg.pinv(parts, rcond=1e-6), other)
    out[:, chosen] *= np.where(np.abs(share) < _SHARED, np.maximum(1 + share, 0.0), 1.0)
    return out


def _both_sides(
    found: Relaxation, point: _Point, left: Index, sizes: tuple[float, ...]
) -> Array:  # fmt: skip
    """Return starts (n, S M) on both sides of the parameter that has most slack.

    Args:
        left: (M,) problems. sizes: (S,) signed shares of the root of the slack.
    """
    cost = point.slack[left] * np.abs(found.diagonal.square).max(axis=0)
    most = cost.argmax(axis=1)
    size = np.sqrt(np.maximum(point.slack[left, most], 0.0))
    out = []
    for share in sizes:
        moved = point.start[:, left].copy()
        moved[most, np.arange(len(left))] += share * size
        out.append(moved)
    return np.concatenate(out, axis=1)


def _from_squares(squares: Mask, problems: Problems, fit: BatchFit) -> None:
    """Replace squares by their roots, in place."""
    d = len(squares)
    held = problems.fixed[:d].T
    x, slope = fit.parameters[:, :d], fit.gradient[:, :d]
    root = np.sqrt(np.where(squares & ~held, np.maximum(x, 0.0), 0.0))
    x[:] = np.where(held, problems.start[:d].T, np.where(squares, root, x))
    slope[:] = np.where(squares, 2 * x * slope, slope)
