"""Two-dimensional confidence regions on the profile likelihood.

Delta is evaluated on a grid in one batch, contoured, and every vertex of the polylines is
then moved along the gradient onto the exact contour of the profile, so that the lines do
not depend on the interpolation between grid points.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.limits import threshold
from histnu.inference.profile import conditional, improved, named
from histnu.inference.results import BestFit, Region2D

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RegionOptions:
    """Level and refinement of a region.

    Attributes:
        cl: confidence level. dof: degrees of freedom of its threshold.
        refine: Newton steps that move the vertices onto the contour.
        fit: how to fit.
    """

    cl: float = 0.9
    dof: int = 2
    refine: int = 4
    fit: FitOptions = field(default_factory=FitOptions)


def region(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameters: tuple[str, str],
    grid: tuple[ArrayLike, ArrayLike],
    options: RegionOptions | None = None,
) -> Region2D:
    """Return the confidence region of two parameters, all others profiled.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        parameters: names on the x and y axes.
        grid: ascending values (X,) and (Y,) of each.
        options: level and refinement.

    Raises:
        FitError: unknown or equal names, or a grid that does not ascend.
    """
    options = options or RegionOptions()
    x, y = (np.asarray(g, dtype=float) for g in grid)
    for name, axis in zip(parameters, (x, y), strict=True):
        likelihood.index(name)
        if axis.ndim != 1 or len(axis) < 2 or not np.all(np.diff(axis) > 0):
            raise FitError(f"{name}: the grid must be at least two ascending values")
    if parameters[0] == parameters[1]:
        raise FitError(f"a region needs two parameters, not {parameters[0]} twice")
    surface = _Surface(likelihood, observe(likelihood, data), parameters, options.fit)
    delta = surface.grid(x, y)
    level = threshold(options.cl, options.dof)
    lines = _contour(x, y, delta, level)
    span = np.array([x[1] - x[0], y[1] - y[0]])
    lines = [surface.refine(line, level, span, options.refine) for line in lines]
    return Region2D(
        parameters, options.cl, options.dof, level, x, y, delta, tuple(lines), surface.best
    )


class _Surface:
    """Delta as a function of two parameters."""

    def __init__(
        self,
        likelihood: AnyLikelihood,
        observed: Observed,
        parameters: tuple[str, str],
        options: FitOptions,
    ) -> None:
        self._likelihood = likelihood
        self._observed = observed
        self._names = parameters
        self._options = options
        self._index = [likelihood.index(p) for p in parameters]
        self.best: BestFit = named(likelihood, fit(likelihood, observed, None, None, options))

    def grid(self, x: Array, y: Array) -> Array:
        """Return Delta (Y, X); the scan runs to and fro, so that neighbours are neighbours."""
        xx, yy = np.meshgrid(x, y)
        xx[1::2] = xx[1::2, ::-1]
        found = conditional(
            self._likelihood, self._observed,
            {self._names[0]: xx.ravel(), self._names[1]: yy.ravel()}, self.best, self._options,
        )  # fmt: skip
        self.best = improved(self._likelihood, self.best, found)
        delta = (found.twice_nll - self.best.twice_nll).reshape(xx.shape)
        delta[1::2] = delta[1::2, ::-1]
        return delta

    def refine(self, line: Array, level: float, span: Array, steps: int) -> Array:
        """Move the vertices of a polyline along the gradient onto Delta = level.

        A vertex never moves more than one grid step from where the grid put it; where it
        would, it stays.
        """
        lower, upper = self._likelihood.bounds[self._index].T
        at = line.copy()
        for _ in range(steps):
            found = conditional(
                self._likelihood, self._observed,
                {self._names[0]: at[:, 0], self._names[1]: at[:, 1]}, self.best, self._options,
            )  # fmt: skip
            pars = np.ascontiguousarray(found.parameters.T)
            slope = self._likelihood.derivatives(pars, self._observed).gradient[self._index].T
            miss = found.twice_nll - self.best.twice_nll - level
            scaled = slope * span
            norm = np.square(scaled).sum(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = -(miss / norm)[:, None] * scaled * span
            trial = np.clip(at + np.nan_to_num(step), lower, upper)
            near = np.all(np.abs(trial - line) <= span, axis=1) & np.isfinite(miss) & (norm > 0)
            at = np.where(near[:, None], trial, at)
            if np.all(np.abs(miss[near]) < 1e-8):
                break
        return at


def _contour(x: Array, y: Array, delta: Array, level: float) -> list[Array]:
    """Return the polylines of a level of a grid; undefined points are far above it."""
    from contourpy import contour_generator

    surface = np.where(np.isfinite(delta), delta, 1e3 * level)
    # the square root is nearly linear in the parameters, the contour of Delta is the same
    lines = contour_generator(x, y, np.sqrt(np.maximum(surface, 0.0))).lines(np.sqrt(level))
    return [np.asarray(line, dtype=float) for line in lines]
