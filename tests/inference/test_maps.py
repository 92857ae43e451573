"""Streams of toys, chunks on disk, and Feldman-Cousins maps against closed forms."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyhf
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from histnu.core.errors import FitError
from histnu.core.executor import Local
from histnu.inference import BatchedLikelihood, ToyOptions, coverage, neyman_scan
from histnu.inference.chunks import Family, Runner
from histnu.inference.engine.fit import FitOptions
from histnu.inference.maps import Grid, MapOptions, Point, ToyMap, grid_of, toy_map
from histnu.inference.toys import (
    TOYS_PER_CHUNK,
    chunks_of,
    critical_error,
    critical_value,
    sample,
    toy_statistics,
)
from tests.inference import examples

Example = Callable[[str], BatchedLikelihood]
MANY = 1e6
"""Background of a bin whose counts are Gaussian: skewness 1e-3."""


def gaussian(bins: dict[str, tuple[str, float]], bounds: tuple[float, float]) -> dict[str, object]:
    """Bins of many events; one standard deviation of a bin is one unit of its parameter."""
    channels = {
        name: [
            {"name": "s", "data": [np.sqrt(MANY)],
             "modifiers": [{"name": parameter, "type": "normfactor", "data": None}]},
            {"name": "b", "data": [MANY], "modifiers": []},
        ]
        for name, (parameter, _) in bins.items()
    }  # fmt: skip
    observed = {name: [MANY + np.sqrt(MANY) * at] for name, (_, at) in bins.items()}
    settings = [
        {"name": p, "bounds": [list(bounds)], "inits": [1.0]}
        for p in dict.fromkeys(p for p, _ in bins.values())
    ]
    return examples.workspace(channels, observed, settings[0]["name"], settings)


def mapped(document: dict[str, object], grid: Grid, **options: object) -> ToyMap:
    toys = ToyOptions(int(options.pop("n_toys")), int(options.pop("seed", 1)))  # type: ignore[call-overload]
    return toy_map(Runner(Family((document,))), grid, None, MapOptions(toys=toys, **options))  # type: ignore[arg-type]


def bounded_critical(mu: float, cl: float) -> float:
    """Critical value of a unit Gaussian with mean >= 0, by its own probability content.

    ``t = (x - mu)^2 - min over m >= 0 of (x - m)^2``, which is ``(x - mu)^2`` for x >= 0 and
    ``mu^2 - 2 x mu`` for x < 0 (physics/9711021, section IV B).
    """

    def content(c: float) -> float:
        high = mu + np.sqrt(c)
        low = mu - np.sqrt(c)
        if low < 0:
            low = (mu * mu - c) / (2 * mu) if mu > 0 else -np.inf
        return float(norm.cdf(high - mu) - norm.cdf(low - mu))

    return float(brentq(lambda c: content(c) - cl, 1e-6, 20))


@pytest.mark.slow
def test_critical_values_of_a_bounded_gaussian() -> None:
    values = np.array([0.0, 0.3, 1.0, 2.0, 4.0])
    document = gaussian({"c": ("mu", 0.4)}, (0.0, 50.0))
    found = mapped(document, grid_of(["mu"], [values], [False]), n_toys=16000, everywhere=True)
    expected = [bounded_critical(v, 0.9) for v in values]
    assert expected[0] == pytest.approx(norm.ppf(0.9) ** 2)  # half of the toys are at the bound
    # five standard errors of each of five quantiles; the Gaussian is good to 1e-3
    assert np.all(np.abs(found.critical - expected) < 5 * found.critical_error + 2e-3)
    assert np.all(found.critical_error < 0.05)
    # of the data, x = 0.4; the variance grows by mu / 1000 = 0.4 %
    assert found.delta == pytest.approx((0.4 - values) ** 2, rel=5e-3, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cl", [0.9, 0.68])
def test_gaussian_limit_is_chi2(cl: float) -> None:
    document = gaussian({"c": ("a", 0.0), "d": ("b", 0.5)}, (-500.0, 500.0))
    axis = np.array([-2.0, 3.0])
    grid = grid_of(["a", "b"], [axis, axis], [False, False])
    found = mapped(document, grid, n_toys=10000, cl=cl, dof=2, everywhere=True)
    assert np.all(np.abs(found.critical - chi2.ppf(cl, 2)) < 5 * found.critical_error + 2e-3)
    assert np.all(np.abs(found.coverage - cl) < 5 * found.coverage_error)
    assert found.delta[0] == pytest.approx(2.0**2 + 2.5**2, rel=1e-2)  # skewness at 2.5 sigma


def test_the_error_of_a_quantile_is_its_spread() -> None:
    rng = np.random.default_rng(0)
    draws = rng.chisquare(1, (400, 1000))
    errors = [critical_error(d, 0.9) for d in draws]
    spread = np.std([critical_value(d, 0.9) for d in draws])
    # the spread of 400 draws is known to 1 / sqrt(800) = 4 %; the estimate is noisy, its mean not
    assert np.mean(errors) == pytest.approx(spread, rel=0.15)


@pytest.mark.slow
def test_best_fits_run_over_a_held_axis() -> None:
    """Two hypotheses, each with a signal in its own bin: a family over one held value.

    With x_i the pulls of the bins, ``t = (x_0 - mu)^2 + x_1^2 - min(x_1^2, x_0^2)`` at the first.
    """
    one = gaussian({"c": ("mu", 0.3), "d": ("other", -0.2)}, (-500.0, 500.0))
    for parameter in one["measurements"][0]["config"]["parameters"]:  # type: ignore[index]
        if parameter["name"] == "other":
            parameter |= {"fixed": True, "inits": [0.0]}
    two = json.loads(json.dumps(one).replace('"mu"', '"x"').replace('"other"', '"mu"'))
    two = json.loads(json.dumps(two).replace('"x"', '"other"'))
    for parameter in two["measurements"][0]["config"]["parameters"]:
        fixed = parameter["name"] == "other"
        parameter |= {"fixed": fixed, "inits": [0.0 if fixed else 1.0]}
    two["measurements"][0]["config"]["poi"] = "mu"
    values = (0.5, 2.0)
    points = [
        Point({"m": float(member), "mu": mu}, {"mu": mu}, member)
        for member in (0, 1) for mu in values
    ]  # fmt: skip
    grid = Grid((np.array([0.0, 1.0]), np.array(values)), (False, False), tuple(points))
    options = MapOptions(dof=2, everywhere=True, toys=ToyOptions(10000, 3))
    found = toy_map(Runner(Family((one, two))), grid, None, options)
    x = np.array([0.3, -0.2])
    expected = [(x[m] - mu) ** 2 + x[1 - m] ** 2 - np.min(x**2) for m in (0, 1) for mu in values]
    assert found.delta == pytest.approx(expected, rel=5e-3, abs=1e-3)
    assert found.best_member == 0  # removes the larger pull
    rng = np.random.default_rng(0)
    for k, mu in enumerate(values):
        a, b = rng.normal(mu, 1, 400000), rng.normal(0, 1, 400000)
        t = (a - mu) ** 2 + b**2 - np.minimum(a**2, b**2)
        exact = np.quantile(t, 0.9)
        assert found.critical[k] == pytest.approx(exact, abs=5 * found.critical_error[k] + 0.02)
        assert found.critical[2 + k] == pytest.approx(exact, abs=5 * found.critical_error[k] + 0.02)


def test_statistics_of_toys_are_those_of_pyhf(example: Example) -> None:
    """pyhf's own t_mu of the very same toys."""
    likelihood = example("textbook")
    truth = likelihood.init.copy()
    truth[likelihood.index("mu")] = 1.4
    options = ToyOptions(12, seed=5)
    found = toy_statistics(likelihood, truth, ("mu", 1.4), options)
    (chunk,) = chunks_of(likelihood, truth, {"mu": 1.4}, options)
    from histnu.inference.streams import stream

    ((main, aux),) = sample(likelihood, chunk.truth, 12, stream(5, {"mu": 1.4}, 0))
    model = likelihood.model
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-13))
    try:
        theirs = [
            float(
                pyhf.infer.test_statistics.tmu_tilde(
                    1.4,
                    np.concatenate([n, a]),
                    model,
                    model.config.suggested_init(),
                    model.config.suggested_bounds(),
                    model.config.suggested_fixed(),
                )
            )
            for n, a in zip(main, aux, strict=True)
        ]
    finally:
        pyhf.set_backend(backend, optimizer)
    # the likelihood's mu starts at 0 in pyhf, so t-tilde is its bounded t; SLSQP reaches 1e-5
    assert found.delta == pytest.approx(theirs, abs=2e-5)


