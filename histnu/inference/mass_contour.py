"""Contours of -2 log L(m4, mu) from one likelihood per sterile mass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from histnu.inference.engine.fit import AnyLikelihood
from histnu.inference.limits import interval
from histnu.inference.profile import best_fit

Array = NDArray[np.float64]


def mass_contour(
    likelihoods: Sequence[AnyLikelihood | None],
    strength: str,
    level: float,
    data: Sequence[Array | None] | None,
) -> tuple[list[float | None], tuple[int, float] | None]:
    """Upper ends of ``mu`` at every mass and the global best fit (index of the mass, mu).

    Args:
        likelihoods: one per mass, None where the heavy state cannot be made.
        strength: ``mu2_<flavour>``.
        level: threshold of Delta to the global minimum.
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
        local = float(chi2.cdf(level - (f.twice_nll - lowest), 2))
        uppers.append(root(interval(like, d, strength, local, 2).upper))
    best = fits[where]
    return uppers, None if best is None else (where, math.sqrt(max(best.parameters[strength], 0.0)))


def root(value: float | None) -> float | None:
    """``mu`` from ``mu2``; None stays None."""
    return None if value is None else math.sqrt(max(value, 0.0))
