"""The batched likelihood equals pyhf's, and its derivatives equal finite differences."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pyhf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histnu.core.errors import FitError, WorkspaceError
from histnu.inference import BatchedLikelihood, fit
from tests.inference import examples

SHAPES = ("textbook", "multichannel", "correlated", "combined")
# rounding of about B + A terms of size 10: 1e-13; the requirement is 1e-10
RELATIVE = 1e-10
CODES = [(norm, histo) for norm in ("code1", "code4") for histo in ("code0", "code2", "code4p")]


def settings_of(norm: str, histo: str) -> dict[str, Any]:
    return {"normsys": {"interpcode": norm}, "histosys": {"interpcode": histo}}


def random_points(
    likelihood: BatchedLikelihood, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parameters, counts and auxiliary data with all expected counts positive."""
    rng = np.random.default_rng(seed)
    n = len(likelihood.init)
    width = np.where(likelihood.bounds[:, 0] >= -1e-9, 0.15, 1.2)
    pars = likelihood.init + rng.normal(size=(4 * count, n)) * width
    pars = np.clip(pars, likelihood.bounds[:, 0], likelihood.bounds[:, 1])
    expected = likelihood.expected(pars)
    pars = pars[np.all(expected > 0, axis=1)][:count]
    assert len(pars) == count
    data = rng.poisson(likelihood.expected(pars)).astype(float)
    aux = likelihood.expected_auxdata(pars) * rng.uniform(0.9, 1.1, (count, 1))
    return pars, data, aux


def pyhf_twice_nll(model: Any, pars: Any, data: Any, aux: Any) -> np.ndarray:
    rows = zip(pars, np.broadcast_to(data, (len(pars), data.shape[-1])), aux, strict=True)
    return np.array([-2 * model.logpdf(p, np.concatenate([d, a]))[0] for p, d, a in rows])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("norm", "histo"), CODES)
def test_logpdf_equals_pyhf(shape: str, norm: str, histo: str) -> None:
    document = getattr(examples, shape)()
    likelihood = BatchedLikelihood.from_workspace(document, None, settings_of(norm, histo))
    pars, data, aux = random_points(likelihood, 50, seed=len(shape))
    mine = likelihood.twice_nll(pars, data, aux)
    np.testing.assert_allclose(
        mine, pyhf_twice_nll(likelihood.model, pars, data, aux), rtol=RELATIVE
    )


@pytest.mark.parametrize("shape", [*SHAPES, "binned"])
def test_expected_counts_equal_pyhf(shape: str) -> None:
    likelihood = BatchedLikelihood.from_workspace(getattr(examples, shape)())
    pars, _, _ = random_points(likelihood, 10, seed=2)
    full = np.array([likelihood.model.expected_data(p) for p in pars])
    mine = np.hstack([likelihood.expected(pars), likelihood.expected_auxdata(pars)])
    np.testing.assert_allclose(mine, full, rtol=1e-12)  # sums of a few positive terms


def test_layout_is_that_of_pyhf() -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.multichannel())
    config = likelihood.model.config
    assert list(likelihood.parameter_names) == config.par_names
    assert likelihood.bounds.tolist() == [list(b) for b in config.suggested_bounds()]
    assert likelihood.fixed.tolist() == config.suggested_fixed()
    assert likelihood.poi_index == config.poi_index
    assert likelihood.auxdata.tolist() == config.auxdata
    assert likelihood.channels == config.channel_slices


@pytest.mark.parametrize("shape", SHAPES)
def test_one_data_set_serves_all_points(shape: str) -> None:
    likelihood = BatchedLikelihood.from_workspace(getattr(examples, shape)())
    pars, data, aux = random_points(likelihood, 5, seed=3)
    together = likelihood.twice_nll(pars, data[0], aux[0])
    alone = [likelihood.twice_nll(p, data[0], aux[0])[0] for p in pars]
    np.testing.assert_allclose(together, alone, rtol=1e-14)


@pytest.mark.parametrize("shape", [*SHAPES, "binned"])
@pytest.mark.parametrize("codes", [CODES[5], CODES[0], CODES[4]])
def test_derivatives_equal_finite_differences(shape: str, codes: tuple[str, str]) -> None:
    document = getattr(examples, shape)()
    likelihood = BatchedLikelihood.from_workspace(document, None, settings_of(*codes))
    pars, data, aux = random_points(likelihood, 10, seed=4)
    gradient = likelihood.gradient(pars, data, aux)
    hessian = likelihood.hessian(pars, data, aux)
    step = 1e-5
    for i in range(len(likelihood.init)):
        up, down = pars.copy(), pars.copy()
        up[:, i] += step
        down[:, i] -= step
        value = [likelihood.twice_nll(p, data, aux) for p in (up, down)]
        slope = [likelihood.gradient(p, data, aux) for p in (up, down)]
        scale = 1 + np.abs(hessian).max(axis=(1, 2))
        # errors: step^2 times third derivatives, and rounding of the value over the step
        error = np.abs((value[0] - value[1]) / (2 * step) - gradient[:, i])
        assert np.all(error < 1e-6 * scale)
        error = np.abs((slope[0] - slope[1]) / (2 * step) - hessian[:, i]).max(axis=1)
        assert np.all(error < 1e-6 * scale)


