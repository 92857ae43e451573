"""Fluxes, their moments, oscillation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from histnu.core.errors import ConfigError, PhysicsError
from histnu.physics.flux import Flux, FluxMoments
from histnu.physics.oscillation import (
    OscillationParameters,
    flavour_probabilities,
    matter_potential_ev,
    survival_probability,
    survival_probability_at,
)
from histnu.sources.solar import load_flux, load_production, solar_source


def _triangle() -> Flux:
    return Flux("t", np.array([0.0, 1.0, 3.0]), np.array([0.0, 2 / 3, 0.0]), 1.0, 0.1, "test")


@pytest.mark.parametrize("power", [0, 1, 2])
@pytest.mark.parametrize("e_min", [0.05, 0.7, 1.0, 2.2])
def test_moments_against_quadrature(power, e_min):
    flux = _triangle()
    moments = FluxMoments.of(flux)
    expected, _ = quad(
        lambda e: np.interp(e, flux.e_nu_mev, flux.shape_per_mev) * e**-power,
        e_min,
        3.0,
        points=[1.0] if e_min < 1 else None,
        epsabs=1e-13,
        epsrel=1e-13,
    )
    # closed forms against adaptive quadrature: only rounding separates them
    assert moments(e_min)[power] == pytest.approx(expected, rel=1e-11)


def test_moments_vanish_above_the_end_point():
    assert np.all(FluxMoments.of(_triangle())(np.array([3.0, 4.0])) == 0.0)


def test_line_moments():
    line = Flux("be7", np.array([0.862]), np.array([1.0]), 2.0, 0.06, "test")
    m = FluxMoments.of(line, 0.5)(np.array([0.5, 0.9]))
    assert m[:, 0] == pytest.approx([1.0, 1 / 0.862, 1 / 0.862**2], rel=1e-14)
    assert np.all(m[:, 1] == 0.0)


def test_b8_total_and_normalisation():
    flux = load_flux("b8")
    total = FluxMoments.of(flux)(1e-6)[0]
    # 1e-6 MeV of missing spectrum at the low end
    assert total == pytest.approx(5.46e6, rel=1e-9)
    assert flux.relative_uncertainty == pytest.approx(0.12, abs=1e-12)
    assert 16.0 < flux.e_max_mev < 17.0


def test_b8_mean_energy():
    flux = load_flux("b8")
    mean = np.trapezoid(flux.e_nu_mev * flux.shape_per_mev, flux.e_nu_mev)
    # 6.7 MeV: Bahcall et al., Phys. Rev. C 54 (1996) 411, abstract: <E> = 6.735 +- 0.036 MeV
    assert mean == pytest.approx(6.735, abs=0.036)


def test_b8_table_against_the_full_one(releases):
    full = np.loadtxt(releases / "solar_flux" / "B8_neutrino_flux.txt")
    flux = load_flux("b8")
    ours = np.interp(full[:, 0], flux.e_nu_mev, flux.shape_per_mev)
    theirs = full[:, 1] / np.trapezoid(full[:, 1], full[:, 0])
    # the table is thinned to 0.1 MeV and read with a monotone cubic; 1e-4 of the peak
    assert np.max(np.abs(ours - theirs)) < 1e-4 * theirs.max()


def test_vacuum_and_matter_limits():
    p = OscillationParameters()
    c13, s12 = 1 - p.sin2_theta13, p.sin2_theta12
    vacuum = c13**2 * (1 - 2 * s12 * (1 - s12)) + p.sin2_theta13**2
    assert survival_probability_at(1e-6, 100.0, p) == pytest.approx(vacuum, rel=1e-5)
    # far above resonance nu_e = nu_2: P -> c13^4 sin^2 theta12 + s13^4
    matter = c13**2 * s12 + p.sin2_theta13**2
    assert survival_probability_at(1e6, 100.0, p) == pytest.approx(matter, rel=1e-5)


def three_flavour_survival(e_mev, electrons, p):
    """Adiabatic P(nu_e -> nu_e) from the eigenvectors of the three-flavour Hamiltonian in matter.

    A neutrino born as nu_e is the matter eigenstate i with |U^m_ei|^2 and leaves the Sun as the
    mass eigenstate i, which is nu_e with |U_ei|^2. The formula under test neglects
    2 E V/dm2_31, so the third mass is put far away.
    """
    t12, t13 = np.arcsin(np.sqrt([p.sin2_theta12, p.sin2_theta13]))
    first = np.array([[np.cos(t12), np.sin(t12), 0], [-np.sin(t12), np.cos(t12), 0], [0, 0, 1]])
    third = np.array([[np.cos(t13), 0, np.sin(t13)], [0, 1, 0], [-np.sin(t13), 0, np.cos(t13)]])
    vacuum = third @ first  # theta_23 does not mix nu_e
    potential = float(matter_potential_ev(electrons))
    mass = vacuum @ np.diag([0.0, p.dm2_21_ev2, 1e4 * p.dm2_21_ev2]) @ vacuum.T
    energies = np.diag([2.0 * e_mev * 1e6 * potential, 0.0, 0.0])
    _, matter = np.linalg.eigh(mass + energies)
    return float(np.sum(matter[0] ** 2 * vacuum[0] ** 2))


@pytest.mark.parametrize("sin2_theta13", [0.0, 0.0225, 0.3])
@pytest.mark.parametrize("e_mev", [0.05, 1.0, 2.5, 10.0, 100.0])
def test_survival_probability_from_three_flavours(e_mev, sin2_theta13):
    p = OscillationParameters(sin2_theta13=sin2_theta13)
    expected = three_flavour_survival(e_mev, 90.0, p)
    # left out: 2 E V/dm2_31 = 2e-3 at most, times sin^2(theta13)
    assert survival_probability_at(e_mev, 90.0, p) == pytest.approx(expected, rel=2e-3)


def test_survival_probability_of_the_highest_energies_averaged():
    """sin^2 theta12 cos^4 theta13 + sin^4 theta13, whatever the place of production."""
    p = OscillationParameters(sin2_theta12=0.3, sin2_theta13=0.2)
    expected = 0.3 * 0.8**2 + 0.2**2
    assert expected == pytest.approx(0.232, abs=1e-15)
    averaged = survival_probability([1e7], load_production("b8"), p)
    assert averaged == pytest.approx([expected], rel=1e-6)


def test_matter_potential():
    # sqrt(2) G_F N_A mol/cm^3 = 7.63e-14 eV (PDG neutrino review, Eq. 14.60)
    assert matter_potential_ev(1.0) == pytest.approx(7.63e-14, rel=1e-3, abs=0)


def test_b8_survival_probability_is_lma():
    source = solar_source("b8")
    p = np.interp([5.0, 10.0], source.flux.e_nu_mev, source.probabilities["e"])
    # SNO's polynomial fit at 10 MeV is 0.317 +- 0.018 (Phys. Rev. C 88 (2013) 025501)
    assert p[1] == pytest.approx(0.317, abs=2 * 0.018)
    assert p[0] > p[1]


def test_flavours_add_up():
    p = flavour_probabilities(np.array([0.2, 0.9]))
    assert sum(p.values()) == pytest.approx(1.0, abs=1e-15)
    assert np.array_equal(p["mu"], p["tau"])


def test_production_weights_add_up():
    assert load_production("b8").weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("energy", "shape", "message"),
    [
        ([1.0, 0.5], [1.0, 1.0], "must increase"),
        ([1.0, 2.0], [1.0, -1.0], "spectrum be >= 0"),
        ([1.0, 2.0], [1.0, np.nan], "NaN or infinity"),
        ([1.0, 2.0], [1.0], "differ"),
    ],
)
def test_bad_flux(energy, shape, message):
    with pytest.raises(PhysicsError, match=message):
        Flux("bad", np.array(energy), np.array(shape), 1.0, 0.1, "test")


def test_bad_inputs():
    with pytest.raises(PhysicsError, match="E_min must be positive"):
        FluxMoments.of(_triangle())(0.0)
    with pytest.raises(ConfigError, match="unknown solar component 'x'"):
        load_flux("x")
    with pytest.raises(PhysicsError, match="sin2_theta12 = 2"):
        OscillationParameters(sin2_theta12=2.0)
    with pytest.raises(PhysicsError, match="unknown flavour 'sterile'"):
        solar_source("b8").moments("sterile")
