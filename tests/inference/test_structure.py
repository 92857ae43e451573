"""What makes several minima possible, and minima joined by the integral of the slope."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood, FitOptions, best_fit, profile
from histnu.inference.engine.branches import integrates, lagrange, one_branch, straight_runs
from histnu.inference.engine.problems import BatchFit, Problems
from histnu.inference.engine.structure import folds, is_plain, switches
from tests.inference import examples

Json = dict[str, Any]


def document(counts: list[int], shape: Json | None = None, factor: bool = True) -> Json:
    """A signal and a background with a free factor per bin and perhaps a histosys."""
    modifiers: list[Json] = []
    if factor:
        modifiers.append({"name": "free", "type": "shapefactor", "data": None})
    if shape is not None:
        modifiers.append({"name": "shape", "type": "histosys", "data": shape})
    samples = [
        {
            "name": "signal", "data": [5.0, 2.0],
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
        {"name": "other", "data": [3.0, 6.0], "modifiers": []},
        {"name": "background", "data": [50.0, 20.0], "modifiers": modifiers},
    ]  # fmt: skip
    return examples.workspace({"c": samples}, {"c": counts}, "mu")


TURNS = {"lo_data": [30.0, 30.0], "hi_data": [70.0, 11.0]}  # 20 - 9 alpha: negative above 2.2


def test_a_sample_that_can_be_negative_in_an_empty_bin_is_held_everywhere() -> None:
    likelihood = BatchedLikelihood.from_workspace(document([60, 0], TURNS))
    found = switches(likelihood.compiled, likelihood.observation)
    held = {likelihood.parameter_names[k]: v for k, v in found}
    assert held["free[1]"] == 10.0  # its upper bound comes last
    assert "free[0]" not in held
    assert not switches(likelihood.compiled, np.array([60.0, 3.0]))


def test_the_minimum_behind_a_factor_at_zero_is_found() -> None:
    """On a grid of alpha the free factor of each bin and mu are solved by hand.

    Bin 1 is empty: its factor is 0, or (if 20 - 9 alpha < 0) as large as leaves no rate. Bin 0 is
    always fitted exactly by its factor. mu only costs.
    """
    likelihood = BatchedLikelihood.from_workspace(document([60, 0], TURNS))
    alpha = np.linspace(-5, 5, 200_001)
    rate = np.where(20 - 9 * alpha < 0, np.maximum(6 + 10 * (20 - 9 * alpha), 0.0), 6.0)
    expected = alpha**2 + 2 * rate
    constant = best_fit(likelihood).twice_nll - expected.min()
    again = BatchedLikelihood.from_workspace(document([60, 0]))
    # without the histosys: rate 6 in the empty bin, alpha^2 = 0 and no Gaussian
    without = best_fit(again).twice_nll - 12.0 + np.log(2 * np.pi)
    assert constant == pytest.approx(without, abs=1e-4)  # the grid is 5e-5 wide, its slope 180
    assert expected.min() < 12.0


def test_plain_documents() -> None:
    plain = BatchedLikelihood.from_workspace(document([60, 25], TURNS))
    rates = plain.expected(plain.init)[0]
    assert not folds(plain.compiled).any()
    assert is_plain(plain.compiled, folds(plain.compiled), np.array([60.0, 25.0]), rates)
    assert not is_plain(plain.compiled, folds(plain.compiled), np.array([60.0, 0.0]), rates)
    both_up = {"lo_data": [70.0, 25.0], "hi_data": [60.0, 30.0]}
    folded = BatchedLikelihood.from_workspace(document([30, 25], both_up))
    k = folded.index("shape")
    np.testing.assert_allclose(folds(folded.compiled)[k], [10.0, 5.0])
    assert not is_plain(folded.compiled, folds(folded.compiled), np.array([30.0, 25.0]), rates)


def test_straight_runs_of_a_scan_to_and_fro() -> None:
    x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
    x[1::2] = x[1::2, ::-1]
    assert straight_runs(np.stack([x.ravel(), y.ravel()])) == [(0, 3), (4, 7), (8, 11)]


def test_slopes_integrate_to_values_on_one_branch_only() -> None:
    """x^4 on uneven points; then a jump of 1e-3 half way."""
    t = np.sort(np.random.default_rng(1).uniform(0.0, 1.0, 60)) + np.arange(60) * 0.1
    value, slope = (t / 10) ** 4, 4 * (t / 10) ** 3 / 10
    assert integrates(t, value, slope, np.full(60, 1e-5)).all()
    value[30:] += 1e-3
    assert np.flatnonzero(~integrates(t, value, slope, np.full(60, 1e-5))).tolist() == [29]


def test_one_branch_between_neighbours() -> None:
    """Delta = x^3 at 0.9, 1 and 1.1: exact for the parabola of slopes; not with a jump."""

    def fits(x: float, jump: float = 0.0) -> BatchFit:
        yes = np.ones(1, dtype=bool)
        found = BatchFit.of(
            np.array([[x]]), np.array([x**3 + jump]), yes, gradient=np.array([[3 * x**2]])
        )
        found.agreeing[:] = 2
        return found

    problem = Problems(np.array([[1.0]]), np.ones((1, 1), dtype=bool))
    near, tolerance = (fits(0.9), fits(1.1)), np.array([1e-9])
    assert one_branch(problem, fits(1.0), near, tolerance).all()
    assert not one_branch(problem, fits(1.0, 1e-6), near, tolerance).any()
    assert not one_branch(problem, fits(1.0), (fits(0.9), fits(1.1, 1e-6)), tolerance).any()


def test_a_cubic_through_four_nodes() -> None:
    t = np.array([[0.0], [1.0], [2.0], [4.0]])
    y = (t**3)[..., None]
    np.testing.assert_allclose(lagrange(t, np.array([3.0]), y), [[27.0]], rtol=1e-12)


def test_a_joined_scan_equals_points_alone() -> None:
    """Each point alone starts from several places; the scan from one, and joins them."""
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    values = np.linspace(0.0, 3.0, 40)
    scan = profile(likelihood, None, "mu", values, FitOptions())
    assert scan.certified.all() and scan.search["starts"] < 2 * len(values)
    alone = [profile(likelihood, None, "mu", [x]).delta_twice_nll[0] for x in values[::13]]
    np.testing.assert_allclose(scan.delta_twice_nll[::13], alone, rtol=0, atol=1e-7)
