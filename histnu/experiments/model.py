"""Experiments in memory: frozen, checked, with the origin of every number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histnu.errors import DataError
from histnu.experiments.response import Response

Array = NDArray[np.float64]

RANKS = {"published": 0, "derived": 1, "reconstructed": 2}


@dataclass(frozen=True)
class Origin:
    """Where a number comes from: ``published``, ``derived`` or ``reconstructed``, and a source."""

    provenance: str
    source: str


def weakest(provenances: list[str]) -> str:
    """The provenance of a result that uses all of these.

    >>> weakest(["published", "reconstructed", "derived"])
    'reconstructed'
    """
    return max(provenances, key=RANKS.__getitem__, default="published")


@dataclass(frozen=True)
class RateNuisance:
    """A Gaussian-constrained relative rate uncertainty.

    Attributes:
        name: nuisance parameter; one parameter wherever the name appears.
        relative: one standard deviation, relative to the nominal rate.
        interpolation: ``default`` (as the workspace is asked to be built), ``linear``
            (N(1 + sigma alpha), a symmetric histosys) or ``lognormal`` (normsys with lo = 1/hi).
        origin: where it comes from.
    """

    name: str
    relative: float
    interpolation: str
    origin: Origin


@dataclass(frozen=True)
class ShapeNuisance:
    """Expected events at -1 and +1 standard deviation of a nuisance parameter, shapes (B,)."""

    name: str
    down: Array
    up: Array
    origin: Origin


@dataclass(frozen=True)
class Background:
    """Expected background events per bin, shape (B,), with uncertainties."""

    name: str
    title: str
    expected: Array
    rates: tuple[RateNuisance, ...]
    shapes: tuple[ShapeNuisance, ...]
    origin: Origin


@dataclass(frozen=True)
class Observable:
    """The binned observable; ``edges`` has B + 1 values in ``unit``."""

    name: str
    title: str
    unit: str
    edges: Array


@dataclass(frozen=True)
class PublishedExpectation:
    """A published SM signal per bin, shape (B,), at a flux in cm^-2 s^-1."""

    expected: Array
    flux_cm2_s: float
    origin: Origin


@dataclass(frozen=True)
class Channel:
    """One binned data set with everything needed to predict it.

    Attributes:
        exposure_tonne_year: exposure in t yr; the response is a probability per recoil in it.
        observed: events per bin, shape (B,).
        signal_rates: relative uncertainties of any signal (not the flux).
        response_variations: nuisance name -> responses at -1 and +1 standard deviation.
        split_shapes: shape nuisances whose change of normalisation is written as ``normsys`` and
            only the rest as ``histosys`` (see :mod:`histnu.workspace.shapes`).
        nuisance_bounds: allowed values of nuisance parameters, in standard deviations.
    """

    name: str
    title: str
    exposure_tonne_year: float
    observable: Observable
    response: Response
    backgrounds: tuple[Background, ...]
    observed: Array
    signal_rates: tuple[RateNuisance, ...]
    origins: Mapping[str, Origin]
    published_signal: PublishedExpectation | None = None
    response_variations: Mapping[str, tuple[Response, Response]] = field(default_factory=dict)
    split_shapes: tuple[str, ...] = ()
    nuisance_bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.observable.edges.size - 1
        sizes = {"response": self.response.n_bins, "observed": self.observed.size}
        sizes |= {f"background {b.name}": b.expected.size for b in self.backgrounds}
        if self.published_signal is not None:
            sizes["published_signal"] = self.published_signal.expected.size
        for what, size in sizes.items():
            if size != n:
                raise DataError(f"channel {self.name}: {what} has {size} bins, the edges make {n}")
        if np.any(self.observed < 0) or not np.all(np.isfinite(self.observed)):
            raise DataError(f"channel {self.name}: observed counts must be finite and >= 0")
        for b in self.backgrounds:
            if np.any(b.expected < 0) or not np.all(np.isfinite(b.expected)):
                raise DataError(f"channel {self.name}: background {b.name} must be finite, >= 0")

    @property
    def n_bins(self) -> int:
        """Number of bins B."""
        return int(self.observed.size)

    @property
    def provenance(self) -> str:
        """The weakest provenance of any number of the channel."""
        all_origins = [o.provenance for o in self.origins.values()]
        for b in self.backgrounds:
            all_origins += [b.origin.provenance, *(r.origin.provenance for r in b.rates)]
            all_origins += [s.origin.provenance for s in b.shapes]
        all_origins += [r.origin.provenance for r in self.signal_rates]
        return weakest(all_origins)


@dataclass(frozen=True)
class Experiment:
    """A declared experiment: one or more channels on one target.

    Attributes:
        recoil: ``nuclear`` or ``electron``: which spectra its response applies to.
        assumptions: what is assumed, for the reader of every result.
        files: SHA-256 of the files it was read from.
    """

    name: str
    title: str
    target: str
    recoil: str
    channels: tuple[Channel, ...]
    references: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def provenance(self) -> str:
        """The weakest provenance of any channel."""
        return weakest([c.provenance for c in self.channels])

    def with_channels(self, channels: tuple[Channel, ...]) -> Experiment:
        """The same experiment with other channels."""
        return replace(self, channels=channels)
