"""Cross sections and recoil spectra: limits, independent integrals, published numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import fixed_quad

from histnu.core.constants import ELECTRON_MASS, FERMI_CONSTANT, FINE_STRUCTURE, HBAR_C
from histnu.core.errors import PhysicsError
from histnu.physics import cross_sections as xs
from histnu.physics import kinematics as kin
from histnu.physics.form_factors import klein_nystrand, unity
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.millicharge import Millicharge
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.models.sterile_dipole import SterileDipole
from histnu.physics.nuclei import XENON, Isotope, material
from histnu.physics.rates import recoil_spectrum
from histnu.physics.scattering import Scattering
from histnu.templates.fold import quadrature

XE132 = next(i for i in XENON.isotopes if i.nucleons == 132)
WEAK = xs.Electroweak()


def direct_rate(e_recoil_kev: float, source, cross_section) -> float:
    """dR/dT by adaptive quadrature over E_nu with formulas written out, events/(t yr keV)."""
    t = e_recoil_kev * 1e-3
    flux = source.flux
    total = 0.0
    for isotope in XENON.isotopes:
        m = isotope.mass_mev
        low = 0.5 * (t + np.sqrt(t * t + 2 * m * t))

        def integrand(e, m=m, isotope=isotope, low=low):
            phi = flux.total_cm2_s * np.interp(e, flux.e_nu_mev, flux.shape_per_mev)
            return phi * cross_section(t, e, m, isotope)

        nodes = flux.e_nu_mev[flux.e_nu_mev > low]
        edges = np.concatenate([[low], nodes])
        # Gauss-Legendre between the nodes of the linear spectrum converges like an adaptive rule
        x, w = quadrature(edges, panels=1, nodes=8)
        total += isotope.abundance * float(w @ integrand(x))
    total /= sum(i.abundance for i in XENON.isotopes)
    atoms = 1e6 / XENON.molar_mass_g * 6.02214076e23
    return total * (float(HBAR_C) * 1e-13) ** 2 * 1e-3 * 365.25 * 86400 * atoms


def sm(t, e, m, isotope):
    g = float(FERMI_CONSTANT)
    q_v = 0.5 * (1 - 4 * 0.23857) * isotope.protons - 0.5 * isotope.neutrons
    form = klein_nystrand(np.sqrt(2 * m * t), isotope.nucleons)
    return g**2 * m / np.pi * q_v**2 * form**2 * (1 - m * t / (2 * e**2) - t / e)


def moment(t, e, m, isotope):
    form = klein_nystrand(np.sqrt(2 * m * t), isotope.nucleons)
    pre = np.pi * float(FINE_STRUCTURE) ** 2 / float(ELECTRON_MASS) ** 2 * 1e-18
    return pre * (1 / t - 1 / e) * isotope.protons**2 * form**2


@pytest.mark.parametrize("t", [0.05, 0.51, 1.3, 3.0])
def test_sm_spectrum_against_quadrature(b8, xenon, t):
    ours = StandardModel().basis_spectra(Scattering("nuclear", b8, xenon), [t])["cevns"][0]
    # the only approximation is P_l(E) phi(E) linear between nodes 0.02 MeV apart; it cancels
    # in the sum over flavours
    assert ours == pytest.approx(direct_rate(t, b8, sm), rel=1e-6)


@pytest.mark.parametrize("t", [0.05, 0.51, 3.0])
def test_magnetic_moment_against_quadrature(b8, xenon, t):
    ours = MagneticMoment().basis_spectra(Scattering("nuclear", b8, xenon), [t])["mu2_universal"][0]
    assert ours == pytest.approx(direct_rate(t, b8, moment), rel=1e-6)


@pytest.mark.slow
def test_flavour_spectrum_against_gauss_legendre(b8, xenon):
    # the nu_e part at one recoil energy, one isotope at a time, piece by piece between the kinks
    # of the linear spectrum: there the integrand is a polynomial over E^2, and a piece is 1 % of E
    t = 0.8e-3
    flux, p = b8.flux, b8.probabilities["e"]

    def integrand(e, isotope):
        shape = np.interp(e, flux.e_nu_mev, flux.shape_per_mev * p)
        return flux.total_cm2_s * shape * sm(t, e, isotope.mass_mev, isotope)

    total = 0.0
    for isotope in XENON.isotopes:
        m = isotope.mass_mev
        low = 0.5 * (t + np.sqrt(t * t + 2 * m * t))
        edges = np.concatenate([[low], flux.e_nu_mev[flux.e_nu_mev > low]])
        ends = itertools.pairwise(edges)
        pieces = [fixed_quad(integrand, x, y, (isotope,), 8)[0] for x, y in ends]
        total += isotope.abundance * sum(pieces)
    total /= sum(i.abundance for i in XENON.isotopes)
    ours = recoil_spectrum(lambda x, i: xs.cevns_coefficients(x, i, WEAK), b8, "e", xenon, [0.8])[0]
    from histnu.physics.rates import rate_unit

    assert ours == pytest.approx(total * rate_unit(xenon.atoms_per_tonne), rel=1e-6)


def test_published_sm_rate(b8, xenon):
    edges = np.geomspace(0.01, 6.0, 400)
    t, w = quadrature(edges)
    r = StandardModel().basis_spectra(Scattering("nuclear", b8, xenon), t)["cevns"]
    # the XENONnT 2024 release: 304 events/(t yr) above 0.51 keV at 5.46e6, quantiles of its
    # recoil spectrum above 0.45 keV; 1 % and 0.5 % are the agreement asked for
    assert w[t > 0.51] @ r[t > 0.51] == pytest.approx(304.0, rel=0.01)
    above = t > 0.45
    cdf = np.cumsum((w * r)[above]) / (w @ np.where(above, r, 0))
    for q, published in ((0.1, 0.497), (0.5, 0.751), (0.9, 1.378), (0.99, 2.082)):
        assert np.interp(q, cdf, t[above]) == pytest.approx(published, rel=0.005)


def test_released_spectrum(b8, xenon, releases):
    import json

    file = releases / "xenonnt_light_wimp_2024" / "signal" / "cevns_spectrum.json"
    release = json.loads(file.read_text())
    t, w = quadrature(np.geomspace(0.45, 6.0, 300))
    r = StandardModel().basis_spectra(Scattering("nuclear", b8.scaled(5.25e6), xenon), t)["cevns"]
    # the release states its total at 5.25e6 cm^-2 s^-1; the inputs (weak mixing angle, form
    # factor) differ at the per-mille level
    assert w @ r == pytest.approx(release["rate"], rel=2e-3)


def test_neutron_number_squared():
    # with sin^2 theta_W = 1/4 the proton coupling vanishes and the cross section scales as N^2
    weak = xs.Electroweak(sin2_theta_w=0.25, form_factor=unity)
    light = Isotope("A", 54, 54 + 60, 120.0)
    heavy = Isotope("B", 54, 54 + 90, 120.0)
    ratio = xs.cevns_coefficients([1e-3], heavy, weak) / xs.cevns_coefficients([1e-3], light, weak)
    assert ratio[:, 0] == pytest.approx((90 / 60) ** 2, rel=1e-12)


def test_total_cross_section_closed_form():
    # without form factor: sigma = G_F^2 Q_V^2 E^2/pi (1 + O(E/m)); integrate Eq. 1 over T
    weak = xs.Electroweak(form_factor=unity)
    e, m = 8.0, XE132.mass_mev
    t_max = float(kin.e_recoil_max_mev(e, m))
    t, w = quadrature(np.linspace(1e-12, t_max, 40))
    c = xs.cevns_coefficients(t, XE132, weak)
    sigma = w @ xs.differential(c, t, e, m)[:, 0]
    expected = float(FERMI_CONSTANT) ** 2 * weak.weak_charge(XE132) ** 2 * e**2 / np.pi
    assert sigma == pytest.approx(expected, rel=4 * e / m, abs=0)  # recoil corrections of order E/m


def test_dipole_becomes_magnetic_moment(b8, xenon):
    t = np.geomspace(0.3, 4.0, 30)
    moments = MagneticMoment().basis_spectra(Scattering("nuclear", b8, xenon), t)
    for m4, tolerance in ((0.0, 1e-13), (1e-3, 1e-7), (0.05, 1e-3)):
        # the correction is m4^2 m/(4 E^2 T m): quadratic in m4
        dipole = SterileDipole(m4).basis_spectra(Scattering("nuclear", b8, xenon), t)
        for flavour in ("e", "mu", "tau"):
            assert dipole[f"mu2_{flavour}"] == pytest.approx(
                moments[f"mu2_{flavour}"], rel=tolerance
            )


def test_upscattering_threshold():
    # Eq. 8: at the largest m4 for (E, T), E_min equals E; the paper's form drops T/m
    e, t, m = 9.0, 0.8e-3, XE132.mass_mev
    m4 = float(kin.m4_max_at_recoil_mev(e, t, m))
    assert kin.e_nu_min_mev(t, m, m4) == pytest.approx(e, rel=1e-12)
    paper = np.sqrt(2 * m * t * (np.sqrt(2 / (m * t)) * e - 1))
    assert m4 == pytest.approx(paper, rel=1e-3)  # T << m and E << m


def test_dipole_closes_beyond_the_kinematic_limit(b8, xenon):
    t = np.geomspace(0.05, 5.0, 200)
    m4_max = kin.m4_max_mev(b8.flux.e_max_mev, XENON.isotopes[-1].mass_mev)
    assert np.all(
        SterileDipole(m4_max * 1.001).basis_spectra(Scattering("nuclear", b8, xenon), t)["mu2_e"]
        == 0.0
    )
    assert np.any(
        SterileDipole(0.9 * m4_max).basis_spectra(Scattering("nuclear", b8, xenon), t)["mu2_e"]
        > 0.0
    )


def test_dipole_cross_section_is_not_negative(b8, xenon):
    t = np.geomspace(0.05, 5.0, 400)
    for m4 in (0.1, 1.0, 5.0, 10.0, 14.0):
        spectra = SterileDipole(m4).basis_spectra(Scattering("nuclear", b8, xenon), t)
        # Eq. 9 is a rate: it stays >= 0 up to rounding wherever kinematics is open
        assert np.all(spectra["mu2_e"] > -1e-9 * max(spectra["mu2_e"].max(), 1e-30))


def test_sign_of_the_interference(b8, xenon):
    t = np.geomspace(0.3, 3.0, 20)
    q = Millicharge().basis_spectra(Scattering("nuclear", b8, xenon), t)
    sm_rate = StandardModel().basis_spectra(Scattering("nuclear", b8, xenon), t)["cevns"]
    small = 0.05  # 5e-10 e
    total = sm_rate + small * q["q_lin_e"] + small**2 * q["q_sq_e"]
    assert np.all(total < sm_rate)  # a small positive Q_ee lowers the rate


def test_millicharge_is_a_perfect_square(b8, xenon):
    # SM + EC of one flavour is proportional to (Q_V - Z Q^EC)^2: it vanishes at one charge
    t = 0.8e-3
    c0 = xs.cevns_coefficients([t], XE132, WEAK)
    c1 = xs.millicharge_linear_coefficients([t], XE132, WEAK)
    c2 = xs.millicharge_squared_coefficients([t], XE132, WEAK)
    q0 = -(c1 / (2 * c2))[0, 0]
    assert q0 > 0
    assert c0 + q0 * c1 + q0**2 * c2 == pytest.approx(0.0 * c0, abs=1e-12 * np.abs(c0).max())


def test_rate_vanishes_above_the_edge(b8, xenon):
    light = XENON.isotopes[0].mass_mev
    edge = float(kin.e_recoil_max_mev(b8.flux.e_max_mev, light)) * 1e3
    assert (
        StandardModel().basis_spectra(Scattering("nuclear", b8, xenon), [edge * 1.0001])["cevns"][0]
        == 0.0
    )
    assert (
        StandardModel().basis_spectra(Scattering("nuclear", b8, xenon), [edge * 0.9])["cevns"][0]
        > 0.0
    )


def test_polynomials_match_the_spectra():
    for model in (StandardModel(), MagneticMoment(), Millicharge(), SterileDipole(1.0)):
        assert model.polynomial.parameters == tuple(p.name for p in model.parameters)


def test_charge_polynomial():
    p = Millicharge().polynomial
    s = dict(zip(p.outputs, p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), strict=True))
    # q_ee, q_mumu, q_tautau, q_emu, q_etau, q_mutau
    assert s["q_lin_mu"] == 2.0
    assert s["q_sq_e"] == 1 + 16 + 25
    assert s["q_sq_mu"] == 4 + 16 + 36
    assert s["q_sq_tau"] == 9 + 25 + 36


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_bad_recoil_energy(b8, xenon, bad):
    with pytest.raises(PhysicsError, match="recoil energies must be positive"):
        StandardModel().basis_spectra(Scattering("nuclear", b8, xenon), [1.0, bad])


def test_bad_parameters():
    with pytest.raises(PhysicsError, match="m4 = -1"):
        SterileDipole(-1.0)
    with pytest.raises(PhysicsError, match="unknown target 'krypton'; known: argon, cesium"):
        material("krypton")
