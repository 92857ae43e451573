"""The US2 reconstruction that gives back PandaX-4T's own flux, error and significance.

The assumptions of :mod:`histnu.experiments.us2` leave the shapes of the background open. Published,
besides the totals: the best fit has 75 +- 28 signal events, 8.4 +- 3.1 in 1e6 cm^-2 s^-1, at 2.64
standard deviations, with 251 +- 32 background events. For any shapes,

* the observed events are spread over the bins so that the fit has 75 signal events, and
* one free number, the slope of the micro-discharge background, is the one that gives 2.64.

The error of the flux is then a check, and what is left of the freedom in shapes an envelope.
Nothing here knows any bound on new physics.

Published: Bo et al., Phys. Rev. Lett. 133 (2024) 191001, arXiv:2407.10892.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize, minimize_scalar

from histnu.core.errors import DataError
from histnu.experiments.us2 import (
    BACKGROUND_TOTAL,
    BACKGROUND_UNCERTAINTY,
    BEST_FIT_SIGNAL,
    OBSERVED_TOTAL,
    Us2Assumptions,
    backgrounds,
)

Array = NDArray[np.float64]

BEST_FIT_ERROR = 28.0
SIGNIFICANCE = 2.64
SLOPES = (0.5, 2.5)
"""Range of the micro-discharge slope in electrons."""


@dataclass(frozen=True)
class FluxFit:
    """Fit of signal events with one background nuisance, in the binned US2 data.

    Attributes:
        signal: shape of the signal, adding up to one, (B,).
        background: shape of the background, adding up to one, (B,).
        observed: events per bin, (B,).
    """

    signal: Array
    background: Array
    observed: Array

    def _nll(self, events: float, deviations: float) -> float:
        total = BACKGROUND_TOTAL + BACKGROUND_UNCERTAINTY * deviations
        mu = events * self.signal + total * self.background
        if np.any(mu <= 0):
            return float("inf")
        return float(2.0 * np.sum(mu - self.observed * np.log(mu)) + deviations**2)

    def profile(self, events: float) -> float:
        """``-2 ln L`` at a number of signal events, least over the background."""

        def nll(deviations: float) -> float:
            return self._nll(events, deviations)

        bounds, options = (-6.0, 6.0), {"xatol": 1e-9}
        return float(minimize_scalar(nll, bounds=bounds, method="bounded", options=options).fun)

    def best(self) -> float:
        """Signal events at the minimum (may be negative)."""
        options = {"xatol": 1e-7, "fatol": 1e-10}
        start = [BEST_FIT_SIGNAL, 0.0]
        found = minimize(lambda x: self._nll(*x), start, method="Nelder-Mead", options=options)
        return float(found.x[0])

    def errors(self) -> tuple[float, float]:
        """Lower and upper error of the signal events (Delta chi2 = 1)."""
        best = self.best()
        least = self.profile(best)
        low = brentq(lambda x: self.profile(x) - least - 1.0, best - 150.0, best)
        high = brentq(lambda x: self.profile(x) - least - 1.0, best, best + 300.0)
        return best - low, high - best

    def significance(self) -> float:
        """Standard deviations against no signal."""
        return float(np.sqrt(self.profile(0.0) - self.profile(self.best())))


def flux_fit(assumptions: Us2Assumptions, signal: Array) -> FluxFit:
    """The fit whose observed events (real numbers) have 75 signal events at the minimum.

    Args:
        assumptions: shapes of the background.
        signal: shape of the signal, any normalisation, (B,).

    Raises:
        DataError: if no spread of 332 events does.
    """
    s = signal / signal.sum()
    b = np.sum(list(backgrounds(assumptions).values()), axis=0)
    b = b / b.sum()

    def at(x: float) -> FluxFit:
        return FluxFit(s, b, x * s + (OBSERVED_TOTAL - x) * b)

    try:
        x = brentq(lambda x: at(x).best() - BEST_FIT_SIGNAL, 5.0, 150.0, xtol=1e-6)
    except ValueError:
        raise DataError(
            "US2: signal and background are too much alike for a best fit of 75 events; change "
            "the slopes"
        ) from None
    return at(x)


def matched(assumptions: Us2Assumptions, signal: Array) -> Us2Assumptions:
    """The assumptions with the micro-discharge slope that gives the published significance.

    Raises:
        DataError: if no slope in ``SLOPES`` does.
    """

    def excess(slope: float) -> float:
        try:
            fit = flux_fit(replace(assumptions, md_slope=slope), signal)
        except DataError:
            return -SIGNIFICANCE
        return fit.significance() - SIGNIFICANCE

    try:
        slope = brentq(excess, *SLOPES, xtol=1e-4)
    except ValueError:
        raise DataError(f"US2: no slope in {SLOPES} electrons gives {SIGNIFICANCE}") from None
    return replace(assumptions, md_slope=float(slope))


def whole_events(fit: FluxFit) -> FluxFit:
    """The fit with whole events near its real ones, those that change flux and significance least.

    Every bin within 1.5 of its real number, the same sum; the best is the one with the smallest
    sum of squares of the two changes, each in units of its published precision (28 events; 0.1).
    """
    base = np.floor(fit.observed)
    best, least = fit, float("inf")
    for offsets in itertools.product(range(-1, 3), repeat=base.size - 1):
        head = base[:-1] + offsets
        counts = np.append(head, OBSERVED_TOTAL - head.sum())
        if np.any(np.abs(counts - fit.observed) > 1.5):
            continue
        trial = FluxFit(fit.signal, fit.background, counts)
        events = (trial.best() - BEST_FIT_SIGNAL) / BEST_FIT_ERROR
        change = events**2 + ((trial.significance() - SIGNIFICANCE) / 0.1) ** 2
        if change < least:
            best, least = trial, change
    return best


ENVELOPE: dict[str, Us2Assumptions] = {
    "CE slope 4 electrons": Us2Assumptions(),
    "CE slope 1 electron": Us2Assumptions(ce_slope=1.0),
    "CE flat": Us2Assumptions(ce_slope=1000.0),
    "CE share 0.2": Us2Assumptions(ce_fraction=0.2),
    "CE share 0.6": Us2Assumptions(ce_fraction=0.6),
    "charge yield -20 %": Us2Assumptions(yield_scale=0.8),
    "charge yield +20 %": Us2Assumptions(yield_scale=1.2),
    "electron resolution 0.4": Us2Assumptions(single_electron_resolution=0.4),
}
"""What remains free once flux, error and significance are given back; the first is nominal."""
