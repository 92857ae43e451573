"""Density matrix of solar neutrinos: limits, direct evolution, coherent sums over final states."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.errors import PhysicsError
from histnu.physics.flavour_density import (
    MixingParameters,
    averaged_fractions,
    density_matrix,
    mass_state_fractions,
)
from histnu.physics.oscillation import ProductionProfile, matter_potential_ev, survival_probability

MIXING = MixingParameters()
POINT = ProductionProfile(np.array([0.0, 0.1]), np.ones(2), np.array([90.0, 90.0]), "test")


def test_matrix_is_unitary():
    for delta in (0.0, 1.0, 1.5 * np.pi):
        u = MixingParameters(delta_cp_rad=delta).matrix()
        np.testing.assert_allclose(u @ u.conj().T, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("energy", [0.3, 3.0, 10.0])
def test_diagonal_is_the_survival_probability(energy):
    rho = density_matrix(averaged_fractions(energy, POINT, MIXING), MIXING)
    assert np.trace(rho).real == pytest.approx(1.0, abs=1e-12)
    p_ee = float(survival_probability(energy, POINT))
    # the formula neglects matter effects on theta_13: 2 E V/dm2_31 of s13^2, below 1 %
    assert rho[0, 0].real == pytest.approx(p_ee, rel=5e-3)
    assert rho[1, 1].real == pytest.approx(rho[2, 2].real, abs=1e-12)
    assert abs(rho[1, 2]) > 0.05  # what probabilities do not hold


def test_low_and_high_density():
    u = MIXING.matrix()
    vacuum = mass_state_fractions(1.0, 0.0, MIXING)
    np.testing.assert_allclose(vacuum, np.abs(u[0]) ** 2, atol=1e-12)
    # a density far above both resonances: nu_e is the heaviest state
    assert mass_state_fractions(1e3, 1e6, MIXING)[2] == pytest.approx(1.0, abs=1e-4)


def evolve(energy_mev, density, new_matter):
    """Fractions of mass states after direct evolution from ``density`` (mol/cm^3) to vacuum."""
    e = energy_mev * 1e6
    u = MIXING.matrix()
    vacuum = (u * [0.0, MIXING.solar.dm2_21_ev2, MIXING.dm2_31_ev2]) @ u.conj().T / (2 * e)
    potential = np.diag([1.0, 0.0, 0.0]) + new_matter
    length = 6.957e8 / 10.54 / 1.973e-7  # scale height of the solar density in 1/eV
    edges = np.linspace(0.0, 14.0, 120_001)  # scale heights: the density falls by 1e-6
    middle, step = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)[0] * length
    v = matter_potential_ev(density * np.exp(-middle))
    values, vectors = np.linalg.eigh(vacuum + v[:, None, None] * potential)
    state = np.array([1.0, 0.0, 0.0], dtype=complex)
    for w, x in zip(values, vectors, strict=True):
        state = x @ (np.exp(-1j * w * step) * (x.conj().T @ state))
    return np.abs(u.conj().T @ state) ** 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "new_matter",
    [np.zeros((3, 3)), np.diag([0.3, 0.0, 0.0])],
)
def test_adiabatic_against_direct_evolution(new_matter):
    direct = evolve(10.0, 90.0, new_matter)
    ours = mass_state_fractions(10.0, 90.0, MIXING, new_matter)
    # phases at production leave ripples of the order of the departure from adiabaticity, 1e-3
    np.testing.assert_allclose(ours, direct, atol=3e-3)


def test_trace_is_the_sum_over_final_flavours():
    """Tr[rho Q^2] = sum_i f_i sum_f |sum_a Q_fa U_ai|^2 for a symmetric charge matrix."""
    rng = np.random.default_rng(7)
    charge = rng.normal(size=(3, 3))
    charge = -40.0 * np.eye(3) + 3.0 * (charge + charge.T)
    f = mass_state_fractions(8.0, 90.0, MIXING)
    u = MIXING.matrix()
    direct = sum(f[i] * np.sum(np.abs(charge @ u[:, i]) ** 2) for i in range(3))
    rho = density_matrix(f, MIXING)
    assert np.trace(rho @ charge @ charge).real == pytest.approx(direct, rel=1e-12)


def test_refusal():
    with pytest.raises(PhysicsError, match="Hermitian"):
        mass_state_fractions(1.0, 1.0, MIXING, np.triu(np.ones((3, 3))))
