"""Loops of :mod:`.compiled`, one problem at a time; imported only where numba is there.

Every function is the scalar form of its namesake in :mod:`.newton`, :mod:`.linalg`,
:mod:`.likelihood` and :mod:`.mapped`; see there for what is done and why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

_SUMS = {"reassoc", "contract", "nsz"}
_ARRAYS = {"nogil": True, "error_model": "numpy", "_nrt": True}
_call = numba.njit(**_ARRAYS)
_jit = numba.njit(**_ARRAYS, forceinline=True)
"""These may make arrays, and count who uses them: 1 us for a call with the model and the memory."""
_BARE = {**_ARRAYS, "_nrt": False}
_bare = numba.njit(**_BARE)
_bare_sums = numba.njit(**_BARE, fastmath=_SUMS)
"""Of long sums, whose order is free."""
_inline = numba.njit(**_BARE, forceinline=True)
_sums = numba.njit(**_BARE, forceinline=True, fastmath=_SUMS)
"""Inlined: a call hands over the model and the memory in hundreds of words."""


def entry(function: Callable[..., None]) -> Any:
    """Compile a function that Python calls, kept on disk where some folder can be written.

    Only such functions are kept: each has the ones it calls in it.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError as error:  # numba finds no folder it may write to
        log.info("%s; set NUMBA_CACHE_DIR to keep compiled fits", error)
        return _call(function)


_PIVOT = 1e-13
_LONGEST = 20.0
_ROUNDING = 1e-14
_FAR = 1.0
_NOTHING = 1e-9
_FLOOR = 1e-6
_CLOSE = 1e-3
_LEFT = 1e-14
_SHRINKING = 0.05
_TINY = 3e-12


class Work(NamedTuple):
    """Memory of one problem.

    Attributes:
        theta: (n,) parameters of the workspace; rows: (R,) of the map.
        effect: (3, E) values and two derivatives. shape: (R, B) of the rows. every, without:
            (R,) and (R, W) products of the factors of a row, of all but one.
        rate, residual, weight, second, heavy: (B,). jacobian: (n, B).
        g, h: gradient and Hessian of the workspace. active: (R,) rows that are not zero for all
            values of the free parameters. moves: (n,) parameters that change. live: (m + 1,)
            the free fitted parameters after their number.
        matrix, target, scale, solution: of the linear system; lowest (1,) and valley (m,) where
            it is not definite. slope, bend, step, trial, move: of the iteration.
    """

    theta: Array
    rows: Array
    effect: Array
    shape: Array
    every: Array
    without: Array
    rate: Array
    residual: Array
    weight: Array
    second: Array
    heavy: Array
    jacobian: Array
    g: Array
    h: Array
    active: Any
    moves: Any
    live: Any
    matrix: Array
    target: Array
    scale: Array
    solution: Array
    lowest: Array
    valley: Array
    slope: Array
    bend: Array
    step: Array
    trial: Array
    move: Any


@_call
def _workspace(m: Any, fitted: int) -> Work:
    n, bins = len(m.source), m.nominal.shape[1]
    return Work(
        np.zeros(n), np.zeros(max(len(m.pointer) - 1, 0)), np.zeros((3, len(m.kind))),
        np.zeros(m.nominal.shape), np.zeros(len(m.nominal)), np.zeros(m.slots.shape),
        np.zeros(bins), np.zeros(bins), np.zeros(bins), np.zeros(bins), np.zeros(bins),
        np.zeros((n, bins)), np.zeros(n), np.zeros((n, n)),
        np.ones(len(m.nominal), dtype=np.bool_), np.ones(n, dtype=np.bool_),
        np.zeros(fitted + 1, dtype=np.intp), np.zeros((fitted, fitted)),
        np.zeros(fitted), np.zeros(fitted), np.zeros(fitted), np.zeros(1),
        np.zeros(fitted), np.zeros(fitted), np.zeros((fitted, fitted)), np.zeros(fitted),
        np.zeros(fitted), np.zeros(fitted, dtype=np.bool_),
    )  # fmt: skip


