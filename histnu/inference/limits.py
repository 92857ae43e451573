"""Confidence regions of one parameter: the level set of its profile likelihood.

The profile is evaluated on a grid that reaches from bound to bound (or until it is far above the
level), refined wherever the cubic through neighbouring values and slopes may cross the level.
Every crossing is then a root; between the roots lie the segments of the allowed region.

The ends solve ``Delta(x) = chi2.ppf(cl, dof)``. By the envelope theorem ``dDelta/dx`` is the
partial derivative of -2 log L at the profiled point, so each end is found by a Newton
iteration on ``sqrt(Delta)``, which is nearly linear, inside a bracket that only shrinks.
Every value is a certified minimum (:mod:`histnu.inference.engine.multistart`), or the interval
ends in an error that names the value.

References: S. S. Wilks, Ann. Math. Stat. 9 (1938) 60; Cowan et al., arXiv:1007.1727.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.certification import boundary_notes
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, observe
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.profile_function import ProfileFunction
from histnu.inference.results import BOUND, CROSSING, EDGE, OPEN, Interval, Segment

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_GROWTH = 2.0  # ratio of the distances of neighbouring grid points from the best fit
_COUNT = 4  # distances tried at once on either side; then two: rates that grow as the fourth power
_MORE = 2  # of a coupling are beyond any certificate a few steps further out
_LONG = 10.0  # times the best fit, or 1: so is one above it
_ABSURD = 1e4  # in Delta, with nothing else moved: a first distance is tried before it is used
_SHRINK = 8.0  # ratio of the distances that are tried
_EDGE = 1e-5  # relative width to which the edge of what is defined is located
_JUMP = 1e-6  # of the first distances: around zero a jump of the profile is looked for
_HEIGHT = 0.1  # in Delta over that distance: a jump
_NEWTON = 8  # Newton steps before a root is also bisected
_GUARD = 4.0  # the same ratio between where the profile is far above the level and a bound
_INNER = np.linspace(0.0, 1.0, 11)[1:-1]  # where the cubic between two grid points is looked at
_HILL = 1e3
"""A polynomial model may have a second solution behind a hill of Delta: where interference cancels
the known signal altogether, and as high as that is significant (1e3: 32 standard deviations)."""
_SMALLEST = 1e-3
"""The reach is counted from a standard deviation of at least this size (or this share of the
best fit): where a profile starts as x^4, as those of transition charges at zero do, its curvature
is zero up to rounding and says nothing of its width."""


@dataclass(frozen=True)
class IntervalOptions:
    """How to find the ends of an interval.

    Attributes:
        fit: how to fit.
        tolerance: on Delta at the ends.
        max_iterations: of the root finder.
        linear_points: points of the linear scan of the interval's reach of polynomial models; half
            as many where another likelihood met a second minimum.
        refinements: most rounds of refining the grid.
        reach: multiples of the standard deviation searched before an end counts as open.
        most_starts: minimisations after which the search ends in an error.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    tolerance: float = 1e-8
    max_iterations: int = 60
    linear_points: int = 48
    refinements: int = 12
    reach: float = 1e7
    most_starts: int = 10_000


def threshold(cl: float, dof: int) -> float:
    """Return the value of Delta that bounds a region: the quantile of chi-squared.

    A region of level 0 is where Delta is 0: the best fit.

    >>> round(threshold(0.9, 1), 3), round(threshold(0.9, 2), 3), threshold(0.0, 1)
    (2.706, 4.605, 0.0)
    """
    if not 0 <= cl < 1:
        raise FitError(f"confidence level {cl} is not between 0 and 1")
    if dof < 1:
        raise FitError(f"{dof} degrees of freedom; give at least 1")
    from scipy.special import gammaincinv

    return float(2 * gammaincinv(dof / 2, cl))


