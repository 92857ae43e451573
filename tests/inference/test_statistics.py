"""Test statistics equal those of pyhf, with and without a lower bound at zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyhf
import pytest

from histnu.core.errors import FitError
from histnu.inference import BatchedLikelihood
from histnu.inference.significance import significance
from histnu.inference.statistics import StatisticOptions, test_statistic
from tests.inference import examples

POI = {"textbook": "mu", "multichannel": "mu"}
LOW = -1.0  # all counts stay positive there


def data_of(likelihood: BatchedLikelihood, seed: int) -> np.ndarray:
    """Return counts of a signal of random size: below zero for some seeds, above for others."""
    rng = np.random.default_rng(seed)
    truth = likelihood.init.copy()
    truth[likelihood.poi_index] = rng.uniform(-0.6, 1.8)
    return rng.poisson(likelihood.expected(truth)[0]).astype(float)


def pyhf_statistic(
    likelihood: BatchedLikelihood, data: np.ndarray, name: str, value: float
) -> float:
    """Return pyhf's statistic, with its own bounds below zero where none is at zero."""
    model = likelihood.model
    bounds = [list(b) for b in model.config.suggested_bounds()]
    if not name.endswith("tilde"):
        bounds[model.config.poi_index][0] = LOW
    function = {"t": "tmu", "t_tilde": "tmu_tilde", "q": "qmu", "q_tilde": "qmu_tilde", "q0": "q0"}
    call = getattr(pyhf.infer.test_statistics, function[name])
    full = np.concatenate([data, likelihood.auxdata]).tolist()
    return float(call(value, full, model, model.config.suggested_init(), bounds,
                      model.config.suggested_fixed()))  # fmt: skip


@pytest.mark.parametrize(
    "shape", ["textbook", pytest.param("multichannel", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "name", ["t_tilde", "q_tilde", *(pytest.param(k, marks=pytest.mark.slow) for k in ("t", "q"))]
)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 4))]
)
def test_statistics_equal_those_of_pyhf(shape: str, name: str, seed: int) -> None:
    likelihood = BatchedLikelihood.from_workspace(getattr(examples, shape)())
    data = data_of(likelihood, seed)
    values = [0.4, 1.1, 2.3]
    options = StatisticOptions(lower=None if name.endswith("tilde") else LOW)
    found = test_statistic(likelihood, data, POI[shape], values, name, options)
    reference = [pyhf_statistic(likelihood, data, name, v) for v in values]
    # SLSQP with numerical gradients ends within 1e-5 of the minimum of -2 log L
    np.testing.assert_allclose(found.observed, reference, atol=2e-5)


@pytest.mark.parametrize("seed", range(6))
def test_discovery_equals_that_of_pyhf(seed: int) -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    data = data_of(likelihood, seed)
    found = test_statistic(likelihood, data, "mu", [0.0], "q0", StatisticOptions(lower=LOW))
    reference = pyhf_statistic(likelihood, data, "q0", 0.0)
    assert found.observed[0] == pytest.approx(reference, abs=2e-5)
    bounded = significance(likelihood, data, "mu")
    # a deficit counts as none, whether or not the fit may see it
    assert found.observed[0] == pytest.approx(bounded.q0, abs=1e-8)
    assert bounded.significance == pytest.approx(np.sqrt(bounded.q0))


def test_deficit_is_no_discovery_and_excess_no_exclusion() -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    low = 0.7 * likelihood.expected(np.where(np.arange(3) == 0, 0.0, likelihood.init))[0]
    free = StatisticOptions(lower=LOW)
    assert test_statistic(likelihood, low, "mu", [0.0], "q0", free).observed == (0.0,)
    high = 3 * likelihood.expected(likelihood.init)[0]
    assert test_statistic(likelihood, high, "mu", [0.5], "q_tilde").observed == (0.0,)
    assert test_statistic(likelihood, high, "mu", [0.5], "t_tilde").observed[0] > 1


@pytest.mark.parametrize(
    ("name", "value", "lower", "message"),
    [
        ("z", 1.0, None, "unknown statistic 'z'"),
        ("q0", 1.0, None, "q0 tests the value 0"),
        ("q_tilde", -1.0, None, "not defined below 0"),
        ("q", 1.0, None, "is q_tilde: ask for that"),
        ("t", 1.0, 20.0, "give less than its upper"),
        ("t", float("nan"), None, "finite values"),
    ],
)
def test_what_is_not_defined_is_refused(name: str, value: float, lower: Any, message: str) -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    with pytest.raises(FitError, match=message):
        test_statistic(likelihood, None, "mu", [value], name, StatisticOptions(lower=lower))


def test_bounds_of_the_likelihood_stay() -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    before = likelihood.bounds.copy()
    test_statistic(likelihood, None, "mu", [1.0], "t", StatisticOptions(lower=LOW))
    np.testing.assert_array_equal(likelihood.bounds, before)
