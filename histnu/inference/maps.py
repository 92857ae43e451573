"""Feldman-Cousins and coverage maps over one or two parameters, or one and a held one.

At every point of a grid toys are drawn, the nuisances profiled on the data, and the ordering
statistic of a toy is

    t(x) = -2 log [ L(x, nuisances profiled) / L(best fit) ],

where the best fit runs over all parameters and, where an axis is held by the model (a mass), over
all its values. A point is accepted where ``t`` of the data is at most the critical value, the
``cl`` quantile of the toys. How often ``t`` of a toy is below the threshold of chi2 is the coverage
of the profile likelihood at the point.

Toys go where they decide: all points get one chunk, but those whose ``t`` is more than ``FAR``
asymptotic thresholds, which are outside without a toy; those that are not decided by ``DECIDED``
standard errors, and the neighbours on either side of the contour, get twice as many until the
precision or the number of toys is reached. The schedule depends on the toys alone, never on who
computes them.

Reference: G. J. Feldman, R. D. Cousins, Phys. Rev. D 57 (1998) 3873, physics/9711021.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.certification import Asked, require
from histnu.inference.chunks import Family, Runner
from histnu.inference.engine.fit import Solver, observe
from histnu.inference.limits import threshold
from histnu.inference.profile import conditional, improved, named
from histnu.inference.results import BestFit, Segment
from histnu.inference.toys import (
    Chunk,
    ToyOptions,
    ToyStatistics,
    accepted,
    check_toys,
    chunks_of,
    critical_error,
    critical_value,
    run_chunks,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
log = logging.getLogger(__name__)

DECIDED = 3.0
"""Standard errors of the p-value between a point and the level at which it is decided."""
FAR = 10.0
"""Statistic of the data, in thresholds, above which a point is outside without toys."""


@dataclass(frozen=True)
class Point:
    """A point of a map.

    Attributes:
        at: coordinate -> value, to which the random numbers belong.
        test: parameter of the likelihood -> value under test.
        member: of the family, the likelihood of the point.
    """

    at: Mapping[str, float]
    test: Mapping[str, float]
    member: int = 0


@dataclass(frozen=True)
class Grid:
    """Points on one or two axes.

    Attributes:
        axes: values of each axis. log: whether lines are straight in its logarithm.
        points: all of them, the last axis fastest; None where nothing can be asked.
    """

    axes: tuple[Array, ...]
    log: tuple[bool, ...]
    points: tuple[Point | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points per axis."""
        return tuple(len(a) for a in self.axes)

    def __getitem__(self, index: int) -> Point:
        """A point that can be asked."""
        point = self.points[index]
        assert point is not None
        return point

    def neighbours(self) -> list[int]:
        """Indices of the points in an order in which neighbours follow each other."""
        order = np.arange(len(self.points)).reshape(self.shape)
        if order.ndim == 2:
            order[1::2] = order[1::2, ::-1].copy()
        return [int(k) for k in order.ravel() if self.points[k] is not None]


@dataclass(frozen=True)
class MapOptions:
    """Level and toys of a map.

    Attributes:
        cl: confidence level. dof: of the asymptotic threshold beside it.
        precision: standard error of the p-value near ``1 - cl`` at which no more toys are drawn.
        everywhere: all toys at all points, not only near the contour.
        nominal: nuisances of the toys at their suggested values, not profiled on the data.
        toys: largest number per point, seed.
    """

    cl: float = 0.9
    dof: int = 1
    precision: float | None = None
    everywhere: bool = False
    nominal: bool = False
    toys: ToyOptions = field(default_factory=ToyOptions)


