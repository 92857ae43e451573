"""Nuclear form factors, normalised to F(0) = 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import spherical_jn

from histnu.constants import HBAR_C
from histnu.errors import PhysicsError

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


def unity(q_mev: ArrayLike, nucleons: int) -> NDArray[np.float64]:
    """A point nucleus, F = 1 (for limits and tests)."""
    return np.ones_like(np.asarray(q_mev, dtype=float))


FORM_FACTORS: dict[str, FormFactor] = {
    "klein_nystrand": klein_nystrand,
    "helm": helm,
    "unity": unity,
}


def form_factor(name: str) -> FormFactor:
    """Return the form factor called ``name``.

    Raises:
        PhysicsError: for an unknown name.
    """
    try:
        return FORM_FACTORS[name]
    except KeyError:
        known = ", ".join(sorted(FORM_FACTORS))
        raise PhysicsError(f"unknown form factor {name!r}; known: {known}") from None
