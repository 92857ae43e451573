"""Many fits of one likelihood at once, each with a parameter of its own held, and their ends.

A profile uncertainty, an impact, the expected limit at some quantile and the limit of a toy are
all the same: a parameter is held, everything else is fitted, and perhaps the value at which
``Delta = -2 log [L(x, profiled) / L(best fit)]`` reaches a level is wanted. All of them run as
one batch here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.inference.engine import (
    AnyLikelihood,
    BatchFit,
    FitOptions,
    MappedLikelihood,
    Observed,
    Problems,
    fit,
    global_minimise,
    minimise,
)
from histnu.inference.engine.fit import Solver

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_TOLERANCE = 1e-8  # on Delta at an end: relative 1e-8 of a standard deviation
_SMALL = 24  # parameters up to which several starts cost little
_MAX_ITERATIONS = 60
_REACH = 1e6  # standard deviations searched before an end counts as open


def solve(
    likelihood: AnyLikelihood, observed: Observed, problems: Problems, options: FitOptions
) -> BatchFit:
    """Return the minima of problems that each hold parameters of their own.

    Args:
        likelihood: a batched or mapped likelihood.
        observed: one data set, or one per problem.
        problems: start values and held parameters, from :func:`held_problems`.
        options: engine and tolerances.
    """
    if options.engine != "batched":
        return _one_by_one(likelihood, observed, problems, options)
    if isinstance(likelihood, MappedLikelihood):
        return global_minimise(likelihood, observed, problems, options.search)
    return minimise(likelihood, observed, problems, options.minimise)


def _one_by_one(
    likelihood: AnyLikelihood, observed: Observed, problems: Problems, options: FitOptions
) -> BatchFit:
    """The same minima by an engine that knows no batches."""
    found = []
    for p, (start, held) in enumerate(zip(problems.start.T, problems.fixed.T, strict=True)):
        data = observed if observed.size is None else observed.select(np.array([p]))
        chosen = np.flatnonzero(held & ~likelihood.fixed)
        fixed = {likelihood.parameter_names[i]: float(start[i]) for i in chosen}
        found.append(fit(likelihood, data, fixed, start, options))
    columns = {f.name: [getattr(x, f.name) for x in found] for f in fields(found[0])}
    return BatchFit(**{name: np.concatenate(parts) for name, parts in columns.items()})


def held_minima(solver: Solver, observed: Observed, index: Index, values: Array) -> BatchFit:
    """Return certified minima of P problems, number p holding parameter ``index[p]``.

    Those of one parameter are a scan: they share what they learn of other minima.

    Args:
        solver: fits, from as many starts as needed. observed: one data set.
        index: (P,) parameter held. values: (P,) where.
    """
    order = np.argsort(index, kind="stable")
    chosen, first = np.unique(index[order], return_index=True)
    names = solver.likelihood.parameter_names
    parts = [
        solver.fit(observed, {names[i]: values[where]})
        for i, where in zip(chosen, np.split(order, first[1:]), strict=True)
    ]
    return BatchFit.join(parts).select(np.argsort(order, kind="stable"))


def doubtful(
    solver: Solver, observed: Observed, held: tuple[Index, Array], twice_nll: Array
) -> Index:
    """Return which minima with one parameter held need more starts, after the free fit.

    Those are all where the document is divided, or small; else those of which a fit from the
    suggested start ends lower, or in another minimum.

    Args:
        solver: of the free fit. observed: one data set.
        held: (P,) parameter and value of each. twice_nll: (P,) at the minima.
    """
    index, values = held
    likelihood, options = solver.likelihood, solver.options
    if not solver.searches or not len(index):
        return np.arange(0)
    if solver.divided or len(likelihood.init) <= _SMALL:
        return np.arange(len(index))
    problems = held_problems(likelihood, likelihood.init, index, values, options)
    second = solve(likelihood, observed, problems, options)
    off, agreement = second.twice_nll - twice_nll, options.starts.agreement
    return np.flatnonzero((off < -agreement) | (second.converged & (off > agreement)))


def held_problems(
    likelihood: AnyLikelihood,
    start: ArrayLike,
    index: Index,
    values: Array,
    options: FitOptions,
) -> Problems:
    """Return P problems, of which number p holds parameter ``index[p]`` at ``values[p]``.

    Args:
        likelihood: names, bounds and suggested fixed parameters.
        start: (n,) or (P, n) start values.
        index: (P,) parameter held. values: (P,) where, which may be outside its bounds.
        options: parameters held in every problem.
    """
    points = len(index)
    problems = Problems.make(likelihood, points, dict(options.fixed), start)
    rows = np.arange(points)
    problems.start[index, rows] = values
    problems.fixed[index, rows] = True
    return problems


def linear_response(
    best: Array, covariance: Array, index: Index, values: Array, bounds: Array
) -> Array:
    """Return start values (P, n): where a quadratic likelihood has its minima.

    ``theta = best + C[:, k] / C[k, k] (value - best_k)`` for parameter k held at a value, inside
    the bounds; the best fit where the covariance says nothing.

    Args:
        best: (n,) best fit. covariance: (n, n). index, values: (P,) held. bounds: (n, 2).
    """
    variance = np.diag(covariance)[index]
    step = np.where(variance > 0, values - best[index], 0.0) / np.where(variance > 0, variance, 1.0)
    return np.clip(best + covariance[index] * step[:, None], bounds[:, 0], bounds[:, 1])


def asimov_data(likelihood: AnyLikelihood, parameters: ArrayLike) -> Observed:
    """Return the data that the model expects, auxiliary data included (arXiv:1007.1727)."""
    pars = np.atleast_2d(np.asarray(parameters, dtype=float))
    return likelihood.observe(likelihood.expected(pars)[0], likelihood.expected_auxdata(pars)[0])


@dataclass(frozen=True)
class Crossings:
    """Where Delta reaches a level on one side of the best fit, for P problems.

    Attributes:
        value: (P,) the end; a bound where the level is not reached before it.
        reached: (P,) False where the interval is open or stops at a bound.
        converged: (P,) whether the last conditional fit converged at the level.
        lowest: the lowest Delta met; clearly below zero where the best fit was no minimum.
        lowest_parameters: (n,) the parameters there.
    """

    value: Array
    reached: Mask
    converged: Mask
    lowest: float
    lowest_parameters: Array


@dataclass(frozen=True)
class CrossingTask:
    """P ends to look for.

    Attributes:
        best: (P, n) best fits. twice_nll: (P,) -2 log L there.
        index: (P,) parameter of each end. sign: (P,) -1 for a lower, +1 for an upper end.
        level: (P,) value of Delta at the end, above zero.
        sigma: (P,) a scale of the parameter, for the first step.
        start: (P, n) start values of the first fits; the best fits if None.
    """

    best: Array
    twice_nll: Array
    index: Index
    sign: Array
    level: Array
    sigma: Array
    start: Array | None = None


def crossings(
    likelihood: AnyLikelihood,
    observed: Observed,
    task: CrossingTask,
    options: FitOptions | None = None,
) -> Crossings:
    """Return the values at which the profile of each task reaches its level.

    Each end is found by Newton iterations on ``sqrt(Delta)``, nearly linear, whose slope is the
    partial derivative of -2 log L at the profiled point (envelope theorem), inside a bracket that
    only shrinks. It is the first crossing met going outwards; where a region is not connected
    :func:`histnu.inference.interval` finds the others.

    Args:
        likelihood: a batched or mapped likelihood.
        observed: one data set, or one per end. task: what to look for. options: how to fit.
    """
    search = _Search(likelihood, observed, task, options or FitOptions())
    for _ in range(_MAX_ITERATIONS):
        if not search.step():
            break
    return search.result()


class _Search:
    """State of :func:`crossings`: a bracket per end, and the ends still at work."""

    def __init__(
        self,
        likelihood: AnyLikelihood,
        observed: Observed,
        task: CrossingTask,
        options: FitOptions,
    ) -> None:
        self._likelihood, self._observed = likelihood, observed
        self._task, self._options = task, options
        rows = np.arange(len(task.index))
        self._center = task.best[rows, task.index]
        bounds = likelihood.bounds[task.index]
        self._bound = np.where(task.sign > 0, bounds[:, 1], bounds[:, 0])
        self._inside = self._center.copy()
        self._outside = np.full(len(rows), np.nan)
        self._start = (task.best if task.start is None else task.start).copy()
        self.active: Mask = np.ones(len(rows), dtype=bool)
        self._reached: Mask = np.zeros(len(rows), dtype=bool)
        self._converged: Mask = np.ones(len(rows), dtype=bool)
        self._lowest, self._lowest_parameters = 0.0, task.best[0] if len(rows) else np.zeros(0)
        self._guess = self._clip(self._center + task.sign * np.sqrt(task.level) * task.sigma)
        stuck = self._guess == self._center  # the best fit is at the bound
        self.active &= ~stuck

    def _clip(self, x: Array) -> Array:
        up = self._task.sign > 0
        return np.where(up, np.minimum(x, self._bound), np.maximum(x, self._bound))

    def step(self) -> bool:
        """Evaluate all guesses still at work and move them; False when none is left."""
        todo = np.flatnonzero(self.active)
        if not len(todo):
            return False
        delta, slope = self._evaluate(todo)
        level, guess = self._task.level[todo], self._guess[todo]
        below = delta <= level
        self._inside[todo] = np.where(below, guess, self._inside[todo])
        self._outside[todo] = np.where(below, self._outside[todo], guess)
        found = np.abs(delta - level) < _TOLERANCE
        width = np.abs(self._outside[todo] - self._inside[todo])
        found |= width <= 4e-16 * np.abs(guess)
        far = np.abs(guess - self._center[todo]) > _REACH * self._task.sigma[todo]
        ended = below & ~found & ((guess == self._bound[todo]) | far)
        self._reached[todo] = found
        self.active[todo] = ~(found | ended)
        self._guess[todo] = np.where(found | ended, guess, self._next(todo, delta, slope))
        return bool(self.active.any())

    def _evaluate(self, todo: Index) -> tuple[Array, Array]:
        """Return Delta and its derivative at the guesses of some ends."""
        index, guess = self._task.index[todo], self._guess[todo]
        problems = held_problems(self._likelihood, self._start[todo], index, guess, self._options)
        data = self._observed
        data = data if data.size is None else data.select(todo)
        found = solve(self._likelihood, data, problems, self._options)
        pars = np.ascontiguousarray(found.parameters.T)
        rows = np.arange(len(todo))
        slope = self._likelihood.derivatives(pars, data).gradient[index, rows]
        delta = found.twice_nll - self._task.twice_nll[todo]
        delta = np.where(np.isfinite(delta), delta, np.inf)
        good = np.isfinite(delta)
        self._start[todo[good]] = found.parameters[good]
        self._converged[todo] = found.converged
        k = int(np.argmin(delta))
        if delta[k] < self._lowest:
            self._lowest, self._lowest_parameters = float(delta[k]), found.parameters[k]
        return delta, slope

    def _next(self, todo: Index, delta: Array, slope: Array) -> Array:
        """Newton on sqrt(Delta); bisection, or doubling where there is no bracket yet."""
        guess, level = self._guess[todo], self._task.level[todo]
        sign, inside, outside = self._task.sign[todo], self._inside[todo], self._outside[todo]
        root = np.sqrt(np.maximum(delta, 1e-12))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = guess - (root - np.sqrt(level)) * 2 * root / slope
        distance = np.abs(guess - self._center[todo])
        open_ended = np.isnan(outside)
        furthest = np.where(open_ended, guess + sign * 3 * distance, outside)
        ahead = sign * (newton - inside) > 0
        short = sign * (furthest - newton) > 0
        middle = np.where(open_ended, guess + sign * distance, 0.5 * (inside + furthest))
        moved = np.where(np.isfinite(newton) & ahead & short, newton, middle)
        up = sign > 0
        bound = self._bound[todo]
        return np.where(up, np.minimum(moved, bound), np.maximum(moved, bound))

    def result(self) -> Crossings:
        """Return what was found."""
        return Crossings(
            self._guess, self._reached, self._converged & ~self.active,
            self._lowest, self._lowest_parameters,
        )  # fmt: skip
