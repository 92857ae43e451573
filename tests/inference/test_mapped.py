"""Polynomial signals: the chain rule and the equality with the workspace's own likelihood."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.errors import FitError
from histnu.core.polynomial import PolynomialMap
from histnu.inference import BatchedLikelihood, MappedLikelihood
from histnu.inference.engine.mapped import PolynomialTable
from tests.inference import examples

CUBIC = PolynomialMap(
    ("a", "b"),
    ("s", "t"),
    (
        ((2.0, {"a": 3}), (-1.0, {"a": 1, "b": 2}), (0.5, {})),
        ((1.0, {"b": 2}), (1.0, {"b": 2}), (3.0, {"a": 1, "b": 1})),
    ),
)


@pytest.mark.parametrize("polynomial", [CUBIC, examples.charge_polynomial()])
def test_compiled_polynomial_equals_the_map(polynomial: PolynomialMap) -> None:
    theta = np.random.default_rng(0).normal(size=(20, len(polynomial.parameters)))
    table = PolynomialTable(polynomial)
    value, first, second = table.derivatives(np.ascontiguousarray(theta.T))
    jacobian = np.zeros((20, len(polynomial.outputs), theta.shape[1]))
    for (k, i), row in zip(table.first_index, first, strict=True):
        jacobian[:, k, i] = row
    hessian = np.zeros((*jacobian.shape, theta.shape[1]))
    for (k, i, j), row in zip(table.second_index, second, strict=True):
        hessian[:, k, i, j] = hessian[:, k, j, i] = row
    # the same few products in another order
    np.testing.assert_allclose(value.T, polynomial(theta), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(jacobian, polynomial.jacobian(theta), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(hessian, polynomial.hessian(theta), rtol=1e-12, atol=1e-12)


def random_points(likelihood: MappedLikelihood, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    pars = np.tile(likelihood.init, (8 * count, 1))
    pars[:, : likelihood.n_theta] = 0.8 * rng.normal(size=(8 * count, likelihood.n_theta))
    pars[:, likelihood.n_theta :] += 0.4 * rng.normal(size=pars[:, likelihood.n_theta :].shape)
    pars = np.clip(pars, likelihood.bounds[:, 0], likelihood.bounds[:, 1])
    return pars[np.all(likelihood.expected(pars) > 0, axis=1)][:count]


def test_value_is_that_of_the_workspace_in_pyhf(charges: MappedLikelihood) -> None:
    pars = random_points(charges, 30)
    full = np.concatenate([charges.observation, charges.auxdata])
    reference = [-2 * charges.base.model.logpdf(x, full)[0] for x in charges.base_parameters(pars)]
    np.testing.assert_allclose(charges.twice_nll(pars, charges.observation), reference, rtol=1e-10)
    names = charges.polynomial.outputs
    columns = [charges.base.index(k) for k in names]
    np.testing.assert_allclose(
        charges.base_parameters(pars)[:, columns], charges.polynomial(pars[:, :6]), rtol=1e-12
    )


def test_derivatives_equal_finite_differences(charges: MappedLikelihood) -> None:
    pars = np.ascontiguousarray(random_points(charges, 20).T)
    observed = charges.observe(charges.observation)
    exact = charges.derivatives(pars, observed)
    step = 1e-5
    for i in range(len(pars)):
        up, down = pars.copy(), pars.copy()
        up[i] += step
        down[i] -= step
        slope = (charges.value(up, observed) - charges.value(down, observed)) / (2 * step)
        scale = 1 + np.abs(exact.hessian).max(axis=(0, 1))
        # step^2 times third derivatives, and rounding of the value over the step
        assert np.all(np.abs(slope - exact.gradient[i]) < 1e-6 * scale)
        above = charges.derivatives(up, observed).gradient
        below = charges.derivatives(down, observed).gradient
        error = np.abs((above - below) / (2 * step) - exact.hessian[i])
        assert np.all(error < 1e-6 * scale)


def test_wrong_maps_are_refused() -> None:
    base = BatchedLikelihood.from_workspace(examples.combined())
    with pytest.raises(FitError, match="'s', which is not a normfactor"):
        MappedLikelihood(base, CUBIC)
    same = PolynomialMap(("ac",), ("mu",), (((1.0, {"ac": 2}),),))
    with pytest.raises(FitError, match="'ac' is also a parameter"):
        MappedLikelihood(base, same)
    square = PolynomialMap(("g",), ("mu",), (((1.0, {"g": 2}),),))
    with pytest.raises(FitError, match="'x' is not a physical parameter"):
        MappedLikelihood(base, square, bounds={"x": (0, 1)})
    bounded = MappedLikelihood(base, square, bounds={"g": (0.0, 2.0)}, init={"g": 5.0})
    assert bounded.bounds[0].tolist() == [0.0, 2.0]
    assert bounded.init[0] == 2.0
    assert bounded.parameter_names[0] == "g"
    assert "mu" not in bounded.parameter_names