@_bare
def _prepare(m: Any, w: Any, x: Array, fixed: Any) -> None:
    """Find what can change: rows with a factor that is held at zero are left out."""
    count = 0
    for i in range(len(x)):
        if not fixed[i]:
            count += 1
            w.live[count] = i
    w.live[0] = count
    for i in range(len(m.source)):
        w.moves[i] = m.source[i] < 0 or not fixed[m.source[i]]
    for r in range(len(m.nominal)):
        w.active[r] = True
        for k in range(m.slots.shape[1]):
            e = m.slots[r, k]
            if e >= 0 and m.kind[e] == 0 and not w.moves[m.parameter[e]]:
                w.active[r] &= x[m.source[m.parameter[e]]] != 0


@_inline
def _strengths(m: Any, w: Any, x: Array) -> None:
    """Parameters of the workspace from the fitted ones."""
    for i in range(len(m.source)):
        if m.source[i] >= 0:
            w.theta[i] = x[m.source[i]]
    powers = m.monomials
    for r in range(len(w.rows)):
        total = 0.0
        for e in range(m.pointer[r], m.pointer[r + 1]):
            product = m.value[e]
            for d in range(powers.shape[1]):
                for _ in range(powers[m.column[e], d]):
                    product *= x[d]
            total += product
        w.rows[r] = total
    for k in range(len(m.output)):
        w.theta[m.output[k]] = w.rows[k]


@_inline
def _effects(m: Any, w: Any) -> None:
    """Values and derivatives of all effects."""
    for k in range(len(m.kind)):
        a, first, second, kind = w.theta[m.parameter[k]], m.first[k], m.second[k], m.kind[k]
        value, slope, curve = a, 1.0, 0.0
        if kind == 1 or (kind == 2 and abs(a) >= 1):
            rate = second if a > 0 else -first
            value = np.exp(rate * a)
            slope = rate * value
            curve = rate * slope
        elif kind == 2:
            value = 1 + a * (
                m.poly[k, 0]
                + a
                * (
                    m.poly[k, 1]
                    + a
                    * (m.poly[k, 2] + a * (m.poly[k, 3] + a * (m.poly[k, 4] + a * m.poly[k, 5])))
                )
            )
            slope = m.poly[k, 0] + a * (
                2 * m.poly[k, 1]
                + a
                * (
                    3 * m.poly[k, 2]
                    + a * (4 * m.poly[k, 3] + a * (5 * m.poly[k, 4] + a * 6 * m.poly[k, 5]))
                )
            )
            curve = 2 * m.poly[k, 1] + a * (
                6 * m.poly[k, 2]
                + a * (12 * m.poly[k, 3] + a * (20 * m.poly[k, 4] + a * 30 * m.poly[k, 5]))
            )
        elif kind == 3:
            slope = first if a > 0 else second
            value = slope * a
        elif kind == 4:
            half, s, c = abs(a) / 2, 0.5 if a > 0 else -0.5, 0.0
            if abs(a) <= 1:
                q = a * a
                half = q * (15 + q * (3 * q - 10)) / 16
                s = a * (30 + q * (18 * q - 40)) / 16
                c = (30 + q * (90 * q - 120)) / 16
            value = first * (a / 2 + half) + second * (a / 2 - half)
            slope = first * (0.5 + s) + second * (0.5 - s)
            curve = (first - second) * c
        w.effect[0, k], w.effect[1, k], w.effect[2, k] = value, slope, curve


@_inline
def _product(effect: Array, slots: Any, r: int, left_out: int, other: int) -> float:
    """Product of the factors of a row but one or two (-1: none)."""
    out = 1.0
    for k in range(slots.shape[1]):
        if slots[r, k] >= 0 and k != left_out and k != other:
            out *= effect[0, slots[r, k]]
    return out


