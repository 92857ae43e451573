"""Two-dimensional confidence regions on the profile likelihood.

Delta is evaluated on a grid in one batch, contoured, and every vertex of the polylines is
then moved along the gradient onto the exact contour of the profile, so that the lines do
not depend on the interpolation between grid points.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.certification import Asked, require
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.problems import BatchFit
from histnu.inference.limits import threshold
from histnu.inference.profile import improved, named, start_of
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
        FitError: unknown or equal names, a grid that does not ascend, or a fit that is not
            certified.
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
        parameters, options.cl, options.dof, level, x, y, delta, tuple(lines), surface.best,
        certified=surface.certified, search=surface.solver.counts.to_json(),
    )  # fmt: skip


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
        self.solver = Solver(likelihood, options)
        self._index = [likelihood.index(p) for p in parameters]
        first = self.solver.fit(observed)
        self.certified = require(likelihood, observed, first, Asked({}), options)
        self.best: BestFit = named(likelihood, first)

    def grid(self, x: Array, y: Array) -> Array:
        """Return Delta (Y, X); the scan runs to and fro, so that neighbours are neighbours."""
        xx, yy = np.meshgrid(x, y)
        xx[1::2] = xx[1::2, ::-1]
        found = self._at(xx.ravel(), yy.ravel())
        self.best = improved(self._likelihood, self.best, found)
        delta = (found.twice_nll - self.best.twice_nll).reshape(xx.shape)
        delta[1::2] = delta[1::2, ::-1]
        return delta

    def _at(self, x: Array, y: Array, before: BatchFit | None = None) -> BatchFit:
        """Return the fits at points of the plane; undefined ones are outside the region.

        Where the points moved little since they were fitted ``before``, along a line, its minima
        and those of the neighbours are the starts.
        """
        held = {self._names[0]: x, self._names[1]: y}
        hints: list[Array] = []
        if before is not None:
            hints = [before.parameters.T, np.roll(before.parameters, 1, axis=0).T]
        start = start_of(self._likelihood, self.best)
        found = self.solver.fit(self._observed, held, start, hints, near=before is not None)
        defined = np.isfinite(found.twice_nll)
        ok = require(self._likelihood, self._observed, found, Asked(held), self._options, defined)
        self.certified = self.certified and ok
        return found

    def refine(self, line: Array, level: float, span: Array, steps: int) -> Array:
        """Move the vertices of a polyline along the gradient onto Delta = level.

        A vertex never moves more than one grid step from where the grid put it; where it
        would, it stays.
        """
        lower, upper = self._likelihood.bounds[self._index].T
        at = line.copy()
        found: BatchFit | None = None
        for _ in range(steps):
            found = self._at(at[:, 0], at[:, 1], found)
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
