"""Grids of physical parameters: axes with units, decimal coordinates, names of grid points."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histnu.core.errors import ConfigError, PatchSetError
from histnu.core.serialize import rounded
from histnu.physics.models.protocol import SignalModel

COORDINATE_DIGITS = 6
"""Significant digits of a coordinate. A label must be exact, so it is rounded *before* the
signal is computed: 3 * 0.1 becomes 0.3, for the template as for its label."""

LABEL = re.compile(r"[a-zA-Z0-9_]+")


def coordinate(value: float) -> float:
    """A coordinate as it is written: rounded to ``COORDINATE_DIGITS`` significant digits.

    >>> coordinate(3 * 0.1)
    0.3
    """
    number = rounded(value, COORDINATE_DIGITS)
    if not math.isfinite(number):
        raise PatchSetError(f"grid coordinate {value} is not finite; correct the axis")
    return number


def token(value: float) -> str:
    """A coordinate as part of a name: ``p`` for the point, ``m`` for minus.

    >>> token(0.1), token(-0.3), token(1e-5), token(20.0)
    ('0p1', 'm0p3', '1em5', '20')
    """
    text = f"{coordinate(value):.{COORDINATE_DIGITS}g}"
    mantissa, _, exponent = text.partition("e")
    if exponent:
        text = f"{mantissa}e{int(exponent)}"
    return text.replace(".", "p").replace("-", "m").replace("+", "")


def point_name(labels: Sequence[str], values: Sequence[float]) -> str:
    """Name of a grid point, which matches ``^[a-zA-Z0-9_]+$``.

    Different points of a grid have different names, and none is ``name`` or ``values``, which
    pyhf 0.7 mistakes for duplicates.

    >>> point_name(["m4", "mu_e"], [0.001, 2.5])
    'm4_0p001__mu_e_2p5'
    """
    return "__".join(f"{n}_{token(v)}" for n, v in zip(labels, values, strict=True))


@dataclass(frozen=True)
class GridAxis:
    """One axis of a grid.

    Attributes:
        label: parameter name, ``[a-zA-Z0-9_]+``.
        unit: unit of the values.
        values: coordinates, increasing; rounded to ``COORDINATE_DIGITS``.
        outer: whether the basis templates themselves depend on it (the mass m4), so that they
            are computed once per value; otherwise it is a parameter of the polynomial.
    """

    label: str
    unit: str
    values: tuple[float, ...]
    outer: bool = False

    def __post_init__(self) -> None:
        if not LABEL.fullmatch(self.label):
            raise ConfigError(f"axis label {self.label!r} must match [a-zA-Z0-9_]+; rename it")
        object.__setattr__(self, "values", tuple(coordinate(v) for v in self.values))
        if not self.values or any(b <= a for a, b in itertools.pairwise(self.values)):
            raise ConfigError(
                f"axis {self.label}: coordinates must increase after rounding to "
                f"{COORDINATE_DIGITS} digits; remove repeats"
            )

    @classmethod
    def linear(cls, label: str, unit: str, low: float, high: float, n: int) -> GridAxis:
        """Equally spaced coordinates, both ends included."""
        return cls(label, unit, tuple(np.linspace(low, high, n).tolist()))

    def to_json(self) -> dict[str, Any]:
        """Label, unit and coordinates."""
        return {"label": self.label, "unit": self.unit, "values": list(self.values)}


@dataclass(frozen=True)
class Grid:
    """The product of its axes; outer axes come first and vary slowest.

    >>> grid = Grid("plane", (GridAxis("x", "u", (0.0, 1.0)), GridAxis("y", "u", (2.0, 3.0))))
    >>> len(grid), list(grid)[1]
    (4, (0.0, 3.0))
    """

    name: str
    axes: tuple[GridAxis, ...]

    def __post_init__(self) -> None:
        labels = [a.label for a in self.axes]
        if not labels or len(set(labels)) != len(labels):
            raise ConfigError(f"grid {self.name}: needs axes with different labels, got {labels}")
        outer = [a.outer for a in self.axes]
        if outer != sorted(outer, reverse=True):
            raise ConfigError(f"grid {self.name}: list the outer axes first")

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the axes."""
        return tuple(a.label for a in self.axes)

    @property
    def n_outer(self) -> int:
        """Number of outer axes."""
        return sum(a.outer for a in self.axes)

    def __len__(self) -> int:
        return math.prod(len(a.values) for a in self.axes)

    def __iter__(self) -> Iterator[tuple[float, ...]]:
        return itertools.product(*(a.values for a in self.axes))

    def to_json(self) -> dict[str, Any]:
        """Name and axes."""
        return {"name": self.name, "axes": [a.to_json() for a in self.axes]}


def model_grids(model: SignalModel) -> dict[str, Grid]:
    """The grids that a model declares, with the units of its parameters: name -> grid.

    Held parameters are outer axes.

    >>> from histnu.physics.models.sterile_dipole import SterileDipole
    >>> grid = model_grids(SterileDipole())["dipole_e"]
    >>> grid.labels, [axis.outer for axis in grid.axes], grid.axes[1].unit
    (('m4', 'mu_e'), [True, False], '1e-9 mu_B')
    """
    return {name: make_grid(model, name, axes) for name, axes in model.grids.items()}


def make_grid(model: SignalModel, name: str, axes: Sequence[tuple[str, Sequence[float]]]) -> Grid:
    """A grid in parameters of a model.

    Args:
        model: a hypothesis.
        name: name of the grid.
        axes: parameter and values of every axis; held parameters first.

    Raises:
        ConfigError: for a parameter that the model does not have.
    """
    held = {h.name: h.unit for h in model.held}
    units = {p.name: p.unit for p in model.parameters} | held
    made = []
    for label, values in axes:
        if label not in units:
            known = ", ".join(units)
            raise ConfigError(f"grid {name}: {model.name} has no parameter {label!r}; use {known}")
        made.append(GridAxis(label, units[label], tuple(map(float, values)), label in held))
    return Grid(name, tuple(made))
