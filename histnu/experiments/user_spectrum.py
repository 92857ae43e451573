"""Read a user's table of recoil spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.errors import DataError, located
from histnu.tables import read_csv

Array = NDArray[np.float64]


def read_spectra(path: str | Path) -> tuple[Array, dict[str, Array]]:
    """Read ``e_recoil_kev`` and one or more columns of dR/dT from a CSV file.

    Args:
        path: CSV file with a header line; rates in events/(t yr keV) at strength one.

    Returns:
        Recoil energies in keV, shape (N,), and name -> dR/dT, each (N,); ready for
        ``TabulatedSignal(energies, rates)``.

    Raises:
        DataError: for a missing column, NaN, or energies that do not increase.
    """
    columns = read_csv(path)
    if "e_recoil_kev" not in columns:
        known = ", ".join(columns)
        problem = "missing column"
        raise DataError(located(path, "e_recoil_kev", problem, f"columns here: {known}"))
    energy = columns.pop("e_recoil_kev")
    if energy.size < 2 or energy[0] < 0 or np.any(np.diff(energy) <= 0):
        problem = "energies must be >= 0 and increase (two or more)"
        raise DataError(located(path, "e_recoil_kev", problem, "sort the rows"))
    if not columns:
        raise DataError(located(path, "", "has no rates", "add a column of dR/dT"))
    return energy, columns