@dataclass(frozen=True)
class ToyMap:
    """Acceptance of all P points of a grid; NaN where there are no toys.

    Attributes:
        grid: the points. delta: (P,) the statistic of the data.
        critical: (P,) critical values, with the error ``critical_error`` of the quantile.
        p_value: (P,) fraction of toys at least as large as the data, with its binomial ``error``.
        coverage: (P,) fraction of toys within the asymptotic threshold, with its binomial error
            ``coverage_error``.
        n_toys: (P,) that count. failed: toys left out. decided: (P,) by ``DECIDED`` errors.
        threshold: asymptotic. best_fit, best_member: of the data.
        certified, search: of the fits. rounds: of toys.
    """

    grid: Grid
    delta: Array
    critical: Array
    critical_error: Array
    p_value: Array
    error: Array
    coverage: Array
    coverage_error: Array
    n_toys: NDArray[np.int64]
    failed: int
    decided: Mask
    threshold: float
    best_fit: BestFit
    best_member: int
    certified: bool
    search: dict[str, int]
    rounds: int

    @property
    def inside(self) -> Mask:
        """(P,) accepted by the toys."""
        return np.asarray(self._room(self.critical) >= 0)

    def _room(self, level: ArrayLike) -> Array:
        """Room of the data below a level, or the asymptotic one where there are no toys.

        Roots are nearly linear in the parameters, and infinity is far outside.
        """
        level = np.where(np.isnan(level), self.threshold, level)
        root = np.sqrt(np.minimum(np.maximum(self.delta, 0.0), 1e3))
        return np.asarray(np.sqrt(level) + 1e-7 - root)

    def segments(self, level: ArrayLike, bounds: tuple[float, float]) -> tuple[Segment, ...]:
        """Return the accepted set of one parameter, linear between the points.

        Args:
            level: critical value(s). bounds: of the parameter.
        """
        excess = np.nan_to_num(self._room(level), nan=-1.0)
        return accepted(self.grid.axes[0], excess, np.array(bounds))[1]

    def lines(self, level: ArrayLike) -> tuple[Array, ...]:
        """Return the polylines, each (N, 2), on which the statistic of the data is ``level``."""
        from contourpy import contour_generator

        x, y = (np.log(a) if g else a for a, g in zip(self.grid.axes, self.grid.log, strict=True))
        excess = np.ma.masked_invalid(self._room(level).reshape(self.grid.shape).T)
        found = map(np.asarray, contour_generator(x, y, excess).lines(0.0))
        back = [np.exp if g else np.asarray for g in self.grid.log]
        return tuple(np.column_stack([b(c) for b, c in zip(back, line.T, strict=True)])
                     for line in found)  # fmt: skip


@dataclass(frozen=True)
class _Data:
    """Statistics of the data at all points, and fitted parameters where they are defined."""

    delta: Array
    truths: dict[int, Array]
    best: BestFit
    member: int
    certified: bool
    search: dict[str, int]


def toy_map(
    runner: Runner, grid: Grid, data: ArrayLike | None = None, options: MapOptions | None = None
) -> ToyMap:
    """Return the acceptance of the points of a grid.

    Args:
        runner: family of likelihoods, and where toys are computed. grid: the points.
        data: (B,) counts; the observation of the documents if None. options: level, toys.

    Raises:
        FitError: no point can be asked, a fit of the data is not certified, or too many toys fail.
    """
    options = options or MapOptions()
    found = _fit_data(runner.family, grid, data, options.nominal)
    far = np.inf if options.everywhere else FAR * threshold(options.cl, options.dof)
    points = {k: grid[k] for k in sorted(found.truths) if found.delta[k] <= far}
    if not points:
        raise FitError("no point of the map is near the best fit and inside the bounds")
    work = {k: _chunks(runner.family, p, found.truths[k], options) for k, p in points.items()}
    toys: dict[int, ToyStatistics] = {}
    active, rounds = list(points), 0
    while active:
        asked = [work[k][: 2**rounds] for k in active]
        parts = iter(run_chunks([c for chunks in asked for c in chunks], runner))
        for k, chunks in zip(active, asked, strict=True):
            toys[k] = ToyStatistics.merged([next(parts) for _ in chunks])
            check_toys(toys[k], _named(points[k]), options.toys)
        rounds += 1
        state = _summary(grid, found, toys, options)
        active = [k for k in _undecided(state, options) if len(work[k]) > 2 ** (rounds - 1)]
        log.info("round %d of toys: %d of %d points go on", rounds, len(active), len(points))
    return replace(state, rounds=rounds)


def _named(point: Point) -> str:
    return ", ".join(f"{k} = {v:.6g}" for k, v in point.at.items())


def _chunks(family: Family, point: Point, truth: Array, options: MapOptions) -> list[Chunk]:
    likelihood = family.likelihoods[point.member]
    made = chunks_of(likelihood, truth, point.test, options.toys, point.at)
    return [replace(c, member=point.member) for c in made]


def _fit_data(family: Family, grid: Grid, data: ArrayLike | None, nominal: bool) -> _Data:
    """Fit the data freely and at every point, one likelihood after the other."""
    where: dict[int, list[int]] = {member: [] for member in range(len(family.documents))}
    for k in grid.neighbours():
        where[grid[k].member].append(k)
    value = np.full(len(grid.points), np.nan)
    parts = [_fit_member(family, m, [grid[k] for k in at], data) for m, at in where.items()]
    truths: dict[int, Array] = {}
    for at, part in zip(where.values(), parts, strict=True):
        value[at] = part.delta
        for n, k in enumerate(at):
            if n in part.truths:
                truths[k] = _nominal(family, grid[k]) if nominal else part.truths[n]
    lowest = min(parts, key=lambda part: part.best.twice_nll)
    search = {k: sum(part.search[k] for part in parts) for k in lowest.search}
    certified = all(part.certified for part in parts)
    delta = value - lowest.best.twice_nll
    return _Data(delta, truths, lowest.best, lowest.member, certified, search)


