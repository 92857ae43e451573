"""Hesse and profile uncertainties against pyhf with iminuit and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from iminuit import Minuit

from histnu.inference.engine.fit import FitOptions, fit, observe
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.limits import interval
from histnu.inference.summary import SummaryOptions, summarise
from histnu.inference.uncertainties import curvature, prefit, profile_errors
from tests.inference import examples


def twice_nll(likelihood):
    """pyhf's -2 log L of the observed data: the independent function."""
    data = np.concatenate([likelihood.observation, likelihood.auxdata])
    return lambda x: -2 * float(likelihood.model.logpdf(list(x), data)[0])


def fitted(likelihood):
    observed = observe(likelihood, None)
    best = fit(likelihood, observed)
    return observed, best.parameters[0]


def second_derivatives(function, x, step=2e-3):
    """Central differences of fourth order: errors of step^4 and 1e-16 / step^2 times |f|."""
    n = len(x)
    out = np.zeros((n, n))
    weights = {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}
    unit = np.eye(n) * step
    for i in range(n):
        for j in range(i, n):
            out[i, j] = out[j, i] = (
                sum(
                    a * b * function(x + p * unit[i] + q * unit[j])
                    for p, a in weights.items()
                    for q, b in weights.items()
                )
                / step**2
            )
    return out


def test_covariance_is_the_inverse_of_pyhfs_second_derivatives(example):
    likelihood = example("correlated")
    observed, x = fitted(likelihood)
    numeric = 2 * np.linalg.inv(second_derivatives(twice_nll(likelihood), x))
    ours = curvature(likelihood, observed, x)
    assert set(ours.status) == {"free"}
    # truncation of the differences leaves 1e-7
    np.testing.assert_allclose(ours.covariance, numeric, rtol=2e-6, atol=2e-7)


def test_errors_equal_those_of_iminuit(example):
    likelihood = example("correlated")
    observed, x = fitted(likelihood)
    # without limits: no transformation of the errors; from a start away from the minimum, where
    # a slope tells Minuit its steps
    minuit = Minuit(twice_nll(likelihood), likelihood.init + 0.1)
    minuit.errors = np.full(len(x), 0.5)
    minuit.errordef, minuit.strategy, minuit.tol = 1.0, 2, 1e-5
    minuit.migrad()
    minuit.hesse()
    minuit.minos()
    ours = curvature(likelihood, observed, x)
    # HESSE differentiates numerically, to 3e-5 here; the test above is the sharp one
    np.testing.assert_allclose(ours.sigma, np.asarray(minuit.errors), rtol=5e-4)
    found = profile_errors(likelihood, observed, x, ours)
    down = [minuit.merrors[int(k)].lower for k in found.index]
    up = [minuit.merrors[int(k)].upper for k in found.index]
    # MINOS stops at 1 % of its tolerance in the function value
    np.testing.assert_allclose(found.down, down, rtol=1e-3)
    np.testing.assert_allclose(found.up, up, rtol=1e-3)


def test_delta_is_one_at_the_profile_ends(example):
    """Each end is fitted again by itself: the defining property, for every parameter."""
    likelihood = example("multichannel")
    observed, x = fitted(likelihood)
    found = profile_errors(likelihood, observed, x, curvature(likelihood, observed, x))
    for k, down, up in zip(found.index, found.down, found.up, strict=True):
        name = likelihood.parameter_names[k]
        ends = [x[k] + d for d in (down, up) if np.isfinite(d)]
        again = fit(likelihood, observed, {name: np.array(ends)}, x)
        np.testing.assert_allclose(again.twice_nll - found.twice_nll, 1.0, atol=1e-7)


def test_a_parameter_at_its_bound_has_no_symmetric_error(example):
    likelihood = example("textbook")
    found = summarise(likelihood)
    mu = found["mu"]
    assert (mu.value, mu.status, mu.error, mu.down) == (0.0, "at bound", None, None)
    again = fit(likelihood, observe(likelihood, None), {"mu": [mu.up]})
    assert again.twice_nll[0] - found.twice_nll == pytest.approx(1.0, abs=1e-7)


