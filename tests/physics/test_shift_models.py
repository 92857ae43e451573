"""Hypotheses that shift the coherent charge: sums of their terms against direct rates."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.constants import FERMI_CONSTANT, SIN2_THETA_W
from histnu.core.errors import PhysicsError
from histnu.physics import interactions as new
from histnu.physics.cross_sections import Electroweak
from histnu.physics.flavour_density import MixingParameters, density_matrix, mass_state_fractions
from histnu.physics.flux import Flux
from histnu.physics.models.charge_radius import ChargeRadius
from histnu.physics.models.light_scalar import LightScalar
from histnu.physics.models.light_vector import (
    UNIT,
    LightVector,
    LMuLTauVector,
    UniversalVector,
)
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.models.vector_nsi import PAIRS, VectorNSI, parameter_name
from histnu.physics.models.weak_mixing_angle import WeakMixingAngle
from histnu.physics.nuclei import Material, material
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource
from histnu.physics.scattering import Scattering
from histnu.sources.solar import solar_source

ENERGIES = np.array([0.3, 1.0, 2.5])
S2W = float(SIN2_THETA_W)
GF = float(FERMI_CONSTANT)


def rate(model, theta, scattering, energies=ENERGIES):
    """Standard Model plus all terms of a hypothesis at given parameters."""
    values = np.array([theta.get(p.name, 0.0) for p in model.parameters])
    strengths = dict(zip(model.polynomial.outputs, model.polynomial(values), strict=True))
    spectra = model.basis_spectra(scattering, energies)
    total = np.sum(list(StandardModel().basis_spectra(scattering, energies).values()), axis=0)
    return total + sum(strengths[k] * v for k, v in spectra.items())


def solar(recoil, component="b8"):
    return Scattering(recoil, solar_source(component), material("xenon"))


def scaled_by_charge(scattering, shifts, energies=ENERGIES):
    """Rate of one isotope of every flavour with another coherent charge, by hand."""
    total = np.zeros(energies.size)
    full = Electroweak()
    for isotope in scattering.target.isotopes:
        alone = Material("one", (type(isotope)(**{**vars(isotope), "abundance": 1.0}),), "test")
        atoms = isotope.abundance * scattering.target.atoms_per_tonne / alone.atoms_per_tonne
        atoms /= sum(i.abundance for i in scattering.target.isotopes)
        for flavour in scattering.flavours:
            source = NeutrinoSource(
                scattering.source.flux, {flavour: scattering.source.probabilities[flavour]}
            )
            part = Scattering("nuclear", source, alone)
            plain = np.sum(list(StandardModel().basis_spectra(part, energies).values()), axis=0)
            charge = full.weak_charge(isotope)
            total += atoms * plain * (1.0 + shifts(isotope, flavour, energies) / charge) ** 2
    return total


@pytest.mark.parametrize("recoil", ["nuclear", "electron"])
@pytest.mark.parametrize("delta", [-0.1, 0.2])
def test_weak_mixing_angle(recoil, delta):
    scattering = solar(recoil)
    weak = Electroweak(S2W + delta)
    direct = np.sum(list(StandardModel(weak).basis_spectra(scattering, ENERGIES).values()), axis=0)
    ours = rate(WeakMixingAngle(), {"delta_s2w": delta}, scattering)
    np.testing.assert_allclose(ours, direct, rtol=1e-10)


@pytest.mark.parametrize("recoil", ["nuclear", "electron"])
@pytest.mark.parametrize("radius", [-50.0, 8.0])
def test_equal_charge_radii_are_a_mixing_angle(recoil, radius):
    scattering = solar(recoil)
    theta = {"r2_ee": radius, "r2_mumu": radius, "r2_tautau": radius}
    delta = 0.5 * radius * new.charge_radius_coupling()
    ours = rate(ChargeRadius(), theta, scattering)
    again = rate(WeakMixingAngle(), {"delta_s2w": delta}, scattering)
    np.testing.assert_allclose(ours, again, rtol=1e-10)


def test_transition_radius_adds_to_both_flavours():
    scattering = solar("nuclear")
    plain = rate(ChargeRadius(), {}, scattering)
    transition = rate(ChargeRadius(), {"r2_emu": 30.0}, scattering) - plain
    spectra = ChargeRadius().basis_spectra(scattering, ENERGIES)
    np.testing.assert_allclose(transition, 900.0 * (spectra["r2_sq_e"] + spectra["r2_sq_mu"]))
    assert np.all(transition > 0)


@pytest.mark.parametrize("mass", [0.0, 5.0, 200.0])
@pytest.mark.parametrize("kind", [LightVector, UniversalVector, LMuLTauVector])
def test_light_vector(mass, kind):
    scattering, g = solar("nuclear"), 8.0
    model = kind(m_v_mev=mass)

    def shift(isotope, flavour, energies):
        t = 1e-3 * energies
        made = new.mediator_shift(t, isotope, model.charges, flavour, mass)
        return (g * UNIT) ** 2 * made

    ours = rate(model, {model.parameters[0].name: g}, scattering)
    np.testing.assert_allclose(ours, scaled_by_charge(scattering, shift), rtol=1e-9)


def test_electron_neutrinos_alone_make_no_l_mu_minus_l_tau():
    source = solar_source("b8")
    alone = NeutrinoSource(source.flux, {"e": source.probabilities["e"]})
    scattering = Scattering("nuclear", alone, material("xenon"))
    assert LMuLTauVector().basis_spectra(scattering, ENERGIES) == {}


@pytest.mark.parametrize("recoil", ["nuclear", "electron"])
def test_flavours_of_the_sun_cancel_in_the_interference(recoil):
    """nu_mu and nu_tau arrive in equal numbers with opposite charges: only g^4 is left."""
    spectra = LMuLTauVector().basis_spectra(solar(recoil), ENERGIES)
    assert list(spectra) == ["g_lmutau_4"]
    assert np.all(spectra["g_lmutau_4"] > 0)


def test_heavy_vector_is_vector_nsi():
    scattering, mass, g = solar("nuclear"), 5e4, 900.0
    theta = {}
    for quark in ("u", "d"):
        for flavour in FLAVOURS:
            name = parameter_name(quark, (flavour, flavour))
            theta[name] = -((g * UNIT) ** 2) / 3.0 / (np.sqrt(2) * GF * mass**2)
    ours = rate(LightVector(m_v_mev=mass), {"g_bl": g}, scattering)
    contact = rate(VectorNSI(), theta, scattering)
    # the next order is 2 m T/M^2, below 1e-6
    np.testing.assert_allclose(ours, contact, rtol=1e-6)


@pytest.mark.parametrize("recoil", ["nuclear", "electron"])
def test_light_scalar_has_no_interference(recoil):
    scattering = solar(recoil)
    model = LightScalar(m_s_mev=3.0)
    plain = rate(model, {}, scattering)
    one, two = (rate(model, {"g_s": g}, scattering) - plain for g in (1.0, 2.0))
    np.testing.assert_allclose(two, 16.0 * one, rtol=1e-9)
    assert np.all(one > 0)


def test_no_coupling_is_the_standard_model():
    for model in (WeakMixingAngle(), ChargeRadius(), LightVector(), LightScalar(), VectorNSI()):
        scattering = solar("nuclear")
        plain = np.sum(list(StandardModel().basis_spectra(scattering, ENERGIES).values()), axis=0)
        assert np.array_equal(rate(model, {}, scattering), plain)


LINE = 8.0


def mixed_source(fractions, mixing):
    """A line of neutrinos with the density matrix of given fractions of mass states."""
    rho = density_matrix(fractions, mixing)
    flux = Flux("line", np.array([LINE]), np.ones(1), 5e6, 0.1, "test")
    diagonal = {f: np.array([rho[i, i].real]) for i, f in enumerate(FLAVOURS)}
    index = {f: i for i, f in enumerate(FLAVOURS)}
    off = {p: np.array([rho[index[p[0]], index[p[1]]].real]) for p in PAIRS if p[0] != p[1]}
    return NeutrinoSource(flux, diagonal, off)


def test_nsi_against_the_sum_over_mass_states():
    """Every mass state scatters into every flavour: |sum_a Q_fa U_ai|^2, isotope by isotope."""
    rng = np.random.default_rng(11)
    mixing = MixingParameters()
    fractions = mass_state_fractions(LINE, 90.0, mixing)
    u = mixing.matrix()
    theta, matrices = {}, {}
    for quark in ("u", "d"):
        matrices[quark] = np.zeros((3, 3))
        for a, b in PAIRS:
            value = rng.normal(scale=0.2)
            theta[parameter_name(quark, (a, b))] = value
            i, j = FLAVOURS.index(a), FLAVOURS.index(b)
            matrices[quark][i, j] = matrices[quark][j, i] = value
    scattering = Scattering("nuclear", mixed_source(fractions, mixing), material("xenon"))
    ours = rate(VectorNSI(), theta, scattering)

    total = np.zeros(ENERGIES.size)
    weak = Electroweak()
    everything = NeutrinoSource(scattering.source.flux, {"e": np.ones(1)})
    weight = sum(i.abundance for i in scattering.target.isotopes)
    for isotope in scattering.target.isotopes:
        alone = Material("one", (type(isotope)(**{**vars(isotope), "abundance": 1.0}),), "test")
        atoms = isotope.abundance / weight * scattering.target.atoms_per_tonne
        atoms /= alone.atoms_per_tonne
        part = Scattering("nuclear", everything, alone)
        plain = np.sum(list(StandardModel().basis_spectra(part, ENERGIES).values()), axis=0)
        z, n = isotope.protons, isotope.neutrons
        charge = weak.weak_charge(isotope) * np.eye(3)
        charge = charge + (2 * z + n) * matrices["u"] + (z + 2 * n) * matrices["d"]
        square = sum(fractions[i] * np.sum(np.abs(charge @ u[:, i]) ** 2) for i in range(3))
        total += atoms * plain * square / weak.weak_charge(isotope) ** 2
    np.testing.assert_allclose(ours, total, rtol=1e-9)


def test_solar_source_has_coherences():
    scattering = solar("nuclear")
    plain = rate(VectorNSI(), {}, scattering)
    change = rate(VectorNSI(), {"eps_d_mutau": 1e-3}, scattering) - plain
    back = rate(VectorNSI(), {"eps_d_mutau": -1e-3}, scattering) - plain
    # Re rho_mutau = -0.29 at 8 MeV: linear in the coupling, and of the sign of -Q_V rho
    assert np.all(change > 0)
    np.testing.assert_allclose(change, -back, rtol=0.05)


def test_refusals():
    with pytest.raises(PhysicsError, match="m_v = -1"):
        LightVector(m_v_mev=-1.0)
    with pytest.raises(PhysicsError, match="m_s = nan"):
        LightScalar(m_s_mev=float("nan"))
