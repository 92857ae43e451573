"""The reference: a likelihood that interpolates between all anchors, as the collaboration does.

Rates are ``(1 + sigma alpha)`` and shapes are interpolated between all anchors of the release
as blueice does, which is slow: it measures what plain HistFactory loses
(``docs/full_likelihoods.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from histnu.core.errors import FitError
from histnu.core.polynomial import PolynomialMap
from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.model import Experiment, RateNuisance

Array = NDArray[np.float64]


def multilinear(grid: AnchorGrid, point: Mapping[str, float]) -> Array:
    """Linear interpolation between neighbouring anchors in every shape parameter.

    Parameters that are not given are at zero; beyond the outer anchors the value at the anchor
    is used.

    >>> grid = AnchorGrid(("t",), (np.array([-1.0, 0.0, 1.0]),), np.array([[1.0], [2.0], [4.0]]))
    >>> multilinear(grid, {"t": 0.5}).tolist()
    [3.0]
    """
    values = grid.values
    for name, anchors in zip(grid.parameters, grid.anchors, strict=True):
        t = float(np.clip(point.get(name, 0.0), anchors[0], anchors[-1]))
        i = int(np.clip(np.searchsorted(anchors, t, side="right") - 1, 0, anchors.size - 2))
        share = (t - anchors[i]) / (anchors[i + 1] - anchors[i])
        values = (1.0 - share) * values[i] + share * values[i + 1]
    return np.asarray(values)


def blueice_events(grid: AnchorGrid, point: Mapping[str, float]) -> Array:
    """Events per bin as blueice interpolates them: total times normalised shape.

    Total and shape ``G_b / sum_b G_b`` are each linear between anchors, so the product is
    quadratic between them. At the anchors it is the anchor. Grids whose total vanishes at an
    anchor are interpolated bin by bin.

    Args:
        grid: events (..., B). point: shape parameters in standard deviations.
    """
    if not grid.parameters:
        return grid.values
    total = grid.values.sum(axis=-1, keepdims=True)
    if np.any(total == 0.0):
        return multilinear(grid, point)
    shape = AnchorGrid(grid.parameters, grid.anchors, grid.values / total)
    rate = AnchorGrid(grid.parameters, grid.anchors, total)
    return np.asarray(multilinear(rate, point) * multilinear(shape, point))


@dataclass(frozen=True)
class AnchorFit:
    """A minimum: parameter values, -2 log L and whether the minimiser was content."""

    parameters: dict[str, float]
    twice_nll: float
    valid: bool


@dataclass
class AnchorLikelihood:
    """-2 log L of a full experiment with blueice's interpolation.

    Attributes:
        experiment: the full likelihood.
        signals: channel -> sample -> grid of events at strength one.
        polynomial: physical parameters -> strengths; its outputs are samples. Samples that are
            no output have strength one, samples of an output that is not in ``signals`` are left
            out.
        flux: nuisance of all signals, or None.
        bounds: of physical parameters; unbounded above and below where not given.
        data: channel -> counts; the observation where not given.
        starts: start values of the physical parameters; interference makes several minima.
    """

    experiment: Experiment
    signals: Mapping[str, Mapping[str, AnchorGrid]]
    polynomial: PolynomialMap
    flux: RateNuisance | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    data: Mapping[str, Array] = field(default_factory=dict)
    starts: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        channels = self.experiment.channels
        rates = [r for c in channels for r in c.signal_rates]
        rates += [r for c in channels for b in c.backgrounds for r in b.rates]
        rates += [self.flux] if self.flux is not None else []
        self._sigma = {r.name: r.relative for r in rates}
        self.shapes = tuple(dict.fromkeys(p for c in channels for p in c.shape_parameters))
        self.names = (*self.polynomial.parameters, *self._sigma, *self.shapes)

    def limits(self, name: str) -> tuple[float | None, float | None]:
        """Allowed values of a parameter."""
        if name in self.polynomial.parameters:
            return self.bounds.get(name, (None, None))
        return self.experiment.nuisance_bounds.get(name, (-5.0, 5.0))

    def _factor(self, rates: Sequence[RateNuisance], p: Mapping[str, float]) -> float:
        """Product of ``1 + sigma alpha`` of rate nuisances."""
        return float(np.prod([1.0 + r.relative * p[r.name] for r in rates]))

    def strengths(self, p: Mapping[str, float]) -> dict[str, float]:
        """Strength of every output of the polynomial."""
        values = self.polynomial([p[k] for k in self.polynomial.parameters])
        return dict(zip(self.polynomial.outputs, map(float, values), strict=True))

    def expected(self, p: Mapping[str, float]) -> dict[str, Array]:
        """Expected events per channel, each (B,)."""
        flux = [] if self.flux is None else [self.flux]
        strengths = self.strengths(p)
        result = {}
        for channel in self.experiment.channels:
            samples = self.signals[channel.name]
            grids = [strengths.get(k, 1.0) * blueice_events(g, p) for k, g in samples.items()]
            rate = self._factor([*flux, *channel.signal_rates], p)
            total = rate * np.sum(grids, axis=0)
            for b in channel.backgrounds:
                total = total + self._factor(b.rates, p) * blueice_events(b.grid, p)
            result[channel.name] = total
        return result

    def twice_nll(self, p: Mapping[str, float]) -> float:
        """-2 log L with all constants of Poisson and unit Gaussians (as pyhf's)."""
        expected, value = self.expected(p), 0.0
        for channel in self.experiment.channels:
            n = np.asarray(self.data.get(channel.name, channel.observed))
            value += _poisson(n, expected[channel.name])
        pulls = np.array([p[k] for k in (*self._sigma, *self.shapes)])
        return value + float(np.sum(pulls**2)) + pulls.size * float(np.log(2 * np.pi))

    def fit(self, fixed: Mapping[str, float] | None = None) -> AnchorFit:
        """Minimum over everything that is not fixed, from several starts (MIGRAD).

        Raises:
            FitError: for an unknown parameter.
        """
        held = dict(fixed or {})
        unknown = sorted(set(held) - set(self.names))
        if unknown:
            raise FitError(f"unknown parameter {unknown[0]!r}; known: {', '.join(self.names)}")
        fits = [
            self._migrad(held, shape, first) for first in self.starts for shape in (0.0, 0.7, -0.7)
        ]
        return min(fits, key=lambda f: f.twice_nll)

    def _migrad(self, held: Mapping[str, float], shape: float, physical: float) -> AnchorFit:
        from iminuit import Minuit

        free = [n for n in self.names if n not in held]
        first = [
            physical if n in self.polynomial.parameters else shape * (n in self.shapes)
            for n in free
        ]
        if not free:
            return AnchorFit(dict(held), self.twice_nll(held), True)

        def cost(x: Sequence[float]) -> float:
            return self.twice_nll(dict(zip(free, x, strict=True)) | dict(held))

        m = Minuit(cost, first, name=free)
        m.errordef, m.strategy, m.tol, m.print_level = 1.0, 1, 1e-3, 0
        for n in free:
            m.limits[n] = self.limits(n)
        m.simplex().migrad()
        values = dict(zip(free, map(float, m.values), strict=True)) | dict(held)
        return AnchorFit(values, float(m.fval), bool(m.valid))

    def profile(self, name: str, values: Sequence[float]) -> Array:
        """Delta(-2 log L) against the best fit at fixed values of one parameter, (P,)."""
        found = np.array([self.fit({name: float(v)}).twice_nll for v in values])
        return np.asarray(found - min(self.fit().twice_nll, float(found.min())))

    def upper(self, name: str, level: float, high: float) -> float:
        """Upper end where the profile reaches ``level``; the search ends at ``high``.

        Raises:
            FitError: if the profile is still below the level at ``high``.
        """
        from scipy.optimize import brentq

        best = self.fit()

        def excess(x: float) -> float:
            return self.fit({name: x}).twice_nll - best.twice_nll - level

        if excess(high) < 0:
            raise FitError(f"{name}: the profile is below {level} at {high}; raise the limit")
        return float(brentq(excess, best.parameters[name], high, rtol=1e-4))


def _poisson(n: Array, mu: Array) -> float:
    if np.any(mu <= 0):
        return 1e12
    return float(2.0 * np.sum(mu - n * np.log(mu) + gammaln(n + 1.0)))
