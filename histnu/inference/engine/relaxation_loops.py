"""Loops of :mod:`.relaxation`, one problem at a time; imported only where numba is there."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histnu.inference.engine import compiled_loops
from histnu.inference.engine.compiled_loops import (
    Array,
    _call,
    _derivatives,
    _jit,
    _prepare,
    _value,
    _workspace,
    entry,
)

_GAP = 1e-9  # of -2 log L between the relaxed problem and its dual
_FIRST = 0.1  # product of slack and multiplier from which the interior point begins
_SHORT = 0.95  # share of the way to the boundary
_MOST = 50


class Room(NamedTuple):
    """Memory of one problem with K strengths, D parameters of the map and R others.

    Attributes:
        free: (D,) which may change. constant: (K,) strengths of those that may not.
        here, step: (K,) strengths and their change. slope, bend: gradient (K,) and Hessian (K, K)
            in the strengths with the other parameters eliminated; factor (R, R), sides (R, K + 1)
            of that, change (R,).
        theta, slack: (D,) parameters, and their squares beyond theta^2. square, linear: (D,) the
            multipliers' sums. error, push: (D,). residual, multiplier: (K,); left, matrix: (K, K).
        x, trial, g, h: of the workspace; held: (n,) parameters that do not move.
    """

    free: Any
    constant: Array
    here: Array
    step: Array
    slope: Array
    bend: Array
    factor: Array
    sides: Array
    change: Array
    theta: Array
    slack: Array
    square: Array
    linear: Array
    error: Array
    push: Array
    residual: Array
    multiplier: Array
    left: Array
    matrix: Array
    x: Array
    trial: Array
    g: Array
    h: Array
    held: Any


@_call
def _room(strengths: int, parameters: int, rest: int, n: int) -> Room:
    k, d, r = strengths, parameters, rest
    return Room(
        np.zeros(d, dtype=np.bool_), np.zeros(k), np.zeros(k), np.zeros(k), np.zeros(k),
        np.zeros((k, k)), np.zeros((r, r)), np.zeros((r, k + 1)), np.zeros(r),
        np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d),
        np.zeros(k), np.zeros(k), np.zeros((k, k)), np.zeros((k, k)),
        np.zeros(n), np.zeros(n), np.zeros(n), np.zeros((n, n)), np.zeros(n, dtype=np.bool_),
    )  # fmt: skip


@_call
def _eliminate(a: Array, b: Array, n: int) -> bool:
    """Solve ``a x = b`` in place, with row pivots; False where ``a`` is singular."""
    for j in range(n):
        best = j
        for i in range(j + 1, n):
            if abs(a[i, j]) > abs(a[best, j]):
                best = i
        if not abs(a[best, j]) > 1e-300:
            return False
        for k in range(n):
            a[j, k], a[best, k] = a[best, k], a[j, k]
        b[j], b[best] = b[best], b[j]
        for i in range(j + 1, n):
            share = a[i, j] / a[j, j]
            for k in range(j + 1, n):
                a[i, k] -= share * a[j, k]
            b[i] -= share * b[j]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    return True


@_call
def _multipliers(m: Any, q: Any) -> bool:
    """Multipliers of the strengths at the step; whether all squares cost something."""
    inside = True
    for k in range(len(q.step)):
        total = q.slope[k]
        for j in range(len(q.step)):
            total += q.bend[k, j] * q.step[j]
        q.multiplier[k] = total
    for i in range(len(q.theta)):
        if q.free[i]:
            square, linear = 0.0, 0.0
            for k in range(len(q.step)):
                square += m.square[k, i] * q.multiplier[k]
                linear += m.linear[k, i] * q.multiplier[k]
            q.square[i], q.linear[i] = square, linear
            inside &= square > 1e-4
    return inside


@_jit
def _begin(m: Any, q: Any, first: float) -> bool:
    """Find a step at which more squares are too many, and slacks for it."""
    q.step[:] = 0.0
    size, inside = 0.01, _multipliers(m, q)
    for _ in range(60):
        if inside:
            break
        for i in range(len(q.theta)):
            if q.free[i]:
                for k in range(len(q.step)):
                    q.step[k] += size * m.square[k, i]
        size *= 2
        inside = _multipliers(m, q)
    for i in range(len(q.theta)):
        q.slack[i] = first / q.square[i] if q.free[i] else 0.0
    return inside


@_jit
def _reached(m: Any, q: Any, k: int) -> float:
    """Change of a strength by the parameters and slacks."""
    total = q.constant[k] - q.here[k]
    for i in range(len(q.theta)):
        if q.free[i]:
            total += m.linear[k, i] * q.theta[i]
            total += m.square[k, i] * (q.theta[i] ** 2 + q.slack[i])
    return total


@_jit
def _system(m: Any, q: Any, target: float) -> None:
    """Residual and matrix of a step to where every slack times its multiplier is ``target``."""
    size = len(q.step)
    q.left[:] = 0.0
    for i in range(len(q.theta)):
        if not q.free[i]:
            continue
        more, share = target / q.square[i] - q.slack[i], q.slack[i] / q.square[i]
        for k in range(size):
            moved = m.linear[k, i] + 2 * m.square[k, i] * q.theta[i]
            q.residual[k] += m.square[k, i] * more - moved * q.error[i]
            for j in range(k + 1):
                other = m.linear[j, i] + 2 * m.square[j, i] * q.theta[i]
                q.left[k, j] += 0.5 * moved * other / q.square[i]
                q.left[k, j] += share * m.square[k, i] * m.square[j, i]
    for k in range(size):
        for j in range(k):
            q.left[j, k] = q.left[k, j]
    for k in range(size):
        for j in range(size):
            total = 1.0 if k == j else 0.0
            for i in range(size):
                total += q.left[k, i] * q.bend[i, j]
            q.matrix[k, j] = total


@_jit
def _take(m: Any, q: Any, target: float) -> None:
    """Take as much of a step as keeps slacks and multipliers positive."""
    size, length = len(q.step), 1.0
    for k in range(size):
        q.multiplier[k] = 0.0
        for j in range(size):
            q.multiplier[k] += q.bend[k, j] * q.residual[j]
    for i in range(len(q.theta)):
        if not q.free[i]:
            continue
        square, linear, slack, cost = 0.0, 0.0, q.slack[i], q.square[i]
        for k in range(size):
            square += m.square[k, i] * q.multiplier[k]
            linear += m.linear[k, i] * q.multiplier[k]
        q.error[i] = -q.error[i] - (2 * q.theta[i] * square + linear) / (2 * cost)
        q.push[i] = (target - cost * slack - slack * square) / cost
        if square < 0:
            length = min(length, -_SHORT * cost / square)
        if q.push[i] < 0:
            length = min(length, -_SHORT * slack / q.push[i])
    for k in range(size):
        q.step[k] += length * q.residual[k]
    for i in range(len(q.theta)):
        if q.free[i]:
            q.theta[i] += length * q.error[i]
            q.slack[i] += length * q.push[i]


@_call
def _interior(m: Any, q: Any, first: float, wanted: float) -> bool:
    """Minimise the quadratic model over the relaxed strengths (primal-dual interior point)."""
    size, count = len(q.step), 0
    if not _begin(m, q, first):
        return False
    for i in range(len(q.theta)):
        count += q.free[i]
    for _ in range(_MOST):
        _multipliers(m, q)
        gap, off = 0.0, 0.0
        for i in range(len(q.theta)):
            if q.free[i]:
                gap += q.square[i] * q.slack[i]
                q.error[i] = q.theta[i] + q.linear[i] / (2 * q.square[i])
                off += q.square[i] * q.error[i] ** 2
        for k in range(size):
            q.residual[k] = _reached(m, q, k) - q.step[k]
        for k in range(size):
            for j in range(size):
                off += q.residual[k] * q.bend[k, j] * q.residual[j]
        if gap + off < wanted:
            break
        target = (0.01 if off < 0.1 * gap else 0.1) * gap / max(count, 1)
        _system(m, q, target)
        if not _eliminate(q.matrix, q.residual, size):
            return False
        _take(m, q, target)
    for k in range(size):  # always attained by the relaxed parameters
        q.residual[k] = _reached(m, q, k)
    q.step[:] = q.residual
    return True


@_call
def _profile(m: Any, q: Any) -> bool:
    """Eliminate the other parameters from gradient and Hessian; False where not definite."""
    n, size = len(m.rest), len(m.outputs)
    for i in range(n):
        at = m.rest[i]
        for j in range(i + 1):
            apart = q.held[at] or q.held[m.rest[j]]
            total = q.h[at, m.rest[j]] if not apart else (1.0 if i == j else 0.0)
            for k in range(j):
                total -= q.factor[i, k] * q.factor[j, k]
            if i > j:
                q.factor[i, j] = total / q.factor[j, j]
            elif total > 0:
                q.factor[j, j] = np.sqrt(total)
            else:
                return False
        for v in range(size + 1):
            total = 0.0
            if not q.held[at]:
                total = q.g[at] if v == size else q.h[at, m.outputs[v]]
            for k in range(i):
                total -= q.factor[i, k] * q.sides[k, v]
            q.sides[i, v] = total / q.factor[i, i]
    for k in range(size):
        q.slope[k] = q.g[m.outputs[k]]
        for i in range(n):
            q.slope[k] -= q.sides[i, k] * q.sides[i, size]
        for j in range(k + 1):
            total = q.h[m.outputs[k], m.outputs[j]]
            for i in range(n):
                total -= q.sides[i, k] * q.sides[i, j]
            q.bend[k, j] = q.bend[j, k] = total
    return True


@_jit
def _decrease(q: Any) -> float:
    """Decrease of -2 log L that the model expects, and the step of the other parameters."""
    n, size, out = len(q.change), len(q.step), 0.0
    for i in range(n):
        out += 0.5 * q.sides[i, size] ** 2
    for k in range(size):
        out -= q.slope[k] * q.step[k]
        for j in range(size):
            out -= 0.5 * q.step[k] * q.bend[k, j] * q.step[j]
    for i in range(n - 1, -1, -1):
        total = q.sides[i, size]
        for k in range(size):
            total += q.sides[i, k] * q.step[k]
        for j in range(i + 1, n):
            total += q.factor[j, i] * q.change[j]
        q.change[i] = -total / q.factor[i, i]
    return out


@_call
def _search(
    t: Any, w: Any, m: Any, q: Any, f: float, decrease: float, data: Any
) -> float:  # fmt: skip
    """The value after a step that lowers it, into ``q.x``; infinite where none does."""
    main, scale, aux, scale_aux, constant = data
    length = 1.0
    for _ in range(12):
        q.trial[:] = q.x
        for k in range(len(m.outputs)):
            q.trial[m.outputs[k]] = q.here[k] + length * q.step[k]
        for i in range(len(m.rest)):
            at = m.rest[i]
            there = q.x[at] + length * q.change[i]
            q.trial[at] = min(max(there, t.lower[at]), t.upper[at])
        there = _value(t, w, q.trial, main, scale, aux, scale_aux) + constant
        if there < f - 1e-4 * length * decrease + 1e-12 * (1 + abs(f)):
            q.x[:] = q.trial
            return there
        length *= 0.5
    return np.inf


@_call
def _place(t: Any, m: Any, q: Any, start: Array, fixed: Any) -> None:
    """Put the start of a problem into memory."""
    parameters = len(q.theta)
    for i in range(parameters):
        q.free[i], q.theta[i] = not fixed[i], start[i]
    for k in range(len(m.outputs)):
        q.constant[k] = q.here[k] = m.constant[k]
        for i in range(parameters):
            part = m.linear[k, i] * start[i] + m.square[k, i] * start[i] ** 2
            q.here[k] += part
            if fixed[i]:
                q.constant[k] += part
        q.x[m.outputs[k]] = q.here[k]
        q.held[m.outputs[k]] = False
    for i in range(len(m.rest)):
        q.x[m.rest[i]] = start[parameters + i]
        q.held[m.rest[i]] = fixed[parameters + i]


@_jit
def _one(
    t: Any, w: Any, m: Any, q: Any, fixed: Any, data: Any, most: int
) -> float:  # fmt: skip
    """The minimum of one relaxed problem, NaN where it was not found."""
    main, scale, aux, scale_aux, constant = data
    _prepare(t, w, q.x, q.held)
    f = _value(t, w, q.x, main, scale, aux, scale_aux) + constant
    far, first, wanted = True, _FIRST, 0.01
    for _ in range(most if np.isfinite(f) else 0):
        _derivatives(t, w, main, aux, far, q.g, q.h)
        q.g[:], q.h[:] = w.g, w.h
        for i in range(len(m.rest)):
            at, g = m.rest[i], q.g[m.rest[i]]
            outward = (q.x[at] <= t.lower[at] and g > 0) or (q.x[at] >= t.upper[at] and g < 0)
            q.held[at] = fixed[len(q.theta) + i] or outward
        for k in range(len(m.outputs)):
            q.here[k] = q.x[m.outputs[k]]
        there, decrease = np.inf, np.inf
        if _profile(m, q) and _interior(m, q, first, wanted):
            decrease = _decrease(q)
            if decrease < 1e-7 and wanted <= _GAP:
                return f - decrease
            if decrease < 1e-7:
                wanted, far = _GAP, False
                continue
            there = _search(t, w, m, q, f, decrease, data)
        if np.isfinite(there):
            f, far, first = there, decrease > 1.0, max(1e-3, min(_FIRST, 0.1 * decrease))
            wanted = max(_GAP, min(0.01, 1e-3 * decrease**2))
        elif first < _FIRST:  # again from far inside
            first, wanted = _FIRST, _GAP
            q.theta[q.free] = 0.0
            _value(t, w, q.x, main, scale, aux, scale_aux)
        else:
            break
    return np.nan


def _made(of: str) -> Any:
    """Return :func:`relax`; ``of`` is part of the key under which numba keeps it on disk.

    numba looks at the file of a function only, and would keep what it calls in another one.
    """

    @entry
    def relax(
        t: Any, m: Any, start: Array, fixed: Any, main: Array, scale: Array, aux: Array,
        scale_aux: Array, constant: Array, most: int, bound: Array, theta: Array, slack: Array,
        rest: Array,
    ) -> None:  # fmt: skip
        """Minimise P relaxed problems.

        Args:
            t: tables of the workspace. m: the :class:`~.relaxation.Diagonal` map.
            start, fixed: (P, D + R). main ... constant: data, (P, B) or (1, B).
            bound, theta, slack, rest: results, (P,), (P, D), (P, D) and (P, R); NaN: not found.
        """
        assert of
        points, n = len(start), len(t.source)
        w = _workspace(t, n)
        q = _room(len(m.outputs), theta.shape[1], len(m.rest), n)
        for p in range(points):
            d, a, c = p % len(main), p % len(aux), p % len(constant)
            data = (main[d], scale[d], aux[a], scale_aux[a], constant[c])
            _place(t, m, q, start[p], fixed[p])
            bound[p] = _one(t, w, m, q, fixed[p], data, most)
            theta[p], slack[p] = q.theta, q.slack
            for i in range(len(m.rest)):
                rest[p, i] = q.x[m.rest[i]]

    return relax


relax = _made(sha256(Path(compiled_loops.__file__).read_bytes()).hexdigest())
