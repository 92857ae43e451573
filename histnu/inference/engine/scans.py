"""How a search goes through its problems: one alone, or the points of a scan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.branches import (
    between,
    integrates,
    lagrange,
    one_branch,
    straight_runs,
)
from histnu.inference.engine.divides import other_sides, release
from histnu.inference.engine.ledger import distinct
from histnu.inference.engine.problems import BatchFit, Problems
from histnu.inference.engine.search import Search
from histnu.inference.engine.settle import settle
from histnu.inference.engine.structure import is_plain

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]
Strategy = Callable[[Search, list[Array]], None]

_FIRST: Index = np.zeros(1, dtype=np.intp)
_LARGE = 24  # parameters from which a fit is cheaper in turn than all of its starts together
_NODES = 6
_NONE: Index = np.zeros((_NODES, 0), dtype=np.intp)


def strategy(search: Search) -> Strategy:
    """Return how to go through the problems."""
    options = search.memory.options
    if len(search) == 1:
        return _alone
    if len(search) > options.long and _one_line(search):
        return _along
    if len(search) > 4 * options.stride and not search.memory.second:
        return _in_between
    return _densely


# ---------------------------------------------------------------------- one problem
def _alone(search: Search, layers: list[Array]) -> None:
    """Start one problem from what is known and a few spread points, or from many.

    A large document is started once before: the others may end as soon as they come near.
    """
    memory, ledger, problems = search.memory, search.ledger, search.problems
    options = memory.options
    known = search.inside(np.stack([*layers, memory.likelihood.init[:, None]]), problems)
    none = np.full(known.shape[1:], np.nan)
    new = distinct(known, none, problems.fixed, memory.unit)[:, 0]
    layers, count = list(known[new]), options.few
    large = len(problems.start) > _LARGE
    if large:
        search.run(_FIRST, layers[:1], patient=True)
        if _is_least(search):
            ledger.join(ledger.fit.converged)
            ledger.closed |= ledger.fit.converged
            return
        memory.plain = _is_plain(search)
        layers = layers[1:]
        if not memory.plain:
            count = options.spread
            layers += other_sides(search, _FIRST) if search.compiled is not None else []
    search.run(_FIRST, [*layers, *search.spread(count, 1)], patient=large)
    if not large:
        memory.plain = _is_plain(search)
    if count < options.spread and (not memory.plain or ledger.second.any()):
        search.run(_FIRST, search.spread(options.spread - count, 1), patient=large)
    release(search)


def _is_least(search: Search) -> bool:
    """Whether the minimum of the only problem expects all that was observed: none is lower."""
    least = search.memory.likelihood.least(search.observed)[0] + search.memory.options.agreement
    return bool(search.ledger.fit.twice_nll[0] <= least)


def _is_plain(search: Search) -> bool:
    """Return whether a document is plain at the minimum of its only problem."""
    fit, compiled = search.ledger.fit, search.compiled
    if compiled is None or search.memory.second:
        return False
    rates = search.memory.likelihood.expected(fit.parameters)[0]
    counts = search.observed.main[:, 0]
    return bool(fit.converged[0]) and is_plain(compiled, search.folds, counts, rates)


# ---------------------------------------------------------------------- scans
def at_ends(search: Search) -> None:
    """Fit both ends of a scan as if each were the only problem.

    What is plain at the free minimum may have a lower basin far from it; one that is met at an
    end is looked for everywhere.
    """
    for k in (0, len(search) - 1):
        alone = search.part(slice(k, k + 1))
        _alone(alone, [alone.problems.start])
        search.ledger.take(np.array([k]), alone.ledger)
        search.memory.second |= bool(alone.ledger.second[0])


def _densely(search: Search, layers: list[Array]) -> None:
    """Start every point of a scan from what is known and from one spread point."""
    memory, options = search.memory, search.memory.options
    points = len(search)
    if memory.plain and memory.free is not None:
        moved = search.moved()
        search.run(search.every, [moved, *search.aside(moved)])
    else:
        wanted = max(options.first - memory.spent, 0)
        count = min(max(wanted // points, int(len(layers) < 3)), memory.many)
        memory.spent += count * points
        search.run(search.every, [*layers, *search.spread(count, points)])
    release(search)


def _one_line(search: Search) -> bool:
    """Return whether a scan of a plain document goes along one line, in one direction."""
    memory, problems = search.memory, search.problems
    if not memory.plain or memory.second or memory.free is None:
        return False
    moved = problems.fixed.any(axis=1) & (np.ptp(problems.start, axis=1) > 0)
    return int(moved.sum()) == 1 and bool(np.all(np.diff(problems.start[moved][0]) > 0))


def _along(search: Search, layers: list[Array]) -> None:
    """Fit a scan of one parameter once and join it to the certified free minimum.

    What the slopes do not join to it is started from elsewhere too.
    """
    ledger, problems, free = search.ledger, search.problems, search.memory.free
    assert free is not None
    points = len(search)
    path = problems.start[problems.fixed.any(axis=1)]
    path = path[np.ptp(path, axis=1).argmax()]
    through(search, path, [_anchors(search, 0, points - 1)])
    k = int(np.flatnonzero(np.ptp(problems.start, axis=1) > 0)[0])
    both = BatchFit.join([ledger.fit, free])
    order = np.argsort(both.parameters[:, k], kind="stable")
    x, fit = both.parameters[order, k], both.select(order)
    new = np.concatenate([[True], np.diff(x) > 0])  # the free minimum may be one of the points
    good = np.ones(len(x), dtype=bool)
    chain = fit.select(new)
    joins = integrates(x[new], chain.twice_nll, chain.gradient[:, k], search.tolerance(chain))
    good[new] = np.concatenate([[True], joins])
    origin = int(np.flatnonzero(order == points)[0])
    broken = np.cumsum(~good)
    joined = np.zeros(points, dtype=bool)
    inside = order[broken == broken[origin]]
    joined[inside[inside < points]] = True
    ledger.join(joined & ledger.fit.converged)
    left = np.flatnonzero(~ledger.fit.certified)
    if len(left):
        part = [layer[:, left] for layer in layers]
        search.run(left, [*part, *search.spread(int(len(part) < 2), len(left))])


def _in_between(search: Search, layers: list[Array]) -> None:
    """Scan anchors densely and join the points between to them by the slopes' integral."""
    ledger = search.ledger
    path, runs = scan_path(search.problems)
    parts = [_anchors(search, *run) for run in runs]
    anchors = np.concatenate(parts)
    coarse = search.part(anchors)
    _densely(coarse, [layer[:, anchors] for layer in layers[:1]])
    settle(coarse, ordered=True)
    ledger.take(anchors, coarse.ledger)
    rest = interpolate(search, path, parts)
    joined = np.zeros(len(search), dtype=bool)
    for (first, last), part in zip(runs, parts, strict=True):
        joined[first : last + 1] = _joined(search, path, part)
    ledger.join(joined)
    left = rest[~joined[rest]]
    if len(left):
        after = np.searchsorted(anchors, left)
        sides = [ledger.fit.parameters[anchors[after - k]].T for k in (1, 0)]
        search.run(left, sides, loose=True)


