"""Numbers that follow from results, declared by kind in a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from histnu.core.units import column_name
from histnu.physics.cross_sections import Electroweak, millicharge_coupling
from histnu.physics.nuclei import XENON
from histnu.studies.paths import look_up
from histnu.studies.schema import AnyNumber, CancellingRecoil

Results = Mapping[str, Any]


def derived(results: Results, wanted: Mapping[str, AnyNumber]) -> dict[str, float | None]:
    """The numbers of a study by name; None where what they need is absent."""
    return {name: _one(results, section) for name, section in wanted.items()}


def _one(results: Results, section: AnyNumber) -> float | None:
    if isinstance(section, CancellingRecoil):
        charge = look_up(results, section.of)
        return None if charge is None else cancelling_recoil_kev(float(charge))
    first, second = (look_up(results, path) for path in (section.first, section.second))
    return None if first is None or second is None else crossing(first, second)


def cancelling_recoil_kev(charge: float) -> float:
    """Recoil energy at which a diagonal charge (1e-8 e) cancels the weak charge of xenon, keV.

    ``Q_V = Z Q^EC(T)`` with ``Q^EC ~ 1/T`` (Eqs. 2, 5, 6), for the most abundant isotope; 0 for a
    negative charge, which never cancels it.
    """
    isotope = max(XENON.isotopes, key=lambda i: i.abundance)
    at_one_kev = float(millicharge_coupling([1e-3], isotope.mass_mev)[0])
    return max(0.0, charge * isotope.protons * at_one_kev / Electroweak().weak_charge(isotope))


def crossing(first: Mapping[str, Any], second: Mapping[str, Any]) -> float | None:
    """Where the first of two curves stops being the stronger one.

    Linear in the logarithms between the values of the held parameter; None where they do not
    cross, or are given at different values.
    """
    axis = column_name(first["x"]["name"], first["x"]["unit"])
    x, ours = np.asarray(first[axis], dtype=float), _ends(first)
    theirs = _ends(second)
    if first["unit"] != second["unit"] or not np.array_equal(x, np.asarray(second[axis])):
        return None
    gap = np.log(ours / theirs)
    for i in range(gap.size - 1):
        if gap[i] < 0 <= gap[i + 1]:
            share = -gap[i] / (gap[i + 1] - gap[i])
            low, high = np.log(x[i]), np.log(x[i + 1])
            return float(np.exp(low + share * (high - low)))
    return None


def _ends(row: Mapping[str, Any]) -> np.ndarray:
    """Upper ends, NaN where the process is closed."""
    return np.array([np.nan if u is None else u for u in row["upper"]], dtype=float)
