"""Templates at every anchor of the shape parameters, and interpolation between them.

XENONnT's own likelihoods tabulate each template at seven anchors per shape parameter and
interpolate linearly between neighbours (blueice). HistFactory knows -1 and +1 only. Here both are
made from the same folded spectra, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import TemplateError
from histnu.experiments.full.grids import AnchorGrid, FullChannel, FullExperiment
from histnu.physics.models.protocol import SignalModel
from histnu.physics.nuclei import Target, target
from histnu.physics.rates import NeutrinoSource
from histnu.templates.basis import ChannelTemplates, Component, SignalTemplate
from histnu.templates.fold import checked, quadrature

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AnchorWeights:
    """Quadrature weights times response at every anchor of one channel.

    Attributes:
        nodes: recoil energies in keV, shape (M,).
        weights: ``exposure w_m R_b(T_m)`` in t yr keV, shape (..., B, M): a spectrum in
            events/(t yr keV) at the nodes, contracted with them, gives events per bin.
        parameters, anchors: of the grid.
    """

    nodes: Array
    weights: Array
    parameters: tuple[str, ...]
    anchors: tuple[Array, ...]

    def fold(self, spectra: ArrayLike) -> Array:
        """Events per bin at every anchor, shape (K, ..., B), of spectra (K, M).

        Raises:
            TemplateError: for spectra of another length, NaN or infinity.
        """
        s = np.atleast_2d(np.asarray(spectra, dtype=float))
        if s.shape[1] != self.nodes.size:
            raise TemplateError(f"spectra have {s.shape[1]} energies, the rule {self.nodes.size}")
        flat = self.weights.reshape(-1, self.nodes.size)
        events = checked(s @ flat.T, "templates at the anchors")
        return np.asarray(events.reshape(len(s), *self.weights.shape[:-1]))


def anchor_weights(channel: FullChannel, panels: int = 2, nodes: int = 4) -> AnchorWeights:
    """Precompute the response of a channel at the nodes of a quadrature rule, for all anchors.

    The response is the monotone cubic of :class:`~histnu.experiments.response.Response`, a
    polynomial between its nodes: two panels of four points between neighbours reproduce
    :func:`~histnu.templates.fold.fold` to 1e-6 (smooth spectra).

    Args:
        channel: a run with all anchors.
        panels, nodes: of the quadrature rule, per interval of the response.
    """
    from scipy.interpolate import PchipInterpolator

    x, w = quadrature(channel.e_recoil_kev, panels, nodes)
    grid = channel.response
    response = PchipInterpolator(channel.e_recoil_kev, grid.values, axis=-1)(x)
    weights = response * (w * channel.livetime_tonne_year)
    return AnchorWeights(x, np.ascontiguousarray(weights), grid.parameters, grid.anchors)


def anchor_templates(
    experiment: FullExperiment, source: NeutrinoSource, models: Sequence[SignalModel]
) -> dict[str, dict[str, AnchorGrid]]:
    """Templates of all basis spectra at all anchors, ``channel -> sample -> grid`` in events.

    Args:
        experiment: a full likelihood.
        source: neutrino flux at Earth.
        models: signal models; their basis spectra name the samples.
    """
    material = target("xenon")
    result: dict[str, dict[str, AnchorGrid]] = {}
    for channel in experiment.channels:
        rule = anchor_weights(channel)
        spectra = basis_spectra(models, source, material, rule.nodes)
        events = rule.fold(np.stack(list(spectra.values())))
        result[channel.name] = {
            name: AnchorGrid(rule.parameters, rule.anchors, values)
            for name, values in zip(spectra, events, strict=True)
        }
    return result


def basis_spectra(
    models: Sequence[SignalModel], source: NeutrinoSource, material: Target, e_recoil_kev: Array
) -> dict[str, Array]:
    """All basis spectra of several models, events/(t yr keV)."""
    result: dict[str, Array] = {}
    for model in models:
        result |= model.basis_spectra(source, material, e_recoil_kev)
    return result


def multilinear(grid: AnchorGrid, point: Mapping[str, float]) -> Array:
    """Linear interpolation between neighbouring anchors in every shape parameter.

    Parameters that are not given are at zero; beyond the outer anchors the value at the anchor
    is used.

    >>> grid = AnchorGrid(("t",), (np.array([-1.0, 0.0, 1.0]),), np.array([[1.0], [2.0], [4.0]]))
    >>> multilinear(grid, {"t": 0.5}).tolist()
    [3.0]
    """
    values = grid.values
    for name, anchors in zip(grid.parameters, grid.anchors, strict=True):
        t = float(np.clip(point.get(name, 0.0), anchors[0], anchors[-1]))
        i = int(np.clip(np.searchsorted(anchors, t, side="right") - 1, 0, anchors.size - 2))
        share = (t - anchors[i]) / (anchors[i + 1] - anchors[i])
        values = (1.0 - share) * values[i] + share * values[i + 1]
    return np.asarray(values)


def blueice_events(grid: AnchorGrid, point: Mapping[str, float]) -> Array:
    """Events per bin as blueice interpolates them: total times normalised shape.

    Total and shape ``G_b / sum_b G_b`` are each linear between anchors, so the product is
    quadratic between them. At the anchors it is the anchor. Grids whose total vanishes at an
    anchor are interpolated bin by bin.

    Args:
        grid: events (..., B). point: shape parameters in standard deviations.
    """
    if not grid.parameters:
        return grid.values
    total = grid.values.sum(axis=-1, keepdims=True)
    if np.any(total == 0.0):
        return multilinear(grid, point)
    shape = AnchorGrid(grid.parameters, grid.anchors, grid.values / total)
    rate = AnchorGrid(grid.parameters, grid.anchors, total)
    return np.asarray(multilinear(rate, point) * multilinear(shape, point))


def full_templates(
    experiment: FullExperiment,
    component: Component,
    models: Sequence[SignalModel],
    rules: Mapping[str, AnchorWeights] | None = None,
) -> tuple[ChannelTemplates, ...]:
    """Templates of a full likelihood for a workspace, made from the anchors.

    The same as :func:`~histnu.templates.basis.experiment_templates` of ``experiment()``, but the
    response is prepared once and every spectrum is computed once per run.

    Args:
        experiment: a full likelihood.
        component: flux.
        models: Standard Model first.
        rules: channel name -> :func:`anchor_weights`, to reuse them for many models.

    Raises:
        TemplateError: for a model of electron recoils.
    """
    for model in models:
        if model.recoil != "nuclear":
            raise TemplateError(f"{experiment.name} responds to nuclear recoils, not {model.name}")
    material, result = target("xenon"), []
    reduced = experiment.experiment().channels
    for full, channel in zip(experiment.channels, reduced, strict=True):
        rule = (rules or {}).get(channel.name) or anchor_weights(full)
        signals = [
            template
            for model in models
            for template in _model_signals(rule, component, material, model)
        ]
        result.append(ChannelTemplates(channel, tuple(signals)))
    return tuple(result)


def _model_signals(
    rule: AnchorWeights, component: Component, material: Target, model: SignalModel
) -> list[SignalTemplate]:
    spectra = model.basis_spectra(component.source, material, rule.nodes)
    events = rule.fold(np.stack(list(spectra.values())))
    signals = []
    for name, values in zip(spectra, events, strict=True):
        grid = AnchorGrid(rule.parameters, rule.anchors, values)
        shapes = grid.pairs()
        strength = name if model.parameters else None
        signals.append(SignalTemplate(name, grid.at(), strength, component.flux, shapes))
    return signals
