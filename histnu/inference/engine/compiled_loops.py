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
_PLAIN: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_INNER: dict[str, Any] = {**_PLAIN, "no_cpython_wrapper": True}
"""Not called from Python, which would be most of what there is to compile."""
_COUNTED: dict[str, Any] = {**_INNER, "_nrt": True}
_call = numba.njit(**_COUNTED)
_jit = numba.njit(**_COUNTED, forceinline=True)
"""These may make arrays, and count who uses them: 1 us for a call with the model and the memory."""
_BARE: dict[str, Any] = {**_INNER, "_nrt": False}
_bare = numba.njit(**_BARE)
_inline = numba.njit(**_BARE, forceinline=True)
_sums = numba.njit(**_BARE, forceinline=True, fastmath=_SUMS)
"""Inlined: a call hands over the model and the memory in hundreds of words. Sums in any order."""


def entry(function: Callable[..., None]) -> Any:
    """Compile a function that Python calls, kept on disk where some folder can be written.

    Only such functions are kept: each has the ones it calls in it.
    """
    try:
        return numba.njit(**_PLAIN, cache=True)(function)
    except RuntimeError as error:  # numba finds no folder it may write to
        log.info("%s; set NUMBA_CACHE_DIR to keep compiled fits", error)
        return numba.njit(**_PLAIN)(function)


_PIVOT = 1e-13
_LONGEST = 20.0
_ROUNDING = 1e-14
_CUT = 0.3
_FAR = 1.0
_NOTHING = 1e-9
_FALL = 1e-6
_FLOOR = 1e-6
_CLOSE = 1e-3
_LEFT = 1e-14
_SHRINKING = 0.05
_TINY = 3e-12


class Work(NamedTuple):
    """Memory of one problem.

    Attributes:
        theta: (n,) parameters of the workspace; rows: (R,) of the map.
        effect: (3, E) values and two derivatives. every, without: (R,) and (R, W) products of the
            factors of a row, of all but one. share: (T,) what histograms are multiplied with.
        rate, residual, weight, heavy: (B,). shape: of a row before its factors.
        jacobian: (n, B); dot: (T,) histograms times residuals.
        g, h: gradient and Hessian of the workspace.
        state: (n,) of the fitted parameters: 0 free, 1 held, 2 held at zero, -1 not known.
        chosen: (2, R) rows that are not zero for all values of the free parameters, and rows with
            parameters that are held; listed: (2, C, T') their histograms; many: (2, C) how many.
        moves: (n,) parameters that change; moving: (n + 1,) these after their number. live:
            (m + 1,) the free fitted parameters after their number.
        matrix, target, scale, solution: of the linear system; lowest (1,) and valley (m,) where
            it is not definite. slope, bend, step, trial, move: of the iteration.
    """

    theta: Array
    rows: Array
    effect: Array
    every: Array
    without: Array
    share: Array
    rate: Array
    residual: Array
    weight: Array
    heavy: Array
    shape: Array
    jacobian: Array
    dot: Array
    g: Array
    h: Array
    state: Any
    chosen: Any
    listed: Any
    many: Any
    moves: Any
    moving: Any
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
    n, rows, histograms, channels = len(m.source), len(m.slots), len(m.owner), len(m.start)
    bins = int(m.stop[channels - 1])
    return Work(
        np.zeros(n), np.zeros(max(len(m.pointer) - 1, 0)), np.zeros((3, len(m.kind))),
        np.zeros(rows), np.zeros(m.slots.shape), np.zeros(histograms + 3),
        np.zeros(bins), np.zeros(bins), np.zeros(bins), np.zeros(bins), np.zeros(bins),
        np.zeros((n, bins)), np.zeros(histograms),
        np.zeros(n), np.zeros((n, n)), np.full(fitted, -1),
        np.ones((2, rows), dtype=np.bool_), np.zeros((2, channels, histograms + 3), dtype=np.intp),
        np.zeros((2, channels), dtype=np.intp), np.ones(n, dtype=np.bool_),
        np.zeros(n + 1, dtype=np.intp),
        np.zeros(fitted + 1, dtype=np.intp), np.zeros((fitted, fitted)),
        np.zeros(fitted), np.zeros(fitted), np.zeros(fitted), np.zeros(1),
        np.zeros(fitted), np.zeros(fitted), np.zeros((fitted, fitted)), np.zeros(fitted),
        np.zeros(fitted), np.zeros(fitted, dtype=np.bool_),
    )  # fmt: skip