@_sums
def _rates(m: Any, w: Any) -> None:
    """Expected counts; ``shape`` is that of the rows before their factors."""
    for b in range(len(w.rate)):
        w.rate[b] = 0.0
    for r in range(len(m.nominal)):
        if w.active[r]:
            for b in range(m.start[r], m.stop[r]):
                w.shape[r, b] = m.nominal[r, b]
    for k in range(len(m.pair)):
        d, e = m.pair[k, 0], m.pair[k, 1]
        r, value = m.owner[d], w.effect[0, m.added[d]]
        other = w.effect[0, m.added[e]] if e != d else 0.0
        if w.active[r]:
            for b in range(m.start[r], m.stop[r]):
                w.shape[r, b] += value * m.difference[d, b] + other * m.difference[e, b]
    for r in range(len(m.nominal)):
        if not w.active[r]:
            continue
        value = _product(w.effect, m.slots, r, -1, -1)
        w.every[r] = value
        for b in range(m.start[r], m.stop[r]):
            w.rate[b] += value * w.shape[r, b]


@_bare
def _evaluate(m: Any, w: Any, x: Array) -> None:
    """Expected counts at fitted parameters."""
    _strengths(m, w, x)
    _effects(m, w)
    _rates(m, w)


@_inline
def _twice_nll(m: Any, w: Any, main: Array, scale: Array, aux: Array, scale_aux: Array) -> float:
    """-2 log L without the constant of the data, of the counts evaluated last."""
    total = 0.0
    for b in range(len(main)):
        rate, n = w.rate[b], main[b]
        if not rate >= 0 or (rate == 0 and n > 0):
            return np.inf
        ratio = rate / scale[b]
        total += (ratio - 1) * scale[b]
        if n > 0:
            total -= np.log(ratio) * n
    out = 2 * total
    for k in range(len(m.gauss)):
        pull = (w.theta[m.gauss[k]] - aux[m.gauss_at[k]]) * m.gauss_scale[k]
        out += pull * pull
    for k in range(len(m.poisson)):
        n, s = aux[m.poisson_at[k]], scale_aux[m.poisson_at[k]]
        ratio = w.theta[m.poisson[k]] * m.poisson_scale[k] / s
        out += 2 * s * (ratio - 1)
        if n > 0:
            out -= 2 * n * np.log(ratio)
    return np.inf if np.isnan(out) else out


@_bare
def _value(
    m: Any, w: Any, x: Array, main: Array, scale: Array, aux: Array, scale_aux: Array
) -> float:
    """-2 log L without the constant of the data; ``inf`` where it is undefined."""
    _evaluate(m, w, x)
    return _twice_nll(m, w, main, scale, aux, scale_aux)


@_inline
def _leave_out(m: Any, w: Any, r: int) -> None:
    """Products of all factors of a row but one, for every one."""
    product, last = 1.0, 0
    for k in range(m.slots.shape[1]):
        if m.slots[r, k] < 0:
            break
        w.without[r, k] = product
        product *= w.effect[0, m.slots[r, k]]
        last = k
    product = 1.0
    for k in range(last, -1, -1):
        w.without[r, k] *= product
        if m.slots[r, k] >= 0:
            product *= w.effect[0, m.slots[r, k]]


@_sums
def _jacobian(m: Any, w: Any, far: bool) -> None:
    """Derivatives of the counts, and the part of the Hessian of second derivatives."""
    n = len(w.g)
    for i in range(n):
        for b in range(m.low[i], m.high[i]):
            w.jacobian[i, b] = 0.0
        for j in range(n):
            w.h[i, j] = 0.0
    for r in range(len(m.nominal)):
        if not w.active[r]:
            continue
        _leave_out(m, w, r)
        pull = 0.0
        if not far:
            for b in range(m.start[r], m.stop[r]):
                pull += 2 * w.second[b] * w.shape[r, b]
        for k in range(m.slots.shape[1]):
            if m.slots[r, k] < 0:
                break
            p = m.parameter[m.slots[r, k]]
            if not w.moves[p]:
                continue
            others = w.without[r, k]
            slope = others * w.effect[1, m.slots[r, k]]
            for b in range(m.start[r], m.stop[r]):
                w.jacobian[p, b] += slope * w.shape[r, b]
            if far:
                continue
            w.h[p, p] += pull * others * w.effect[2, m.slots[r, k]]
            for q in range(k + 1, m.slots.shape[1]):
                if m.slots[r, q] < 0:
                    break
                if not w.moves[m.parameter[m.slots[r, q]]]:
                    continue
                both = pull * w.effect[1, m.slots[r, k]] * w.effect[1, m.slots[r, q]]
                both *= _product(w.effect, m.slots, r, k, q)
                w.h[p, m.parameter[m.slots[r, q]]] += both
                w.h[m.parameter[m.slots[r, q]], p] += both


