"""Cross sections on electrons: limits, independent traces, independent quadrature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from histnu.core.constants import ELECTRON_MASS, FERMI_CONSTANT, FINE_STRUCTURE
from histnu.core.errors import PhysicsError
from histnu.physics import cross_sections as xs
from histnu.physics import electron_scattering as es
from histnu.physics.cross_sections import differential
from histnu.physics.electrons import ELECTRON, XENON_SHELLS
from histnu.physics.kinematics import e_nu_min_mev, e_recoil_max_mev
from histnu.physics.nuclei import XENON, Material
from histnu.sources.solar import solar_source

M = float(ELECTRON_MASS)
GF = float(FERMI_CONSTANT)
ALPHA = float(FINE_STRUCTURE)

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)
ONE, ZERO = np.eye(2), np.zeros((2, 2))
GAMMA = [np.block([[ONE, ZERO], [ZERO, -ONE]])]
GAMMA += [np.block([[ZERO, s], [-s, ZERO]]) for s in PAULI]
METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
IDENTITY = np.eye(4)


def slash(p: np.ndarray) -> np.ndarray:
    return sum(METRIC[i, i] * p[i] * GAMMA[i] for i in range(4))


def momenta(e: float, t: float, m4: float) -> tuple[np.ndarray, ...]:
    """Four-momenta k, p, k', p' of nu(k) e(p) -> N(k') e(p') with the electron at rest."""
    pf = np.sqrt(t * (t + 2 * M))
    kf = e - t
    cos = (e**2 + pf**2 - (kf**2 - m4**2)) / (2 * e * pf)
    assert abs(cos) <= 1.0
    k = np.array([e, 0, 0, e])
    p = np.array([M, 0, 0, 0])
    after = np.array([M + t, pf * np.sqrt(1 - cos**2), 0, pf * cos])
    return k, p, k + p - after, after


def squared(vertex: list, electron: list, e: float, t: float, m4: float) -> float:
    """Sum of |M|^2 over spins for the product of a neutrino and an electron current."""
    k, p, k1, p1 = momenta(e, t, m4)

    def bar(x: np.ndarray) -> np.ndarray:
        return GAMMA[0] @ x.conj().T @ GAMMA[0]

    total = 0.0
    for a in range(4):
        for b in range(4):
            left = (slash(k1) + m4 * IDENTITY) @ vertex[a] @ slash(k) @ bar(vertex[b])
            right = (slash(p1) + M * IDENTITY) @ electron[a]
            right = right @ (slash(p) + M * IDENTITY) @ bar(electron[b])
            total += METRIC[a, a] * METRIC[b, b] * (np.trace(left) * np.trace(right)).real
    return total


def cross_section(amplitude: float, e: float) -> float:
    """``d sigma/dT = |M|^2/(32 pi m E^2)`` with the sum over spins averaged over the electron's."""
    return 0.5 * amplitude / (32.0 * np.pi * M * e**2)


def traced_weak(e: float, t: float, coupling: es.ElectronCoupling, charge: float) -> float:
    """EvES with photon exchange of a charged neutrino added to the vector current."""
    neutrino = [g @ (IDENTITY - GAMMA5) for g in GAMMA]
    vector = coupling.g_v + charge
    electron = [g @ (vector * IDENTITY - coupling.g_a * GAMMA5) for g in GAMMA]
    return cross_section(0.5 * GF**2 * squared(neutrino, electron, e, t, 0.0), e)


def traced_dipole(e: float, t: float, m4: float, mu: float) -> float:
    """Upscattering by (mu/2) N sigma nu F, from traces; left-handed neutrinos only."""
    k, _, k1, _ = momenta(e, t, m4)
    q = k - k1
    lower = METRIC @ q
    sigma = [
        sum(0.5j * (GAMMA[a] @ GAMMA[b] - GAMMA[b] @ GAMMA[a]) * lower[b] for b in range(4))
        for a in range(4)
    ]
    chiral = [s @ (IDENTITY - GAMMA5) / 2.0 for s in sigma]
    strength = mu * np.sqrt(4 * np.pi * ALPHA) / (2.0 * M)  # mu in Bohr magnetons e/(2 m_e)
    charge = np.sqrt(4 * np.pi * ALPHA)
    q2 = float(q @ METRIC @ q)
    amplitude = strength**2 * charge**2 / q2**2 * squared(chiral, GAMMA, e, t, m4)
    return cross_section(amplitude, e)


POINTS = [(0.3, 0.005), (0.862, 0.05), (0.862, 0.6), (2.0, 1.5), (9.0, 0.2)]