def _fit_member(
    family: Family, member: int, points: Sequence[Point], data: ArrayLike | None
) -> _Data:
    """Fit the data with one likelihood: -2 log L and all parameters at its points."""
    likelihood, fit = family.likelihoods[member], family.fit
    observed = observe(likelihood, data)
    solver = Solver(likelihood, fit)
    first = solver.fit(observed)
    certified = require(likelihood, observed, first, Asked({}), fit)
    best, value, truths = named(likelihood, first), np.empty(0), dict[int, Array]()
    if points:
        tests = [p.test for p in points]
        values = {name: np.array([t[name] for t in tests]) for name in tests[0]}
        held = conditional(solver, observed, values, best)
        defined = np.isfinite(held.twice_nll)
        for name, tested in values.items():
            low, high = likelihood.bounds[likelihood.index(name)]
            defined &= (tested >= low) & (tested <= high)
        certified &= require(likelihood, observed, held, Asked(values), fit, defined)
        best = improved(likelihood, best, held)
        value = np.where(defined, held.twice_nll, np.inf)
        truths = {int(n): held.parameters[n] for n in np.flatnonzero(defined)}
    return _Data(value, truths, best, member, certified, solver.counts.to_json())


def _nominal(family: Family, point: Point) -> Array:
    """Suggested values of all parameters but those under test."""
    likelihood = family.likelihoods[point.member]
    truth = np.array(likelihood.init)
    for name, value in point.test.items():
        truth[likelihood.index(name)] = value
    return truth


def _summary(
    grid: Grid, data: _Data, toys: Mapping[int, ToyStatistics], options: MapOptions
) -> ToyMap:
    """Critical values and p-values of the toys there are."""
    size, cut = len(grid.points), threshold(options.cl, options.dof)
    columns = np.full((5, size), np.nan)
    n_toys = np.zeros(size, dtype=np.int64)
    for k, found in toys.items():
        sampled = found.delta[found.converged]
        n_toys[k] = n = len(sampled)
        # rounding of the fits must not decide between equal discrete outcomes
        beyond, covered = np.mean(sampled >= data.delta[k] - 1e-7), np.mean(sampled <= cut)
        quantile = critical_value(sampled, options.cl), critical_error(sampled, options.cl)
        columns[:, k] = *quantile, beyond, np.sqrt(beyond * (1 - beyond) / n), covered
    critical, critical_err, p_value, error, coverage = columns  # (P,) each
    with np.errstate(divide="ignore", invalid="ignore"):
        coverage_error = np.sqrt(coverage * (1 - coverage) / n_toys)
        decided = np.abs(p_value - (1 - options.cl)) >= DECIDED * _error(n_toys, options.cl)
    decided |= (n_toys == 0) & ~np.isnan(data.delta)
    search = dict(data.search)
    for found in toys.values():
        search = {k: n + found.search[k] for k, n in search.items()}
    failed = sum(t.failed for t in toys.values())
    return ToyMap(
        grid, data.delta, critical, critical_err, p_value, error, coverage, coverage_error, n_toys,
        failed, decided, cut, data.best, data.member, data.certified and failed == 0, search, 0,
    )  # fmt: skip


def _error(n_toys: NDArray[np.int64], cl: float) -> Array:
    """Standard error of a p-value at the level."""
    return np.asarray(np.sqrt(cl * (1 - cl) / n_toys))


def _undecided(state: ToyMap, options: MapOptions) -> list[int]:
    """Points that need more toys."""
    asked = state.n_toys > 0
    wanted = asked.copy()
    if not options.everywhere:
        wanted &= ~state.decided | _border(state)
    if options.precision is not None:
        with np.errstate(divide="ignore"):
            wanted &= _error(state.n_toys, options.cl) > options.precision
    return [int(k) for k in np.flatnonzero(wanted)]


def _border(state: ToyMap) -> Mask:
    """Points with a neighbour on the other side of the contour."""
    inside = state.inside.reshape(state.grid.shape)
    border = np.zeros_like(inside)
    for axis in range(inside.ndim):
        first, second = np.moveaxis(inside, axis, 0), np.moveaxis(border, axis, 0)
        change = first[1:] != first[:-1]
        second[1:] |= change
        second[:-1] |= change
    return np.asarray(border.ravel())


def grid_of(names: Sequence[str], values: Sequence[Array], log_axes: Sequence[bool]) -> Grid:
    """Return the grid of one or two parameters of one likelihood."""
    mesh = np.meshgrid(*values, indexing="ij")
    rows = np.column_stack([m.ravel() for m in mesh])
    points = [dict(zip(names, map(float, row), strict=True)) for row in rows]
    return Grid(tuple(values), tuple(log_axes), tuple(Point(p, p) for p in points))