@_sums
def _added(m: Any, w: Any, far: bool) -> None:
    """What the additive differences contribute to both; up and down of a parameter together."""
    for k in range(len(m.pair)):
        d, e = m.pair[k, 0], m.pair[k, 1]
        r, one, two = m.owner[d], m.added[d], m.added[e]
        p, alone = m.parameter[one], e == d
        if not w.active[r] or not w.moves[p]:
            continue
        slope = w.effect[1, one]
        other = 0.0 if alone else w.effect[1, two]
        first, second = w.every[r] * slope, w.every[r] * other
        if far:
            for b in range(m.start[r], m.stop[r]):
                w.jacobian[p, b] += first * m.difference[d, b] + second * m.difference[e, b]
            continue
        pull, push = 0.0, 0.0
        for b in range(m.start[r], m.stop[r]):
            up, down = m.difference[d, b], m.difference[e, b]
            w.jacobian[p, b] += first * up + second * down
            pull += w.second[b] * up
            push += w.second[b] * down
        w.h[p, p] += 2 * w.every[r] * pull * w.effect[2, one]
        if not alone:
            w.h[p, p] += 2 * w.every[r] * push * w.effect[2, two]
        both = 2 * (pull * slope + push * other)
        for j in range(m.slots.shape[1]):
            f = m.slots[r, j]
            if f < 0:
                break
            w.h[p, m.parameter[f]] += both * w.effect[1, f] * w.without[r, j]
            w.h[m.parameter[f], p] += both * w.effect[1, f] * w.without[r, j]


@_sums
def _contract(m: Any, w: Any) -> None:
    """Gradient and the products of first derivatives."""
    n = len(w.g)
    for i in range(n):
        if not w.moves[i]:
            continue
        total = 0.0
        for b in range(m.low[i], m.high[i]):
            total += w.jacobian[i, b] * w.residual[b]
            w.heavy[b] = 2 * w.jacobian[i, b] * w.weight[b]
        w.g[i] = 2 * total
        for j in range(i + 1):
            if not w.moves[j]:
                continue
            total = 0.0
            for b in range(max(m.low[i], m.low[j]), min(m.high[i], m.high[j])):
                total += w.heavy[b] * w.jacobian[j, b]
            w.h[i, j] += total
            if i != j:
                w.h[j, i] += total


@_bare
def _derivatives(m: Any, w: Any, main: Array, aux: Array, far: bool, g: Array, h: Array) -> None:
    """Gradient and Hessian in the fitted parameters, at the point of the last value.

    Without a map they are ``w.g`` and ``w.h``, else ``g`` and ``h``.
    """
    for b in range(len(main)):
        safe = w.rate[b] if w.rate[b] > 0 else 1.0
        ratio = main[b] / safe
        w.residual[b] = 1 - ratio
        w.weight[b] = (1.0 if far else ratio) / safe
        w.second[b] = 0.0 if far else w.residual[b]
    _jacobian(m, w, far)
    _added(m, w, far)
    _contract(m, w)
    for k in range(len(m.gauss)):
        i, inverse = m.gauss[k], 2 * m.gauss_scale[k] ** 2
        w.g[i] += inverse * (w.theta[i] - aux[m.gauss_at[k]])
        w.h[i, i] += inverse
    for k in range(len(m.poisson)):
        i, n = m.poisson[k], aux[m.poisson_at[k]]
        w.g[i] += 2 * (m.poisson_scale[k] - n / w.theta[i])
        w.h[i, i] += 2 * n / w.theta[i] ** 2
    if len(m.output):
        _chain(m, w, g, h)


