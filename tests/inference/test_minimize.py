"""Minima equal those of pyhf; bounds, kinks, saddles and undefined points are handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from histnu.core.errors import FitError
from histnu.inference import (
    BatchedLikelihood,
    FitOptions,
    MinimiseOptions,
    Problems,
    fit,
    minimise,
)
from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.linalg import newton_step
from histnu.inference.engine.problems import Met
from tests.inference import examples
from tests.inference.formulas import Formulas

Example = Callable[[str], BatchedLikelihood]

# Requirement on the profiled -2 log L. SLSQP with numerical gradients stops up to 1e-5 above
# the minimum, therefore the reference may be higher by that and must not be lower by more.
ABSOLUTE = 1e-7


def toys(likelihood: BatchedLikelihood, count: int, seed: int) -> tuple[Any, Any, Any]:
    """Return random counts, auxiliary data and tested values of the signal strength."""
    rng = np.random.default_rng(seed)
    pars = np.tile(likelihood.init, (count, 1))
    pars[:, likelihood.poi_index] = rng.uniform(0, 2.5, count)
    data = rng.poisson(likelihood.expected(pars)).astype(float)
    c = likelihood.compiled.constraints
    mean = likelihood.expected_auxdata(pars)
    aux = np.where(c.normal, rng.normal(mean, np.where(c.normal, c.scale, 1)), rng.poisson(mean))
    return data, aux, rng.uniform(0, 2.5, count)


def polished(likelihood: BatchedLikelihood, formulas: Formulas, tested: float) -> np.ndarray:
    """Return where SLSQP ends, restarted from its own result until it stops."""
    free = ~likelihood.fixed
    free[likelihood.poi_index] = False
    x = likelihood.init.copy()
    x[likelihood.poi_index] = tested

    def full(z: np.ndarray) -> np.ndarray:
        y = x.copy()
        y[free] = z
        return y

    best = np.inf
    for _ in range(3):
        found = minimize(
            lambda z: formulas.value(full(z)), x[free], jac=lambda z: formulas.slope(full(z))[free],
            method="SLSQP", bounds=likelihood.bounds[free],
            options={"ftol": 1e-13, "maxiter": 10000},
        )  # fmt: skip
        if found.fun > best - 1e-9:
            break
        best, x = found.fun, full(found.x)
    return x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "count"),
    # 1,000 random points over the shapes, fewer where pyhf is slow
    [("textbook", 550), ("correlated", 300), ("combined", 90), ("multichannel", 60)],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SLSQP leaves the bounds on its way
def test_profiled_likelihood_equals_pyhf(example: Example, shape: str, count: int) -> None:
    likelihood = example(shape)
    data, aux, tested = toys(likelihood, count, seed=10)
    observed = likelihood.observe(data, aux)
    found = fit(likelihood, observed, {"mu": tested})
    assert found.converged.all()
    everything = np.hstack([data, aux])

    def values(points: Any) -> np.ndarray:
        """pyhf's own -2 log L."""
        rows = zip(points, everything, strict=True)
        return np.array([-2 * likelihood.model.logpdf(x, d)[0] for x, d in rows])

    # the minimum is a value of pyhf's ...
    np.testing.assert_allclose(found.twice_nll, values(found.parameters), rtol=0, atol=1e-9)
    # ... and where a search with other formulas ends pyhf has the same
    formulas = Formulas(getattr(examples, shape)(), likelihood.model, data[0])
    rows = zip(data, aux, tested, strict=True)
    reference = values([polished(likelihood, formulas.observing(d, a), t) for d, a, t in rows])
    difference = reference - found.twice_nll
    assert difference.min() > -ABSOLUTE
    assert np.quantile(difference, 0.98) < ABSOLUTE
    # numerical gradients leave the rest of the references slightly above the minimum
    assert difference.max() < 1e-5


def test_gradient_vanishes_at_every_minimum(example: Example) -> None:
    for shape in ("textbook", "multichannel", "correlated", "combined"):
        likelihood = example(shape)
        data, aux, _ = toys(likelihood, 300, seed=11)
        found = fit(likelihood, likelihood.observe(data, aux))
        assert found.converged.all()
        gradient = likelihood.gradient(found.parameters, data, aux)
        low, high = likelihood.bounds.T
        free = ~likelihood.fixed & (found.parameters > low) & (found.parameters < high)
        assert np.abs(gradient[free]).max() < 1e-4  # EDM 1e-9 and the last Newton step
        assert np.all(gradient[~likelihood.fixed & (found.parameters <= low)] > -1e-4)
        assert np.all(gradient[~likelihood.fixed & (found.parameters >= high)] < 1e-4)


def test_a_fit_of_expected_data_returns_the_truth(example: Example) -> None:
    likelihood = example("combined")
    truth = likelihood.init.copy()
    truth[likelihood.index("mu")] = 1.7
    data = likelihood.expected(truth)[0]
    found = fit(likelihood, likelihood.observe(data))
    np.testing.assert_allclose(found.parameters[0], truth, atol=1e-6)  # EDM of 1e-9 or better


