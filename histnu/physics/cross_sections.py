"""Differential cross sections as polynomials in 1/E_nu.

Each ``*_coefficients`` function returns ``c_k(T)``, shape (3, N), with

    d sigma / dT = sum_k c_k(T) E_nu^-k     (MeV^-3, for E_nu >= E_min(T)),

so that the flux integral of Eq. 10 is ``sum_k c_k M_k(E_min)`` with the moments of
``histnu.physics.flux``. :func:`differential` evaluates the same at given neutrino energies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import ELECTRON_MASS, FERMI_CONSTANT, FINE_STRUCTURE, SIN2_THETA_W
from histnu.core.errors import PhysicsError
from histnu.physics.electrons import Electron
from histnu.physics.form_factors import FormFactor, klein_nystrand
from histnu.physics.kinematics import e_nu_min_mev, momentum_transfer_mev
from histnu.physics.nuclei import Isotope

Array = NDArray[np.float64]

MAGNETIC_MOMENT_UNIT = 1e-9
"""Magnetic moments are given in units of 1e-9 Bohr magnetons."""
MILLICHARGE_UNIT = 1e-8
"""Electric charges of neutrinos are given in units of 1e-8 e."""


@dataclass(frozen=True)
class Electroweak:
    """Inputs of the nuclear cross sections.

    Attributes:
        sin2_theta_w: weak mixing angle at low momentum transfer.
        form_factor: ``F(|q|, A)``, normalised to one at q = 0.
    """

    sin2_theta_w: float = float(SIN2_THETA_W)
    form_factor: FormFactor = klein_nystrand

    @property
    def proton_coupling(self) -> float:
        """``g_V^p = (1 - 4 sin^2 theta_W)/2`` (below Eq. 2)."""
        return 0.5 * (1.0 - 4.0 * self.sin2_theta_w)

    @property
    def neutron_coupling(self) -> float:
        """``g_V^n = -1/2`` (below Eq. 2)."""
        return -0.5

    def weak_charge(self, isotope: Isotope) -> float:
        """``Q_V = g_V^p Z + g_V^n N``, Eq. 2."""
        return self.proton_coupling * isotope.protons + self.neutron_coupling * isotope.neutrons

    def form_factor_squared(self, e_recoil_mev: Array, isotope: Isotope) -> Array:
        """``F^2(|q|)`` with ``|q|^2 = 2 m T``, of the shape of the energies, read-only."""
        energies = np.asarray(e_recoil_mev, dtype=float)
        known = _form_factor_squared(self.form_factor, isotope, energies.tobytes())
        return known.reshape(energies.shape)


@lru_cache(maxsize=128)
def _form_factor_squared(form_factor: FormFactor, isotope: Isotope, e_recoil_mev: bytes) -> Array:
    """``F^2`` at recoil energies, given by the bytes of their array.

    All models, flavours and masses ask at the energies of a channel's folding rule. 128: the nine
    isotopes of xenon at the rules of a dozen channels; 40 kB each.
    """
    q = momentum_transfer_mev(np.frombuffer(e_recoil_mev), isotope.mass_mev)
    squared = np.asarray(form_factor(q, isotope.nucleons) ** 2)
    squared.setflags(write=False)
    return squared


def _recoil(e_recoil_mev: ArrayLike) -> Array:
    t = np.asarray(e_recoil_mev, dtype=float)
    if np.any(~(t > 0)) or np.any(~np.isfinite(t)):
        raise PhysicsError("recoil energies must be positive and finite")
    return t


def vector_coefficients(e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak) -> Array:
    """Coherent vector scattering with unit charge: Eq. 1 divided by ``Q_V^2``.

    ``G_F^2 m/pi F^2 (1 - T/E - m T/(2 E^2))``.

    Args:
        e_recoil_mev: recoil energies T in MeV, shape (N,).
        isotope: the nucleus.
        weak: weak mixing angle (not used here) and form factor.

    Returns:
        Coefficients of E^0, E^-1, E^-2 in MeV^-3, MeV^-2, MeV^-1, shape (3, N).
    """
    t = _recoil(e_recoil_mev)
    mass = isotope.mass_mev
    prefactor = float(FERMI_CONSTANT) ** 2 * mass / np.pi * weak.form_factor_squared(t, isotope)
    return np.asarray(prefactor * np.stack([np.ones_like(t), -t, -0.5 * mass * t]))


def cevns_coefficients(e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak) -> Array:
    """Standard Model CEvNS, Eq. 1, shape (3, N)."""
    return weak.weak_charge(isotope) ** 2 * vector_coefficients(e_recoil_mev, isotope, weak)


def millicharge_coupling(e_recoil_mev: ArrayLike, mass_mev: float) -> Array:
    """``Q^EC`` of Eq. 6 for a charge of 1e-8 e.

    ``Q^EC = 2 sqrt(2) pi alpha / (G_F q^2) Q_nu`` with ``q^2 = -2 m T``: it is negative for a
    positive charge.
    """
    q2 = -2.0 * mass_mev * _recoil(e_recoil_mev)
    numerator = 2.0 * np.sqrt(2.0) * np.pi * float(FINE_STRUCTURE) * MILLICHARGE_UNIT
    return np.asarray(numerator / (float(FERMI_CONSTANT) * q2))


def millicharge_linear_coefficients(
    e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak
) -> Array:
    """Interference of a diagonal charge of 1e-8 e with the SM (term linear in Q_ll of Eq. 5).

    From ``g_V^p -> g_V^p - Q^EC``: ``(Q_V - Z Q^EC)^2`` has the linear term
    ``-2 Q_V Z Q^EC``. With ``Q_V < 0`` and ``Q^EC < 0`` for a positive charge it is negative:
    a small positive charge lowers the rate.
    """
    charge = millicharge_coupling(e_recoil_mev, isotope.mass_mev)
    factor = -2.0 * weak.weak_charge(isotope) * isotope.protons * charge
    return np.asarray(factor * vector_coefficients(e_recoil_mev, isotope, weak))


def millicharge_squared_coefficients(
    e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak
) -> Array:
    """Term quadratic in a charge of 1e-8 e, ``(Z Q^EC)^2``: diagonal and transition, Eq. 5."""
    charge = isotope.protons * millicharge_coupling(e_recoil_mev, isotope.mass_mev)
    return np.asarray(charge**2 * vector_coefficients(e_recoil_mev, isotope, weak))


Particle = Isotope | Electron
"""What a neutrino scatters on."""


def dipole_prefactor(e_recoil_mev: Array, particle: Particle, weak: Electroweak) -> Array:
    """``pi alpha^2/m_e^2 Z^2 F^2 |mu/mu_B|^2`` for mu = 1e-9 mu_B, in MeV^-2 (Eqs. 4 and 9).

    An electron has Z = F = 1.
    """
    moment = np.pi * float(FINE_STRUCTURE) ** 2 / float(ELECTRON_MASS) ** 2
    moment *= MAGNETIC_MOMENT_UNIT**2
    if isinstance(particle, Electron):
        return np.full_like(e_recoil_mev, moment)
    form = weak.form_factor_squared(e_recoil_mev, particle)
    return np.asarray(moment * particle.protons**2 * form)


def magnetic_moment_coefficients(
    e_recoil_mev: ArrayLike, particle: Particle, weak: Electroweak
) -> Array:
    """Magnetic moment of 1e-9 mu_B, Eq. 4: ``pi alpha^2/m_e^2 (1/T - 1/E) Z^2 F^2 mu^2``."""
    t = _recoil(e_recoil_mev)
    shape = np.stack([1.0 / t, -np.ones_like(t), np.zeros_like(t)])
    return np.asarray(dipole_prefactor(t, particle, weak) * shape)


def sterile_dipole_coefficients(
    e_recoil_mev: ArrayLike, particle: Particle, weak: Electroweak, m4_mev: float
) -> Array:
    """Upscattering into a lepton of mass m4 through a dipole of 1e-9 mu_B, Eq. 9.

    The bracket is ``1/T - 1/E - m4^2/(2 E T m) (1 - T/(2E) + m/(2E))
    + m4^4 (T - m)/(8 E^2 T^2 m^2)``, which holds for a spin-1/2 particle at any T/m, so for
    electrons, too.

    Raises:
        PhysicsError: if m4 is negative or not finite.
    """
    if not (np.isfinite(m4_mev) and m4_mev >= 0):
        raise PhysicsError(f"m4 = {m4_mev} MeV must be finite and >= 0")
    t = _recoil(e_recoil_mev)
    m, m2 = particle.mass_mev, m4_mev**2
    first = -1.0 - m2 / (2.0 * t * m)
    second = m2 / (4.0 * t * m) * (t - m) + m2**2 * (t - m) / (8.0 * t**2 * m**2)
    shape = np.stack([1.0 / t, first, second])
    return np.asarray(dipole_prefactor(t, particle, weak) * shape)


def differential(
    coefficients: Array,
    e_recoil_mev: ArrayLike,
    e_nu_mev: ArrayLike,
    mass_mev: float,
    m4_mev: float = 0.0,
) -> Array:
    """Evaluate ``d sigma/dT`` (MeV^-3) on a grid of recoil and neutrino energies.

    Args:
        coefficients: from one of the functions above, shape (3, N).
        e_recoil_mev: the recoil energies they were made for, shape (N,).
        e_nu_mev: neutrino energies in MeV, shape (M,).
        mass_mev: target mass in MeV.
        m4_mev: mass of the outgoing lepton in MeV.

    Returns:
        Cross section, zero where kinematics forbids it, shape (N, M).
    """
    e = np.atleast_1d(np.asarray(e_nu_mev, dtype=float))
    powers = e[None, :] ** -np.arange(3.0)[:, None]
    allowed = e[None, :] >= np.atleast_1d(e_nu_min_mev(e_recoil_mev, mass_mev, m4_mev))[:, None]
    return np.where(allowed, coefficients.T @ powers, 0.0)