def test_shapefactor_over_two_channels() -> None:
    document = examples.correlated()
    for channel in document["channels"]:
        channel["samples"][1]["modifiers"].append(
            {"name": "free", "type": "shapefactor", "data": None}
        )
    document["channels"][1]["samples"].append(copy.deepcopy(document["channels"][0]["samples"][1]))
    document["channels"][1]["samples"].pop()
    # pyhf wants equal numbers of bins for one shapefactor: cut the first channel to two bins
    for sample in document["channels"][0]["samples"]:
        sample["data"] = sample["data"][:2]
        for modifier in sample["modifiers"]:
            if modifier["type"] == "histosys":
                for key in ("lo_data", "hi_data"):
                    modifier["data"][key] = modifier["data"][key][:2]
    document["observations"][0]["data"] = document["observations"][0]["data"][:2]
    likelihood = BatchedLikelihood.from_workspace(document)
    pars, data, aux = random_points(likelihood, 20, seed=6)
    np.testing.assert_allclose(
        likelihood.twice_nll(pars, data, aux),
        pyhf_twice_nll(likelihood.model, pars, data, aux),
        rtol=RELATIVE,
    )
    h = likelihood.hessian(pars, data, aux)
    step = 1e-5
    i = likelihood.index("free[1]")
    up, down = pars.copy(), pars.copy()
    up[:, i] += step
    down[:, i] -= step
    slope = (likelihood.gradient(up, data, aux) - likelihood.gradient(down, data, aux)) / 2 / step
    np.testing.assert_allclose(slope, h[:, i], rtol=1e-5, atol=1e-4)  # finite differences


def _modifier(draw: Any, kind: str, name: str, data: list[float]) -> dict[str, Any]:
    """Return a random modifier of one kind."""
    share = st.floats(0.02, 0.4)
    content: Any = None
    if kind == "normsys":
        content = {"lo": 1 - draw(share), "hi": 1 + draw(share)}
    elif kind == "histosys":
        content = {
            "lo_data": [x * (1 - draw(share)) for x in data],
            "hi_data": [x * (1 + draw(share)) for x in data],
        }
    elif kind in ("shapesys", "staterror"):
        content = [x * draw(share) for x in data]
    return {"name": name, "type": kind, "data": content}


@st.composite
def workspaces(draw: Any) -> dict[str, Any]:
    """Draw a small workspace of any supported modifiers."""
    channels, observed = {}, {}
    for c in range(draw(st.integers(1, 2))):
        bins = draw(st.integers(1, 3))
        samples = []
        for s in range(draw(st.integers(1, 3))):
            data = draw(st.lists(st.floats(1.0, 60.0), min_size=bins, max_size=bins))
            modifiers = [_modifier(draw, "normfactor", "mu", data)] if s == 0 else []
            for kind in draw(st.lists(st.sampled_from(KINDS), max_size=4, unique=True)):
                name = {
                    "shapesys": f"shape_{c}_{s}",
                    "staterror": f"stat_{c}",
                    "shapefactor": f"free_{c}",
                    "lumi": "lumi",
                }.get(kind, f"{draw(st.sampled_from(['a', 'b']))}")
                modifiers.append(_modifier(draw, kind, name, data))
            samples.append({"name": f"sample_{s}", "data": data, "modifiers": modifiers})
        channels[f"channel_{c}"] = samples
        total = np.sum([s["data"] for s in samples], axis=0)
        observed[f"channel_{c}"] = [float(round(x)) for x in total]
    lumi = {"name": "lumi", "auxdata": [1.0], "sigmas": [0.02], "bounds": [[0.5, 1.5]]}
    lumi["inits"] = [1.0]
    return examples.workspace(channels, observed, "mu", [lumi])


KINDS = ("normsys", "histosys", "lumi", "shapesys", "staterror", "shapefactor")


