"""Derivatives row by row equal those of the terms, finite differences, and products at zero."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histnu.inference import BatchedLikelihood
from histnu.inference.engine import rows
from histnu.inference.engine.compile import Compiled
from histnu.inference.engine.rows import RowRates
from histnu.inference.engine.terms import TermRates, by_terms
from tests.inference import examples
from tests.inference.test_documents import LIKELIHOODS, without_unknown_poi

PUBLISHED = sorted((LIKELIHOODS / "published").glob("*.json"))
CODES = [(norm, histo) for norm in ("code1", "code4") for histo in ("code0", "code2", "code4p")]


def settings_of(norm: str, histo: str) -> dict[str, Any]:
    return {"normsys": {"interpcode": norm}, "histosys": {"interpcode": histo}}


def both(compiled: Compiled, pars: Any, main: Any, information: Any) -> list[tuple[Any, ...]]:
    """Return rates, gradient and Hessian of both evaluations."""
    return [dense(rates(compiled), pars, (main, information)) for rates in (RowRates, TermRates)]


def dense(rates: Any, pars: Any, data: tuple[Any, Any]) -> tuple[Any, ...]:
    """Return rates, gradient and the whole Hessian."""
    counts, gradient, second = rates.derivatives(pars, data)
    return counts, gradient, second.dense()


@pytest.mark.parametrize("shape", ["correlated", "combined", "binned"])
@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("every", [1, 2, 3])
def test_rows_and_terms_agree(shape: str, codes: tuple[str, str], every: int) -> None:
    """Also of the expected information: of all points, many, and a few."""
    document = getattr(examples, shape)()
    compiled = BatchedLikelihood.from_workspace(document, None, settings_of(*codes)).compiled
    rng = np.random.default_rng(1)
    pars = compiled.init[:, None] + 0.7 * rng.normal(size=(len(compiled.init), 9))
    main = rng.poisson(20.0, (compiled.n_bins, 9)).astype(float)
    information = np.arange(9) % every == 0
    by_row, terms = both(compiled, pars, main, information)
    for a, b in zip(by_row, terms, strict=True):
        # sums of a few hundred products in another order
        np.testing.assert_allclose(a, b, atol=1e-11 * np.abs(b).max())


def test_which_evaluation_is_chosen() -> None:
    """Few effects on many bins by terms; the others, and all parameters per bin, by rows."""

    def compiled(document: dict[str, Any]) -> Compiled:
        return BatchedLikelihood.from_workspace(document).compiled

    assert by_terms(compiled(examples.combined()))
    assert by_terms(compiled(examples.binned(162, 12)))
    assert not by_terms(compiled(examples.textbook()))
    crowded = examples.binned(5, 0)
    for sample in crowded["channels"][0]["samples"]:
        sample["modifiers"] += [
            {"name": f"n{k}", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}} for k in range(10)
        ]
    assert not by_terms(compiled(crowded))


@st.composite
def factored(draw: Any) -> tuple[dict[str, Any], list[float]]:
    """Draw a workspace without parameters per bin, and strengths some of which are zero."""
    channels, observed = {}, {}
    for c in range(draw(st.integers(1, 3))):
        bins = draw(st.integers(1, 3))
        samples = []
        for s in range(draw(st.integers(1, 3))):
            data = draw(st.lists(st.sampled_from([0.0, 1.0, 7.5, 40.0]), min_size=bins,
                                 max_size=bins))  # fmt: skip
            modifiers = [
                {"name": f"k{k}", "type": "normfactor", "data": None}
                for k in sorted(draw(st.sets(st.integers(0, 3), max_size=3)))
            ]
            for name in sorted(draw(st.sets(st.sampled_from("ab")))):
                modifiers.append({"name": name, "type": "normsys", "data": {"lo": 0.8, "hi": 1.3}})
            for name in sorted(draw(st.sets(st.sampled_from("abc")))):
                up = {"lo_data": [0.9 * x for x in data], "hi_data": [1.2 * x + 0.5 for x in data]}
                modifiers.append({"name": name, "type": "histosys", "data": up})
            samples.append({"name": f"s{s}", "data": data, "modifiers": modifiers})
        samples.append({"name": "flat", "data": [5.0] * bins, "modifiers": [
            {"name": "k0", "type": "normfactor", "data": None}]})  # fmt: skip
        samples.append({"name": "always", "data": [3.0] * bins, "modifiers": []})
        channels[f"channel_{c}"] = samples
        observed[f"channel_{c}"] = [float(draw(st.integers(0, 30))) for _ in range(bins)]
    strengths = draw(st.lists(st.sampled_from([0.0, 1e-9, 0.7, 2.0]), min_size=4, max_size=4))
    return examples.workspace(channels, observed, "k0"), strengths


@pytest.mark.slow
@given(factored(), st.integers(0, 2**31))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
def test_factors_that_are_zero(drawn: tuple[dict[str, Any], list[float]], seed: int) -> None:
    """The terms multiply derivatives without dividing: they are exact where factors vanish."""
    document, strengths = drawn
    likelihood = BatchedLikelihood.from_workspace(document)
    pars = np.random.default_rng(seed).normal(size=len(likelihood.init))[:, None]
    for k, value in enumerate(strengths):
        if f"k{k}" in likelihood.parameter_names:
            pars[likelihood.index(f"k{k}")] = value
    assert likelihood.observation is not None
    main = likelihood.observation[:, None]
    by_row, terms = both(likelihood.compiled, pars, main, None)
    for a, b in zip(by_row, terms, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11 * max(1.0, np.abs(b).max()))


def per_bin_document() -> dict[str, Any]:
    """Return two channels with all that acts on bins, on some samples and on all, one shared."""

    def sample(name: str, data: list[float], *modifiers: tuple[str, str, Any]) -> dict[str, Any]:
        return {"name": name, "data": data, "modifiers": [
            {"name": n, "type": t, "data": x} for n, t, x in modifiers]}  # fmt: skip

    shift = {"lo_data": [9.0, 7.5, 12.0], "hi_data": [12.0, 8.5, 13.0]}
    size = {"lo": 0.9, "hi": 1.15}
    signal = [("mu", "normfactor", None), ("free", "shapefactor", None)]
    background = [
        ("a", "normsys", size), ("a", "histosys", shift), ("b", "histosys", shift),
        ("stat", "staterror", [1.0, 0.7, 0.9]),
    ]  # fmt: skip
    other = [("a", "normsys", size), ("stat", "staterror", [0.5, 0.4, 0.3]), ("mu", "normfactor",
             None), ("shape", "shapesys", [1.0, 2.0, 0.5])]  # fmt: skip
    first = [
        sample("signal", [2.0, 3.0, 1.0], *signal),
        sample("background", [10.0, 8.0, 12.0], *background),
        sample("other", [4.0, 5.0, 3.0], *other),
    ]
    second = [
        sample("signal", [1.0, 2.5, 4.0], *signal, ("b", "histosys", shift)),
        sample("background", [20.0, 18.0, 9.0], ("a", "normsys", size), ("free", "shapefactor",
               None)),
        sample("flat", [2.0, 2.0, 2.0]),
    ]  # fmt: skip
    return examples.workspace(
        {"one": first, "two": second}, {"one": [17, 15, 20], "two": [25, 21, 16]}, "mu"
    )


@pytest.mark.parametrize("zero", [(), ("mu",), ("free[1]",), ("mu", "free[0]"),
                                  ("mu", "free[2]", "shape[2]")])  # fmt: skip
@pytest.mark.parametrize("codes", [("code4", "code4p"), ("code1", "code2")])
@pytest.mark.parametrize("local", [False, True])
def test_parameters_per_bin_and_their_zeros(
    zero: tuple[str, ...], codes: tuple[str, str], local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if local:
        monkeypatch.setattr(rows, "_MANY_LOCAL", 1)
    likelihood = BatchedLikelihood.from_workspace(per_bin_document(), None, settings_of(*codes))
    rates = RowRates(likelihood.compiled)
    left_out = rates.derivatives(likelihood.init[:, None], (np.ones((likelihood.n_bins, 1)), None))
    assert (left_out[2].arrow is not None) == local
    rng = np.random.default_rng(2)
    pars = (likelihood.init + rng.uniform(0.05, 0.4, len(likelihood.init)))[:, None]
    for name in zero:
        pars[likelihood.index(name)] = 0.0
    assert likelihood.observation is not None
    data = (likelihood.observation[:, None], None)
    _, gradient, hessian = dense(rates, pars, data)
    # one product or its transpose: rounding
    np.testing.assert_allclose(hessian[..., 0], hessian[..., 0].T, rtol=1e-13, atol=1e-90)

    def poisson(x: Any) -> Any:
        counts = rates.rates(x)
        return 2 * (counts - data[0] * np.log(counts)).sum(axis=0)

    step = 1e-5
    for i in range(len(likelihood.init)):
        up, down = pars.copy(), pars.copy()
        up[i] += step
        down[i] -= step
        slope = (poisson(up) - poisson(down)) / (2 * step)
        # errors: step^2 times third derivatives of order 10, and rounding 1e-14 over the step
        assert gradient[i] == pytest.approx(slope, abs=1e-7 * (1 + abs(slope[0])))
        column = (rates.derivatives(up, data)[1] - rates.derivatives(down, data)[1]) / (2 * step)
        np.testing.assert_allclose(hessian[i], column, atol=1e-7 * (1 + np.abs(column).max()))


@pytest.mark.parametrize("many", [1, 10**9])
def test_a_batch_equals_its_points(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MANY_LOCAL", many)
    likelihood = BatchedLikelihood.from_workspace(per_bin_document())
    rates = RowRates(likelihood.compiled)
    rng = np.random.default_rng(3)
    pars = likelihood.init[:, None] + rng.uniform(-0.3, 0.4, (len(likelihood.init), 7))
    main = rng.poisson(20.0, (likelihood.n_bins, 7)).astype(float)
    information = rng.random(7) < 0.5
    together = dense(rates, pars, (main, information))
    for p in range(7):
        one = slice(p, p + 1)
        alone = dense(rates, pars[:, one], (main[:, one], information[one]))
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[..., one], b, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize("zero", [(), ("mu", "free[0]")])
def test_the_expected_information_of_few_bins(zero: tuple[str, ...]) -> None:
    """Summed over bins, or over rows as all second derivatives are: the same."""
    likelihood = BatchedLikelihood.from_workspace(per_bin_document())
    by_bin, by_row = RowRates(likelihood.compiled), RowRates(likelihood.compiled)
    assert by_bin._few_bins
    by_row._few_bins = False
    rng = np.random.default_rng(4)
    pars = likelihood.init[:, None] + rng.uniform(-0.3, 0.4, (len(likelihood.init), 9))
    for name in zero:
        pars[likelihood.index(name)] = 0.0
    main = rng.poisson(20.0, (likelihood.n_bins, 9)).astype(float)
    for information in (np.ones(9, dtype=bool), np.arange(9) % 2 == 0):
        found = dense(by_bin, pars, (main, information))
        for a, b in zip(found, dense(by_row, pars, (main, information)), strict=True):
            # sums of a few dozen products in another order
            np.testing.assert_allclose(a, b, atol=1e-12 * np.abs(b).max())


def test_size_is_linear_in_the_document() -> None:
    """No array of a model of twice the rows is more than twice as large (and a little)."""

    def floats(channels: int) -> int:
        document = per_bin_document()
        first, observed = document["channels"][0], document["observations"][0]
        for sample in first["samples"]:
            sample["modifiers"] = [m for m in sample["modifiers"] if m["type"] != "shapefactor"]
        names = [f"c{k}" for k in range(channels)]
        document["channels"] = [
            json.loads(json.dumps({**first, "name": n}).replace("shape", f"shape_{n}").replace(
                f"shape_{n}sys", "shapesys")) for n in names]  # fmt: skip
        document["observations"] = [{**observed, "name": n} for n in names]
        rates = RowRates(BatchedLikelihood.from_workspace(document).compiled)
        return sum(block.tensor.size + block.nominal.size for block in rates._blocks)

    assert floats(40) == 2 * floats(20)


@pytest.mark.release
@pytest.mark.skipif(not PUBLISHED, reason="no published likelihoods here")
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_derivatives_of_published_documents(path: Any) -> None:
    document = without_unknown_poi(json.loads(path.read_text()))
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    rng = np.random.default_rng(6)
    free = ~likelihood.fixed
    x = np.clip(likelihood.init + 0.1 * free * rng.normal(size=len(free)), likelihood.bounds[:, 0],
                likelihood.bounds[:, 1])[:, None]  # fmt: skip
    at = likelihood.derivatives(x, observed)
    step = 1e-5
    for i in rng.choice(np.flatnonzero(free), 12, replace=False):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        slope = (likelihood.value(up, observed) - likelihood.value(down, observed)) / (2 * step)
        scale = np.abs(at.hessian).max()
        # rounding 1e-10 of the value and the third derivative, both over the curvature
        assert at.gradient[i] == pytest.approx(slope, abs=1e-6 * scale)
        above, below = (likelihood.derivatives(y, observed).gradient for y in (up, down))
        error = np.abs((above - below)[:, 0] / (2 * step) - at.hessian[i, :, 0]).max()
        assert error < 1e-6 * scale


@pytest.mark.parametrize("shape", ["textbook", "multichannel", "binned"])
def test_no_points(shape: str) -> None:
    """A batch of no problems has values, gradients and Hessians of no problems."""
    likelihood = BatchedLikelihood.from_workspace(getattr(examples, shape)())
    n = len(likelihood.init)
    data = likelihood.observe(np.zeros((0, likelihood.n_bins)))
    found = likelihood.derivatives(np.zeros((n, 0)), data)
    assert found.value.shape == (0,)
    assert found.gradient.shape == (n, 0)
    assert found.hessian.shape == (n, n, 0)
    assert likelihood.value(np.zeros((n, 0)), data).shape == (0,)
