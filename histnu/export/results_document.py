"""The form of ``results.json`` (``histnu-results/1``): what figures and tables need of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from histnu.core.errors import DataError, located
from histnu.core.forms import Finite, Form, require
from histnu.core.serialize import read_json
from histnu.core.units import column_name

SCHEMA = "histnu-results/1"
MEND = "give an intact results.json of histnu reproduce"

Level = Annotated[float, Field(strict=True, gt=0, lt=1)]
Degrees = Annotated[int, Field(strict=True, ge=1, le=100)]
Provenance = Literal["published", "derived", "reconstructed"]
Point = Annotated[list[Finite], Field(min_length=2, max_length=2)]


class Ends(Form):
    """A published interval; None is an open end."""

    lower: Finite | None = None
    upper: Finite | None = None


class Row(Form):
    """What every result says."""

    id: str
    experiment: str
    provenance: Provenance


class AxisForm(Form):
    """A parameter with its unit."""

    name: str
    unit: str


class BoundRow(Row):
    """A limit, or one against a held parameter ``x`` (its values and ``upper`` are lists)."""

    parameter: str
    unit: str
    method: str
    cl: Level
    dof: Degrees
    lower: Finite | None
    best_fit: Finite | None
    upper: Finite | list[Finite | None] | None
    x: AxisForm | None = None
    held: dict[str, Finite] = Field(default_factory=dict)
    published: Ends | None = None

    @model_validator(mode="after")
    def _lengths(self) -> BoundRow:
        upper = len(self.upper) if isinstance(self.upper, list) else None
        if self.x is None and upper is None:
            return self
        name = "x" if self.x is None else column_name(self.x.name, self.x.unit)
        values = (self.model_extra or {}).get(name)
        if not (isinstance(values, list) and upper == len(values)):
            raise ValueError(f"{name} and upper must be lists of one length")
        if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in values):
            raise ValueError(f"{name} must be finite numbers")
        return self


class ProfileRow(Row):
    """A profile likelihood."""

    parameter: str
    unit: str
    values: list[Finite]
    delta_chi2: list[Finite | None]

    @model_validator(mode="after")
    def _lengths(self) -> ProfileRow:
        if len(self.values) != len(self.delta_chi2):
            raise ValueError("values and delta_chi2 must be lists of one length")
        return self


class ContourRow(Row):
    """A confidence region of two parameters."""

    x: AxisForm
    y: AxisForm
    cl: Level
    dof: Degrees
    best_fit: Point
    polylines: list[list[Point]]


def _kind(row: Any) -> str:
    """``region``, or ``mass curve`` of a row whose upper ends are a list."""
    found = isinstance(row, dict) and isinstance(row.get("upper"), list)
    return "mass curve" if found else "region"


Contour = Annotated[
    Annotated[ContourRow, Tag("region")] | Annotated[BoundRow, Tag("mass curve")],
    Discriminator(_kind),
]
"""A region of two parameters, or ends against a held one."""


class ResultsForm(Form):
    """The document."""

    bounds: list[BoundRow]
    profiles: list[ProfileRow] = Field(default_factory=list)
    contours: list[Contour] = Field(default_factory=list)
    alternatives: list[BoundRow] = Field(default_factory=list)


def read_results(path: str | Path) -> dict[str, Any]:
    """Read a results document.

    Raises:
        DataError: if it is missing, not JSON, of another schema, or damaged.
    """
    document = read_json(path)
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        problem = f"schema is {found!r}, expected {SCHEMA!r}"
        raise DataError(located(path, "schema", problem, "give a results.json of histnu reproduce"))
    return require(ResultsForm, document, path, MEND)
