"""Analyses: which experiments, which hypothesis, which statistical choices; and their workspaces.

An analysis is a name from :func:`builtin` or a YAML file of schema ``histnu-analysis/1``::

    schema: histnu-analysis/1
    name: my_search
    title: Magnetic moments with my experiment
    experiments: [xenonnt_sr01, path/to/my_experiment.yaml]
    model: {name: magnetic_moment}
    flux: {total_cm2_s: 5.46e+6, relative: 0.12, source: "my reference"}
    interpolation: normsys
    correction: none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from histnu.constants import B8_FLUX
from histnu.errors import ConfigError, located
from histnu.experiments.full import full_names, load_full_grid
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, Origin, RateNuisance, weakest
from histnu.experiments.schema import Finite, Positive
from histnu.experiments.user_spectrum import read_spectra
from histnu.forms import explain
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.models.tabulated import TabulatedSignal
from histnu.physics.rates import NeutrinoSource
from histnu.polynomial import PolynomialMap
from histnu.solar import solar_source
from histnu.strict_yaml import read_yaml
from histnu.templates.basis import (
    ChannelTemplates,
    Component,
    correct_to_published,
    experiment_templates,
)
from histnu.templates.morphing import AnchorWeights, anchor_weights, full_templates
from histnu.types import Workspace
from histnu.workspace.build import Poi, Strength, build_workspace

ANALYSIS_SCHEMA = "histnu-analysis/1"

EXPERIMENT_SETS: Mapping[str, tuple[str, ...]] = {
    "xenonnt": ("xenonnt_sr01",),
    "pandax4t": ("pandax4t_us2",),
    "combined": ("xenonnt_sr01", "pandax4t_us2"),
}
"""The paper's data sets."""

MODEL_TITLES: Mapping[str, str] = {
    "standard_model": "Standard Model 8B CEvNS rate",
    "magnetic_moment": "neutrino magnetic moments",
    "millicharge": "neutrino millicharges",
    "sterile_dipole": "sterile dipole portal",
}

CHARGE_BOUNDS: Mapping[str, tuple[float, float]] = {
    "q_lin": (-50.0, 50.0),  # 1e-8 e
    "q_sq": (0.0, 2500.0),  # (1e-8 e)^2
}
"""Allowed ranges of the charges' strengths, wide against every bound of the paper."""
EVENTS_AT_BOUND = 20.0
"""A positive strength may grow until its signal is this many times the observed events."""

TABULATED = "tabulated"
SM_STRENGTH = Strength("b8_strength", (0.0, 10.0), 1.0)


class Strict(BaseModel):
    """A section of an analysis file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(Strict):
    """Model name and options (``m4_mev`` of the sterile dipole).

    The model ``tabulated`` takes its spectra from ``table``, a CSV file with ``e_recoil_kev`` and
    columns of dR/dT in events/(t yr keV); each column has a strength of its own name.
    """

    name: str
    options: dict[str, Finite] = Field(default_factory=dict)
    table: str | None = None


class FluxSection(Strict):
    """Total 8B flux and its Gaussian uncertainty."""

    total_cm2_s: Positive = float(B8_FLUX)
    relative: float = Field(default=0.12, gt=0, lt=1, strict=True)
    source: str = B8_FLUX.source


class Analysis(Strict):
    """What is analysed, and how."""

    schema_: Literal["histnu-analysis/1"] = Field(default="histnu-analysis/1", alias="schema")
    name: str = Field(pattern=r"^[a-zA-Z0-9_]+$")
    title: str
    experiments: tuple[str, ...] = Field(min_length=1)
    model: ModelSection
    flux: FluxSection = FluxSection()
    interpolation: Literal["normsys", "linear"] = "normsys"
    correction: Literal["none", "published_sm"] = "none"


def builtin() -> dict[str, Analysis]:
    """The analyses of the package by name: every model with every set of experiments.

    >>> "magnetic_moment_combined" in builtin()
    True
    """
    result = {}
    sets = {**EXPERIMENT_SETS, **{name: (name,) for name in full_names()}}
    for model, title in MODEL_TITLES.items():
        for label, experiments in sets.items():
            name = f"{model}_{label}"
            result[name] = Analysis(
                name=name,
                title=f"{title}, {label}",
                experiments=experiments,
                model=ModelSection(name=model),
            )
    return result


def load_analysis(name_or_path: str | Path) -> Analysis:
    """Return a built-in analysis, or read an analysis file.

    Raises:
        ConfigError: for an unknown name, or a file that breaks the schema.
    """
    text = str(name_or_path)
    if text in builtin():
        return builtin()[text]
    path = Path(text)
    if path.suffix not in {".yaml", ".yml"}:
        known = ", ".join(builtin())
        raise ConfigError(f"unknown analysis {text!r}; known: {known}; or give a YAML file")
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


def model_names() -> tuple[str, ...]:
    """Names of the installed signal models."""
    return tuple(sorted({e.name for e in entry_points(group="histnu.models")}))


def load_model(name: str, **options: float) -> SignalModel:
    """Instantiate a signal model registered under the entry point ``histnu.models``.

    Raises:
        ConfigError: for an unknown model or option.
    """
    found = {e.name: e for e in entry_points(group="histnu.models")}
    if name not in found:
        raise ConfigError(f"unknown model {name!r}; known: {', '.join(sorted(found))}")
    try:
        model: SignalModel = found[name].load()(**options)
    except TypeError as error:
        raise ConfigError(f"model {name}: {error}; check its options") from None
    return model


def signal_model(section: ModelSection) -> SignalModel:
    """The model of an analysis: a registered one, or a table of dR/dT.

    Raises:
        ConfigError: for an unknown model or option, or a table where none belongs (or is missing).
    """
    if (section.name == TABULATED) != (section.table is not None):
        raise ConfigError(
            f"model {section.name}: table {section.table!r}; give a table with the model "
            f"{TABULATED!r} and with no other"
        )
    if section.table is None:
        return load_model(section.name, **section.options)
    return TabulatedSignal(*read_spectra(section.table), reference=section.table)


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
    def polynomial(self) -> PolynomialMap:
        """Map from physical parameters to the workspace's strengths."""
        return self.model.polynomial

    @property
    def provenance(self) -> str:
        """Weakest provenance of any input."""
        return weakest([e.provenance for e in self.experiments])


