"""Documents are read as pyhf reads them: the same parameters, and the same refusals."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyhf
import pytest

from histnu.core.errors import FitError, HistnuError, WorkspaceError
from histnu.inference import BatchedLikelihood, fit
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import MinimiseOptions, Problems
from tests.inference import examples

LIKELIHOODS = Path(__file__).resolve().parents[3] / "shared" / "likelihoods"
DOCUMENTS = sorted(LIKELIHOODS.glob("*/*.json"))


def without_unknown_poi(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose measurements have a parameter of interest of their own, or none."""
    names = {m["name"] for c in document["channels"] for s in c["samples"] for m in s["modifiers"]}
    for measurement in document["measurements"]:
        if measurement["config"]["poi"] not in names:
            measurement["config"]["poi"] = ""
    return document


def assert_laid_out_as_pyhf(
    document: dict[str, Any], measurement: str | None = None, valid: bool = False
) -> None:
    """Compare the layout and -2 log L with pyhf's; pyhf looks whether the document is valid."""
    likelihood = BatchedLikelihood.from_workspace(document, measurement)
    workspace = pyhf.Workspace(document, validate=not valid)
    model = workspace.model(measurement_name=measurement, validate=not valid)
    config = model.config
    assert list(likelihood.parameter_names) == config.par_names
    assert likelihood.init.tolist() == config.suggested_init()
    assert likelihood.bounds.tolist() == [list(map(float, b)) for b in config.suggested_bounds()]
    assert likelihood.fixed.tolist() == config.suggested_fixed()
    assert likelihood.poi_index == config.poi_index
    assert likelihood.channels == config.channel_slices
    assert likelihood.auxdata.tolist() == list(map(float, config.auxdata))
    assert likelihood.observation is not None
    assert likelihood.observation.tolist() == workspace.data(model, include_auxdata=False)
    rng = np.random.default_rng(3)
    pars = np.clip(
        likelihood.init + 0.05 * rng.normal(size=len(likelihood.init)) * ~likelihood.fixed,
        likelihood.bounds[:, 0],
        likelihood.bounds[:, 1],
    )
    reference = -2 * float(model.logpdf(pars.tolist(), workspace.data(model))[0])
    # rounding of sums of 1e5 events and their logarithms
    assert likelihood.twice_nll(pars, likelihood.observation)[0] == pytest.approx(
        reference, rel=1e-10
    )


@pytest.mark.parametrize(
    "shape", ["textbook", "multichannel", "correlated", "combined", "binned", "millicharge"]
)
def test_parameters_are_those_of_pyhf(shape: str) -> None:
    document = getattr(examples, shape)()
    assert_laid_out_as_pyhf(document[0] if isinstance(document, tuple) else document)


def test_bins_without_an_uncertainty_have_a_fixed_parameter() -> None:
    """pyhf fixes the parameters per bin whose uncertainty or expected count is zero."""
    document = examples.textbook()
    (signal, background) = document["channels"][0]["samples"]
    background["modifiers"][0]["data"] = [3.0, 0.0]
    signal["modifiers"].append({"name": "mc", "type": "staterror", "data": [0.0, 2.0]})
    assert_laid_out_as_pyhf(document)
    likelihood = BatchedLikelihood.from_workspace(document)
    fixed = dict(zip(likelihood.parameter_names, likelihood.fixed.tolist(), strict=True))
    assert fixed == {
        "mu": False,
        "uncorrelated[0]": False,
        "uncorrelated[1]": True,
        "mc[0]": True,
        "mc[1]": False,
    }


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.skipif(not DOCUMENTS, reason="no published likelihoods here")
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # pyhf divides by nominal yields of zero
def test_parameters_of_published_documents_are_those_of_pyhf(path: Path) -> None:
    document = without_unknown_poi(json.loads(path.read_text()))
    try:
        workspace = pyhf.Workspace(document, validate=False)  # it was, before it was published
        names = workspace.measurement_names
        workspace.model(validate=False).config.suggested_bounds()
    except TypeError:  # a lumi without settings: pyhf has no message for it
        with pytest.raises(WorkspaceError, match="'lumi' needs"):
            BatchedLikelihood.from_workspace(document)
        return
    for name in names:
        assert_laid_out_as_pyhf(document, name, valid=True)


def settings_document() -> dict[str, Any]:
    """Return two channels with every modifier, and settings of each kind of parameter."""
    document = examples.multichannel()
    document["channels"][0]["samples"][0]["modifiers"].append(
        {"name": "free", "type": "shapefactor", "data": None}
    )
    names = {m["name"]: m["type"] for c in document["channels"] for s in c["samples"]
             for m in s["modifiers"]}  # fmt: skip
    config = document["measurements"][0]["config"]
    given = {p["name"] for p in config["parameters"]}
    for name, kind in names.items():
        if name in given:
            continue
        if kind == "normsys":
            config["parameters"].append(
                {"name": name, "inits": [0.3], "bounds": [[-2.0, 2.5]], "auxdata": [0.2]}
            )
        if kind == "normfactor":
            config["parameters"].append({"name": name, "fixed": True, "inits": [1.5]})
    return document


