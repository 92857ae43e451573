"""Values of a parameter that other parameters have to make room for, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from histnu.core.errors import FitError
from histnu.inference import BatchedLikelihood, FitOptions, IntervalOptions, interval, profile
from histnu.inference.engine.allowed import allowed_point
from histnu.inference.limits import threshold
from histnu.inference.profile_function import ProfileFunction


def room(low: float, dead: bool = False) -> BatchedLikelihood:
    """Expected are 10 mu + 5 f with no event and 30 + mu with 28; f is in [0, 10].

    With ``dead`` there is a third bin without events in which nothing is ever expected.
    A negative mu is allowed where f is at least -2 mu, down to mu = -5; f = 1 at the start.
    There -2 log L is that of the second bin, for positive mu 20 mu more.
    """
    signal = {"name": "s", "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]}
    free = {"name": "b", "data": [5.0], "modifiers": [
        {"name": "f", "type": "normfactor", "data": None},
    ]}  # fmt: skip
    nothing = [{"name": "dead", "samples": [{**signal, "data": [0.0]}]}] if dead else []
    return BatchedLikelihood.from_workspace({
        "channels": [
            *nothing,
            {"name": "empty", "samples": [{**signal, "data": [10.0]}, free]},
            {"name": "full", "samples": [
                {**signal, "data": [1.0]}, {"name": "b", "data": [30.0], "modifiers": []},
            ]},
        ],
        "observations": [
            *([{"name": "dead", "data": [0.0]}] if dead else []),
            {"name": "empty", "data": [0.0]}, {"name": "full", "data": [28.0]},
        ],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [
            {"name": "mu", "bounds": [[low, 10.0]], "inits": [0.0]},
        ]}}],
        "version": "1.0.0",
    })  # fmt: skip


def delta(mu: float) -> float:
    """The profile, from its minimum at mu = -2."""
    return 2 * ((mu + 2) - 28 * np.log((30 + mu) / 28)) + 20 * max(mu, 0.0)


@pytest.mark.parametrize(
    ("low", "kind", "dead"),
    [
        (-4.0, "bound", False),
        (-4.0, "bound", True),
        pytest.param(-7.0, "edge", False, marks=pytest.mark.slow),
        pytest.param(-7.0, "edge", True, marks=pytest.mark.slow),
    ],
)
def test_region_reaches_to_where_the_rates_end(low: float, kind: str, dead: bool) -> None:
    found = interval(room(low, dead), None, "mu")
    (segment,) = found.intervals
    assert segment.lower_end == kind
    # an edge is located to 1e-5 of its value
    assert segment.lower == pytest.approx(max(low, -5.0), rel=2e-5)
    upper = brentq(lambda mu: delta(mu) - threshold(0.9, 1), -1.0, 5.0)
    assert segment.upper == pytest.approx(upper, rel=1e-7)


@pytest.mark.parametrize("mu", [-4.9, -3.0, -1.0])
def test_slope_of_the_profile_at_an_empty_bin_without_rate(mu: float) -> None:
    """The slope is that of the second bin alone: f follows mu at no cost."""
    likelihood = room(-7.0)
    observed = likelihood.observe(likelihood.observation)
    function = ProfileFunction(likelihood, observed, "mu", FitOptions())
    value, slope = function.evaluate(np.array([mu]))
    # the rate of the empty bin, 1e-9, is what the barrier leaves
    assert value[0] == pytest.approx(delta(mu), abs=1e-8)
    assert slope[0] == pytest.approx(2 * (1 - 28 / (30 + mu)), rel=1e-6)


def test_no_point_is_allowed_where_the_rates_end() -> None:
    likelihood = room(-7.0)
    place = [likelihood.index(name) for name in ("mu", "f")]
    held = np.arange(2) == place[0]

    def at(mu: float) -> np.ndarray | None:
        start = np.zeros(2)
        start[place] = mu, 1.0
        return allowed_point(likelihood, np.array([0.0, 28.0]), (start, held), np.ones(2))

    found = at(-4.9)
    assert found is not None
    assert 9.8 < found[place[1]] <= 10.0
    assert found[place[0]] == -4.9
    assert at(-5.1) is None
    with pytest.raises(FitError, match=r"mu = -5\.1: the likelihood is undefined at every start"):
        profile(likelihood, None, "mu", [-5.1])


def test_an_interval_has_a_budget() -> None:
    options = IntervalOptions(most_starts=40)
    with pytest.raises(FitError, match=r"mu = .* not known after \d+ minimisations, more than 40"):
        interval(room(-7.0), None, "mu", options=options)
