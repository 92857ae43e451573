"""Second derivatives without the zeros among local parameters are those of the whole matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood, fit
from histnu.inference.engine import rows
from histnu.inference.engine.hessian import Arrow, Hessian
from histnu.inference.engine.linalg import newton_step, profiled
from histnu.inference.uncertainties import curvature
from tests.inference import examples

POINTS = 5
OTHERS, LOCAL = np.array([0, 2, 5]), np.array([4, 1, 6, 3, 8, 7, 10, 9])
ALONE = 2  # local variables alone in their bins; the others are three to a bin


def arrow(seed: int, shift: float = 0.0) -> Hessian:
    """Return positive definite matrices of eleven variables, less ``shift`` on the diagonal."""
    rng = np.random.default_rng(seed)
    border = rng.normal(size=(3, 8, POINTS))
    alone = rng.uniform(1.0, 3.0, (1, 1, ALONE, POINTS))
    root = rng.normal(size=(3, 3, 2, POINTS))
    three = np.einsum("ikgp,jkgp->ijgp", root, root) + np.eye(3)[..., None, None]
    parts = Arrow(border, (alone, three), OTHERS, LOCAL)
    inner = Hessian(np.zeros((3, 3, POINTS)), parts).dense()[np.ix_(LOCAL, LOCAL)]
    inverse = np.linalg.inv(inner.transpose(2, 0, 1))
    core = np.einsum("iap,pab,jbp->ijp", border, inverse, border) + np.eye(3)[..., None]
    core = (core + core.swapaxes(0, 1)) / 2  # of sums in any order
    out = Hessian(core, parts)
    out.add_diagonal(np.full((11, POINTS), -shift))
    return out


def test_operations_are_those_of_the_whole_matrix() -> None:
    h, rng = arrow(1), np.random.default_rng(2)
    whole = h.dense()
    # the same products of three, added up in another order: rounding
    np.testing.assert_allclose(whole, whole.swapaxes(0, 1), rtol=1e-12)
    x = rng.normal(size=(11, POINTS))
    # the same products, summed in another order
    np.testing.assert_allclose(h.times(x), np.einsum("ijp,jp->ip", whole, x), rtol=1e-12)
    np.testing.assert_array_equal(h.diagonal(), np.einsum("iip->ip", whole))
    np.testing.assert_allclose(h.scaled(x).dense(), whole * x[:, None] * x, rtol=1e-14)
    taken = rng.random(POINTS) < 0.5
    np.testing.assert_array_equal(h.select(taken).dense(), whole[..., taken])
    other = arrow(3)
    np.testing.assert_array_equal(
        h.where(taken, other).dense(), np.where(taken, whole, other.dense())
    )
    h.add_diagonal(x)
    np.testing.assert_array_equal(h.dense()[3, 3], whole[3, 3] + x[3])
    np.testing.assert_array_equal(h.dense()[5, 5], whole[5, 5] + x[5])


@pytest.mark.parametrize("shift", [0.0, 2.0])  # positive definite; inner and outer pivots below 0
@pytest.mark.parametrize("size", [0.1, 1e3])  # of the gradient: the longest step is damped
def test_newton_step_is_that_of_the_whole_matrix(shift: float, size: float) -> None:
    rng = np.random.default_rng(4)
    h, move = arrow(5, shift), rng.random((11, POINTS)) < 0.8
    g, ridge = size * rng.normal(size=(11, POINTS)), np.full(POINTS, 1e-10)
    short, whole = (newton_step(x, g, move, ridge) for x in (h, Hessian(h.dense())))
    assert whole.indefinite.any() == (shift > 0)
    for name in ("step", "edm", "indefinite", "lowest"):
        # condition numbers of up to 1e3 times rounding
        np.testing.assert_allclose(getattr(short, name), getattr(whole, name), rtol=1e-11)


@pytest.mark.parametrize("which", [0, 1])  # a variable alone in its bin; one of three
def test_local_variable_of_negative_curvature_is_noticed(which: int) -> None:
    h = arrow(7)
    assert h.arrow is not None
    h.arrow.border[:, 0 if which == 0 else ALONE] = 0.0  # what is left does not know of it
    h.arrow.inner[which][0, 0, 0] *= -1
    g, move, ridge = np.ones((11, POINTS)), np.ones((11, POINTS), bool), np.zeros(POINTS)
    short, whole = (newton_step(x, g, move, ridge) for x in (h, Hessian(h.dense())))
    assert short.indefinite.all() and whole.indefinite.all()
    np.testing.assert_allclose(short.step, whole.step, rtol=1e-11)  # rounding, as above


@pytest.mark.parametrize("keep", [2, 6])  # one of the others, and a local one
def test_profiled_matrix_has_the_variance_of_the_whole(keep: int) -> None:
    h, free = arrow(6), np.ones(11, dtype=bool)
    free[[0, 4, 7]] = False
    found, numbers = profiled(h, free, keep)
    inverse, whole = (np.linalg.inv(x[..., 0]) for x in (found, h.dense()[np.ix_(free, free)]))
    at, of = (np.flatnonzero(n == keep)[0] for n in (numbers, np.flatnonzero(free)))
    assert len(numbers) == (8 if keep == 6 else 2)
    # rounding times condition numbers of up to 1e3
    assert inverse[at, at] == pytest.approx(whole[of, of], rel=1e-11)


def crowded(seed: int) -> dict[str, Any]:
    """Return 30 bins with staterror, a shapesys in every bin of one sample, and few events."""
    rng = np.random.default_rng(seed)
    data = rng.uniform(0.5, 6.0, (3, 30))
    size = {"lo": 0.8, "hi": 1.3}
    samples = [
        {"name": f"s{k}", "data": d.tolist(), "modifiers": [
            {"name": "stat", "type": "staterror", "data": (0.3 * np.sqrt(d)).tolist()},
            {"name": f"n{k}", "type": "normsys", "data": size}]}
        for k, d in enumerate(data)]  # fmt: skip
    samples[0]["modifiers"].append({"name": "mu", "type": "normfactor", "data": None})
    samples[1]["modifiers"].append(
        {"name": "shape", "type": "shapesys", "data": (0.4 * data[1]).tolist()}
    )
    counts = rng.poisson(0.7 * data[0] + data[1] + data[2]).astype(float).tolist()
    return examples.workspace({"c": samples}, {"c": counts}, "mu")


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
def test_fits_end_at_the_minima_of_the_whole_matrix(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free, held at values up to a bound of mu, and in toys; covariances agree too."""
    document = crowded(seed)
    short = BatchedLikelihood.from_workspace(document)
    monkeypatch.setattr(rows, "_MANY_LOCAL", 10**9)
    whole = BatchedLikelihood.from_workspace(document)
    models = (short, whole)
    at = [m.derivatives(m.init[:, None], m.observe(m.observation)).second for m in models]
    assert at[0].arrow is not None and at[1].arrow is None
    np.testing.assert_allclose(at[0].dense(), at[1].dense(), rtol=1e-12)
    toys = np.random.default_rng(seed).poisson(short.observation, (20, 30)).astype(float)
    for data, held in ((None, None), (None, {"mu": np.linspace(0, 4, 9)}), (toys, None)):
        a, b = (fit(m, m.observe(m.observation if data is None else data), held) for m in models)
        assert a.converged.all() and b.converged.all()
        # both are within 1e-9 of the minimum before their last step, and 1e-13 after it
        np.testing.assert_allclose(a.twice_nll, b.twice_nll, rtol=0, atol=1e-10)
        np.testing.assert_allclose(a.parameters, b.parameters, rtol=0, atol=1e-7)
        if data is None and held is None:
            found = [
                curvature(m, m.observe(m.observation), f.parameters[0])
                for m, f in zip(models, (a, b), strict=True)
            ]
            np.testing.assert_allclose(found[0].covariance, found[1].covariance, atol=1e-7)
            assert found[0].status == found[1].status
