"""Package tables: a CSV file with a ``.source.json`` beside it, read on demand."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError, located
from histnu.core.serialize import read_json, read_text, shortened

log = logging.getLogger(__name__)

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
"""A number of a table: Python also reads ``8_4`` as 84 and digits of other scripts."""


@dataclass(frozen=True)
class Table:
    """A table of numbers with its origin.

    Attributes:
        columns: name -> values, all of the same length.
        source: contents of the ``.source.json`` file (``source``, ``provenance``, ``units``, ...).
        path: where it was read.
    """

    columns: Mapping[str, NDArray[np.float64]]
    source: Mapping[str, Any]
    path: str

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        try:
            return self.columns[name]
        except KeyError:
            known = ", ".join(self.columns)
            raise DataError(
                located(self.path, name, "missing column", f"columns here: {known}")
            ) from None


def data_path(relative: str) -> Path:
    """Return the path of a file of the package's ``data`` folder."""
    return Path(str(resources.files("histnu"))) / "data" / relative


def read_csv(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Read a CSV file with a header line; lines that start with ``#`` are comments.

    Raises:
        DataError: for a missing file, a ragged row, text where a number belongs (``8_4`` too), NaN
            or infinity.
    """
    path = Path(path)
    text = read_text(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise DataError(located(path, "", f"is not CSV ({error})", "give a CSV table")) from None
    if len(rows) < 2:
        raise DataError(located(path, "", "has no data rows", "give a header line and numbers"))
    header = [name.strip() for name in rows[0]]
    if len(set(header)) != len(header):
        raise DataError(located(path, "header", "repeats a column name", "rename one of them"))
    values = np.array(
        [_numbers(path, number, row, header) for number, row in enumerate(rows[1:], 2)]
    )
    return {name: values[:, i] for i, name in enumerate(header)}


def _numbers(path: Path, line: int, row: list[str], header: list[str]) -> list[float]:
    """Convert one row, naming file, line and column of what is wrong."""
    if len(row) != len(header):
        problem = f"has {len(row)} values, the header {len(header)}"
        raise DataError(located(path, f"row {line}", problem, "complete the row"))
    numbers = []
    for name, cell in zip(header, row, strict=True):
        text = cell.strip()
        number = float(text) if NUMBER.fullmatch(text) else np.nan
        if not np.isfinite(number):
            problem = f"{shortened(text)!r} is not a finite number"
            raise DataError(
                located(path, f"row {line}, column {name}", problem, "correct the cell")
            )
        numbers.append(number)
    return numbers


def read_source(path: str | Path) -> dict[str, Any]:
    """Read the ``<name>.source.json`` beside ``<name>.csv``.

    Raises:
        DataError: if it is missing or not JSON.
    """
    file = Path(path).with_suffix(".source.json")
    if not file.is_file():
        raise DataError(located(file, "", "is missing", "every table needs its source"))
    document = read_json(file)
    if not isinstance(document, dict):
        raise DataError(located(file, "", "is not a mapping", "give source and provenance"))
    return document


def load_table(relative: str) -> Table:
    """Load a table of the package, ``load_table("flux/b8.csv")``, with its source."""
    path = data_path(relative)
    log.debug("table %s", path)
    return Table(read_csv(path), read_source(path), str(path))
