"""Reconstruction of the PandaX-4T ionization-only (US2) channel from its published totals.

The collaboration's binned US2 spectrum is not public. This module writes down every assumption
that turns the published totals into bins of reconstructed electrons, so that each can be varied.
``scripts/reconstruct_pandax4t_us2.py`` writes the package's tables with the default assumptions.

Published (Bo et al., Phys. Rev. Lett. 133 (2024) 191001, arXiv:2407.10892): exposure, 332 observed
events, 251 +- 32 background events from cathode electrodes (CE) and micro-discharge (MD), best-fit
signal of 75 events at a flux of 8.4e6 cm^-2 s^-1, nuclear-recoil threshold of 0.33 keV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, ndtr, xlogy

from histnu.core.errors import DataError
from histnu.experiments.response import Response

Array = NDArray[np.float64]

TARGET = "xenon"
OBSERVED_TOTAL = 332
BACKGROUND_TOTAL = 251.0
BACKGROUND_UNCERTAINTY = 32.0
CE_RELATIVE, MD_RELATIVE = 0.31, 0.23
BEST_FIT_SIGNAL, BEST_FIT_FLUX = 75.0, 8.4e6
THRESHOLD_KEV = 0.33
DRIFT_FIELD_V_CM = 93.0  # assumed: typical of PandaX-4T; enters the yield as F^0.05
LARGEST_RECOIL_KEV = 5.5


@dataclass(frozen=True)
class Us2Assumptions:
    """What is assumed beyond the published totals.

    Attributes:
        edges: bins in reconstructed electrons.
        yield_scale: factor on the NEST charge yield.
        extraction: probability that an ionization electron is extracted and survives the drift.
        single_electron_resolution: sigma/mean of the signal of one electron.
        ce_fraction: share of CE in the background. The default minimises the uncertainty of the
            sum of two sources known to 31 % and 23 %; two independent runs of that size would
            give the published +-32, every other split a larger error.
        ce_slope, md_slope: decay constants in electrons of falling exponential spectra.
        excess_follows_signal: whether the 81 events above background have the signal's shape
            (otherwise the background's).
    """

    edges: tuple[float, ...] = (4.0, 5.0, 6.0, 7.0, 8.0)
    yield_scale: float = 1.0
    extraction: float = 0.9
    single_electron_resolution: float = 0.3
    ce_fraction: float = MD_RELATIVE**2 / (CE_RELATIVE**2 + MD_RELATIVE**2)
    ce_slope: float = 4.0
    md_slope: float = 1.2
    excess_follows_signal: bool = True


def nest_charge_yield(e_recoil_kev: ArrayLike, field_v_cm: float = DRIFT_FIELD_V_CM) -> Array:
    """Charge yield of nuclear recoils in electrons per keV, NEST v2 mean-yield formula.

    ``Q_y = (1 - 1/(1 + (T/zeta)^eta)) / (gamma F^delta sqrt(T + epsilon))`` with gamma = 0.0480,
    delta = -0.0533, epsilon = 12.6 keV, zeta = 0.3 keV, eta = 2 at liquid density 2.9 g/cm^3.

    References: M. Szydagis et al., Instruments 5 (2021) 13, arXiv:2102.10209; arXiv:2211.10726.
    """
    t = np.asarray(e_recoil_kev, dtype=float)
    thomas_imel = 0.0480 * field_v_cm**-0.0533
    suppression = 1.0 - 1.0 / (1.0 + (t / 0.3) ** 2)
    return np.asarray(suppression / (thomas_imel * np.sqrt(t + 12.6)))


def bin_probability(e_recoil_kev: Array, a: Us2Assumptions) -> Array:
    """Probability to reconstruct a recoil in each bin, shape (B, N), before the selection.

    The number of extracted electrons is Poisson around ``extraction Q_y T``; n electrons are
    reconstructed as a Gaussian of mean n and standard deviation ``resolution sqrt(n)``.
    """
    mean = a.extraction * a.yield_scale * nest_charge_yield(e_recoil_kev) * e_recoil_kev
    n = np.arange(1, 61)
    edges = np.array(a.edges)
    width = a.single_electron_resolution * np.sqrt(n)
    cumulative = ndtr((edges[:, None] - n) / width)
    in_bin = np.diff(cumulative, axis=0)
    poisson = np.exp(xlogy(n[:, None], mean) - gammaln(n[:, None] + 1) - mean)
    return np.asarray(in_bin @ poisson)


def response(a: Us2Assumptions, signal_events: Array, signal_total: float) -> Response:
    """Response scaled by one constant efficiency so that the SM signal has its published size.

    Args:
        a: assumptions.
        signal_events: SM events per bin for a selection efficiency of one, shape (B,).
        signal_total: published SM events at the same flux.

    Raises:
        DataError: if that would need an efficiency above one.
    """
    bare = bare_response(a)
    efficiency = signal_total / float(np.sum(signal_events))
    if not 0 < efficiency <= 1:
        raise DataError(
            f"US2 reconstruction needs an efficiency of {efficiency:.3g}, not in (0, 1]"
        )
    return Response(bare.e_recoil_kev, bare.probability * efficiency, bare.interpolation)


def bare_response(a: Us2Assumptions) -> Response:
    """Response for a selection efficiency of one, from the published threshold on."""
    nodes = np.concatenate(
        [np.arange(THRESHOLD_KEV, 2.0, 0.05), np.linspace(2.0, LARGEST_RECOIL_KEV, 36)]
    )
    return Response(nodes, bin_probability(nodes, a), "pchip")


def published_signal_total(flux_cm2_s: float) -> float:
    """SM events at a flux, from the collaboration's best fit: ``75 flux / 8.4e6``."""
    return BEST_FIT_SIGNAL * flux_cm2_s / BEST_FIT_FLUX


def backgrounds(a: Us2Assumptions) -> dict[str, Array]:
    """CE and MD events per bin, adding up to the published 251."""
    edges = np.array(a.edges)
    totals = {"ce": a.ce_fraction * BACKGROUND_TOTAL, "md": (1 - a.ce_fraction) * BACKGROUND_TOTAL}
    slopes = {"ce": a.ce_slope, "md": a.md_slope}
    result = {}
    for name, total in totals.items():
        shape = -np.diff(np.exp(-edges / slopes[name]))
        result[name] = total * shape / shape.sum()
    return result


def observed(a: Us2Assumptions, signal_events: Array) -> Array:
    """The 332 observed events spread over the bins: background plus the excess.

    Rounded to integers that add up to 332 (largest remainders).
    """
    background = np.sum(list(backgrounds(a).values()), axis=0)
    shape = signal_events if a.excess_follows_signal else background
    expected = background + (OBSERVED_TOTAL - BACKGROUND_TOTAL) * shape / shape.sum()
    counts = np.floor(expected)
    missing = round(OBSERVED_TOTAL - counts.sum())
    counts[np.argsort(counts - expected, kind="stable")[:missing]] += 1
    return np.asarray(counts)