def test_a_point_has_its_toys_wherever_it_is_computed(example: Example) -> None:
    likelihood = example("textbook")
    options = ToyOptions(300, seed=4)
    scan = neyman_scan(likelihood, None, "mu", [0.5, 1.0, 2.0], 0.9, options)
    back = neyman_scan(likelihood, None, "mu", [2.0, 0.5], 0.9, options)
    alone = neyman_scan(likelihood, None, "mu", 2.0, 0.9, options)
    assert scan.critical[2] == back.critical[0] == alone.critical[0]
    assert scan.p_value[0] == back.p_value[1]
    assert len(set(scan.critical)) == 3
    grid = grid_of(["mu"], [np.array([2.0])], [False])
    found = mapped(examples.textbook(), grid, n_toys=300, seed=4)
    assert found.critical[0] == alone.critical[0]
    elsewhere = neyman_scan(likelihood, None, "mu", 2.0, 0.9, replace(options, held={"m": 1.0}))
    assert elsewhere.critical[0] != alone.critical[0]


def test_more_toys_begin_with_the_fewer(example: Example) -> None:
    likelihood = example("textbook")
    few, many = (
        toy_statistics(likelihood, likelihood.init, ("mu", 1.0), ToyOptions(n, seed=2))
        for n in (TOYS_PER_CHUNK + 50, TOYS_PER_CHUNK + 200)
    )
    assert few.delta == pytest.approx(many.delta[: len(few.delta)], abs=1e-8)


