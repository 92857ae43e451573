"""The global search finds the minimum that brute force finds, on hard cases too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from histnu.core.polynomial import PolynomialMap
from histnu.inference import (
    BatchedLikelihood,
    MappedLikelihood,
    Problems,
    fit,
    interval,
    minimise,
    profile,
    relaxed_minimum,
)
from histnu.inference.engine.global_min import GlobalOptions, design, reduction
from tests.inference import examples


def _counting(signals: dict[str, list[float]], background: list[float], seen: list[float]) -> Any:
    """Return one channel with signals of free strength and a 10 % background uncertainty."""
    samples = [
        {
            "name": name,
            "data": data,
            "modifiers": [{"name": name, "type": "normfactor", "data": None}],
        }
        for name, data in signals.items()
    ]
    rate = {"name": "rate", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
    samples.append({"name": "background", "data": background, "modifiers": [rate]})
    wide = [{"name": n, "bounds": [[-1e6, 1e6]], "inits": [0.0]} for n in signals]
    return examples.workspace({"c": samples}, {"c": seen}, next(iter(signals)), wide)


@pytest.fixture(scope="module")
def two_minima() -> MappedLikelihood:
    """Return lin = g, sq = g^2 with an excess that two couplings explain unequally well."""
    document = _counting(
        {"lin": [-9.0, -6.0, -2.0], "sq": [3.0, 2.5, 1.5]}, [50.0, 40.0, 30.0], [60.0, 47.0, 36.0]
    )
    square = PolynomialMap(("g",), ("lin", "sq"), (((1.0, {"g": 1}),), ((1.0, {"g": 2}),)))
    return MappedLikelihood(BatchedLikelihood.from_workspace(document), square)


def test_two_minima_of_one_coupling(two_minima: MappedLikelihood) -> None:
    observed = two_minima.observe(two_minima.observation)
    starts = np.array([[x, 0.0] for x in np.linspace(-6, 9, 61)])
    local = minimise(two_minima, observed, Problems.make(two_minima, 61, None, starts))
    minima = np.unique(np.round(local.twice_nll[local.converged], 6))
    assert len(minima) >= 2  # the test is not trivial
    found = fit(two_minima, observed, None, starts[-1])
    assert found.twice_nll[0] == pytest.approx(local.twice_nll.min(), abs=1e-8)


def test_region_of_two_minima_is_reported_whole(two_minima: MappedLikelihood) -> None:
    limit = interval(two_minima, None, "g")
    assert limit.lower is not None and limit.upper is not None
    assert len(limit.other_roots) == 2  # a gap between the two regions
    roots = [limit.lower, *limit.other_roots, limit.upper]
    at = profile(two_minima, None, "g", roots).delta_twice_nll
    np.testing.assert_allclose(at, limit.threshold, atol=1e-7)
    inner = profile(two_minima, None, "g", [np.mean(limit.other_roots)]).delta_twice_nll[0]
    assert inner > limit.threshold


def test_reduced_variables_count_what_the_data_see(charges: MappedLikelihood) -> None:
    # e: two templates; mu and tau: two templates in common
    assert reduction(charges).shape == (4, 6)
    points = design(charges, reduction(charges), GlobalOptions())
    again = design(charges, reduction(charges), GlobalOptions())
    np.testing.assert_array_equal(points, again)  # deterministic


def _brute(likelihood: MappedLikelihood, held: dict[str, float], data: Any, starts: int) -> float:
    """Return the lowest of many random restarts of scipy on pyhf's own logpdf."""
    rng = np.random.default_rng(5)
    n = len(likelihood.init)
    fixed = {likelihood.index(k): v for k, v in held.items()}
    free = [i for i in range(n) if i not in fixed]
    full = np.concatenate([data, likelihood.auxdata])
    model = likelihood.base.model

    def objective(values: Any) -> float:
        x = np.empty(n)
        x[free] = values
        for i, v in fixed.items():
            x[i] = v
        with np.errstate(all="ignore"):
            value = -2 * model.logpdf(likelihood.base_parameters(x)[0], full)[0]
        return float(value) if np.isfinite(value) else 1e6

    best = np.inf
    for _ in range(starts):
        x0 = likelihood.init.copy()
        x0[: likelihood.n_theta] = rng.normal(size=likelihood.n_theta) * 3
        bounds = [tuple(b) for b in likelihood.bounds[free]]
        out = scipy_minimize(objective, x0[free], bounds=bounds, method="L-BFGS-B")
        best = min(best, float(out.fun))
    return best


