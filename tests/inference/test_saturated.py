"""Saturated goodness of fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import xlogy
from scipy.stats import chi2, kstest, poisson

from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.saturated import saturated_twice_nll
from histnu.inference.summary import SummaryOptions, summarise
from histnu.inference.toys import ToyOptions
from tests.inference.examples import workspace


def counting(observed, expected, parameters=None):
    """A model with one free normalisation, or none where it is fixed."""
    modifiers = [{"name": "mu", "type": "normfactor", "data": None}]
    samples = [{"name": "all", "data": list(expected), "modifiers": modifiers}]
    return BatchedLikelihood.from_workspace(
        workspace({"one": samples}, {"one": observed}, "mu", parameters)
    )


def test_statistic_by_hand():
    """2 sum [lambda - d + d log(d / lambda)] with lambda scaled to the sum of the data."""
    data, expected = np.array([12.0, 5.0, 9.0, 0.0]), np.array([8.0, 6.0, 10.0, 2.0])
    found = summarise(counting(data, expected), None, SummaryOptions(profile=False)).goodness
    rate = expected * data.sum() / expected.sum()
    by_hand = 2 * np.sum(rate - data + xlogy(data, data / rate))
    assert found.chi2 == pytest.approx(by_hand, abs=1e-8)
    assert found.dof == 3
    assert found.p_value == pytest.approx(chi2.sf(by_hand, 3), rel=1e-7)


@pytest.mark.parametrize("name", ["textbook", "multichannel", "correlated", "combined"])
def test_saturated_value_is_an_upper_bound_of_the_likelihood(example, name):
    """pyhf's densities at their maxima: Poisson at lambda = d, constraints at their center."""
    likelihood = example(name)
    data = np.concatenate([likelihood.observation, likelihood.auxdata])
    model = likelihood.model
    center = np.array(model.config.suggested_init())
    constraint = 0.0
    if model.config.nauxdata:
        constraint = float(model.constraint_logpdf(likelihood.auxdata, center))
    main = poisson.logpmf(likelihood.observation, likelihood.observation).sum()
    ours = float(saturated_twice_nll(likelihood, likelihood.observation, likelihood.auxdata))
    assert ours == pytest.approx(-2 * (main + constraint), abs=1e-9)
    assert ours <= -2 * float(model.logpdf(center, data)[0])


def test_no_degrees_of_freedom_give_no_p_value():
    found = summarise(counting([5.0], [4.0]), None, SummaryOptions(profile=False)).goodness
    assert (found.dof, found.p_value) == (0, None)


def test_toys_of_large_counts_follow_chi2():
    likelihood = counting([1010.0, 950.0, 1032.0, 990.0], [1000.0] * 4)
    options = SummaryOptions(profile=False, toys=ToyOptions(n_toys=4000, seed=5))
    found = summarise(likelihood, None, options).goodness
    assert found.n_toys == 4000
    assert kstest(found.toys, chi2(3).cdf).pvalue > 1e-3
    # four standard errors of the fraction
    assert abs(found.p_value_toys - found.p_value) < 4 * found.p_value_toys_error


def test_toys_of_few_counts_do_not():
    """One expected event in ten bins: the asymptotic p-value of a typical toy is far too small."""
    likelihood = counting([0.0, 1.0] * 5, [0.5] * 10)
    options = SummaryOptions(profile=False, toys=ToyOptions(n_toys=2000, seed=5))
    found = summarise(likelihood, None, options).goodness
    assert abs(found.p_value_toys - found.p_value) > 10 * found.p_value_toys_error
