"""How many starts a fit makes, and where: points spread over constraint widths and bounds."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.likelihood import Likelihood, Observed

Array = NDArray[np.float64]

_PRIMES = (
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
)  # fmt: skip
_REACH = 3.0  # widths within which constrained parameters are spread
_TAIL = 0.45  # of the quantile range of a Cauchy distribution, for unconstrained ones
_FULL = 24  # parameters up to which all of them reach so far at once
_ABSURD = 1e4  # above the suggested start in -2 log L: no fit needs to begin there
_HALVINGS = 6
AGREEMENT = 1e-5
"""Largest difference in -2 log L of two fits that found the same minimum.

Fits converge to far less; 1e-5 moves an interval's end by half of that, in standard deviations.
"""


@dataclass(frozen=True)
class StartOptions:
    """How many starts, and when two of them agree.

    Attributes:
        few: spread starts of one fit; spread: where the document is not plain, or they disagree.
        first: spread starts of the first scan, at least one per point.
        many: spread starts per problem after a second minimum was met; fewer where their
            number times that of the parameters exceeds ``total``.
        agreement: largest difference in -2 log L of two starts that agree.
        stride: points of a long scan per point that gets a spread start.
        long: points of a scan of a plain document that is fitted once.
        rounds: most sweeps between neighbours.
        released: most rounds in which parameters that separate minima are held and released.
        scanned: points of scans at which they are. folded: points of a scan at which folding
            parameters change sides.
        basins: most minima that are remembered as starts.
        patience: times as many iterations take the last starts, where no two agreed before.
        probed: data sets that are started from ``spread`` points; share: of the others.
    """

    few: int = 4
    spread: int = 14
    first: int = 32
    many: int = 8
    total: int = 320
    agreement: float = AGREEMENT
    stride: int = 12
    long: int = 24
    rounds: int = 12
    released: int = 3
    scanned: int = 12
    folded: int = 8
    basins: int = 8
    patience: int = 4
    probed: int = 16
    share: float = 0.03


@functools.lru_cache(maxsize=32)
def halton(count: int, dimension: int) -> Array:
    """Return a Halton sequence (count, dimension) in (0, 1).

    Dimensions beyond the 24th repeat the primes with their order shifted.

    >>> halton(3, 2).round(3).tolist()
    [[0.5, 0.333], [0.25, 0.667], [0.75, 0.111]]
    """
    turn, which = np.divmod(np.arange(dimension), len(_PRIMES))
    base = np.array(_PRIMES)[which]
    number = np.arange(1, count + 1)[:, None] + 7 * turn
    out, factor = np.zeros((count, dimension)), np.ones(dimension)
    while number.any():
        factor = factor / base
        out += factor * (number % base)
        number = number // base
    return out


class Spread:
    """An endless deterministic sequence of start points of one likelihood.

    Parameters with an auxiliary measurement lie within three of its widths, every second start
    at a corner of that box; the others follow a Cauchy distribution with the width that the
    curvature of -2 log L gives them, so that a few lie far away. All are inside their bounds.

    Of many parameters each reaches less far, so that the sum of squares stays what it is for 24;
    and a start at which -2 log L is more than 10^4 above the suggested start is moved towards that
    by halves: a hundred normsys at three widths multiply the rates by 10^10, and Newton's method
    would take hundreds of steps down from there.
    """

    def __init__(self, likelihood: Likelihood, observed: Observed) -> None:
        self._init = likelihood.init
        self._bounds = likelihood.bounds.T
        self._constrained = np.zeros(len(self._init), dtype=bool)
        self.width = self._scales(likelihood, observed)
        self._points = np.zeros((0, len(self._init)))
        self._next = 0
        self._reach = min(1.0, np.sqrt(_FULL / max(len(self._init), 1)))
        one = observed if observed.size is None else observed.select(np.array([0]))
        self._value = lambda points: likelihood.value(np.ascontiguousarray(points.T), one)

    def _scales(self, likelihood: Likelihood, observed: Observed) -> Array:
        """Return a width of every parameter, and note which have an auxiliary measurement."""
        one = observed if observed.size is None else observed.select(np.array([0]))
        with np.errstate(all="ignore"):
            hessian = likelihood.derivatives(self._init[:, None], one).hessian
            width = np.sqrt(2 / np.abs(np.einsum("iip->i", hessian)))
        low, high = self._bounds
        room = np.where(np.isfinite(high - low), high - low, 2 * (1 + np.abs(self._init)))
        width = np.where(np.isfinite(width) & (width > 0), np.minimum(width, room), 0.1 * room)
        base = getattr(likelihood, "base", likelihood)
        constraints = getattr(getattr(base, "compiled", None), "constraints", None)
        if constraints is not None and base is likelihood:
            at = constraints.parameters
            self._constrained[at] = True
            scale = np.maximum(constraints.scale, 1e-300)
            width[at] = np.where(constraints.normal, scale, 1 / np.sqrt(scale))
        return width

    def take(self, count: int) -> Array:
        """Return the next ``count`` start points, shape (count, n)."""
        if self._next + count > len(self._points):
            self._points = self._make(max(self._next + count, 2 * len(self._points)))
        found = self._points[self._next : self._next + count]
        self._next += count
        return found

    def _make(self, count: int) -> Array:
        """Return the first ``count`` points."""
        unit = 2 * halton(count, len(self._init)) - 1
        corner = np.where(np.arange(count)[:, None] % 2 == 1, np.sign(unit), unit)
        tail = np.tan(np.pi * _TAIL * unit)
        shift = np.where(self._constrained, _REACH * corner, tail) * self._reach
        low, high = self._bounds
        points = np.asarray(np.clip(self._init + self.width * shift, low, high))
        most = float(self._value(self._init[None])[0]) + _ABSURD
        for _ in range(_HALVINGS if np.isfinite(most) else 0):
            with np.errstate(all="ignore"):
                value = self._value(points)
            absurd = np.isfinite(value) & (value > most)
            if not absurd.any():
                break
            points[absurd] = 0.5 * (points[absurd] + self._init)
        return points
