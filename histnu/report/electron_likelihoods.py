"""Workspaces of electron-recoil data, alone and together with nuclear recoils.

Every component of the solar flux is a sample of its own, for the Standard Model and for each
basis spectrum of a hypothesis, so that its flux uncertainty is one nuisance parameter
(``pp_flux``, ``be7_flux``, ..., ``b8_flux``) in all channels and for all signals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, Origin, RateNuisance
from histnu.physics.models.electron_standard_model import ElectronStandardModel
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.solar import COMPONENTS, flux_parameter, solar_source
from histnu.templates.basis import ChannelTemplates, Component, experiment_templates
from histnu.types import Workspace
from histnu.workspace.build import Poi, Strength, build_workspace

ELECTRON_SETS: Mapping[str, tuple[str, ...]] = {
    "xenonnt_er": ("xenonnt_er_2022",),
    "lz_er": ("lz_er_ws2022", "lz_er_ws2024"),
    "pandax4t_er": ("pandax4t_er_run1",),
    "combined_er": ("xenonnt_er_2022", "lz_er_ws2022", "lz_er_ws2024", "pandax4t_er_run1"),
}
"""Electron-recoil data sets of each collaboration, and all of them."""

NUCLEAR_SET = ("xenonnt_sr01", "pandax4t_us2")
"""The nuclear-recoil data sets of the paper."""

ELECTRON_BOUNDS: Mapping[str, tuple[float, float]] = {
    "mu2": (0.0, 1e4),
    "q_lin": (-1e2, 1e2),
    "q_sq": (0.0, 1e4),
}
"""Ranges of the strengths in the units of the models, wide against every limit."""


@lru_cache(maxsize=4)
def flux_components(names: tuple[str, ...] = COMPONENTS) -> tuple[Component, ...]:
    """Solar components at Earth with their flux nuisances and sample suffixes."""
    result = []
    for name in names:
        source = solar_source(name)
        flux = source.flux
        origin = Origin("published", flux.source)
        nuisance = RateNuisance(flux_parameter(name), flux.relative_uncertainty, "default", origin)
        result.append(Component(source, nuisance, f"_{name}"))
    return tuple(result)


def electron_templates(
    experiments: Sequence[Experiment],
    model: SignalModel | None,
    standard_model: ElectronStandardModel | None = None,
) -> tuple[ChannelTemplates, ...]:
    """Fold the Standard Model and a hypothesis with every electron-recoil channel.

    Args:
        experiments: electron-recoil experiments.
        model: hypothesis, or None for the Standard Model alone.
        standard_model: Standard Model with other options (weak mixing angle, many-body table).
    """
    models: list[SignalModel] = [standard_model or ElectronStandardModel()]
    models += [model] if model is not None else []
    return tuple(t for e in experiments for t in experiment_templates(e, flux_components(), models))


def nuclear_templates(
    experiments: Sequence[Experiment], model: SignalModel, powers: Mapping[str, float]
) -> tuple[ChannelTemplates, ...]:
    """Fold nuclear channels with 8B neutrinos, in the units of an electron-recoil model.

    Args:
        experiments: nuclear-recoil experiments.
        model: the nuclear model with the same strengths.
        powers: strength -> factor from the nuclear to the shared unit of the template.
    """
    components = [c for c in flux_components() if c.source.flux.name == "b8"]
    rows = []
    for e in experiments:
        for t in experiment_templates(e, components, [StandardModel(), model]):
            one = np.ones(t.channel.n_bins)
            signals = tuple(s.scaled(powers.get(s.strength or "", 1.0) * one) for s in t.signals)
            rows.append(ChannelTemplates(t.channel, signals))
    return tuple(rows)


def unit_factors(model: SignalModel, ratio: float) -> dict[str, float]:
    """Factors of templates when the unit of the parameters is multiplied by ``ratio``.

    The degree of each strength in the parameters is its power: 1 for ``q_lin``, 2 for the others.

    >>> from histnu.physics.models.millicharge import Millicharge
    >>> factors = unit_factors(Millicharge(), 0.1)
    >>> round(factors["q_lin_e"], 6), round(factors["q_sq_e"], 6)
    (0.1, 0.01)
    """
    polynomial = model.polynomial
    degrees = [max(sum(n.values()) for _, n in terms) for terms in polynomial.terms]
    return {k: ratio**d for k, d in zip(polynomial.outputs, degrees, strict=True)}


def workspace_of(
    templates: Sequence[ChannelTemplates], interpolation: str = "normsys"
) -> Workspace:
    """Build the workspace; one measurement per strength that can stand alone.

    Templates of the Standard Model alone have no strength: use :func:`sm_workspace`.
    """
    names = sorted({s.strength for t in templates for s in t.signals if s.strength})
    strengths = [Strength(n, ELECTRON_BOUNDS[n.rsplit("_", 1)[0]]) for n in names]
    pois = [Poi(n, n) for n in names if not n.startswith("q_lin")]
    return build_workspace(templates, strengths, pois, interpolation)


def sm_workspace(experiments: Sequence[Experiment], interpolation: str = "normsys") -> Workspace:
    """Workspace of the Standard Model with one overall strength of the solar-neutrino signal."""
    templates = []
    for t in electron_templates(experiments, None):
        signals = tuple(
            type(s)(s.sample, s.expected, "solar_strength", s.flux, s.variations) for s in t.signals
        )
        templates.append(ChannelTemplates(t.channel, signals))
    strength = Strength("solar_strength", (0.0, 10.0), 1.0)
    poi = Poi("solar_strength", "solar_strength")
    return build_workspace(templates, [strength], [poi], interpolation)


def load_set(name: str) -> tuple[Experiment, ...]:
    """Experiments of one of ``ELECTRON_SETS``."""
    return tuple(load_experiment(n) for n in ELECTRON_SETS[name])
