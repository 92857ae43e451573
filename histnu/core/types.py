"""Types of the JSON documents that histnu writes (HistFactory JSON 1.0.0, PatchSet 1.0.0)."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Modifier(TypedDict):
    """A modifier of a sample."""

    name: str
    type: str
    data: Any


class Sample(TypedDict):
    """A sample of a channel: expected events and modifiers."""

    name: str
    data: list[float]
    modifiers: list[Modifier]


class ChannelSpec(TypedDict):
    """A channel of a workspace."""

    name: str
    samples: list[Sample]


class Observation(TypedDict):
    """Observed events of a channel."""

    name: str
    data: list[float]


class ParameterConfig(TypedDict):
    """Settings of one parameter in a measurement."""

    name: str
    inits: NotRequired[list[float]]
    bounds: NotRequired[list[list[float]]]
    fixed: NotRequired[bool]
    auxdata: NotRequired[list[float]]
    sigmas: NotRequired[list[float]]


class MeasurementConfig(TypedDict):
    """Parameter of interest and parameter settings."""

    poi: str
    parameters: list[ParameterConfig]


class Measurement(TypedDict):
    """A named measurement."""

    name: str
    config: MeasurementConfig


class Workspace(TypedDict):
    """A HistFactory JSON workspace."""

    channels: list[ChannelSpec]
    observations: list[Observation]
    measurements: list[Measurement]
    version: str