@pytest.mark.slow
@given(workspaces(), st.sampled_from(CODES), st.integers(0, 2**31))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
def test_any_workspace_equals_pyhf(
    document: dict[str, Any], codes: tuple[str, str], seed: int
) -> None:
    likelihood = BatchedLikelihood.from_workspace(document, None, settings_of(*codes))
    rng = np.random.default_rng(seed)
    width = np.where(likelihood.bounds[:, 0] >= -1e-9, 0.2, 1.2)
    pars = likelihood.init + rng.normal(size=(6, len(likelihood.init))) * width
    pars = np.clip(pars, likelihood.bounds[:, 0], likelihood.bounds[:, 1])
    pars = np.where(likelihood.fixed, likelihood.init, pars)
    data = rng.poisson(20.0, (6, likelihood.n_bins)).astype(float)
    aux = np.maximum(likelihood.expected_auxdata(pars), 0.0)
    with np.errstate(all="ignore"):
        reference = pyhf_twice_nll(likelihood.model, pars, data, aux)
    positive = np.all(likelihood.expected(pars) > 0, axis=1) & np.isfinite(reference)
    mine = likelihood.twice_nll(pars, data, aux)
    np.testing.assert_allclose(mine[positive], reference[positive], rtol=RELATIVE)


# A strength is zero or a number one could mean: at 1e-200, drawn otherwise, -2 log L of a bin with
# events is its logarithm and the second derivatives overflow, for pyhf's minimiser as for ours.
STRENGTHS = st.one_of(st.just(0.0), st.floats(1e-4, 2.0))


@pytest.mark.slow
@given(workspaces(), STRENGTHS, st.integers(0, 2**31))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SLSQP leaves the bounds on its way
def test_pyhf_finds_no_lower_minimum_of_any_workspace(
    document: dict[str, Any], tested: float, seed: int
) -> None:
    likelihood = BatchedLikelihood.from_workspace(document)
    data = np.random.default_rng(seed).poisson(likelihood.expected(likelihood.init)[0])
    found = fit(likelihood, likelihood.observe(data), {"mu": tested})
    full = [*map(float, data), *likelihood.auxdata.tolist()]
    if not np.isfinite(found.twice_nll[0]):  # a bin that mu = 0 leaves empty, with events in it
        assert np.any(likelihood.expected(found.parameters)[0] <= 0)
        return
    assert found.converged.all()
    at = -2 * likelihood.model.logpdf(found.parameters[0], full)[0]
    assert found.twice_nll[0] == pytest.approx(float(at), abs=1e-8)
    try:
        _, value = pyhf.infer.mle.fixed_poi_fit(
            tested, full, likelihood.model, return_fitted_val=True
        )
    except pyhf.exceptions.FailedMinimization:
        return
    if np.isfinite(value):
        assert found.twice_nll[0] < float(value) + 1e-7


def test_undefined_points_are_infinite() -> None:
    document = examples.workspace(
        {
            "c": [
                {
                    "name": "s",
                    "data": [5.0],
                    "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                },
                {"name": "b", "data": [10.0], "modifiers": []},
            ]
        },
        {"c": [9]},
        "mu",
    )
    likelihood = BatchedLikelihood.from_workspace(document)
    value = likelihood.twice_nll([[-3.0], [-2.0], [0.0]], [9.0])
    assert np.isposinf(value[:2]).all()
    assert np.isfinite(value[2])
    zero = likelihood.twice_nll([[-2.0]], [0.0])  # nothing expected, nothing seen: probability 1
    assert zero[0] == 0.0


@pytest.mark.parametrize(("shape", "name"), [("combined", "bsm"), ("multichannel", "signal")])
def test_template_per_problem_equals_patched_documents(shape: str, name: str) -> None:
    document = getattr(examples, shape)()
    likelihood = BatchedLikelihood.from_workspace(document).with_template(name)
    rng = np.random.default_rng(7)
    yields = rng.uniform(0.5, 6.0, (4, likelihood.n_bins))
    pars, data, _ = random_points(BatchedLikelihood.from_workspace(document), 4, seed=8)
    mine = likelihood.twice_nll(pars, data, templates=yields)
    observed = likelihood.observe(data, templates=yields)
    derivatives = likelihood.derivatives(np.ascontiguousarray(pars.T), observed)
    for p in range(4):
        patched = copy.deepcopy(document)
        for channel in patched["channels"]:
            bins = likelihood.channels[channel["name"]]
            for sample in channel["samples"]:
                if sample["name"] == name:
                    sample["data"] = yields[p, bins].tolist()
        other = BatchedLikelihood.from_workspace(patched)
        np.testing.assert_allclose(mine[p], other.twice_nll(pars[p], data[p])[0], rtol=1e-12)
        scale = np.abs(derivatives.gradient[:, p]).max()
        np.testing.assert_allclose(
            derivatives.gradient[:, p], other.gradient(pars[p], data[p])[0], atol=1e-11 * scale
        )
        scale = np.abs(derivatives.hessian[:, :, p]).max()
        np.testing.assert_allclose(
            derivatives.hessian[:, :, p], other.hessian(pars[p], data[p])[0], atol=1e-11 * scale
        )


def test_templates_are_refused_where_modifiers_depend_on_them() -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.correlated())
    with pytest.raises(FitError, match="'background' has histosys"):
        likelihood.with_template("background")
    with pytest.raises(FitError, match="no sample 'x'"):
        likelihood.with_template("x")


