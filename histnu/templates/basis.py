"""Basis templates of a channel: every signal sample with its strength and its flux nuisance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histnu.errors import TemplateError
from histnu.experiments.model import Channel, Experiment, RateNuisance
from histnu.experiments.response import Response
from histnu.physics.models.protocol import SignalModel
from histnu.physics.nuclei import Target, target
from histnu.physics.rates import NeutrinoSource
from histnu.templates.fold import checked, response_nodes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """A neutrino source with the nuisance parameter of its total flux.

    Attributes:
        source: flux with flavours at Earth.
        flux: its rate uncertainty; one parameter in every channel.
        suffix: appended to sample names (empty for the only component of a channel).
    """

    source: NeutrinoSource
    flux: RateNuisance
    suffix: str = ""


@dataclass(frozen=True)
class SignalTemplate:
    """Expected events of one signal sample.

    Attributes:
        sample: name of the sample.
        expected: events per bin at strength one; may be negative for interference, shape (B,).
        strength: the ``normfactor`` that multiplies it; None for the Standard Model.
        flux: flux nuisance; None where the flux itself is measured.
        variations: shape nuisance -> events per bin at -1 and +1 standard deviation.
    """

    sample: str
    expected: Array
    strength: str | None
    flux: RateNuisance | None
    variations: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def scaled(self, factor: Array) -> SignalTemplate:
        """The same sample with every bin multiplied by a factor, shape (B,)."""
        varied = {k: (d * factor, u * factor) for k, (d, u) in self.variations.items()}
        return SignalTemplate(self.sample, self.expected * factor, self.strength, self.flux, varied)


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


def _fold_all(
    response: Response, exposure: float, spectra: Mapping[str, Array]
) -> dict[str, Array]:
    """Fold spectra given at the quadrature nodes of the response."""
    _, weights = response_nodes(response)
    return {k: checked(exposure * weights @ s, f"template {k}") for k, s in spectra.items()}


def _model_templates(
    channel: Channel, material: Target, component: Component, model: SignalModel
) -> list[SignalTemplate]:
    """Templates of one model and one flux component in one channel."""
    nodes, _ = response_nodes(channel.response)
    spectra = model.basis_spectra(component.source, material, nodes)
    nominal = _fold_all(channel.response, channel.exposure_tonne_year, spectra)
    varied: dict[str, tuple[dict[str, Array], dict[str, Array]]] = {}
    for name, (down, up) in channel.response_variations.items():
        pair = []
        for response in (down, up):
            t, _ = response_nodes(response)
            again = model.basis_spectra(component.source, material, t)
            pair.append(_fold_all(response, channel.exposure_tonne_year, again))
        varied[name] = (pair[0], pair[1])
    has_strength = bool(model.parameters)
    return [
        SignalTemplate(
            f"{key}{component.suffix}",
            value,
            key if has_strength else None,
            component.flux,
            {name: (d[key], u[key]) for name, (d, u) in varied.items()},
        )
        for key, value in nominal.items()
    ]


def channel_templates(
    channel: Channel,
    target_name: str,
    components: Sequence[Component],
    models: Sequence[SignalModel],
) -> ChannelTemplates:
    """Fold all basis spectra of the models with the response of a channel.

    Args:
        channel: the data set.
        target_name: detector material, ``xenon``.
        components: flux components.
        models: Standard Model first; models with parameters get one strength per basis spectrum.

    Raises:
        TemplateError: for NaN, infinity, or two samples of the same name.
    """
    material = target(target_name)
    signals: list[SignalTemplate] = []
    for model in models:
        for component in components:
            signals += _model_templates(channel, material, component, model)
    names = [s.sample for s in signals]
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise TemplateError(f"channel {channel.name}: two samples are called {repeated[0]}")
    return ChannelTemplates(channel, tuple(signals))


def experiment_templates(
    experiment: Experiment, components: Sequence[Component], models: Sequence[SignalModel]
) -> tuple[ChannelTemplates, ...]:
    """:func:`channel_templates` for every channel of an experiment.

    Raises:
        TemplateError: if a model's recoils are not those the response is for.
    """
    for model in models:
        if model.recoil != experiment.recoil:
            raise TemplateError(
                f"{experiment.name} responds to {experiment.recoil} recoils, "
                f"model {model.name} makes {model.recoil} recoils"
            )
    return tuple(
        channel_templates(c, experiment.target, components, models) for c in experiment.channels
    )


def correct_to_published(templates: ChannelTemplates, flux_cm2_s: float) -> ChannelTemplates:
    """Scale every signal bin by bin so that the SM equals the channel's published expectation.

    The factor ``published_b (flux / flux_published) / SM_b`` corrects the response, so it applies
    to all signals (the "bin-dependent correction factors" of the paper, below Eq. 13).

    Args:
        templates: templates made with a flux of ``flux_cm2_s``.
        flux_cm2_s: that flux in cm^-2 s^-1.

    Raises:
        TemplateError: if the channel has no published expectation.
    """
    published = templates.channel.published_signal
    if published is None:
        raise TemplateError(
            f"channel {templates.channel.name} has no published_signal; use correction: none"
        )
    wanted = published.expected * flux_cm2_s / published.flux_cm2_s
    factor = wanted / templates.standard_model()
    return ChannelTemplates(templates.channel, tuple(s.scaled(factor) for s in templates.signals))