@_bare_sums
def _gradient(m: Any, w: Any, main: Array, aux: Array, g: Array) -> None:
    """Gradient in all fitted parameters, also those that are held, at the last value."""
    for b in range(len(main)):
        w.residual[b] = 2 * (1 - main[b] / (w.rate[b] if w.rate[b] > 0 else 1.0))
    for i in range(len(w.g)):
        w.g[i] = 0.0
    for r in range(len(m.nominal)):
        pull = 0.0
        for b in range(m.start[r], m.stop[r]):
            pull += w.residual[b] * w.shape[r, b]
        _leave_out(m, w, r)
        for k in range(m.slots.shape[1]):
            e = m.slots[r, k]
            if e < 0:
                break
            w.g[m.parameter[e]] += pull * w.without[r, k] * w.effect[1, e]
    for d in range(len(m.owner)):
        r, e, pull = m.owner[d], m.added[d], 0.0
        for b in range(m.start[r], m.stop[r]):
            pull += w.residual[b] * m.difference[d, b]
        w.g[m.parameter[e]] += pull * w.every[r] * w.effect[1, e]
    for k in range(len(m.gauss)):
        i = m.gauss[k]
        w.g[i] += 2 * m.gauss_scale[k] ** 2 * (w.theta[i] - aux[m.gauss_at[k]])
    for k in range(len(m.poisson)):
        i = m.poisson[k]
        w.g[i] += 2 * (m.poisson_scale[k] - aux[m.poisson_at[k]] / w.theta[i])
    for i in range(len(g)):
        g[i] = 0.0
    for i in range(len(m.source)):
        if m.source[i] >= 0:
            g[m.source[i]] = w.g[i]
    for r in range(len(m.slope)):
        g[m.slope[r, 1]] += w.rows[len(m.output) + r] * w.g[m.output[m.slope[r, 0]]]


@_bare
def _chain(m: Any, w: Any, g: Array, h: Array) -> None:
    """Chain rule of the map."""
    for i in range(len(g)):
        g[i] = 0.0
        for j in range(len(g)):
            h[i, j] = 0.0
    source, outputs = m.source, len(m.output)
    for i in range(len(source)):
        if source[i] >= 0 and w.moves[i]:
            g[source[i]] = w.g[i]
            for j in range(len(source)):
                if source[j] >= 0 and w.moves[j]:
                    h[source[i], source[j]] = w.h[i, j]
    for r in range(len(m.slope)):
        base, i, s = m.output[m.slope[r, 0]], m.slope[r, 1], w.rows[outputs + r]
        g[i] += s * w.g[base]
        for j in range(len(source)):
            if source[j] >= 0 and w.moves[j]:
                h[i, source[j]] += s * w.h[base, j]
                h[source[j], i] += s * w.h[base, j]
        for q in range(len(m.slope)):
            other = m.output[m.slope[q, 0]]
            h[i, m.slope[q, 1]] += s * w.rows[outputs + q] * w.h[base, other]
    for r in range(len(m.curve)):
        base, i, j = m.output[m.curve[r, 0]], m.curve[r, 1], m.curve[r, 2]
        term = w.rows[outputs + len(m.slope) + r] * w.g[base]
        h[i, j] += term
        if i != j:
            h[j, i] += term


@_inline
def _substitute(a: Array, target: Array, n: int, step: Array) -> None:
    """Solve with the factor in the lower triangle, whose diagonal is inverse."""
    for i in range(n):
        total = target[i]
        for k in range(i):
            total -= a[i, k] * step[k]
        step[i] = total * a[i, i]
    for i in range(n - 1, -1, -1):
        total = step[i]
        for k in range(i + 1, n):
            total -= a[k, i] * step[k]
        step[i] = total * a[i, i]


@_inline
def _solve(a: Array, target: Array, n: int, step: Array) -> bool:
    """Solve by Cholesky of the lower triangle; False where ``a`` is not definite."""
    for j in range(n):
        for i in range(j, n):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i > j:
                a[i, j] = total * a[j, j]
            elif total > _PIVOT:
                a[j, j] = 1 / np.sqrt(total)
            else:
                return False
    _substitute(a, target, n, step)
    return True


@_inline
def _system(matrix: Array, scale: Array, live: Any, h: Array, move: Any, damping: float) -> None:
    """The scaled matrix of the free parameters, lower triangle."""
    for p in range(live[0]):
        i = live[p + 1]
        for q in range(p):
            matrix[p, q] = h[i, live[q + 1]] * scale[p] * scale[q]
        matrix[p, p] = h[i, i] * scale[p] ** 2 + (damping if move[i] else 1.0)