@_bare
def _prepare(m: Any, w: Any, x: Array, fixed: Any) -> None:
    """Find what can change, unless it is as in the problem before."""
    same = True
    count = 0
    for i in range(len(x)):
        state = (1 if x[i] != 0 else 2) if fixed[i] else 0
        same &= w.state[i] == state
        w.state[i] = state
        if state == 0:
            count += 1
            w.live[count] = i
    w.live[0] = count
    if same:
        return
    n = 0
    for i in range(len(m.source)):
        w.moves[i] = m.source[i] < 0 or not fixed[m.source[i]]
        if w.moves[i]:
            n += 1
            w.moving[n] = i
    w.moving[0] = n
    mapped = False
    for i in range(m.monomials.shape[1]):
        mapped |= w.state[i] != 0
    for r in range(len(m.slots)):
        _choose(m, w, r, mapped)
    _list(m, w, 0)
    _list(m, w, 1)


@_inline
def _choose(m: Any, w: Any, r: int, mapped: bool) -> None:
    """Whether a row is left out as a factor is held at zero; whether it has held parameters."""
    zero, held = False, False
    for k in range(m.slots.shape[1]):
        e = m.slots[r, k]
        if e < 0:
            break
        source = m.source[m.parameter[e]]
        if source < 0:  # an output of the map
            held |= mapped
        elif w.state[source] != 0:
            held = True
            zero |= m.kind[e] == 0 and w.state[source] == 2
    for t in range(m.first_histogram[r] + 1, m.first_histogram[r + 1]):
        held |= not w.moves[m.parameter[m.added[t]]]
    w.chosen[0, r], w.chosen[1, r] = not zero, held
    w.every[r] = 0.0


@_bare
def _list(m: Any, w: Any, k: int) -> None:
    """List the histograms of the chosen rows of each channel, the last again up to a full four."""
    for c in range(len(m.start)):
        n = 0
        for r in range(m.first_row[c], m.first_row[c + 1]):
            if w.chosen[k, r]:
                for t in range(m.first_histogram[r], m.first_histogram[r + 1]):
                    w.listed[k, c, n] = t
                    n += 1
        w.many[k, c] = n
        for i in range(n, n + 3 if n else 0):
            w.listed[k, c, i] = w.listed[k, c, n - 1]


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
    """Expected counts."""
    for r in range(len(m.slots)):
        if w.chosen[0, r]:
            w.every[r] = _product(w.effect, m.slots, r, -1, -1)
    for c in range(len(m.start)):
        low, high, n = m.start[c], m.stop[c], w.many[0, c]
        for b in range(low, high):
            w.rate[b] = 0.0
        for k in range(n):
            t = w.listed[0, c, k]
            e = m.added[t]
            w.share[k] = w.every[m.owner[t]] * (w.effect[0, e] if e >= 0 else 1.0)
        for k in range(n, n + 3):
            w.share[k] = 0.0
        for k in range(0, n, 4):  # fewer passes over the counts
            h, i = m.histogram[w.listed[0, c, k]], m.histogram[w.listed[0, c, k + 1]]
            p, q = m.histogram[w.listed[0, c, k + 2]], m.histogram[w.listed[0, c, k + 3]]
            u, v, x, y = w.share[k], w.share[k + 1], w.share[k + 2], w.share[k + 3]
            for b in range(low, high):
                d = b - low
                w.rate[b] += u * h[d] + v * i[d] + x * p[d] + y * q[d]


