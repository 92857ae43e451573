"""Published curves that are drawn over ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError, located
from histnu.core.tables import read_csv

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_overlay(path: str | Path) -> Curve:
    """Read a published curve: CSV columns ``m4_mev`` and ``mu_b`` (Bohr magnetons).

    Raises:
        DataError: for a missing column, a bad number, or values that are not positive.
    """
    columns = read_csv(path)
    for name in ("m4_mev", "mu_b"):
        if name not in columns:
            known = ", ".join(columns)
            mend = f"name the columns m4_mev and mu_b (here: {known})"
            raise DataError(located(path, name, "missing column", mend))
        if np.any(columns[name] <= 0):
            raise DataError(located(path, name, "values must be positive", "correct the table"))
    return columns["m4_mev"], columns["mu_b"]


def parse_overlays(options: Sequence[str]) -> dict[str, Curve]:
    """Read ``name=file.csv`` options.

    Raises:
        DataError: for an option of another form, or a bad file.
    """
    result = {}
    for option in options:
        name, separator, path = option.partition("=")
        if not (separator and name and path):
            raise DataError(f"--overlay {option!r} must be of the form name=file.csv")
        result[name] = read_overlay(path)
    return result
