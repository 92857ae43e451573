"""What a search adds until its minima are certified, or nothing more helps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.search import Search

Index = NDArray[np.intp]


def settle(search: Search, ordered: bool, every: bool = True, toys: bool = False) -> None:
    """Add starts until every minimum is certified, or nothing more helps.

    Args:
        search: minima found so far.
        ordered: neighbours are neighbours in a scan. every: where a second minimum was met,
            all problems get more starts, not only those that are not certified.
        toys: without a second minimum it is enough that a fit converged.
    """
    memory, ledger = search.memory, search.ledger
    met = bool(ledger.second.any()) and not memory.second
    memory.second = memory.second or met
    search.learn()
    todo = _unsettled(search, every, met, toys)
    for effort in (1, 2):
        todo = todo[~ledger.closed[todo]]
        if not len(todo):
            return
        many = 1 if memory.plain else memory.many
        count = (many if memory.second else memory.options.spread) * effort
        layers = [*search.known(len(todo)), *search.spread(count, len(todo))]
        search.run(todo, layers, patient=effort > 1)
        if not memory.second and ledger.second.any():
            settle(search, ordered, every, toys)
            return
        if ordered and len(search) > 1 and memory.second:
            sweep(search)
        search.learn()
        if not every:
            break
        enough = toys and not memory.second
        todo = np.flatnonzero(~(ledger.fit.converged if enough else ledger.fit.certified))


def _unsettled(search: Search, every: bool, met: bool, toys: bool) -> Index:
    """Return the problems that need more starts."""
    fit, second = search.ledger.fit, search.memory.second
    if second and (every or met):
        return search.every
    if toys and not second:
        return np.flatnonzero(~fit.converged)
    # what is undefined between two known minima stays so
    return np.flatnonzero(~fit.certified & (every | np.isfinite(fit.twice_nll)))


def sweep(search: Search) -> None:
    """Carry every minimum of a scan to both neighbours until none becomes lower."""
    points = len(search)
    changed = np.ones(points, dtype=bool)
    for _ in range(search.memory.options.rounds):
        better = np.zeros(points, dtype=bool)
        for shift in (1, -1):
            near = np.arange(points) - shift
            inside = (near >= 0) & (near < points)
            todo = np.flatnonzero(inside & changed[np.clip(near, 0, points - 1)])
            if len(todo):
                better |= search.run(todo, [search.ledger.fit.parameters[near[todo]].T])
        if not better.any():
            return
        changed = better
