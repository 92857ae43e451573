"""Toys, CLs, Feldman-Cousins and coverage."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyhf
import pytest
from scipy.stats import binom, poisson

from histnu.core.errors import FitError
from histnu.inference import (
    BatchedLikelihood,
    MappedLikelihood,
    ToyOptions,
    cls_limit,
    coverage,
    feldman_cousins,
    hypotest,
    hypotest_toys,
    neyman_scan,
    sample,
)
from histnu.inference.asimov import asimov
from histnu.inference.toys import clopper_pearson, critical_value
from tests.inference import examples

Example = Callable[[str], BatchedLikelihood]


@pytest.fixture
def tight() -> object:
    """Give pyhf an optimizer that reaches the minimum, and restore its own."""
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-13))
    yield
    pyhf.set_backend(backend, optimizer)


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize(
    "shape",
    [
        "textbook",
        "correlated",
        pytest.param("multichannel", marks=pytest.mark.slow),
        pytest.param("combined", marks=pytest.mark.slow),
    ],
)
def test_asymptotic_cls_equals_pyhf(example: Example, shape: str) -> None:
    likelihood = example(shape)
    data = np.concatenate([likelihood.observation, likelihood.auxdata])
    values = [0.3, 1.0, 2.2]
    for test, value in zip(hypotest(likelihood, None, "mu", values), values, strict=True):
        observed, tails, expected = pyhf.infer.hypotest(
            value,
            data,
            likelihood.model,
            test_stat="qtilde",
            return_tail_probs=True,
            return_expected_set=True,
        )
        # SLSQP with numerical gradients: -2 log L to 1e-7, its square root to 1e-6 or better
        assert test.cls == pytest.approx(float(observed), abs=5e-6)
        assert (test.cl_sb, test.cl_b) == pytest.approx([float(t) for t in tails], abs=5e-6)
        assert test.expected == pytest.approx([float(e) for e in expected], abs=5e-6)


def test_cls_limit_is_the_root(example: Example) -> None:
    likelihood = example("combined")
    limit = cls_limit(likelihood, None, "mu", 0.95)
    assert limit.method == "cls"
    assert limit.upper is not None
    assert hypotest(likelihood, None, "mu", [limit.upper])[0].cls == pytest.approx(0.05, abs=1e-7)


@pytest.mark.parametrize("scale", [1e-2, 30.0, pytest.param(1e4, marks=pytest.mark.slow)])
def test_cls_limit_scales_with_the_signal(scale: float, example: Example) -> None:
    """A signal k times as large has a limit k times as small, wherever the search begins."""
    document = examples.textbook()
    signal = document["channels"][0]["samples"][0]
    signal["data"] = [scale * x for x in signal["data"]]
    poi = {"name": "mu", "bounds": [[0.0, 1e4]], "inits": [0.1]}
    document["measurements"][0]["config"]["parameters"] = [poi]
    limit = cls_limit(BatchedLikelihood.from_workspace(document), None, "mu", 0.95).upper
    reference = cls_limit(example("textbook"), None, "mu", 0.95).upper
    # of the fits 1e-9 in -2 log L is left, of which CLs moves by 1e-9 and mu by less than 1e-8
    assert limit is not None and limit * scale == pytest.approx(reference, rel=1e-7)


def test_cls_of_one_bin_is_exact() -> None:
    """Without nuisances CLs of a counting experiment is a ratio of Poisson sums."""
    document = examples.workspace(
        {
            "c": [
                {
                    "name": "s",
                    "data": [5.0],
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                },
                {"name": "b", "data": [4.0], "modifiers": []},
            ]
        },
        {"c": [3]},
        "mu",
    )
    likelihood = BatchedLikelihood.from_workspace(document)
    test = hypotest_toys(likelihood, None, "mu", 1.0, ToyOptions(10000, seed=3))
    # q-tilde falls with the count up to mu_hat = mu, so p-values are Poisson sums up to 3
    assert test.cl_sb == pytest.approx(poisson.cdf(3, 9.0), abs=5 * test.errors[0])
    assert test.cl_b == pytest.approx(poisson.cdf(3, 4.0), abs=5 * test.errors[1])
    assert test.method == "toys"


@pytest.mark.slow
def test_toys_agree_with_pyhf_toys(example: Example) -> None:
    likelihood = example("textbook")
    test = hypotest_toys(likelihood, None, "mu", 1.0, ToyOptions(20000, seed=1))
    # 60,000 toys per hypothesis drawn by pyhf 0.7.6 (make_pdf(...).sample, seeds 0, 1 and 2):
    # CLs+b 0.0245(6), CLb 0.4505(20)
    assert test.cl_sb == pytest.approx(0.0245, abs=4 * np.hypot(test.errors[0], 6e-4))
    assert test.cl_b == pytest.approx(0.4505, abs=4 * np.hypot(test.errors[1], 2e-3))
    assert list(test.expected) == sorted(test.expected)


def test_toys_are_reproducible_and_independent_of_chunks(example: Example) -> None:
    likelihood = example("textbook")
    many = [hypotest_toys(likelihood, None, "mu", 1.0, ToyOptions(500, 7, c)) for c in (37, 500)]
    assert replace(many[0], search={}) == replace(many[1], search={})
    other = hypotest_toys(likelihood, None, "mu", 1.0, ToyOptions(500, 8))
    assert other.cl_b != many[0].cl_b


def test_toys_have_the_moments_of_the_model(example: Example) -> None:
    likelihood = example("multichannel")
    rng = np.random.default_rng(0)
    c = likelihood.compiled.constraints
    truth = likelihood.init.copy()
    # away from the nominal: auxiliary data fluctuate around the truth, not around what was measured
    truth[c.parameters] += 0.5 * np.where(c.normal, c.scale, 1 / np.sqrt(c.scale))
    truth = np.where(likelihood.fixed, likelihood.init, truth)
    parts = list(sample(likelihood, truth, 20000, rng, 3000))
    main, aux = (np.concatenate(x) for x in zip(*parts, strict=True))
    mean = likelihood.expected(truth)[0]
    error = np.sqrt(mean / 20000)
    assert np.all(np.abs(main.mean(axis=0) - mean) < 5 * error)
    assert np.all(np.abs(main.var(axis=0) / mean - 1) < 0.06)  # 5 sqrt(2 / 20000)
    center = np.where(c.normal, truth[c.parameters], truth[c.parameters] * c.scale)
    width = np.where(c.normal, c.scale, np.sqrt(center))
    assert np.all(np.abs(aux.mean(axis=0) - center) < 5 * width / np.sqrt(20000))
    assert np.all(np.abs(aux.std(axis=0) / width - 1) < 0.04)
    assert np.all(aux[:, ~c.normal] % 1 == 0)


def test_asimov_data_have_no_signal(example: Example) -> None:
    assert asimov(example("textbook")).tolist() == [50.0, 52.0]  # its background


@pytest.mark.parametrize(
    ("k", "n", "cl"), [(3, 10, 0.9), (1, 50, 0.6826894921370859), (9, 10, 0.9)]
)
def test_ends_of_a_binomial_fraction_leave_their_tails(k: int, n: int, cl: float) -> None:
    """Clopper and Pearson's definition: each end leaves (1 - cl) / 2 to outcomes beyond k."""
    low, high = clopper_pearson(k, n, cl)
    assert binom.sf(k - 1, n, low) == pytest.approx((1 - cl) / 2, rel=1e-9)
    assert binom.cdf(k, n, high) == pytest.approx((1 - cl) / 2, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (20, 20)])
