"""What a neutrino source is; third parties register theirs under ``histnu.sources``.

A source gives a channel its flux components. Every component is a flux with its flavour content
(:class:`~histnu.physics.rates.NeutrinoSource`), the nuisance parameter of its size (ONE name
wherever the same flux appears, in every channel, experiment and signal), and, for a pulsed source,
when its neutrinos arrive. In a channel with several components every signal has one sample per
component, ``<term>_<component>``.

A stopped-pion source is three components (a prompt line and two delayed continua, one of them
of antineutrinos) that share one normalisation::

    @dataclass(frozen=True)
    class PionDecayAtRest:
        name = "pion_decay_at_rest"
        flux_cm2_s: float

        def components(self, recoil):
            norm = FluxUncertainty("sns_flux", 0.10, "...")
            return (Component("numu", source_of_numu, norm, Prompt()), ...)

An experiment names its source, and the options of it, in its file::

    source: {name: pion_decay_at_rest, options: {flux_cm2_s: 4.3e+7}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.rates import NeutrinoSource

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FluxUncertainty:
    """The nuisance parameter of a flux.

    Attributes:
        name: one parameter in every channel and for every signal with that flux.
        relative: one standard deviation, relative; None where the flux is free.
        source: where flux and uncertainty come from.
        provenance: ``published``, ``derived`` or ``reconstructed``.
    """

    name: str
    relative: float | None
    source: str
    provenance: str = "published"


@runtime_checkable
class Arrival(Protocol):
    """When the neutrinos of a pulsed component arrive."""

    def cumulative(self, time_us: ArrayLike) -> Array:
        """Fraction that has arrived by a time after the pulse in microseconds, any shape."""
        ...


@dataclass(frozen=True)
class Component:
    """One flux of a source.

    Attributes:
        name: ``pp``, ``b8``, ``numu``, ...; part of sample names where a channel has several.
        source: flux with flavours at the detector.
        flux: its uncertainty.
        arrival: for a pulsed source; None where neutrinos come at any time.
        arrival_variations: shape nuisance -> arrival at -1 and +1 standard deviation, for channels
            with a time axis.
    """

    name: str
    source: NeutrinoSource
    flux: FluxUncertainty
    arrival: Arrival | None = None
    arrival_variations: Mapping[str, tuple[Arrival, Arrival]] = field(default_factory=dict)

    def with_flux(self, total_cm2_s: float, relative: float | None, source: str) -> Component:
        """The component with another total flux (cm^-2 s^-1) and relative uncertainty."""
        flux = replace(self.flux, relative=relative, source=source)
        return replace(self, source=self.source.scaled(total_cm2_s), flux=flux)


@runtime_checkable
class Source(Protocol):
    """A neutrino source."""

    @property
    def name(self) -> str: ...

    def components(self, recoil: str) -> tuple[Component, ...]:
        """Fluxes that matter for ``nuclear`` or ``electron`` recoils."""
        ...
