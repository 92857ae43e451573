"""Build HistFactory JSON workspaces from templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from histnu.core.errors import WorkspaceError
from histnu.core.serialize import rounded
from histnu.core.types import ChannelSpec, Measurement, Modifier, ParameterConfig, Sample, Workspace
from histnu.experiments.model import Background, RateNuisance
from histnu.templates.basis import ChannelTemplates, SignalTemplate
from histnu.workspace.modifiers import (
    linear_bounds,
    rate_modifier,
    shape_modifier,
    strength_modifier,
)
from histnu.workspace.shapes import split_shapes, with_bounds

NUISANCE_RANGE = 5.0
"""Nuisance parameters are bounded at -5 and +5 standard deviations (pyhf's default), unless a
linear uncertainty needs a tighter lower bound."""


@dataclass(frozen=True)
class Strength:
    """A ``normfactor`` of the workspace.

    Attributes:
        name: name of the parameter.
        bounds: allowed values.
        init: starting value; also the value it is held at where it is fixed.
        floats: it is free in every measurement.
    """

    name: str
    bounds: tuple[float, float]
    init: float = 0.0
    floats: bool = False


@dataclass(frozen=True)
class Poi:
    """A measurement: its name, its parameter of interest and the strengths that float."""

    measurement: str
    parameter: str
    floating: tuple[str, ...] = ()


def build_workspace(
    templates: Sequence[ChannelTemplates],
    strengths: Sequence[Strength],
    pois: Sequence[Poi],
    interpolation: str = "normsys",
) -> Workspace:
    """Build a workspace with one channel per data set and one measurement per hypothesis.

    Its numbers are those of the written file (:func:`float_document`). In every measurement the
    parameter of interest and its ``floating`` companions are free, all other strengths are held at
    their starting value.

    Args:
        templates: the channels.
        strengths: settings of the ``normfactor`` parameters in the templates.
        pois: measurements, at least one.
        interpolation: ``normsys`` or ``linear``.

    Raises:
        WorkspaceError: if a parameter of interest is not a strength, or a channel appears twice.
    """
    return float_document(exact_workspace(templates, strengths, pois, interpolation))


def exact_workspace(
    templates: Sequence[ChannelTemplates],
    strengths: Sequence[Strength],
    pois: Sequence[Poi],
    interpolation: str = "normsys",
) -> Workspace:
    """:func:`build_workspace` before rounding, for what is computed further from its numbers."""
    names = [t.channel.name for t in templates]
    if len(set(names)) != len(names):
        raise WorkspaceError(f"a channel appears twice: {', '.join(names)}")
    made = [(s.strength, s.free_flux) for t in templates for s in t.signals]
    used = {name for names in made for name in names if name is not None}
    settings = {s.name: s for s in strengths}
    for poi in pois:
        if poi.parameter not in used:
            known = ", ".join(sorted(used)) or "none"
            raise WorkspaceError(f"{poi.parameter!r} is no strength of a sample; known: {known}")
    bounds = _nuisance_bounds(templates, interpolation)
    document: Workspace = {
        "channels": [_channel(t, interpolation) for t in templates],
        "observations": [
            {"name": t.channel.name, "data": t.channel.observed.tolist()} for t in templates
        ],
        "measurements": [_measurement(poi, sorted(used), settings, bounds) for poi in pois],
        "version": "1.0.0",
    }
    document = split_shapes(document, {p for t in templates for p in t.channel.split_shapes})
    for t in templates:
        document = with_bounds(document, t.channel.nuisance_bounds)
    return document


def float_document(document: Workspace) -> Workspace:
    """Round every number of a document to the precision of the written file, as floats.

    pyhf's digests tell 1 from 1.0, and a fit must use the numbers that are shared.
    """

    def convert(value: object) -> object:
        if type(value) is float:  # most are
            return rounded(value)
        if isinstance(value, dict):
            return {k: convert(v) for k, v in value.items()}
        if isinstance(value, list):
            return [convert(v) for v in value]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        return rounded(float(value))

    return convert(document)  # type: ignore[return-value]


def _style(t: ChannelTemplates, interpolation: str) -> str:
    """Interpolation of a channel: shapes that are split multiply, so its rates must, too.

    Linear rates would add to the shapes and make bins negative inside the bounds.
    """
    return "normsys" if t.channel.split_shapes else interpolation


def _channel(t: ChannelTemplates, interpolation: str) -> ChannelSpec:
    interpolation = _style(t, interpolation)
    samples = [_signal_sample(s, t, interpolation) for s in t.signals]
    samples += [_background_sample(b, interpolation) for b in t.channel.backgrounds]
    return {"name": t.channel.name, "samples": samples}


def _signal_rates(s: SignalTemplate, t: ChannelTemplates) -> tuple[RateNuisance, ...]:
    flux = () if s.flux is None else (s.flux,)
    return (*flux, *t.channel.signal_rates)


def _signal_sample(s: SignalTemplate, t: ChannelTemplates, interpolation: str) -> Sample:
    modifiers: list[Modifier] = []
    if s.strength is not None:
        modifiers.append(strength_modifier(s.strength))
    if s.free_flux is not None:
        modifiers.append(strength_modifier(s.free_flux))
    modifiers += [rate_modifier(r, s.expected, interpolation) for r in _signal_rates(s, t)]
    modifiers += [shape_modifier(n, down, up) for n, (down, up) in s.variations.items()]
    return {"name": s.sample, "data": s.expected.tolist(), "modifiers": modifiers}


def _background_sample(b: Background, interpolation: str) -> Sample:
    modifiers = [rate_modifier(r, b.expected, interpolation) for r in b.rates]
    modifiers += [shape_modifier(s.name, s.down, s.up) for s in b.shapes]
    return {"name": b.name, "data": b.expected.tolist(), "modifiers": modifiers}


def _nuisance_bounds(templates: Sequence[ChannelTemplates], interpolation: str) -> dict[str, float]:
    """Tightest lower bound of every nuisance parameter that has a linear uncertainty."""
    lowest: dict[str, float] = {}
    for t in templates:
        groups = [_signal_rates(s, t) for s in t.signals]
        groups += [b.rates for b in t.channel.backgrounds]
        style = _style(t, interpolation)
        for rates in groups:
            for name, low in linear_bounds(rates, style).items():
                lowest[name] = max(lowest.get(name, -NUISANCE_RANGE), low)
    return lowest


def _measurement(
    poi: Poi, used: Sequence[str], settings: Mapping[str, Strength], bounds: Mapping[str, float]
) -> Measurement:
    parameters: list[ParameterConfig] = []
    for name in used:
        strength = settings.get(name, Strength(name, (0.0, 10.0)))
        entry: ParameterConfig = {
            "name": name,
            "inits": [float(strength.init)],
            "bounds": [[float(b) for b in strength.bounds]],
        }
        if name != poi.parameter and name not in poi.floating and not strength.floats:
            entry["fixed"] = True
        parameters.append(entry)
    for name, low in sorted(bounds.items()):
        parameters.append({"name": name, "bounds": [[float(np.float64(low)), NUISANCE_RANGE]]})
    return {"name": poi.measurement, "config": {"poi": poi.parameter, "parameters": parameters}}
