"""The YAML schema ``histnu-experiment/1``: structure, units and rules of every field.

pydantic reports all mistakes of a file at once, each with its path; ``histnu.experiments.loader``
turns them into messages that name file, field and mend, and resolves the tables.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

SCHEMA = "histnu-experiment/1"

Provenance = Literal["published", "derived", "reconstructed"]
Recoil = Literal["nuclear", "electron"]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_]+$")]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]
"""A number as the file writes it: neither a text nor ``true``, of a size that an event count or an
energy can have."""
Positive = Annotated[float, Field(strict=True, gt=0, le=1e20, allow_inf_nan=False)]
Exposure = Annotated[float, Field(strict=True, gt=0, le=1e6, allow_inf_nan=False)]
"""Tonne years; every xenon detector so far together has some 20."""
Relative = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False)]
Values = list[Finite] | str
"""A list of numbers, or where to find them: ``table.csv:column`` or ``file.root:path/to/hist``."""


class Strict(BaseModel):
    """A section of the file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Sourced(Strict):
    """Something with an origin."""

    source: str = Field(min_length=3, description="publication, table, figure or script")
    provenance: Provenance


class Number(Sourced):
    """A positive number with unit and origin."""

    value: Positive
    unit: str


class ExposureSection(Number):
    """Exposure in tonne years."""

    value: Exposure
    unit: Literal["t yr"]


class AxisSection(Strict):
    """One axis of the observable."""

    name: Name
    title: str
    unit: str
    edges: list[Finite] = Field(min_length=2)

    @field_validator("edges")
    @classmethod
    def _increasing(cls, edges: list[float]) -> list[float]:
        if any(b <= a for a, b in itertools.pairwise(edges)):
            raise ValueError(f"edges {edges} must increase; sort them and remove repeats")
        return edges


class AxesSection(Strict):
    """An observable of several axes, flattened with the last one running fastest."""

    axes: list[AxisSection] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> AxesSection:
        names = [a.name for a in self.axes]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"axis {repeated[0]} appears twice; rename one")
        return self


def _kind_of_observable(value: object) -> str:
    several = isinstance(value, dict) and "axes" in value
    return SEVERAL_AXES if several or isinstance(value, AxesSection) else ONE_AXIS


ONE_AXIS, SEVERAL_AXES = "(one axis)", "(several axes)"
Observable = Annotated[
    Annotated[AxisSection, Tag(ONE_AXIS)] | Annotated[AxesSection, Tag(SEVERAL_AXES)],
    Discriminator(_kind_of_observable),
]
"""The binned observable: an axis, or ``axes`` with a list of them."""


class BeamSection(Sourced):
    """How a channel sees the arrival times of a pulsed source.

    ``axis`` is one of the observable's, in microseconds after the pulse; ``efficiency`` a CSV table
    with the columns ``time_us`` and ``efficiency``. The response fills the other axes.
    """

    axis: Name
    efficiency: str


class SourceSection(Strict):
    """The neutrino source by name (``histnu.sources``), with its options; or its name alone."""

    name: str
    options: dict[str, Finite] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Editors accept the name alone too."""
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(core))]}


class ResponseSection(Sourced):
    """Detection probability per bin against true recoil energy, a CSV table.

    Its first column is ``e_recoil_kev``, then one column ``bin_<i>`` per bin. ``variations`` give
    the same table at -1 and +1 standard deviation of a shape nuisance.
    """

    file: str
    interpolation: Literal["linear", "pchip"] = "pchip"
    variations: dict[Name, list[str]] = Field(default_factory=dict)

    @field_validator("variations")
    @classmethod
    def _pairs(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, files in value.items():
            if len(files) != 2:
                raise ValueError(f"{name}: give two tables, [down, up]")
        return value


class OtherRecoilSection(Strict):
    """Another kind of recoil in the same bins, which the detector cannot tell from the first."""

    recoil: Recoil
    response: ResponseSection


class RateUncertainty(Sourced):
    """Gaussian-constrained rate uncertainty, relative to the nominal rate.

    Parameters of the same name are one nuisance parameter, in every channel.
    """

    name: Name
    relative: Relative
    interpolation: Literal["default", "linear", "lognormal"] = "default"


class ShapeUncertainty(Sourced):
    """Templates at -1 and +1 standard deviation of a nuisance parameter."""

    name: Name
    down: Values
    up: Values


class BackgroundSection(Sourced):
    """One background of a channel: expected events per bin."""

    name: Name
    title: str
    expected: Values
    uncertainties: list[RateUncertainty] = Field(default_factory=list)
    shapes: list[ShapeUncertainty] = Field(default_factory=list)


class ObservedSection(Sourced):
    """Observed events per bin."""

    counts: Values


class PublishedSignal(Sourced):
    """A published Standard Model expectation per bin, for ``correction: published_sm``."""

    expected: Values
    flux_cm2_s: Positive


class ChannelSection(Strict):
    """One binned data set."""

    name: Name
    title: str
    target: str | None = None
    recoil: Recoil | None = None
    source: SourceSection | None = None
    exposure: ExposureSection
    observable: Observable
    response: ResponseSection
    backgrounds: list[BackgroundSection]
    observed: ObservedSection
    signal_uncertainties: list[RateUncertainty] = Field(default_factory=list)
    published_signal: PublishedSignal | None = None
    beam: BeamSection | None = None
    other_recoils: list[OtherRecoilSection] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names(self) -> ChannelSection:
        names = [b.name for b in self.backgrounds]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"background {repeated[0]} appears twice; rename one")
        return self


class ExperimentSection(Strict):
    """A whole experiment file.

    ``target``, ``recoil`` and ``source`` are those of every channel that does not give its own.
    ``data_sets`` names what was observed; experiments that share a name cannot be combined.
    """

    schema_: Literal["histnu-experiment/1"] = Field(alias="schema")
    name: Name
    title: str
    target: str
    recoil: Recoil
    source: SourceSection = SourceSection(name="solar")
    description: str = ""
    references: list[str] = Field(min_length=1)
    inspire: str | None = Field(default=None, pattern=r"^ins[0-9]{7}$")
    assumptions: list[str] = Field(default_factory=list)
    data_sets: list[Name] = Field(default_factory=list)
    channels: list[ChannelSection] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> ExperimentSection:
        names = [c.name for c in self.channels]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise ValueError(f"channel {repeated[0]} appears twice; rename one")
        return self
