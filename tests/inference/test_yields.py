"""Expected events per sample and their uncertainties."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.inference.summary import SummaryOptions, summarise
from histnu.inference.uncertainties import prefit
from histnu.inference.yields import prediction, sample_yields
from tests.inference import examples


@pytest.mark.parametrize("name", ["textbook", "multichannel", "correlated", "combined"])
def test_samples_are_pyhfs(example, name):
    likelihood = example(name)
    rng = np.random.default_rng(1)
    low, high = (np.clip(b, -1.0, 2.0) for b in likelihood.bounds.T)
    pars = rng.uniform(low, high, (4, len(low)))
    found = sample_yields(likelihood, pars)
    samples = likelihood.model.config.samples
    for k, x in enumerate(pars):
        theirs = likelihood.model.main_model.expected_data(x.tolist(), return_by_sample=True)
        for channel, rows in found.items():
            for sample, rates in rows.items():
                where = likelihood.channels[channel]
                reference = np.asarray(theirs)[samples.index(sample), where]
                np.testing.assert_allclose(rates[k], reference, rtol=1e-10, atol=1e-12)


def test_samples_add_up(charges):
    pars = np.tile(charges.init, (2, 1))
    pars[1, 0] = 3.0
    found = sample_yields(charges, pars)
    total = np.concatenate([sum(rows.values()) for rows in found.values()], axis=1)
    np.testing.assert_allclose(total, charges.expected(pars), rtol=1e-12)


def test_errors_of_a_linear_model_are_those_of_the_covariance(example):
    """textbook: lambda_b = 12 mu + 50 gamma_b, so that Var = J C J' with J by hand."""
    likelihood = example("textbook")
    covariance = np.array([[0.5, -0.02, 0.01], [-0.02, 0.01, 0.0], [0.01, 0.0, 0.04]])
    center = np.array([0.8, 1.1, 0.9])
    found = prediction(likelihood, center, covariance, likelihood.observation, "postfit")
    channel = found.channels[0]
    slopes = np.array([[12.0, 50.0, 0.0], [11.0, 0.0, 52.0]])
    variance = np.diag(slopes @ covariance @ slopes.T)
    np.testing.assert_allclose(channel.total_error, np.sqrt(variance), rtol=1e-12)
    both = slopes.sum(axis=0)
    assert channel.sum_total_error == pytest.approx(np.sqrt(both @ covariance @ both), rel=1e-12)
    signal = channel.samples.index("signal")
    np.testing.assert_allclose(channel.errors[signal], [12 * 0.5**0.5, 11 * 0.5**0.5], rtol=1e-12)


def test_prefit_errors_add_in_quadrature(example):
    """flux is 12 % of the signal in ``correlated``; the other parameters do not touch it."""
    likelihood = example("correlated")
    center, width = prefit(likelihood)
    found = prediction(likelihood, center, np.diag(width**2), likelihood.observation, "prefit")
    channel = found.channels[0]
    row = channel.samples.index("signal")
    # code 4 between -1 and 1 gives exactly 1.12 and 0.88 at the ends
    np.testing.assert_allclose(channel.errors[row], 0.12 * channel.yields[row], rtol=1e-12)


def test_a_projection_is_the_sum_over_the_other_bins(example):
    likelihood = example("correlated")
    summary = summarise(likelihood, None, SummaryOptions(profile=False))
    best = np.array([p.value for p in summary.parameters])
    name = summary.postfit.channels[0].channel
    bins = len(summary.postfit.channels[0].total)
    one = {name: np.ones((1, bins))}
    data = likelihood.observation
    found = prediction(likelihood, best, summary.covariance, data, "postfit", one).channels
    assert [c.channel for c in found] == [name]
    whole = summary.postfit.channels[0]
    assert found[0].total[0] == pytest.approx(whole.sum_total, rel=1e-12)
    assert found[0].total_error[0] == pytest.approx(whole.sum_total_error, rel=1e-12)
    assert found[0].observed[0] == data[likelihood.channels[name]].sum()


def test_the_fit_shrinks_the_prediction():
    """Data know the total better than the constraints do."""
    from histnu.inference.engine.likelihood import BatchedLikelihood

    found = summarise(BatchedLikelihood.from_workspace(examples.combined()))
    for before, after in zip(found.prefit.channels, found.postfit.channels, strict=True):
        if before.sum_total_error > np.sqrt(before.sum_total):
            assert after.sum_total_error < before.sum_total_error