def interval(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    cl: float = 0.9,
    dof: int = 1,
    options: IntervalOptions | None = None,
) -> Interval:
    """Return the confidence region of one parameter, all others profiled.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        parameter: its name. cl: confidence level. dof: degrees of freedom of the threshold.
        options: see :class:`IntervalOptions`.

    Returns:
        The region as a set of segments, ``intervals``; ``lower`` and ``upper`` are its outermost
        ends, None where the region is open or stops at a bound.

    Raises:
        FitError: unknown or fixed parameter, bad level, a root that was not found, or a fit
            that did not converge or was not certified.

    >>> limit = interval(textbook, None, "mu", cl=0.9)
    >>> limit.lower, round(limit.upper, 4), limit.intervals[0].lower_end, limit.certified
    (None, 0.8122, 'bound', True)
    """
    options = options or IntervalOptions()
    level = threshold(cl, dof)
    function = ProfileFunction(
        likelihood, observe(likelihood, data), parameter, options.fit, options.most_starts
    )
    if level == 0.0:
        roots = [function.center]
        segments: tuple[Segment, ...] = (Segment(function.center, function.center),)
    else:
        roots, segments = level_set(function, level, options)
    lower, upper = segments[0].lower, segments[-1].upper
    lower = lower if segments[0].lower_end in (CROSSING, EDGE) else None
    upper = upper if segments[-1].upper_end in (CROSSING, EDGE) else None
    return Interval(
        parameter, cl, dof, level, lower, upper, function.best,
        engine=options.fit.engine,
        other_roots=tuple(r for r in roots if r not in (lower, upper)),
        intervals=segments,
        certified=function.certified,
        boundary=_boundary(function, [*roots, function.center]),
        search=function.solver.counts.to_json(),
    )  # fmt: skip


def level_set(
    function: ProfileFunction, level: float, options: IntervalOptions | None = None
) -> tuple[list[float], tuple[Segment, ...]]:
    """Return the crossings of a level above 0, and the segments where Delta is at most that.

    Raises:
        FitError: a root that was not found, or a fit that is not certified.
    """
    return _Grid(function, level, options or IntervalOptions()).region()


def _boundary(function: ProfileFunction, values: list[float]) -> tuple[str, ...]:
    """Return where an empty bin at a rate of zero decides an end or the best fit."""
    notes: dict[str, str] = {}
    for x in values:
        parameters = function.parameters_at(x)
        for note in boundary_notes(function.likelihood, function.observed, parameters):
            notes.setdefault(note.split(": sample")[0], f"{function.parameter} = {x:.6g}: {note}")
    return tuple(notes.values())


