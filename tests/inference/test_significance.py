"""Significance against pyhf, against its asymptotic law, and against the published one."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.significance import SignificanceOptions, significance
from histnu.inference.toys import ToyOptions
from tests.inference.examples import workspace


def with_excess(name, example):
    likelihood = example(name)
    counts = likelihood.expected(likelihood.init)[0].round() + 3.0
    return likelihood, counts


@pytest.mark.parametrize(
    "name", ["textbook", "correlated", pytest.param("multichannel", marks=pytest.mark.slow)]
)
def test_equal_to_pyhf(example, name):
    import pyhf
    from scipy.special import ndtri

    from histnu.inference.engine.reference import numpy_backend

    likelihood, counts = with_excess(name, example)
    ours = significance(likelihood, counts, "mu", SignificanceOptions(signal=1.0))
    data = np.concatenate([counts, likelihood.auxdata]).tolist()
    with numpy_backend():
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
        p_value, expected = pyhf.infer.hypotest(
            0.0, data, likelihood.model, test_stat="q0", return_expected=True
        )
    # minuit leaves 1e-6 in q0
    assert ours.p_value == pytest.approx(float(p_value), rel=1e-3)
    # pyhf's Asimov signal is mu = 1 with the nuisances fitted on the data at mu = 1, as ours
    assert ours.expected == pytest.approx(float(-ndtri(float(expected))), rel=1e-3)


def test_a_deficit_has_none(example):
    found = significance(example("textbook"), [40.0, 40.0], "mu")
    assert (found.q0, found.significance, found.p_value) == (0.0, 0.0, 0.5)


def test_a_negative_strength_is_no_signal():
    """Eq. 12 of arXiv:1007.1727: q0 is zero for an estimate below zero, whatever its Delta."""
    signal = {"name": "signal", "data": [100.0], "modifiers": [
        {"name": "mu", "type": "normfactor", "data": None}]}  # fmt: skip
    back = {"name": "back", "data": [10000.0], "modifiers": []}
    bounds = [{"name": "mu", "bounds": [[-20.0, 20.0]], "inits": [1.0]}]
    document = workspace({"one": [signal, back]}, {"one": [9700.0]}, "mu", bounds)
    likelihood = BatchedLikelihood.from_workspace(document)
    options = SignificanceOptions(toys=ToyOptions(n_toys=400, seed=2))
    found = significance(likelihood, None, "mu", options)
    assert found.best_fit == pytest.approx(-3.0, abs=1e-4)  # -300 / 100
    assert (found.q0, found.significance, found.p_value) == (0.0, 0.0, 0.5)
    assert found.toys.min() == 0.0 and found.p_value_toys == 1.0


def test_toys_of_many_events_follow_half_chi2():
    signal = {"name": "signal", "data": [100.0], "modifiers": [
        {"name": "mu", "type": "normfactor", "data": None}]}  # fmt: skip
    back = {"name": "back", "data": [10000.0], "modifiers": []}
    document = workspace({"one": [signal, back]}, {"one": [10150.0]}, "mu")
    likelihood = BatchedLikelihood.from_workspace(document)
    options = SignificanceOptions(toys=ToyOptions(n_toys=20000, seed=4))
    found = significance(likelihood, None, "mu", options)
    # Z of 10150 against 10000: 1.4963 in closed form, sqrt(2 [n log(n/b) - n + b])
    n, b = 10150.0, 10000.0
    assert found.significance == pytest.approx(np.sqrt(2 * (n * np.log(n / b) - n + b)), rel=1e-7)
    assert np.mean(found.toys == 0) == pytest.approx(0.5, abs=0.015)  # four standard errors
    assert abs(found.p_value_toys - found.p_value) < 4 * found.p_value_toys_error


@pytest.mark.release
@pytest.mark.slow
def test_xenonnt_2024(assembled):
    """arXiv:2408.02877 gives 2.73 standard deviations for its search.

    Ours is the release's 4-D likelihood, derived, with shape parameters reduced to +-1 (see
    docs/full_likelihoods.md): asymptotically 2.67. 0.15 leaves room for that and for toys.
    """
    from histnu.analysis.target import Target, parameter_of_interest

    assembly = assembled("standard_model_xenonnt_4d_2024")
    target = Target("standard_model_xenonnt_4d_2024", dict(assembly.workspace))
    interest = parameter_of_interest(target, None)
    found = significance(interest.likelihood, None, interest.parameter)
    assert found.significance == pytest.approx(2.73, abs=0.15)