def flux_nuisance(flux: FluxSection) -> RateNuisance:
    """The nuisance ``b8_flux``, one parameter in every channel and signal."""
    return RateNuisance("b8_flux", flux.relative, "default", Origin("published", flux.source))


@lru_cache(maxsize=8)
def _source(total_cm2_s: float) -> NeutrinoSource:
    return solar_source("b8", total_cm2_s)


def component(flux: FluxSection) -> Component:
    """The solar 8B component of an analysis."""
    return Component(_source(flux.total_cm2_s), flux_nuisance(flux))


def strengths_of(model: SignalModel, templates: Sequence[ChannelTemplates]) -> tuple[Strength, ...]:
    """Settings of the strengths of a model.

    A squared coupling runs from 0 to the power of ten at which its signal is
    ``EVENTS_AT_BOUND`` times the observed events, at least 100.
    """
    observed = sum(float(t.channel.observed.sum()) for t in templates)
    result = []
    for name in model.polynomial.outputs:
        kind = name.rsplit("_", 1)[0]
        events = sum(float(t.basis([name]).sum()) for t in templates)
        wanted = EVENTS_AT_BOUND * observed / events if events > 0 else 1.0
        upper = max(100.0, 10.0 ** np.ceil(np.log10(wanted)))
        result.append(Strength(name, CHARGE_BOUNDS.get(kind, (0.0, float(upper)))))
    return tuple(result)


def measurements_of(model: SignalModel) -> tuple[Poi, ...]:
    """One measurement per strength that can stand alone (a linear charge term cannot)."""
    names = [n for n in model.polynomial.outputs if not n.startswith("q_lin")]
    return tuple(Poi(n, n) for n in names)


@lru_cache(maxsize=4)
def _anchor_rules(name: str) -> dict[str, AnchorWeights]:
    """Responses of a full likelihood at all anchors, prepared once."""
    return {c.name: anchor_weights(c) for c in load_full_grid(name).channels}


def channel_templates_of(
    experiment: Experiment, flux: Component, models: Sequence[SignalModel]
) -> tuple[ChannelTemplates, ...]:
    """Templates of one experiment; those of a full likelihood come from all its anchors."""
    if experiment.name in full_names():
        rules = _anchor_rules(experiment.name)
        return full_templates(load_full_grid(experiment.name), flux, models, rules)
    return experiment_templates(experiment, [flux], models)


def templates_for(
    analysis: Analysis, experiments: Sequence[Experiment], models: Sequence[SignalModel]
) -> tuple[ChannelTemplates, ...]:
    """Fold all models with all channels, with the correction the analysis asks for."""
    flux = component(analysis.flux)
    templates = [t for e in experiments for t in channel_templates_of(e, flux, models)]
    if analysis.correction == "published_sm":
        templates = [
            correct_to_published(t, analysis.flux.total_cm2_s)
            if t.channel.published_signal is not None
            else t
            for t in templates
        ]
    return tuple(templates)


def assemble(analysis: Analysis, experiments: Sequence[Experiment] | None = None) -> Assembly:
    """Build templates and workspace of an analysis.

    Args:
        analysis: what to build.
        experiments: use these instead of loading the analysis' experiments (variations).

    Raises:
        HistnuError: for anything wrong in the inputs, see the modules below.
    """
    data = tuple(experiments) if experiments else tuple(map(load_experiment, analysis.experiments))
    model = signal_model(analysis.model)
    if analysis.model.name == "standard_model":
        templates = templates_for(analysis, data, [model])
        free = tuple(_measured_rate(t) for t in templates)
        pois = [Poi(SM_STRENGTH.name, SM_STRENGTH.name)]
        document = build_workspace(free, [SM_STRENGTH], pois, analysis.interpolation)
        return Assembly(analysis, data, free, model, document)
    templates = templates_for(analysis, data, [StandardModel(), model])
    if analysis.model.name == TABULATED:
        templates = tuple(_without_flux(t) for t in templates)
    document = build_workspace(
        templates, strengths_of(model, templates), measurements_of(model), analysis.interpolation
    )
    return Assembly(analysis, data, templates, model, document)


def _without_flux(t: ChannelTemplates) -> ChannelTemplates:
    """A table of dR/dT is what its author says: no neutrino flux uncertainty applies to it."""
    signals = tuple(replace(s, flux=None) if s.strength else s for s in t.signals)
    return replace(t, signals=signals)


def _measured_rate(t: ChannelTemplates) -> ChannelTemplates:
    """The Standard Model signal with a free strength and without flux uncertainty."""
    signals = tuple(replace(s, strength=SM_STRENGTH.name, flux=None) for s in t.signals)
    return replace(t, signals=signals)


def replaced_experiment(analysis: Analysis, old: str, new: str | Path) -> Analysis:
    """The analysis with one experiment replaced by another (name or file).

    Raises:
        ConfigError: if the analysis does not use the old one.
    """
    if old not in analysis.experiments:
        raise ConfigError(f"analysis {analysis.name} does not use {old}")
    names = tuple(str(new) if e == old else e for e in analysis.experiments)
    return analysis.model_copy(update={"experiments": names})