@pytest.mark.parametrize("flavour", ["e", "mu"])
@pytest.mark.parametrize(("e", "t"), POINTS)
def test_eves_is_the_square_of_the_amplitude(flavour: str, e: float, t: float) -> None:
    coupling = es.couplings(flavour)
    model = differential(es.eves_coefficients([t], coupling), [t], [e], M)[0, 0]
    # two analytic forms of one expression, cancelling to about 1e-3: 1e-10 is rounding
    assert model == pytest.approx(traced_weak(e, t, coupling, 0.0), rel=1e-10, abs=0)


@pytest.mark.parametrize("charge", [2e-12, -2e-12])
@pytest.mark.parametrize("flavour", ["e", "tau"])
@pytest.mark.parametrize(("e", "t"), POINTS)
def test_millicharge_is_a_shift_of_the_vector_coupling(
    flavour: str, charge: float, e: float, t: float
) -> None:
    coupling = es.couplings(flavour)
    photon = 2 * np.sqrt(2) * np.pi * ALPHA * charge / (GF * -2.0 * M * t)
    terms = es.eves_coefficients([t], coupling)
    terms = terms + charge / 1e-12 * es.millicharge_linear_coefficients([t], coupling, 1e-12)
    terms = terms + (charge / 1e-12) ** 2 * es.millicharge_squared_coefficients([t], 1e-12)
    model = differential(terms, [t], [e], M)[0, 0]
    assert model == pytest.approx(traced_weak(e, t, coupling, photon), rel=1e-9, abs=0)


def dipole(t, m4: float) -> np.ndarray:
    """Coefficients of a dipole of 1e-11 mu_B on an electron."""
    return 1e-4 * xs.sterile_dipole_coefficients(t, ELECTRON, xs.Electroweak(), m4)


def moment(t) -> np.ndarray:
    """Coefficients of a moment of 1e-11 mu_B on an electron."""
    return 1e-4 * xs.magnetic_moment_coefficients(t, ELECTRON, xs.Electroweak())


@pytest.mark.parametrize("m4", [0.0, 0.05, 0.2, 0.4])
@pytest.mark.parametrize(("e", "t"), [(0.862, 0.1), (0.862, 0.3), (2.0, 0.7), (9.0, 0.2)])
def test_dipole_is_exact_for_a_light_spin_half_target(m4: float, e: float, t: float) -> None:
    coefficients = dipole([t], m4)
    model = differential(coefficients, [t], [e], M, m4)[0, 0]
    assert model > 0
    assert model == pytest.approx(traced_dipole(e, t, m4, 1e-11), rel=1e-9, abs=0)


def test_sign_of_the_interference() -> None:
    t = np.geomspace(1e-4, 0.2, 30)
    e = [0.862]
    plus = {
        f: differential(es.millicharge_linear_coefficients(t, es.couplings(f), 1e-12), t, e, M)[
            :, 0
        ]
        for f in ("e", "mu")
    }
    # A positive charge attracts the electrons that the weak interaction of nu_e repels.
    assert np.all(plus["e"] < 0) and np.all(plus["mu"] > 0)


def test_millicharge_squared_in_its_electromagnetic_form() -> None:
    t, e, q = 0.01, 0.862, 3e-12
    model = differential(es.millicharge_squared_coefficients([t], q), [t], [e], M)[0, 0]
    bracket = 1.0 + (1.0 - t / e) ** 2 - M * t / e**2
    assert model == pytest.approx(np.pi * ALPHA**2 * q**2 / (M * t**2) * bracket, rel=1e-12, abs=0)


def test_magnetic_moment_term_and_massless_dipole() -> None:
    t = np.array([1e-3, 0.05, 0.3])
    expected = np.pi * ALPHA**2 / M**2 * 1e-22 * (1.0 / t - 1.0 / 0.862)
    model = differential(moment(t), t, [0.862], M)[:, 0]
    assert np.allclose(model, expected, rtol=1e-12, atol=0)
    light = differential(dipole(t, 1e-6), t, [0.862], M, 1e-6)
    # corrections are of relative order m4^2 m_e/(E^2 T) = 1e-9
    assert np.allclose(light[:, 0], model, rtol=1e-8, atol=0)


def test_total_eves_cross_section_of_a_line() -> None:
    # Bahcall, Kamionkowski, Sirlin, PRD 51 (1995) 6146: sigma(nu_e, 0.862 MeV) = 5.79e-45 cm^2
    # and sigma(nu_mu) = 1.28e-45 cm^2 with sin^2 = 0.2317 and radiative corrections of 2 to 3 %.
    e = 0.862
    edge = float(e_recoil_max_mev(e, M))
    for flavour, published in (("e", 5.79e-45), ("mu", 1.28e-45)):
        coupling = es.couplings(flavour, 0.2317)
        total = quad(
            lambda t, c=coupling: differential(es.eves_coefficients([t], c), [t], [e], M)[0, 0],
            1e-9,
            edge,
            epsabs=0,
        )[0]
        assert total * (197.3269804e-13) ** 2 == pytest.approx(published, rel=0.03, abs=0)


