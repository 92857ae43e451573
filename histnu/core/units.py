"""Unit conversions used at the borders of the physics layer, and units as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from histnu.core.constants import AVOGADRO, HBAR_C, YEAR_SECONDS
from histnu.core.errors import PhysicsError

MEV_PER_KEV: Final = 1e-3
CM2_PER_INVERSE_MEV2: Final = (float(HBAR_C) * 1e-13) ** 2
"""(hbar c)^2: a cross section in MeV^-2 times this is in cm^2."""
GRAMS_PER_TONNE: Final = 1e6
SECONDS_PER_YEAR: Final = float(YEAR_SECONDS)


def targets_per_tonne(molar_mass_g: float) -> float:
    """Number of atoms in one tonne, ``1e6 N_A / M``.

    Args:
        molar_mass_g: molar mass in g/mol.

    >>> round(targets_per_tonne(131.293) / 1e27, 3)
    4.587
    """
    return GRAMS_PER_TONNE * float(AVOGADRO) / molar_mass_g


def split_unit(unit: str) -> tuple[float, str]:
    """A unit as its number and what this multiplies.

    Raises:
        PhysicsError: for an empty unit.

    >>> split_unit("1e-9 mu_B"), split_unit("MeV"), split_unit("1")
    ((1e-09, 'mu_B'), (1.0, 'MeV'), (1.0, ''))
    """
    head, _, rest = unit.strip().partition(" ")
    if not head:
        raise PhysicsError("a unit must not be empty; write 1 for a pure number")
    try:
        return float(head), rest.strip()
    except ValueError:
        return 1.0, unit.strip()


def unit_ratio(unit: str, wanted: str) -> float:
    """How many ``wanted`` one ``unit`` is.

    Raises:
        PhysicsError: if they do not count the same.

    >>> round(unit_ratio("1e-9 mu_B", "1e-11 mu_B"), 6)
    100.0
    """
    (value, base), (other, wanted_base) = split_unit(unit), split_unit(wanted)
    if base != wanted_base:
        raise PhysicsError(f"{unit!r} cannot be given in {wanted!r}")
    return value / other


def column_name(name: str, unit: str) -> str:
    """A quantity and its unit as a key of a document or a column of a table.

    >>> column_name("m4", "MeV"), column_name("r", "")
    ('m4_mev', 'r')
    """
    return f"{name}_{unit.lower()}" if unit else name


def in_unit(text: str, unit: str) -> str:
    """A number with its unit, times that where it has a number; that of pure numbers is left out.

    >>> in_unit("< 1.3", "1e-9 mu_B"), in_unit("2", "(1e-8 e)^2"), in_unit("5", "MeV")
    ('< 1.3 × 1e-9 mu_B', '2 × (1e-8 e)^2', '5 MeV')
    >>> in_unit("< 1.3", "1")
    '< 1.3'
    """
    if unit in ("", "1"):
        return text
    times = " × " if unit.lstrip("(")[:1].isdigit() else " "
    return f"{text}{times}{unit}"


def held_parts(held: Mapping[str, float]) -> list[str]:
    """What was held at which value; parameters of one value together.

    >>> held_parts({"m4": 5.0, "q_ee": 0.0, "q_emu": 0.0})
    ['m4 = 5', 'q_ee = q_emu = 0']
    """
    names: dict[float, list[str]] = {}
    for name, value in held.items():
        names.setdefault(value, []).append(name)
    return [f"{' = '.join(same)} = {value:g}" for value, same in names.items()]