@pytest.mark.slow
def test_toys_go_to_the_contour() -> None:
    document = gaussian({"c": ("mu", 1.0)}, (0.0, 50.0))
    values = np.append(np.linspace(0.0, 6.0, 13), 60.0)
    grid = grid_of(["mu"], [values], [False])
    found = mapped(document, grid, n_toys=8000)
    # t = 2.71 at 2.64: the points on either side get all toys, what is far from it one chunk
    # and what is beyond the bound none at all
    assert found.n_toys[values > 4.0].tolist() == [1000] * 4 + [0]
    assert found.n_toys[5] == found.n_toys[6] == 8000
    (segment,) = found.segments(found.critical, (0.0, 50.0))
    assert segment.lower_end == "bound"
    exact = brentq(lambda m: (m - 1) ** 2 - bounded_critical(m, 0.9), 1.5, 4)
    assert segment.upper == pytest.approx(exact, abs=0.06)  # error of the critical values there
    # a coarser precision ends where it is reached: 0.3 / sqrt(n) <= 0.006 at 2,500 toys
    coarse = mapped(document, grid, n_toys=8000, precision=0.006)
    assert coarse.n_toys.max() == 4000
    assert np.all(coarse.error[5:7] < 0.0065)


def test_toys_end_at_the_precision() -> None:
    """sqrt(0.09 / n) is 0.00671 at 2,000 toys, the first of 1,000, 2,000, 4,000 below 0.0068."""
    grid = grid_of(["mu"], [np.array([1.0, 2.0])], [False])
    document = gaussian({"c": ("mu", 1.0)}, (0.0, 50.0))
    found = mapped(document, grid, n_toys=8000, precision=0.0068, everywhere=True)
    assert found.n_toys.tolist() == [2000, 2000]


