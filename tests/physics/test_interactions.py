"""New interactions against amplitudes of exchanged bosons, evaluated with Dirac matrices.

The independent implementation below knows nothing of shifts: it exchanges Z, W (Fierz ordered),
photon and new bosons between spinor currents, squares the sum of their propagators with numerical
traces, and divides by the flux. Signs of interference come from the Lagrangians alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad

from histnu.core.constants import (
    ELECTRON_MASS,
    FERMI_CONSTANT,
    FINE_STRUCTURE,
    MUON_MASS,
    SIN2_THETA_W,
    TAU_MASS,
)
from histnu.core.errors import PhysicsError
from histnu.physics import interactions as new
from histnu.physics.cross_sections import (
    Electroweak,
    cevns_coefficients,
    differential,
    millicharge_linear_coefficients,
)
from histnu.physics.electron_scattering import couplings, eves_coefficients
from histnu.physics.form_factors import unity
from histnu.physics.nuclei import ARGON, CESIUM_IODIDE, XENON

G_F, ALPHA, S2W = float(FERMI_CONSTANT), float(FINE_STRUCTURE), float(SIN2_THETA_W)
M_E = float(ELECTRON_MASS)
M_Z = 91187.6  # MeV; heavy against every momentum here, its value drops out
POINT = Electroweak(form_factor=unity)
NUCLEI = [ARGON.isotopes[2], CESIUM_IODIDE.isotopes[1], XENON.isotopes[6]]

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ZERO, ONE = np.zeros((2, 2)), np.eye(2)
GAMMA = [np.block([[ZERO, ONE], [ONE, ZERO]])]
GAMMA += [np.block([[ZERO, s], [-s, ZERO]]) for s in PAULI]
GAMMA5 = np.diag([-1.0, -1.0, 1.0, 1.0])
LEFT = 0.5 * (np.eye(4) - GAMMA5)
METRIC = np.diag([1.0, -1.0, -1.0, -1.0])


def slash(p):
    return sum(METRIC[i, i] * p[i] * GAMMA[i] for i in range(4))


def momenta(e_nu, t, mass):
    """Neutrino in, target in, neutrino out, target out."""
    k = np.array([e_nu, 0.0, 0.0, e_nu])
    p = np.array([mass, 0.0, 0.0, 0.0])
    size = np.sqrt(t * (t + 2 * mass))
    cosine = (t / e_nu) * (e_nu + mass) / size
    p_out = np.array([mass + t, size * np.sqrt(1 - cosine**2), 0.0, size * cosine])
    return k, p, k + p - p_out, p_out


def squared_amplitude(e_nu, t, mass, vector, axial):
    """Spin-summed |M|^2 of [nu gamma^mu P_L nu][f gamma_mu (vector - axial gamma5) f]."""
    k, p, k_out, p_out = momenta(e_nu, t, mass)
    total = 0.0
    vertex = vector * np.eye(4) - axial * GAMMA5
    for m in range(4):
        for n in range(4):
            lepton = np.trace(slash(k_out) @ GAMMA[m] @ LEFT @ slash(k) @ GAMMA[n] @ LEFT)
            left = (slash(p_out) + mass * np.eye(4)) @ GAMMA[m] @ vertex
            right = (slash(p) + mass * np.eye(4)) @ GAMMA[n] @ vertex
            total += lepton * METRIC[m, m] * METRIC[n, n] * np.trace(left @ right)
    return float(np.real(total))


def cross_section(e_nu, t, mass, vector, axial=0.0):
    """``d sigma/dT = |M|^2/(32 pi m E^2)``, averaged over the target's two spins."""
    return 0.5 * squared_amplitude(e_nu, t, mass, vector, axial) / (32 * np.pi * mass * e_nu**2)


@dataclass(frozen=True)
class Boson:
    """A vector boson: mass, coupling to nu_L, vector and axial coupling to the target."""

    mass: float
    neutrino: float
    vector: float
    axial: float = 0.0

    def exchange(self, q2):
        """Vector and axial part of ``g_nu g_f/(q^2 - M^2)``."""
        propagator = self.neutrino / (q2 - self.mass**2)
        return np.array([propagator * self.vector, propagator * self.axial])


def z_boson(charge, isospin, count=1.0):
    """Z on ``count`` fermions: g (T3 - 2 Q s)/2 and g T3/2, g^2 = 8 G_F M_Z^2/sqrt 2."""
    g = np.sqrt(8 * G_F * M_Z**2 / np.sqrt(2))
    return Boson(M_Z, g / 2, count * g * (isospin - 2 * charge * S2W) / 2, count * g * isospin / 2)


def exchange(bosons, e_nu, t, mass):
    vector, axial = sum(b.exchange(-2 * mass * t) for b in bosons)
    return cross_section(e_nu, t, mass, vector, axial)


