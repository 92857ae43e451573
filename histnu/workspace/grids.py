"""Grids of physical parameters: axes with units, decimal coordinates, names of grid points."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histnu.errors import ConfigError, PatchSetError
from histnu.serialize import rounded

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

    @classmethod
    def logarithmic(cls, label: str, unit: str, ends: tuple[float, float], n: int) -> GridAxis:
        """Logarithmically spaced coordinates, both ends included."""
        return cls(label, unit, tuple(np.geomspace(*ends, n).tolist()))

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


MOMENT_UNIT = "1e-9 mu_B"
CHARGE_UNIT = "1e-8 e"
PLANES = (("q_ee", "q_mumu"), ("q_ee", "q_emu"), ("q_ee", "q_mutau"))
"""The planes of the paper's Fig. 3."""


def moment_grid(parameter: str, high: float = 5.0, n: int = 51) -> Grid:
    """Grid in one magnetic moment, 0 to ``high`` in 1e-9 mu_B (``mu_e``, ``mu_universal``, ...)."""
    return Grid(parameter, (GridAxis.linear(parameter, MOMENT_UNIT, 0.0, high, n),))


def charge_grid(parameter: str, reach: float = 10.0, n: int = 101) -> Grid:
    """Grid in one millicharge, -``reach`` to +``reach`` in 1e-8 e."""
    return Grid(parameter, (GridAxis.linear(parameter, CHARGE_UNIT, -reach, reach, n),))


def charge_plane(x: str, y: str, reach: float = 10.0, n: int = 41) -> Grid:
    """Grid in a plane of two millicharges, each -``reach`` to +``reach`` in 1e-8 e."""
    axes = tuple(GridAxis.linear(p, CHARGE_UNIT, -reach, reach, n) for p in (x, y))
    return Grid(f"{x}_{y}", axes)


DIPOLE_MASSES_MEV = (*np.geomspace(1e-3, 5.0, 20).tolist(), *range(6, 21))
"""Sterile masses from 1 keV, logarithmic while the signal hardly changes, then in steps of 1 MeV
past the end of the solar 8B spectrum (about 16 MeV), where upscattering is no longer possible."""


def dipole_grid(
    flavour: str,
    masses_mev: Sequence[float] = DIPOLE_MASSES_MEV,
    moments: tuple[float, float] = (0.1, 100.0),
    n_moments: int = 31,
) -> Grid:
    """Grid in (m4, mu) of the sterile dipole portal.

    Args:
        flavour: ``e``, ``mu`` or ``tau``.
        masses_mev: sterile masses in MeV, increasing.
        moments: ends of the logarithmic axis of the moment in 1e-9 mu_B.
        n_moments: points of that axis.
    """
    mass = GridAxis("m4", "MeV", tuple(map(float, masses_mev)), outer=True)
    moment = GridAxis.logarithmic(f"mu_{flavour}", MOMENT_UNIT, moments, n_moments)
    return Grid(f"dipole_{flavour}", (mass, moment))


def default_grids() -> dict[str, Grid]:
    """The grids of the paper: name -> grid."""
    moments = [moment_grid(f"mu_{k}") for k in ("e", "mu", "tau", "universal")]
    charges = [charge_grid(k) for k in ("q_ee", "q_mumu", "q_tautau", "q_emu", "q_etau", "q_mutau")]
    planes = [charge_plane(x, y) for x, y in PLANES]
    dipoles = [dipole_grid(k) for k in ("e", "mu", "tau")]
    return {g.name: g for g in (*moments, *charges, *planes, *dipoles)}
