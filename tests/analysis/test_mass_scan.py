"""Contours against a held parameter."""

from __future__ import annotations

import math

import pytest
from scipy.stats import chi2

from histnu.analysis.assemble import assemble
from histnu.analysis.mass_scan import ScanOptions, mass_scan
from histnu.analysis.schema import load_analysis
from histnu.analysis.target import load_target
from histnu.core.errors import ConfigError, FitError
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.limits import interval
from histnu.verbs import Options, limit


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
    best = curve.values.index(curve.best_fit_x)
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


@pytest.mark.slow
def test_values_are_added_where_a_curve_climbs():
    """The curve itself does not change: what was there before is there after."""
    analysis, masses = load_analysis("sterile_dipole_xenonnt"), (1.0, 8.0, 12.0)
    (plain,) = mass_scan(analysis, "m4", ["mu_e"], masses)
    (fine,) = mass_scan(analysis, "m4", ["mu_e"], masses, ScanOptions(refine=1))
    added = sorted(set(fine.values) - set(masses))
    assert added == [math.sqrt(8.0), math.sqrt(96.0)]
    at = dict(zip(fine.values, fine.upper, strict=True))
    if fine.best_fit_x in masses:  # the common minimum is the same
        for value, upper in zip(plain.values, plain.upper, strict=True):
            assert at[value] == pytest.approx(upper, rel=1e-9)
    assert at[8.0] < at[math.sqrt(96.0)] < at[12.0]


@pytest.mark.slow
def test_sets_in_pieces_are_kept():
    """A vector that couples alike to all: the signal is the Standard Model's again where
    interference has cancelled it and the square brings it back, so the set has three pieces."""
    analysis, masses = load_analysis("universal_vector_solar_b8"), (3.0, 10.0)
    (curve,) = mass_scan(analysis, "m_v", ["g_universal"], masses)
    alone = limit(load_target("universal_vector_solar_b8", {"m_v": 10.0}), "g_universal",
                  Options(dof=2))  # fmt: skip
    for allowed, lower, upper in zip(curve.allowed, curve.lower, curve.upper, strict=True):
        assert len(allowed) == 3
        assert (allowed[0].lower, allowed[-1].upper) == (lower, upper)
        assert allowed[1].upper < allowed[2].lower  # what was excluded between is not lost
    # the common minimum is that of 10 MeV, whose set is the interval of 2 dof; roots to 1e-8
    assert curve.best_fit_x == 10.0
    for ours, own in zip(curve.allowed[1], alone.intervals, strict=True):
        assert (ours.lower, ours.upper) == pytest.approx((own.lower, own.upper), rel=1e-6)