def nucleus(isotope):
    """The Z of a point nucleus without axial current (spins pair off): quarks counted."""
    z, n = isotope.protons, isotope.neutrons
    up, down = z_boson(2 / 3, 0.5, 2 * z + n), z_boson(-1 / 3, -0.5, z + 2 * n)
    return [Boson(M_Z, up.neutrino, up.vector + down.vector)]


def electron(flavour):
    bosons = [z_boson(-1.0, -0.5)]
    if flavour == "e":  # W exchange, Fierz ordered: V - A of unit strength on top of the Z
        g = np.sqrt(8 * G_F * M_Z**2 / np.sqrt(2))
        bosons.append(Boson(M_Z, g / 2, g / 2, g / 2))
    return bosons


def recoil(isotope, e_nu, fraction):
    return fraction * 2 * e_nu**2 / (isotope.mass_mev + 2 * e_nu)


def shifted(t, isotope, shift):
    """Standard Model plus interference plus square for one unit of the coupling."""
    return (
        cevns_coefficients(t, isotope, POINT)
        + new.interference_coefficients(t, isotope, POINT, shift)
        + new.squared_coefficients(t, isotope, POINT, shift)
    )


SPIN = 2e-3
"""The package's nuclei have spin 0: T^2/(2 E^2) and T/E of the traces are left out, at most
2 E/m = 2e-3 of the rate at 30 MeV on argon."""


@pytest.mark.parametrize("isotope", NUCLEI, ids=lambda i: i.symbol)
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9])
def test_standard_model_by_exchange(isotope, fraction):
    e = 30.0
    t = recoil(isotope, e, fraction)
    ours = differential(cevns_coefficients([t], isotope, POINT), [t], e, isotope.mass_mev)[0, 0]
    assert ours == pytest.approx(
        exchange(nucleus(isotope), e, t, isotope.mass_mev), rel=SPIN, abs=0
    )


@pytest.mark.parametrize("isotope", NUCLEI, ids=lambda i: i.symbol)
@pytest.mark.parametrize("mediator", [0.5, 10.0, 300.0])
@pytest.mark.parametrize("charges", [new.B_MINUS_L, new.UNIVERSAL], ids=["b_l", "universal"])
def test_mediator_by_exchange(isotope, mediator, charges):
    e, g = 30.0, 3e-4
    t = recoil(isotope, e, 0.3)
    z, n = isotope.protons, isotope.neutrons
    quarks = (2 * z + n) * charges.up + (z + 2 * n) * charges.down
    bosons = [*nucleus(isotope), Boson(mediator, g * charges.neutrino["mu"], g * quarks)]
    shift = g**2 * new.mediator_shift(np.array([t]), isotope, charges, "mu", mediator)
    ours = differential(shifted([t], isotope, shift), [t], e, isotope.mass_mev)[0, 0]
    direct = exchange(bosons, e, t, isotope.mass_mev)
    # close to complete destruction the two orders of T/E leave SPIN times the larger amplitude
    assert ours == pytest.approx(direct, rel=SPIN, abs=0)


@pytest.mark.parametrize("isotope", NUCLEI, ids=lambda i: i.symbol)
def test_signs_of_interference(isotope):
    t = np.array([1e-3])
    for charges, sign in ((new.B_MINUS_L, 1), (new.UNIVERSAL, -1)):
        shift = new.mediator_shift(t, isotope, charges, "e", 10.0)
        assert np.sign(new.interference_coefficients(t, isotope, POINT, shift)[0, 0]) == sign
        expected = -sign * (1 if sign > 0 else 3) * isotope.nucleons
        ratio = shift * np.sqrt(2) * G_F * (2 * isotope.mass_mev * t + 100.0)
        assert ratio == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("radius", [-60.0, 3.0])
@pytest.mark.parametrize("isotope", NUCLEI, ids=lambda i: i.symbol)
def test_charge_radius_is_a_photon_with_a_form_factor(isotope, radius):
    """Vertex e Q_nu -> e q^2 <r^2>/6: exchange of a massless photon with protons."""
    e = 30.0
    t = recoil(isotope, e, 0.3)
    q2 = -2 * isotope.mass_mev * t
    r2 = radius * 1e-32 / (197.3269804e-13) ** 2  # MeV^-2
    charge = np.sqrt(4 * np.pi * ALPHA)
    photon = Boson(0.0, charge * q2 * r2 / 6, charge * isotope.protons)
    ours = shifted([t], isotope, radius * new.charge_radius_shift(isotope))
    direct = exchange([*nucleus(isotope), photon], e, t, isotope.mass_mev)
    value = differential(ours, [t], e, isotope.mass_mev)[0, 0]
    assert value == pytest.approx(direct, rel=SPIN, abs=0)