def test_none_or_all_have_one_end(k: int, n: int) -> None:
    low, high = clopper_pearson(k, n, 0.9)
    end, tail = (low, binom.cdf(0, n, high)) if k == 0 else (high, binom.sf(n - 1, n, low))
    assert end == k / n
    assert tail == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize("cl", [0.5, 0.68, 0.9, 0.95])
@pytest.mark.parametrize("n", [7, 10, 1000])
def test_critical_values_cover(cl: float, n: int) -> None:
    """At least ``cl`` of the toys are accepted, and one less would be too few."""
    toys = np.random.default_rng(n).permutation(n).astype(float)
    critical = critical_value(toys, cl)
    # cl n may be an integer up to rounding
    assert np.sum(toys <= critical) >= cl * n - 1e-9 > np.sum(toys < critical)


@pytest.mark.slow
def test_coverage_of_many_events_is_nominal() -> None:
    document = examples.combined()
    for channel, observation in zip(document["channels"], document["observations"], strict=True):
        for s in channel["samples"]:
            s["data"] = [100 * x for x in s["data"]]
            for m in s["modifiers"]:
                if m["type"] == "histosys":
                    m["data"] = {k: [100 * x for x in v] for k, v in m["data"].items()}
        observation["data"] = [100 * x for x in observation["data"]]
    likelihood = BatchedLikelihood.from_workspace(document)
    found = coverage(likelihood, {"mu": 2.0}, "mu", 0.9, 1, ToyOptions(4000, seed=2))
    assert found.failed == 0
    assert found.error == pytest.approx(np.sqrt(0.09 / 4000), rel=0.2)
    # Wilks holds with thousands of events per bin and a truth away from the bound
    assert abs(found.coverage - 0.9) < 4 * found.error


