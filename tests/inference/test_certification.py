"""Minima found from several starts, what is said where they are not, and regions as sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from histnu.core.errors import FitError
from histnu.core.polynomial import PolynomialMap
from histnu.inference import (
    BatchedLikelihood,
    FitOptions,
    IntervalOptions,
    MappedLikelihood,
    MinimiseOptions,
    ToyOptions,
    coverage,
    interval,
    profile,
    region,
)
from histnu.inference.engine.divides import confirm, other_sides
from histnu.inference.engine.fit import fit
from histnu.inference.engine.ledger import Ledger
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.multistart import MultiStart
from histnu.inference.engine.problems import BatchFit, Problems
from histnu.inference.engine.search import Memory, Search
from histnu.inference.engine.starts import StartOptions
from histnu.inference.limits import threshold
from histnu.inference.toys import (
    Chunk,
    ToyStatistics,
    accepted,
    check_toys,
    chunk_statistics,
    critical_value,
)
from tests.inference import examples

Example = Callable[[str], BatchedLikelihood]


def two_minima(low: tuple[float, float] = (60.0, 10.0)) -> BatchedLikelihood:
    """One nuisance that lowers two backgrounds on one side of zero and raises them on the other."""
    shape = {"lo_data": list(low), "hi_data": [58.0, 14.0]}
    modifiers = [{"name": "shape", "type": "histosys", "data": shape}]
    samples = [
        {
            "name": "signal", "data": [8.0, 2.0],
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {"name": "background", "data": [40.0, 12.0], "modifiers": modifiers},
    ]  # fmt: skip
    document = examples.workspace({"c": samples}, {"c": [62, 12]}, "mu")
    return BatchedLikelihood.from_workspace(document)


def scanned(likelihood: BatchedLikelihood, mu: float) -> float:
    """Lowest -2 log L over a fine grid of the one nuisance: within 1e-4 of the minimum."""
    alpha = np.linspace(-5, 5, 20001)
    pars = np.zeros((len(alpha), 2))
    pars[:, likelihood.index("mu")] = mu
    pars[:, likelihood.index("shape")] = alpha
    return float(likelihood.twice_nll(pars, likelihood.observation).min())


def test_the_lower_of_two_minima_is_found_and_certified() -> None:
    likelihood = two_minima()
    mu = np.linspace(0, 4, 81)
    found = profile(likelihood, None, "mu", mu)
    assert found.search["second"] > 0
    assert found.certified.all()
    value = found.best_fit.twice_nll + found.delta_twice_nll
    grid = [scanned(likelihood, float(x)) for x in mu]
    np.testing.assert_allclose(value, grid, rtol=0, atol=1e-4)  # the grid is 5e-4 wide
    limit = interval(likelihood, None, "mu")
    for end in (limit.lower, limit.upper):
        if end is not None:
            at = scanned(likelihood, end) - limit.best_fit.twice_nll
            assert at == pytest.approx(limit.threshold, abs=1e-4)


def test_a_second_minimum_of_one_likelihood_asks_nothing_of_the_others() -> None:
    """The others certify a share of their toys only, as they do alone."""
    folding, straight = two_minima(), two_minima((22.0, 10.0))
    truth = np.array(folding.init)
    truth[folding.index("mu")] = 1.0
    chunk = Chunk(tuple(truth), {"mu": 1.0}, {"mu": 1.0}, 1, 0, 200)
    alone = chunk_statistics([folding], chunk, FitOptions())
    both = chunk_statistics([folding, straight], chunk, FitOptions())
    assert both.search["second"] > 0
    assert both.failed == alone.failed
    assert np.all(both.delta >= alone.delta - 1e-5)  # one more minimum to be the lowest


def folding() -> BatchedLikelihood:
    """Eight nuisances, each raising a bin of its own up and down: 256 minima.

    A bin that all share tells them apart: up and down move it to either side, by different amounts.
    """
    samples, size = [], 8
    for k in range(size):
        own = [0.0] * size
        own[k] = 9.0
        shapes = {"hi_data": [*own, 3.0 + k / 2], "lo_data": [*own, -2.0 - k / 3]}
        shapes = {name: [1.0 + x for x in data] for name, data in shapes.items()}
        modifiers = [{"name": f"fold_{k}", "type": "histosys", "data": shapes}]
        samples.append({"name": f"s_{k}", "data": [1.0] * (size + 1), "modifiers": modifiers})
    signal = {"name": "mu", "type": "normfactor", "data": None}
    samples.append({"name": "flat", "data": [40.0] * size + [60.0], "modifiers": []})
    samples.append({"name": "signal", "data": [0.5] * size + [1.0], "modifiers": [signal]})
    document = examples.workspace({"c": samples}, {"c": [66] * size + [72]}, "mu")
    return BatchedLikelihood.from_workspace(document)


def bent() -> BatchedLikelihood:
    """A free sample with a shape that falls both ways, far from the data without a signal.

    The residuals are large there, and with them the curvature of the fold, which the expected
    information does not know.
    """
    mu, k = ({"name": n, "type": "normfactor", "data": None} for n in ("mu", "k"))

    def shape(name: str, low: list[float], high: list[float]) -> dict[str, Any]:
        data = {"lo_data": low, "hi_data": high}
        return {"name": name, "type": "histosys", "data": data}

    def size(name: str, low: float, high: float) -> dict[str, Any]:
        return {"name": name, "type": "normsys", "data": {"lo": low, "hi": high}}

    tilt = shape("tilt", [103.1, 198.2], [90.0, 219.4])
    y = [
        size("a", 0.81, 1.19), size("b", 1.0, 1.421),
        shape("fold", [199.2], [247.1]), shape("c", [123.4], [292.7]),
    ]  # fmt: skip
    channels = {
        "x": [("signal", [76.7, 11.27], [mu]), ("free", [112.7, 182.5], [tilt, k])],
        "y": [("signal", [235.6], [mu]), ("background", [208.0], y)],
        "z": [("signal", [29.3], [mu]), ("other", [507.6], [shape("fold", [453.0], [598.3])])],
    }
    samples = {
        channel: [{"name": n, "data": d, "modifiers": m} for n, d, m in rows]
        for channel, rows in channels.items()
    }
    counts = {"x": [591.0, 382.0], "y": [878.0], "z": [768.0]}
    return BatchedLikelihood.from_workspace(examples.workspace(samples, counts, "mu"))


def test_steps_follow_a_fold_far_from_the_best_fit() -> None:
    """Starts arrived nowhere within 80 steps, and two that did agreed on the higher minimum.

    The lowest of long walks from 200 random points is 10.3 below the other.
    """
    likelihood = bent()
    observed = likelihood.observe(likelihood.observation)
    rng = np.random.default_rng(1)
    start = likelihood.init + rng.uniform(-3, 3, (200, len(likelihood.init)))
    problems = Problems.make(likelihood, 200, {"mu": 0.0}, start)
    every = minimise(likelihood, observed, problems, MinimiseOptions(max_iterations=1000))
    assert np.ptp(every.twice_nll[every.converged]) == pytest.approx(10.3, abs=0.1)
    short = minimise(likelihood, observed, problems, MinimiseOptions(migrad=False))
    assert short.converged.mean() > 0.9
    alone = fit(likelihood, observed, {"mu": 0.0})
    assert alone.certified[0]
    assert alone.twice_nll[0] == pytest.approx(every.twice_nll.min(), abs=1e-6)  # both to 1e-9


@pytest.mark.parametrize("mu", [0.0, 4.0])
def test_minima_one_fold_apart_are_compared(mu: float) -> None:
    """The lowest of 256 minima, each found from its own side of every fold."""
    likelihood = folding()
    observed = likelihood.observe(likelihood.observation)
    sides = np.array(list(product((-1.5, 1.5), repeat=8)))
    problems = Problems.make(likelihood, len(sides), {"mu": mu})
    columns = [likelihood.index(f"fold_{k}") for k in range(8)]
    problems.start[columns] = sides.T
    every = minimise(likelihood, observed, problems, MinimiseOptions())
    assert len(np.unique(every.twice_nll.round(4))) > 50
    found = profile(likelihood, None, "mu", [mu])
    value = found.best_fit.twice_nll + found.delta_twice_nll[0]
    assert value == pytest.approx(every.twice_nll.min(), abs=1e-6)  # both converge to 1e-9


def narrow() -> BatchedLikelihood:
    """Two free strengths fit two bins exactly; a third, with a fold in b, sees a alone.

    A million events each: from one side of the fold to the other the strengths follow b through a
    valley far narrower than it is long.
    """
    free = {n: {"name": n, "type": "normfactor", "data": None} for n in ("mu", "k")}
    sizes = {"name": "b", "type": "normsys", "data": {"lo": 0.78, "hi": 1.18}}
    shapes = [
        {"name": n, "type": "histosys", "data": {"lo_data": [lo], "hi_data": [hi]}}
        for n, lo, hi in (("a", 1.006740e6, 1.013319e6), ("b", 1.006763e6, 1.017415e6))
    ]
    channels = {
        "x": [("signal", [1.04655e6], [free["mu"]]), ("background", [2.544e6], [sizes])],
        "y": [("signal", [4.0714e5], [free["mu"]]), ("background", [6.5539e5], [free["k"]])],
        "z": [("background", [9.87497e5], shapes), ("flat", [4.39557e5], [])],
    }
    samples = {
        channel: [{"name": n, "data": d, "modifiers": m} for n, d, m in rows]
        for channel, rows in channels.items()
    }
    counts = {"x": [3.42031e6], "y": [1.069939e6], "z": [1.469911e6]}
    return BatchedLikelihood.from_workspace(examples.workspace(samples, counts, "mu"))


@pytest.mark.parametrize("a", [pytest.param(0.5, marks=pytest.mark.slow), 1.0])
def test_other_sides_of_narrow_valleys_are_compared(a: float) -> None:
    """On a grid of b: x and y are fitted exactly by mu and k, z is a Poisson term of a and b."""
    likelihood = narrow()
    observed = likelihood.observe(likelihood.observation)
    points = np.repeat(likelihood.init[:, None], 20_001, axis=1)
    b = np.linspace(-2, 2, points.shape[1])
    points[likelihood.index("a")], points[likelihood.index("b")] = a, b
    at_mu, at_k = likelihood.index("mu"), likelihood.index("k")
    points[[at_mu, at_k]] = 0.0
    rates = likelihood.expected(points.T)
    mu = (3.42031e6 - rates[:, 0]) / 1.04655e6
    k = (1.069939e6 - 4.0714e5 * mu) / 6.5539e5
    points[at_mu], points[at_k] = mu, k
    allowed = (mu >= 0) & (mu <= 10) & (k >= 0) & (k <= 10)
    lowest = likelihood.value(points[:, allowed], observed).min()
    found = fit(likelihood, observed, {"a": a})
    assert found.certified[0]
    # the grid misses the minimum by up to 1e-4 in b, (1e-4 / 0.1)^2 of a width of about 0.1
    assert lowest - 2e-5 <= found.twice_nll[0] <= lowest + 1e-6


def behind() -> BatchedLikelihood:
    """A fold in f explains x on both sides; on the lower one y expects 10 - 15 + 4 k events."""
    shapes = [
        {"name": "f", "type": "histosys", "data": {"lo_data": [lo], "hi_data": [hi]}}
        for lo, hi in ((133.0, 130.0), (-5.0, 10.0))
    ]
    other = {"name": "k", "type": "normfactor", "data": None}
    samples = {
        "x": [{"name": "background", "data": [100.0], "modifiers": shapes[:1]}],
        "y": [
            {"name": "background", "data": [10.0], "modifiers": shapes[1:]},
            {"name": "other", "data": [4.0], "modifiers": [other]},
        ],
    }
    counts = {"x": [133.0], "y": [14.0]}
    return BatchedLikelihood.from_workspace(examples.workspace(samples, counts, "k"))


def test_a_side_behind_a_negative_rate_is_entered_where_rates_are_allowed() -> None:
    """The fold is reflected and held while the strength is fitted: y is as observed."""
    likelihood = behind()
    observed = likelihood.observe(likelihood.observation)
    search = Search(Memory(likelihood, None, None), observed, Problems.make(likelihood, 1))
    search.run(search.every, [np.ones((2, 1))])
    minimum = search.ledger.fit.parameters[0].copy()
    f = likelihood.index("f")
    assert minimum[f] > 0.9
    (start,) = other_sides(search, search.every)
    assert start[f, 0] == -minimum[f]
    # -2 log L is converged to 1e-9: the 14 events to the square root of that times their own
    assert likelihood.expected(start[:, 0])[0, 1] == pytest.approx(14.0, abs=2e-4)
    assert search.run(search.every, [start])[0]
    assert search.ledger.fit.parameters[0, f] < -0.8


def test_a_minimum_that_one_start_reached_is_started_again_beside_it(example: Example) -> None:
    """Two starts then agree on it, or what was none falls to the minimum."""
    likelihood = example("textbook")
    observed = likelihood.observe(likelihood.observation)
    values = {"mu": [0.5, 0.5]}
    search = Search(Memory(likelihood, None, None), observed, Problems.make(likelihood, 2, values))
    search.run(search.every, [search.problems.start])
    minimum = search.ledger.fit.twice_nll.copy()
    assert not search.ledger.fit.certified.any()
    none = search.ledger.fit.select([1])
    none.parameters[0, likelihood.index("uncorrelated[0]")] += 0.1
    none.twice_nll[:] += 1.0
    search.ledger.fit.put(np.array([1]), none)
    confirm(search, search.every)
    assert search.ledger.fit.certified.tolist() == [True, False]
    assert search.ledger.second.tolist() == [False, True]
    assert search.ledger.fit.twice_nll == pytest.approx(minimum, abs=1e-8)  # edm of the fits


def test_toys_with_two_minima_are_all_started_often() -> None:
    found = coverage(two_minima(), {"mu": 1.0}, "mu", 0.9, 1, ToyOptions(200))
    assert found.search["second"] > 0
    assert found.search["checked"] >= 400  # free and conditional fits of every toy
    assert found.failed == 0 and found.certified


def test_a_ledger_counts_different_starts_that_agree() -> None:
    problems = Problems(np.zeros((1, 2)), np.zeros((1, 2), dtype=bool))
    ledger = Ledger(problems, 1e-5)
    every, yes, different = np.arange(2), np.ones(2, dtype=bool), np.ones((1, 2), dtype=bool)

    def fits(a: float, b: float) -> BatchFit:
        return BatchFit.of(np.zeros((2, 1)), np.array([a, b]), yes.copy())

    ledger.enter(every, fits(1.0, 1.0), different)
    assert not ledger.fit.certified.any()
    ledger.enter(every, fits(1.0, 1.0), np.array([[True, False]]))  # the second is the same start
    assert ledger.fit.certified.tolist() == [True, False]
    ledger.enter(every, fits(0.5, 1.5), different)  # lower, and higher
    assert ledger.fit.twice_nll.tolist() == [0.5, 1.0]
    assert ledger.fit.agreeing.tolist() == [1, 1]
    assert ledger.second.tolist() == [True, True]


def test_uncertified_fits_are_an_error_that_names_the_value(example: Example) -> None:
    """One iteration is not enough for any fit, and MIGRAD is not asked."""
    hasty = MinimiseOptions(max_iterations=1, migrad=False)
    options = FitOptions(minimise=hasty, starts=StartOptions(patience=1))
    likelihood = example("correlated")
    with pytest.raises(FitError, match=r"the free fit: the fit did not converge .*of 1 fits"):
        interval(likelihood, None, "mu", options=IntervalOptions(options))
    with pytest.raises(FitError, match="allow-uncertified"):
        profile(likelihood, None, "mu", [0.3, 0.7], options)
    with pytest.raises(FitError, match="mu = 1: no toy converged"):
        coverage(likelihood, {"mu": 1.0}, "mu", options=ToyOptions(40, fit=options))
    allowed = replace(options, allow_uncertified=True)
    found = profile(likelihood, None, "mu", [0.3, 0.7], allowed)
    assert not found.certified.all() and not found.best_fit.certified


def test_left_out_toys_may_not_matter() -> None:
    """A quarter of the largest binomial error, 0.5 / sqrt(n), of 1,600 toys is 5 toys."""
    good = np.ones(1600, dtype=bool)
    good[:6] = False
    toys = ToyStatistics(np.zeros(1600), np.zeros(1600), good)
    with pytest.raises(FitError, match="6 of 1600"):
        check_toys(toys, "mu = 1", ToyOptions())
    good[0] = True
    check_toys(toys, "mu = 1", ToyOptions())


def test_minima_behind_a_jump_are_not_certified() -> None:
    """pyhf's code 2 is (b + 2a)(alpha - 1) above 1: zero there, after a + b. Rates jump.

    All starts can agree on a minimum and yet know nothing of the other side.
    """
    shape = {"name": "a", "type": "histosys", "data": {"lo_data": [40.0], "hi_data": [60.0]}}
    signal = {"name": "s", "data": [10.0],
              "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]}  # fmt: skip
    document = examples.workspace(
        {"c": [signal, {"name": "b", "data": [50.0], "modifiers": [shape]}]}, {"c": [54.0]}, "mu"
    )
    settings = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code2"}}
    likelihood = BatchedLikelihood.from_workspace(document, modifier_settings=settings)
    with pytest.raises(FitError, match="code2 jumps at -1 and 1"):
        interval(likelihood, None, "mu")
    held = IntervalOptions(FitOptions(fixed={"a": 0.3}))
    assert interval(likelihood, None, "mu", options=held).certified


def empty_bin(sign: float) -> BatchedLikelihood:
    """An empty bin in which a nuisance can make the only background negative."""
    shape = {"lo_data": [1.0, 30.0], "hi_data": [-0.5, 30.0 + 10 * sign]}
    samples = [
        {
            "name": "signal", "data": [1.0, 5.0],
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {
            "name": "background", "data": [0.5, 30.0],
            "modifiers": [{"name": "shape", "type": "histosys", "data": shape}],
        },
    ]  # fmt: skip
    return BatchedLikelihood.from_workspace(
        examples.workspace({"c": samples}, {"c": [0, 55]}, "mu")
    )


@pytest.mark.slow
def test_minimum_on_the_boundary_of_the_rates() -> None:
    likelihood = empty_bin(1.0)
    found = profile(likelihood, None, "mu", [0.2])
    rates = likelihood.expected(found.parameters)[0]
    assert 0 <= rates[0] < 1e-6
    alpha = np.linspace(-1, 3, 400001)
    pars = np.zeros((len(alpha), 2))
    pars[:, likelihood.index("mu")], pars[:, likelihood.index("shape")] = 0.2, alpha
    lowest = likelihood.twice_nll(pars, likelihood.observation).min()
    value = found.best_fit.twice_nll + found.delta_twice_nll[0]
    # the grid stops up to 1e-5 short of the boundary, where the slope is about 12
    assert value == pytest.approx(lowest, abs=2e-4)
    limit = interval(likelihood, None, "mu")
    assert limit.certified
    assert any("bin 0 of channel c is empty" in n and "background" in n for n in limit.boundary)


def test_a_region_of_two_segments() -> None:
    """mu = (g^2 - 1)^2 is small around g = -1 and around g = 1."""
    base = BatchedLikelihood.from_workspace(examples.textbook())
    terms = ((1.0, {"g": 4}), (-2.0, {"g": 2}), (1.0, {}))
    likelihood = MappedLikelihood(base, PolynomialMap(("g",), ("mu",), (terms,)))
    strength = interval(base, None, "mu", cl=0.5).upper
    assert strength is not None and strength < 1  # below the hill at g = 0
    found = interval(likelihood, None, "g", cl=0.5)
    inner, outer = np.sqrt(1 - np.sqrt(strength)), np.sqrt(1 + np.sqrt(strength))
    ends = [(s.lower, s.upper) for s in found.intervals]
    np.testing.assert_allclose(ends, [(-outer, -inner), (inner, outer)], rtol=1e-6)
    assert {s.lower_end for s in found.intervals} == {"crossing"}
    assert (found.lower, found.upper) == (ends[0][0], ends[1][1])
    assert found.other_roots == (ends[0][1], ends[1][0])


def test_ends_at_bounds_are_said(example: Example) -> None:
    (segment,) = interval(example("textbook"), None, "mu").intervals
    assert (segment.lower, segment.lower_end) == (0.0, "bound")
    assert segment.upper_end == "crossing"


def test_level_zero_is_the_best_fit(example: Example) -> None:
    assert threshold(0.0, 1) == 0.0
    found = interval(example("correlated"), None, "mu", cl=0.0)
    assert found.lower == found.upper == found.best_fit.parameters["mu"]


def test_scan_of_many_points_equals_points_one_by_one(example: Example) -> None:
    likelihood = example("correlated")
    values = np.linspace(0, 3, 150)
    many = profile(likelihood, None, "mu", values)
    assert many.certified.all()
    few = [profile(likelihood, None, "mu", [x]).delta_twice_nll[0] for x in values[::37]]
    np.testing.assert_allclose(many.delta_twice_nll[::37], few, rtol=0, atol=1e-7)


def test_region_is_certified(example: Example) -> None:
    grid = (np.linspace(0, 3, 12), np.linspace(-2, 2, 12))
    found = region(example("combined"), None, ("mu", "b8_flux"), grid)
    assert found.certified and found.search["certified"] == found.search["fits"]


def test_critical_value_covers_discrete_outcomes() -> None:
    """P(Delta <= critical) >= cl, and it is the smallest outcome with that property."""
    outcomes = np.repeat([0.0, 1.0, 2.0, 5.0], [50, 30, 15, 5])
    for cl, expected in ((0.5, 0.0), (0.51, 1.0), (0.8, 1.0), (0.9, 2.0), (0.96, 5.0)):
        critical = critical_value(outcomes, cl)
        assert critical == expected
        assert np.mean(outcomes <= critical) >= cl
        assert np.mean(outcomes < critical) < cl


def test_accepted_values_are_a_set() -> None:
    x, bounds = np.arange(6.0), np.array([0.0, 5.0])
    roots, segments = accepted(x, np.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0]), bounds)
    assert roots == [0.5, 1.5, 2.5, 4.5]
    assert [(s.lower, s.upper) for s in segments] == [(0.0, 0.5), (1.5, 2.5), (4.5, 5.0)]
    assert (segments[0].lower_end, segments[-1].upper_end) == ("bound", "bound")
    assert accepted(x, -np.ones(6), bounds) == ([], ())


def test_a_true_value_outside_its_bounds_is_refused(example: Example) -> None:
    with pytest.raises(FitError, match=r"true mu = -1 is outside its bounds \[0, 10\]"):
        coverage(example("textbook"), {"mu": -1.0}, "mu")


def test_the_search_learns_and_counts(example: Example) -> None:
    likelihood = example("textbook")
    search = MultiStart(likelihood)
    observed = likelihood.observe(likelihood.observation)
    fit = search.scan(observed, Problems.make(likelihood, 1), [])
    assert fit.certified.all() and not search.second
    assert search.counts.fits == 1 and search.counts.starts > 2


def test_clopper_pearson_covers_and_root_is_right() -> None:
    from scipy.stats import binom

    from histnu.inference.toys import clopper_pearson

    low, high = clopper_pearson(7, 20, 0.9)
    assert low == pytest.approx(brentq(lambda p: binom.sf(6, 20, p) - 0.05, 1e-6, 0.9), rel=1e-9)
    assert high == pytest.approx(brentq(lambda p: binom.cdf(7, 20, p) - 0.05, 0.1, 1), rel=1e-9)
    assert clopper_pearson(0, 50, 0.9) == (0.0, pytest.approx(1 - 0.1 ** (1 / 50)))
