"""Intervals of neutrino charges by a scan: robust where the likelihood is flat at zero.

All six charges enter squared, so at the SM expectation -2 log L has no curvature at zero and the
curvature gives no scale for a search. A grid of profiles does not need one, and it sees every
minimum that interference makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import FitError
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.profile import profile

Array = NDArray[np.float64]

GRID = {True: np.linspace(-24.0, 32.0, 29), False: np.linspace(0.0, 24.0, 13)}
"""Scan in 1e-8 e of diagonal charges, and of transition charges (even in the charge)."""
REFINE_POINTS = 7
ROUNDS = 2


@dataclass(frozen=True)
class ChargeInterval:
    """Ends of an interval (None if open), best fit and -2 log L there."""

    lower: float | None
    upper: float | None
    best_fit: float
    twice_nll: float


class _Scan:
    """Profile values collected so far, and the lowest -2 log L seen."""

    def __init__(self, likelihood: MappedLikelihood, data: ArrayLike | None, name: str) -> None:
        self.likelihood, self.data, self.name = likelihood, data, name
        self.x, self.y = np.zeros(0), np.zeros(0)
        self.best, self.lowest = 0.0, np.inf

    def add(self, values: Array) -> None:
        found = profile(self.likelihood, self.data, self.name, values)
        if found.best_fit.twice_nll < self.lowest:
            self.best = found.best_fit.parameters[self.name]
            self.lowest = found.best_fit.twice_nll
        x = np.concatenate([self.x, found.values])
        y = np.concatenate([self.y, found.delta_twice_nll + found.best_fit.twice_nll])
        order = np.argsort(x)
        self.x, self.y = x[order], y[order]

    def crossings(self, level: float) -> list[tuple[float, float]]:
        """Brackets in which the profile crosses the level."""
        above = self.y - self.lowest > level
        where = np.flatnonzero(above[1:] != above[:-1])
        return [(float(self.x[i]), float(self.x[i + 1])) for i in where]

    def root(self, bracket: tuple[float, float], level: float) -> float:
        """Where sqrt(Delta), linear between two points, crosses the level."""
        root = np.sqrt(np.maximum(np.interp(bracket, self.x, self.y) - self.lowest, 0.0))
        share = (np.sqrt(level) - root[0]) / (root[1] - root[0])
        return float(bracket[0] + share * (bracket[1] - bracket[0]))


def charge_interval(
    likelihood: MappedLikelihood, data: ArrayLike | None, name: str, level: float
) -> ChargeInterval:
    """Outermost crossings of the profile of one charge, the others profiled.

    Args:
        likelihood: in the six charges, units of 1e-8 e.
        data: counts (B,); the observation if None.
        name: ``q_ee``, ``q_mumu``, ...; diagonal charges have both signs, for transition
            charges the likelihood is even and only positive values are scanned.
        level: threshold of Delta(-2 log L).

    Raises:
        FitError: if the profile is undefined on the whole grid.
    """
    diagonal = name in {"q_ee", "q_mumu", "q_tautau"}
    scan = _Scan(likelihood, data, name)
    scan.add(GRID[diagonal])
    if not np.any(np.isfinite(scan.y)):
        raise FitError(f"{name}: -2 log L is not finite anywhere on the grid")
    for _ in range(ROUNDS):
        ends = scan.crossings(level)
        inner = [np.linspace(*e, REFINE_POINTS + 2)[1:-1] for e in {*ends[:1], *ends[-1:]}]
        if inner:
            scan.add(np.sort(np.concatenate(inner)))
    ends = scan.crossings(level)
    allowed = scan.y - scan.lowest <= level
    lower = scan.root(ends[0], level) if ends and not allowed[0] else None
    upper = scan.root(ends[-1], level) if ends and not allowed[-1] else None
    if not diagonal:
        lower = None if upper is None else -upper
    return ChargeInterval(lower, upper, scan.best, scan.lowest)