def test_chunks_do_not_change_the_result(example: Example) -> None:
    likelihood = example("correlated")
    data, aux, tested = toys(likelihood, 60, seed=12)
    observed = likelihood.observe(data, aux)
    problems = Problems.make(likelihood, 60, {"mu": tested})
    one = minimise(likelihood, observed, problems, MinimiseOptions(chunk=60))
    many = minimise(likelihood, observed, problems, MinimiseOptions(chunk=7))
    np.testing.assert_allclose(one.twice_nll, many.twice_nll, rtol=0, atol=1e-9)
    np.testing.assert_allclose(one.parameters, many.parameters, rtol=0, atol=1e-6)


def test_fixed_parameters_per_problem_and_all_fixed(example: Example) -> None:
    likelihood = example("textbook")
    observed = likelihood.observe(likelihood.observation)
    held = dict(zip(likelihood.parameter_names, [0.5, 1.1, 0.9], strict=True))
    found = fit(likelihood, observed, held)
    expected = likelihood.twice_nll([0.5, 1.1, 0.9], likelihood.observation)
    assert found.twice_nll[0] == pytest.approx(expected[0], abs=1e-12)
    assert found.converged.all()


def test_kinks_of_code_0_and_1_end_on_the_kink() -> None:
    codes = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code0"}}
    likelihood = BatchedLikelihood.from_workspace(examples.correlated(), None, codes)
    assert len(likelihood.kinks) == 3
    data, aux, tested = toys(likelihood, 300, seed=13)
    observed = likelihood.observe(data, aux)
    found = fit(likelihood, observed, {"mu": tested}, None, FitOptions())
    assert found.converged.all()
    # no neighbour within a small step is lower: also true on a kink, where the gradient jumps
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2, 0.3):
        shift = rng.normal(size=found.parameters.shape) * size
        shift[:, likelihood.poi_index] = 0
        near = likelihood.twice_nll(found.parameters + shift, data, aux)
        assert np.all(near > found.twice_nll - 1e-8)


def test_a_saddle_point_is_left(charges: Any) -> None:
    start = charges.init.copy()
    start[:6] = 0.0  # transition charges enter squared: zero is stationary
    held = dict.fromkeys(charges.parameter_names[:3], 0.0)
    more = charges.observation * 1.5  # an excess, which wants squared terms
    observed = charges.observe(more)
    problems = Problems.make(charges, 1, held, start)
    result = minimise(charges, observed, problems)
    at_zero = minimise(
        charges,
        observed,
        Problems.make(charges, 1, dict.fromkeys(charges.parameter_names[:6], 0.0)),
    )
    assert result.twice_nll[0] < at_zero.twice_nll[0] - 1.0


def test_an_undefined_start_falls_back_and_an_undefined_problem_is_reported() -> None:
    document = examples.combined()
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    found = fit(likelihood, observed, {"mu": [-50.0, 0.5]})
    assert not found.converged[0]
    assert np.isposinf(found.twice_nll[0])
    assert found.converged[1]
    assert np.isfinite(found.parameters).all()


def test_unconverged_fits_are_finished_by_migrad(example: Example) -> None:
    likelihood = example("combined")
    observed = likelihood.observe(likelihood.observation)
    problems = Problems.make(likelihood, 2, {"mu": [0.0, 2.0]})
    exact = minimise(likelihood, observed, problems)
    cut = minimise(likelihood, observed, problems, MinimiseOptions(max_iterations=1))
    assert cut.migrad.all()
    assert cut.converged.all()
    # MIGRAD stops at an EDM of 2e-7
    np.testing.assert_allclose(cut.twice_nll, exact.twice_nll, rtol=0, atol=1e-6)
    left = minimise(likelihood, observed, problems, MinimiseOptions(max_iterations=1, migrad=False))
    assert not left.converged.any()


def test_bad_problems_are_refused(example: Example) -> None:
    likelihood = example("textbook")
    with pytest.raises(FitError, match="no parameter 'x'"):
        Problems.make(likelihood, 1, {"x": 1.0})
    with pytest.raises(FitError, match="give one finite value or 2"):
        Problems.make(likelihood, 2, {"mu": [1.0, 2.0, 3.0]})
    with pytest.raises(FitError, match="start has shape"):
        Problems.make(likelihood, 2, None, [1.0])
    observed = likelihood.observe(np.ones((3, 2)))
    with pytest.raises(FitError, match="3 data sets but 2 problems"):
        minimise(likelihood, observed, Problems.make(likelihood, 2))


@given(
    st.integers(1, 30).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, 2**31))),
    st.booleans(),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
