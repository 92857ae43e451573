"""Profile ends, bands and impacts where a nuisance parameter folds: two minima, one takes over.

The documents were found among random ones. The reference is a grid, no minimiser.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood
from histnu.inference.batch import asimov_data
from histnu.inference.expected import (
    ExpectedOptions,
    background,
    band_levels,
    expected_limit,
)
from histnu.inference.impacts import impacts
from histnu.inference.summary import summarise
from tests.inference.examples import workspace
from tests.inference.random_documents import PyhfReference

Json = dict[str, Any]
ALPHA = np.linspace(-5.0, 5.0, 1001)
"""Values of the folding parameter: 0.005 from a minimum -2 log L is 1e-3 higher."""


def folding(
    signal: list[float], back: list[float], moved: tuple[list[float], list[float]], more: list[Json]
) -> list[Json]:
    low, high = moved
    shape = {"name": "shape", "type": "histosys", "data": {"lo_data": low, "hi_data": high}}
    return [
        {"name": "signal", "data": signal,
         "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
        {"name": "back", "data": back, "modifiers": [shape, *more]},
    ]  # fmt: skip


def likelihood_of(samples: list[Json], observed: list[float]) -> BatchedLikelihood:
    settings = [{"name": "mu", "bounds": [[-10.0, 30.0]], "inits": [1.0]}]
    document = workspace({"c": samples}, {"c": observed}, "mu", settings)
    return BatchedLikelihood.from_workspace(document)


def twice_nll(likelihood: BatchedLikelihood, **values: Any) -> np.ndarray:
    """-2 log L at parameters by name, broadcast; infinite where a rate is negative."""
    columns = np.broadcast_arrays(*(values[n] for n in likelihood.parameter_names))
    points = np.column_stack([c.ravel() for c in columns])
    out = likelihood.twice_nll(points, likelihood.observation)
    return np.where(np.isnan(out), np.inf, out).reshape(columns[0].shape)


def test_an_end_belongs_to_the_lowest_minimum() -> None:
    """The other sign of the shape is lower beyond mu = 0.3: one start ends at +0.50, not +2.15."""
    samples = folding([7.0, 12.0], [47.0, 37.0], ([25.0, 20.0], [32.0, 46.0]), [])
    likelihood = likelihood_of(samples, [41.0, 43.0])
    found = summarise(likelihood)
    mu = found["mu"]
    assert mu.down is not None and mu.up is not None
    ends = mu.value + np.array([mu.down, mu.up])
    profile = twice_nll(likelihood, mu=np.linspace(*ends, 101)[:, None], shape=ALPHA).min(axis=1)
    delta = profile - twice_nll(likelihood, mu=np.linspace(-2, 3, 1001)[:, None], shape=ALPHA).min()
    assert delta[[0, -1]] == pytest.approx(1.0, abs=3e-3)  # the grid, see ALPHA
    assert delta[1:-1].max() < 1.0  # the first crossings


@pytest.mark.slow
def test_an_impact_is_of_the_lowest_minimum() -> None:
    """Held one deviation up the shape has its other sign: mu moves by -1.43, not by -0.41."""
    norm = {"name": "norm", "type": "normsys", "data": {"lo": 0.8, "hi": 1.2}}
    moved = [36.0, 41.0, 34.0], [37.0, 37.0, 18.0]
    samples = folding([7.0, 4.0, 8.0], [43.0, 47.0, 29.0], moved, [norm])
    likelihood = likelihood_of(samples, [44.0, 36.0, 34.0])
    found = impacts(likelihood, None, "mu")
    (impact,) = (i for i in found.impacts if i.name == "norm")
    assert impact.error is not None
    mu = np.linspace(-4.0, 6.0, 801)
    for change, sign in ((impact.postfit_up, 1.0), (impact.postfit_down, -1.0)):
        held = impact.value + sign * impact.error
        profile = twice_nll(likelihood, mu=mu[:, None], shape=ALPHA, norm=held).min(axis=1)
        # half a step of mu is 6e-3
        assert found.best_fit + change == pytest.approx(mu[profile.argmin()], abs=1e-2)


@pytest.mark.slow
def test_an_expected_end_belongs_to_the_lowest_minimum() -> None:
    """Far up the other sign of the shape is lower: one start ends the band at 4.08, not 6.05."""
    samples = folding([6.0, 7.0, 5.0], [52.0, 49.0, 39.0],
                      ([35.0, 48.0, 27.0], [35.0, 33.0, 19.0]), [])  # fmt: skip
    likelihood = likelihood_of(samples, [43.0, 49.0, 26.0])
    options = ExpectedOptions("profile", cl=0.9)
    levels = band_levels("profile", 0.9, 1, bounded=False)
    upper = expected_limit(likelihood, None, "mu", options).upper
    data = asimov_data(likelihood, background(likelihood, None, "mu", options))

    def profile(mu: Any) -> np.ndarray:
        points = np.broadcast_arrays(np.reshape(mu, (-1, 1)), ALPHA)
        columns = dict(zip(("mu", "shape"), points, strict=True))
        rows = np.stack([columns[n].ravel() for n in likelihood.parameter_names])
        value = likelihood.value(rows, data).reshape(points[0].shape)
        return np.where(np.isnan(value), np.inf, value).min(axis=1)

    lowest = profile(0.0)  # the data are expected there, and nothing is lower
    for end, level in zip(upper, levels, strict=True):
        assert end is not None
        delta = profile(np.linspace(0.0, end, 101)) - lowest
        assert delta[-1] == pytest.approx(level**2, abs=3e-3)  # the grid, see ALPHA
        assert delta[:-1].max() < level**2  # the first crossing


@pytest.mark.slow
def test_a_plain_document_may_have_another_basin_a_deviation_away() -> None:
    """One start with np0 held one deviation up ends at mu = 0, 26 in -2 log L too high.

    Rates of the signal that a normsys and a histosys of one name change together; nothing in the
    document folds. The reference is SLSQP from several starts, with and without mu held.
    """

    def moved(name: str, kind: str, low: Any, high: Any) -> Json:
        keys = ("lo", "hi") if kind == "normsys" else ("lo_data", "hi_data")
        return {"name": name, "type": kind, "data": dict(zip(keys, (low, high), strict=True))}

    signal = {"name": "signal", "data": [18.7, 18.2], "modifiers": [
        {"name": "mu", "type": "normfactor", "data": None},
        moved("np1", "normsys", 0.403, 1.522),
        moved("np3", "normsys", 0.285, 1.824),
        moved("np3", "histosys", [33.8, 13.0], [1.34, 24.2]),
    ]}  # fmt: skip
    back = {"name": "back", "data": [221.4, 249.8], "modifiers": [
        moved("np0", "normsys", 0.6925, 1.339),
        moved("np0", "histosys", [157.1, 193.4], [292.4, 311.9]),
        moved("np1", "normsys", 0.782, 1.15),
        moved("np1", "histosys", [270.4, 193.2], [187.7, 288.7]),
    ]}  # fmt: skip
    settings = [{"name": "mu", "bounds": [[0.0, 30.0]], "inits": [1.0]}]
    document = workspace({"c": [signal, back]}, {"c": [253.0, 269.0]}, "mu", settings)
    found = impacts(BatchedLikelihood.from_workspace(document), None, "mu")
    (impact,) = (i for i in found.impacts if i.name == "np0")
    assert impact.error is not None and impact.postfit_up is not None
    reference = PyhfReference(document, "measurement")
    starts = reference.starts(40, np.random.default_rng(2))  # of 12 all stop at 66.3
    held = {"np0": impact.value + impact.error}
    lowest = reference.minimum(held, starts)
    there = reference.minimum({**held, "mu": found.best_fit + impact.postfit_up}, starts)
    assert there == pytest.approx(lowest, abs=1e-4)  # SLSQP with ftol 1e-8
