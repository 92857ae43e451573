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
    lines = [surface.refine(line, level, (x, y), options.refine) for line in lines]
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
        self._nodes = first  # of the grid, when it was evaluated

    def grid(self, x: Array, y: Array) -> Array:
        """Return Delta (Y, X); the scan runs to and fro, so that neighbours are neighbours."""
        xx, yy = np.meshgrid(x, y)
        xx[1::2] = xx[1::2, ::-1]
        found = self._at(xx.ravel(), yy.ravel())
        self._nodes = found
        self.best = improved(self._likelihood, self.best, found)
        delta = (found.twice_nll - self.best.twice_nll).reshape(xx.shape)
        delta[1::2] = delta[1::2, ::-1]
        return delta

    def _at(self, x: Array, y: Array, near: tuple[BatchFit, ...] = ()) -> BatchFit:
        """Return the fits at points of the plane; undefined ones are outside the region.

        ``near`` are minima close to the points, of which theirs may be the continuation.
        """
        held = {self._names[0]: x, self._names[1]: y}
        start = start_of(self._likelihood, self.best)
        found = self.solver.fit(self._observed, held, start, near=near)
        defined = np.isfinite(found.twice_nll)
        ok = require(self._likelihood, self._observed, found, Asked(held), self._options, defined)
        self.certified = self.certified and ok
        return found

    def _ends(self, x: Array, y: Array, line: Array) -> tuple[BatchFit, BatchFit]:
        """Return the fits at both ends of the edge of the grid on which each vertex lies."""
        i, j = (
            np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2)
            for axis, at in zip((x, y), line.T, strict=True)
        )
        u, v = (line[:, 0] - x[i]) / np.diff(x)[i], (line[:, 1] - y[j]) / np.diff(y)[j]
        upright = np.minimum(u, 1 - u) <= np.minimum(v, 1 - v)  # x is one of the grid
        out = []
        for end in (0, 1):
            column = i + np.where(upright, u.round().astype(np.intp), end)
            row = j + np.where(upright, end, v.round().astype(np.intp))
            there = np.where(row % 2, len(x) - 1 - column, column)  # to and fro
            out.append(self._nodes.select(row * len(x) + there))
        return out[0], out[1]

    def refine(self, line: Array, level: float, grid: tuple[Array, Array], steps: int) -> Array:
        """Move the vertices of a polyline along the gradient onto Delta = level.

        A vertex never moves more than one grid step from where the grid put it; where it
        would, it stays.
        """
        lower, upper = self._likelihood.bounds[self._index].T
        span = np.array([axis[1] - axis[0] for axis in grid])
        at, near = line.copy(), self._ends(*grid, line)
        for _ in range(steps):
            found = self._at(at[:, 0], at[:, 1], near)
            near = found, found.select(np.roll(np.arange(len(found)), 1))
            pars = np.ascontiguousarray(found.parameters.T)
            slope = self._likelihood.derivatives(pars, self._observed).gradient[self._index].T
            miss = found.twice_nll - self.best.twice_nll - level
            scaled = slope * span
            norm = np.square(scaled).sum(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = -(miss / norm)[:, None] * scaled * span
            trial = np.clip(at + np.nan_to_num(step), lower, upper)
            kept = np.all(np.abs(trial - line) <= span, axis=1) & np.isfinite(miss) & (norm > 0)
            at = np.where(kept[:, None], trial, at)
            if np.all(np.abs(miss[kept]) < 1e-8):
                break
        return at


def _contour(x: Array, y: Array, delta: Array, level: float) -> list[Array]:
    """Return the polylines of a level of a grid; undefined points are far above it."""
    from contourpy import contour_generator

    surface = np.where(np.isfinite(delta), delta, 1e3 * level)
    # the square root is nearly linear in the parameters, the contour of Delta is the same
    lines = contour_generator(x, y, np.sqrt(np.maximum(surface, 0.0))).lines(np.sqrt(level))
    return [np.asarray(line, dtype=float) for line in lines]