def test_nothing_beyond_the_kinematic_edge() -> None:
    edge = float(e_recoil_max_mev(0.862, M))
    t = np.array([0.999, 1.001]) * edge
    value = differential(es.eves_coefficients(t, es.couplings("e")), t, [0.862], M)[:, 0]
    assert value[0] > 0 and value[1] == 0


@pytest.mark.parametrize("m4", [0.05, 0.2, 0.5])
def test_upscattering_vanishes_outside_its_own_kinematics(m4: float) -> None:
    # s >= (m + m4)^2 gives E >= m4 + m4^2/(2 m); E_min(T) has its minimum there
    t = np.geomspace(1e-4, 5.0, 20001)
    lowest = float(e_nu_min_mev(t, M, m4).min())
    assert lowest == pytest.approx(m4 + m4**2 / (2 * M), rel=1e-6)
    # the nuclear limit E_min = sqrt(m T/2) + m4^2/sqrt(8 m T) (T << m) would be wrong here
    nuclear = np.sqrt(M * t / 2) + m4**2 / np.sqrt(8 * M * t)
    assert abs(float(nuclear.min()) / lowest - 1) > 0.04


@pytest.mark.parametrize(
    "component", ["be7_862", *(pytest.param(k, marks=pytest.mark.slow) for k in ("pp", "n13"))]
)
@pytest.mark.parametrize("m4", [0.0, 0.15])
def test_rate_against_adaptive_quadrature(component: str, m4: float) -> None:
    source = solar_source(component)
    flux, p = source.flux, source.probabilities["mu"]
    t_kev = np.array([1.3, 7.0, 28.0])
    rate = es.electron_recoil_spectrum(lambda t: dipole(t, m4), source, "mu", XENON, t_kev, m4)
    atoms = 6.02214076e23 / XENON.molar_mass_g * 1e6
    for t, value in zip(t_kev * 1e-3, rate, strict=True):
        low = float(e_nu_min_mev(t, M, m4))

        def integrand(e: float, t: float = t) -> float:
            sigma = differential(dipole([t], m4), [t], [e], M, m4)[0, 0]
            return sigma * np.interp(e, flux.e_nu_mev, flux.shape_per_mev * p)

        if flux.is_line:
            line = flux.e_nu_mev[0]
            allowed = line >= low
            coefficients = dipole([t], m4)
            integral = allowed * (coefficients[:, 0] @ line ** -np.arange(3.0)) * p[0]
        else:
            nodes = [low, *flux.e_nu_mev[flux.e_nu_mev > low]]
            pieces = [quad(integrand, a, b, epsrel=1e-10)[0] for a, b in pairwise(nodes)]
            integral = sum(pieces)
        electrons = sum(
            n
            for b, n in zip(XENON_SHELLS.binding_kev, XENON_SHELLS.electrons, strict=True)
            if b <= t * 1e3
        )
        scale = (197.3269804e-13) ** 2 * 1e-3 * 365.25 * 86400 * atoms * electrons
        # the moments are exact for the same linear segments: 1e-6 is far above rounding
        assert value == pytest.approx(flux.total_cm2_s * scale * integral, rel=1e-6)


def test_errors() -> None:
    with pytest.raises(PhysicsError, match="recoil energies must be positive"):
        es.eves_coefficients([0.0], es.couplings("e"))
    with pytest.raises(PhysicsError, match=r"m4 = -1.0 MeV must be finite and >= 0"):
        dipole([1e-3], -1.0)
    with pytest.raises(PhysicsError, match="unknown flavour 'x'; known: e, mu, tau"):
        es.couplings("x")
    other = Material("unobtainium", XENON.isotopes, "none")
    with pytest.raises(
        PhysicsError, match="no binding energies for 'unobtainium'; known: cesium_iodide, xenon"
    ):
        es.electron_recoil_spectrum(
            lambda t: moment(t),
            solar_source("pep"),
            "e",
            other,
            [1.0],
        )


def test_shells_of_cesium_iodide() -> None:
    """Half of a pair: 54 electrons; K shells of Cs and I open at 35.985 and 33.169 keV."""
    from histnu.physics.electrons import CESIUM_SHELLS, IODINE_SHELLS, shells
    from histnu.physics.nuclei import material

    assert (CESIUM_SHELLS.total, IODINE_SHELLS.total) == (55, 53)
    both = shells(material("cesium_iodide"))
    assert both.total == 54.0
    at = both.effective_electrons([33.168, 33.17, 35.984, 35.986])
    np.testing.assert_allclose(at, [52.0, 53.0, 53.0, 54.0])
