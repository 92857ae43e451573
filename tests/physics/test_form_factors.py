"""Form factors: normalisation, series at small q, known zero of the diffraction pattern."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.constants import HBAR_C
from histnu.errors import PhysicsError
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