@pytest.mark.slow
def test_charges_against_brute_force(charges: MappedLikelihood) -> None:
    rng = np.random.default_rng(3)
    for held in ({}, {"q_ee": -2.0}, {"q_emu": 3.0}, {"q_mumu": 4.0, "q_ee": 2.0}):
        data = rng.poisson(charges.observation).astype(float)
        found = fit(charges, charges.observe(data), held)
        brute = _brute(charges, held, data, starts=3)
        assert found.converged.all()
        assert found.twice_nll[0] < brute + 1e-7
        assert found.twice_nll[0] > brute - 1e-2  # L-BFGS-B with numerical gradients


@pytest.mark.slow
def test_many_random_restarts_do_not_beat_a_scan(charges: MappedLikelihood) -> None:
    rng = np.random.default_rng(4)
    values = np.linspace(-6, 6, 40)
    observed = charges.observe(charges.observation)
    for name in ("q_ee", "q_emu", "q_mutau"):
        scan = fit(charges, observed, {name: values})
        assert scan.converged.all()
        for _ in range(6):
            start = np.tile(charges.init, (40, 1))
            start[:, :6] = rng.normal(size=(40, 6)) * rng.choice([0.5, 2.0, 6.0])
            other = minimise(charges, observed, Problems.make(charges, 40, {name: values}, start))
            assert np.all(scan.twice_nll < other.twice_nll + 1e-7)


@pytest.mark.slow
def test_random_data_with_interference(two_minima: MappedLikelihood) -> None:
    rng = np.random.default_rng(6)
    data = rng.poisson(two_minima.observation * rng.uniform(0.6, 1.6, (100, 1))).astype(float)
    observed = two_minima.observe(data)
    found = fit(two_minima, observed)
    lowest = np.full(100, np.inf)
    for g in np.linspace(-8, 10, 37):
        start = np.tile([g, 0.0], (100, 1))
        local = minimise(two_minima, observed, Problems.make(two_minima, 100, None, start))
        lowest = np.minimum(lowest, local.twice_nll)
    assert np.all(found.twice_nll < lowest + 1e-7)


def test_relaxed_minimum_is_a_lower_bound(
    charges: MappedLikelihood, two_minima: MappedLikelihood
) -> None:
    for likelihood in (charges, two_minima):
        found = fit(likelihood, likelihood.observe(likelihood.observation)).twice_nll[0]
        assert relaxed_minimum(likelihood, likelihood.observation) <= found + 1e-9
    # data made by a coupling: the strengths it wants are reachable, the bound is met
    truth = two_minima.init.copy()
    truth[0] = 4.5
    data = two_minima.expected(truth)[0]
    found = fit(two_minima, two_minima.observe(data)).twice_nll[0]
    assert relaxed_minimum(two_minima, data) == pytest.approx(found, abs=1e-7)


@pytest.mark.slow
def test_long_scans_use_anchors_and_agree(charges: MappedLikelihood) -> None:
    values = np.linspace(-5, 6, 60)
    observed = charges.observe(charges.observation)
    from histnu.inference import FitOptions

    full = fit(charges, observed, {"q_ee": values})
    light = fit(
        charges, observed, {"q_ee": values}, None, FitOptions(search=GlobalOptions(anchors=10))
    )
    np.testing.assert_allclose(light.twice_nll, full.twice_nll, rtol=0, atol=1e-7)
