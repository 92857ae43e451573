"""Form factors: normalisation, series at small q, known zero of the diffraction pattern."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from histnu.core.constants import HBAR_C
from histnu.core.errors import PhysicsError
from histnu.physics.form_factors import (
    FORM_FACTORS,
    form_factor,
    helm,
    helm_charge,
    helm_rms,
    klein_nystrand,
)


@pytest.mark.parametrize("name", sorted(FORM_FACTORS))
def test_normalised_and_finite(name):
    q = np.concatenate([[0.0], np.geomspace(1e-8, 500.0, 400)])
    f = form_factor(name)(q, 132)
    assert f[0] == 1.0
    assert np.all(np.isfinite(f))
    assert np.all(np.abs(f) <= 1.0)


def test_klein_nystrand_radius():
    # F = 1 - q^2 <r^2>/6 + ..., with <r^2> = 3/5 R_A^2 + 6 a^2 for Eq. 3
    q, a = 1.0, 131
    radius = 1.23 * a ** (1 / 3)
    mean_square = 0.6 * radius**2 + 6 * 0.7**2
    slope = (1.0 - klein_nystrand(q, a)) / (q / float(HBAR_C)) ** 2
    # the next term of the series is O((qR)^2) = 1e-3 relative
    assert slope == pytest.approx(mean_square / 6.0, rel=2e-3)


def test_klein_nystrand_first_zero():
    # j1(x) vanishes first at x = 4.493409458
    a = 132
    q0 = 4.493409457909064 / (1.23 * a ** (1 / 3)) * float(HBAR_C)
    assert klein_nystrand(q0, a) == pytest.approx(0.0, abs=1e-12)


def woods_saxon_mean_square_fm2(nucleons):
    """``<r^2>`` of the Fermi density 1/(1 + exp((r - c)/a)) by adaptive quadrature."""
    c, a = 1.23 * nucleons ** (1 / 3) - 0.60, 0.52
    moments = [
        quad(lambda r, n=n: r**n / (1.0 + np.exp((r - c) / a)), 0.0, c + 40 * a, points=[c])[0]
        for n in (2, 4)
    ]
    return moments[1] / moments[0]


@pytest.mark.parametrize("nucleons", [40, 73, 132])
def test_helm_has_the_mean_square_radius_of_the_charge_density(nucleons):
    """Lewin and Smith choose r_n so: 3/5 r_n^2 + 3 s^2 is the <r^2> of the Fermi density."""
    q = 1.0
    slope = (1.0 - float(helm(q, nucleons))) / (q / float(HBAR_C)) ** 2
    # the next term of the series is O((qR)^2) = 1e-3; the closed form of <r^2> (4.11) leaves out
    # terms of exp(-c/a) < 1e-3. The skin alone is 6 s^2 = 4.9 fm^2 of 23 fm^2
    expected = woods_saxon_mean_square_fm2(nucleons) / 6.0
    assert slope == pytest.approx(expected, rel=2e-3)


def smeared_sphere(r_fm, radius_fm, skin_fm):
    """Density at r of a homogeneous sphere folded with a Gaussian, relative to the inside.

    The angular integral of the folding is done: ``rho(r) = integral_0^R dx x/(r s sqrt(2 pi))
    [exp(-(r - x)^2/(2 s^2)) - exp(-(r + x)^2/(2 s^2))]``.
    """
    x, w = np.polynomial.legendre.leggauss(200)
    x, w = 0.5 * radius_fm * (x + 1.0), 0.5 * radius_fm * w
    r = np.asarray(r_fm)[:, None]
    kernel = np.exp(-((r - x) ** 2) / (2 * skin_fm**2)) - np.exp(-((r + x) ** 2) / (2 * skin_fm**2))
    return (x / (r * skin_fm * np.sqrt(2 * np.pi)) * kernel) @ w


@pytest.mark.parametrize("q_mev", [5.0, 25.0, 60.0, 150.0])
def test_helm_is_the_transform_of_its_density(q_mev):
    """F(q) = 4 pi/q integral r rho(r) sin(q r) dr of the density, both integrals numerical."""
    nucleons, skin = 132, 0.9
    # the radius comes from the mean square of the Fermi density, not from the formula under test
    mean_square = woods_saxon_mean_square_fm2(nucleons)
    radius = np.sqrt(5.0 / 3.0 * (mean_square - 3.0 * skin**2))
    x, w = np.polynomial.legendre.leggauss(400)
    end = radius + 9.0 * skin
    r, w = 0.5 * end * (x + 1.0), 0.5 * end * w
    density = smeared_sphere(r, radius, skin)
    q = q_mev / float(HBAR_C)
    transform = w @ (r * density * np.sin(q * r)) / q / (w @ (r**2 * density))
    # the mean squares agree to 1e-4 (terms of exp(-c/a)), which F multiplies by q^2 <r^2>/6 <= 2.3
    assert float(helm(q_mev, nucleons)) == pytest.approx(transform, abs=5e-4)


def test_helm_and_klein_nystrand_agree_at_8b_momenta():
    # |q| <= 25 MeV for 8B on xenon: the parametrisations differ by less than 1 % in F
    q = np.linspace(0, 25, 50)
    assert np.max(np.abs(helm(q, 132) / klein_nystrand(q, 132) - 1)) < 0.01


def test_unknown_name():
    with pytest.raises(PhysicsError, match="unknown form factor 'gauss'; known: helm"):
        form_factor("gauss")


def test_helm_rms_radius():
    # F = 1 - q^2 R^2/6 + ... defines the rms radius; the next term is O((qR)^2) = 1e-3
    slope = (1.0 - helm_rms(1.0, 4.8)) * float(HBAR_C) ** 2
    assert slope == pytest.approx(4.8**2 / 6.0, rel=2e-3)
    assert np.array_equal(helm_charge([1.0, 50.0], 133), helm_rms([1.0, 50.0], 4.8041))


def test_helm_refusals():
    with pytest.raises(PhysicsError, match=r"rms radius 1\.5 fm must exceed 1\.559 fm"):
        helm_rms(1.0, 1.5)
    with pytest.raises(PhysicsError, match="no charge radius for A = 56"):
        helm_charge(1.0, 56)