def test_millicharge_is_a_photon():
    """The package's own sign of the millicharge, from the same exchange."""
    isotope, e, charge = XENON.isotopes[6], 10.0, np.sqrt(4 * np.pi * ALPHA)
    t = recoil(isotope, e, 0.3)
    small = 1e-9
    bosons = nucleus(isotope)
    photon = Boson(0.0, small * 1e-8 * charge, charge * isotope.protons)
    plain = exchange(bosons, e, t, isotope.mass_mev)
    change = (exchange([*bosons, photon], e, t, isotope.mass_mev) - plain) / small
    coefficients = millicharge_linear_coefficients([t], isotope, POINT)
    ours = differential(coefficients, [t], e, isotope.mass_mev)[0, 0]
    assert ours == pytest.approx(change, rel=1e-2, abs=0)  # numerical derivative and SPIN
    assert change < 0


@pytest.mark.parametrize("isotope", NUCLEI, ids=lambda i: i.symbol)
def test_charge_radius_is_a_shift_of_the_mixing_angle(isotope):
    shift = 2.5 * new.charge_radius_coupling() / 2  # d s of 2.5e-32 cm^2
    t = np.array([1e-4, 1e-3])
    moved = Electroweak(S2W + shift, unity)
    ours = shifted(t, isotope, 2.5 * new.charge_radius_shift(isotope))
    np.testing.assert_allclose(ours, cevns_coefficients(t, isotope, moved), rtol=1e-12)
    # sqrt(2) pi alpha/(3 G_F) 1e-32 cm^2, by hand
    assert new.charge_radius_coupling() == pytest.approx(0.0238, abs=5e-5)


@pytest.mark.parametrize("isotope", NUCLEI, ids=lambda i: i.symbol)
@pytest.mark.parametrize("s", [0.0, 0.2, 0.5])
def test_weak_mixing_angle_is_a_polynomial(isotope, s):
    t = np.array([1e-4, 1e-3])
    ours = shifted(t, isotope, (s - S2W) * new.weak_mixing_shift(isotope))
    direct = cevns_coefficients(t, isotope, Electroweak(s, unity))
    np.testing.assert_allclose(ours, direct, rtol=1e-11, atol=1e-40)


@pytest.mark.parametrize("quark", ["u", "d"])
def test_heavy_mediator_is_contact_is_nsi(quark):
    """eps_q = g_nu g_q/(sqrt 2 G_F M^2) to the order 2 m T/M^2."""
    isotope, mass, g = CESIUM_IODIDE.isotopes[0], 1e5, 0.3
    charges = new.VectorCharges({"mu": 1.0}, float(quark == "u"), float(quark == "d"), 0.0)
    t = np.array([1e-3, 1e-2])
    light = g**2 * new.mediator_shift(t, isotope, charges, "mu", mass)
    strength = g**2 / (np.sqrt(2.0) * float(FERMI_CONSTANT) * mass**2)
    nsi = strength * new.nsi_charge(isotope, quark)
    correction = 2 * isotope.mass_mev * t.max() / mass**2
    np.testing.assert_allclose(light, nsi, rtol=2 * correction)
    assert np.all(light < nsi)


@pytest.mark.parametrize("flavour", ["e", "mu"])
@pytest.mark.parametrize("mediator", [0.01, 1.0])
@pytest.mark.parametrize("charges", [new.B_MINUS_L, new.UNIVERSAL], ids=["b_l", "universal"])
def test_electrons_by_exchange(flavour, mediator, charges):
    e, g, t = 0.4, 2e-7, 0.02
    bosons = [
        *electron(flavour),
        Boson(mediator, g * charges.neutrino[flavour], g * charges.electron),
    ]
    shift = g**2 * new.electron_mediator_shift(np.array([t]), charges, flavour, mediator)
    coupling = couplings(flavour)
    ours = (
        eves_coefficients([t], coupling)
        + new.electron_interference_coefficients([t], coupling, shift)
        + new.electron_squared_coefficients([t], shift)
    )
    value = differential(ours, [t], e, M_E)[0, 0]
    assert value == pytest.approx(exchange(bosons, e, t, M_E), rel=1e-9, abs=0)


@pytest.mark.parametrize("flavour", ["e", "mu", "tau"])
@pytest.mark.parametrize("step", [-0.1, 0.05])
def test_electron_mixing_angle_and_charge_radius(flavour, step):
    t = np.array([0.01, 0.1])
    for shift in (
        step * new.ELECTRON_WEAK_MIXING_SHIFT,
        (2 * step / new.charge_radius_coupling()) * new.charge_radius_coupling(),
    ):
        ours = (
            eves_coefficients(t, couplings(flavour))
            + new.electron_interference_coefficients(t, couplings(flavour), shift)
            + new.electron_squared_coefficients(t, shift)
        )
        direct = eves_coefficients(t, couplings(flavour, S2W + step))
        np.testing.assert_allclose(ours, direct, rtol=1e-10)


