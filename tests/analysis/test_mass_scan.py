"""Contours against a held parameter."""

from __future__ import annotations

import math

import pytest
from scipy.stats import chi2

from histnu.analysis.assemble import assemble
from histnu.analysis.mass_scan import ScanOptions, mass_scan
from histnu.analysis.schema import load_analysis
from histnu.core.errors import ConfigError, FitError
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.limits import interval


def test_ends_are_those_of_the_likelihoods_one_by_one():
    """Every mass by hand: its own minimum, the common one, the lowered threshold."""
    analysis, masses = load_analysis("sterile_dipole_xenonnt"), (0.1, 8.0, 12.0)
    (curve,) = mass_scan(analysis, "m4", ["mu_e"], masses)
    found = []
    for m4 in masses:
        document = dict(assemble(analysis.holding({"m4": m4})).workspace)
        likelihood = BatchedLikelihood.from_workspace(document, "mu2_e")
        found.append((likelihood, interval(likelihood, None, "mu2_e").best_fit))
    lowest = min(fit.twice_nll for _, fit in found)
    for (likelihood, fit), upper in zip(found, curve.upper, strict=True):
        level = float(chi2.cdf(curve.threshold - (fit.twice_nll - lowest), 2))
        end = interval(likelihood, None, "mu2_e", level, 2).upper
        # the scan counts in another unit at each mass; roots are found to 1e-8 in Delta
        assert upper == pytest.approx(math.sqrt(end), rel=1e-6)
    assert (curve.unit, curve.held_unit, curve.provenance) == ("1e-9 mu_B", "MeV", "derived")


def test_unit_of_the_analysis_does_not_matter():
    analysis = load_analysis("sterile_dipole_pandax4t")
    fine = analysis.model_copy(
        update={"model": analysis.model.model_copy(update={"unit": "1e-11 mu_B"})}
    )
    (one,), (other,) = (mass_scan(a, "m4", ["mu_mu"], (1.0, 10.0)) for a in (analysis, fine))
    assert other.unit == "1e-11 mu_B"
    for a, b in zip(one.upper, other.upper, strict=True):
        assert b == pytest.approx(100 * a, rel=1e-7)


def test_closed_masses():
    analysis = load_analysis("sterile_dipole_xenonnt")
    (curve,) = mass_scan(analysis, "m4", ["mu_e"], (5.0, 40.0))
    assert curve.upper[0] is not None and curve.upper[1] is None
    with pytest.raises(FitError, match="mu_e: no m4 of the scan can be made"):
        mass_scan(analysis, "m4", ["mu_e"], (40.0,))


def test_value_above_the_level_has_no_end():
    """At a level so low that only the best mass is inside, the others have no end."""
    analysis, options = load_analysis("sterile_dipole_pandax4t"), ScanOptions(cl=1e-4)
    (curve,) = mass_scan(analysis, "m4", ["mu_e"], (0.1, 8.0, 12.0), options)
    best = curve.values.index(curve.best_fit_held)
    assert [u is not None for u in curve.upper] == [i == best for i in range(3)]
    assert curve.certified


def test_sensitivity_is_at_zero_signal():
    analysis = load_analysis("sterile_dipole_xenonnt")
    (curve,) = mass_scan(analysis, "m4", ["mu_e"], (1.0, 10.0), ScanOptions(asimov=True))
    # data that equal the prediction are fitted best without a signal, at every mass
    assert curve.best_fit == pytest.approx(0.0, abs=1e-3)
    assert all(u is not None for u in curve.upper)


def test_errors():
    with pytest.raises(ConfigError, match=r"millicharge has no 'm4' here; held parameters: none"):
        mass_scan(load_analysis("millicharge_xenonnt"), "m4", ["q_ee"], (1.0,))
    with pytest.raises(ConfigError, match=r"sterile_dipole has no 'q_ee' here; parameters: mu_e"):
        mass_scan(load_analysis("sterile_dipole_xenonnt"), "m4", ["q_ee"], (1.0,))
