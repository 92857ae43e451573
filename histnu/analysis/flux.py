"""The neutrino sources of an analysis: the flux components that each of its channels sees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from histnu.analysis.schema import Analysis, FluxSection
from histnu.core import installed
from histnu.core.errors import ConfigError, PhysicsError, located
from histnu.experiments.model import Channel, SourceChoice
from histnu.sources.protocol import Component, Source


@lru_cache(maxsize=32)
def _source(name: str, options: tuple[tuple[str, float], ...]) -> Source:
    try:
        source = installed.instantiate(installed.SOURCES, name, dict(options))
    except PhysicsError as error:
        raise ConfigError(f"source {name}: {error}") from None
    if not isinstance(source, Source):
        raise ConfigError(f"source {name} lacks a part of histnu.sources.protocol.Source")
    return source


def load_source(choice: SourceChoice) -> Source:
    """Instantiate the neutrino source of a channel.

    Raises:
        ConfigError: for an unknown source or option.
    """
    return _source(choice.name, tuple(sorted(choice.options.items())))


def components_of(analysis: Analysis, channel: Channel) -> tuple[Component, ...]:
    """Flux components of a channel, with the fluxes that the analysis gives.

    Raises:
        ConfigError: for ``flux`` where several components matter.
    """
    given: dict[str, FluxSection] = dict(analysis.fluxes)
    components = load_source(channel.source).components(channel.recoil)
    if analysis.flux is not None:
        if len(components) != 1:
            names = ", ".join(c.name for c in components)
            problem = f"channel {channel.name} has several fluxes ({names})"
            raise ConfigError(
                located(analysis.name, "flux", problem, "give fluxes: {NAME: {total_cm2_s: ...}}")
            )
        given.setdefault(components[0].name, analysis.flux)
    return tuple(
        c.with_flux(given[c.name].total_cm2_s, given[c.name].relative, given[c.name].source)
        if c.name in given
        else c
        for c in components
    )


def check_fluxes(analysis: Analysis, channels: Sequence[Channel]) -> None:
    """Raise a ConfigError for a flux that no channel has."""
    known = {c.name for channel in channels for c in components_of(analysis, channel)}
    for name in analysis.fluxes:
        if name not in known:
            problem = f"no channel has this flux; fluxes here: {', '.join(sorted(known))}"
            raise ConfigError(located(analysis.name, f"fluxes.{name}", problem, "correct the name"))
