"""Published limits that are drawn over ours: those of the package, and tables of the user.

The collection is ``published/NAME.csv`` of every data folder (another package may add its own,
:mod:`histnu.core.installed`), with ``NAME.source.json`` beside it: ``title``, ``quantity``,
``units`` by column, ``cl``, ``source``, ``provenance`` and ``how`` the numbers were read. The
column ``upper`` alone is a limit that is one number; two columns are a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import ConfigError, DataError, PhysicsError, located, named
from histnu.core.installed import installed_files
from histnu.core.tables import read_csv, read_source
from histnu.core.units import unit_ratio

Array = NDArray[np.float64]

PATTERN = "published/*.csv"
MASS_COLUMNS = ("m4_mev", "mu_b")
"""Columns of a user's dipole curve in a study's figure, in MeV and Bohr magnetons."""


@dataclass(frozen=True)
class Published:
    """A published limit.

    Attributes:
        label: in a legend. points: (N, 2) of a curve, or (1, 1): a limit that is one number.
        units: of the columns; empty where a table has no source beside it.
        source: contents of the ``.source.json``.
    """

    label: str
    points: Array
    units: tuple[str, ...] = ()
    source: dict[str, Any] | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is one number."""
        return self.points.shape[1] == 1

    def columns(self, *units: str) -> Array:
        """The points with the last columns in the units of a figure.

        Raises:
            ConfigError: for a limit on another quantity (``e`` where the axis has ``mu_B``).
        """
        if not self.units:
            return self.points
        factors = [
            _factor(self.label, a, b)
            for a, b in zip(self.units, units[-len(self.units) :], strict=True)
        ]
        return self.points * np.array(factors)


def _factor(label: str, unit: str, wanted: str) -> float:
    """What numbers in a unit are multiplied by to be in another."""
    try:
        return unit_ratio(unit, wanted)
    except PhysicsError as error:
        raise ConfigError(f"{label}: {error}; draw it on an axis that counts the same") from None


def published_names() -> tuple[str, ...]:
    """Names of the collection."""
    return tuple(installed_files(PATTERN))


def load_published(name: str) -> Published:
    """A limit of the collection.

    Raises:
        ConfigError: for an unknown name. DataError: for a table without its source.
    """
    return _read(named(installed_files(PATTERN), name, "published limit"), None)


def _read(path: Path, label: str | None) -> Published:
    """A table, in the units of the source beside it if there is one."""
    columns = read_csv(path)
    beside = path.with_suffix(".source.json").is_file()
    source = read_source(path) if beside or label is None else None
    if len(columns) < 2 and source is None:
        raise ConfigError(f"{path}: a curve needs two columns, x and y")
    chosen = list(columns)[:2]
    units = () if source is None else tuple(source["units"][c] for c in chosen)
    points = np.column_stack([columns[c] for c in chosen])
    return Published(label or str((source or {})["title"]), points, units, source)


def parse_overlays(options: Sequence[str]) -> list[Published]:
    """Limits of ``NAME`` (of the collection) and ``LABEL=FILE.csv`` options.

    Raises:
        ConfigError: for an unknown name or an option of another form. DataError: for a bad file.
    """
    found = []
    for option in options:
        name, separator, file = option.partition("=")
        if not separator:
            found.append(load_published(name))
        elif name and file:
            found.append(_read(Path(file), name))
        else:
            raise ConfigError(
                f"--overlay {option!r} must be a name (histnu list published) or NAME=FILE.csv"
            )
    return found


def parse_mass_overlays(options: Sequence[str]) -> list[Published]:
    """The same for a dipole figure: files have the columns ``m4_mev`` and ``mu_b``.

    Raises:
        DataError: for a missing column, a bad number, or values that are not positive.
    """
    found = []
    for option, limit in zip(options, parse_overlays(options), strict=True):
        file = option.partition("=")[2]
        plain = bool(file) and limit.source is None
        curve = Published(limit.label, _mass_curve(file), ("MeV", "mu_B")) if plain else limit
        found.append(curve)
    return found


def _mass_curve(path: str) -> Array:
    columns = read_csv(path)
    for name in MASS_COLUMNS:
        if name not in columns:
            known = ", ".join(columns)
            mend = f"name the columns {' and '.join(MASS_COLUMNS)} (here: {known})"
            raise DataError(located(path, name, "missing column", mend))
        if np.any(columns[name] <= 0):
            raise DataError(located(path, name, "values must be positive", "correct the table"))
    return np.column_stack([columns[name] for name in MASS_COLUMNS])