def test_an_undefined_region_is_outside() -> None:
    """A signal that would make an expected count negative: excluded without a toy."""
    document = gaussian({"c": ("mu", 0.0)}, (-5000.0, 50.0))
    grid = grid_of(["mu"], [np.array([-2000.0, 0.0, 1.0])], [False])
    found = mapped(document, grid, n_toys=1000)
    assert found.n_toys.tolist() == [0, 1000, 1000]
    assert not found.inside[0]
    assert found.inside[1]
    with pytest.raises(FitError, match="near the best fit"):
        mapped(document, grid_of(["mu"], [np.array([-2000.0])], [False]), n_toys=100)


# ---------------------------------------------------------------- chunks


def small(folder: Path | None, executor: Local | None = None, seed: int = 0) -> tuple[str, Runner]:
    """A map as bytes, and what computed it."""
    runner = Runner(Family((examples.textbook(),)), executor or Local(), folder)
    grid = grid_of(["mu"], [np.linspace(0.5, 3.0, 4)], [False])
    options = MapOptions(toys=ToyOptions(2500, seed))
    found = toy_map(runner, grid, None, options)
    values = [x.tobytes().hex() for x in (found.critical, found.p_value, found.coverage)]
    return json.dumps([values, found.n_toys.tolist(), found.search]), runner


def test_chunks_are_computed_once_and_damage_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, runner = small(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == runner.computed > 4
    again, runner = small(tmp_path)
    assert (again, runner.computed, runner.read) == (first, 0, len(files))
    # a digit of the toys, a torn file, another's name, nothing at all
    text = files[0].read_text()
    where = text.index('"delta":"') + 20
    files[0].write_text(text[:where] + ("A" if text[where] != "A" else "B") + text[where + 1 :])
    files[1].write_text(text[:500])
    files[2].write_text(text)
    files[3].unlink()
    with caplog.at_level(logging.WARNING):
        mended, runner = small(tmp_path)
    assert (mended, runner.computed) == (first, 4)
    assert sum("is damaged and is computed again" in r.message for r in caplog.records) == 3
    assert small(tmp_path)[1].computed == 0


@pytest.mark.slow
def test_processes_give_the_same_bytes(tmp_path: Path) -> None:
    assert small(tmp_path, Local(2))[0] == small(None)[0]


def test_a_chunk_is_known_by_all_that_decides_its_toys(example: Example) -> None:
    likelihood = example("textbook")
    family = Family((examples.textbook(),))
    (chunk,) = chunks_of(likelihood, likelihood.init, {"mu": 1.0}, ToyOptions(100))
    other = examples.textbook()
    other["channels"][0]["samples"][0]["data"][0] += 1e-6
    keys = {
        family.key(chunk),
        replace(family, documents=(other,)).key(chunk),
        replace(family, fit=FitOptions(fixed={"mu": 1.0})).key(chunk),
        replace(family, code="another version").key(chunk),
        family.key(replace(chunk, seed=1)),
        family.key(replace(chunk, number=1)),
        family.key(replace(chunk, n_toys=99)),
        family.key(replace(chunk, test={"mu": 1.0 + 1e-15})),
        family.key(replace(chunk, truth=(chunk.truth[0] + 1e-15, *chunk.truth[1:]))),
    }
    assert len(keys) == 9
    assert family.key(chunk) == Family((examples.textbook(),)).key(chunk)


def test_a_worker_with_other_code_is_refused() -> None:
    runner = Runner(Family((examples.textbook(),), code="another version"))
    with pytest.raises(FitError, match="another version of histnu"):
        toy_map(runner, grid_of(["mu"], [np.array([1.0])], [False]))


def test_coverage_elsewhere_is_coverage_here(example: Example) -> None:
    likelihood = example("textbook")
    runner = Runner(Family((examples.textbook(),)))
    options = ToyOptions(1500, seed=3)
    here = coverage(likelihood, {"mu": 1.0}, "mu", 0.9, 1, options)
    there = coverage(likelihood, {"mu": 1.0}, "mu", 0.9, 1, replace(options, run=runner))
    assert here == there
