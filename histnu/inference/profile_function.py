"""The profile of one parameter as a function: evaluated in batches, and remembered.

Delta is that of :mod:`histnu.inference.profile`; its derivative is, by the envelope theorem, the
partial derivative of -2 log L at the profiled point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.certification import Asked, require
from histnu.inference.engine.boundary import boundary_pull
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.linalg import profiled
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import BatchFit, Problems
from histnu.inference.profile import improved, named, start_of

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_BEYOND = 1e4  # Delta above which a value is excluded by one fit: no second start is asked for
_FINEST = 1e-14  # of the distance of the bounds: fifty roundings, so that values stay apart
_CARRIED = 4  # most sweeps that carry a lower minimum to its neighbours


@dataclass
class _Known:
    """What was evaluated, in ascending order of the parameter: values, fits and slopes."""

    x: Array
    fit: BatchFit
    slope: Array

    def add(self, x: Array, fit: BatchFit, slope: Array) -> _Known:
        order = np.argsort(np.concatenate([self.x, x]), kind="stable")
        both = BatchFit.join([self.fit, fit]).select(order)
        return _Known(
            np.concatenate([self.x, x])[order], both, np.concatenate([self.slope, slope])[order]
        )


class ProfileFunction:
    """Delta and its derivative as a function of one parameter, for many values at once.

    Args:
        likelihood, observed: what is fitted. parameter: its name. options: how to fit.
        most_starts: minimisations after which nothing more is evaluated.
        start: (n,) of the free fit; the suggested one if None.

    Raises:
        FitError: the parameter is fixed, or the likelihood is undefined at its start.
    """

    def __init__(
        self,
        likelihood: AnyLikelihood,
        observed: Observed,
        parameter: str,
        options: FitOptions,
        most_starts: int = 10_000,
        start: Array | None = None,
    ) -> None:
        self.most_starts = most_starts
        self.likelihood = likelihood
        self.observed = observed
        self._options = options
        self.parameter = parameter
        self.index = likelihood.index(parameter)
        if likelihood.fixed[self.index] or parameter in options.fixed:
            raise FitError(f"{parameter} is fixed; it has no interval")
        self._empty = observed.main[:, 0] == 0
        self.solver = Solver(likelihood, options)
        first = self.solver.fit(observed, None, start)
        self.certified = require(likelihood, observed, first, Asked({}), options)
        self.best = named(likelihood, first)
        x = np.array([self.center])
        self._known = _Known(x, first, self._slopes(first))

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the parameter."""
        low, high = self.likelihood.bounds[self.index]
        return float(low), float(high)

    @property
    def center(self) -> float:
        """Best-fit value."""
        return self.best.parameters[self.parameter]

    @property
    def x(self) -> Array:
        """Values evaluated so far, ascending."""
        return self._known.x

    @property
    def delta(self) -> Array:
        """Delta at them, infinite where undefined."""
        return self._known.fit.twice_nll - self.best.twice_nll

    @property
    def slope(self) -> Array:
        """Its derivative at them."""
        return self._known.slope

    def _slopes(self, found: BatchFit) -> Array:
        """Return dDelta/dx: the partial derivative, and the pull of empty bins at a rate of 0."""
        pars = np.ascontiguousarray(found.parameters.T)
        defined = np.isfinite(found.twice_nll)
        gradient = found.gradient.T.copy()
        # multipliers of rates near zero need the gradient at the last digit of the minimum
        unknown = np.isnan(gradient).any(axis=0) | self._empty.any()
        with np.errstate(all="ignore"):
            more = self.likelihood.derivatives(pars[:, unknown], self.observed).gradient
        gradient[:, unknown] = more
        slope = np.where(defined, gradient[self.index], 0.0)
        if self._empty.any():
            slope += boundary_pull(
                self.likelihood, (self._empty, self.index), pars, np.where(defined, gradient, 0.0)
            )
        return slope

    def evaluate(self, values: Array, near: bool = False) -> tuple[Array, Array]:
        """Return Delta (P,) and its derivative (P,); lower the best fit if undercut.

        Args:
            values: (P,). near: values known on both sides are near, their minima are starts.
        """
        if self.solver.counts.starts > self.most_starts:
            raise FitError(
                f"{self.parameter} = {values[0]:.6g}: the region is not known after "
                f"{self.solver.counts.starts} minimisations, more than {self.most_starts}"
            )
        new = np.unique(values)
        new = new[~np.isin(new, self.x)]
        if len(new):
            known = self._known
            after = np.clip(np.searchsorted(known.x, new), 1, max(len(known.x) - 1, 1))
            around: tuple[BatchFit, ...] = ()
            if len(known.x) > 1:
                around = (known.fit.select(after - 1), known.fit.select(after))
            held = {self.parameter: new}
            start = start_of(self.likelihood, self.best)
            hints = [f.parameters.T for f in around]
            found = self.solver.fit(self.observed, held, start, hints, around if near else ())
            self.best = improved(self.likelihood, self.best, found)
            self._known = known.add(new, found, self._slopes(found))
        return self.known(values)

    def beside(self, values: Array) -> Array:
        """Return Delta at values of any shape, everything else at the best fit."""
        points = np.repeat(start_of(self.likelihood, self.best)[:, None], values.size, axis=1)
        points[self.index] = values.ravel()
        found = self.likelihood.value(points, self.observed) - self.best.twice_nll
        return np.nan_to_num(found, nan=np.inf).reshape(values.shape)

    def at_most(self, values: Array) -> Array:
        """Return what Delta does not exceed at values (P,), from one descent each; not kept."""
        held: dict[str, ArrayLike] = {**self._options.fixed, self.parameter: values}
        start = start_of(self.likelihood, self.best)
        problems = Problems.make(self.likelihood, len(values), held, start)
        options = replace(self._options.minimise, migrad=False, boundary=False)
        found = minimise(self.likelihood, self.observed, problems, options)
        return np.nan_to_num(found.twice_nll - self.best.twice_nll, nan=np.inf)

    def known(self, values: Array) -> tuple[Array, Array]:
        """Return Delta and its derivative at values that were evaluated."""
        k = np.searchsorted(self.x, values)
        return self.delta[k], self.slope[k]

    def parameters_at(self, value: float) -> Array:
        """Return the profiled parameters (n,) at the nearest value that was evaluated."""
        return self._known.fit.parameters[int(np.argmin(np.abs(self.x - value)))]

    def settle(self) -> None:
        """Carry the minima to their neighbours until none becomes lower."""
        if not self.solver.second:
            return
        changed = np.ones(len(self.x), dtype=bool)
        for _ in range(_CARRIED):
            around = changed | np.roll(changed, 1) | np.roll(changed, -1)
            around &= np.isfinite(self.delta)  # what no walk reached stays undefined
            changed = self._carry(np.flatnonzero(around))
            if not changed.any():
                return

    def _carry(self, todo: Index) -> Mask:
        """Fit some values again from the minima of their neighbours; return which fell."""
        fit, last = self._known.fit, len(self.x) - 1
        near = tuple(fit.select(np.clip(todo + side, 0, last)) for side in (-1, 1))
        start = fit.parameters[todo]
        held = {self.parameter: self.x[todo]}
        found = self.solver.fit(self.observed, held, start, near=near)
        with np.errstate(invalid="ignore"):
            change = found.twice_nll - fit.twice_nll[todo]
        lower = change < np.where(found.converged, -1e-8, -1e-5)
        better = lower | (found.certified & ~fit.certified[todo])
        fit.put(todo[better], found.select(better))
        self._known.slope[todo[better]] = self._slopes(found.select(better))
        self.best = improved(self.likelihood, self.best, found)
        out = np.zeros(len(self.x), dtype=bool)
        out[todo[lower]] = True
        return out

    def require(self, values: Array | None) -> None:
        """Raise if a value, or any evaluated so far, is not certified (or note it)."""
        known = self._known
        which = np.arange(len(known.x)) if values is None else np.searchsorted(known.x, values)
        found, asked = known.fit.select(which), Asked({self.parameter: known.x[which]})
        with np.errstate(invalid="ignore"):
            matters = found.twice_nll - self.best.twice_nll <= _BEYOND
        ok = require(self.likelihood, self.observed, found, asked, self._options, matters)
        self.certified = self.certified and ok

    def sigma(self) -> float:
        """Return a scale of the parameter: from curvature, slope at a bound, or its size.

        Where a bin's rate is next to zero, or at a bound, the curvature can suggest one that is no
        distance between the bounds.
        """
        longest = float(np.ptp(self.bounds))
        width = self._width()
        return float(np.clip(width, _FINEST * longest, longest)) if np.isfinite(longest) else width

    def _width(self) -> float:
        """Return the scale from what is known at the best fit."""
        pars = np.array([[self.best.parameters[k]] for k in self.likelihood.parameter_names])
        at = self.likelihood.derivatives(pars, self.observed)
        lower, upper = self.likelihood.bounds.T
        free = ~self.likelihood.fixed & (pars[:, 0] > lower) & (pars[:, 0] < upper)
        free[self.index] = True
        second, numbers = profiled(at.second, free, self.index)
        where, hessian = int(np.flatnonzero(numbers == self.index)[0]), second[:, :, 0]
        unit = np.sqrt(np.abs(np.diagonal(hessian)))
        unit = np.where(unit > 0, unit, 1.0)
        try:
            inverse = np.linalg.pinv(hessian / np.outer(unit, unit))
            variance = 2 * inverse[where, where] / unit[where] ** 2
        except np.linalg.LinAlgError:
            variance = np.nan
        if np.isfinite(variance) and variance > 0:
            return float(np.sqrt(variance))
        width = float(at.widths()[self.index, 0])
        if self.center in self.bounds and np.isfinite(width):
            return width
        size = abs(self.center) * 0.1 or abs(self.likelihood.init[self.index]) * 1e-3
        return float(size or 1e-3)