class _Grid:
    """Values of the profile from bound to bound, fine enough to see every crossing."""

    def __init__(self, function: ProfileFunction, level: float, options: IntervalOptions) -> None:
        self._f = function
        self._level = level
        self._far = 2 * level + 4
        mapped = isinstance(function.likelihood, MappedLikelihood)
        self._beyond = max(self._far, _HILL) if mapped else self._far
        self._options = options
        self._bounds = function.bounds
        self._ends = [OPEN, OPEN]
        self._size = 0.0  # of the first distances from the best fit

    def explore(self) -> None:
        """Evaluate the profile until its crossings are isolated."""
        for _ in range(3):  # again if the scan found a lower minimum
            before = self._f.best.twice_nll
            self._outwards()
            self._around_zero()
            if self._f.solver.second or isinstance(self._f.likelihood, MappedLikelihood):
                self._linear()
            self._refine()
            self._f.settle()
            if self._f.best.twice_nll >= before - 1e-8:
                break
        self._require()

    def _require(self) -> None:
        """Raise where a value that decides the region is not certified."""
        self._f.require(None)

    # ------------------------------------------------------------------ reach
    def _outwards(self) -> None:
        """Scan from the best fit until the profile is far above the level, or to the bounds."""
        center, sigma = self._f.center, self._scale()
        self._size = sigma
        reach = self._options.reach * max(sigma, _SMALLEST * max(1.0, abs(center)))
        offsets = dict.fromkeys((-1, 1), 0.35 * sigma)
        last = 0.35 * sigma * _GROWTH ** (_COUNT - 1)
        far = self._guard((center - last, center + last))
        count = _COUNT
        while offsets:
            new = {}
            for sign, first in offsets.items():
                steps = first * _GROWTH ** np.arange(count)
                new[sign] = np.asarray(center + sign * steps, dtype=np.float64)
            self._f.evaluate(np.concatenate([far, *(self._clipped(x) for x in new.values())]))
            far, count = far[:0], _MORE
            for sign, x in new.items():
                last = abs(x[-1] - center)
                if self._reached(sign) or last * _GROWTH > reach:
                    del offsets[sign]
                else:
                    offsets[sign] = last * _GROWTH

    def _around_zero(self) -> None:
        """Add zero and its neighbours, where a strength may be negative and a bin is empty.

        The contents that the strength scales change sign there: what an empty bin asks of other
        parameters, and with it the profile, may jump.
        """
        low, high = self._bounds
        if low < 0 < high and np.any(self._f.observed.main == 0):
            self._f.evaluate(_JUMP * self._size * np.array([-1.0, 0.0, 1.0]))

    def _scale(self) -> float:
        """Return a distance at which the profile is of the order of the level on some side.

        The curvature at a nearly flat minimum can suggest one that is far too long, and where it
        is zero nothing does; then shorter ones are tried, with values that the profile does not
        exceed.
        """
        sigma, longest = self._f.sigma(), _LONG * max(1.0, abs(self._f.center))
        sizes = np.asarray(sigma / _SHRINK ** np.arange(17), dtype=np.float64)
        if sigma > longest:
            sizes = sizes[: int((sizes > longest).sum()) + 1]
        elif self._f.beside(self._first(sizes[:1])).min() <= _ABSURD:
            return sigma
        near = self._first(sizes)
        most = self._f.at_most(near.ravel()).reshape(near.shape).min(axis=1)
        tried = np.append(np.flatnonzero(most <= self._far), len(sizes) - 1)
        return float(sizes[tried[0]])

    def _first(self, sizes: Array) -> Array:
        """Return the first values (K, 2) on both sides at distances of K sizes.

        At a bound both are on the one side that there is.
        """
        near = self._clipped(self._f.center + 0.35 * np.multiply.outer(sizes, [-1.0, 1.0]))
        return np.asarray(np.where(near == self._f.center, near[:, ::-1], near))

    def _clipped(self, x: Array) -> Array:
        return np.clip(x, *self._bounds)

    def _reached(self, sign: int) -> bool:
        """Return whether one side ends at its bound or far above the level."""
        x, delta = self._f.x, self._f.delta
        if np.isfinite(self._bounds[0 if sign < 0 else 1]):
            return True  # evaluated with the guard
        side = x < self._f.center if sign < 0 else x > self._f.center
        return int((delta[side] > self._beyond).sum()) >= 2

    def _guard(self, ends: tuple[float, float]) -> Array:
        """Return points between ``ends`` and finite bounds, where the profile is expected high."""
        center = self._f.center
        more: list[float] = []
        for sign, end, bound in zip((-1, 1), ends, self._bounds, strict=True):
            if not np.isfinite(bound) or (end - bound) * sign >= 0:
                continue
            step = max(abs(end - center), 1e-300) * _GUARD
            while step < abs(bound - center) and len(more) < 60:
                more.append(center + sign * step)
                step *= _GUARD
            more.append(bound)
        return np.array(more)

    # ------------------------------------------------------------------ refinement
    def _linear(self) -> None:
        """Add a linear scan of the reach of the region, which may hold further minima."""
        x, delta = self._f.x, self._f.delta
        allowed = np.flatnonzero(delta <= self._level)
        if not np.any(delta > self._level) or not len(allowed):
            return
        first, last = max(allowed[0] - 1, 0), min(allowed[-1] + 1, len(x) - 1)
        margin = 0.25 * (x[last] - x[first])
        low, high = max(x[0], x[first] - margin), min(x[-1], x[last] + margin)
        mapped = isinstance(self._f.likelihood, MappedLikelihood)
        count = self._options.linear_points // (1 if mapped else 2)
        self._f.evaluate(np.linspace(low, high, count))

    def _refine(self) -> None:
        """Halve every gap in which the profile may cross the level unseen."""
        smallest = 1e-3
        for _ in range(self._options.refinements):
            x, delta, slope = self._f.x, self._f.delta, self._f.slope
            doubt = self._doubtful(x, delta, slope)
            allowed = np.flatnonzero(delta <= self._level)
            near = np.abs(x[allowed] - self._f.center)
            size = max(float(near.max(initial=0.0)), 0.35 * self._f.sigma())
            doubt &= np.diff(x) > smallest * np.maximum(
                size, np.minimum(np.abs(x[:-1] - self._f.center), np.abs(x[1:] - self._f.center))
            )
            k = np.flatnonzero(doubt)
            if not len(k):
                return
            self._f.evaluate(self._between(x, k))

    def _between(self, x: Array, k: Index) -> Array:
        """Return a point in each gap: geometric in the distance from the best fit."""
        center = self._f.center
        a, b = np.abs(x[k] - center), np.abs(x[k + 1] - center)
        near, far = np.minimum(a, b), np.maximum(a, b)
        same = np.sign(x[k] - center) * np.sign(x[k + 1] - center) >= 0
        geometric = same & (far > 4 * near)
        away = np.where(near > 0, np.sqrt(near * far), far / 8)
        side = np.where(b > a, np.sign(x[k + 1] - center), np.sign(x[k] - center))
        return np.where(geometric, center + side * away, 0.5 * (x[k] + x[k + 1]))

    def _doubtful(self, x: Array, delta: Array, slope: Array) -> Mask:
        """Return (N - 1,) gaps that may hold an unseen crossing, or too wide a bracket of one.

        Between two values above the level: where the tangents, or the cubic through values and
        slopes, come below it. Between two values below it: where the cubic comes above it.
        """
        level = self._level
        a, b = delta[:-1], delta[1:]
        finite = np.isfinite(a) & np.isfinite(b)
        above = (a > level).astype(int) + (b > level)
        low, high = _cubic_range(x, np.where(np.isfinite(delta), delta, 1e30), slope)
        valley = (slope[:-1] < 0) & (slope[1:] > 0)
        tangent = _tangents_meet(x, delta, slope)
        out = (above == 2) & ((low < level) | (valley & (tangent < level)))
        out |= (above == 0) & (high > level) & (np.maximum(a, b) > 0.05 * level)
        out |= (above == 1) & (np.maximum(a, b) > self._far)
        return np.asarray(out & finite) | ((above == 1) & ~finite)

    # ------------------------------------------------------------------ region
    def region(self) -> tuple[list[float], tuple[Segment, ...]]:
        """Return the crossings and the allowed segments."""
        for _ in range(3):  # again if the roots met a second minimum, or a lower one
            self.explore()
            before, second = self._f.best.twice_nll, self._f.solver.second
            found = _roots(self._f, (self._level, self._size), self._options)
            if self._f.solver.second == second and self._f.best.twice_nll >= before - 1e-8:
                break
        x, delta = self._f.x, self._f.delta
        ends: list[tuple[float | None, str]] = list(found)
        roots = [r for r, _ in found]
        if delta[0] <= self._level:
            ends.insert(0, self._end(x[0], 0))
        if delta[-1] <= self._level:
            ends.append(self._end(x[-1], 1))
        pairs = zip(ends[::2], ends[1::2], strict=True)
        segments = tuple(Segment(a[0], b[0], a[1], b[1]) for a, b in pairs)
        if not segments:
            raise FitError(f"{self._f.parameter}: the profile has no allowed value")
        return roots, segments

    def _end(self, x: float, side: int) -> tuple[float | None, str]:
        return (float(x), BOUND) if x == self._bounds[side] else (None, OPEN)


