"""Read a user's table of recoil spectra."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError, located
from histnu.core.serialize import shortened
from histnu.core.tables import read_csv

Array = NDArray[np.float64]

NAME = re.compile(r"[a-zA-Z0-9_]+", re.ASCII)
MAXIMUM_RATE = 1e15
"""Events/(t yr keV) above which a number is no rate."""


def read_spectra(path: str | Path) -> tuple[Array, dict[str, Array]]:
    """Read ``e_recoil_kev`` and one or more columns of dR/dT from a CSV file.

    Args:
        path: CSV file with a header line; rates in events/(t yr keV) at strength one.

    Returns:
        Recoil energies in keV, shape (N,), and name -> dR/dT, each (N,); ready for
        ``TabulatedSignal(energies, rates)``.

    Raises:
        DataError: for a missing or unnamed column, NaN, a negative rate, a signal that is zero
            everywhere, or energies that do not increase.
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
    for number, (name, rate) in enumerate(columns.items(), 2):
        if not NAME.fullmatch(name):
            problem = f"{shortened(name)!r} is no name of column {number}"
            raise DataError(located(path, "header", problem, "use letters, digits and _"))
        if np.any(rate < 0) or np.any(rate > MAXIMUM_RATE):
            row = int(np.flatnonzero((rate < 0) | (rate > MAXIMUM_RATE))[0])
            where = f"{name} at {energy[row]:g} keV"
            mend = f"give dR/dT from 0 to {MAXIMUM_RATE:g} per (t yr keV)"
            raise DataError(located(path, where, f"{rate[row]:g} is no rate", mend))
        if not np.any(rate > 0):
            raise DataError(located(path, name, "is zero everywhere", "give a signal"))
    return energy, columns
