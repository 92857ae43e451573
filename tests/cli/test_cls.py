"""``histnu cls`` against pyhf and counted exactly."""

from __future__ import annotations

import json
import math

import numpy as np
import pyhf
import pytest

from tests.inference import examples


@pytest.fixture
def tight():
    """pyhf with SLSQP to the last digits; its own tolerance leaves CLs off by 1e-4."""
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-14, maxiter=100_000))
    yield
    pyhf.set_backend(backend, optimizer)


def few_events():
    """Fewer events than background: the best fit is below zero, where q and q-tilde differ."""
    document = examples.textbook()
    document["observations"][0]["data"] = [42.0, 45.0]
    return document


def coupled():
    """Two regions, a background shared by both, a signal in one."""
    background, patchset = examples.search()
    return pyhf.PatchSet(patchset).apply(background, "C1N2_200_50")


DOCUMENTS = {"textbook": examples.textbook, "few events": few_events, "coupled": coupled}


@pytest.mark.parametrize("statistic", ["q_tilde", "q"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_value_is_tested_as_by_pyhf(run, tight, tmp_path, name, statistic):
    document = DOCUMENTS[name]()
    measurement = document["measurements"][0]["config"]
    low = 0.0 if statistic == "q_tilde" else -2.0
    measurement["parameters"].append({"name": measurement["poi"], "bounds": [[low, 10.0]]})
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(document))
    words = ("cls", path, "--value", "0.8", "--test-stat", statistic)
    found = json.loads(run(*words, "--json")[1])
    workspace = pyhf.Workspace(document)
    model = workspace.model()
    observed, tails, expected = pyhf.infer.hypotest(
        0.8, workspace.data(model), model, test_stat=statistic.replace("_", ""),
        return_tail_probs=True, return_expected_set=True,
    )  # fmt: skip
    ours = [found["cls"], found["cl_sb"], found["cl_b"], *found["expected"]]
    # JSON has ten digits, SLSQP ends within 1e-12 of the minimum, which moves CLs by 5e-7 at most
    np.testing.assert_allclose(
        ours, np.array([observed, *tails, *expected], dtype=float), rtol=1e-6
    )
    assert (found["kind"], found["statistic"], found["certified"]) == ("test", statistic, True)
    first, second = run(*words)[1].splitlines()
    poi = measurement["poi"]
    assert first.startswith(f"{poi} = 0.8: CLs = {observed:.4g} (CLs+b = {tails[0]:.4g}, CLb = ")
    assert second.startswith(f"expected CLs without a signal: {expected[2]:.4g} (median), [")


def test_the_statistics_differ_below_zero(run, tmp_path):
    """With a best fit below zero q is larger, and the formula of q-tilde is another."""
    documents = []
    for low in (0.0, -2.0):
        document = few_events()
        document["measurements"][0]["config"]["parameters"] = [
            {"name": "mu", "bounds": [[low, 10.0]]}
        ]
        documents.append(tmp_path / f"{low}.json")
        documents[-1].write_text(json.dumps(document))
    bounded = json.loads(run("cls", documents[0], "--json")[1])
    free = json.loads(run("cls", documents[1], "--test-stat", "q", "--json")[1])
    assert free["best_fit"] < 0 == bounded["best_fit"]
    assert free["test_statistic"] > bounded["test_statistic"]
    status, _, err = run("cls", documents[0], "--value", "11")
    assert (status, "mu = 11 is above its bound 10, where no best fit" in err) == (2, True)
    for path, statistic, message in (
        (documents[1], "q_tilde", "q-tilde needs mu bounded at 0, not at -2; set its bounds, or"),
        (documents[0], "q", "q needs mu bounded below 0, not at 0; use q_tilde"),
    ):
        status, out, err = run("cls", path, "--test-stat", statistic)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert message in err


def test_toys_count_exactly(run, tmp_path):
    """No event over 0.5: CLs+b = exp(-mu - 0.5) and CLb = exp(-0.5), CLs = exp(-mu)."""
    sample = {"name": "background", "data": [0.5], "modifiers": []}
    normfactor = {"name": "mu", "type": "normfactor", "data": None}
    signal = {"name": "signal", "data": [1.0], "modifiers": [normfactor]}
    document = examples.workspace({"c": [signal, sample]}, {"c": [0]}, "mu")
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(document))
    words = ("cls", path, "--value", "1.5", "--n-toys", "4000", "--seed", "2", "--json")
    found = json.loads(run(*words)[1])
    want = [math.exp(-2.0), math.exp(-0.5), math.exp(-1.5)]
    got = [found["cl_sb"], found["cl_b"], found["cls"]]
    for value, expected, error in zip(got, want, found["errors"], strict=True):
        assert abs(value - expected) < 4 * error  # four standard errors of a fixed seed
    assert (found["seed"], found["n_toys"], found["method"]) == (2, 4000, "toys")
    assert "4000 toys per hypothesis, seed 2" in run(*words[:-1])[1]


def test_a_moment_is_asked_through_its_square(run, project_root):
    folder = project_root / "workspaces" / "magnetic_moment_xenonnt"
    moment = json.loads(run("cls", folder, "--poi", "mu_e", "--value", "1.2", "--json")[1])
    square = json.loads(run("cls", folder, "--poi", "mu2_e", "--value", "1.44", "--json")[1])
    assert moment["cls"] == pytest.approx(square["cls"], rel=1e-9)
    assert moment["best_fit"] == pytest.approx(square["best_fit"] ** 0.5, abs=1e-9)
    status, _, err = run("cls", folder, "--poi", "mu_e", "--value", "-1.2")
    assert (status, "CLs of mu_e needs tested values above 0" in err) == (2, True)


def test_toys_say_where_the_test_of_one_value_is(run, tmp_path):
    status, _, error = run("toys", tmp_path, "--value", "1.0")
    assert status == 2
    assert error.splitlines()[0].startswith("histnu: error: toys at one value: histnu cls --value")
