"""Spectra and arrival times of neutrinos from pions and muons at rest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from histnu.core.constants import MUON_LIFETIME, MUON_MASS, PION_LIFETIME
from histnu.core.errors import PhysicsError
from histnu.physics.flux import FluxMoments
from histnu.physics.pion_decay import (
    BeamProfile,
    anti_nu_mu_spectrum_per_mev,
    decay_at_rest_flux,
    endpoint_mev,
    fluence_cm2,
    nu_e_spectrum_per_mev,
    prompt_energy_mev,
)

BEAM = BeamProfile(0.44, 0.15)


def test_line_and_endpoint():
    # two-body kinematics with PDG masses: 29.79 MeV; half the muon mass
    assert prompt_energy_mev() == pytest.approx(29.79, abs=0.005)
    assert endpoint_mev() == pytest.approx(52.829, abs=0.001)


@pytest.mark.parametrize(
    ("spectrum", "mean_x"),
    # <x> = 192 (1/2 x^4/4 - x^5/5) and 64 (3/4 x^4/4 - x^5/5) at x = 1/2
    [(nu_e_spectrum_per_mev, 0.3), (anti_nu_mu_spectrum_per_mev, 0.35)],
)
def test_michel_moments(spectrum, mean_x):
    end = endpoint_mev()
    assert quad(spectrum, 0.0, end)[0] == pytest.approx(1.0, abs=1e-12)
    mean = quad(lambda e: e * spectrum(e), 0.0, end)[0]
    assert mean == pytest.approx(mean_x * float(MUON_MASS), rel=1e-12)
    assert spectrum(end * 1.0001) == 0.0


def test_energy_is_conserved_on_average():
    """The electron takes 7/20 of the muon's mass, as its own Michel spectrum says."""
    end = endpoint_mev()
    mean = [
        quad(lambda e, s=s: e * s(e), 0.0, end)[0]
        for s in (nu_e_spectrum_per_mev, anti_nu_mu_spectrum_per_mev)
    ]
    assert float(MUON_MASS) - sum(mean) == pytest.approx(0.35 * float(MUON_MASS), rel=1e-12)


@pytest.mark.parametrize("component", ["nue", "numubar"])
@pytest.mark.parametrize("e_min", [5.0, 20.0, 45.0])
def test_tabulated_moments(component, e_min):
    spectrum = nu_e_spectrum_per_mev if component == "nue" else anti_nu_mu_spectrum_per_mev
    moments = FluxMoments.of(decay_at_rest_flux(component, 3.0, 0.1, "test"))(e_min)
    for power, moment in enumerate(moments):
        exact = 3.0 * quad(lambda e, k=power: spectrum(e) * e**-k, e_min, endpoint_mev())[0]
        # linear interpolation over 4000 intervals: second differences of order 1/4000^2
        assert moment == pytest.approx(exact, rel=1e-6)


def test_fluence():
    # 3.2e23 protons, 0.0848 per proton at 19.3 m, by hand: 2.7136e22/(4 pi 1930^2 cm^2)
    assert fluence_cm2(3.2e23, 0.0848, 19.3) == pytest.approx(5.7973e14, rel=1e-4)
    with pytest.raises(PhysicsError, match="distance_m = 0"):
        fluence_cm2(1e23, 0.1, 0)


@pytest.mark.parametrize("arrival", ["prompt", "delayed"])
@pytest.mark.parametrize("time", [0.3, 0.6, 1.5, 4.0])
def test_arrival_against_direct_convolution(arrival, time):
    """The beam folded numerically with the decays' own distribution functions."""
    pion, muon = float(PION_LIFETIME), float(MUON_LIFETIME)

    def decayed(t):
        if arrival == "prompt":
            return -np.expm1(-t / pion)
        both = muon * np.exp(-t / muon) - pion * np.exp(-t / pion)
        return 1.0 - both / (muon - pion)

    def integrand(start):
        u = (start - BEAM.mean_us) / BEAM.width_us
        density = np.exp(-0.5 * u**2) / (np.sqrt(2 * np.pi) * BEAM.width_us)
        return density * decayed(time - start)

    low = BEAM.mean_us - 10 * BEAM.width_us
    direct = quad(integrand, low, time, limit=500, points=[min(BEAM.mean_us, time)])[0]
    assert float(BEAM.arrived(time, arrival)) == pytest.approx(direct, rel=1e-7)


def test_mean_arrival():
    """Mean delays add: beam + pion (+ muon)."""
    times = np.linspace(-2.0, 60.0, 400_001)
    for arrival, delay in (
        ("prompt", float(PION_LIFETIME)),
        ("delayed", float(PION_LIFETIME) + float(MUON_LIFETIME)),
    ):
        late = 1.0 - BEAM.arrived(times, arrival)
        mean = np.trapezoid(late, times) + times[0]
        assert mean == pytest.approx(BEAM.mean_us + delay, abs=1e-6)


def test_words():
    with pytest.raises(PhysicsError, match="unknown arrival 'late'; known: prompt, delayed"):
        BEAM.arrived(1.0, "late")
    with pytest.raises(PhysicsError, match="unknown component 'nutau'"):
        decay_at_rest_flux("nutau", 1.0, 0.1, "test")
    with pytest.raises(PhysicsError, match="width 0"):
        BeamProfile(0.4, 0)