@_sums
def _dots(m: Any, w: Any, which: int) -> None:
    """Histograms times residuals, of the rows chosen."""
    for c in range(len(m.start)):
        low, high = m.start[c], m.stop[c]
        for k in range(0, w.many[which, c], 4):
            r, s = w.listed[which, c, k], w.listed[which, c, k + 1]
            t, u = w.listed[which, c, k + 2], w.listed[which, c, k + 3]
            h, i, p, q = m.histogram[r], m.histogram[s], m.histogram[t], m.histogram[u]
            one, two, three, four = 0.0, 0.0, 0.0, 0.0
            for b in range(low, high):
                d, residual = b - low, w.residual[b]
                one += residual * h[d]
                two += residual * i[d]
                three += residual * p[d]
                four += residual * q[d]
            w.dot[r], w.dot[s], w.dot[t], w.dot[u] = one, two, three, four


@_inline
def _evaluate(m: Any, w: Any, x: Array) -> None:
    """Expected counts at fitted parameters."""
    _strengths(m, w, x)
    _effects(m, w)
    _rates(m, w)


@_sums
def _excess(rate: Array, scale: Array) -> float:
    """Sum of the counts above ``scale``, infinite where one is negative."""
    total, negative = 0.0, 0
    for b in range(len(rate)):
        total += rate[b] - scale[b]
        negative += rate[b] < 0
    return np.inf if negative else total


@_inline
def _twice_nll(m: Any, w: Any, main: Array, scale: Array, aux: Array, scale_aux: Array) -> float:
    """-2 log L without the constant of the data, of the counts evaluated last."""
    total = _excess(w.rate, scale)
    for b in range(len(main)):
        if main[b] > 0:
            total -= np.log(w.rate[b] / scale[b]) * main[b]
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
def _add(out: Array, low: int, high: int, factor: float, values: Array) -> None:
    """Add a multiple of values of a channel in its bins."""
    for b in range(low, high):
        out[b] += factor * values[b - low]


@_inline
def _jacobian(m: Any, w: Any) -> None:
    """Derivatives of the counts of the rows that may change."""
    for i in range(len(w.g)):
        out = w.jacobian[i]
        for b in range(m.low[i], m.high[i]):
            out[b] = 0.0
    for r in range(len(m.slots)):
        if not w.chosen[0, r]:
            continue
        low, high = m.start[m.channel[r]], m.stop[m.channel[r]]
        _shape(m, w, r, low, high)
        for k in range(m.slots.shape[1]):
            e = m.slots[r, k]
            if e >= 0 and w.moves[m.parameter[e]]:
                _add(
                    w.jacobian[m.parameter[e]], low, high, w.without[r, k] * w.effect[1, e], w.shape
                )


@_sums
def _shape(m: Any, w: Any, r: int, low: int, high: int) -> None:
    """Counts of a row before its factors; derivatives of its differences, in pairs."""
    shape, base = w.shape, m.histogram[m.first_histogram[r]]
    for b in range(low, high):
        shape[b - low] = base[b - low]
    for k in range(m.first_pair[r], m.first_pair[r + 1]):
        t, u = m.added[m.pair[k, 0]], m.added[m.pair[k, 1]]
        up, down, out = (
            m.histogram[m.pair[k, 0]],
            m.histogram[m.pair[k, 1]],
            w.jacobian[m.parameter[t]],
        )
        share = 0.0 if t == u else 1.0
        one, two = w.effect[0, t], share * w.effect[0, u]
        first, second = w.every[r] * w.effect[1, t], share * w.every[r] * w.effect[1, u]
        for b in range(low, high):
            d = b - low
            shape[d] += one * up[d] + two * down[d]
            out[b] += first * up[d] + second * down[d]


@_inline
def _cross(h: Array, i: int, j: int, term: float) -> None:
    """Add a second derivative to the lower triangle."""
    if i > j:
        h[i, j] += term
    elif i < j:
        h[j, i] += term
    else:
        h[i, i] += 2 * term