def test_settings_of_parameters_are_taken_as_pyhf_takes_them() -> None:
    document = settings_document()
    assert any(p.get("fixed") for p in document["measurements"][0]["config"]["parameters"])
    assert_laid_out_as_pyhf(document)


def test_a_document_without_a_parameter_of_interest() -> None:
    document = examples.multichannel()
    document["measurements"][0]["config"]["poi"] = ""
    likelihood = BatchedLikelihood.from_workspace(document)
    assert likelihood.poi_index is None
    assert_laid_out_as_pyhf(document)


def _sample(document: dict[str, Any]) -> dict[str, Any]:
    sample: dict[str, Any] = document["channels"][0]["samples"][0]
    return sample


def _add(document: dict[str, Any], kind: str, data: Any, name: str = "new") -> None:
    _sample(document)["modifiers"].append({"name": name, "type": kind, "data": data})


def _config(document: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = document["measurements"][0]["config"]
    return config


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no version": lambda d: d.pop("version"),
    "another version": lambda d: d.update(version="2.0.0"),
    "unknown field": lambda d: d.update(extra=1),
    "no channels": lambda d: d.update(channels=[]),
    "no measurements": lambda d: d.update(measurements=[]),
    "a channel without name": lambda d: d["channels"][0].pop("name"),
    "a name that is a number": lambda d: d["channels"][0].update(name=3),
    "no samples": lambda d: d["channels"][0].update(samples=[]),
    "data as text": lambda d: _sample(d).update(data=["1.0", "2.0"]),
    "data as a number": lambda d: _sample(d).update(data=3.0),
    "too few bins": lambda d: _sample(d).update(data=[1.0]),
    "no modifiers": lambda d: _sample(d).pop("modifiers"),
    "an unknown type": lambda d: _add(d, "magic", None),
    "normsys without hi": lambda d: _add(d, "normsys", {"lo": 0.9}),
    "normsys with more": lambda d: _add(d, "normsys", {"lo": 0.9, "hi": 1.1, "x": 1}),
    "normsys of text": lambda d: _add(d, "normsys", {"lo": "0.9", "hi": 1.1}),
    "histosys of too few bins": lambda d: _add(d, "histosys", {"lo_data": [1.0], "hi_data": [2.0]}),
    "staterror of too few bins": lambda d: _add(d, "staterror", [1.0]),
    "shapesys without data": lambda d: _add(d, "shapesys", None),
    "normfactor with data": lambda d: _add(d, "normfactor", 1.0),
    "lumi of another name": lambda d: _add(d, "lumi", None, "luminosity"),
    "one name, two meanings": lambda d: _add(d, "normsys", {"lo": 0.9, "hi": 1.1}, "mu"),
    "poi of no parameter": lambda d: _config(d).update(poi="nothing"),
    "poi as a number": lambda d: _config(d).update(poi=1),
    "a setting twice": lambda d: _config(d).update(parameters=[{"name": "mu"}] * 2),
    "a setting of wrong length": lambda d: _config(d).update(
        parameters=[{"name": "mu", "inits": [1.0, 2.0]}]
    ),
    "a setting it does not use": lambda d: _config(d).update(
        parameters=[{"name": "mu", "sigmas": [1.0]}]
    ),
    "an unknown setting": lambda d: _config(d).update(parameters=[{"name": "mu", "start": 1}]),
    "fixed as a number": lambda d: _config(d).update(parameters=[{"name": "mu", "fixed": 1}]),
    "no observation": lambda d: d["observations"].pop(),
    "an observation of text": lambda d: d["observations"][0].update(data=["1", "2"]),
    "an observation of too few bins": lambda d: d["observations"][0].update(data=[1.0]),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_pyhf_refuses_is_refused(name: str) -> None:
    document = examples.textbook()
    assert_laid_out_as_pyhf(document)
    document = copy.deepcopy(document)
    BROKEN[name](document)
    with pytest.raises(HistnuError) as caught:
        BatchedLikelihood.from_workspace(document)
    assert "\n" not in str(caught.value)
    with pytest.raises(Exception):  # noqa: B017 (pyhf raises ten different classes, or numpy's)
        workspace = pyhf.Workspace(document)
        model = workspace.model()
        pyhf.infer.mle.twice_nll(model.config.suggested_init(), workspace.data(model), model)


def test_an_unknown_type_is_a_matter_of_the_engine() -> None:
    document = examples.textbook()
    _add(document, "magic", None)
    with pytest.raises(FitError, match="does not support the modifier type 'magic'"):
        BatchedLikelihood.from_workspace(document)


def test_truth_values_are_no_numbers() -> None:
    """Stricter than pyhf, which takes true for 1."""
    document = examples.textbook()
    _sample(document)["data"] = [True, False]
    with pytest.raises(WorkspaceError, match="holds something that is no number"):
        BatchedLikelihood.from_workspace(document)


@pytest.mark.parametrize("what", ["channel", "sample"])
def test_what_appears_twice_is_refused(what: str) -> None:
    """pyhf takes the last of two samples of one name, and no notice of the first."""
    document = examples.textbook()
    where = document["channels"] if what == "channel" else document["channels"][0]["samples"]
    where.append(copy.deepcopy(where[0]))
    with pytest.raises(WorkspaceError, match=f"{what} .* appears twice"):
        BatchedLikelihood.from_workspace(document)


def test_the_caller_may_change_the_document_later() -> None:
    document = examples.textbook()
    likelihood = BatchedLikelihood.from_workspace(document)
    _sample(document)["data"][0] *= 2
    mine = likelihood.expected(likelihood.init)[0]
    np.testing.assert_allclose(
        likelihood.model.expected_data(likelihood.init, include_auxdata=False), mine, rtol=1e-14
    )


@pytest.mark.slow
def test_reading_a_document_starts_no_pyhf() -> None:
    """The four seconds of pyhf's import are spent only where pyhf is asked for."""
    import subprocess
    import sys

    program = (
        "import sys\n"
        "from tests.inference.examples import textbook\n"
        "from histnu.inference.engine.likelihood import BatchedLikelihood\n"
        "BatchedLikelihood.from_workspace(textbook())\n"
        "print(any(m.split('.')[0] in ('pyhf', 'jsonschema') for m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.strip() == "False", done.stderr


def test_many_events_do_not_stop_a_fit() -> None:
    """-2 log L of 40 bins of 5e5 events is precise to 1e-10; as a sum of terms of 6e6, to 1e-8."""
    document = examples.binned(40, 12)
    for channel in document["channels"]:
        for sample in channel["samples"]:
            sample["data"] = [300 * x for x in sample["data"]]
            for modifier in sample["modifiers"]:
                if modifier["type"] == "histosys":
                    for key in ("lo_data", "hi_data"):
                        modifier["data"][key] = [300 * x for x in modifier["data"][key]]
    likelihood = BatchedLikelihood.from_workspace(document)
    rng = np.random.default_rng(5)
    counts = rng.poisson(likelihood.expected(likelihood.init)[0]).astype(float)
    observed = likelihood.observe(counts)
    best = fit(likelihood, observed)
    assert best.converged.all() and not best.migrad.any()
    x = best.parameters.T.copy()
    at = likelihood.derivatives(x, observed)
    step = 1e-6 / np.sqrt(np.abs(np.diagonal(at.hessian[..., 0])))
    for i in np.flatnonzero(~likelihood.fixed):
        up, down = x.copy(), x.copy()
        up[i] += 1e3 * step[i]
        down[i] -= 1e3 * step[i]
        rise = likelihood.value(up, observed) + likelihood.value(down, observed) - 2 * at.value
        # a thousandth of a standard deviation costs 1e-6 twice over; rounding is the rest
        assert rise[0] == pytest.approx(1e-6 * at.hessian[i, i, 0] / abs(at.hessian[i, i, 0]),
                                        abs=2e-9)  # fmt: skip


def test_memory_of_a_batch_is_bounded_by_an_option() -> None:
    """With room for one problem the fits go one by one and end in the same minima."""
    likelihood = BatchedLikelihood.from_workspace(examples.multichannel())
    sizes: list[int] = []

    class Counting(BatchedLikelihood):
        def derivatives(self, pars: Any, observed: Any, information: Any = None) -> Any:
            sizes.append(pars.shape[1])
            return super().derivatives(pars, observed, information)

    counting = Counting(likelihood.compiled)
    counting.floats_per_point = (
        1_000_000  # 16 MB per point with its step, as a document of 500 parameters
    )
    rng = np.random.default_rng(4)
    data = rng.poisson(likelihood.expected(likelihood.init)[0], (9, likelihood.n_bins))
    observed = likelihood.observe(data.astype(float))
    problems = Problems.make(likelihood, 9)
    found = {}
    for memory, largest in ((1.0, 1), (64.0, 4)):
        sizes.clear()
        found[memory] = minimise(
            counting, observed, problems, MinimiseOptions(memory_mb=memory)
        ).twice_nll
        assert max(sizes) == largest
    # both are within the tolerance of the expected distance to the minimum
    np.testing.assert_allclose(found[1.0], found[64.0], atol=1e-8)
