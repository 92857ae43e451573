"""Profiles and intervals: the thresholds, the roots, the bounds and the reference engine."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2

from histnu.core.errors import FitError
from histnu.core.polynomial import PolynomialMap
from histnu.inference import (
    BatchedLikelihood,
    FitOptions,
    IntervalOptions,
    MappedLikelihood,
    best_fit,
    cls_limit,
    interval,
    limits,
    profile,
    threshold,
)
from tests.inference import examples

Example = Callable[[str], BatchedLikelihood]


def test_thresholds_are_chi_squared_quantiles() -> None:
    for cl in (0.68, 0.9, 0.95, 0.9973):
        for dof in (1, 2, 3):
            assert threshold(cl, dof) == pytest.approx(chi2.ppf(cl, dof), rel=1e-12)
    with pytest.raises(FitError, match="not between 0 and 1"):
        threshold(1.0, 1)
    with pytest.raises(FitError, match="degrees of freedom"):
        threshold(0.9, 0)


def test_gaussian_limit_of_a_large_sample() -> None:
    """With n events and no nuisance the interval tends to n +- sqrt(threshold n)."""
    n = 1e8
    document = examples.workspace(
        {
            "c": [
                {
                    "name": "s",
                    "data": [1e4],
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                }
            ]
        },
        {"c": [n]},
        "mu",
        [{"name": "mu", "bounds": [[0.0, 1e6]], "inits": [1e4]}],
    )
    limit = interval(BatchedLikelihood.from_workspace(document), None, "mu")
    half = np.sqrt(threshold(0.9, 1) * n) / 1e4
    assert limit.lower is not None and limit.upper is not None
    # the next order is threshold / (6 sqrt(n)) relative to the half width
    assert limit.upper == pytest.approx(1e4 + half, abs=2e-4)
    assert limit.lower == pytest.approx(1e4 - half, abs=2e-4)


@pytest.mark.parametrize("shape", ["textbook", "multichannel", "correlated", "combined"])
def test_the_ends_lie_on_the_threshold(example: Example, shape: str) -> None:
    likelihood = example(shape)
    for name in likelihood.parameter_names[:4]:
        if likelihood.fixed[likelihood.index(name)]:
            continue
        limit = interval(likelihood, None, name, 0.9, 1)
        ends = [x for x in (limit.lower, limit.upper) if x is not None]
        assert ends
        delta = profile(likelihood, None, name, ends).delta_twice_nll
        np.testing.assert_allclose(delta, limit.threshold, rtol=0, atol=1e-7)


def test_an_end_at_a_bound_is_none(example: Example) -> None:
    limit = interval(example("textbook"), None, "mu")
    assert limit.lower is None  # best fit at zero
    assert limit.best_fit.parameters["mu"] == 0.0
    narrow = examples.textbook()
    narrow["measurements"][0]["config"]["parameters"] = [{"name": "mu", "bounds": [[0.0, 0.2]]}]
    narrow["measurements"][0]["config"]["parameters"][0]["inits"] = [0.1]
    limit = interval(BatchedLikelihood.from_workspace(narrow), None, "mu")
    assert limit.lower is None and limit.upper is None


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["pyhf", "pyhf-scipy"])
def test_engine_and_pyhf_give_the_same_profile_and_limit(example: Example, engine: str) -> None:
    likelihood = example("combined")
    values = [0.0, 0.7, 2.0]
    mine = profile(likelihood, None, "mu", values)
    reference = profile(likelihood, None, "mu", values, FitOptions(engine=engine))
    assert reference.engine == engine
    # minuit at tolerance 1e-3 is within 2e-6 of the minimum, in both terms of Delta
    np.testing.assert_allclose(mine.delta_twice_nll, reference.delta_twice_nll, atol=5e-6)
    options = IntervalOptions(FitOptions(engine=engine), tolerance=1e-5)
    upper = interval(likelihood, None, "mu", 0.9, 1, options).upper
    assert upper == pytest.approx(interval(likelihood, None, "mu").upper, abs=2e-5)


@pytest.mark.slow
def test_engine_and_pyhf_agree_on_charges(charges: MappedLikelihood) -> None:
    values = [-2.0, 3.0]
    mine = profile(charges, None, "q_ee", values)
    reference = profile(charges, None, "q_ee", values, FitOptions(engine="pyhf"))
    np.testing.assert_allclose(mine.delta_twice_nll, reference.delta_twice_nll, atol=1e-5)


def test_pyhf_state_is_left_alone(example: Example) -> None:
    import pyhf

    before = pyhf.get_backend()
    try:
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(), precision="32b")
        mine = pyhf.get_backend()
        profile(example("textbook"), None, "mu", [0.5], FitOptions(engine="pyhf"))
        assert pyhf.get_backend() == mine
        with pytest.raises(FitError):
            profile(example("textbook"), None, "x", [0.5], FitOptions(engine="pyhf"))
        assert pyhf.get_backend() == mine
    finally:
        pyhf.set_backend(*before)


def test_profile_is_zero_at_the_best_fit_and_convex_nearby(example: Example) -> None:
    likelihood = example("correlated")
    best = best_fit(likelihood)
    x = best.parameters["mu"] + np.linspace(-0.3, 0.3, 13)
    delta = profile(likelihood, None, "mu", x).delta_twice_nll
    assert abs(delta[6]) < 1e-8
    assert np.all(np.diff(delta, 2) > 0)


def test_other_parameters_can_be_held(example: Example) -> None:
    likelihood = example("combined")
    free = interval(likelihood, None, "mu").upper
    held = interval(likelihood, None, "mu", 0.9, 1, IntervalOptions(FitOptions(fixed={"ce": 0.0})))
    assert held.upper is not None and free is not None
    assert held.upper != pytest.approx(free, abs=1e-3)
    assert held.best_fit.parameters["ce"] == 0.0
    with pytest.raises(FitError, match="ce is fixed"):
        interval(likelihood, None, "ce", 0.9, 1, IntervalOptions(FitOptions(fixed={"ce": 0.0})))


def test_flat_direction_is_open(charges: MappedLikelihood) -> None:
    """A parameter the data do not see has no ends."""
    from histnu.core.polynomial import PolynomialMap

    base = BatchedLikelihood.from_workspace(examples.combined())
    blind = PolynomialMap(("g", "unseen"), ("mu",), (((1.0, {"g": 2}), (0.0, {"unseen": 1})),))
    limit = interval(MappedLikelihood(base, blind), None, "unseen")
    assert limit.lower is None and limit.upper is None
    assert interval(MappedLikelihood(base, blind), None, "g").upper is not None


def test_bad_requests_are_refused(example: Example) -> None:
    likelihood = example("textbook")
    with pytest.raises(FitError, match="unknown engine 'root'"):
        FitOptions(engine="root")
    with pytest.raises(FitError, match="list of finite values"):
        profile(likelihood, None, "mu", [np.nan])
    with pytest.raises(FitError, match="no parameter 'nu'"):
        interval(likelihood, None, "nu")
    with pytest.raises(FitError, match="give data"):
        profile(BatchedLikelihood.from_model(likelihood.model), None, "mu", [0.0])


def test_results_are_json(example: Example) -> None:
    likelihood = example("textbook")
    for result in (
        interval(likelihood, None, "mu"),
        profile(likelihood, None, "mu", [0.0, 1.0]),
        best_fit(likelihood),
    ):
        text = json.dumps(result.to_json(), allow_nan=False)
        assert json.loads(text) == result.to_json()
    assert interval(likelihood, None, "mu").to_json()["best_fit"]["parameters"]["mu"] == 0.0


@pytest.mark.parametrize("factor", [1e-4, 1e5])
def test_a_wrong_scale_does_not_move_the_ends(
    example: Example, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """The curvature of a nearly flat minimum says little about the width of the profile."""
    from histnu.inference.limits import ProfileFunction

    likelihood = example("correlated")
    right = interval(likelihood, None, "mu")
    sigma = ProfileFunction.sigma
    monkeypatch.setattr(ProfileFunction, "sigma", lambda self: factor * sigma(self))
    wrong = interval(likelihood, None, "mu")
    assert wrong.upper == pytest.approx(right.upper, abs=1e-8)
    assert wrong.lower == (right.lower and pytest.approx(right.lower, abs=1e-8))


@pytest.mark.parametrize("width", [1e-60, 1e8])
def test_a_width_that_is_no_distance_between_the_bounds(
    example: Example, monkeypatch: pytest.MonkeyPatch, width: float
) -> None:
    """A curvature of zero up to rounding, at a best fit that is at its bound: random document 102.

    Every end is then close to the best fit, compared to it, and the first grid point is the last.
    """
    likelihood = example("textbook")
    low = likelihood.expected(likelihood.init)[0] * 0.7  # the best fit is at zero
    right = interval(likelihood, low, "mu")
    assert right.best_fit.parameters["mu"] == 0.0
    monkeypatch.setattr(limits.ProfileFunction, "_width", lambda self: width)
    wrong = interval(likelihood, low, "mu")
    assert wrong.upper == pytest.approx(right.upper, abs=1e-8)
    assert wrong.lower is None


def test_interval_of_a_profile_without_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coupling that enters squared, at the Asimov point: Delta ~ x^4, curvature zero.

    Rounding can make that curvature look like a standard deviation of 1e-9, which must not end the
    search. The ends are the roots of the strength's own interval, found to 1e-8 in Delta.
    """
    base = BatchedLikelihood.from_workspace(examples.textbook())
    square = PolynomialMap(("g",), ("mu",), (((1.0, {"g": 2}),),))
    likelihood = MappedLikelihood(base, square)
    asimov = base.expected(np.where(np.arange(len(base.init)) == base.poi_index, 0.0, base.init))
    strength = interval(base, asimov[0], "mu", cl=0.9)
    monkeypatch.setattr(limits.ProfileFunction, "sigma", lambda self: 1e-9)
    found = interval(likelihood, asimov[0], "g", cl=0.9)
    assert found.upper is not None and found.lower is not None
    assert found.upper**2 == pytest.approx(strength.upper, rel=1e-7)
    assert found.lower == pytest.approx(-found.upper, rel=1e-7)