@_call
def _saddle_free(w: Any, n: int) -> bool:
    """Solve with the absolute eigenvalues; False where the matrix is not finite."""
    matrix = np.empty((n, n))
    for p in range(n):
        for q in range(p + 1):
            matrix[p, q] = matrix[q, p] = w.matrix[p, q]
            if not np.isfinite(w.matrix[p, q]):
                return False
    values, vectors = np.linalg.eigh(matrix)
    for p in range(n):
        w.solution[p] = 0.0
    for k in range(n):
        inner = 0.0
        for p in range(n):
            inner += vectors[p, k] * w.target[p]
        inner /= max(abs(values[k]), _FLOOR)
        for p in range(n):
            w.solution[p] += inner * vectors[p, k]
    w.lowest[0] = values[0]
    for p in range(n):
        w.valley[p] = vectors[p, 0] * w.scale[p]
    return True


@_bare
def _newton_step(w: Any, g: Array, h: Array, move: Any, ridge: float, step: Array) -> float:
    """The damped Newton step and its expected decrease; negative where H is not finite.

    Where H is not definite ``w.lowest`` is its lowest eigenvalue and ``w.valley`` the direction.
    """
    n = w.live[0]
    largest = 0.0
    for p in range(n):
        largest = max(largest, abs(h[w.live[p + 1], w.live[p + 1]]))
    for p in range(n):
        i = w.live[p + 1]
        diagonal = abs(h[i, i])
        usable = diagonal > 1e-300 + 1e-14 * largest
        w.scale[p] = 1 / np.sqrt(diagonal if usable else max(largest, 1e-300)) if move[i] else 0.0
        w.target[p] = -g[i] * w.scale[p]
    solution = w.solution
    _system(w.matrix, w.scale, w.live, h, move, ridge)
    w.lowest[0] = 1.0
    definite = _solve(w.matrix, w.target, n, solution)
    if not definite:
        _system(w.matrix, w.scale, w.live, h, move, ridge)
        if not _saddle_free(w, n):
            return -1.0
    longest = 0.0
    norm = 0.0
    for p in range(n):
        longest = max(longest, abs(solution[p]))
        norm += w.target[p] ** 2
    if definite and longest > _LONGEST:
        w.lowest[0] = 2.0  # damped
        _system(w.matrix, w.scale, w.live, h, move, ridge + np.sqrt(norm) / _LONGEST)
        if not _solve(w.matrix, w.target, n, solution):
            return -1.0
    edm = 0.0
    for p in range(n):
        edm += 0.5 * w.target[p] * solution[p]
        step[w.live[p + 1]] = solution[p] * w.scale[p]
    return edm


@_inline
def _direction(
    m: Any, w: Any, x: Array, fixed: Any, g: Array, h: Array, ridge: float, step: Array, move: Any
) -> float:
    """Newton step of the parameters that may move, see ``newton._newton``."""
    n = len(x)
    edge = False
    for i in range(n):
        out = (x[i] <= m.lower[i] and g[i] > 0) or (x[i] >= m.upper[i] and g[i] < 0)
        move[i] = not fixed[i] and not out
        edge |= move[i] and (x[i] <= m.lower[i] or x[i] >= m.upper[i])
    edm = _newton_step(w, g, h, move, ridge, step)
    for _ in range(2 if edge else 0):
        again = False
        for i in range(n):
            if move[i] and (x[i] <= m.lower[i] if step[i] < 0 else x[i] >= m.upper[i]):
                move[i] = False
                again = True
        if not again:
            break
        edm = _newton_step(w, g, h, move, ridge, step)
    return edm


@_bare
def _idle(m: Any, x: Array, fixed: Any, g: Array, h: Array, move: Any) -> bool:
    """Whether one parameter is held at a bound while another does nothing."""
    n = len(x)
    held = False
    for i in range(n):
        held |= not fixed[i] and not move[i]
    if not held:
        return False
    for j in range(n):
        if move[j]:
            room = m.upper[j] - m.lower[j]
            room = room if np.isfinite(room) else 2 * (1 + abs(x[j]))
            change = abs(g[j]) * room
            for i in range(n):
                if move[i]:
                    other = m.upper[i] - m.lower[i]
                    other = other if np.isfinite(other) else 2 * (1 + abs(x[i]))
                    change = max(change, abs(h[i, j]) * room * other)
            if change < _NOTHING:
                return True
    return False