@_inline
def _curvature(m: Any, w: Any, r: int) -> None:
    """The part of the Hessian with second derivatives of the counts, from a row."""
    pull = 0.0
    for t in range(m.first_histogram[r], m.first_histogram[r + 1]):
        d = m.added[t]
        if d < 0:
            pull += w.dot[t]
            continue
        pull += w.dot[t] * w.effect[0, d]
        p, slope = m.parameter[d], w.dot[t] * w.effect[1, d]
        w.h[p, p] += w.every[r] * w.dot[t] * w.effect[2, d]
        for k in range(m.slots.shape[1]):
            e = m.slots[r, k]
            if e < 0:
                break
            _cross(w.h, p, m.parameter[e], slope * w.effect[1, e] * w.without[r, k])
    for k in range(m.slots.shape[1]):
        e = m.slots[r, k]
        if e < 0:
            break
        p, slope = m.parameter[e], pull * w.effect[1, e]
        w.h[p, p] += pull * w.without[r, k] * w.effect[2, e]
        for q in range(k + 1, m.slots.shape[1]):
            f = m.slots[r, q]
            if f < 0:
                break
            both = slope * w.effect[1, f] * _product(w.effect, m.slots, r, k, q)
            _cross(w.h, p, m.parameter[f], both)


@_sums
def _contract(m: Any, w: Any) -> None:
    """Products of first derivatives, added to the lower triangle of the Hessian."""
    heavy = w.heavy
    for p in range(1, w.moving[0] + 1):
        i = w.moving[p]
        low, high, here, out = m.low[i], m.high[i], w.jacobian[i], w.h[i]
        for b in range(low, high):
            heavy[b] = here[b] * w.weight[b]
        for q in range(1, p + 1):
            j = w.moving[q]
            total, there = 0.0, w.jacobian[j]
            for b in range(max(low, m.low[j]), min(high, m.high[j])):
                total += heavy[b] * there[b]
            out[j] += total


@_inline
def _hessian(m: Any, w: Any, main: Array, aux: Array, far: bool, g: Array, h: Array) -> None:
    """Gradient and Hessian in the fitted parameters, at the point of the last value.

    Without a map the Hessian is ``w.h``, else ``h``.
    """
    for b in range(len(main)):
        inverse = 1 / (w.rate[b] if w.rate[b] > 0 else 1.0)
        w.weight[b] = 2 * (1.0 if far else main[b] * inverse) * inverse
    n = len(w.g)
    for i in range(n):
        for j in range(i + 1):
            w.h[i, j] = 0.0
    if not far:
        for r in range(len(m.slots)):
            if w.chosen[0, r]:
                _curvature(m, w, r)
    _jacobian(m, w)
    _contract(m, w)
    for k in range(len(m.gauss)):
        w.h[m.gauss[k], m.gauss[k]] += 2 * m.gauss_scale[k] ** 2
    for k in range(len(m.poisson)):
        i = m.poisson[k]
        w.h[i, i] += 2 * aux[m.poisson_at[k]] / w.theta[i] ** 2
    for i in range(n):
        for j in range(i):
            w.h[j, i] = w.h[i, j]
    if len(m.output):
        _chain(m, w, g, h)


@_inline
def _gradient(m: Any, w: Any, main: Array, aux: Array, which: int, g: Array) -> None:
    """Gradient at the last value: of free parameters, or with rows 1 of those that are held."""
    for b in range(len(main)):
        w.residual[b] = 2 * (1 - main[b] / (w.rate[b] if w.rate[b] > 0 else 1.0))
    _dots(m, w, which)
    for i in range(len(w.g)):
        w.g[i] = 0.0
    for r in range(len(m.slots)):
        if w.chosen[which, r]:
            _leave_out(m, w, r)
            _slopes(m, w, r)
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


@_inline
def _slopes(m: Any, w: Any, r: int) -> None:
    """Add the gradient of a row."""
    pull = 0.0
    for t in range(m.first_histogram[r], m.first_histogram[r + 1]):
        e = m.added[t]
        if e < 0:
            pull += w.dot[t]
        else:
            pull += w.dot[t] * w.effect[0, e]
            w.g[m.parameter[e]] += w.dot[t] * w.every[r] * w.effect[1, e]
    for k in range(m.slots.shape[1]):
        e = m.slots[r, k]
        if e < 0:
            break
        w.g[m.parameter[e]] += pull * w.without[r, k] * w.effect[1, e]


