"""What a search has found: the lowest minimum of each problem, and who reached it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.problems import BatchFit, Problems

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_SAME = 1e-6  # relative distance below which two start points are one


@dataclass
class Counts:
    """What a search did.

    Attributes:
        fits: problems solved. starts: minimisations. certified: minima two starts agree on.
        checked: problems started at least twice. second: problems that met a second minimum.
        proven: minima that are the lowest because -2 log L is convex (:mod:`.convexity`).
    """

    fits: int = 0
    starts: int = 0
    certified: int = 0
    checked: int = 0
    second: int = 0
    proven: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return dict(vars(self))


class Ledger:
    """The lowest minima of P problems and how many different starts reached each."""

    def __init__(self, problems: Problems, agreement: float) -> None:
        points = problems.start.shape[1]
        none = np.zeros(points, dtype=bool)
        self.fit = BatchFit.of(problems.start.T.copy(), np.full(points, np.inf), none.copy())
        self.tries = np.zeros(points, dtype=np.intp)
        self.second = none.copy()
        self.closed = none.copy()  # no rates are allowed, or none can be lower
        self.inside = np.full(problems.start.shape, np.nan)  # points well inside, where looked for
        self.met: list[Array] = []
        self._agreement = agreement

    def enter(self, where: Index, found: BatchFit, distinct: Mask, loose: bool = False) -> Mask:
        """Enter S fits of each of M problems; return (M,) which minima became lower.

        Args:
            where: (M,) problems. found: (S M) fits, start by start. distinct: (S, M) whether the
                start differs from those before it. loose: the fits confirm minima but do not
                replace them.
        """
        held, size = self.fit.select(where), len(where)
        value = np.where(np.isnan(found.twice_nll), np.inf, found.twice_nll).reshape(-1, size)
        converged = found.converged.reshape(-1, size)
        lowest = np.minimum(value.min(axis=0), held.twice_nll)
        tolerance = self._agreement + 1e-11 * np.abs(np.where(np.isfinite(lowest), lowest, 0.0))
        with np.errstate(invalid="ignore"):
            same, stays = value - lowest <= tolerance, held.twice_nll - lowest <= tolerance
            lower = lowest - held.twice_nll < -tolerance
        good = same & converged
        known = stays & held.converged
        second = (converged & ~same & np.isfinite(value)).any(axis=0)
        second |= held.converged & ~stays
        second &= good.any(axis=0) | known
        self._remember(found, held, second)
        self.second[where] |= second
        self.tries[where] += distinct.sum(axis=0)
        # the lowest of those that converged, if any did, else the lowest
        rank = np.where(good.any(axis=0), np.where(good, value, np.inf), value)
        best = rank.argmin(axis=0)
        chosen = found.select(best * size + np.arange(size))
        closer = ~known | ((chosen.twice_nll < held.twice_nll) & (not loose))
        take = np.isfinite(chosen.twice_nll) & (~stays | (good.any(axis=0) & closer))
        agreeing = np.where(known, held.agreeing, 0) + (good & distinct).sum(axis=0)
        agreeing = np.maximum(agreeing, np.where(take, chosen.converged, 0))
        self.fit.put(where[take], chosen.select(take))
        change = take | known
        self.fit.agreeing[where[change]] = agreeing[change]
        return np.asarray(lower)

    def join(self, joined: Mask) -> None:
        """Note that minima are on the branch of certified neighbours: as good as a start more."""
        self.fit.agreeing[joined] += 1
        self.tries[joined] += 1

    def take(self, where: Index, part: Ledger) -> None:
        """Take over what was found of some problems by themselves."""
        self.fit.put(where, part.fit)
        self.tries[where], self.second[where] = part.tries, part.second
        self.closed[where] = part.closed
        self.met += part.met

    def _remember(self, found: BatchFit, held: BatchFit, second: Mask) -> None:
        """Keep the minima of the first few problems that met two."""
        for k in np.flatnonzero(second)[:4]:
            mine = np.arange(k, len(found), len(second))
            mine = mine[found.converged[mine]]
            some = mine[np.unique(found.twice_nll[mine].round(3), return_index=True)[1]]
            self.met += [*found.parameters[some[:4]], held.parameters[k]]


def distinct(starts: Array, held: Array, fixed: Mask, unit: Array) -> Mask:
    """Return (S, M): whether a start differs from those before it and from the minimum held.

    Args:
        starts: (S, n, M). held: (n, M), NaN where there is none. fixed: (n, M).
        unit: (n,) sizes of the parameters.
    """
    count = len(starts)
    out = np.ones((count, starts.shape[2]), dtype=bool)
    size = _SAME * (unit[:, None] + np.abs(starts))
    known = bool(np.isfinite(held).any())
    for k in range(count):
        others = np.concatenate([starts[:k], held[None]]) if known else starts[:k]
        same = (np.abs(others - starts[k]) <= size[k]) | fixed
        out[k] = ~same.all(axis=1).any(axis=0)
    return out