def test_coverage_counts_discrete_outcomes_exactly() -> None:
    """One bin, no nuisance: coverage is a Poisson sum over covering counts."""
    document = examples.workspace(
        {
            "c": [
                {
                    "name": "s",
                    "data": [1.0],
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                },
                {"name": "b", "data": [1.0], "modifiers": []},
            ]
        },
        {"c": [3]},
        "mu",
        [{"name": "mu", "bounds": [[0.0, 100.0]], "inits": [1.0]}],
    )
    likelihood = BatchedLikelihood.from_workspace(document)
    n = np.arange(60)
    rate, best = 4.0, np.maximum(n, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = 2 * (rate - best - np.where(n > 0, n * np.log(rate / best), 0.0))
    exact = poisson.pmf(n, rate)[delta <= 2.705543].sum()
    found = coverage(likelihood, {"mu": 3.0}, "mu", 0.9, 1, ToyOptions(20000, seed=5))
    assert found.coverage == pytest.approx(exact, abs=5 * found.error)


@pytest.mark.slow
def test_the_scan_goes_on_until_a_value_is_excluded() -> None:
    """Table IV of physics/9711021: n = 0, background 0.5, 90 %: [0.00, 1.94].

    The profile interval, around which the scan begins, ends at 1.35 = 2.706 / 2.
    """
    signal = {"name": "s", "data": [1.0], "modifiers": [
        {"name": "mu", "type": "normfactor", "data": None}]}  # fmt: skip
    document = examples.workspace(
        {"c": [signal, {"name": "b", "data": [0.5], "modifiers": []}]}, {"c": [0.0]}, "mu",
        [{"name": "mu", "bounds": [[0.0, 50.0]], "inits": [1.0]}],
    )  # fmt: skip
    likelihood = BatchedLikelihood.from_workspace(document)
    found, scan = feldman_cousins(likelihood, None, "mu", 0.9, ToyOptions(4000, seed=1))
    assert found.lower is None
    # the p-value jumps there: the end is known to a step of the scan
    assert found.upper == pytest.approx(1.94, abs=np.diff(scan.values).max())
    assert scan.p_value[-1] < 0.1


@pytest.mark.slow
def test_feldman_cousins_reproduces_the_published_table() -> None:
    """Table IV of physics/9711021: n = 4, background 3, 90 %: [0.00, 5.60]; n = 8: [1.51, 10.99].

    The published upper ends include its smoothing of non-monotonic ends.
    """

    def model(n: float) -> BatchedLikelihood:
        document = examples.workspace(
            {
                "c": [
                    {
                        "name": "s",
                        "data": [1.0],
                        "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                    },
                    {"name": "b", "data": [3.0], "modifiers": []},
                ]
            },
            {"c": [n]},
            "mu",
            [{"name": "mu", "bounds": [[0.0, 50.0]], "inits": [1.0]}],
        )
        return BatchedLikelihood.from_workspace(document)

    grid = np.arange(0.0, 13.0, 0.25)
    limit, scan = feldman_cousins(model(8), None, "mu", 0.9, ToyOptions(2000, seed=1), grid)
    assert limit.method == "feldman_cousins"
    assert limit.lower == pytest.approx(1.51, abs=0.3)  # grid step and discreteness
    assert limit.upper == pytest.approx(10.99, abs=0.3)
    assert scan.n_toys == 2000
    low = grid[grid < 8]
    limit, _ = feldman_cousins(model(4), None, "mu", 0.9, ToyOptions(2000, seed=1), low)
    assert limit.lower is None
    assert limit.upper == pytest.approx(5.60, abs=0.3)


@pytest.mark.slow
def test_neyman_of_charges_runs_and_reports_progress(charges: MappedLikelihood) -> None:
    seen: list[tuple[int, int]] = []
    options = ToyOptions(40, chunk=20, progress=lambda a, b: seen.append((a, b)))
    scan = neyman_scan(charges, None, "q_ee", [0.0, 5.0], 0.9, options)
    assert seen == [(20, 80), (40, 80), (60, 80), (80, 80)]
    assert np.all((scan.p_value >= 0) & (scan.p_value <= 1))
    assert scan.p_value[0] > scan.p_value[1]


@pytest.mark.slow
def test_memory_is_bounded(example: Example) -> None:
    tracemalloc.start()
    coverage(example("textbook"), {"mu": 1.0}, "mu", 0.9, 1, ToyOptions(20000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # results of 20,000 toys are 0.3 MB; the rest is one of many chunks


def test_bad_requests_are_refused(example: Example, charges: MappedLikelihood) -> None:
    with pytest.raises(FitError, match="at least 1"):
        ToyOptions(0)
    with pytest.raises(FitError, match="bounded at 0"):
        hypotest(charges, None, "q_ee", [1.0])
    with pytest.raises(FitError, match="tested values above 0"):
        hypotest(example("textbook"), None, "mu", [0.0])
    with pytest.raises(FitError, match="expected counts >= 0"):
        next(sample(example("combined"), np.full(10, -50.0), 1, np.random.default_rng(0)))
    narrow = examples.combined()
    narrow["measurements"][0]["config"]["parameters"].append(
        {"name": "mu", "bounds": [[0.0, 0.5]], "inits": [0.1]}
    )
    with pytest.raises(FitError, match="stays above"):
        cls_limit(BatchedLikelihood.from_workspace(narrow), None, "mu")
