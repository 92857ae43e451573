"""Polynomial maps: derivatives against finite differences, JSON, errors."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.errors import PhysicsError
from histnu.core.polynomial import PolynomialMap
from histnu.physics.models.millicharge import Millicharge


def test_derivatives_against_differences():
    p = Millicharge().polynomial
    theta = np.random.default_rng(1).normal(size=(4, 6))
    step = 1e-4
    eye = np.eye(6)
    numeric = np.stack([(p(theta + step * e) - p(theta - step * e)) / (2 * step) for e in eye], -1)
    # the polynomial is quadratic: central differences are exact up to rounding
    assert p.jacobian(theta) == pytest.approx(numeric, abs=1e-9)
    second = np.stack(
        [(p.jacobian(theta + step * e) - p.jacobian(theta - step * e)) / (2 * step) for e in eye],
        -1,
    )
    assert p.hessian(theta) == pytest.approx(second, abs=1e-9)


def test_json_round_trip():
    p = Millicharge().polynomial
    q = PolynomialMap.from_json(p.to_json())
    theta = np.random.default_rng(2).normal(size=(3, 6))
    assert np.array_equal(p(theta), q(theta))


def test_errors():
    with pytest.raises(PhysicsError, match="unknown parameter"):
        PolynomialMap(("a",), ("s",), (((1.0, {"b": 1}),),))
    with pytest.raises(PhysicsError, match="last axis must be 6"):
        Millicharge().polynomial([1.0])