@_inline
def _clip(x: float, lower: float, upper: float) -> float:
    return min(max(x, lower), upper)


@_inline
def _copy(a: Array, b: Array) -> None:
    for i in range(len(a)):
        b[i] = a[i]


@_bare
def _last_step(x: Array, there: Array, g: Array, h: Array) -> bool:
    """Move ``x`` there unless -2 log L would rise; whether it was moved."""
    change = 0.0
    for i in range(len(x)):
        bend = 0.0
        for j in range(len(x)):
            bend += h[i, j] * (there[j] - x[j])
        change += (there[i] - x[i]) * (g[i] + 0.5 * bend)
    if change <= 0:
        _copy(there, x)
    return change <= 0


@_inline
def _along_valley(w: Any, step: Array) -> None:
    """A step along the lowest eigenvalue, which is negative."""
    size = np.sqrt(0.2 / abs(w.lowest[0]))
    for p in range(w.live[0]):
        step[w.live[p + 1]] = w.valley[p] * size


@_inline
def _try(m: Any, x: Array, step: Array, length: float, move: Any, g: Array, trial: Array) -> float:
    """Put a share of a step inside the bounds into ``trial``; return the slope along it."""
    slope = 0.0
    for i in range(len(x)):
        there = _clip(x[i] + length * step[i], m.lower[i], m.upper[i])
        trial[i] = there if move[i] else x[i]
        slope += g[i] * (trial[i] - x[i])
    return slope


@_inline
def _downhill(g: Array, h: Array, move: Any, step: Array) -> None:
    """A step against the gradient, where Newton's would climb."""
    for i in range(len(g)):
        step[i] = -g[i] / max(abs(h[i, i]), 1e-12) if move[i] else 0.0


@_inline
def _shortened(rise: float, slope: float) -> float:
    """Factor of a step that was not taken."""
    best = -0.5 * slope / (rise - slope) if np.isfinite(rise) else 0.25
    return 0.25 if np.isnan(best) else min(max(best, 0.1), 0.5)


@_inline
def _inside(m: Any, x: Array, fixed: Any, move: Any) -> bool:
    """Whether every parameter that is not fixed moves, and is inside its bounds."""
    for i in range(len(x)):
        if not fixed[i] and not (move[i] and m.lower[i] < x[i] < m.upper[i]):
            return False
    return True


@_bare
def _again(
    m: Any, w: Any, x: Array, main: Array, scale: Array, aux: Array, scale_aux: Array,
    edm: float, wanted: float, gradient: Array,
) -> float:  # fmt: skip
    """Go on with the Hessian of the last step as long as each gains little compared to the last.

    The Hessian hardly changes over such steps: a step costs a gradient. Returns -2 log L without
    its constant once converged, infinite if it does not.
    """
    n, last = w.live[0], edm
    for _ in range(5):
        _gradient(m, w, main, aux, gradient)
        edm = 0.0
        for p in range(n):
            w.target[p] = -gradient[w.live[p + 1]] * w.scale[p]
        _substitute(w.matrix, w.target, n, w.solution)
        for p in range(n):
            edm += 0.5 * w.target[p] * w.solution[p]
        if not edm < _SHRINKING * last:
            return np.inf
        left, last, f = edm * edm / last, edm, 0.0
        done = edm < wanted and left < _LEFT
        if done:
            f = _twice_nll(m, w, main, scale, aux, scale_aux) - edm
        for p in range(n):
            i = w.live[p + 1]
            x[i] += w.solution[p] * w.scale[p]
            if not m.lower[i] < x[i] < m.upper[i]:
                return np.inf
            gradient[i] = 0.0
        if done and edm < _TINY:
            return f
        _evaluate(m, w, x)
        if done:
            _gradient(m, w, main, aux, gradient)
            return f
    return np.inf


