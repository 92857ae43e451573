"""Impacts: one batch equals one fit after the other, and the ranking is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.errors import FitError
from histnu.inference.engine.fit import FitOptions, fit, observe
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.impacts import impacts
from histnu.inference.summary import SummaryOptions, summarise
from tests.inference.examples import workspace


@pytest.mark.parametrize(
    "name", ["correlated", pytest.param("multichannel", marks=pytest.mark.slow)]
)
def test_equal_to_fits_one_by_one_with_pyhf(example, name):
    likelihood = example(name)
    found = impacts(likelihood, None, "mu")
    observed = observe(likelihood, None)
    summary = summarise(likelihood, None, SummaryOptions(profile=False))
    pyhf = FitOptions(engine="pyhf")
    for row in found.impacts[:3]:
        fitted = summary[row.name]
        for step, ours in (
            (fitted.prefit[1], row.prefit_up), (-(fitted.prefit[1] or 0.0), row.prefit_down),
            (fitted.error, row.postfit_up), (-fitted.error, row.postfit_down),
        ):  # fmt: skip
            if ours is None:
                continue
            held = fit(likelihood, observed, {row.name: [fitted.value + step]}, None, pyhf)
            theirs = held.parameters[0, likelihood.index("mu")] - summary["mu"].value
            # minuit at a tolerance of 1e-3 leaves 1e-3 of the standard deviation
            assert ours == pytest.approx(theirs, abs=1e-3 * summary["mu"].error)


def test_of_a_gaussian_is_the_correlation_times_sigma():
    """With many events everything is Gaussian: post-fit impact = rho sigma (both signs)."""
    signal = {"name": "signal", "data": [2e5, 1e5], "modifiers": [
        {"name": "mu", "type": "normfactor", "data": None}]}  # fmt: skip
    back = {"name": "back", "data": [1e6, 9e5], "modifiers": [
        {"name": "tilt", "type": "histosys",
         "data": {"hi_data": [1.01e6, 8.98e5], "lo_data": [9.9e5, 9.02e5]}}]}  # fmt: skip
    document = workspace({"one": [signal, back]}, {"one": [1.2e6, 1e6]}, "mu")
    likelihood = BatchedLikelihood.from_workspace(document)
    summary = summarise(likelihood, None, SummaryOptions(profile=False))
    i, j = summary.names.index("mu"), summary.names.index("tilt")
    expected = summary.correlation[i, j] * summary["mu"].error
    row = impacts(likelihood, None, "mu").impacts[0]
    # the next term is of the order of the relative change of the counts, 1e-3
    assert row.postfit_up == pytest.approx(expected, rel=5e-3)
    assert row.postfit_down == pytest.approx(-expected, rel=5e-3)


def test_ranking_falls_and_pulls_are_those_of_the_fit(example):
    likelihood = example("combined")
    found = impacts(likelihood, None, "mu")
    sizes = [row.size for row in found.impacts]
    assert sizes == sorted(sizes, reverse=True)
    summary = summarise(likelihood, None, SummaryOptions(profile=False))
    for row in found.impacts:
        assert row.pull == summary[row.name].pull
        assert row.constraint == summary[row.name].constraint
        assert row.converged
    free = [p.name for p in summary.parameters if p.status != "fixed" and p.name != "mu"]
    assert sorted(r.name for r in found.impacts) == sorted(free)


def test_a_fixed_parameter_of_interest_is_refused(example):
    with pytest.raises(FitError, match="mu is fixed"):
        impacts(example("correlated"), None, "mu", FitOptions(fixed={"mu": 1.0}))


def test_no_constraint_no_prefit_impact(example):
    found = impacts(example("multichannel"), None, "mu")
    scale = next(row for row in found.impacts if row.name == "top_scale")
    assert (scale.prefit_up, scale.prefit_down, scale.pull) == (None, None, None)
    assert np.isfinite(scale.postfit_up)