def scalar_cross_section(e_nu, t, mass, coupling, mediator):
    """[nu_R nu_L][f f] exchange with traces, averaged over the target's spins."""
    k, p, k_out, p_out = momenta(e_nu, t, mass)
    right = 0.5 * (np.eye(4) + GAMMA5)
    lepton = np.trace(slash(k_out) @ LEFT @ slash(k) @ right)
    target = np.trace((slash(p_out) + mass * np.eye(4)) @ (slash(p) + mass * np.eye(4)))
    square = coupling**2 * np.real(lepton * target) / (2 * mass * t + mediator**2) ** 2
    return 0.5 * square / (32 * np.pi * mass * e_nu**2)


@pytest.mark.parametrize("mediator", [0.1, 20.0])
def test_scalar_by_exchange(mediator):
    isotope, e = ARGON.isotopes[2], 30.0
    t = recoil(isotope, e, 0.4)
    ours = new.scalar_coefficients(np.array([t]), isotope, POINT, mediator)
    direct = scalar_cross_section(e, t, isotope.mass_mev, new.scalar_charge(isotope), mediator)
    assert differential(ours, [t], e, isotope.mass_mev)[0, 0] == pytest.approx(direct, rel=1e-9)
    ours = new.electron_scalar_coefficients(np.array([0.1]), mediator)
    direct = scalar_cross_section(0.4, 0.1, M_E, 1.0, mediator)
    assert differential(ours, [0.1], 0.4, M_E)[0, 0] == pytest.approx(direct, rel=1e-9, abs=0)


@pytest.mark.parametrize("q", [0.0, 30.0, 105.0, 1000.0])
def test_loop_integral(q):
    def integrand(x):
        y = x * (1 - x)
        return y * np.log((float(TAU_MASS) ** 2 + y * q**2) / (float(MUON_MASS) ** 2 + y * q**2))

    # 32 nodes: the logarithm bends on the scale m_mu/q of x
    assert float(new.loop_integral(q**2)) == pytest.approx(quad(integrand, 0, 1)[0], rel=2e-9)


def test_loop_sign_is_that_of_the_running_charge():
    """A source coupled to muons is screened like the muon's own charge.

    One loop lowers the charge of QED at low energy by e^2/(12 pi^2) ln(L^2/m^2) per lepton;
    the same loop with one vertex replaced by g Q' couples a proton to the new boson with
    -(e g Q' Q_l)/(12 pi^2) ln(L^2/m^2) e. The sum over mu (Q' = 1) and tau (-1) has no L.
    """
    e2 = 4 * np.pi * ALPHA
    for cutoff in (1e5, 1e7):
        total = 0.0
        for mass, charge in ((float(MUON_MASS), 1.0), (float(TAU_MASS), -1.0)):
            total += -e2 * charge * (-1.0) / (12 * np.pi**2) * np.log(cutoff**2 / mass**2)
        assert float(new.kinetic_mixing_charge(0.0, 1.0)) == pytest.approx(total, rel=1e-10, abs=0)


def test_l_mu_minus_l_tau():
    t, isotope = np.array([5e-3]), CESIUM_IODIDE.isotopes[0]
    shifts = {
        f: new.mediator_shift(t, isotope, new.L_MU_MINUS_L_TAU, f, 10.0)[0]
        for f in ("e", "mu", "tau")
    }
    assert shifts["e"] == 0.0
    assert shifts["mu"] == -shifts["tau"] > 0.0  # destructive for nu_mu: Q_V is negative
    # arXiv:2202.11002: sqrt(2) alpha g^2 Z eps(q)/(pi G_F (q^2 + M^2)), eps the loop integral
    q2 = 2 * isotope.mass_mev * t[0]
    expected = np.sqrt(2) * ALPHA * isotope.protons * new.loop_integral(q2)
    assert shifts["mu"] == pytest.approx(expected / (np.pi * G_F * (q2 + 100.0)), rel=1e-12)


def test_no_coupling_is_the_standard_model():
    t, isotope = np.array([1e-3, 1e-2]), ARGON.isotopes[2]
    ours = shifted(t, isotope, 0.0)
    assert np.array_equal(ours, cevns_coefficients(t, isotope, POINT))


def test_refusals():
    with pytest.raises(PhysicsError, match="mediator mass -1"):
        new.vector_propagator([1e-3], 1e4, -1.0)
    with pytest.raises(PhysicsError, match="unknown quark 's'; known: d, u"):
        new.nsi_charge(ARGON.isotopes[0], "s")