@pytest.mark.parametrize(
    "unit", [1e-20, *(pytest.param(u, marks=pytest.mark.slow) for u in (1e-10, 1e-8, 1e8, 1e20))]
)
def test_the_unit_of_a_parameter_does_not_matter(unit: float) -> None:
    """A coupling squared of 1e-20, or a strength of 1e10: the interval is that of unit 1."""

    def ends(unit: float) -> np.ndarray:
        samples = [
            {
                "name": "signal",
                "data": [5.0 / unit, 12.0 / unit, 20.0 / unit],
                "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
            },
            {
                "name": "background",
                "data": [52.0, 52.0, 32.0],
                "modifiers": [{"name": "b", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}],
            },
        ]
        mu = [{"name": "mu", "bounds": [[0.0, 10.0 * unit]], "inits": [unit]}]
        document = examples.workspace({"c": samples}, {"c": [62.0, 63.0, 60.0]}, "mu", mu)
        likelihood = BatchedLikelihood.from_workspace(document)
        found, limit = interval(likelihood, None, "mu"), cls_limit(likelihood, None, "mu")
        assert found.lower is not None and found.upper is not None and found.certified
        best = found.best_fit.parameters["mu"]
        return np.array([found.lower, best, found.upper, limit.upper]) / unit

    # ends to 1e-8 in Delta, the best fit to the tolerance of -2 log L (edm 1e-9: 1e-5 of a width)
    np.testing.assert_allclose(ends(unit), ends(1.0), rtol=3e-5)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_profile_that_is_a_straight_line(unit: float) -> None:
    """No event seen: Delta = 2 s mu has no curvature; its end is threshold / (2 s)."""
    modifier = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "signal", "data": [5.0 / unit], "modifiers": [modifier]},
        {"name": "background", "data": [1.0], "modifiers": []},
    ]
    mu = [{"name": "mu", "bounds": [[0.0, 10.0 * unit]], "inits": [unit]}]
    document = examples.workspace({"c": samples}, {"c": [0.0]}, "mu", mu)
    found = interval(BatchedLikelihood.from_workspace(document), None, "mu")
    # 1e-8 in Delta of 2.7
    assert found.upper == pytest.approx(threshold(0.9, 1) / 10.0 * unit, rel=1e-8)


