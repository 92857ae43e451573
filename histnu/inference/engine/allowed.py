"""Points at which no expected count is negative, for starts at which some are.

From a start the smallest ``lambda_b / max(d_b, 1)`` is made as large as is needed, by a sequence
of linear programs: with the derivatives J of the rates, maximise s subject to::

    lambda + J dx >= s max(d, 1),  s <= 0.2,  bounds,  |dx_i| <= r width_i

where the radius r grows while the rates follow their derivatives (R. Fletcher, Practical Methods
of Optimization, 1987, section 14.4). Rates that are linear in the free parameters, or products of
them, are decided in a few steps; where no step helps at any radius no allowed point is near.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.likelihood import Likelihood

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_ENOUGH = 0.2  # of the observed events, or of one event in an empty bin
_STEPS = 30
_WIDEST = 1e6  # radius beyond which only the bounds count
_STEP = 1e-6  # relative, of the derivatives of rates


def rate_slopes(likelihood: Likelihood, x: Array) -> Array:
    """Return the derivatives (n, B) of the expected counts at x (n,), by central differences."""
    step = _STEP * np.maximum(1.0, np.abs(x))
    moved = likelihood.expected(np.concatenate([x + np.diag(step), x - np.diag(step)]))
    return np.asarray((moved[: len(x)] - moved[len(x) :]) / (2 * step[:, None]))


def allowed_point(
    likelihood: Likelihood, counts: Array, start: tuple[Array, Mask], width: Array
) -> Array | None:
    """Return a point (n,) with positive rates, or None where none was found.

    Args:
        likelihood: gives rates and bounds. counts: (B,) observed.
        start: (n,) and the mask (n,) of the parameters held there. width: (n,) scales.
    """
    x, held = start
    rates = likelihood.expected(x)[0]
    dead = (counts == 0) & (rates == 0)  # nothing is expected there whatever the others are
    dead[dead] = ~rate_slopes(likelihood, x)[~held][:, dead].any(axis=0)
    alive = np.flatnonzero(~dead)
    size = np.maximum(counts, 1.0)[alive]
    score = float(np.min(rates[alive] / size, initial=np.inf))
    radius = 1.0
    for _ in range(_STEPS):
        if score >= 0.5 * _ENOUGH:
            return x
        step, promised = _program(likelihood, (size, alive), (x, held), radius * width)
        if not promised > score + 1e-9:
            if radius >= _WIDEST:
                break
            radius = min(radius * 10, _WIDEST)
            continue
        reached = float(np.min(likelihood.expected(x + step)[0][alive] / size))
        if reached > score:
            x, score = x + step, reached
            radius = min(radius * 2, _WIDEST)
        else:
            radius /= 4
    return x if score > 0 else None


def _program(
    likelihood: Likelihood,
    bins: tuple[Array, Index],
    start: tuple[Array, Mask],
    reach: Array,
) -> tuple[Array, float]:
    """Return the step (n,) of one linear program and the score it promises."""
    from scipy.optimize import linprog

    (size, alive), (x, held) = bins, start
    free = np.flatnonzero(~held)
    rates, slopes = likelihood.expected(x)[0], rate_slopes(likelihood, x)
    low, high = likelihood.bounds.T
    below = np.maximum(low - x, -reach)[free]
    above = np.minimum(high - x, reach)[free]
    limits = [*zip(np.minimum(below, 0.0), np.maximum(above, 0.0), strict=True), (None, _ENOUGH)]
    found = linprog(
        np.append(np.zeros(len(free)), -1.0),
        A_ub=np.column_stack([-slopes[free][:, alive].T, size]),
        b_ub=rates[alive],
        bounds=limits,
    )
    step = np.zeros(len(x))
    if found.x is None:
        return step, -np.inf
    step[free] = found.x[:-1]
    return step, float(found.x[-1])
