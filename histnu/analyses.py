"""Analyses: which experiments, which hypothesis, which statistical choices; and their workspaces.

An analysis is a YAML file of schema ``histnu-analysis/1``; those of the package (``histnu list``)
are known by name::

    schema: histnu-analysis/1
    name: my_search
    title: Sterile dipole with my experiment and LZ
    experiments: [lz_er_ws2024, path/to/my_experiment.yaml]
    model: {name: sterile_dipole, held: {m4: 0.5}, unit: 1e-11 mu_B}
    fluxes:
      b8: {total_cm2_s: 5.46e+6, relative: 0.12, source: "my reference"}
    interpolation: normsys
    correction: none

Every channel declares what recoils, in which material, and which source the neutrinos come from;
the Standard Model, the fluxes and the response that apply follow from that, so any experiments can
be mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from histnu import installed
from histnu.errors import ConfigError, PhysicsError, located
from histnu.experiments.builders import BUILDERS
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import (
    Channel,
    Experiment,
    SourceChoice,
    shared_data,
    weakest,
)
from histnu.experiments.schema import Finite, Positive
from histnu.experiments.user_spectrum import read_spectra
from histnu.forms import explain
from histnu.physics.models.protocol import InUnit, SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.models.tabulated import TabulatedSignal
from histnu.polynomial import PolynomialMap
from histnu.releases import found
from histnu.sources.protocol import Component, Source
from histnu.strict_yaml import read_yaml
from histnu.templates.basis import ChannelTemplates, channel_templates, correct_to_published
from histnu.types import Workspace
from histnu.workspace.build import Poi, Strength, build_workspace

ANALYSIS_SCHEMA = "histnu-analysis/1"
PATTERN = "analyses/*.yaml"

EVENTS_AT_BOUND = 20.0
"""A positive strength may grow until its signal is this many times the observed events."""

TABULATED = TabulatedSignal.name


class Strict(BaseModel):
    """A section of an analysis file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(Strict):
    """The hypothesis.

    Attributes:
        name: a registered model (``histnu list``), or ``tabulated``.
        held: values of its held parameters, in their units (``{m4: 5.0}``).
        unit: unit of the parameters, ``1e-11 mu_B``; the model's own if None.
        options: further options of the model.
        table: of the model ``tabulated``: a CSV file with ``e_recoil_kev`` and columns of dR/dT in
            events/(t yr keV); each column has a strength of its own name.
    """

    name: str
    held: dict[str, Finite] = Field(default_factory=dict)
    unit: str | None = None
    options: dict[str, Finite] = Field(default_factory=dict)
    table: str | None = None


class FluxSection(Strict):
    """Total flux of a component and its Gaussian uncertainty."""

    total_cm2_s: Positive
    relative: float = Field(gt=0, lt=1, strict=True)
    source: str


class Analysis(Strict):
    """What is analysed, and how.

    Attributes:
        fluxes: component (``b8``) -> flux, instead of that of the source.
        flux: the same where only one component matters.
    """

    schema_: Literal["histnu-analysis/1"] = Field(default="histnu-analysis/1", alias="schema")
    name: str = Field(pattern=r"^[a-zA-Z0-9_]+$")
    title: str
    experiments: tuple[str, ...] = Field(min_length=1)
    model: ModelSection
    flux: FluxSection | None = None
    fluxes: dict[str, FluxSection] = Field(default_factory=dict)
    interpolation: Literal["normsys", "linear"] = "normsys"
    correction: Literal["none", "published_sm"] = "none"

    def holding(self, values: Mapping[str, float]) -> Analysis:
        """The analysis at other values of held parameters of its model.

        Raises:
            ConfigError: for a parameter that the model does not hold, or a value it refuses.
        """
        model = self.model.model_copy(update={"held": {**self.model.held, **values}})
        signal_model(model)
        return self.model_copy(update={"model": model})


def analysis_names() -> tuple[str, ...]:
    """Names of the analyses of this package and of others that are installed."""
    return tuple(installed.installed_files(PATTERN))


def builtin() -> dict[str, Analysis]:
    """All installed analyses by name.

    >>> "magnetic_moment_combined" in builtin()
    True
    """
    return {name: _installed(name) for name in analysis_names()}


@lru_cache(maxsize=256)
def _installed(name: str) -> Analysis:
    return _read(installed.installed_files(PATTERN)[name])


def load_analysis(name_or_path: str | Path) -> Analysis:
    """Return an installed analysis by name, or read an analysis file.

    Raises:
        ConfigError: for an unknown name, or a file that breaks the schema.
    """
    text = str(name_or_path)
    if text in analysis_names():
        return _installed(text)
    path = Path(text)
    if path.suffix not in {".yaml", ".yml"}:
        known = ", ".join(analysis_names())
        raise ConfigError(f"unknown analysis {text!r}; known: {known}; or give a YAML file")
    return _read(path)


