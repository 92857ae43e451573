"""Experiments in memory: frozen, checked, with the origin of every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError
from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.response import Response

Array = NDArray[np.float64]

RANKS = {"published": 0, "derived": 1, "reconstructed": 2}


@dataclass(frozen=True)
class Origin:
    """Where a number comes from: ``published``, ``derived`` or ``reconstructed``, and a source."""

    provenance: str
    source: str


def shared_data(experiments: Sequence[Experiment]) -> tuple[str, str, str] | None:
    """Two experiments with events in common and the data set they share; None if there are none.

    An experiment that is given twice shares its name.
    """
    owner: dict[str, str] = {}
    for e in experiments:
        for data_set in (e.name, *e.data_sets):
            if data_set in owner:
                return owner[data_set], e.name, data_set
        owner |= dict.fromkeys((e.name, *e.data_sets), e.name)
    return None


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
    """Expected background events per bin, shape (B,), with uncertainties.

    Attributes:
        anchors: events at every anchor of its shape parameters, (..., B), where they are known
            there; ``expected`` and ``shapes`` are those at zero and at -1 and +1 deviation.
    """

    name: str
    title: str
    expected: Array
    rates: tuple[RateNuisance, ...]
    shapes: tuple[ShapeNuisance, ...]
    origin: Origin
    anchors: AnchorGrid | None = None

    @classmethod
    def at_anchors(
        cls,
        name: str,
        title: str,
        anchors: AnchorGrid,
        rates: tuple[RateNuisance, ...],
        origin: Origin,
    ) -> Background:
        """A background tabulated at the anchors of shape parameters."""
        pairs = anchors.pairs().items()
        shapes = tuple(ShapeNuisance(p, down, up, origin) for p, (down, up) in pairs)
        return cls(name, title, anchors.at(), rates, shapes, origin, anchors)

    @property
    def grid(self) -> AnchorGrid:
        """Events at all anchors; a grid without parameters where there are none."""
        return self.anchors or AnchorGrid((), (), self.expected)


@dataclass(frozen=True)
class Axis:
    """One axis of an observable; ``edges`` has one more value than bins, in ``unit``."""

    name: str
    title: str
    unit: str
    edges: Array

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.edges.size - 1)


@dataclass(frozen=True)
class Observable:
    """The binned observable: one axis or more, flattened with the last axis running fastest.

    >>> x, y = (Axis(n, n, "1", np.array([0.0, 1.0, 2.0])) for n in "xy")
    >>> Observable((x, y)).title, Observable((x, y)).edges.tolist()
    ('bin of (x, y)', [0.0, 1.0, 2.0, 3.0, 4.0])
    """

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Bins of every axis."""
        return tuple(a.n_bins for a in self.axes)

    @property
    def _single(self) -> Axis | None:
        return self.axes[0] if len(self.axes) == 1 else None

    @property
    def name(self) -> str:
        """Name of the axis; ``bin`` for more than one."""
        return self._single.name if self._single else "bin"

    @property
    def title(self) -> str:
        """Title of the axis; of several, what the bins are of."""
        names = ", ".join(a.name for a in self.axes)
        return self._single.title if self._single else f"bin of ({names})"

    @property
    def unit(self) -> str:
        """Unit of the axis."""
        return self._single.unit if self._single else "1"

    @property
    def edges(self) -> Array:
        """Edges of the flattened bins, shape (B + 1,): the axis' own, or numbers."""
        if self._single:
            return self._single.edges
        return np.arange(np.prod(self.shape) + 1.0)

    def with_edges(self, edges: Array) -> Observable:
        """The observable of one axis with other edges."""
        (axis,) = self.axes
        return Observable((replace(axis, edges=edges),))


@dataclass(frozen=True)
class PublishedExpectation:
    """A published SM signal per bin, shape (B,), at a flux in cm^-2 s^-1.

    Attributes:
        anchors: the same at every anchor of the response's shape parameters, (..., B).
    """

    expected: Array
    flux_cm2_s: float
    origin: Origin
    anchors: AnchorGrid | None = None


@dataclass(frozen=True)
class Beam:
    """How a channel sees the arrival times of a pulsed source.

    The signal factorises: the response fills the other axes, the arrival of each flux component,
    times an efficiency, the time axis.

    Attributes:
        axis: name of the time axis, in microseconds after the pulse.
        time_us, efficiency: nodes of the efficiency, linear between them, shape (N,).
    """

    axis: str
    time_us: Array
    efficiency: Array


@dataclass(frozen=True)
class SourceChoice:
    """The neutrino source of a channel by name, with its options."""

    name: str = "solar"
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class OtherRecoil:
    """Another kind of recoil that a channel cannot tell from its own.

    Attributes:
        recoil: ``nuclear`` or ``electron``. response, response_variations, origin: as of a channel.
    """

    recoil: str
    response: Response
    response_variations: Mapping[str, tuple[Response, Response]]
    origin: Origin


