"""Minima at the boundary of the allowed rates, against SLSQP with the rates as constraints.

The documents were found among random ones; each needs the part of the search that it is named
after. The reference knows nothing of barriers, and keeps the rates of empty bins at or above zero
as inequalities (:class:`tests.inference.random_documents.PyhfReference`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood, fit
from histnu.inference.engine.fit import observe
from tests.inference.examples import workspace
from tests.inference.random_documents import PyhfReference

Json = dict[str, Any]


def sample(name: str, data: list[float], *modifiers: Json) -> Json:
    return {"name": name, "data": data, "modifiers": list(modifiers)}


def shape(name: str, low: list[float], high: list[float]) -> Json:
    return {"name": name, "type": "histosys", "data": {"lo_data": low, "hi_data": high}}


def rate(name: str, low: float, high: float) -> Json:
    return {"name": name, "type": "normsys", "data": {"lo": low, "hi": high}}


def factor(name: str) -> Json:
    return {"name": name, "type": "normfactor", "data": None}


MU = factor("mu")
BOUNDS = [{"name": "mu", "bounds": [[-5.0, 20.0]], "inits": [1.0]}]


def where_newton_stalled() -> Json:
    """Further inside than where Newton's method stalls is the basin of a minimum 3e-4 higher."""
    first = [
        sample("signal", [1.7, 5.4, 1.0], MU),
        sample(
            "back", [6.1, 0.5, 0.6],
            shape("a", [2.43, 0.79, 0.55], [7.39, 0.72, 0.29]),
            shape("b", [10.51, 0.58, 0.73], [1.99, 0.71, 0.27]),
            rate("c", 0.84, 0.92),
        ),
    ]  # fmt: skip
    second = [
        sample("signal", [1.8, 4.5, 6.0], MU),
        sample(
            "back", [7.2, 4.9, 3.3], rate("a", 0.88, 0.94),
            shape("c", [5.45, 6.16, 3.0], [4.21, 5.34, 3.3]),
        ),
    ]  # fmt: skip
    observed = {"c0": [5.0, 0.0, 0.0], "c1": [0.0, 3.0, 2.0]}
    return workspace({"c0": first, "c1": second}, observed, "mu", BOUNDS)


def with_few_events() -> Json:
    """A barrier of one event leads away from the minimum; one of 1e-4 events keeps it."""
    first = [
        sample("signal", [4.9, 1.4], MU),
        sample("back", [7.6, 6.4], rate("a", 0.88, 1.12), shape("b", [6.86, 4.21], [5.47, 3.37])),
    ]
    second = [sample("signal", [3.1], MU), sample("back", [2.7], shape("a", [1.64], [1.35]))]
    return workspace({"c0": first, "c1": second}, {"c0": [2.0, 0.0], "c1": [0.0]}, "mu", BOUNDS)


@pytest.mark.parametrize(
    ("document", "fixed"),
    [
        pytest.param(where_newton_stalled, {}, marks=pytest.mark.slow),
        (with_few_events, {"mu": -0.5}),
    ],
)
def test_minima_are_those_of_constrained_slsqp(document: Any, fixed: dict[str, float]) -> None:
    spec = document()
    likelihood = BatchedLikelihood.from_workspace(spec)
    found = fit(likelihood, observe(likelihood, None), {k: [v] for k, v in fixed.items()})
    reference = PyhfReference(spec, "measurement")
    starts = reference.starts(12, np.random.default_rng(1))
    assert found.certified[0]
    assert likelihood.expected(found.parameters[0]).min() < 1e-6  # at the boundary
    # SLSQP with ftol 1e-8 is within 1e-5 of a minimum
    assert found.twice_nll[0] == pytest.approx(reference.minimum(fixed, starts), abs=1e-5)