@_bare
def _derivatives(m: Any, w: Any, main: Array, aux: Array, far: bool, g: Array, h: Array) -> None:
    """Both, of a workspace without a map in ``w.g`` and ``w.h``."""
    _gradient(m, w, main, aux, 0, g)
    _hessian(m, w, main, aux, far, g, h)


@_inline
def _chain(m: Any, w: Any, g: Array, h: Array) -> None:
    """Chain rule of the map: the Hessian."""
    for i in range(len(g)):
        for j in range(len(g)):
            h[i, j] = 0.0
    source, outputs = m.source, len(m.output)
    for i in range(len(source)):
        if source[i] >= 0 and w.moves[i]:
            for j in range(len(source)):
                if source[j] >= 0 and w.moves[j]:
                    h[source[i], source[j]] = w.h[i, j]
    for r in range(len(m.slope)):
        base, i, s = m.output[m.slope[r, 0]], m.slope[r, 1], w.rows[outputs + r]
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


@_inline
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
        usable = diagonal > 1e-300
        w.scale[p] = 1 / np.sqrt(diagonal if usable else max(largest, 1e-300)) if move[i] else 0.0
        w.target[p] = -g[i] * w.scale[p]
    solution = w.solution
    w.lowest[0] = 1.0
    for damped in range(2):
        _system(w.matrix, w.scale, w.live, h, move, ridge)
        if not _solve(w.matrix, w.target, n, solution):
            _system(w.matrix, w.scale, w.live, h, move, ridge)
            if damped or not _saddle_free(w, n):
                return -1.0
            break
        longest, norm = 0.0, 0.0
        for p in range(n):
            longest = max(longest, abs(solution[p]))
            norm += w.target[p] ** 2
        if damped or not longest > _LONGEST:
            break
        w.lowest[0] = 2.0
        ridge += np.sqrt(norm) / _LONGEST
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
    edm = 0.0
    for attempt in range(3):
        edm = _newton_step(w, g, h, move, ridge, step)
        if not edge or attempt == 2:
            break
        again = False
        for i in range(n):
            if move[i] and (x[i] <= m.lower[i] if step[i] < 0 else x[i] >= m.upper[i]):
                move[i] = False
                again = True
        if not again:
            break
    return edm


@_inline
def _room(m: Any, x: Array, i: int) -> float:
    """Range of a parameter."""
    room = m.upper[i] - m.lower[i]
    return room if np.isfinite(room) else 2 * (1 + abs(x[i]))


@_bare
def _still(m: Any, x: Array, g: Array, h: Array, move: Any, j: int) -> bool:
    """Whether a parameter that may move changes nothing, alone or with others."""
    if not move[j]:
        return False
    room = _room(m, x, j)
    change = abs(g[j]) * room
    for i in range(len(x)):
        if move[i]:
            change = max(change, abs(h[i, j]) * room * _room(m, x, i))
    return change < _NOTHING


@_bare
def _rests(m: Any, x: Array, fixed: Any, g: Array, h: Array, move: Any) -> bool:
    """Whether one parameter is held at a bound while another does nothing."""
    held = False
    for i in range(len(x)):
        held |= not fixed[i] and not move[i]
    if held:
        for j in range(len(x)):
            if _still(m, x, g, h, move, j):
                return True
    return False


@_inline
def _reach(m: Any, x: Array, j: int, downwards: bool) -> float:
    """How far a parameter goes, at most its range."""
    room = _room(m, x, j)
    if downwards:
        return max(m.lower[j], x[j] - room) - x[j]
    return min(m.upper[j], x[j] + room) - x[j]


