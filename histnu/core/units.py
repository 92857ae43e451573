"""Unit conversions used at the borders of the physics layer."""

from __future__ import annotations

from typing import Final

from histnu.core.constants import AVOGADRO, HBAR_C, YEAR_SECONDS

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