@_inline
def _one(
    m: Any, w: Any, x: Array, fixed: Any, main: Array, scale: Array, aux: Array,
    scale_aux: Array, constant: float, edm_wanted: float, most: int, patience: int, gradient: Array,
) -> tuple[int, float]:  # fmt: skip
    """Minimise from ``x``, in place; return the iterations and -2 log L.

    -1 iterations: it is left to numpy, -2: more than ``most`` are needed.
    """
    g, h, step, trial, move = w.slope, w.bend, w.step, w.trial, w.move
    if not len(m.output):
        g, h = w.g, w.h
    step[:] = 0.0
    _prepare(m, w, x, fixed)
    f = _value(m, w, x, main, scale, aux, scale_aux) + constant
    if not np.isfinite(f):
        return -1, np.inf
    _derivatives(m, w, main, aux, True, g, h)
    ridge, length, far, fresh, walls, close = 1e-10, 1.0, True, True, 0, False
    saddle, slope = False, 0.0
    for iteration in range(1, most + 1):
        if fresh:
            edm = _direction(m, w, x, fixed, g, h, ridge, step, move)
            if not edm >= 0:
                return -1, np.inf
            slope = _try(m, x, step, 1.0, move, g, trial)
            small = edm < edm_wanted + _ROUNDING * abs(f)
            saddle = small and w.lowest[0] < -1e-7
            if saddle:
                _along_valley(w, step)
            elif small:
                if _idle(m, x, fixed, g, h, move):
                    return -1, np.inf
                if _last_step(x, trial, g, h):
                    f -= edm
                for r in range(len(m.nominal)):
                    w.active[r] = True
                _evaluate(m, w, x)
                _gradient(m, w, main, aux, gradient)
                return iteration - 1, f
            if slope >= 0 and not saddle:
                _downhill(g, h, move, step)
            far, length = edm > _FAR, 1.0
            close = edm < _CLOSE and w.lowest[0] == 1.0 and _inside(m, trial, fixed, move)
            if close:
                w.active[:] = True
        if not fresh or saddle or slope >= 0:
            slope = _try(m, x, step, length, move, g, trial)
        there = _value(m, w, trial, main, scale, aux, scale_aux) + constant
        if not np.isfinite(there):
            walls += 1
            if walls > patience:
                return -1, np.inf
        fresh = there <= f + 1e-4 * min(slope, 0.0) + 1e-13 * (1 + abs(f))
        if fresh:
            ridge = max(ridge, 1e-8) * 100 if length < 0.3 else ridge * 0.01
            ridge = min(max(ridge, 1e-10), 1.0)
            f = there
            _copy(trial, x)
            if close:
                there = _again(m, w, x, main, scale, aux, scale_aux, edm, edm_wanted, gradient)
                if np.isfinite(there):
                    return iteration, there + constant
                _copy(trial, x)
                _evaluate(m, w, x)
            _derivatives(m, w, main, aux, far, g, h)
        else:
            length *= _shortened(there - f, slope)
    return -2, f


@entry
def solve(
    m: Any, start: Array, fixed: Any, main: Array, scale: Array, aux: Array, scale_aux: Array,
    constant: Array, edm: float, most: int, patience: int, out_x: Array, out_f: Array,
    out_g: Array, iterations: Any, converged: Any, left: Any,
) -> None:  # fmt: skip
    """Minimise P problems; data (P, B) or (1, B). Problems that are left keep their start.

    Args:
        m: :class:`~.compiled.Tables`. start, fixed: (P, n). edm, most, patience: of the options.
        out_x, out_f, out_g, iterations, converged, left: results, (P, n) and (P,).
    """
    points, n = start.shape
    w = _workspace(m, n)
    x = np.zeros(n)
    for p in range(points):
        d, a, c = p % len(main), p % len(aux), p % len(constant)
        x[:] = start[p]
        out_g[p] = np.nan
        count, f = _one(
            m, w, x, fixed[p], main[d], scale[d], aux[a], scale_aux[a], constant[c],
            edm, most, patience, out_g[p],
        )  # fmt: skip
        converged[p] = count >= 0
        left[p] = count == -1
        iterations[p] = max(count, 0) if count > -2 else most
        out_f[p] = f
        out_x[p] = start[p] if count == -1 else x