@_bare
def _way_off(m: Any, x: Array, fixed: Any, g: Array, h: Array, move: Any, step: Array) -> bool:
    """Step along a plateau to where a held parameter may move; whether there is one.

    See ``plateau.way_off``; all second derivatives are needed.
    """
    best, inwards, fall = -1, 0.0, -_FALL
    for i in range(len(x)):
        if fixed[i] or move[i]:
            continue
        sign, slope = 1.0 if x[i] <= m.lower[i] else -1.0, g[i]
        for j in range(len(x)):
            if _still(m, x, g, h, move, j):
                slope += h[i, j] * _reach(m, x, j, h[i, j] * sign > 0)
        if slope * sign * _room(m, x, i) < fall:
            best, inwards, fall = i, sign, slope * sign * _room(m, x, i)
    if best < 0:
        return False
    for j in range(len(x)):
        still = _still(m, x, g, h, move, j)
        step[j] = _reach(m, x, j, h[best, j] * inwards > 0) if still else 0.0
    return True


@_inline
def _clip(x: float, lower: float, upper: float) -> float:
    return min(max(x, lower), upper)


@_inline
def _copy(a: Array, b: Array) -> None:
    for i in range(len(a)):
        b[i] = a[i]


@_inline
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


@_inline
def _again(w: Any, gradient: Array) -> float:
    """Solve with the Hessian of the last step, which hardly changes; the expected decrease."""
    edm = 0.0
    for p in range(w.live[0]):
        w.target[p] = -gradient[w.live[p + 1]] * w.scale[p]
    _substitute(w.matrix, w.target, w.live[0], w.solution)
    for p in range(w.live[0]):
        edm += 0.5 * w.target[p] * w.solution[p]
    return edm


@_inline
def _onward(m: Any, w: Any, x: Array) -> bool:
    """Move by the solution; whether all is inside its bounds."""
    inside = True
    for p in range(w.live[0]):
        i = w.live[p + 1]
        x[i] += w.solution[p] * w.scale[p]
        inside &= m.lower[i] < x[i] < m.upper[i]
    return inside


_CLOSE_BY, _AT_END, _ON_WAY, _RESTS, _LOST = range(5)
"""What the next point is: near the minimum, the last one, a trial, the last one unless there is a
way off a plateau; none as the problem is left to numpy."""


@_inline
def _turn(
    m: Any, w: Any, x: Array, fixed: Any, f: float, ridge: float, wanted: float
) -> tuple[int, float, float, float]:
    """Put the next point into ``w.trial``.

    Returns what it is, the expected decrease and the slope from ``x``, and -2 log L at ``x``.
    """
    g, h, step, trial, move = w.slope, w.bend if len(m.output) else w.h, w.step, w.trial, w.move
    edm = _direction(m, w, x, fixed, g, h, ridge, step, move)
    if not edm >= 0:
        return _LOST, edm, 0.0, f
    slope = _try(m, x, step, 1.0, move, g, trial)
    small = edm < wanted + _ROUNDING * abs(f)
    saddle = small and w.lowest[0] < -1e-7
    if small and not saddle:
        return _RESTS if _rests(m, x, fixed, g, h, move) else _AT_END, edm, slope, f
    if saddle:
        _along_valley(w, step)
    elif slope >= 0:
        _downhill(g, h, move, step)
    elif edm < _CLOSE and w.lowest[0] == 1.0 and _inside(m, trial, fixed, move):
        return _CLOSE_BY, edm, slope, f
    else:
        return _ON_WAY, edm, slope, f
    return _ON_WAY, edm, _try(m, x, step, 1.0, move, g, trial), f


@_inline
def _end(m: Any, w: Any, x: Array, edm: float, f: float) -> float:
    """Make the last step, to ``w.trial``; return -2 log L there."""
    falls = _last_step(x, w.trial, w.slope, w.bend if len(m.output) else w.h)
    if not falls:
        _copy(x, w.trial)
    w.chosen[1, :] = True
    w.state[:] = -1
    _list(m, w, 1)
    return f - edm if falls else f


@_inline
def _empty(main: Array) -> bool:
    """Whether a bin has no events."""
    empty = False
    for b in range(len(main)):
        empty |= main[b] == 0
    return empty


