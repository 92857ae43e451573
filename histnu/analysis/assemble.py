"""Assemble an analysis: templates of all channels, strengths, measurements and the workspace."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from histnu.analysis.flux import check_fluxes, components_of
from histnu.analysis.hypothesis import held_values, require_held, signal_model
from histnu.analysis.schema import Analysis
from histnu.core.errors import ConfigError, located
from histnu.core.polynomial import PolynomialMap
from histnu.core.types import Workspace
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Channel, Experiment, shared_data, weakest
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.protocol import Component
from histnu.templates.basis import ChannelTemplates, channel_templates, correct_to_published
from histnu.workspace.build import Poi, Strength, build_workspace

log = logging.getLogger(__name__)

FREE_FLUX = (0.0, 10.0)
"""Bounds of a flux that is free, relative to its nominal value."""
EVENTS_AT_BOUND = 20.0
"""A positive strength may grow until its signal is this many times the observed events."""


@dataclass(frozen=True)
class Assembly:
    """An analysis with its templates and its workspace.

    Attributes:
        analysis: what was asked.
        experiments: the data.
        templates: every channel with all its signal templates.
        model: the hypothesis.
        workspace: HistFactory JSON.
    """

    analysis: Analysis
    experiments: tuple[Experiment, ...]
    templates: tuple[ChannelTemplates, ...]
    model: SignalModel
    workspace: Workspace

    @property
    def held(self) -> dict[str, float]:
        """Values of the held parameters of the model."""
        return held_values(self.analysis, self.model)

    @property
    def polynomial(self) -> PolynomialMap:
        """Map from physical parameters to the workspace's strengths.

        Without the terms that no flux of the data can make, and the parameters of these alone.
        """
        if not self.model.parameters:
            return self.model.polynomial
        made = {s.strength for t in self.templates for s in t.signals}
        return self.model.polynomial.restricted({k for k in made if k is not None})

    @property
    def provenance(self) -> str:
        """Weakest provenance of any input."""
        return weakest([e.provenance for e in self.experiments])

    @property
    def fluxes(self) -> dict[str, float]:
        """Flux component -> total flux in cm^-2 s^-1."""
        return {name: c.source.flux.total_cm2_s for name, c in self.components.items()}

    @property
    def components(self) -> dict[str, Component]:
        """Flux components of all channels by name."""
        channels = [t.channel for t in self.templates]
        return {c.name: c for channel in channels for c in components_of(self.analysis, channel)}


def _check_overlap(analysis: Analysis, experiments: Sequence[Experiment]) -> None:
    """Raise a ConfigError for two experiments with events in common: they would count twice."""
    shared = shared_data(experiments)
    if shared is not None:
        first, second, data_set = shared
        problem = f"{first} and {second} share the data set {data_set}"
        raise ConfigError(located(analysis.name, "experiments", problem, "take one of them"))


def strengths_of(model: SignalModel, templates: Sequence[ChannelTemplates]) -> tuple[Strength, ...]:
    """Settings of the strengths of a model.

    A strength without an upper bound of its own runs to the power of ten at which its signal is
    ``EVENTS_AT_BOUND`` times the observed events, at least 100.
    """
    observed = sum(float(t.channel.observed.sum()) for t in templates)
    result = []
    for term in model.terms:
        low, high = term.bounds
        if high is None:
            events = sum(float(t.basis([term.name]).sum()) for t in templates)
            wanted = EVENTS_AT_BOUND * observed / events if events > 0 else 1.0
            high = max(100.0, float(10.0 ** np.ceil(np.log10(wanted))))
        result.append(Strength(term.name, (low, high)))
    free = dict.fromkeys(s.free_flux for t in templates for s in t.signals if s.free_flux)
    return (*result, *(Strength(name, FREE_FLUX, 1.0, floats=True) for name in free))


def measurements_of(model: SignalModel, templates: Sequence[ChannelTemplates]) -> tuple[Poi, ...]:
    """One measurement per strength that can stand alone and has a sample.

    Where none can, one measurement of the first strength with all others floating. A strength
    whose samples are zero in every bin (an interference that cancels) has none.
    """
    samples = [s for t in templates for s in t.signals]
    seen = {s.strength for s in samples if np.any(s.expected)} & {t.name for t in model.terms}
    made = seen or {s.strength for s in samples}
    terms = [t for t in model.terms if t.name in made]
    alone = tuple(Poi(t.name, t.name) for t in terms if t.alone)
    if alone or not terms:
        return alone
    names = tuple(t.name for t in terms)
    return (Poi(names[0], names[0], names[1:]),)


def templates_for(
    analysis: Analysis, experiments: Sequence[Experiment], models: Sequence[SignalModel]
) -> tuple[ChannelTemplates, ...]:
    """Fold all models with all channels, with the correction the analysis asks for."""
    channels = [c for e in experiments for c in e.channels]
    _check_overlap(analysis, experiments)
    check_fluxes(analysis, channels)
    return tuple(_templates(analysis, channel, models) for channel in channels)


def _templates(
    analysis: Analysis, channel: Channel, models: Sequence[SignalModel]
) -> ChannelTemplates:
    """Templates of one channel, with those of its other recoils that a model makes."""
    components = components_of(analysis, channel)
    made = channel_templates(channel, components, models)
    if analysis.correction == "published_sm" and channel.published_signal is not None:
        made = correct_to_published(made, sum(c.source.flux.total_cm2_s for c in components))
    signals = list(made.signals)
    for other in channel.for_other_recoils:
        able = [m for m in models if other.recoil in m.processes]
        more = channel_templates(other, components_of(analysis, other), able)
        signals += [replace(s, sample=f"{s.sample}_{other.recoil}") for s in more.signals]
    return ChannelTemplates(channel, tuple(signals))


def assemble(
    analysis: Analysis,
    experiments: Sequence[Experiment] | None = None,
    standard_model: StandardModel | None = None,
) -> Assembly:
    """Build templates and workspace of an analysis.

    Args:
        analysis: what to build.
        experiments: use these instead of loading the analysis' experiments (variations).
        standard_model: use this one beside the hypothesis (variations).

    Raises:
        HistnuError: for anything wrong in the inputs, see the modules below.
    """
    data = tuple(experiments) if experiments else tuple(map(load_experiment, analysis.experiments))
    model = signal_model(analysis.model, [c.recoil for e in data for c in e.channels])
    require_held(analysis, model)
    strengths: tuple[Strength, ...]
    if not model.parameters and any(f.relative is None for f in analysis.fluxes.values()):
        mend = "give its relative uncertainty"
        problem = f"{model.name} measures the flux itself"
        raise ConfigError(located(analysis.name, "fluxes", problem, mend))
    if not model.parameters:
        alone = standard_model if standard_model and isinstance(model, StandardModel) else model
        templates, strength = measured_rate(templates_for(analysis, data, [alone]), data)
        strengths = (strength,)
        pois: tuple[Poi, ...] = (Poi(strength.name, strength.name),)
    else:
        templates = templates_for(analysis, data, [standard_model or StandardModel(), model])
        strengths = strengths_of(model, templates)
        pois = measurements_of(model, templates)
    document = build_workspace(templates, strengths, pois, analysis.interpolation)
    log.info(
        "%s: %d channels, %d bins; strengths %s; measurements %s",
        analysis.name,
        len(templates),
        sum(len(t.channel.observed) for t in templates),
        ", ".join(s.name for s in strengths),
        ", ".join(p.parameter for p in pois),
    )
    return Assembly(analysis, data, templates, model, document)


def measured_rate(
    templates: Sequence[ChannelTemplates], experiments: Sequence[Experiment]
) -> tuple[tuple[ChannelTemplates, ...], Strength]:
    """A model without parameters: its rate is measured, relative to the prediction.

    With one flux in all channels that flux is measured, ``<component>_strength``, and its
    uncertainty does not apply. With several their uncertainties stay, and one
    ``<source>_strength`` multiplies all of them (``signal_strength`` for several sources).
    """
    fluxes = {s.flux.name for t in templates for s in t.signals if s.flux is not None}
    sources = {c.source.name for e in experiments for c in e.channels}
    single = len(fluxes) == 1
    label = fluxes if single else sources
    name = next(iter(label)).removesuffix("_flux") if len(label) == 1 else "signal"
    strength = Strength(f"{name}_strength", (0.0, 10.0), 1.0)
    free = []
    for t in templates:
        signals = tuple(
            replace(s, strength=strength.name, flux=None if single else s.flux) for s in t.signals
        )
        free.append(replace(t, signals=signals))
    return tuple(free), strength
