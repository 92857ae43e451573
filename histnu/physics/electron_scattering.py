"""Elastic neutrino-electron scattering (EvES) as polynomials in 1/E_nu, and its rate.

As in :mod:`histnu.physics.cross_sections`, each ``*_coefficients`` function returns ``c_k(T)``,
shape (3, N), with ``d sigma/dT = sum_k c_k(T) E_nu^-k`` in MeV^-3 for one free electron and
E_nu >= E_min(T). The nuclear mass is replaced by the electron's, without any approximation in
``T/m_e``: at the energies of solar neutrinos both are of the same order.

Conventions. With ``L = -(G_F/sqrt 2) [nu gamma (1 - gamma5) nu] [e gamma (g_V - g_A gamma5) e]``,

    g_V = 2 sin^2 theta_W + 1/2, g_A = +1/2   for nu_e (charged and neutral current),
    g_V = 2 sin^2 theta_W - 1/2, g_A = -1/2   for nu_mu and nu_tau (neutral current).

A neutrino of charge Q_nu (in units of the positive elementary charge) exchanges a photon with an
electron of charge -1 and q^2 = -2 m_e T, so ``g_V -> g_V + Q^EC`` with Q^EC of Eq. 6 (for a
proton of charge +1 the paper's Eq. 5 has ``g_V^p -> g_V^p - Q^EC``). Q^EC is negative for a
positive charge: a positively charged nu_e is attracted by electrons, which its weak interaction
repels, and a small positive charge lowers the rate.

References: P. Vogel and J. Engel, Phys. Rev. D 39 (1989) 3378; C. Giunti and C. A. Ternes,
Phys. Rev. D 108 (2023) 095044, arXiv:2309.17380; M. Atzori Corona et al., arXiv:2207.05036.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import ELECTRON_MASS, FERMI_CONSTANT, FINE_STRUCTURE, SIN2_THETA_W
from histnu.core.errors import PhysicsError
from histnu.core.units import MEV_PER_KEV
from histnu.physics.electrons import shells
from histnu.physics.kinematics import e_nu_min_mev
from histnu.physics.nuclei import Material
from histnu.physics.rates import NeutrinoSource, rate_unit

Array = NDArray[np.float64]
ElectronCoefficients = Callable[[Array], Array]
"""``c_k(T)`` of one electron, called with T in MeV, shape (N,); returns shape (3, N)."""

MASS = float(ELECTRON_MASS)


@dataclass(frozen=True)
class ElectronCoupling:
    """Vector and axial coupling of one flavour to electrons (see the module's conventions)."""

    g_v: float
    g_a: float


def couplings(
    flavour: str, sin2_theta_w: float = float(SIN2_THETA_W), anti: bool = False
) -> ElectronCoupling:
    """Tree-level couplings of nu_l to electrons.

    Args:
        flavour: ``e``, ``mu`` or ``tau``.
        sin2_theta_w: weak mixing angle at low momentum transfer.
        anti: for antineutrinos, whose g_A has the other sign.

    Raises:
        PhysicsError: for an unknown flavour.

    >>> couplings("e", 0.25).g_v, couplings("mu", 0.25).g_v
    (1.0, 0.0)
    """
    if flavour not in ("e", "mu", "tau"):
        raise PhysicsError(f"unknown flavour {flavour!r}; known: e, mu, tau")
    sign = 1.0 if flavour == "e" else -1.0
    axial = -0.5 * sign if anti else 0.5 * sign
    return ElectronCoupling(2.0 * sin2_theta_w + 0.5 * sign, axial)


def _recoil(e_recoil_mev: ArrayLike) -> Array:
    t = np.asarray(e_recoil_mev, dtype=float)
    if np.any(~(t > 0)) or np.any(~np.isfinite(t)):
        raise PhysicsError("recoil energies must be positive and finite")
    return t


def _bracket(t: Array, one: float, square: float, mass_term: float) -> Array:
    """``one + square (1 - T/E)^2 + mass_term m_e T/E^2`` as coefficients of E^-k, shape (3, N)."""
    ones = np.ones_like(t)
    return np.stack(
        [(one + square) * ones, -2.0 * square * t, square * t**2 + mass_term * MASS * t]
    )


def eves_coefficients(e_recoil_mev: ArrayLike, coupling: ElectronCoupling) -> Array:
    """Standard Model scattering on a free electron, shape (3, N).

    ``G_F^2 m_e/(2 pi) [(g_V + g_A)^2 + (g_V - g_A)^2 (1 - T/E)^2 - (g_V^2 - g_A^2) m_e T/E^2]``.

    Args:
        e_recoil_mev: recoil energies T in MeV, shape (N,).
        coupling: vector and axial coupling of the flavour.
    """
    t = _recoil(e_recoil_mev)
    v, a = coupling.g_v, coupling.g_a
    scale = float(FERMI_CONSTANT) ** 2 * MASS / (2.0 * np.pi)
    return np.asarray(scale * _bracket(t, (v + a) ** 2, (v - a) ** 2, a**2 - v**2))


def millicharge_coupling(e_recoil_mev: ArrayLike, unit_e: float) -> Array:
    """``Q^EC`` of Eq. 6 for a charge of ``unit_e`` elementary charges; negative, shape (N,)."""
    q2 = -2.0 * MASS * _recoil(e_recoil_mev)
    numerator = 2.0 * np.sqrt(2.0) * np.pi * float(FINE_STRUCTURE) * unit_e
    return np.asarray(numerator / (float(FERMI_CONSTANT) * q2))


def millicharge_linear_coefficients(
    e_recoil_mev: ArrayLike, coupling: ElectronCoupling, unit_e: float
) -> Array:
    """Interference of a diagonal charge ``unit_e`` with the Standard Model, shape (3, N).

    The derivative of :func:`eves_coefficients` with respect to g_V, times Q^EC:
    ``G_F^2 m_e/pi Q^EC [(g_V + g_A) + (g_V - g_A) (1 - T/E)^2 - g_V m_e T/E^2]``.
    """
    t = _recoil(e_recoil_mev)
    v, a = coupling.g_v, coupling.g_a
    scale = float(FERMI_CONSTANT) ** 2 * MASS / np.pi * millicharge_coupling(t, unit_e)
    return np.asarray(scale * _bracket(t, v + a, v - a, -v))


def millicharge_squared_coefficients(e_recoil_mev: ArrayLike, unit_e: float) -> Array:
    """Term quadratic in a charge ``unit_e``, diagonal or transition, shape (3, N).

    ``G_F^2 m_e/(2 pi) (Q^EC)^2 [1 + (1 - T/E)^2 - m_e T/E^2]``, which is
    ``pi alpha^2 Q^2/(m_e T^2) [...]``.
    """
    t = _recoil(e_recoil_mev)
    charge = millicharge_coupling(t, unit_e)
    scale = float(FERMI_CONSTANT) ** 2 * MASS / (2.0 * np.pi) * charge**2
    return np.asarray(scale * _bracket(t, 1.0, 1.0, -1.0))


def electron_recoil_spectrum(
    coefficients: ElectronCoefficients,
    source: NeutrinoSource,
    flavour: str,
    target: Material,
    e_recoil_kev: ArrayLike,
    m4_mev: float = 0.0,
) -> Array:
    """Rate per tonne, year and keV on the electrons of a material.

    ``dR/dT = N_atoms Z_eff(T) sum_k c_k(T) M_k(E_min(T))``, where Z_eff counts the electrons
    bound by less than T (stepping approximation) and T is the whole energy deposit.

    Args:
        coefficients: ``c_k(T)`` of a free electron in MeV^(k-3), called with T in MeV.
        source: one component of the solar flux.
        flavour: flavour l at Earth.
        target: detector material with known shells.
        e_recoil_kev: energy deposits in keV, > 0, shape (N,).
        m4_mev: mass of the outgoing lepton in MeV.

    Returns:
        dR/dT in events/(t yr keV), shape (N,).
    """
    t_kev = np.atleast_1d(np.asarray(e_recoil_kev, dtype=float))
    t = t_kev * MEV_PER_KEV
    integral = np.einsum(
        "kn,kn->n", coefficients(t), source.moments(flavour)(e_nu_min_mev(t, MASS, m4_mev))
    )
    electrons = shells(target).effective_electrons(t_kev)
    return np.asarray(integral * electrons * rate_unit(target.atoms_per_tonne))