def _read(path: Path) -> Analysis:
    """Read an analysis file; files it names are relative to it."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        mend = f"start with schema: {ANALYSIS_SCHEMA}"
        raise ConfigError(located(path, "", "is not a mapping", mend))
    try:
        analysis = Analysis.model_validate(document)
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from None
    if analysis.model.table is not None:
        table = str(path.parent / analysis.model.table)
        model = analysis.model.model_copy(update={"table": table})
        analysis = analysis.model_copy(update={"model": model})
    near = [
        str(path.parent / e) if e.endswith((".yaml", ".yml")) else e for e in analysis.experiments
    ]
    return analysis.model_copy(update={"experiments": tuple(near)})


@dataclass(frozen=True)
class Needs:
    """What an analysis needs beyond the core of the package.

    Attributes:
        releases: public releases it reads at run time.
        missing: those that are not here.
        extras: optional dependencies (``releases``) of its inputs.
    """

    releases: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


def needs(analysis: Analysis) -> Needs:
    """Releases and optional dependencies of the experiments of an analysis."""
    releases: list[str] = []
    extras: list[str] = []
    for name in analysis.experiments:
        if name in BUILDERS:
            releases += BUILDERS[name].releases
            extras.append("releases")
    here = found() if releases else {}
    unique = tuple(dict.fromkeys(releases))
    missing = tuple(r for r in unique if not here.get(r))
    return Needs(unique, missing, tuple(dict.fromkeys(extras)))


def model_names() -> tuple[str, ...]:
    """Names of the installed signal models."""
    return installed.registered(installed.MODELS)


def load_model(name: str, **options: float) -> SignalModel:
    """Instantiate a signal model registered under the entry point ``histnu.models``.

    Raises:
        ConfigError: for an unknown model or option, or an object that is no model.
    """
    model = installed.instantiate(installed.MODELS, name, options)
    if not isinstance(model, SignalModel):
        kind = type(model).__name__
        raise ConfigError(
            f"model {name}: {kind} lacks a part of the protocol histnu.physics.models.protocol; "
            "derive it from Model"
        )
    return model


def signal_model(section: ModelSection, recoils: Sequence[str] = ()) -> SignalModel:
    """The model of an analysis: a registered one, or a table of dR/dT.

    Args:
        section: what the analysis says.
        recoils: recoils of its channels, which a table is for.

    Raises:
        ConfigError: for an unknown model, option, held parameter or unit, or a table where none
            belongs (or is missing).
    """
    if (section.name == TABULATED) != (section.table is not None):
        raise ConfigError(
            f"model {section.name}: table {section.table!r}; give a table with the model "
            f"{TABULATED!r} and with no other"
        )
    try:
        if section.table is not None:
            return _tabulated(section.table, recoils)
        model = load_model(section.name, **section.options).holding(section.held)
        return model if section.unit is None else InUnit(model, section.unit)
    except PhysicsError as error:
        raise ConfigError(str(error)) from None


def _tabulated(table: str, recoils: Sequence[str]) -> SignalModel:
    kinds = sorted(set(recoils))
    if len(kinds) > 1:
        mend = "give channels of one kind"
        raise ConfigError(located(table, "", f"is one spectrum for {', '.join(kinds)}", mend))
    return TabulatedSignal(*read_spectra(table), recoil=kinds[0] if kinds else "nuclear")


def held_values(analysis: Analysis, model: SignalModel) -> dict[str, float]:
    """Values that an analysis gives to held parameters of its model, by name."""
    options = {
        h.name: analysis.model.options[h.attribute]
        for h in model.held
        if h.attribute in analysis.model.options
    }
    return {**options, **analysis.model.held}


def require_held(analysis: Analysis, model: SignalModel) -> None:
    """Every held parameter must have a value.

    Raises:
        ConfigError: otherwise, with the ways to give it one.
    """
    given = held_values(analysis, model)
    for h in model.held:
        if h.name not in given:
            raise ConfigError(
                f"analysis {analysis.name}: {h.name} [{h.unit}] of {model.name} has no value; give "
                f"--set {h.name}=VALUE, or scan it (contour --x {h.name}, build --grid)"
            )


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


def _check_fluxes(analysis: Analysis, channels: Sequence[Channel]) -> None:
    """Raise a ConfigError for a flux that no channel has."""
    known = {c.name for channel in channels for c in components_of(analysis, channel)}
    for name in analysis.fluxes:
        if name not in known:
            problem = f"no channel has this flux; fluxes here: {', '.join(sorted(known))}"
            raise ConfigError(located(analysis.name, f"fluxes.{name}", problem, "correct the name"))


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
    return tuple(result)


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
    _check_fluxes(analysis, channels)
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


def replaced_experiment(analysis: Analysis, old: str, new: str | Path) -> Analysis:
    """The analysis with one experiment replaced by another (name or file).

    Raises:
        ConfigError: if the analysis does not use the old one.
    """
    if old not in analysis.experiments:
        raise ConfigError(f"analysis {analysis.name} does not use {old}")
    names = tuple(str(new) if e == old else e for e in analysis.experiments)
    return analysis.model_copy(update={"experiments": names})
