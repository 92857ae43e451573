"""Many ends in one batch: the same as one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.inference.batch import (
    CrossingTask,
    asimov_data,
    crossings,
    held_problems,
    linear_response,
    solve,
)
from histnu.inference.engine.fit import FitOptions, fit, observe
from histnu.inference.limits import interval, threshold
from histnu.inference.toys import sample


def task(likelihood, best, values, sign, level):
    count = len(values)
    index = np.full(count, likelihood.index("mu"), dtype=np.intp)
    ones = np.ones(count)
    return CrossingTask(best, values, index, sign * ones, level * ones, 0.5 * ones)


def test_ends_are_those_of_the_interval(example):
    likelihood = example("correlated")
    observed = observe(likelihood, None)
    best = fit(likelihood, observed)
    level = threshold(0.9, 1)
    one = interval(likelihood, None, "mu", 0.9)
    for sign, end in ((1.0, one.upper), (-1.0, one.lower)):
        if end is None:
            continue
        what = task(likelihood, best.parameters, best.twice_nll, sign, level)
        found = crossings(likelihood, observed, what)
        assert found.value[0] == pytest.approx(end, rel=1e-7)
        assert found.reached[0]


def test_toys_in_one_batch_equal_toys_alone(example):
    likelihood = example("correlated")
    truth = likelihood.init.copy()
    main, aux = next(sample(likelihood, truth, 6, np.random.default_rng(3)))
    observed = likelihood.observe(main, aux)
    best = fit(likelihood, observed)
    level = threshold(0.9, 1)
    together = crossings(
        likelihood, observed, task(likelihood, best.parameters, best.twice_nll, 1.0, level)
    )
    for k in range(6):
        single = likelihood.observe(main[k], aux[k])
        one = fit(likelihood, single)
        what = task(likelihood, one.parameters, one.twice_nll, 1.0, level)
        alone = crossings(likelihood, single, what)
        # Newton from another chunk ends at another rounding, both within 1e-8 in Delta
        assert together.value[k] == pytest.approx(alone.value[0], rel=1e-6)


def test_an_end_beyond_the_bound_is_open(example):
    likelihood = example("textbook")
    observed = observe(likelihood, None)
    best = fit(likelihood, observed)
    what = task(likelihood, best.parameters, best.twice_nll, -1.0, 1.0)
    found = crossings(likelihood, observed, what)
    assert not found.reached[0]
    assert found.value[0] == 0.0


def test_asimov_data_give_back_their_parameters(example):
    likelihood = example("multichannel")
    truth = likelihood.init.copy()
    truth[likelihood.index("mu")] = 1.3
    found = fit(likelihood, asimov_data(likelihood, truth))
    np.testing.assert_allclose(found.parameters[0], truth, atol=1e-5)


def test_linear_response_is_exact_for_a_gaussian():
    """For -2 log L = x' C^-1 x with one variable held, the others follow C[:, k] / C[k, k]."""
    covariance = np.array([[4.0, 1.2, 0.0], [1.2, 1.0, -0.3], [0.0, -0.3, 2.0]])
    wide = np.tile([-100.0, 100.0], (3, 1))
    got = linear_response(np.zeros(3), covariance, np.array([1]), np.array([0.7]), wide)[0]
    precision = np.linalg.inv(covariance)
    rest = [0, 2]
    exact = -np.linalg.solve(precision[np.ix_(rest, rest)], precision[rest, 1] * 0.7)
    np.testing.assert_allclose(got[rest], exact, rtol=1e-12)
    assert got[1] == 0.7


def test_the_pyhf_engine_solves_the_same_problems(example):
    likelihood = example("correlated")
    observed = observe(likelihood, None)
    best = fit(likelihood, observed).parameters[0]
    index = np.array([likelihood.index("mu"), likelihood.index("flux")])
    values = best[index] + 0.5
    found = []
    for engine in ("batched", "pyhf"):
        options = FitOptions(engine=engine)
        problems = held_problems(likelihood, best, index, values, options)
        found.append(solve(likelihood, observed, problems, options))
    # minuit at a tolerance of 1e-3 leaves 1e-6
    np.testing.assert_allclose(found[0].twice_nll, found[1].twice_nll, atol=1e-5)
    np.testing.assert_array_equal(found[1].parameters[[0, 1], index], values)
