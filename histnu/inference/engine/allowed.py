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
_TOGETHER = 1e7  # numbers that evaluating rates together may take


def rate_slopes(likelihood: Likelihood, x: Array, templates: Array | None = None) -> Array:
    """Return the derivatives (n, B, P) of the rates at x (n, P), by central differences.

    Args:
        templates: (P, B) yields of a sample that has no own, see ``likelihood.expected``.
    """
    n, points = x.shape
    step = _STEP * np.maximum(1.0, np.abs(x))
    floats = getattr(likelihood, "floats_per_point", 1000)
    size = int(np.clip(_TOGETHER / (2 * floats * max(points, 1)), 1, n))
    parts = []
    for first in range(0, n, size):
        which = np.arange(first, min(first + size, n))
        moved = np.zeros((n, len(which), points))
        moved[which, which - first] = step[which]
        there = np.concatenate([x[:, None] + moved, x[:, None] - moved], axis=1)
        there = there.reshape(n, -1).T
        if templates is None:
            rates = likelihood.expected(there)
        else:
            yields = np.tile(templates, (2 * len(which), 1))
            rates = likelihood.expected(there, yields)  # type: ignore[call-arg]
        up, down = rates.reshape(2, len(which), points, -1)
        parts.append((up - down) / (2 * step[which, :, None]))
    return np.concatenate(parts).swapaxes(1, 2)


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
    dead[dead] = ~rate_slopes(likelihood, x[:, None])[~held][:, dead].any(axis=(0, 2))
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
    rates, slopes = likelihood.expected(x)[0], rate_slopes(likelihood, x[:, None])[:, :, 0]
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
