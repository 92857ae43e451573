"""Workspaces of electron-recoil data, alone and together with nuclear recoils.

The built-in analyses ``<model>_er_<data>`` and ``<model>_all`` with other experiments or another
Standard Model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from histnu.analyses import (
    Analysis,
    load_analysis,
    measured_rate,
    measurements_of,
    signal_model,
    strengths_of,
    templates_for,
)
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.protocol import Component
from histnu.sources.solar import Solar
from histnu.templates.basis import ChannelTemplates
from histnu.types import Workspace
from histnu.workspace.build import Poi, build_workspace

ELECTRON_SETS: Mapping[str, tuple[str, ...]] = {
    "xenonnt_er": ("xenonnt_er_2022",),
    "lz_er": ("lz_er_ws2022", "lz_er_ws2024"),
    "pandax4t_er": ("pandax4t_er_run1",),
    "combined_er": ("xenonnt_er_2022", "lz_er_ws2022", "lz_er_ws2024", "pandax4t_er_run1"),
}
"""Electron-recoil data sets of each collaboration, and all of them."""

NUCLEAR_SET = ("xenonnt_sr01", "pandax4t_us2")
"""The nuclear-recoil data sets of the paper."""


def electron_analysis(model: str) -> Analysis:
    """The analysis of a model with electron and nuclear recoils, in its units."""
    return load_analysis(f"{model}_all")


def electron_model(name: str, **held: float) -> SignalModel:
    """A model in the unit of electron-recoil analyses."""
    return signal_model(electron_analysis(name).holding(held).model)


def flux_components() -> tuple[Component, ...]:
    """Solar components at Earth with their flux nuisances."""
    return Solar().components("electron")


def electron_templates(
    experiments: Sequence[Experiment],
    model: SignalModel | None,
    standard_model: StandardModel | None = None,
) -> tuple[ChannelTemplates, ...]:
    """Fold the Standard Model and a hypothesis with every channel.

    Args:
        experiments: electron-recoil experiments, nuclear ones among them.
        model: hypothesis, or None for the Standard Model alone.
        standard_model: Standard Model with other options (weak mixing angle, many-body table).
    """
    models: list[SignalModel] = [standard_model or StandardModel()]
    models += [model] if model is not None else []
    return templates_for(electron_analysis("standard_model"), experiments, models)


def workspace_of(templates: Sequence[ChannelTemplates], model: SignalModel) -> Workspace:
    """Build the workspace; one measurement per strength that can stand alone."""
    strengths, pois = strengths_of(model, templates), measurements_of(model, templates)
    return build_workspace(templates, strengths, pois)


def sm_workspace(experiments: Sequence[Experiment]) -> Workspace:
    """Workspace of the Standard Model with one overall strength of the solar-neutrino signal."""
    templates, strength = measured_rate(electron_templates(experiments, None), experiments)
    return build_workspace(templates, [strength], [Poi(strength.name, strength.name)])


def load_set(name: str) -> tuple[Experiment, ...]:
    """Experiments of one of ``ELECTRON_SETS``."""
    return tuple(load_experiment(n) for n in ELECTRON_SETS[name])