def through(search: Search, path: Array, parts: list[Index]) -> None:
    """Fit the anchors of a scan, and the points between from the polynomial through them."""
    anchors = np.concatenate(parts)
    start = search.problems.start[:, anchors] if search.memory.free is None else None
    search.run(anchors, [search.moved(anchors) if start is None else start])
    interpolate(search, path, parts)


def interpolate(search: Search, path: Array, parts: list[Index]) -> Index:
    """Fit the points between anchors from the polynomial through them; return which they are."""
    rest = np.setdiff1d(search.every, np.concatenate(parts))
    nodes = np.concatenate([_nodes(part, rest) for part in parts], axis=1)
    start = lagrange(path[nodes], path[rest], search.ledger.fit.parameters[nodes]).T
    search.run(rest, [np.asarray(start)])
    return rest


def scan_path(problems: Problems) -> tuple[Array, list[tuple[int, int]]]:
    """Return the distance travelled by the fixed parameters (P,), scaled, and straight runs."""
    moved = problems.start[np.any(problems.fixed, axis=1)]
    size = np.ptp(moved, axis=1, keepdims=True)
    moved = moved[size[:, 0] > 0] / size[size[:, 0] > 0]
    steps = np.abs(np.diff(moved, axis=1)).sum(axis=0)
    return np.concatenate([[0.0], np.cumsum(steps)]), straight_runs(moved)


def anchored(search: Search) -> tuple[Array, list[Index]]:
    """Return the path of a scan and the anchors of its straight runs."""
    path, runs = scan_path(search.problems)
    return path, [_anchors(search, *run) for run in runs]


def _anchors(search: Search, first: int, last: int) -> Index:
    """Return the anchors of a straight run of points, at least four where there are as many."""
    stride = search.memory.options.stride
    count = min(max((last - first) // stride + 2, _NODES), last - first + 1)
    return np.unique(np.linspace(first, last, count).round().astype(np.intp))


def _nodes(anchors: Index, rest: Index) -> Index:
    """Return the nearest anchors (6, R) of the points that lie between the anchors of a run."""
    inside = rest[(rest > anchors[0]) & (rest < anchors[-1])]
    first = np.clip(np.searchsorted(anchors, inside) - 2, 0, max(len(anchors) - _NODES, 0))
    return np.asarray(anchors[first + np.arange(_NODES)[:, None]]) if len(inside) else _NONE


def _joined(search: Search, path: Array, anchors: Index) -> Mask:
    """Return which points of a straight run lie between two certified anchors they join."""
    problems, ledger = search.problems, search.ledger
    first, last = int(anchors[0]), int(anchors[-1])
    out = np.zeros(last - first + 1, dtype=bool)
    if len(anchors) < 2 or len(anchors) == len(out):
        return out
    part, at = slice(first, last + 1), path[first : last + 1]
    x = np.where(problems.fixed[:, part], problems.start[:, part], 0.0)
    way = (x[:, -1] - x[:, 0]) / (at[-1] - at[0])
    fit = ledger.fit.select(part)
    known = np.where(problems.fixed[:, part].T, fit.gradient, 0.0)
    good = integrates(at, fit.twice_nll, known @ way, search.tolerance(fit))
    good &= fit.converged[1:] & fit.converged[:-1]
    whole = np.logical_and.reduceat(good, anchors[:-1] - first)
    whole &= ledger.fit.certified[anchors[1:]] & ledger.fit.certified[anchors[:-1]]
    out[:-1] = np.repeat(whole, np.diff(anchors))
    return out


def near_minima(search: Search, near: tuple[BatchFit, ...]) -> None:
    """Start between certified neighbours; from each where the slopes do not join them."""
    problems, ledger = search.problems, search.ledger
    todo = search.every
    if not search.memory.second:
        start = near[0].parameters.T
        if len(near) == 2:
            t, inside = between(problems, (near[0], near[1]))
            step = near[1].parameters.T - start
            start = start + np.where(inside & np.isfinite(step), t, 0.0) * step
        search.run(todo, [start])
        joined = one_branch(problems, ledger.fit, near, search.tolerance(ledger.fit))
        ledger.join(joined)
        todo = np.flatnonzero(~joined)
    search.run(todo, [n.parameters[todo].T for n in near])