@_inline
def _one(
    m: Any, w: Any, x: Array, fixed: Any, main: Array, scale: Array, aux: Array,
    scale_aux: Array, constant: float, wanted: float, most: int, patience: int, gradient: Array,
) -> tuple[int, float]:  # fmt: skip
    """Minimise from ``x``, in place; return the iterations and -2 log L.

    -1 iterations: it is left to numpy, -2: more than ``most`` are needed, or it stalled where an
    empty bin's rate ends. Close to the minimum steps cost a gradient as long as each gains little
    compared to the last.
    """
    g, trial = w.slope, w.trial
    _prepare(m, w, x, fixed)
    _copy(x, trial)
    count, walls, where, evaluate, bent = 0, 0, _ON_WAY, True, False
    ridge, length, slope, edm, f = 1e-10, 1.0, 0.0, np.inf, np.inf
    while count <= most:
        if evaluate:
            _evaluate(m, w, trial)
        if where == _ON_WAY:
            there = _twice_nll(m, w, main, scale, aux, scale_aux) + constant
            walls += not np.isfinite(there)
            if walls > (patience if count else 0):
                return -2 if count and _empty(main) else -1, f
            if not there <= f + 1e-4 * min(slope, 0.0) + 1e-13 * (1 + abs(f)):
                length *= _shortened(there - f, slope)
                slope = _try(m, x, w.step, length, w.move, g, trial)
                count += 1
                continue
            f, ridge, bent = there, _relaxed(ridge, length), bent != (length < _CUT)
            _copy(trial, x)
        which, out = 1 if where == _AT_END else 0, g if where == _ON_WAY else gradient
        _gradient(m, w, main, aux, which, out)
        if where == _ON_WAY:
            _hessian(m, w, main, aux, not (edm <= _FAR or bent), g, w.bend)
            where, edm, slope, f = _turn(m, w, x, fixed, f, ridge, wanted)
            if where == _RESTS:
                _hessian(m, w, main, aux, False, g, w.bend)
                h, where = w.bend if len(m.output) else w.h, _AT_END
                if _way_off(m, x, fixed, g, h, w.move, w.step):
                    where, slope = _ON_WAY, _try(m, x, w.step, 1.0, w.move, g, trial)
            if where == _LOST:
                return -1, np.inf
            if where == _AT_END:
                f = _end(m, w, x, edm, f)
            length = 1.0
            count += where != _AT_END
        elif where == _AT_END:
            _copy(trial, x)
            _forget(w, gradient)
            return count, f
        else:
            where, edm, there = _closer(m, w, main, scale, aux, scale_aux, edm, wanted, gradient)
            if where == _AT_END:
                f, evaluate = there + constant, not edm < _TINY
            elif where == _ON_WAY:
                _try(m, x, w.step, 1.0, w.move, g, trial)
    return -2, f


@_inline
def _closer(
    m: Any, w: Any, main: Array, scale: Array, aux: Array, scale_aux: Array, last: float,
    wanted: float, gradient: Array,
) -> tuple[int, float, float]:  # fmt: skip
    """Go on from the trial with the Hessian of the last step, if that gains little compared to it.

    Returns what the next point is, the expected decrease, and -2 log L without its constant at the
    last point.
    """
    edm = _again(w, gradient)
    done = edm < wanted and edm * edm / last < _LEFT
    there = _twice_nll(m, w, main, scale, aux, scale_aux) - edm if done else 0.0
    if not (edm < _SHRINKING * last and np.isfinite(there)) or not _onward(m, w, w.trial):
        return _ON_WAY, edm, there
    return _AT_END if done else _CLOSE_BY, edm, there


@_inline
def _relaxed(ridge: float, length: float) -> float:
    """The damping after a step that was taken."""
    ridge = max(ridge, 1e-8) * 100 if length < _CUT else ridge * 0.01
    return min(max(ridge, 1e-10), 1.0)


@_inline
def _forget(w: Any, gradient: Array) -> None:
    """Put zero where the gradient is, to the tolerance, unless all of it was evaluated."""
    if w.state[0] >= 0:
        for p in range(w.live[0]):
            gradient[w.live[p + 1]] = 0.0


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
