"""Profile ends of one data set, certified where a document may have several minima.

:func:`histnu.inference.batch.crossings` finds many ends in one batch, each fit from one start. An
end at x with ``Delta(x) = level`` is right if no other start finds a lower minimum there: Delta
can only be lower between the best fit and x, too. Every end is fitted once more from the
suggested start; where that ends elsewhere, in small documents, and in those that are not plain
(:mod:`histnu.inference.engine.structure`), from several starts. What does not hold, and what the
batch did not find, is looked for again as the end of the segment of the region
(:func:`histnu.inference.limits.level_set`) that holds the best fit.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import FitError
from histnu.inference.batch import Crossings, CrossingTask, crossings, doubtful, held_minima
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver
from histnu.inference.engine.likelihood import Observed
from histnu.inference.limits import level_set
from histnu.inference.profile_function import ProfileFunction
from histnu.inference.results import CROSSING

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]
log = logging.getLogger(__name__)


def certified_ends(
    likelihood: AnyLikelihood, observed: Observed, task: CrossingTask, options: FitOptions
) -> tuple[Array, Crossings]:
    """Return the ends (P,), NaN where open or not certified, and what one start per fit found.

    Args:
        likelihood: a batched or mapped likelihood. observed: one data set.
        task: ends of one best fit. options: how to fit.
    """
    found = crossings(likelihood, observed, task, options)
    ends = np.where(found.reached & found.converged, found.value, np.nan)
    if options.engine != "batched" or not len(ends):
        return ends, found
    again = ~found.converged | _moved(likelihood, observed, (task, ends), options)
    failed = {}
    for i, level in dict.fromkeys(zip(task.index[again], task.level[again], strict=True)):
        name = likelihood.parameter_names[i]
        which = (task.index == i) & (task.level == level)
        try:
            function = ProfileFunction(likelihood, observed, name, options, start=task.best[0])
            both = _around(function, float(task.best[0, i]), float(level))
        except FitError as error:
            both, failed[name] = (np.nan, np.nan), str(error)
        ends[which] = np.where(task.sign[which] < 0, *both)
    if failed:
        log.warning("no profile ends of %s: %s", ", ".join(failed), next(iter(failed.values())))
    return ends, found


def _moved(
    likelihood: AnyLikelihood,
    observed: Observed,
    what: tuple[CrossingTask, Array],
    options: FitOptions,
) -> Mask:
    """Return (P,) at which ends several starts do not agree on the level."""
    task, ends = what
    out = np.zeros(len(ends), dtype=bool)
    known = np.flatnonzero(np.isfinite(ends))
    solver = Solver(likelihood, options)
    solver.fit(observed, None, task.best[0])
    wanted = task.twice_nll + task.level
    held = task.index[known], ends[known]
    known = known[doubtful(solver, observed, held, wanted[known])]
    if len(known):
        found = held_minima(solver, observed, task.index[known], ends[known])
        agreed = np.abs(found.twice_nll - wanted[known]) <= options.starts.agreement
        out[known] = ~(agreed & found.certified)
    return out


def _around(function: ProfileFunction, x: float, level: float) -> tuple[float, float]:
    """Return the ends of the segment that holds x, NaN where it has none."""
    segments = level_set(function, level)[1]
    bounds = [
        (-np.inf if s.lower is None else s.lower, np.inf if s.upper is None else s.upper)
        for s in segments
    ]
    off = [max(low - x, x - high, 0.0) for low, high in bounds]
    s = segments[int(np.argmin(off))]
    return (
        s.lower if s.lower is not None and s.lower_end == CROSSING else np.nan,
        s.upper if s.upper is not None and s.upper_end == CROSSING else np.nan,
    )