def _cubic_range(x: Array, y: Array, slope: Array) -> tuple[Array, Array]:
    """Return lowest and highest value (N - 1,) of the cubic between neighbouring points."""
    t = _INNER[:, None]
    h = np.diff(x)
    h00, h10 = (1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2
    h01, h11 = t**2 * (3 - 2 * t), t**2 * (t - 1)
    with np.errstate(all="ignore"):
        value = h00 * y[:-1] + h10 * h * slope[:-1] + h01 * y[1:] + h11 * h * slope[1:]
    return np.asarray(value.min(axis=0)), np.asarray(value.max(axis=0))


def _tangents_meet(x: Array, y: Array, slope: Array) -> Array:
    """Return the height (N - 1,) at which the tangents of neighbouring points meet."""
    h, a, b = np.diff(x), slope[:-1], slope[1:]
    with np.errstate(all="ignore"):
        t = (y[1:] - y[:-1] - b * h) / (a - b)
        return np.asarray(np.nan_to_num(y[:-1] + a * t, nan=-np.inf))


def _roots(
    function: ProfileFunction, wanted: tuple[float, float], options: IntervalOptions
) -> list[tuple[float, str]]:
    """Return all ends of allowed segments inside the grid, ascending, with their kinds.

    Args:
        function: the profile. wanted: level of its roots, and the size of the parameter where it
            may be zero. options: tolerances.
    """
    level, scale = wanted
    x, delta = function.x, function.delta
    above = delta > level
    k = np.flatnonzero(above[1:] != above[:-1])
    if not len(k):
        return []
    inside = np.where(above[k], x[k + 1], x[k])
    outside = np.where(above[k], x[k], x[k + 1])
    guess = _first_guess(function, (inside, outside), level)
    for iteration in range(options.max_iterations):
        delta, slope = function.evaluate(guess, near=True)
        below = delta <= level
        inside, outside = np.where(below, guess, inside), np.where(below, outside, guess)
        width = np.abs(outside - inside)
        size = np.maximum(np.abs(inside), np.abs(outside))
        undefined = ~np.isfinite(function.known(outside)[0])
        narrow = width <= np.where(undefined, _EDGE * np.maximum(size, 1e-3 * scale), 4e-16 * size)
        height = function.known(outside)[0] - function.known(inside)[0]
        jumps = (size <= _JUMP * scale) & (height > _HEIGHT) & ~undefined
        narrow |= jumps
        done = (np.abs(delta - level) < options.tolerance) | narrow
        if done.all():
            edge = undefined & narrow
            guess = np.where(edge | jumps, inside, guess)
            function.require(guess)
            return [(float(r), EDGE if e else CROSSING) for r, e in zip(guess, edge, strict=True)]
        root = np.sqrt(np.maximum(delta, 1e-12))
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = guess - (root - np.sqrt(level)) * 2 * root / slope
        low, high = np.minimum(inside, outside), np.maximum(inside, outside)
        good = np.isfinite(newton) & (newton > low) & (newton < high)
        good &= iteration < _NEWTON or iteration % 2 == 0  # every second step halves the bracket
        guess = np.where(done, guess, np.where(good, newton, (inside + outside) / 2))
    raise FitError(
        f"{function.parameter} = {guess[~done][0]:.6g}: no root of the profile to "
        f"{options.tolerance:g} in Delta"
    )


def _first_guess(function: ProfileFunction, bracket: tuple[Array, Array], level: float) -> Array:
    """Return where the profile crosses the level, from values and slopes at both ends.

    ``x(sqrt(Delta))`` is nearly linear: the cubic through both ends with their slopes.
    """
    inside, outside = bracket
    (a, da), (b, db) = function.known(inside), function.known(outside)
    ra, rb = np.sqrt(np.maximum(a, 0.0)), np.sqrt(np.minimum(np.maximum(b, 0.0), 1e6))
    t = np.clip((np.sqrt(level) - ra) / np.maximum(rb - ra, 1e-300), 0.05, 0.95)
    linear = inside + t * (outside - inside)
    with np.errstate(all="ignore"):
        size = rb - ra
        sa, sb = size * 2 * ra / da, size * 2 * rb / db
        cubic = (
            (1 + 2 * t) * (1 - t) ** 2 * inside + t * (1 - t) ** 2 * sa
            + t**2 * (3 - 2 * t) * outside + t**2 * (t - 1) * sb
        )  # fmt: skip
    low, high = np.minimum(inside, outside), np.maximum(inside, outside)
    good = np.isfinite(cubic) & (cubic > low) & (cubic < high) & (ra > 0.2 * np.sqrt(level))
    return np.where(good, cubic, linear)
