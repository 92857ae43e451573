"""Responses and backgrounds on the anchors of shape parameters, and their reduction to +-1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histnu.errors import DataError
from histnu.experiments.model import (
    Background,
    Channel,
    Experiment,
    Observable,
    Origin,
    PublishedExpectation,
    RateNuisance,
    ShapeNuisance,
)
from histnu.experiments.response import Response

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AnchorGrid:
    """Numbers on the anchors of k shape parameters.

    Attributes:
        parameters: names, k of them (may be none).
        anchors: values of each parameter, in standard deviations, increasing.
        values: shape (n_1, ..., n_k, ...): one array per anchor point.
    """

    parameters: tuple[str, ...]
    anchors: tuple[Array, ...]
    values: Array

    def __post_init__(self) -> None:
        sizes = tuple(a.size for a in self.anchors)
        if self.values.shape[: len(sizes)] != sizes:
            raise DataError(f"anchors {sizes} do not fit values of shape {self.values.shape}")

    def at(self, **point: float) -> Array:
        """Values at an anchor; parameters not given are at zero.

        Raises:
            DataError: if there is no such anchor.
        """
        index = []
        for name, anchors in zip(self.parameters, self.anchors, strict=True):
            match = np.flatnonzero(np.isclose(anchors, point.get(name, 0.0)))
            if match.size != 1:
                raise DataError(f"{name} has no anchor at {point.get(name, 0.0)}")
            index.append(int(match[0]))
        return np.asarray(self.values[tuple(index)])

    def pairs(self) -> dict[str, tuple[Array, Array]]:
        """Values at -1 and +1 of each parameter, as HistFactory needs them.

        HistFactory multiplies the changes of two parameters. Where both move the same way, which
        is where limits are set, the true total differs from the product by ``c = T(s,s) T(0,0) /
        (T(s,0) T(0,s))``; each of the two is therefore multiplied by ``sqrt(c)``.
        """
        pairs = {p: (self.at(**{p: -1.0}), self.at(**{p: 1.0})) for p in self.parameters}
        if len(self.parameters) != 2:
            return pairs
        factors = [self._correlation(sign) for sign in (-1.0, 1.0)]
        return {p: (down * factors[0], up * factors[1]) for p, (down, up) in pairs.items()}

    def _correlation(self, sign: float) -> Array:
        """``sqrt(c)`` of :meth:`pairs`; one where a total is zero or changes sign."""
        first, second = self.parameters
        points: tuple[dict[str, float], ...] = (
            {first: sign, second: sign},
            {},
            {first: sign},
            {second: sign},
        )
        both, none, one, other = (self.at(**p).sum(axis=0) for p in points)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = both * none / (one * other)
        return np.asarray(np.where(np.isfinite(ratio) & (ratio > 0), np.sqrt(np.abs(ratio)), 1.0))

    def scaled(self, factor: float) -> AnchorGrid:
        """The same grid times a number."""
        return AnchorGrid(self.parameters, self.anchors, self.values * factor)


@dataclass(frozen=True)
class FullBackground:
    """A background on the anchors of its shape parameters; events per bin, (..., B)."""

    name: str
    title: str
    expected: AnchorGrid
    rates: tuple[RateNuisance, ...]
    origin: Origin

    def reduced(self) -> Background:
        """The background with shapes at -1 and +1 standard deviation."""
        shapes = tuple(
            ShapeNuisance(p, down, up, self.origin)
            for p, (down, up) in self.expected.pairs().items()
        )
        nominal = self.expected.at()
        return Background(self.name, self.title, nominal, self.rates, shapes, self.origin)


@dataclass(frozen=True)
class FullChannel:
    """One science run with every anchor.

    Attributes:
        livetime_tonne_year: exposure in t yr.
        edges: bin edges of each observable; bins are flattened, the last axis fastest.
        e_recoil_kev: nodes of the response, shape (N,).
        response: detection probability, (..., B, N).
        observed: events per bin, (B,).
        signal_rates: relative uncertainties of any signal (not the flux).
        published: the release's own CEvNS template in events, (..., B), and its flux.
    """

    name: str
    title: str
    livetime_tonne_year: float
    edges: Mapping[str, Array]
    e_recoil_kev: Array
    response: AnchorGrid
    backgrounds: tuple[FullBackground, ...]
    observed: Array
    signal_rates: tuple[RateNuisance, ...]
    origins: Mapping[str, Origin]
    published: AnchorGrid | None = None
    published_flux_cm2_s: float = 5.25e6

    def response_at(self, **point: float) -> Response:
        """Response at an anchor of the shape parameters."""
        return self._response(self.response.at(**point))

    def _response(self, probability: Array) -> Response:
        return Response(self.e_recoil_kev, probability, "pchip")

    def reduced(self, bounds: Mapping[str, tuple[float, float]]) -> Channel:
        """The channel with responses at -1 and +1 standard deviation, and parameter bounds."""
        n = self.observed.size
        names = ", ".join(self.edges)
        published = None
        if self.published is not None:
            published = PublishedExpectation(
                self.published.at(), self.published_flux_cm2_s, self.origins["response"]
            )
        return Channel(
            name=self.name,
            title=self.title,
            exposure_tonne_year=self.livetime_tonne_year,
            observable=Observable("bin", f"bin of ({names})", "1", np.arange(n + 1.0)),
            response=self.response_at(),
            backgrounds=tuple(b.reduced() for b in self.backgrounds),
            observed=self.observed,
            signal_rates=self.signal_rates,
            origins=self.origins,
            published_signal=published,
            response_variations={
                p: (self._response(down), self._response(up))
                for p, (down, up) in self.response.pairs().items()
            },
            split_shapes=self.shape_parameters,
            nuisance_bounds=bounds,
        )

    @property
    def shape_parameters(self) -> tuple[str, ...]:
        """Shape parameters of response and backgrounds."""
        used = [*self.response.parameters]
        used += [p for b in self.backgrounds for p in b.expected.parameters]
        return tuple(dict.fromkeys(used))


@dataclass(frozen=True)
class FullExperiment:
    """A full likelihood with every anchor.

    Attributes:
        bounds: nuisance parameter -> allowed values in standard deviations (the release's own
            fit limits).
        files: SHA-256 of what was read.
    """

    name: str
    title: str
    channels: tuple[FullChannel, ...]
    references: tuple[str, ...]
    assumptions: tuple[str, ...]
    bounds: Mapping[str, tuple[float, float]]
    files: Mapping[str, str] = field(default_factory=dict)

    def experiment(self) -> Experiment:
        """The experiment that templates and workspaces are made from."""
        return Experiment(
            self.name,
            self.title,
            "xenon",
            "nuclear",
            tuple(c.reduced(self.bounds) for c in self.channels),
            self.references,
            self.assumptions,
            self.files,
        )


def rate_bounds(
    relative: float, limits: tuple[float, float] | None, widest: float = 5.0
) -> tuple[float, float]:
    """Fit limits of a rate multiplier, in standard deviations of it.

    >>> rate_bounds(0.25, (0.5, 1.5))
    (-2.0, 2.0)
    """
    low, high = limits if limits is not None else (0.0, np.inf)
    return max((low - 1.0) / relative, -widest), min((high - 1.0) / relative, widest)