def test_tiny_signal_over_a_tiny_background() -> None:
    """One event in the first of two bins with s mu = x and 2 x events expected: x = 1/3."""
    unit = 1e9
    samples = [
        {
            "name": "signal",
            "data": [1 / unit, 2 / unit],
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {
            "name": "background",
            "data": [1 / unit, 1 / unit],
            "modifiers": [{"name": "b", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}],
        },
    ]
    mu = [{"name": "mu", "bounds": [[0.0, 100 * unit]], "inits": [1.0]}]
    document = examples.workspace({"c": samples}, {"c": [1.0, 0.0]}, "mu", mu)
    found = best_fit(BatchedLikelihood.from_workspace(document))
    # the background moves the minimum by 1e-9; the rest is the tolerance of -2 log L
    assert found.parameters["mu"] / unit == pytest.approx(1 / 3, rel=1e-5)


@pytest.mark.slow
def test_region_beside_a_jump_of_the_profile() -> None:
    """An empty bin holds signal alone, which a systematic turns negative at h = 1 / 0.7.

    Below mu = 0 the bin needs that: Delta falls by (1 / 0.7)^2 where mu becomes 0. Without the jump
    the profile is that of the other bin, so that the lower part of the region is known from it.
    """
    signal = {
        "name": "signal",
        "data": [2.0, 0.5],
        "modifiers": [
            {"name": "mu", "type": "normfactor", "data": None},
            {"name": "h", "type": "histosys",
             "data": {"lo_data": [2.0, 0.85], "hi_data": [2.0, 0.15]}},
        ],
    }  # fmt: skip
    background = {
        "name": "background",
        "data": [30.0, 0.0],
        "modifiers": [{"name": "b", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}],
    }
    mu = [{"name": "mu", "bounds": [[-10.0, 10.0]], "inits": [1.0]}]
    document = examples.workspace(
        {"c": [signal, background]}, {"c": [20.0, 0.0]}, "mu", mu
    )  # fmt: skip
    found = interval(BatchedLikelihood.from_workspace(document), None, "mu")

    one = {"name": "signal", "data": [2.0], "modifiers": signal["modifiers"][:1]}
    other = {**background, "data": [30.0]}
    document = examples.workspace({"c": [one, other]}, {"c": [20.0]}, "mu", mu)
    lone = interval(BatchedLikelihood.from_workspace(document), None, "mu")
    at_zero = profile(BatchedLikelihood.from_workspace(document), None, "mu", [0.0])

    low, high = found.intervals
    assert lone.lower is not None and lone.upper is not None and found.certified
    # both profiles to 1e-8 in Delta, at slopes of about 1; the empty bin's barrier is 2e-9
    assert (low.lower, low.upper) == pytest.approx((lone.lower, lone.upper), abs=1e-6)
    assert high.lower == 0.0
    assert at_zero.delta_twice_nll[0] > found.threshold > at_zero.delta_twice_nll[0] - 0.7**-2
