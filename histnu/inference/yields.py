"""Expected events per channel and sample, with uncertainties, before and after the fit.

Each parameter is moved by one standard deviation up and down, with all samples evaluated in one
batch; with ``v_i = [lambda(theta + sigma_i) - lambda(theta - sigma_i)] / 2`` and the correlation
matrix rho the variance of a yield is

    Var(lambda) = sum_ij v_i rho_ij v_j,

the linear propagation of the covariance with derivatives taken over one standard deviation (as
cabinetry's ``yield_stdev``). For sums over bins or samples ``lambda`` is the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.inference.engine.compile import Compiled
from histnu.inference.engine.fit import AnyLikelihood
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.results import Result

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelYields(Result):
    """Expected events of one channel (S samples, B bins).

    Attributes:
        channel: its name. samples: (S,) names.
        observed: (B,) counts.
        yields: (S, B) expected events; errors: (S, B) their standard deviations.
        total: (B,) sum over samples; total_error: (B,).
        sums: (S,) sums over bins; sum_errors: (S,).
        sum_total: sum over samples and bins; sum_total_error: of it.
    """

    channel: str
    samples: tuple[str, ...]
    observed: Array
    yields: Array
    errors: Array
    total: Array
    total_error: Array
    sums: Array
    sum_errors: Array
    sum_total: float
    sum_total_error: float


@dataclass(frozen=True)
class Prediction(Result):
    """Expected events of all channels, ``label`` being ``prefit`` or ``postfit``."""

    label: str
    channels: tuple[ChannelYields, ...]


def sample_yields(likelihood: AnyLikelihood, parameters: ArrayLike) -> dict[str, dict[str, Array]]:
    """Return channel -> sample -> expected events (P, B of the channel) at parameters (P, n)."""
    mapped = isinstance(likelihood, MappedLikelihood)
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    pars = np.atleast_2d(np.asarray(parameters, dtype=float))
    pars = likelihood.base_parameters(pars) if mapped else pars  # type: ignore[union-attr]
    out: dict[str, dict[str, Array]] = {}
    for sample in dict.fromkeys(t.sample for t in base.compiled.rows):
        rates = BatchedLikelihood(_alone(base.compiled, sample)).expected(pars)
        for channel in dict.fromkeys(t.channel for t in base.compiled.rows if t.sample == sample):
            out.setdefault(channel, {})[sample] = rates[:, base.channels[channel]]
    return {channel: out[channel] for channel in base.channels}


def _alone(compiled: Compiled, sample: str) -> Compiled:
    """The model in which all other samples have no events."""
    rows = tuple(
        r if r.sample == sample else replace(r, nominal=np.zeros_like(r.nominal), differences=())
        for r in compiled.rows
    )
    return replace(compiled, rows=rows)


def prediction(
    likelihood: AnyLikelihood,
    center: Array,
    covariance: Array,
    observed: Sequence[float] | Array,
    label: str,
    projections: Mapping[str, Array] | None = None,
) -> Prediction:
    """Return the expected events of every sample and channel with their uncertainties.

    Args:
        likelihood: a batched or mapped likelihood.
        center: (n,) parameters. covariance: (n, n) of the parameters.
        observed: (B,) counts of all channels. label: ``prefit`` or ``postfit``.
        projections: channel -> (B', B) matrix that adds bins of the channel (a projection on one
            of its axes); channels that are not named are left out. All channels as they are if
            None.
    """
    sigma = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    moved = np.flatnonzero(sigma > 0)
    steps = np.zeros((len(moved), len(center)))
    steps[np.arange(len(moved)), moved] = sigma[moved]
    points = np.concatenate([center[None], center + steps, center - steps])
    scale = np.outer(sigma[moved], sigma[moved])
    correlation = covariance[np.ix_(moved, moved)] / scale
    counts = np.asarray(observed, dtype=float)
    channels = []
    for name, samples in sample_yields(likelihood, points).items():
        data = counts[likelihood.channels[name]]
        if projections is None:
            channels.append(_channel(name, samples, correlation, data))
        elif name in projections:
            matrix = projections[name]
            added = {k: v @ matrix.T for k, v in samples.items()}
            channels.append(_channel(name, added, correlation, matrix @ data))
    return Prediction(label, tuple(channels))


def _channel(
    name: str, samples: dict[str, Array], correlation: Array, observed: Array
) -> ChannelYields:
    """One channel from yields at the center and at both sides of every parameter."""
    stack = np.stack(list(samples.values()))  # (S, 1 + 2K, B)
    half = (stack.shape[1] - 1) // 2
    center = stack[:, 0]
    slopes = np.moveaxis(stack[:, 1 : half + 1] - stack[:, half + 1 :], 1, 0) / 2  # (K, S, B)

    def error(v: Array) -> Array:
        flat = v.reshape(half, int(np.prod(v.shape[1:])))
        variance = (flat * (correlation @ flat)).sum(axis=0)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)).reshape(v.shape[1:]))

    return ChannelYields(
        channel=name,
        samples=tuple(samples),
        observed=observed,
        yields=center,
        errors=error(slopes),
        total=center.sum(axis=0),
        total_error=error(slopes.sum(axis=1)),
        sums=center.sum(axis=1),
        sum_errors=error(slopes.sum(axis=2)),
        sum_total=float(center.sum()),
        sum_total_error=float(error(slopes.sum(axis=(1, 2))[:, None])[0]),
    )
