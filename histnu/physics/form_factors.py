"""Nuclear form factors, normalised to F(0) = 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import spherical_jn

from histnu.core.constants import HBAR_C
from histnu.core.errors import PhysicsError, named

FormFactor = Callable[[ArrayLike, int], NDArray[np.float64]]

KLEIN_NYSTRAND_RANGE_FM = 0.7
"""a_k of Eq. 3 (Klein and Nystrand, Phys. Rev. C 60 (1999) 014903)."""
RADIUS_CONSTANT_FM = 1.23
"""R_A = 1.23 A^(1/3) fm, below Eq. 3."""


def _three_j1_over_x(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``3 j1(x)/x``, finite (1 - x^2/10) at x = 0."""
    safe = np.where(x < 1e-4, 1.0, x)
    return np.where(x < 1e-4, 1.0 - x**2 / 10.0, 3.0 * spherical_jn(1, safe) / safe)


def klein_nystrand(q_mev: ArrayLike, nucleons: int) -> NDArray[np.float64]:
    """Klein-Nystrand form factor, Eq. 3.

    ``F = 3 j1(q R_A)/(q R_A) / (1 + q^2 a_k^2)`` with ``R_A = 1.23 A^(1/3) fm``, ``a_k = 0.7 fm``.

    Args:
        q_mev: three-momentum transfer in MeV, any shape.
        nucleons: mass number A.

    Returns:
        F, the shape of ``q_mev``.

    References: S. Klein, J. Nystrand, Phys. Rev. C 60 (1999) 014903.

    >>> float(klein_nystrand(0.0, 132))
    1.0
    """
    q = np.asarray(q_mev, dtype=float) / float(HBAR_C)
    radius = RADIUS_CONSTANT_FM * nucleons ** (1.0 / 3.0)
    return _three_j1_over_x(q * radius) / (1.0 + (q * KLEIN_NYSTRAND_RANGE_FM) ** 2)


def helm(q_mev: ArrayLike, nucleons: int) -> NDArray[np.float64]:
    """Helm form factor with the Lewin-Smith radius.

    ``F = 3 j1(q r_n)/(q r_n) exp(-q^2 s^2/2)``, ``r_n^2 = c^2 + 7 pi^2 a^2/3 - 5 s^2``,
    ``c = 1.23 A^(1/3) - 0.60 fm``, ``a = 0.52 fm``, ``s = 0.9 fm``.

    Args:
        q_mev: three-momentum transfer in MeV, any shape.
        nucleons: mass number A.

    References: J.D. Lewin, P.F. Smith, Astropart. Phys. 6 (1996) 87, Eqs. 4.7 and 4.11.
    """
    q = np.asarray(q_mev, dtype=float) / float(HBAR_C)
    skin, diffuseness = 0.9, 0.52
    c = 1.23 * nucleons ** (1.0 / 3.0) - 0.60
    radius = np.sqrt(c**2 + 7.0 / 3.0 * np.pi**2 * diffuseness**2 - 5.0 * skin**2)
    return _three_j1_over_x(q * radius) * np.exp(-0.5 * (q * skin) ** 2)


ANGELI_MARINOVA = "I. Angeli, K.P. Marinova, At. Data Nucl. Data Tables 99 (2013) 69"
CHARGE_RADIUS_FM: dict[int, float] = {
    36: 3.3905,
    38: 3.4028,
    40: 3.4274,
    124: 4.7661,
    126: 4.7722,
    127: 4.7500,
    128: 4.7774,
    129: 4.7775,
    130: 4.7818,
    131: 4.7808,
    132: 4.7859,
    133: 4.8041,
    134: 4.7899,
    136: 4.7964,
}
"""Rms charge radius in fm by mass number, for the isotopes of argon, CsI and xenon
(``ANGELI_MARINOVA``; entered without the tables at hand, last digit not checked)."""
HELM_SURFACE_FM = 0.9


def helm_rms(q_mev: ArrayLike, rms_fm: float) -> NDArray[np.float64]:
    """Helm form factor of a given rms radius.

    ``F = 3 j1(q R_0)/(q R_0) exp(-q^2 s^2/2)`` with ``R_0^2 = 5/3 (R^2 - 3 s^2)``, ``s = 0.9 fm``.

    Args:
        q_mev: three-momentum transfer in MeV, any shape.
        rms_fm: rms radius R in fm, larger than sqrt(3) s.

    Raises:
        PhysicsError: for a radius below that.

    References: R.H. Helm, Phys. Rev. 104 (1956) 1466.
    """
    square = 5.0 / 3.0 * (rms_fm**2 - 3.0 * HELM_SURFACE_FM**2)
    if not square > 0:
        raise PhysicsError(f"rms radius {rms_fm} fm must exceed {3**0.5 * HELM_SURFACE_FM:.3f} fm")
    q = np.asarray(q_mev, dtype=float) / float(HBAR_C)
    return _three_j1_over_x(q * np.sqrt(square)) * np.exp(-0.5 * (q * HELM_SURFACE_FM) ** 2)


def helm_charge(q_mev: ArrayLike, nucleons: int, skin_fm: float = 0.0) -> NDArray[np.float64]:
    """Helm form factor with the measured charge radius, plus a neutron skin if one is given.

    Args:
        q_mev: three-momentum transfer in MeV, any shape.
        nucleons: mass number A.
        skin_fm: added to the rms radius in fm.

    Raises:
        PhysicsError: for an isotope without a radius in ``CHARGE_RADIUS_FM``.
    """
    if nucleons not in CHARGE_RADIUS_FM:
        raise PhysicsError(f"no charge radius for A = {nucleons}; use klein_nystrand or helm")
    return helm_rms(q_mev, CHARGE_RADIUS_FM[nucleons] + skin_fm)


def unity(q_mev: ArrayLike, nucleons: int) -> NDArray[np.float64]:
    """A point nucleus, F = 1 (for limits and tests)."""
    return np.ones_like(np.asarray(q_mev, dtype=float))


FORM_FACTORS: dict[str, FormFactor] = {
    "klein_nystrand": klein_nystrand,
    "helm": helm,
    "helm_charge": helm_charge,
    "unity": unity,
}


def form_factor(name: str) -> FormFactor:
    """Return the form factor called ``name``.

    Raises:
        PhysicsError: for an unknown name.
    """
    return named(FORM_FACTORS, name, "form factor", PhysicsError)
