"""Upscattering through a dipole against amplitudes written out with spinors."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.constants import ATOMIC_MASS_UNIT, ELECTRON_MASS, FINE_STRUCTURE
from histnu.physics import cross_sections as xs
from histnu.physics.form_factors import unity
from histnu.physics.kinematics import e_recoil_max_mev, m4_max_at_recoil_mev
from histnu.physics.nuclei import Isotope

ALPHA = float(FINE_STRUCTURE)
POINT = xs.Electroweak(form_factor=unity)
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


def nucleus(mass_mev: float, protons: int = 54) -> Isotope:
    """A point charge of any mass."""
    atom = mass_mev + protons * float(ELECTRON_MASS)
    return Isotope("X", protons, 2 * protons, atom / float(ATOMIC_MASS_UNIT))


def static_cross_section(e: float, q: float, m4: float, protons: int, mass: float) -> float:
    """``d sigma/dT`` of nu_L -> N in the Coulomb field of an infinitely heavy charge, MeV^-3.

    The amplitude ``mu N_bar sigma^{0i} q_i P_L nu Z e/q^2`` holds two-component spinors only:
    ``sum |A|^2 = tr[(E + sigma.p') (sigma.q) (E - sigma.p) (sigma.q)]``. Then
    ``d sigma/d q^2 = sum |M|^2/(16 pi E^2)`` and ``q^2 = 2 m T``; mu = 1e-9 e/(2 m_e).
    """
    after = np.sqrt(e**2 - m4**2)
    cosine = (e**2 + after**2 - q**2) / (2.0 * e * after)
    assert abs(cosine) < 1.0
    before_vector = np.array([0.0, 0.0, e])
    after_vector = after * np.array([np.sqrt(1.0 - cosine**2), 0.0, cosine])
    transfer = before_vector - after_vector

    def dot(vector: np.ndarray) -> np.ndarray:
        return np.einsum("i,ijk->jk", vector, PAULI)

    one = np.eye(2)
    lepton = (e * one + dot(after_vector)) @ dot(transfer)
    lepton = lepton @ (e * one - dot(before_vector)) @ dot(transfer)
    moment = xs.MAGNETIC_MOMENT_UNIT * np.sqrt(4 * np.pi * ALPHA) / (2.0 * float(ELECTRON_MASS))
    field = protons * np.sqrt(4 * np.pi * ALPHA) / q**2
    squared = moment**2 * field**2 * np.trace(lepton).real
    return 2.0 * mass * squared / (16.0 * np.pi * e**2)


@pytest.mark.parametrize(
    ("m4", "q"), [(0.0, 9.0), (0.3, 17.0), (2.0, 9.0), (6.0, 12.0), (8.5, 5.0), (8.5, 14.0)]
)
def test_upscattering_on_a_heavy_nucleus_is_scattering_in_its_field(m4, q):
    e, mass = 10.0, 1e13
    target = nucleus(mass)
    t = [q**2 / (2.0 * mass)]
    ours = xs.differential(xs.sterile_dipole_coefficients(t, target, POINT, m4), t, e, mass, m4)
    # the recoil is E/m = 1e-12 of the energy
    expected = static_cross_section(e, q, m4, target.protons, mass)
    assert ours[0, 0] == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("m4", [0.5, 4.0])
def test_upscattering_at_any_mass_in_invariants(m4):
    """Spin-1/2 target of 30 MeV: the recoil terms of Eq. 9, from Lorentz invariants.

    With P = p + p' and the dipole current J of the lepton (J.q = 0), a spin-1/2 charge has
    ``H^{ab} = P^a P^b + q^2 g^{ab} - q^a q^b``. The lepton tensor of a massless nu_L and N is
    ``tr[(k' + m4) s^a k s^b]/2`` with ``s^a = i sigma^{ab} q_b``, here by gamma matrices.
    """
    mass, e, protons = 30.0, 9.0, 7
    target = nucleus(mass, protons)
    t_max = float(e_recoil_max_mev(e, mass))
    t = np.linspace(0.05, 0.98, 9) * t_max
    t = t[m4_max_at_recoil_mev(e, t, mass) > m4]
    assert t.size >= 3
    ours = xs.differential(
        xs.sterile_dipole_coefficients(t, target, POINT, m4), t, e, target.mass_mev, m4
    )[:, 0]
    expected = [invariant_cross_section(e, x, m4, target.mass_mev, protons) for x in t]
    # analytic against numerical algebra: rounding, amplified by cancellations of 1e3
    assert ours == pytest.approx(expected, rel=1e-10, abs=0)


def gammas() -> list[np.ndarray]:
    """Chiral representation: gamma^0 off-diagonal, gamma^i from the Pauli matrices."""
    zero, one = np.zeros((2, 2)), np.eye(2)
    space = [np.block([[zero, s], [-s, zero]]) for s in PAULI]
    return [np.block([[zero, one], [one, zero]]).astype(complex), *space]


def invariant_cross_section(e: float, t: float, m4: float, mass: float, protons: int) -> float:
    """``d sigma/dT = |M|^2/(32 pi m E^2)``, averaged over the spin of the target."""
    g, metric = gammas(), np.diag([1.0, -1.0, -1.0, -1.0])
    recoil = np.sqrt(t * (t + 2 * mass))
    cosine = (e**2 + recoil**2 - (e - t) ** 2 + m4**2) / (2 * e * recoil)
    k, p = np.array([e, 0, 0, e]), np.array([mass, 0, 0, 0])
    p1 = np.array([mass + t, recoil * np.sqrt(1 - cosine**2), 0, recoil * cosine])
    k1 = k + p - p1
    q, total = k - k1, p + p1

    def slash(v: np.ndarray) -> np.ndarray:
        return sum(metric[i, i] * v[i] * g[i] for i in range(4))

    lower = metric @ q
    current = [
        sum(-0.5 * (g[a] @ g[b] - g[b] @ g[a]) * lower[b] for b in range(4)) for a in range(4)
    ]
    adjoint = [g[0] @ c.conj().T @ g[0] for c in current]
    massive = slash(k1) + m4 * np.eye(4)
    lepton = np.array(
        [[0.5 * np.trace(massive @ a @ slash(k) @ b) for b in adjoint] for a in current]
    )
    q2 = float(q @ metric @ q)
    target = np.outer(total, total) + q2 * metric - np.outer(q, q)
    contracted = np.einsum("ab,ac,bd,cd", lepton, metric, metric, target).real
    charge2 = 4 * np.pi * ALPHA
    moment2 = (xs.MAGNETIC_MOMENT_UNIT / (2 * float(ELECTRON_MASS))) ** 2 * charge2
    squared = moment2 * charge2 * protons**2 / q2**2 * contracted
    return float(squared / (32 * np.pi * mass * e**2))


def test_kept_form_factors_follow_the_values_of_their_energies() -> None:
    """An array that is changed in place is another question; what is kept cannot be changed."""
    weak, xenon, t = xs.Electroweak(), nucleus(122e3), np.array([1e-3, 2e-3])
    first = weak.form_factor_squared(t, xenon)
    t[:] = t[::-1].copy()
    np.testing.assert_array_equal(weak.form_factor_squared(t, xenon), first[::-1])
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0.0