def test_a_flat_direction_is_undetermined_and_spares_the_others():
    """Two normfactors on one sample: only their product is measured."""
    from tests.inference import examples

    document = examples.textbook()
    extra = {"name": "nu", "type": "normfactor", "data": None}
    document["channels"][0]["samples"][0]["modifiers"].append(extra)
    document["observations"][0]["data"] = [66.0, 60.0]
    likelihood = BatchedLikelihood.from_workspace(document)
    found = summarise(likelihood, None, SummaryOptions(profile=False))
    assert {found["mu"].status, found["nu"].status} == {"undetermined"}
    assert found["uncorrelated[0]"].status == "free"
    assert found["uncorrelated[0]"].error > 0


def test_held_parameters_have_no_error_and_shrink_others(example):
    likelihood = example("correlated")
    free = summarise(likelihood, None, SummaryOptions(profile=False))
    options = SummaryOptions(FitOptions(fixed={"flux": 0.0}), profile=False)
    held = summarise(likelihood, None, options)
    assert (held["flux"].status, held["flux"].error, held["flux"].value) == ("fixed", None, 0.0)
    assert held["mu"].error < free["mu"].error


@pytest.mark.parametrize("name", ["textbook", "multichannel", "correlated", "combined"])
def test_prefit_widths_are_pyhfs(example, name):
    likelihood = example(name)
    config = likelihood.model.config
    expected = []
    for parameter in config.par_order:
        parset = config.param_set(parameter)
        width = parset.width() if parset.constrained else [0.0] * parset.n_parameters
        expected += [0.0 if f else w for w, f in zip(width, parset.suggested_fixed, strict=True)]
    center, width = prefit(likelihood)
    np.testing.assert_allclose(width, expected, rtol=1e-12)
    # nominal auxiliary data have their maximum at pyhf's suggested start
    np.testing.assert_allclose(center, config.suggested_init(), rtol=1e-12)


@pytest.mark.slow
def test_physical_parameters_have_profile_ends(charges):
    """Six charges with several minima: the ends are those of the interval at 68.3 %."""
    found = summarise(charges)["q_ee"]
    one = interval(charges, None, "q_ee", math.erf(math.sqrt(0.5)))
    assert found.value + found.down == pytest.approx(one.lower, rel=1e-5)
    assert found.value + found.up == pytest.approx(one.upper, rel=1e-5)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_errors_do_not_depend_on_the_unit(unit):
    """A best fit of 1e-12 is not at its bound at zero: errors and correlations are those of 1."""

    def errors(unit):
        mu = {"name": "mu", "type": "normfactor", "data": None}
        b = {"name": "b", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}
        samples = [
            {"name": "signal", "data": [5.0 / unit, 20.0 / unit], "modifiers": [mu]},
            {"name": "background", "data": [52.0, 32.0], "modifiers": [b]},
        ]
        setting = [{"name": "mu", "bounds": [[0.0, 10.0 * unit]], "inits": [unit]}]
        document = examples.workspace({"c": samples}, {"c": [62.0, 60.0]}, "mu", setting)
        likelihood = BatchedLikelihood.from_workspace(document)
        observed, x = fitted(likelihood)
        matrix = curvature(likelihood, observed, x)
        assert set(matrix.status) == {"free"}
        ends = profile_errors(likelihood, observed, x, matrix)
        k = likelihood.index("mu")
        return matrix.sigma / np.where(np.arange(2) == k, unit, 1.0), ends.up[k] / unit

    (sigma, up), (expected, end) = errors(unit), errors(1.0)
    # the best fit is known to an expected decrease of 1e-9: 1e-5 of a width
    np.testing.assert_allclose(sigma, expected, rtol=1e-4)
    assert up == pytest.approx(end, rel=1e-4)