@dataclass(frozen=True)
class Channel:
    """One binned data set with everything needed to predict it.

    Attributes:
        recoil: ``nuclear`` or ``electron``: which spectra the response applies to.
        target: detector material.
        exposure_tonne_year: exposure in t yr; the response is a probability per recoil in it.
        observed: events per bin, shape (B,).
        signal_rates: relative uncertainties of any signal (not the flux).
        response_variations: nuisance name -> responses at -1 and +1 standard deviation.
        split_shapes: shape nuisances whose change of normalisation is written as ``normsys`` and
            only the rest as ``histosys`` (see :mod:`histnu.workspace.shapes`).
        nuisance_bounds: allowed values of nuisance parameters, in standard deviations.
        source: where the neutrinos come from.
        beam: for a pulsed source seen with a time axis.
        other_recoils: further recoils in the same bins, of the same material and exposure.
    """

    name: str
    title: str
    recoil: str
    target: str
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
    source: SourceChoice = SourceChoice()
    beam: Beam | None = None
    other_recoils: tuple[OtherRecoil, ...] = ()

    def __post_init__(self) -> None:
        n = int(np.prod(self.observable.shape))
        sizes = {"response": self.response.n_bins * self.time_bins, "observed": self.observed.size}
        for other in self.other_recoils:
            sizes[f"response to {other.recoil}s"] = other.response.n_bins * self.time_bins
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
    def for_other_recoils(self) -> tuple[Channel, ...]:
        """The channel as it sees each of its other recoils."""
        return tuple(
            replace(
                self,
                recoil=o.recoil,
                response=o.response,
                response_variations=o.response_variations,
                other_recoils=(),
            )
            for o in self.other_recoils
        )

    @property
    def time_axis(self) -> Axis | None:
        """The axis of arrival times, where there is one.

        Raises:
            DataError: if the beam names no axis of the observable.
        """
        if self.beam is None:
            return None
        for axis in self.observable.axes:
            if axis.name == self.beam.axis:
                return axis
        names = ", ".join(a.name for a in self.observable.axes)
        raise DataError(f"channel {self.name}: no axis {self.beam.axis!r}; axes: {names}")

    @property
    def time_bins(self) -> int:
        """Bins of the time axis; one where there is none."""
        axis = self.time_axis
        return 1 if axis is None else axis.n_bins

    @property
    def shape_parameters(self) -> tuple[str, ...]:
        """Shape parameters of the anchors of response and backgrounds."""
        grids = [self.response.anchors, *(b.anchors for b in self.backgrounds)]
        return tuple(dict.fromkeys(p for g in grids if g is not None for p in g.parameters))

    @property
    def provenance(self) -> str:
        """The weakest provenance of any number of the channel."""
        all_origins = [o.provenance for o in self.origins.values()]
        all_origins += [o.origin.provenance for o in self.other_recoils]
        for b in self.backgrounds:
            all_origins += [b.origin.provenance, *(r.origin.provenance for r in b.rates)]
            all_origins += [s.origin.provenance for s in b.shapes]
        all_origins += [r.origin.provenance for r in self.signal_rates]
        return weakest(all_origins)


@dataclass(frozen=True)
class Experiment:
    """A declared experiment: one or more channels.

    Attributes:
        assumptions: what is assumed, for the reader of every result.
        files: SHA-256 of the files it was read from.
        inspire: INSPIRE record of the data (``ins`` and seven digits) where it could be verified.
        data_sets: what was observed, one name per run and selection; two experiments that share
            one have events in common.
    """

    name: str
    title: str
    channels: tuple[Channel, ...]
    references: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    inspire: str | None = None
    data_sets: tuple[str, ...] = ()

    @property
    def provenance(self) -> str:
        """The weakest provenance of any channel."""
        return weakest([c.provenance for c in self.channels])

    @property
    def target(self) -> str:
        """Detector materials of the channels."""
        return ", ".join(dict.fromkeys(c.target for c in self.channels))

    @property
    def recoil(self) -> str:
        """Kinds of recoils of the channels."""
        seen = ((c.recoil, *(o.recoil for o in c.other_recoils)) for c in self.channels)
        return ", ".join(dict.fromkeys(kind for kinds in seen for kind in kinds))

    @property
    def source(self) -> str:
        """Neutrino sources of the channels."""
        return ", ".join(dict.fromkeys(c.source.name for c in self.channels))

    @property
    def nuisance_bounds(self) -> dict[str, tuple[float, float]]:
        """Allowed values of nuisance parameters of all channels."""
        return {k: v for c in self.channels for k, v in c.nuisance_bounds.items()}

    def with_channels(self, channels: tuple[Channel, ...]) -> Experiment:
        """The same experiment with other channels."""
        return replace(self, channels=channels)
