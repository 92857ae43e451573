"""Starts on the other side of what divides minima: factors at zero, folds, undefined rates.

What in a document divides is listed by :mod:`.structure`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.allowed import allowed_point
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import Problems
from histnu.inference.engine.search import Search
from histnu.inference.engine.structure import folding, switches

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_FOLDING = 10  # most folding parameters that change sides, and pairs of them
_WEAK = 0.1  # share of the constraint's curvature that such a parameter can take away
_UP = 10.0  # in -2 log L above the minimum: so far up a reflected start is fitted held, first
_NEARBY = 0.3  # widths from a minimum, to start a second time on the same side of all folds
_NEAR = 1e-3  # of the size of a parameter: at zero, or where it would be held
_NO: Index = np.zeros(0, dtype=np.intp)


def fold(search: Search) -> bool:
    """Start from minima with one folding parameter after the other on its other side.

    Where a second minimum was met, also with two of them. Of a scan some points are tried; the
    others get what is lower from their neighbours. Returns whether anything became lower.
    """
    memory, ledger, compiled = search.memory, search.ledger, search.compiled
    if compiled is None or (memory.plain and not _met_two(search)):
        return False
    todo = np.flatnonzero(np.isfinite(ledger.fit.twice_nll) & ~ledger.closed)
    tried = todo = _some(todo, memory.options.folded)
    before = ledger.fit.twice_nll.copy()
    if not _met_two(search):
        started = np.abs(before - search.reflected) <= search.tolerance(ledger.fit)
        todo = todo[~started[todo]]
    for _ in range(memory.options.rounds):
        if not len(todo):
            break
        todo = todo[search.run(todo, other_sides(search, todo))[todo]]
    lower = ledger.fit.twice_nll < before - memory.options.agreement
    confirm(search, tried)
    return bool(lower.any())


def other_sides(search: Search, todo: Index) -> list[Array]:
    """Return starts (n, M): minima of some problems with folding parameters reflected."""
    ledger, compiled = search.ledger, search.compiled
    assert compiled is not None
    sides = _sides(search, todo)
    minima = ledger.fit.parameters[todo].T
    layers = [_reflected(minima, k, compiled.init) for k in sides]
    _move_down(search, todo, layers, sides)
    search.reflected[todo] = ledger.fit.twice_nll[todo]
    return layers


def confirm(search: Search, where: Index) -> None:
    """Start a second time near minima that only one of many starts has reached.

    Most starts end in higher minima then: this says that the lowest is one.
    """
    ledger = search.ledger
    todo = where[~ledger.fit.certified[where] & np.isfinite(ledger.fit.twice_nll[where])]
    todo = todo[~ledger.closed[todo]]
    best = ledger.fit.parameters[todo].T
    if len(todo):
        search.run(todo, [best + _NEARBY * (x - best) for x in search.aside(best)])


def _met_two(search: Search) -> bool:
    """Whether a second minimum was met, here or before."""
    return search.memory.second or bool(search.ledger.second.any())


def _some(where: Index, count: int) -> Index:
    """Return at most so many of a list, evenly, with both ends."""
    share = np.linspace(0, len(where) - 1, min(len(where), count)).round()
    return where[np.unique(share.astype(np.intp))]


def _sides(search: Search, todo: Index) -> list[Index]:
    """Return the sets of folding parameters that change sides together."""
    memory, ledger, compiled = search.memory, search.ledger, search.compiled
    assert compiled is not None
    highest = ledger.fit.parameters[todo[np.argmax(ledger.fit.twice_nll[todo])]]
    rates = memory.likelihood.expected(highest)[0]
    names = _NO
    if np.all(rates > 0):
        names = folding(search.folds, search.observed.main[:, 0], rates, _WEAK)
    names = names[~compiled.fixed[names]][:_FOLDING]
    sides = [*combinations(names, 1), *(combinations(names, 2) if _met_two(search) else ())]
    return [np.array(k) for k in sides]


def _move_down(search: Search, where: Index, layers: list[Array], sides: list[Index]) -> None:
    """Move starts (n, M) that are far up to minima with the reflected held, in place.

    Where many events make valleys narrow, or where a rate is negative, a fit with everything free
    would come back at once. Starts with one parameter reflected only.
    """
    memory, counts = search.memory, search.observed.main[:, 0]
    single = [(k, layer) for k, layer in zip(sides, layers, strict=True) if len(k) == 1]
    if not single:
        return
    starts = np.concatenate([layer for _, layer in single], axis=1)
    value = memory.likelihood.value(starts, search.observed)
    lowest = np.tile(search.ledger.fit.twice_nll[where], len(single))
    moved, problems = [], []
    for at in np.flatnonzero(~(value - lowest <= _UP)):
        which, m = divmod(at, len(where))
        k, layer = single[which]
        held = search.problems.fixed[:, where[m]].copy()
        held[k] = True
        found: Array | None = layer[:, m].copy()
        if not np.isfinite(value[at]):
            found = allowed_point(memory.likelihood, counts, (layer[:, m], held), search.width())
        if found is not None:
            moved.append((layer, m))
            problems.append((found, held))
    if moved:
        start, fixed = (np.stack(x, axis=1) for x in zip(*problems, strict=True))
        fit = minimise(memory.likelihood, search.observed, Problems(start, fixed), memory.first)
        memory.counts.starts += len(fit)
        for (layer, m), x in zip(moved, fit.parameters, strict=True):
            layer[:, m] = x


def _reflected(x: Array, which: Index, center: Array) -> Array:
    """Return points (n, M) with some parameters on the other side of their center."""
    out = x.copy()
    out[which] = 2 * center[which, None] - out[which]
    return out


def release(search: Search) -> None:
    """Hold every parameter that separates minima, fit, and start from there with it free.

    Again from every minimum that became lower: two such parameters are found in turn.
    """
    memory, ledger = search.memory, search.ledger
    todo = np.flatnonzero(np.isfinite(ledger.fit.twice_nll))
    held = _held(search, ledger.fit.parameters[todo].T)
    if len(search) > 1:  # some of a scan: a lower minimum is carried along it
        if memory.free is not None and not memory.second:
            return
        todo = _some(todo, memory.scanned)
        memory.scanned -= len(todo)
    for _ in range(memory.options.released if held else 0):
        if not len(todo):
            return
        todo = np.flatnonzero(search.run(todo, _released(search, todo, held)))


def _released(search: Search, todo: Index, held: list[tuple[int, float]]) -> list[Array]:
    """Return starts (n, M): minima of some problems with each of the parameters held in turn."""
    memory, ledger = search.memory, search.ledger
    part, count = search.problems.select(todo), len(held)
    starts = np.repeat(ledger.fit.parameters[todo].T[:, None], count, axis=1)
    fixed = np.repeat(part.fixed[:, None], count, axis=1)
    for layer, (k, value) in enumerate(held):
        starts[k, layer] = np.where(part.fixed[k], starts[k, layer], value)
        fixed[k, layer] = True
    inside = ledger.inside[:, todo]
    refuge = np.where(np.isnan(inside), starts[:, 0], inside)
    many = Problems(
        starts.reshape(len(starts), -1),
        fixed.reshape(len(fixed), -1),
        np.tile(refuge, (1, count)),
    )
    found = minimise(memory.likelihood, search.observed, many, memory.first)
    memory.counts.starts += len(found)
    layers = np.moveaxis(found.parameters.T.reshape(starts.shape), 1, 0)
    there = np.isfinite(found.twice_nll)
    return list(layers[there.reshape(count, -1).any(axis=1)])


def _held(search: Search, x: Array) -> list[tuple[int, float]]:
    """Return parameters that separate minima and values to hold them at, other than ``x``.

    Those of a large document that are zero nowhere in x (n, M) are not held at their
    suggested start.
    """
    compiled = search.compiled
    if compiled is None or not x.size:
        return []
    init, low = compiled.init, compiled.bounds[:, 0]
    small = search.memory.many == search.memory.options.many
    near = _NEAR * search.memory.unit
    at_zero: Mask = np.any(x <= (np.maximum(low, 0.0) + near)[:, None], axis=1)
    return [
        (k, value)
        for k, value in switches(compiled, search.observed.main[:, 0])
        if np.any(np.abs(x[k] - value) > near[k]) and (value != init[k] or at_zero[k] or small)
    ]


def reach(search: Search) -> None:
    """Look for allowed rates where every start is undefined, and start there.

    What stays undefined then is taken to be so: it is given no further starts.
    """
    memory, ledger, problems = search.memory, search.ledger, search.problems
    lost = np.flatnonzero(~np.isfinite(ledger.fit.twice_nll))
    if not len(lost):
        return
    counts, width = search.observed.main[:, 0], search.width()
    init = memory.likelihood.init
    starts = np.empty((2, len(problems.start), len(lost)))
    origins = [init, init if memory.last is None else memory.last]
    for m, p in enumerate(lost):
        held, target = problems.fixed[:, p], problems.start[:, p]
        for k, origin in enumerate(origins):
            start = np.where(held, target, origin)
            found = allowed_point(memory.likelihood, counts, (start, held), width)
            if found is None:
                ledger.closed[p] = True
                starts[:, :, m] = target
                break
            starts[k, :, m] = found
        else:
            ledger.inside[:, p] = starts[0, :, m]
            origins[1] = starts[1, :, m]
    search.run(lost, list(starts))
