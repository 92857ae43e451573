"""Newton directions for many small symmetric systems at once.

The systems are stored with the problems on the last axis, (m, m, P): for the sizes of a
profile fit (m of ten to twenty) a Cholesky decomposition written as m vector operations
over all problems is several times faster than m-sized LAPACK calls in a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs

from histnu.inference.engine.hessian import Arrow, Hessian

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_LAPACK_SIZE = 24  # above this size LAPACK beats the vectorised loop
_FEW = 300  # problems below which the overhead of a numpy call counts
_STACKED = 128  # problems up to which numpy's stacked LAPACK beats the vectorised loop
_PIVOT = 1e-13  # smallest pivot of a unit-diagonal matrix that counts as positive
_LONGEST = 20.0  # longest undamped step, in units of 1 / sqrt(diagonal of H)
_REMOTE = 1e3  # length of the step with the diagonal of H alone, from which steps may be as long
_FLOOR = 1e-6  # smallest eigenvalue used in the saddle-free step


@dataclass(frozen=True)
class NewtonStep:
    """Directions and what was found on the way.

    Attributes:
        step: (m, P) direction ``-H^-1 g``, zero for variables that do not move.
        edm: (P,) expected decrease ``g H^-1 g / 2``.
        indefinite: (P,) True where H was not positive definite and eigenvalues were used.
        lowest: (P,) lowest eigenvalue of the unit-diagonal H where ``indefinite``, else 1.
        valley: (m, P) its eigenvector in the original scale, zero elsewhere.
    """

    step: Array
    edm: Array
    indefinite: Mask
    lowest: Array
    valley: Array


def newton_step(hessian: Hessian, gradient: Array, move: Mask, ridge: Array) -> NewtonStep:
    """Return the damped Newton step of P problems with some variables held.

    The Hessian is scaled to a unit diagonal, so the result does not depend on units. Where
    it is not positive definite its eigenvalues are replaced by their absolute values, which
    turns saddle points into repellers (Dauphin et al., arXiv:1406.2572).

    Args:
        hessian: of m variables and P problems. gradient: (m, P).
        move: (m, P) variables that may move.
        ridge: (P,) relative damping added to the unit diagonal.

    >>> import numpy as np
    >>> h = Hessian(np.array([[2.0, 0.0], [0.0, 4.0]])[:, :, None])
    >>> g = np.array([[2.0], [4.0]])
    >>> newton_step(h, g, np.ones((2, 1), bool), np.zeros(1)).step.ravel().round(9).tolist()
    [-1.0, -1.0]
    """
    diagonal = np.abs(hessian.diagonal())
    largest = diagonal.max(axis=0, initial=0.0)
    usable = diagonal > 1e-300
    scale = np.where(
        move, 1 / np.sqrt(np.where(usable, diagonal, np.maximum(largest, 1e-300))), 0.0
    )
    matrix = hessian.scaled(scale)
    matrix.add_diagonal(np.where(move, ridge, 1.0))
    target = -gradient * scale
    solution, bad = _solve(matrix, target, _solve_any)
    size = np.sqrt(np.square(target).sum(axis=0))
    longest = np.maximum(_LONGEST, size * np.minimum(size / _REMOTE, 1.0))
    long = ~bad & (np.abs(solution).max(axis=0, initial=0.0) > longest)
    if long.any():  # nearly singular: damp until the step has a sensible length
        damping = np.where(long, size / longest, 0.0)
        matrix.add_diagonal(np.broadcast_to(damping, target.shape))
        solution[:, long] = _solve(matrix.select(long), target[:, long], _solve_lapack)[0]
    lowest = np.ones(gradient.shape[1])
    valley = np.zeros_like(gradient)
    if bad.any():
        indefinite = np.moveaxis(matrix.select(bad).dense(), -1, 0).copy()
        # second derivatives that overflow (rates of 1e-160 with events) say nothing: go downhill
        indefinite[~np.isfinite(indefinite).all(axis=(1, 2))] = np.eye(len(gradient))
        w, v = np.linalg.eigh(indefinite)
        lowest[bad] = w[:, 0]
        size = np.maximum(np.abs(w), _FLOOR)
        inner = np.einsum("pij,ip->pj", v, target[:, bad]) / size
        solution[:, bad] = np.einsum("pij,pj->ip", v, inner)
        valley[:, bad] = v[:, :, 0].T * scale[:, bad]
    edm = 0.5 * (target * solution).sum(axis=0)
    return NewtonStep(solution * scale, edm, bad, lowest, valley)


def _solve(
    h: Hessian, b: Array, solve: Callable[[Array, Array], tuple[Array, Mask]]
) -> tuple[Array, Mask]:
    """Solve P systems with ``solve`` for (m, m, P) and (m, P), after eliminating what is local.

    The pivots of the local variables and those of what is left are the pivots of a Cholesky
    decomposition of the whole.
    """
    a = h.arrow
    if a is None:
        return solve(h.core, b)
    k = len(a.others)
    rows = np.empty((b.shape[1], k + 1, len(a.local)))  # those of B, and of the target
    rows[:, :k], rows[:, k] = a.border.transpose(2, 0, 1), b[a.local].T
    pushed, bad = _divided(rows, a)
    product = pushed[:, :k] @ rows.swapaxes(1, 2)
    left = h.core.transpose(2, 0, 1) - product[:, :, :k]
    found, wrong = solve(left.transpose(1, 2, 0), b[a.others] - product[:, :, k].T)
    out = np.empty_like(b)
    out[a.others] = found
    out[a.local] = (pushed[:, k] - (found.T[:, None] @ pushed[:, :k])[:, 0]).T
    return out, bad | wrong


def profiled(h: Hessian, free: Mask, keep: int) -> tuple[Array, Index]:
    """Return second derivatives (m, m, P) after the free local variables, and their variables (m,).

    Those of -2 log L with the local variables at their best values and without variables that are
    not ``free`` (n,); with all that are, if the variable ``keep`` is local.
    """
    a = h.arrow
    if a is None or keep in a.local:
        return h.dense()[np.ix_(free, free)], np.flatnonzero(free)
    moves = np.broadcast_to(free[:, None], (len(free), h.core.shape[-1])).astype(float)
    h = h.scaled(moves)
    h.add_diagonal(1 - moves)  # what is not free is alone
    assert h.arrow is not None
    rows = h.arrow.border.transpose(2, 0, 1)
    left = h.core - (_divided(rows, h.arrow)[0] @ rows.swapaxes(1, 2)).transpose(1, 2, 0)
    k = free[a.others]
    return left[np.ix_(k, k)], a.others[k]


def _divided(rows: Array, arrow: Arrow) -> tuple[Array, Mask]:
    """Return rows (P, k, L) times the inverse of the local blocks, and which are not definite."""
    out, bad = np.empty_like(rows), np.zeros(len(rows), dtype=bool)
    start = 0
    for inner in arrow.inner:
        s, _, g, _ = inner.shape
        where = slice(start, start + s * g)
        if s == 1:
            pivot = inner[0, 0].T
            wrong = ~(pivot > _PIVOT)
            if wrong.any():
                pivot = np.where(wrong, 1.0, pivot)
            np.divide(rows[:, :, where], pivot[:, None], out=out[:, :, where])
            bad |= wrong.any(axis=1)
        else:
            inverse, wrong = _inverses(inner)
            x = rows[:, :, where].reshape(*rows.shape[:2], s, g)
            of = np.einsum("pkjg,jigp->pkig", x, inverse)
            out[:, :, where] = of.reshape(*rows.shape[:2], -1)
            bad |= wrong
        start += s * g
    return out, bad


def _inverses(blocks: Array) -> tuple[Array, Mask]:
    """Return the inverses of (s, s, G, P) by elimination; flag problems that are not definite."""
    a, definite = blocks.copy(), np.ones(blocks.shape[2:], dtype=bool)
    for j in range(len(a)):
        definite &= a[j, j] > _PIVOT
        pivot = 1 / np.where(definite, a[j, j], 1.0)
        column, row = a[:, j].copy(), a[j] * pivot
        a -= column[:, None] * row
        a[j], a[:, j] = row, -column * pivot
        a[j, j] = pivot
    return a, np.asarray(~definite.all(axis=0))


def _solve_any(a: Array, b: Array) -> tuple[Array, Mask]:
    """Solve (m, m, P) in the way that is fastest for its size."""
    if len(b) > _LAPACK_SIZE:
        return _solve_lapack(a, b)
    found = _solve_definite(a, b)
    if found is not None:
        return found, np.zeros(b.shape[1], dtype=bool)
    return _solve_vectorised(a.copy(), b)


def _solve_definite(a: Array, b: Array) -> Array | None:
    """Solve (m, m, P) of few problems; None if there are many or one is not positive definite."""
    if not (b.size and b.shape[1] <= _STACKED):
        return None
    systems = a.transpose(2, 0, 1)
    try:
        pivots = np.linalg.cholesky(systems).diagonal(axis1=1, axis2=2)
    except np.linalg.LinAlgError:
        return None
    if not pivots.min() ** 2 > _PIVOT:  # NaN neither
        return None
    return np.asarray(np.linalg.solve(systems, b.T[..., None])[..., 0].T)


def _solve_vectorised(a: Array, b: Array) -> tuple[Array, Mask]:
    """Solve (m, m, P) by Cholesky, overwriting ``a``; flag problems that are not definite."""
    m = len(b)
    bad = np.zeros(b.shape[1], dtype=bool)
    y = b.copy()
    small = b.shape[1] <= _FEW
    for j in range(m):
        wrong = ~(a[j, j] > _PIVOT)
        if wrong.any():
            bad |= wrong
            a[j + 1 :, j, wrong] = 0.0  # leave the column out: the result is not used
            a[j, j, wrong] = 1.0
        inverse = 1 / np.sqrt(a[j, j])
        a[j:, j] *= inverse
        a[j, j] = inverse
        y[j] *= inverse
        if small:  # fewer calls, twice the arithmetic
            a[j + 1 :, j + 1 :] -= a[j + 1 :, None, j] * a[None, j + 1 :, j]
        else:
            for i in range(j + 1, m):
                a[i, j + 1 : i + 1] -= a[i, j] * a[j + 1 : i + 1, j]
        y[j + 1 :] -= a[j + 1 :, j] * y[j]
    with np.errstate(over="ignore", invalid="ignore"):  # of problems that are flagged
        for j in range(m - 1, -1, -1):
            y[j] *= a[j, j]
            y[:j] -= a[j, :j] * y[j]
    return y, bad


def _solve_lapack(a: Array, b: Array) -> tuple[Array, Mask]:
    """As :func:`_solve_vectorised` for larger systems; ``a`` is left as it is."""
    bad: Mask = np.zeros(b.shape[1], dtype=bool)
    solution = np.zeros_like(b)
    for p in range(b.shape[1]):
        factor, info = dpotrf(a[:, :, p].T, lower=1, clean=0)
        bad[p] = info != 0 or np.diagonal(factor).min(initial=1.0) ** 2 <= _PIVOT
        if not bad[p]:
            solution[:, p] = dpotrs(factor, b[:, p], lower=1)[0]
    return solution, bad