def test_unsupported_things_are_refused_by_name() -> None:
    spec = {"channels": examples.textbook()["channels"]}
    with pytest.raises(FitError, match="clip_bin_data"):
        BatchedLikelihood.from_model(pyhf.Model(spec, clip_bin_data=0.0))
    with pytest.raises(FitError, match="batch_size"):
        BatchedLikelihood.from_model(pyhf.Model(spec, batch_size=2))
    with pytest.raises(FitError, match="code7"):
        BatchedLikelihood.from_workspace(
            examples.correlated(), None, {"normsys": {"interpcode": "code7"}}
        )
    bad = examples.combined()
    bad["channels"][0]["samples"][2]["modifiers"][0]["data"]["lo"] = 0.0
    with np.errstate(all="ignore"), pytest.raises(FitError, match=r"neutron.*lo=0"):
        BatchedLikelihood.from_workspace(bad)


def test_a_custom_modifier_is_refused_by_name() -> None:
    class Config:
        modifiers = (("f", "custom"),)

    class Model:
        config = Config()

    with pytest.raises(FitError, match="modifier type 'custom'"):
        BatchedLikelihood.from_model(Model())


def test_bad_documents_raise_one_line() -> None:
    document = examples.textbook()
    document["channels"][0]["samples"][0]["data"] = [1.0]
    with pytest.raises(WorkspaceError, match="not a valid workspace: data of sample") as caught:
        BatchedLikelihood.from_workspace(document)
    assert "\n" not in str(caught.value)
    with pytest.raises(WorkspaceError, match="nothing"):
        BatchedLikelihood.from_workspace(examples.textbook(), "nothing")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1.0], r"shape \(1,\)"),
        ([1.0, np.nan], "NaN"),
        ([1.0, -1.0], "negative"),
        ([[[1.0, 1.0]]], "shape"),
    ],
)
def test_bad_data_are_refused(data: Any, message: str) -> None:
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    with pytest.raises(FitError, match=message):
        likelihood.observe(data)
    with pytest.raises(FitError, match="no parameter 'x'"):
        likelihood.index("x")
    with pytest.raises(FitError, match="last axis must be 3"):
        likelihood.expected([1.0])


@pytest.mark.parametrize("name", ["textbook", "multichannel", "correlated", "combined"])
def test_no_parameters_expect_more_exactly_what_was_observed(name: str) -> None:
    """-2 log L is at its bound for data that the model expects, and above it elsewhere.

    Rounding: 1e-9 of a sum of a hundred logarithms.
    """
    likelihood = BatchedLikelihood.from_workspace(getattr(examples, name)())
    truth = likelihood.init
    data, auxdata = likelihood.expected(truth)[0], likelihood.expected_auxdata(truth)[0]
    observed = likelihood.observe(data, auxdata)
    least = likelihood.least(observed)[0]
    assert likelihood.value(truth[:, None], observed)[0] == pytest.approx(least, abs=1e-9)
    x = truth[:, None] * (1 + 0.1 * np.random.default_rng(4).normal(size=(len(truth), 50)))
    assert np.all(likelihood.value(x, observed) >= least - 1e-9)
    empty = likelihood.observe(np.zeros_like(data), auxdata)
    assert np.all(likelihood.value(x, empty) >= likelihood.least(empty)[0])


def test_many_points_are_evaluated_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work arrays of 2 kB: the points are taken a few at a time, with the same digits."""
    likelihood = BatchedLikelihood.from_workspace(examples.multichannel())
    x = likelihood.init[:, None] * np.linspace(0.9, 1.1, 101)
    observed = likelihood.observe(np.tile(likelihood.observation, (101, 1)))
    whole = likelihood.value(x, observed)
    monkeypatch.setattr("histnu.inference.engine.likelihood._WORK_BYTES", 2e3)
    assert likelihood.value(x, observed) == pytest.approx(whole, rel=1e-14)
