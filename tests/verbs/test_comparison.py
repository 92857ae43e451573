"""What differs between two likelihoods or two results."""

from __future__ import annotations

import copy
import json

import pytest

from histnu.core.errors import ConfigError
from histnu.verbs.comparison import compare, compare_results
from histnu.workspace.compare import compare_documents
from tests.inference import examples


def test_order_does_not_matter():
    document = examples.multichannel()
    turned = copy.deepcopy(document)
    turned["channels"].reverse()
    turned["observations"].reverse()
    for channel in turned["channels"]:
        channel["samples"].reverse()
        for sample in channel["samples"]:
            sample["modifiers"].reverse()
    assert compare_documents(document, turned) == []


def test_every_kind_of_difference():
    first = examples.multichannel()
    second = copy.deepcopy(first)
    region = second["channels"][0]
    signal = region["samples"][0]
    signal["data"][1] *= 1.1
    signal["modifiers"].pop()  # lumi
    top = region["samples"][1]
    rate = next(m for m in top["modifiers"] if m["type"] == "normsys")
    rate["data"]["hi"] = 1.2
    second["observations"][0]["data"][0] += 1
    second["channels"].pop()
    second["measurements"][0]["config"]["parameters"][0]["sigmas"] = [0.05]
    found = {d.where: d for d in compare_documents(first, second)}
    region_name = region["name"]
    assert found["channel control"].kind == "only in the first"
    # |10 - 11| / 11
    assert found[f"{region_name}/signal"].largest_relative == pytest.approx(1 / 11)
    assert found[f"{region_name}/signal/lumi (lumi)"].kind == "only in the first"
    change = found[f"{region_name}/top/top_rate (normsys)/hi"]
    assert (change.first, change.second) == ("1.1", "1.2")
    assert found[f"{region_name}/observed"].kind == "changed"
    assert found["measurement measurement/lumi/sigmas"].second == "0.05"
    assert len(found) == 6


def test_tolerance():
    first = examples.textbook()
    second = copy.deepcopy(first)
    second["channels"][0]["samples"][0]["data"][0] *= 1 + 1e-7
    assert compare_documents(first, second, 1e-6) == []
    assert len(compare_documents(first, second, 1e-8)) == 1


def test_rows_of_results_are_compared_by_name():
    first = {"bounds": [{"id": "a", "upper": 1.0}, {"id": "b", "upper": 2.0}]}
    second = {"bounds": [{"id": "b", "upper": 2.5}, {"id": "a", "upper": 1.0}]}
    found = compare_results(first, second)
    assert [(d.where, d.first, d.second) for d in found] == [("bounds/b/upper", "2", "2.5")]


def test_the_same_question_is_asked_of_both(tmp_path):
    document = examples.textbook()
    less = copy.deepcopy(document)
    less["observations"][0]["data"] = [41.0, 38.0]
    for name, content in (("a", document), ("b", less)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    paths = [str(tmp_path / f"{n}.json") for n in "ab"]
    found = compare(*paths)
    assert [d.where for d in found.differences] == ["singlechannel/observed"]
    upper = [a.upper for a in found.answers]
    # the doctest of inference.interval: 0.8122 at 90 %; fewer events, a smaller limit
    assert upper[0] == pytest.approx(0.8122, abs=5e-5)
    assert upper[1] < upper[0]
    missing = compare(*paths, poi="nothing").answers[0]
    assert "unknown 'nothing'" in missing.problem


def test_a_likelihood_and_a_result_are_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(examples.textbook()))
    (tmp_path / "b.json").write_text('{"upper": 1.0}')
    with pytest.raises(ConfigError, match="is no result; compare two of a kind"):
        compare(str(tmp_path / "b.json"), str(tmp_path / "a.json"))
