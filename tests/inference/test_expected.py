"""Expected limits: the formulae, pyhf, and toys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from histnu.core.errors import FitError
from histnu.inference import expected
from histnu.inference.batch import asimov_data, crossings
from histnu.inference.cls import hypotest
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.expected import (
    ExpectedOptions,
    background,
    band_levels,
    expected_limit,
)
from histnu.inference.limits import interval, threshold
from histnu.inference.toys import ToyOptions
from tests.inference.examples import workspace


def many_events():
    """A counting experiment in which everything is Gaussian to a per mille or so."""
    signal = {"name": "signal", "data": [1000.0], "modifiers": [
        {"name": "mu", "type": "normfactor", "data": None}]}  # fmt: skip
    back = {"name": "back", "data": [40000.0], "modifiers": []}
    return BatchedLikelihood.from_workspace(
        workspace({"one": [signal, back]}, {"one": [40050.0]}, "mu")
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["textbook", "correlated", "multichannel"])
def test_cls_bands_are_pyhfs(example, name):
    """At each of the five limits pyhf's own expected CLs is 5 %."""
    import pyhf

    from histnu.inference.engine.reference import numpy_backend

    likelihood = example(name)
    ours = expected_limit(likelihood, None, "mu", ExpectedOptions("cls", 0.95))
    with numpy_backend():
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
        data = np.concatenate([likelihood.observation, likelihood.auxdata]).tolist()
        theirs = [
            pyhf.infer.hypotest(value, data, likelihood.model, return_expected_set=True)[1][k]
            for k, value in enumerate(ours.upper)
        ]
    # minuit leaves 1e-6 to 1e-5 in q; d log CLs / dq is of order one at these limits
    np.testing.assert_allclose(np.array(theirs, dtype=float), 0.05, rtol=1e-3)


def test_cls_bands_are_where_the_expected_cls_is_alpha(example):
    likelihood = example("correlated")
    found = expected_limit(likelihood, None, "mu", ExpectedOptions("cls", 0.9))
    for k, value in enumerate(found.upper):
        assert hypotest(likelihood, None, "mu", [value])[0].expected[k] == pytest.approx(
            0.1, abs=1e-7
        )


def test_profile_median_is_the_limit_of_the_asimov_data(example):
    likelihood = example("correlated")
    options = ExpectedOptions("profile", 0.9, nuisances="nominal")
    found = expected_limit(likelihood, None, "mu", options)
    truth = background(likelihood, None, "mu", options)
    # auxiliary data of the nominal Asimov are the model's own
    counts = likelihood.expected(truth)[0]
    assert asimov_data(likelihood, truth).aux[:, 0] == pytest.approx(likelihood.auxdata)
    assert found.median == pytest.approx(interval(likelihood, counts, "mu", 0.9).upper, rel=1e-7)


@pytest.mark.parametrize("bounded", [True, False])
def test_profile_levels_are_quantiles_of_gaussian_estimators(bounded):
    """Draw estimators, compute each limit by definition, take quantiles: sigma = 1."""
    t = threshold(0.9, 1)
    estimate = np.random.default_rng(2).normal(size=400_000)
    # Delta(mu) = (mu - x)^2 - (x' - x)^2 with x' the best fit, max(x, 0) where bounded
    shift = np.minimum(estimate, 0.0) if bounded else 0.0
    upper = estimate + np.sqrt(t + shift**2)
    quantiles = np.quantile(upper, ndtr(np.arange(-2, 3)))
    levels = band_levels("profile", 0.9, 1, bounded)
    # standard error of the 2.3 % quantile of 400,000 draws is 0.007 of a standard deviation
    np.testing.assert_allclose(levels, quantiles, atol=0.03)


def test_toys_of_many_events_follow_the_asimov_bands():
    likelihood = many_events()
    asimov = expected_limit(likelihood, None, "mu", ExpectedOptions("profile", 0.9))
    toys = ToyOptions(n_toys=4000, seed=1)
    found = expected_limit(
        likelihood, None, "mu", ExpectedOptions("profile", 0.9, ensemble=True, toys=toys)
    )
    sigma = asimov.upper[3] - asimov.upper[2]
    # standard errors of the quantiles are 0.02 (median) to 0.045 (2 sigma) of sigma
    np.testing.assert_allclose(found.upper, asimov.upper, atol=0.15 * sigma)
    assert found.n_toys == 4000


def test_expected_ends_are_those_of_toys():
    """Of few toys a quantile is one of their ends: none is made up between them."""
    options = ExpectedOptions("profile", 0.9, ensemble=True, toys=ToyOptions(n_toys=9, seed=1))
    found = expected_limit(many_events(), None, "mu", options)
    assert found.n_toys == 9 and set(found.upper) <= set(found.toys.tolist())


@pytest.mark.slow
def test_ends_that_were_not_found_are_not_open(monkeypatch):
    """A toy whose end fails is left out; more than sqrt(n) / 8 of them are an error."""
    toys = ToyOptions(n_toys=400, seed=1)
    options = ExpectedOptions("profile", 0.9, ensemble=True, toys=toys)
    likelihood = many_events()
    whole = expected_limit(likelihood, None, "mu", options)

    def fail(count):
        def some(*arguments):
            found = crossings(*arguments)
            found.converged[:count] = False
            return found

        monkeypatch.setattr(expected, "crossings", some)

    fail(2)
    found = expected_limit(likelihood, None, "mu", options)
    assert found.n_toys == 398
    assert found.open_fraction == 0.0
    np.testing.assert_array_equal(found.toys, whole.toys[2:])
    fail(3)
    with pytest.raises(FitError, match="fits of 3 of 400 toys did not converge"):
        expected_limit(likelihood, None, "mu", options)


@pytest.mark.slow
def test_cls_from_toys_follows_the_formulae_for_many_events():
    likelihood = many_events()
    asimov = expected_limit(likelihood, None, "mu", ExpectedOptions("cls", 0.9))
    toys = ToyOptions(n_toys=4000, seed=1)
    found = expected_limit(likelihood, None, "mu", ExpectedOptions("cls-toys", 0.9, toys=toys))
    # 4000 toys leave 5 % in CLs = 0.1, 3 % in the limit; linear steps of 10 % in log CLs
    np.testing.assert_allclose(found.upper[1:4], asimov.upper[1:4], rtol=0.08)


@pytest.mark.slow
def test_feldman_cousins_expected_for_many_events():
    """For a Gaussian bounded at 0 the FC upper limit at x = 0 and 90 % is 1.64 (Table X)."""
    likelihood = many_events()
    sigma = np.sqrt(40050.0) / 1000.0
    toys = ToyOptions(n_toys=1000, seed=1)
    found = expected_limit(likelihood, None, "mu", ExpectedOptions("toys", 0.9, toys=toys))
    # critical values from 1000 toys are good to 5 %, steps of the scan to 0.1
    assert found.median / sigma == pytest.approx(1.64, abs=0.2)


@pytest.mark.slow
def test_bands_of_physical_parameters_need_toys(charges):
    found = expected_limit(charges, None, "q_ee", ExpectedOptions("profile", 0.9))
    assert found.median is not None
    assert (found.upper[0], found.upper[4]) == (None, None)


def test_faults_are_named(example):
    with pytest.raises(FitError, match="unknown method 'bayes'"):
        ExpectedOptions("bayes")
    likelihood = example("correlated")
    with pytest.raises(FitError, match="needs flux bounded at 0"):
        expected_limit(likelihood, None, "flux", ExpectedOptions("cls"))
