"""Steps along curved valleys: products of factors, a barrier, and the second order of the rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood
from histnu.inference.engine.bends import Valley
from histnu.inference.engine.boundary import _dead
from histnu.inference.engine.fit import observe
from histnu.inference.engine.newton import newton
from histnu.inference.engine.problems import MinimiseOptions, Problems
from tests.inference.examples import workspace
from tests.inference.test_boundary import MU, factor, sample, shape

BOUNDS = [
    {"name": "a", "bounds": [[0.0, 20.0]], "inits": [1.0]},
    {"name": "b", "bounds": [[0.0, 100.0]], "inits": [1.0]},
]


def hyperbola() -> BatchedLikelihood:
    """1e4 a b expected where 1e4 are observed: a valley along a b = 1; a is 8 where 9 are."""
    product = [sample("s", [1e4], factor("a"), factor("b"))]
    channels = {"c0": product, "c1": [sample("t", [1.0], factor("a")), sample("u", [1.0])]}
    observed = {"c0": [1e4], "c1": [9.0]}
    return BatchedLikelihood.from_workspace(workspace(channels, observed, "a", BOUNDS))


def valley(likelihood: BatchedLikelihood, x: Any, step: Any) -> Valley:
    data = observe(likelihood, None)
    at = np.array(x)[:, None]
    bounds = (likelihood.bounds[:, :1], likelihood.bounds[:, 1:])
    second = likelihood.derivatives(at, data).second
    fixed = np.zeros(at.shape, dtype=bool)
    return Valley(likelihood, data, at, np.array(step)[:, None], np.ones(1), second, bounds, fixed)


@pytest.mark.parametrize("start", [(0.1, 10.0), (15.0, 1 / 15), (1.0, 1.0), (0.1, 20.0)])
def test_a_curved_valley_takes_a_fraction_of_the_steps(start: tuple[float, float]) -> None:
    """With and without the bends 36 and 231, 5 and 21, 19 and 69, 40 and more than 300 steps."""
    likelihood = hyperbola()
    problem = Problems(np.array(start)[:, None], np.zeros((2, 1), dtype=bool))
    data = observe(likelihood, None)
    straight, bent = (
        newton(likelihood, data, problem, MinimiseOptions(max_iterations=300, curved=curved))
        for curved in (False, True)
    )
    assert bent.converged[0]
    assert bent.parameters[0] == pytest.approx([8.0, 0.125], rel=1e-6)  # edm of 1e-9
    assert bent.iterations[0] < straight.iterations[0] / 2


@pytest.mark.parametrize("size", [0.1, 0.05])
def test_rates_follow_the_tangent(size: float) -> None:
    """a b = 1 - size^2 after a straight step: 1e4 size^2 events too few are taken back.

    What is left is of the next order, a share of about size^2 of it.
    """
    likelihood = hyperbola()
    x, step = np.ones(2), size * np.array([1.0, -1.0])  # along the valley: the tangent has 1e4
    assert likelihood.expected(x + step)[0][0] - 1e4 == pytest.approx(-1e4 * size**2)
    bent = valley(likelihood, x, step)._bent((x + step)[:, None, None])[:, 0, 0]
    assert abs(likelihood.expected(bent)[0][0] - 1e4) < 2 * size**2 * 1e4 * size**2


def test_the_lowest_is_below_every_straight_step() -> None:
    likelihood = hyperbola()
    along = valley(likelihood, [1.0, 1.0], [1.0, -1.0])
    point, length = along.lowest()
    straight = [along.x + t * along.step for t in np.geomspace(1e-3, 4.0, 500)]
    value = likelihood.value(np.concatenate(straight, axis=1), along.observed)
    found = likelihood.value(point, along.observed)[0]
    assert found < value.min() - 0.1
    assert length[0] in (0.01, 0.05, 0.2, 0.5, 1.0, 2.0, 4.0)


def test_what_is_undefined_everywhere_is_shortened() -> None:
    """Nothing is expected at a = 0, and all trials end there: the next are a hundred times less."""
    along = valley(hyperbola(), [1.0, 1.0], [-1e6, 0.0])
    assert along.lowest()[1] == pytest.approx(0.01)


def test_an_empty_bin_at_zero_is_dead_only_where_its_rate_has_no_slope() -> None:
    """Of three empty bins the first has a shape, the second nothing, the third a signal."""
    back = sample("back", [0.0, 0.0, 0.0], shape("h", [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]))
    channels = {"c": [sample("signal", [0.0, 0.0, 2.0], MU), back]}
    likelihood = BatchedLikelihood.from_workspace(workspace(channels, {"c": [0.0] * 3}, "mu"))
    at = np.zeros((2, 3))  # h and mu
    fixed = np.array([[False, True, False], [False, False, True]])
    assert likelihood.parameter_names == ("h", "mu")
    dead = _dead(likelihood, observe(likelihood, None), at, fixed)
    assert dead.T.tolist() == [
        [False, True, False],
        [True, True, False],
        [False, True, True],
    ]
