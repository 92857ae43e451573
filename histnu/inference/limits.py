"""Confidence intervals by root finding on the profile likelihood.

The ends solve ``Delta(x) = chi2.ppf(cl, dof)``. By the envelope theorem ``dDelta/dx`` is the
partial derivative of -2 log L at the profiled point, so each end is found by a Newton
iteration on ``sqrt(Delta)``, which is nearly linear, inside a bracket that only shrinks.

References: S. S. Wilks, Ann. Math. Stat. 9 (1938) 60; Cowan et al., arXiv:1007.1727.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.profile import conditional, improved, named
from histnu.inference.results import Interval

Array = NDArray[np.float64]


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
        linear_points: points of the linear scan that looks for further minima of
            polynomial models inside the interval's reach.
        reach: multiples of the standard deviation searched before an end counts as open.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    tolerance: float = 1e-8
    max_iterations: int = 60
    linear_points: int = 48
    reach: float = 1e7


def threshold(cl: float, dof: int) -> float:
    """Return the value of Delta that bounds a region: the quantile of chi-squared.

    >>> round(threshold(0.9, 1), 3), round(threshold(0.9, 2), 3)
    (2.706, 4.605)
    """
    if not 0 < cl < 1:
        raise FitError(f"confidence level {cl} is not between 0 and 1")
    if dof < 1:
        raise FitError(f"{dof} degrees of freedom; give at least 1")
    from scipy.special import gammaincinv

    return float(2 * gammaincinv(dof / 2, cl))


class ProfileFunction:
    """Delta and its derivative as a function of one parameter, for many values at once."""

    def __init__(
        self, likelihood: AnyLikelihood, observed: Observed, parameter: str, options: FitOptions
    ) -> None:
        self._likelihood = likelihood
        self._observed = observed
        self._options = options
        self.parameter = parameter
        self.index = likelihood.index(parameter)
        if likelihood.fixed[self.index] or parameter in options.fixed:
            raise FitError(f"{parameter} is fixed; it has no interval")
        self.best = named(likelihood, fit(likelihood, observed, None, None, options))
        if not np.isfinite(self.best.twice_nll):
            raise FitError(
                "the likelihood is undefined at its start: an expected count is not positive"
            )

    def __call__(self, values: Array) -> tuple[Array, Array]:
        """Return Delta (P,) and its derivative (P,); lower the best fit if undercut."""
        found = conditional(
            self._likelihood, self._observed, {self.parameter: values}, self.best, self._options
        )
        self.best = improved(self._likelihood, self.best, found)
        pars = np.ascontiguousarray(found.parameters.T)
        slope = self._likelihood.derivatives(pars, self._observed).gradient[self.index]
        return found.twice_nll - self.best.twice_nll, slope

    @property
    def center(self) -> float:
        """Best-fit value."""
        return self.best.parameters[self.parameter]

    def sigma(self) -> float:
        """Return a scale of the parameter: from the curvature, or from its size."""
        pars = np.array([[self.best.parameters[k]] for k in self._likelihood.parameter_names])
        hessian = self._likelihood.derivatives(pars, self._observed).hessian[:, :, 0]
        lower, upper = self._likelihood.bounds.T
        free = ~self._likelihood.fixed & (pars[:, 0] > lower) & (pars[:, 0] < upper)
        free[self.index] = True
        where = int(np.flatnonzero(np.flatnonzero(free) == self.index)[0])
        try:
            variance = 2 * np.linalg.pinv(hessian[np.ix_(free, free)])[where, where]
        except np.linalg.LinAlgError:
            variance = np.nan
        if np.isfinite(variance) and variance > 0:
            return float(np.sqrt(variance))
        return max(abs(self.center) * 0.1, 1e-3)


def interval(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    cl: float = 0.9,
    dof: int = 1,
    options: IntervalOptions | None = None,
) -> Interval:
    """Return the confidence interval of one parameter, all others profiled.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        parameter: its name. cl: confidence level. dof: degrees of freedom of the threshold.
        options: see :class:`IntervalOptions`.

    Returns:
        The outermost ends; an end is None where the interval is open or stops at a bound.
        Where the region is not connected the inner crossings are in ``other_roots``.

    Raises:
        FitError: unknown or fixed parameter, bad level, or a root that was not found.

    >>> from histnu.inference.engine.examples import textbook
    >>> from histnu.inference.engine.likelihood import BatchedLikelihood
    >>> like = BatchedLikelihood.from_workspace(textbook())
    >>> limit = interval(like, None, "mu", cl=0.9)
    >>> limit.lower, round(limit.upper, 4)
    (None, 0.8122)
    """
    options = options or IntervalOptions()
    level = threshold(cl, dof)
    function = ProfileFunction(likelihood, observe(likelihood, data), parameter, options.fit)
    bounds = likelihood.bounds[function.index]
    for _ in range(3):  # again if the scan found a lower minimum
        before = function.best.twice_nll
        x, delta = _scan(function, (float(bounds[0]), float(bounds[1])), level, options)
        if isinstance(likelihood, MappedLikelihood):
            x, delta = _scan_inside(function, (x, delta), level, options)
        if function.best.twice_nll >= before - 1e-8:
            break
    roots = _roots(function, (x, delta), level, options)
    allowed = delta <= level
    lower = roots[0] if len(roots) and not allowed[0] else None
    upper = roots[-1] if len(roots) and not allowed[-1] else None
    inner = tuple(r for r in roots if r not in (lower, upper))
    return Interval(
        parameter, cl, dof, level, lower, upper, function.best,
        engine=options.fit.engine, other_roots=inner,
    )  # fmt: skip


def _scan(
    function: ProfileFunction,
    bounds: tuple[float, float],
    level: float,
    options: IntervalOptions,
) -> tuple[Array, Array]:
    """Scan outwards from the best fit until Delta is well above the level on both sides."""
    center, sigma = function.center, function.sigma()
    xs, deltas = [np.array([center])], [np.zeros(1)]
    for sign, bound in ((-1.0, bounds[0]), (1.0, bounds[1])):
        offset = _first_offset(function, sign, bound, (0.35 * sigma, level))
        while offset < options.reach * max(sigma, _SMALLEST * max(1.0, abs(center))):
            steps = offset * 1.5 ** np.arange(8)
            x = center + sign * steps
            x = np.unique(np.clip(x, *bounds))
            x = x[x != center]
            if not len(x):
                break
            delta, _ = function(x)
            xs.append(x)
            deltas.append(delta)
            if np.any(x == bound) or (delta > 2 * level + 4).sum() >= 2:
                break
            offset = steps[-1] * 1.5
    x, delta = np.concatenate(xs), np.concatenate(deltas)
    x, first = np.unique(x, return_index=True)
    return x, delta[first]


def _first_offset(
    function: ProfileFunction, sign: float, bound: float, start: tuple[float, float]
) -> float:
    """Return a first step at which Delta is still of the order of the level.

    The curvature at a nearly flat minimum can suggest a step that is far too long.
    """
    offset, level = start
    for _ in range(4):
        steps = offset / 8.0 ** np.arange(6)
        x = function.center + sign * np.minimum(steps, abs(bound - function.center))
        delta, _ = function(x)
        small = np.flatnonzero(delta <= 2 * level)
        if len(small):
            return float(steps[small[0]])
        offset = steps[-1] / 8
    return offset


def _scan_inside(
    function: ProfileFunction,
    scan: tuple[Array, Array],
    level: float,
    options: IntervalOptions,
) -> tuple[Array, Array]:
    """Add a linear scan of the allowed reach of the first one, which may hold further minima."""
    x, delta = scan
    if not np.any(delta > level):
        return scan
    allowed = np.flatnonzero(delta <= level)
    first, last = max(allowed[0] - 1, 0), min(allowed[-1] + 1, len(x) - 1)
    margin = 0.25 * (x[last] - x[first])
    low, high = max(x[0], x[first] - margin), min(x[-1], x[last] + margin)
    more = np.linspace(low, high, options.linear_points)
    more = more[~np.isin(more, x)]
    value, _ = function(more)
    x, delta = np.concatenate([x, more]), np.concatenate([delta, value])
    order = np.argsort(x)
    return x[order], delta[order]


def _roots(
    function: ProfileFunction,
    scan: tuple[Array, Array],
    level: float,
    options: IntervalOptions,
) -> list[float]:
    """Return all crossings of the level, in ascending order."""
    x, delta = scan
    above = delta > level
    k = np.flatnonzero(above[1:] != above[:-1])
    if not len(k):
        return []
    inside = np.where(above[k], x[k + 1], x[k])
    outside = np.where(above[k], x[k], x[k + 1])
    value = np.where(above[k], delta[k + 1], delta[k])
    far = np.where(above[k], delta[k], delta[k + 1])
    share = _share(value, far, level)
    guess = inside + share * (outside - inside)
    for _ in range(options.max_iterations):
        delta, slope = function(guess)
        below = delta <= level
        inside, outside = np.where(below, guess, inside), np.where(below, outside, guess)
        width = np.abs(outside - inside)
        done = (np.abs(delta - level) < options.tolerance) | (
            width <= 4e-16 * np.maximum(np.abs(inside), np.abs(outside))
        )
        if done.all():
            return [float(r) for r in guess]
        root = np.sqrt(np.maximum(delta, 1e-12))
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = guess - (root - np.sqrt(level)) * 2 * root / slope
        low, high = np.minimum(inside, outside), np.maximum(inside, outside)
        good = np.isfinite(newton) & (newton > low) & (newton < high)
        guess = np.where(done, guess, np.where(good, newton, (inside + outside) / 2))
    raise FitError(
        f"{function.parameter}: no root of the profile to {options.tolerance:g} in Delta"
    )


def _share(near: Array, far: Array, level: float) -> Array:
    """Return where sqrt(Delta), taken as linear, crosses the level between two points."""
    a = np.sqrt(np.maximum(near, 0.0))
    b = np.sqrt(np.minimum(np.maximum(far, 0.0), 1e6))
    return np.clip((np.sqrt(level) - a) / np.maximum(b - a, 1e-300), 0.05, 0.95)