def test_newton_step_solves_the_moving_block(size: tuple[int, int], definite: bool) -> None:
    m, seed = size
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(5, m, m))
    h = a @ a.transpose(0, 2, 1) + 0.1 * np.eye(m)
    if not definite:
        h -= 3 * np.eye(m) * np.trace(h, axis1=1, axis2=2)[:, None, None] / m
    g, move = 0.1 * rng.normal(size=(m, 5)), rng.random((m, 5)) < 0.8
    out = newton_step(Hessian(np.moveaxis(h, 0, -1)), g, move, np.zeros(5))
    assert np.all(out.step[~move] == 0)
    assert np.all((out.step * g).sum(axis=0) <= 1e-12)  # never uphill
    for p in range(5):
        k = np.flatnonzero(move[:, p])
        if definite and len(k) and np.abs(out.step[:, p]).max() * np.sqrt(h[p].max()) < 5:
            exact = -np.linalg.solve(h[p][np.ix_(k, k)], g[k, p])
            np.testing.assert_allclose(out.step[k, p], exact, rtol=1e-6, atol=1e-9)


def product() -> BatchedLikelihood:
    """Two bins with 10 and 7 events: 12 f s + 9 and 4 f + 9 are expected."""
    background = {
        "name": "b", "data": [12.0],
        "modifiers": [
            {"name": "f", "type": "normfactor", "data": None},
            {"name": "s", "type": "shapefactor", "data": None},
        ],
    }  # fmt: skip
    other = {"name": "o", "data": [4.0], "modifiers": [{"name": "f", "type": "normfactor",
             "data": None}]}  # fmt: skip
    certain = {"name": "c", "data": [9.0], "modifiers": []}
    return BatchedLikelihood.from_workspace({
        "channels": [
            {"name": "free", "samples": [background, certain]},
            {"name": "empty", "samples": [other, certain]},
        ],
        "observations": [{"name": "free", "data": [10.0]}, {"name": "empty", "data": [7.0]}],
        "measurements": [{"name": "m", "config": {"poi": "f", "parameters": [
            {"name": "s", "bounds": [[0.0, 10.0]], "inits": [1.0]},
        ]}}],
        "version": "1.0.0",
    })  # fmt: skip


@pytest.mark.parametrize("start", [0.05, 0.2])
def test_a_plateau_of_idle_parameters_is_left(start: float) -> None:
    """At f = 0 the shapefactor s does nothing, and f = 0 is a minimum for small s only.

    -2 log L = 2 [12 f s + 9 - 10 log(12 f s + 9) + 4 f + 9 - 7 log(4 f + 9)] + const. Its slope
    in f at 0 is 2 [12 s (1 - 10/9) + 4 (1 - 7/9)], negative for s > 2/3 only. The minimum has s
    at its bound, 10, where f solves 120 (1 - 10 / (120 f + 9)) + 4 (1 - 7 / (4 f + 9)) = 0.
    """
    from scipy.optimize import brentq

    likelihood = product()
    at = {"f": 0.0, "s[0]": start}
    found = minimise(
        likelihood,
        likelihood.observe(likelihood.observation),
        Problems.make(likelihood, 1, None, [at[n] for n in likelihood.parameter_names]),
    )
    f = brentq(lambda f: 120 * (1 - 10 / (120 * f + 9)) + 4 * (1 - 7 / (4 * f + 9)), 0, 1)
    named = dict(zip(likelihood.parameter_names, found.parameters[0], strict=True))
    assert found.converged[0]
    assert named["s[0]"] == 10.0
    assert named["f"] == pytest.approx(f, rel=1e-6)  # edm 1e-9 at a curvature of 3e3


def test_a_start_ends_where_another_has_come_to(example: Example) -> None:
    """The same minimum to the last digit, in fewer steps; alone it is within 1e-8 in -2 log L."""
    likelihood = example("multichannel")
    observed = likelihood.observe(likelihood.observation)
    one = Problems.make(likelihood, 1)
    first = minimise(likelihood, observed, one)
    start = one.start + 0.3
    alone = minimise(likelihood, observed, Problems(start, one.fixed))
    met = minimise(likelihood, observed, Problems(start, one.fixed, met=Met.of(first, 1)))
    assert met.iterations[0] < alone.iterations[0]
    assert np.array_equal(met.parameters, first.parameters) and met.converged.all()
    assert abs(alone.twice_nll[0] - first.twice_nll[0]) < 1e-8


def test_a_start_that_leads_elsewhere_is_not_ended() -> None:
    """Two minima of a background that a normsys raises on both sides, at about -1.5 and 1.5."""
    sample = {
        "name": "background", "data": [20.0],
        "modifiers": [
            {"name": "rate", "type": "normsys", "data": {"lo": 1.5, "hi": 1.55}},
            {"name": "mu", "type": "normfactor", "data": None},
        ],
    }  # fmt: skip
    likelihood = BatchedLikelihood.from_workspace(
        examples.workspace({"c": [sample]}, {"c": [44.0]}, "mu")
    )
    observed = likelihood.observe(likelihood.observation)
    rate, fixed = likelihood.index("rate"), {"mu": 1.0}
    low, high = (Problems.make(likelihood, 1, fixed) for _ in range(2))
    low.start[rate], high.start[rate] = -1.0, 1.0
    first = minimise(likelihood, observed, low)
    known = Problems(high.start, high.fixed, met=Met.of(first, 1))
    second = minimise(likelihood, observed, known)
    assert first.parameters[0, rate] < -0.5 < 0.5 < second.parameters[0, rate]
    assert second.twice_nll[0] < first.twice_nll[0] - 0.1
