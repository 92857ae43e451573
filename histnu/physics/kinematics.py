"""Two-body kinematics of elastic scattering and of upscattering into a heavy state."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError


def e_nu_min_mev(
    e_recoil_mev: ArrayLike, mass_mev: float, m4_mev: float = 0.0
) -> NDArray[np.float64]:
    """Smallest neutrino energy that can give a recoil of kinetic energy T.

    ``E_min = (m4^2 + 2 m T) / (2 (sqrt(T (T + 2 m)) - T))``, which for m4 = 0 is
    ``(T + sqrt(T^2 + 2 m T)) / 2``. It is Eq. 8 solved for E_nu without the approximation T << m.

    Args:
        e_recoil_mev: recoil energy T in MeV, > 0, any shape.
        mass_mev: target mass m in MeV.
        m4_mev: mass of the outgoing heavy lepton in MeV, >= 0.

    Returns:
        E_min in MeV, the shape of ``e_recoil_mev``.

    Raises:
        PhysicsError: if T <= 0 or m4 < 0.

    >>> bool(np.isclose(e_nu_min_mev(1e-3, 122e3), 0.5 * (1e-3 + (1e-6 + 2 * 122e3 * 1e-3) ** 0.5)))
    True
    """
    t = np.asarray(e_recoil_mev, dtype=float)
    if np.any(~(t > 0)):
        raise PhysicsError("recoil energies must be positive and finite")
    if not m4_mev >= 0:
        raise PhysicsError(f"m4 = {m4_mev} MeV must be >= 0")
    momentum = np.sqrt(t * (t + 2.0 * mass_mev))
    return np.asarray((m4_mev**2 + 2.0 * mass_mev * t) / (2.0 * (momentum - t)))


def e_recoil_max_mev(e_nu_mev: ArrayLike, mass_mev: float) -> NDArray[np.float64]:
    """Largest recoil energy of elastic scattering, ``2 E^2 / (m + 2 E)``, in MeV."""
    e = np.asarray(e_nu_mev, dtype=float)
    return np.asarray(2.0 * e**2 / (mass_mev + 2.0 * e))


def momentum_transfer_mev(e_recoil_mev: ArrayLike, mass_mev: float) -> NDArray[np.float64]:
    """Momentum transfer with ``|q|^2 = 2 m T`` (the paper's convention, below Eq. 6), in MeV."""
    return np.asarray(np.sqrt(2.0 * mass_mev * np.asarray(e_recoil_mev, dtype=float)))


def m4_max_mev(e_nu_mev: float, mass_mev: float) -> float:
    """Heaviest lepton that a neutrino of energy E can make on a target at rest, in MeV.

    ``m4_max = sqrt(m^2 + 2 m E) - m`` from ``s >= (m + m4)^2``.
    """
    return float(np.sqrt(mass_mev**2 + 2.0 * mass_mev * e_nu_mev) - mass_mev)


def m4_max_at_recoil_mev(
    e_nu_mev: ArrayLike, e_recoil_mev: ArrayLike, mass_mev: float
) -> NDArray[np.float64]:
    """Largest m4 for a given neutrino and recoil energy, Eq. 8 without T << m; 0 if closed.

    ``m4^2 = 2 E (sqrt(T (T + 2 m)) - T) - 2 m T``.
    """
    e = np.asarray(e_nu_mev, dtype=float)
    t = np.asarray(e_recoil_mev, dtype=float)
    square = 2.0 * e * (np.sqrt(t * (t + 2.0 * mass_mev)) - t) - 2.0 * mass_mev * t
    return np.sqrt(np.where(square > 0, square, 0.0))
