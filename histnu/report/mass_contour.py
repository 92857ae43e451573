"""Contours of -2 log L(m4, mu) from one likelihood per sterile mass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.limits import interval
from histnu.inference.profile import best_fit

Array = NDArray[np.float64]


def mass_contour(
    likelihoods: Sequence[BatchedLikelihood | None],
    strength: str,
    level: float,
    data: Sequence[Array | None] | None,
) -> tuple[list[float | None], tuple[int, float] | None]:
    """Upper ends of ``mu`` at every mass and the global best fit (index of the mass, mu).

    Args:
        likelihoods: one per mass, None where the heavy state cannot be made.
        strength: ``mu2_<flavour>``.
        level: threshold of Delta to the global minimum. A mass whose own minimum is above it
            has no allowed value, and no upper end.
        data: counts per mass; observed if None.
    """
    counts = [None] * len(likelihoods) if data is None else list(data)
    fits = [
        None if like is None else best_fit(like, d)
        for like, d in zip(likelihoods, counts, strict=True)
    ]
    reached = [(f.twice_nll, i) for i, f in enumerate(fits) if f is not None]
    if not reached:
        return [None] * len(fits), None
    lowest, where = min(reached)
    uppers: list[float | None] = []
    for like, d, f in zip(likelihoods, counts, fits, strict=True):
        if like is None or f is None:
            uppers.append(None)
            continue
        left = level - (f.twice_nll - lowest)
        if left < 0:  # no value of this mass is within the level of the best
            uppers.append(None)
            continue
        uppers.append(root(interval(like, d, strength, float(chi2.cdf(left, 2)), 2).upper))
    best = fits[where]
    return uppers, None if best is None else (where, math.sqrt(max(best.parameters[strength], 0.0)))


def root(value: float | None) -> float | None:
    """``mu`` from ``mu2``; None stays None."""
    return None if value is None else math.sqrt(max(value, 0.0))
