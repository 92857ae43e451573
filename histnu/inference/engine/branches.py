"""Whether minima at neighbouring values belong to one branch, by the integral of the slope.

Along a path x(t) of held parameters the minimum v(t) of -2 log L over the others has, by the
envelope theorem, the slope ``dv/dt = g . dx/dt`` with g the gradient in the held parameters. Of
neighbours on the same branch of minima the difference of values is therefore the integral of
the slopes,

    v(b) - v(a) = h (v'(a) + v'(b)) / 2 - h^2 (v''(b) - v''(a)) / 12 + O(h^5),

with v'' from the slopes of three neighbours. A jump to another minimum shows as a difference
between the two sides: its height. No further fit is needed to see that there is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.problems import BatchFit, Problems

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_STRAIGHT = 1e-9  # squared sine of the angle between steps that go in one direction


def straight_runs(path: Array) -> list[tuple[int, int]]:
    """Return (first, last) of the maximal straight runs of points of a path (K, P).

    >>> straight_runs(np.array([[0.0, 1.0, 2.0, 2.0, 1.0, 0.0], [0, 0, 0, 1, 1, 1]]))
    [(0, 2), (3, 5)]
    """
    size = np.ptp(path, axis=1, keepdims=True)
    step = np.diff(path / np.where(size > 0, size, 1.0), axis=1)
    length = np.square(step).sum(axis=0)
    along = (step[:, 1:] * step[:, :-1]).sum(axis=0)
    turn = (along <= 0) | (along**2 < (1 - _STRAIGHT) * length[1:] * length[:-1])
    out, first = [], 0
    for k in np.flatnonzero(turn) + 1:
        if k > first:
            out.append((first, int(k)))
            first = int(k) + 1
    return [*out, (first, path.shape[1] - 1)]


def integrates(t: Array, value: Array, slope: Array, tolerance: Array) -> Mask:
    """Return (P - 1,): whether values (P,) at t (P,), ascending, differ by the slopes' integral."""
    h = np.diff(t)
    curve = np.gradient(slope, t, edge_order=2 if len(t) > 2 else 1)
    with np.errstate(invalid="ignore"):
        area = 0.5 * h * (slope[1:] + slope[:-1]) - h**2 / 12 * np.diff(curve)
        return np.asarray(np.abs(np.diff(value) - area) <= tolerance[1:])


def between(problems: Problems, near: tuple[BatchFit, BatchFit]) -> tuple[Array, Mask]:
    """Return where problems lie between two neighbours, (P,) in 0 to 1, and whether they do."""
    a, b = (np.where(problems.fixed, f.parameters.T, 0.0) for f in near)
    x = np.where(problems.fixed, problems.start, 0.0)
    way, moved = b - a, x - a
    length = np.square(way).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (moved * way).sum(axis=0) / length
        off = np.square(moved - t * way).sum(axis=0) <= _STRAIGHT * length
    return t, np.asarray(off & (t > 0) & (t < 1))


def one_branch(
    problems: Problems, found: BatchFit, near: tuple[BatchFit, ...], tolerance: Array
) -> Mask:
    """Return (P,): whether minima are on the branch of their neighbours' certified minima.

    Args:
        problems: what was fitted. found: the minima.
        near: of each problem one neighbour; or two, of which the second counts if the problem lies
            on the line between them.
        tolerance: (P,) on -2 log L.
    """
    ok = found.converged & near[0].certified
    x, g = (np.where(problems.fixed, y.T, 0.0) for y in (found.parameters, found.gradient))
    first, g_first = (
        np.where(problems.fixed, y.T, 0.0) for y in (near[0].parameters, near[0].gradient)
    )
    slopes = [(g_first * (x - first)).sum(axis=0), (g * (x - first)).sum(axis=0)]
    area = 0.5 * (slopes[0] + slopes[1])
    if len(near) == 2:
        t, inside = between(problems, (near[0], near[1]))
        way = np.where(problems.fixed, near[1].parameters.T, 0.0) - first
        g_last = np.where(problems.fixed, near[1].gradient.T, 0.0)
        a, m, b = ((y * way).sum(axis=0) for y in (g_first, g, g_last))
        with np.errstate(invalid="ignore", divide="ignore"):
            # v'' of the parabola through three slopes grows by t third, then (1 - t) third
            third = 2 * ((b - m) / (1 - t) - (m - a) / t)
            left = 0.5 * t * (a + m) - t**3 / 12 * third
            right = 0.5 * (1 - t) * (m + b) - (1 - t) ** 3 / 12 * third
            both = np.abs(near[1].twice_nll - found.twice_nll - right) <= tolerance
        ok &= ~inside | (both & near[1].certified)
        area = np.where(inside, left, area)
    with np.errstate(invalid="ignore"):
        return np.asarray(ok & (np.abs(found.twice_nll - near[0].twice_nll - area) <= tolerance))


def lagrange(t: Array, at: Array, y: Array) -> Array:
    """Return the polynomial through K nodes t (K, R) with values y (K, R, n) at (R,), (R, n)."""
    out = np.zeros(y.shape[1:])
    for k in range(len(t)):
        weight = np.ones_like(at)
        for j in range(len(t)):
            if j != k:
                weight *= (at - t[j]) / (t[k] - t[j])
        out += weight[:, None] * y[k]
    return out
