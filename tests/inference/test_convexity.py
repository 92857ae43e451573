"""Minima that are proven to be the lowest: the theorem, what it covers, and what it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood, profile
from histnu.inference.engine import Problems, minimise
from histnu.inference.engine.convexity import convexity, suprema
from histnu.inference.engine.fit import Solver
from histnu.inference.engine.interpolation import Effect, EffectTable
from histnu.inference.engine.ledger import Ledger
from histnu.inference.engine.problems import BatchFit
from tests.inference import examples

Json = dict[str, Any]
Example = Callable[[str], BatchedLikelihood]


def normsys(name: str, lo: float, hi: float) -> Json:
    return {"name": name, "type": "normsys", "data": {"lo": lo, "hi": hi}}


def counting(counts: list[float], background: list[Json], extra: Json | None = None) -> Json:
    """A signal with a free strength and one nuisance, and a background in two bins."""
    signal = [{"name": "mu", "type": "normfactor", "data": None}, normsys("flux", 0.88, 1.12)]
    samples = [
        {"name": "signal", "data": [3.0, 6.0], "modifiers": signal},
        {"name": "background", "data": [20.0, 10.0], "modifiers": background},
    ]
    if extra is not None:
        samples.append(extra)
    return examples.workspace({"c": samples}, {"c": counts}, "mu")


LINEAR = {
    "name": "other", "data": [2.0, 1.0],
    "modifiers": [{
        "name": "slope", "type": "histosys",
        "data": {"lo_data": [1.0, 1.5], "hi_data": [3.0, 0.5]},
    }, normsys("flux", 0.9, 1.1)],
}  # fmt: skip


def conditional(document: Json, values: list[float]) -> tuple[BatchedLikelihood, Any, BatchFit]:
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    problems = Problems.make(likelihood, len(values), {"mu": values})
    return likelihood, observed, minimise(likelihood, observed, problems)


def held(likelihood: BatchedLikelihood) -> np.ndarray:
    fixed = likelihood.fixed.copy()
    fixed[likelihood.index("mu")] = True
    return fixed


@pytest.mark.parametrize("kind", ["code1", "code4"])
def test_suprema_bound_a_normsys(kind: str) -> None:
    """Against values on a grid. Between cells the polynomials are bounded by their coefficients."""
    rng = np.random.default_rng(1)
    alpha = np.linspace(-4, 4, 4001)
    for low, high in rng.uniform(0.4, 1.9, (20, 2)):
        effect = Effect(kind, 0, low, 1 / low if kind == "code1" else high)
        p, p1, p2 = (x[0] for x in EffectTable(kind, [effect]).evaluate(alpha[None]))
        seen = np.array([np.abs(p1 / p), p2 / p, -p2 / p, (p1 / p) ** 2 - p2 / p]).max(axis=1)
        bounds = np.array(suprema(effect))
        assert np.all(bounds >= seen - 1e-12)
        assert np.all(bounds <= 1.05 * np.maximum(seen, 0) + 0.5)
    assert not np.isfinite(suprema(Effect("code1", 0, 0.8, 1.1))).any()  # a kink
    assert not np.isfinite(suprema(Effect("identity", 0))).any()


@pytest.mark.parametrize("extra", [None, LINEAR], ids=["normsys", "histosys"])
def test_the_bound_holds_at_random_points(extra: Json | None) -> None:
    """f >= f^ + m |alpha - alpha^|^2 / 2 wherever f <= f^ + 4, for every signal strength.

    The theorem says so where f is not above f^, of which there is nothing else to be tested; its
    bound is that of a ball that holds these points too when f^ is given 4 higher.
    """
    document = counting([28.0, 11.0], [normsys("rate", 0.7, 1.4), normsys("flux", 1.1, 0.9)], extra)
    likelihood, observed, fit = conditional(document, [0.0, 0.5, 1.0, 2.0])
    fixed = held(likelihood)
    found = convexity(likelihood)
    assert found is not None and found.covers(fixed) and not found.covers(likelihood.fixed)
    assert found.proven(likelihood, observed, fit, fixed).all()
    higher = fit.copy()
    higher.twice_nll[:] += 4.0
    least = found.modulus(likelihood, observed, higher, fixed)
    assert np.all(least > 0) and np.all(least < 2.5)
    rng = np.random.default_rng(2)
    free = np.flatnonzero(~fixed)
    for k in range(len(fit)):
        x = np.repeat(fit.parameters[k][:, None], 4000, axis=1)
        x[free] += rng.normal(0.0, 1.5, (len(free), 4000))
        value = likelihood.value(x, observed)
        near = value <= fit.twice_nll[k] + 4.0
        away = np.square(x - fit.parameters[k][:, None]).sum(axis=0)  # all widths are 1
        assert near.sum() > 100
        assert np.all(value[near] >= fit.twice_nll[k] + 0.5 * least[k] * away[near] - 1e-6)


def test_the_second_derivatives_of_the_tangent_are_at_least_the_bound() -> None:
    """l = |alpha|^2 + sum_b r_b lambda_b, by central differences (error 1e-6) in the ball.

    Here the bound at the edge of the ball is positive and therefore holds at each of its points.
    """
    document = counting([24.0, 15.0], [normsys("rate", 0.85, 1.15)], LINEAR)
    likelihood, observed, fit = conditional(document, [1.0])
    fixed = held(likelihood)
    found = convexity(likelihood)
    assert found is not None
    least = found.modulus(likelihood, observed, fit, fixed)[0]
    free = np.flatnonzero(~fixed)
    best = fit.parameters[0]
    r = 2 * (1 - observed.main[:, 0] / likelihood.expected(best)[0])

    def tangent(x: np.ndarray) -> np.ndarray:
        pull = x[:, free] - likelihood.expected_auxdata(likelihood.init)[0][: len(free)]
        return np.square(pull).sum(axis=1) + likelihood.expected(x) @ r

    rho = np.sqrt(fit.twice_nll[0] - likelihood.least(observed)[0])
    rng = np.random.default_rng(3)
    h, n = 1e-3, len(free)
    for _ in range(50):
        direction = rng.normal(size=n)
        center = best.copy()
        center[free] = rho * rng.uniform() * direction / np.linalg.norm(direction)
        step = h * np.eye(len(best))[free]
        second = np.empty((n, n))
        for i in range(n):
            for j in range(n):
                points = center + np.array(
                    [step[i] + step[j], step[i] - step[j], step[j] - step[i], -step[i] - step[j]]
                )
                second[i, j] = tangent(points) @ [1, -1, -1, 1] / (4 * h**2)
        assert np.linalg.eigvalsh(second)[0] >= least - 1e-5


@pytest.mark.parametrize("start", [-2.0, 2.0])
def test_neither_of_two_minima_is_proven(start: float) -> None:
    """A normsys that raises the background on both sides has a minimum on each of them."""
    document = counting([44.0, 22.0], [normsys("rate", 1.5, 1.55)])
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    problems = Problems.make(likelihood, 1, {"mu": 0.0})
    problems.start[likelihood.index("rate")] = start
    fit = minimise(likelihood, observed, problems)
    assert fit.converged.all()
    assert np.sign(fit.parameters[0, likelihood.index("rate")]) == np.sign(start)
    found = convexity(likelihood)
    assert found is not None and found.covers(held(likelihood))
    assert not found.proven(likelihood, observed, fit, held(likelihood)).any()


@pytest.mark.parametrize(
    "modifier",
    [
        {"name": "free", "type": "normfactor", "data": None},
        {"name": "stat", "type": "staterror", "data": [1.0, 1.0]},
        {"name": "own", "type": "shapesys", "data": [1.0, 1.0]},
        {
            "name": "bend", "type": "histosys",
            "data": {"lo_data": [19.0, 9.0], "hi_data": [23.0, 12.0]},
        },
    ],
    ids=["factor", "staterror", "shapesys", "histosys"],
)  # fmt: skip
def test_what_is_not_covered(modifier: Json) -> None:
    likelihood = BatchedLikelihood.from_workspace(counting([24.0, 15.0], [modifier]))
    found = convexity(likelihood)
    assert found is not None and not found.covers(held(likelihood))


def test_a_profile_says_how_many_minima_are_proven(example: Example) -> None:
    document = counting([24.0, 15.0], [normsys("rate", 0.85, 1.15)], LINEAR)
    scan = profile(BatchedLikelihood.from_workspace(document), None, "mu", np.linspace(0, 2, 60))
    assert scan.certified.all() and scan.search["proven"] == 60
    assert profile(example("correlated"), None, "mu", [0.5]).search["proven"] == 0


@pytest.mark.parametrize("values", [(0.0, 2.0), (1.5, 4.0)], ids=["around", "beside"])
def test_a_proven_scan_is_fitted_with_the_free_minimum(values: tuple[float, float]) -> None:
    """Beside the minimum the scan proves nothing of it: all spread starts are made.

    The minima agree with those of separate fits within the tolerance of the fits.
    """
    document = counting([24.0, 15.0], [normsys("rate", 0.85, 1.15)], LINEAR)
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    scan = {"mu": np.linspace(*values, 60)}
    together, alone = Solver(likelihood), Solver(likelihood)
    first, found = together.profile(observed, scan)
    best = alone.fit(observed)
    assert first.certified.all() and found.certified.all()
    assert together.counts.proven == 60
    assert first.twice_nll == pytest.approx(best.twice_nll, abs=1e-9)
    assert found.twice_nll == pytest.approx(alone.fit(observed, scan).twice_nll, abs=1e-9)
    fewer = together.counts.starts < alone.counts.starts
    assert fewer == (values[0] <= best.parameters[0, likelihood.index("mu")] <= values[1])


def test_a_free_minimum_that_a_scan_does_not_confirm_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two starts that end in different minima: the scan is then made as any other."""
    document = counting([24.0, 15.0], [normsys("rate", 0.85, 1.15)], LINEAR)
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    solver = Solver(likelihood)
    seen = []
    enter = Ledger.enter

    def apart(self: Ledger, where: Any, found: BatchFit, *rest: Any) -> Any:
        seen.append(len(found))
        if len(seen) == 2:  # the two starts of the free minimum
            found.twice_nll[1] += 1.0
        return enter(self, where, found, *rest)

    monkeypatch.setattr(Ledger, "enter", apart)
    first, found = solver.profile(observed, {"mu": np.linspace(0, 2, 60)})
    assert seen[1] == 2 and first.certified.all() and found.certified.all()
    assert solver.counts.starts > 60 + 2 + 8
