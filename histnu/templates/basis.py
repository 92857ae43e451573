"""Basis templates of a channel: every signal sample with its strength and its flux nuisance."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import TemplateError
from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.model import Channel, Origin, RateNuisance
from histnu.experiments.response import Response
from histnu.physics.models.protocol import SignalModel
from histnu.physics.nuclei import material
from histnu.physics.rates import NeutrinoSource
from histnu.physics.scattering import Scattering
from histnu.sources.protocol import Component, FluxUncertainty
from histnu.templates.fold import folding_rule

log = logging.getLogger(__name__)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SignalTemplate:
    """Expected events of one signal sample.

    Attributes:
        sample: name of the sample.
        expected: events per bin at strength one; may be negative for interference, shape (B,).
        strength: the ``normfactor`` that multiplies it; None for the Standard Model.
        flux: flux nuisance; None where the flux itself is measured.
        free_flux: the ``normfactor`` of a flux that is free, relative to its nominal value.
        variations: shape nuisance -> events per bin at -1 and +1 standard deviation.
    """

    sample: str
    expected: Array
    strength: str | None
    flux: RateNuisance | None
    variations: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    free_flux: str | None = None

    def scaled(self, factor: Array) -> SignalTemplate:
        """The same sample with every bin multiplied by a factor, shape (B,)."""
        varied = {k: (d * factor, u * factor) for k, (d, u) in self.variations.items()}
        return replace(self, expected=self.expected * factor, variations=varied)


@dataclass(frozen=True)
class ChannelTemplates:
    """A channel with the templates of all its signals."""

    channel: Channel
    signals: tuple[SignalTemplate, ...]

    def standard_model(self) -> Array:
        """Sum of the samples without strength, shape (B,)."""
        total = np.zeros(self.channel.n_bins)
        for s in self.signals:
            if s.strength is None:
                total = total + s.expected
        return total

    def basis(self, strengths: Sequence[str]) -> Array:
        """Templates of the strengths, summed over components, shape (K, B)."""
        rows = np.zeros((len(strengths), self.channel.n_bins))
        for s in self.signals:
            if s.strength is not None and s.strength in strengths:
                rows[list(strengths).index(s.strength)] += s.expected
        return rows


def channel_templates(
    channel: Channel, components: Sequence[Component], models: Sequence[SignalModel]
) -> ChannelTemplates:
    """Fold all basis spectra of the models with the response of a channel.

    Every sample is one term of a model and one flux component; models that do not depend on the
    source have one sample per term and no flux uncertainty.

    Args:
        channel: the data set.
        components: fluxes of its source.
        models: Standard Model first; models with parameters get one strength per basis spectrum.

    Raises:
        TemplateError: if a model does not make the recoils of the channel; for NaN, infinity, or
            two samples of the same name.
    """
    signals: list[SignalTemplate] = []
    for model in models:
        if channel.recoil not in model.processes:
            raise TemplateError(
                f"channel {channel.name} responds to {channel.recoil} recoils, model "
                f"{model.name} makes {' and '.join(model.processes)} recoils"
            )
        used = components if model.uses_source else components[:1]
        many = len(used) > 1
        for component in used:
            suffix = f"_{component.name}" if many else ""
            made = _model_signals(channel, model, component)
            signals += [replace(s, sample=f"{s.sample}{suffix}") for s in made]
    names = [s.sample for s in signals]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise TemplateError(f"channel {channel.name}: two samples are called {repeated[0]}")
    for s in signals:
        log.debug("%s/%s: %g events", channel.name, s.sample, s.expected.sum())
    return ChannelTemplates(channel, tuple(signals))


def _model_signals(
    channel: Channel, model: SignalModel, component: Component
) -> list[SignalTemplate]:
    """Templates of one model and one flux component in one channel."""
    nominal = _events(channel, channel.response, model, component)
    varied = {key: grid.pairs() for key, grid in nominal.items()}
    if channel.response.anchors is None:
        for name, pair in channel.response_variations.items():
            down, up = (_events(channel, r, model, component) for r in pair)
            for key in nominal:
                varied[key][name] = (down[key].at(), up[key].at())
    for name, moved in _arrivals(channel, component).items():
        early, late = (_events(channel, channel.response, model, c) for c in moved)
        for key in nominal:
            varied[key][name] = (early[key].at(), late[key].at())
    flux = flux_nuisance(component.flux) if model.uses_source else None
    is_free = model.uses_source and component.flux.relative is None
    free = f"{component.name}_strength" if is_free else None
    return [
        SignalTemplate(key, grid.at(), key if model.parameters else None, flux, varied[key], free)
        for key, grid in nominal.items()
    ]


def _arrivals(channel: Channel, component: Component) -> dict[str, tuple[Component, ...]]:
    """The component with its arrival at -1 and +1 deviation, where the channel sees times."""
    if channel.time_axis is None:
        return {}
    return {
        name: tuple(replace(component, arrival=a) for a in pair)
        for name, pair in component.arrival_variations.items()
    }


def _events(
    channel: Channel, response: Response, model: SignalModel, component: Component
) -> dict[str, AnchorGrid]:
    """Events per bin of every term of a model, at all anchors of a response."""
    rule = folding_rule(response)
    scattering = Scattering(channel.recoil, component.source, material(channel.target))
    spectra = model.basis_spectra(scattering, rule.nodes)
    if not spectra:
        return {}
    events = channel.exposure_tonne_year * rule.fold(np.stack(list(spectra.values())))
    events = in_time(channel, component, events)
    return {
        key: AnchorGrid(rule.parameters, rule.anchors, values)
        for key, values in zip(spectra, events, strict=True)
    }


def anchor_templates(
    channel: Channel, source: NeutrinoSource, models: Sequence[SignalModel]
) -> dict[str, AnchorGrid]:
    """Events of all basis spectra of a source at all anchors of a channel, sample -> grid."""
    component = Component("", source, FluxUncertainty("", 0.0, ""))
    made = [_events(channel, channel.response, model, component) for model in models]
    return {key: grid for events in made for key, grid in events.items()}


TIME_PANELS = 64


def in_time(channel: Channel, component: Component, events: Array) -> Array:
    """Spread events over the time axis of a channel, where it has one.

    ``N_bt = N_b integral_t f(t) eff(t) dt`` with the arrival times f of the component, each bin
    in ``TIME_PANELS`` pieces.

    Args:
        events: events on the other axes, shape (..., B/T).

    Returns:
        Events on all axes, flattened in their order, shape (..., B).

    Raises:
        TemplateError: if the component has no arrival times.
    """
    axis, beam = channel.time_axis, channel.beam
    if axis is None or beam is None:
        return events
    if component.arrival is None:
        raise TemplateError(
            f"channel {channel.name} has a time axis, but the flux {component.name} no arrival "
            "times; use a pulsed source"
        )
    steps = np.arange(TIME_PANELS) / TIME_PANELS
    fine = np.append((axis.edges[:-1, None] + np.diff(axis.edges)[:, None] * steps), axis.edges[-1])
    middle = 0.5 * (fine[1:] + fine[:-1])
    share = np.diff(component.arrival.cumulative(fine))
    share = share * np.interp(middle, beam.time_us, beam.efficiency, left=0.0, right=0.0)
    fractions = share.reshape(axis.n_bins, TIME_PANELS).sum(axis=1)
    position = next(i for i, a in enumerate(channel.observable.axes) if a is axis)
    other = [a.n_bins for a in channel.observable.axes if a is not axis]
    spread = np.multiply.outer(events.reshape(*events.shape[:-1], *other), fractions)
    moved = np.moveaxis(spread, -1, events.ndim - 1 + position)
    return np.asarray(moved.reshape(*events.shape[:-1], channel.n_bins))


def flux_nuisance(flux: FluxUncertainty) -> RateNuisance | None:
    """The rate nuisance of a flux; None where it is free."""
    if flux.relative is None:
        return None
    return RateNuisance(flux.name, flux.relative, "default", Origin(flux.provenance, flux.source))


def correct_to_published(templates: ChannelTemplates, flux_cm2_s: float) -> ChannelTemplates:
    """Scale every signal bin by bin so that the SM equals the channel's published expectation.

    The factor ``published_b (flux / flux_published) / SM_b`` corrects the response, so it applies
    to all signals (the "bin-dependent correction factors" of the paper, below Eq. 13).

    Args:
        templates: templates made with a flux of ``flux_cm2_s``.
        flux_cm2_s: that flux in cm^-2 s^-1.

    Raises:
        TemplateError: if the channel has no published expectation, or has it where the response
            sees nothing.
    """
    published = templates.channel.published_signal
    if published is None:
        raise TemplateError(
            f"channel {templates.channel.name} has no published_signal; use correction: none"
        )
    wanted = published.expected * flux_cm2_s / published.flux_cm2_s
    standard = templates.standard_model()
    if np.any((standard <= 0) & (wanted > 0)):
        raise TemplateError(
            f"channel {templates.channel.name}: published_signal has events where the response has "
            "none; widen the response"
        )
    factor = np.divide(wanted, standard, out=np.ones_like(wanted), where=standard > 0)
    return ChannelTemplates(templates.channel, tuple(s.scaled(factor) for s in templates.signals))
