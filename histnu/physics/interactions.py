"""New neutrino interactions as shifts of the vector coupling, and a scalar exchange.

A new vector interaction of a neutrino that keeps its helicity adds to the amplitude of the Z. With
the Lagrangians of ``docs/physics.md`` (all shifts are those of the coherent charge
``Q_V = g_V^p Z + g_V^n N`` of Eq. 2, or of g_V of an electron):

    weak mixing angle   d Q_V = -2 Z d s                      d g_V = +2 d s
    charge radius       d Q_V = -Z kappa <r^2>                d g_V = +kappa <r^2>
    vector mediator     d Q_V = g_nu (g_p Z + g_n N)/D        d g_V = g_nu g_e/D
    vector NSI          d Q_V = eps^u (2 Z + N) + eps^d (Z + 2 N)

with ``kappa = sqrt(2) pi alpha/(3 G_F)`` and ``D = sqrt(2) G_F (2 m T + M^2)``. The cross section
is quadratic in the shift, so that each hypothesis is an interference and a squared spectrum.
As in :mod:`histnu.physics.cross_sections` every function returns coefficients of E^-k, (3, N).

References: D.G. Cerdeno et al., JHEP 05 (2016) 118, arXiv:1604.01025; M. Lindner, W. Rodejohann,
X.-J. Xu, JHEP 03 (2017) 097, arXiv:1612.04150; M. Atzori Corona et al., JHEP 05 (2022) 109,
arXiv:2202.11002; C. Giunti and A. Studenikin, Rev. Mod. Phys. 87 (2015) 531, arXiv:1403.6344.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import (
    ELECTRON_MASS,
    FERMI_CONSTANT,
    FINE_STRUCTURE,
    MUON_MASS,
    NEUTRON_MASS,
    PROTON_MASS,
    TAU_MASS,
)
from histnu.core.errors import PhysicsError, named
from histnu.core.units import CM2_PER_INVERSE_MEV2
from histnu.physics.cross_sections import Electroweak, vector_coefficients
from histnu.physics.electron_scattering import ElectronCoupling, eves_coefficients
from histnu.physics.nuclei import Isotope

Array = NDArray[np.float64]

CHARGE_RADIUS_UNIT_CM2 = 1e-32
"""Charge radii squared are given in units of 1e-32 cm^2."""
LOOP_NODES = 32
"""Gauss-Legendre nodes of the loop integral: exact to 1e-9 below 1 GeV."""


def interference_coefficients(
    e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak, shift: ArrayLike
) -> Array:
    """Interference of a shift of the coherent charge with the Standard Model, ``2 Q_V dQ``.

    Args:
        e_recoil_mev: recoil energies T in MeV, shape (N,).
        isotope: the nucleus.
        weak: weak mixing angle and form factor.
        shift: dQ_V for a coupling of one unit, a number or shape (N,).

    Returns:
        Coefficients of E^0, E^-1, E^-2, shape (3, N).
    """
    amplitude = 2.0 * weak.weak_charge(isotope) * np.asarray(shift, dtype=float)
    return np.asarray(amplitude * vector_coefficients(e_recoil_mev, isotope, weak))


def squared_coefficients(
    e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak, shift: ArrayLike
) -> Array:
    """Square of a shift of the coherent charge, ``dQ^2``, shape (3, N)."""
    square = np.asarray(shift, dtype=float) ** 2
    return np.asarray(square * vector_coefficients(e_recoil_mev, isotope, weak))


def electron_interference_coefficients(
    e_recoil_mev: ArrayLike, coupling: ElectronCoupling, shift: ArrayLike
) -> Array:
    """Interference of a shift of g_V of a free electron, ``d sigma/d g_V * d g_V``, shape (3, N).

    The cross section is quadratic in g_V, so half the difference of its values at g_V + 1 and
    g_V - 1 is its derivative.
    """
    up = eves_coefficients(e_recoil_mev, ElectronCoupling(coupling.g_v + 1.0, coupling.g_a))
    down = eves_coefficients(e_recoil_mev, ElectronCoupling(coupling.g_v - 1.0, coupling.g_a))
    return np.asarray(0.5 * np.asarray(shift, dtype=float) * (up - down))


def electron_squared_coefficients(e_recoil_mev: ArrayLike, shift: ArrayLike) -> Array:
    """Square of a shift of g_V of a free electron, shape (3, N)."""
    square = np.asarray(shift, dtype=float) ** 2
    return np.asarray(square * eves_coefficients(e_recoil_mev, ElectronCoupling(1.0, 0.0)))


# weak mixing angle


def weak_mixing_shift(isotope: Isotope) -> float:
    """``d Q_V / d s = -2 Z``: Q_V = (1/2 - 2 s) Z - N/2 with s = sin^2 theta_W."""
    return -2.0 * isotope.protons


ELECTRON_WEAK_MIXING_SHIFT = 2.0
"""``d g_V / d s`` of an electron: g_V = 2 s +- 1/2."""


# charge radius


def charge_radius_coupling() -> float:
    """``kappa <r^2> = sqrt(2) pi alpha <r^2>/(3 G_F)`` for a radius squared of 1e-32 cm^2.

    Eq. 6 with ``Q -> q^2 <r^2>/6``: the photon's propagator cancels.

    >>> round(charge_radius_coupling(), 4)
    0.0238
    """
    radius_squared = CHARGE_RADIUS_UNIT_CM2 / CM2_PER_INVERSE_MEV2
    numerator = np.sqrt(2.0) * np.pi * float(FINE_STRUCTURE) * radius_squared
    return float(numerator / (3.0 * float(FERMI_CONSTANT)))


def charge_radius_shift(isotope: Isotope) -> float:
    """``d Q_V = -Z kappa <r^2>`` for 1e-32 cm^2; the same as ``d s = kappa <r^2>/2``."""
    return -isotope.protons * charge_radius_coupling()


# vector mediator


@dataclass(frozen=True)
class VectorCharges:
    """Charges of a new U(1) in units of its coupling g.

    Attributes:
        neutrino: charge of nu_l by flavour.
        up, down: charges of the quarks.
        electron: charge of the electron.
        kinetic_mixing: whether charged matter couples through the loops of mu and tau.
    """

    neutrino: Mapping[str, float]
    up: float
    down: float
    electron: float
    kinetic_mixing: bool = False

    @property
    def proton(self) -> float:
        """``2 g_u + g_d``."""
        return 2.0 * self.up + self.down

    @property
    def neutron(self) -> float:
        """``g_u + 2 g_d``."""
        return self.up + 2.0 * self.down


B_MINUS_L = VectorCharges({"e": -1.0, "mu": -1.0, "tau": -1.0}, 1.0 / 3.0, 1.0 / 3.0, -1.0)
"""B - L: quarks 1/3, leptons -1."""
UNIVERSAL = VectorCharges({"e": 1.0, "mu": 1.0, "tau": 1.0}, 1.0, 1.0, 1.0)
"""The same charge for all neutrinos, quarks and electrons."""
L_MU_MINUS_L_TAU = VectorCharges({"e": 0.0, "mu": 1.0, "tau": -1.0}, 0.0, 0.0, 0.0, True)
"""L_mu - L_tau without kinetic mixing at high energy: matter couples at one loop."""


def _mass(mediator_mass_mev: float) -> float:
    if not (np.isfinite(mediator_mass_mev) and mediator_mass_mev >= 0):
        raise PhysicsError(f"mediator mass {mediator_mass_mev} MeV must be finite and >= 0")
    return float(mediator_mass_mev)


def vector_propagator(
    e_recoil_mev: ArrayLike, target_mass_mev: float, mediator_mass_mev: float
) -> Array:
    """``1/(sqrt(2) G_F (2 m T + M^2))``: shift of a coupling for g_nu g_f = 1, shape (N,).

    Raises:
        PhysicsError: for a negative or infinite mass.
    """
    t = np.asarray(e_recoil_mev, dtype=float)
    denominator = 2.0 * target_mass_mev * t + _mass(mediator_mass_mev) ** 2
    return np.asarray(1.0 / (np.sqrt(2.0) * float(FERMI_CONSTANT) * denominator))


def loop_integral(q_squared_mev2: ArrayLike) -> Array:
    """``integral_0^1 dx x(1-x) ln[(m_tau^2 + x(1-x) q^2)/(m_mu^2 + x(1-x) q^2)]``, any shape.

    ``q^2 = |q|^2 > 0`` is the squared three-momentum transfer in MeV^2; at zero it is
    ``ln(m_tau^2/m_mu^2)/6 = 0.941``.

    >>> round(float(loop_integral(0.0)), 3)
    0.941
    """
    q2 = np.asarray(q_squared_mev2, dtype=float)
    nodes, weights = np.polynomial.legendre.leggauss(LOOP_NODES)
    y = 0.25 * (1.0 - nodes**2)  # x(1 - x) with x = (1 + node)/2
    tau, muon = float(TAU_MASS) ** 2, float(MUON_MASS) ** 2
    log = np.log((tau + y * q2[..., None]) / (muon + y * q2[..., None]))
    return np.asarray(0.5 * (y * log) @ weights)


def kinetic_mixing_charge(e_recoil_mev: ArrayLike, target_mass_mev: float) -> Array:
    """Charge of a proton under L_mu - L_tau at one loop, ``(2 alpha/pi) I(q^2)``, shape (N,).

    Derived in ``docs/physics.md``: positive for positive electric charge, because vacuum
    polarisation screens the muon's charge (-1) more than the tau's.
    """
    q2 = 2.0 * target_mass_mev * np.asarray(e_recoil_mev, dtype=float)
    return np.asarray(2.0 * float(FINE_STRUCTURE) / np.pi * loop_integral(q2))


def mediator_shift(
    e_recoil_mev: ArrayLike,
    isotope: Isotope,
    charges: VectorCharges,
    flavour: str,
    mediator_mass_mev: float,
) -> Array:
    """``d Q_V = g_nu (g_p Z + g_n N)/(sqrt(2) G_F (2 m T + M^2))`` for g = 1, shape (N,).

    Args:
        e_recoil_mev: recoil energies T in MeV, shape (N,).
        isotope: the nucleus.
        charges: the new U(1).
        flavour: flavour of the neutrino.
        mediator_mass_mev: M in MeV, held.
    """
    z, n = isotope.protons, isotope.neutrons
    matter = np.asarray(charges.proton * z + charges.neutron * n)
    if charges.kinetic_mixing:
        matter = matter + z * kinetic_mixing_charge(e_recoil_mev, isotope.mass_mev)
    propagator = vector_propagator(e_recoil_mev, isotope.mass_mev, mediator_mass_mev)
    return np.asarray(charges.neutrino[flavour] * matter * propagator)


def electron_mediator_shift(
    e_recoil_mev: ArrayLike, charges: VectorCharges, flavour: str, mediator_mass_mev: float
) -> Array:
    """``d g_V = g_nu g_e/(sqrt(2) G_F (2 m_e T + M^2))`` for g = 1, shape (N,)."""
    mass = float(ELECTRON_MASS)
    matter = np.asarray(charges.electron)
    if charges.kinetic_mixing:
        matter = matter - kinetic_mixing_charge(e_recoil_mev, mass)
    propagator = vector_propagator(e_recoil_mev, mass, mediator_mass_mev)
    return np.asarray(charges.neutrino[flavour] * matter * propagator)


# scalar mediator

SCALAR_QUARK_CONTENT: dict[str, dict[str, float]] = {
    "proton": {"u": 0.0208, "d": 0.0411, "s": 0.043},
    "neutron": {"u": 0.0189, "d": 0.0451, "s": 0.043},
}
"""``f_q = m_q <N|q qbar|N>/m_N``: M. Hoferichter et al., Phys. Rev. Lett. 115 (2015) 092301,
arXiv:1506.04142 (u, d); P. Junnarkar and A. Walker-Loud, Phys. Rev. D 87 (2013) 114510,
arXiv:1301.1114 (s)."""
QUARK_MASS_MEV: dict[str, float] = {"u": 2.16, "d": 4.67, "s": 93.4}
"""MS-bar masses at 2 GeV, PDG 2022."""


def scalar_nucleon_charge(nucleon: str) -> float:
    """``sum_q f_q m_N/m_q`` over u, d, s: the scalar charge for one unit of every quark's coupling.

    Heavy quarks (0.2 %) are left out.

    >>> round(scalar_nucleon_charge("proton"), 1), round(scalar_nucleon_charge("neutron"), 1)
    (17.7, 17.7)
    """
    mass = float(PROTON_MASS if nucleon == "proton" else NEUTRON_MASS)
    content = SCALAR_QUARK_CONTENT[nucleon]
    return mass * sum(f / QUARK_MASS_MEV[q] for q, f in content.items())


def scalar_charge(isotope: Isotope) -> float:
    """``Q_S = Z sum_q f_q^p m_p/m_q + N sum_q f_q^n m_n/m_q`` for g_q = 1."""
    proton, neutron = scalar_nucleon_charge("proton"), scalar_nucleon_charge("neutron")
    return isotope.protons * proton + isotope.neutrons * neutron


def _scalar(t: Array, mass_mev: float, mediator_mass_mev: float) -> Array:
    """``m^2 T (1 + T/(2 m))/(4 pi (2 m T + M^2)^2)`` as the coefficient of E^-2, shape (3, N)."""
    denominator = 4.0 * np.pi * (2.0 * mass_mev * t + _mass(mediator_mass_mev) ** 2) ** 2
    second = mass_mev**2 * t * (1.0 + t / (2.0 * mass_mev)) / denominator
    return np.stack([np.zeros_like(t), np.zeros_like(t), second])


def scalar_coefficients(
    e_recoil_mev: ArrayLike, isotope: Isotope, weak: Electroweak, mediator_mass_mev: float
) -> Array:
    """Scalar exchange with a nucleus for g_nu g_q = 1: flips helicity, adds to the SM, (3, N).

    ``d sigma/dT = Q_S^2 F^2 m^2 T (1 + T/(2 m))/(4 pi E^2 (2 m T + M^2)^2)``.
    """
    t = np.asarray(e_recoil_mev, dtype=float)
    factor = scalar_charge(isotope) ** 2 * weak.form_factor_squared(t, isotope)
    return np.asarray(factor * _scalar(t, isotope.mass_mev, mediator_mass_mev))


def electron_scalar_coefficients(e_recoil_mev: ArrayLike, mediator_mass_mev: float) -> Array:
    """Scalar exchange with a free electron for g_nu g_e = 1, shape (3, N)."""
    t = np.asarray(e_recoil_mev, dtype=float)
    return _scalar(t, float(ELECTRON_MASS), mediator_mass_mev)


# non-standard interactions


def nsi_charge(isotope: Isotope, quark: str) -> float:
    """Quarks of one kind in a nucleus: ``2 Z + N`` up, ``Z + 2 N`` down.

    Raises:
        PhysicsError: for another quark.
    """
    z, n = isotope.protons, isotope.neutrons
    return float(named({"u": 2 * z + n, "d": z + 2 * n}, quark, "quark", PhysicsError))
