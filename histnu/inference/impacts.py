"""Impacts of the nuisance parameters on a parameter of interest, all in one batch.

Each parameter is held at its best fit plus and minus its uncertainty before the fit and after it,
everything else is fitted again, and the impact is the change of the parameter of interest: four
fits per parameter, done together. Ranking is by the larger of the two post-fit impacts.

References: ATLAS and CMS, ATL-PHYS-PUB-2011-11; cabinetry's ``fit.ranking`` computes the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.batch import doubtful, held_minima, held_problems, linear_response, solve
from histnu.inference.certification import Asked, require
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.results import Result
from histnu.inference.uncertainties import Curvature, curvature, prefit

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Impact(Result):
    """Impact of one parameter.

    Attributes:
        name: of the parameter. value: best fit. error: Hesse standard deviation or None.
        status: ``free``, ``at bound`` or ``undetermined``.
        pull, constraint: of a constrained parameter: (best fit - prefit) / prefit standard
            deviation, and the ratio of the standard deviations; None otherwise.
        prefit_up, prefit_down: change of the parameter of interest when this one is held one
            prefit standard deviation above, below its best fit; None without a constraint.
        postfit_up, postfit_down: the same with the postfit standard deviation.
        converged: whether all four fits did.
    """

    name: str
    value: float
    error: float | None
    status: str
    pull: float | None
    constraint: float | None
    prefit_up: float | None
    prefit_down: float | None
    postfit_up: float | None
    postfit_down: float | None
    converged: bool

    @property
    def size(self) -> float:
        """The larger post-fit impact; 0 where there is none."""
        return max(abs(self.postfit_up or 0.0), abs(self.postfit_down or 0.0))


@dataclass(frozen=True)
class Impacts(Result):
    """Impacts on one parameter, largest first.

    Attributes:
        parameter: the parameter of interest. best_fit: its value. error: Hesse, None at a bound.
        impacts: of all other free parameters.
        certified: of the unconditional fit, at which all held fits start.
        engine: ``batched`` or ``pyhf``.
    """

    parameter: str
    best_fit: float
    error: float | None
    impacts: tuple[Impact, ...]
    certified: bool
    engine: str


def impacts(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    options: FitOptions | None = None,
) -> Impacts:
    """Return pre- and post-fit impacts of every free parameter on one, largest first.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        parameter: the parameter of interest. options: how to fit.

    Raises:
        FitError: an unknown or fixed parameter, no data, or a fit that is not certified.
    """
    options = options or FitOptions()
    poi = likelihood.index(parameter)
    held = {likelihood.index(n) for n in options.fixed} | set(np.flatnonzero(likelihood.fixed))
    if poi in held:
        raise FitError(f"{parameter} is fixed; nothing has an impact on it")
    observed = observe(likelihood, data)
    solver = Solver(likelihood, options)
    best = solver.fit(observed)
    certified = require(likelihood, observed, best, Asked({}), options)
    x = best.parameters[0]
    matrix = curvature(likelihood, observed, x, options)
    before = prefit(likelihood)
    others = np.array([i for i in range(len(x)) if i not in held and i != poi], dtype=np.intp)
    moved, converged = _moved(solver, observed, (x, poi, others), (before[1], matrix))
    rows = [
        _impact(likelihood.parameter_names[i], int(i), (x, matrix, before), moved[:, k], bool(ok))
        for k, (i, ok) in enumerate(zip(others, converged, strict=True))
    ]
    rows.sort(key=lambda r: (-r.size, r.name))
    error = float(matrix.sigma[poi]) if matrix.free[poi] else None
    return Impacts(parameter, float(x[poi]), error, tuple(rows), certified, options.engine)


def _moved(
    solver: Solver,
    observed: Observed,
    where: tuple[Array, int, NDArray[np.intp]],
    widths: tuple[Array, Curvature],
) -> tuple[Array, Mask]:
    """Return the changes (4, K) of the parameter of interest and whether the fits converged.

    Rows: prefit up, prefit down, postfit up, postfit down; NaN where a width is zero. Documents
    that may have several minima are fitted from several starts.
    """
    best, poi, others = where
    steps = np.stack([s * w[others] for w in (widths[0], widths[1].sigma) for s in (1.0, -1.0)])
    row, column = np.nonzero(steps)
    index = others[column]
    # the expected response to the step is the best start there is
    values = best[index] + steps[row, column]
    likelihood, options = solver.likelihood, solver.options
    start = linear_response(best, widths[1].covariance, index, values, likelihood.bounds)
    problems = held_problems(likelihood, start, index, values, options)
    found = solve(likelihood, observed, problems, options)
    good = found.converged.copy()
    again = doubtful(solver, observed, (index, values), found.twice_nll)
    if len(again):
        better = held_minima(solver, observed, index[again], values[again])
        found.put(again, better)
        good[again] = better.certified
    out = np.full(steps.shape, np.nan)
    good = good & np.isfinite(found.twice_nll)
    out[row, column] = np.where(good, found.parameters[:, poi] - best[poi], np.nan)
    converged = np.ones(len(others), dtype=bool)
    np.logical_and.at(converged, column, good)
    return out, converged


def _impact(
    name: str,
    i: int,
    fitted: tuple[Array, Curvature, tuple[Array, Array]],
    moved: Array,
    converged: bool,
) -> Impact:
    best, matrix, (center, width) = fitted
    known, free = width[i] > 0, bool(matrix.free[i])
    changes = [float(m) if np.isfinite(m) else None for m in moved]
    return Impact(
        name, float(best[i]), float(matrix.sigma[i]) if free else None, matrix.status[i],
        float((best[i] - center[i]) / width[i]) if known else None,
        float(matrix.sigma[i] / width[i]) if known and free else None,
        changes[0], changes[1], changes[2], changes[3], converged,
    )  # fmt: skip
