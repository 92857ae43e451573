"""HS3 documents: structure here, numbers against pyhs3 in ``tests/interop``."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from histnu.core.errors import ExportError
from histnu.core.serialize import read_json
from histnu.export.hs3 import hs3_document, write_hs3


def test_document_is_complete(workspace, manifest):
    document = hs3_document(workspace, manifest)
    assert document["metadata"]["hs3_version"] == "0.2"
    named = {key: [x["name"] for x in document[key]] for key in document if key != "metadata"}
    assert named["distributions"] == ["model_xenonnt_sr01", "model_pandax4t_us2"]
    likelihood = document["likelihoods"][0]
    assert likelihood["distributions"] == named["distributions"]
    assert likelihood["data"] == named["data"]
    for analysis in document["analyses"]:
        assert set(analysis["domains"]) <= set(named["domains"])
        assert analysis["init"] in named["parameter_points"]
    assert document["distributions"][1]["axes"] == [
        {"name": "obs_pandax4t_us2", "edges": [4.0, 5.0, 6.0, 7.0, 8.0]}
    ]


def test_every_parameter_has_bounds_and_a_start(workspace):
    import pyhf

    document = hs3_document(workspace)
    model = pyhf.Workspace(workspace).model(measurement_name="mu2_e")
    bounds = map(tuple, model.config.suggested_bounds())
    expected = dict(zip(model.config.par_names, bounds, strict=True))
    domain = next(d for d in document["domains"] if d["name"] == "domain_mu2_e")
    assert {a["name"]: (a["min"], a["max"]) for a in domain["axes"]} == expected
    point = next(p for p in document["parameter_points"] if p["name"] == "start_mu2_e")
    constant = {p["name"] for p in point["parameters"] if p["const"]}
    assert constant == {"mu2_mu", "mu2_tau", "mu2_universal"}


def test_interpolation_is_stated(workspace):
    document = hs3_document(workspace)
    found = {
        (m["type"], m["data"]["interpolation"])
        for d in document["distributions"]
        for s in d["samples"]
        for m in s["modifiers"]
        if "data" in m
    }
    assert found == {("normsys", "code4"), ("histosys", "code4p")}


def test_parameters_per_bin(workspace):
    document = copy.deepcopy(workspace)
    sample = document["channels"][0]["samples"][0]
    sample["modifiers"] += [
        {"name": "mc", "type": "staterror", "data": [0.1, 0.2, 0.3]},
        {"name": "poisson", "type": "shapesys", "data": [0.1, 0.2, 0.3]},
        {"name": "free", "type": "shapefactor", "data": None},
    ]
    written = hs3_document(document)["distributions"][0]["samples"][0]
    assert written["data"]["errors"] == [0.1, 0.2, 0.3]
    modifiers = {m["name"]: m for m in written["modifiers"]}
    assert modifiers["mc"]["parameters"] == ["mc_bin_0", "mc_bin_1", "mc_bin_2"]
    assert modifiers["mc"]["constraint"] == "Gauss"
    assert modifiers["poisson"]["data"] == {"vals": [0.1, 0.2, 0.3]}
    assert "constraint" not in modifiers["free"]


def test_lumi_is_refused(workspace):
    document = copy.deepcopy(workspace)
    lumi = {"name": "lumi", "type": "lumi", "data": None}
    document["channels"][0]["samples"][0]["modifiers"].append(lumi)
    with pytest.raises(ExportError, match="xenonnt_sr01/cevns: HS3 has no lumi modifier"):
        hs3_document(document)


def test_bytes_are_the_same_twice(workspace, manifest, tmp_path):
    first = write_hs3(workspace, tmp_path / "a.json", manifest)
    second = write_hs3(workspace, tmp_path / "b.json", manifest)
    assert first.read_bytes() == second.read_bytes()
    assert read_json(first)["analyses"][0]["parameters_of_interest"] == ["mu2_e"]


def test_up_is_up(workspace):
    """``hi`` is what pyhf predicts at +1, ``lo`` at -1, for every parameter of every sample."""
    import pyhf

    model = pyhf.Workspace(workspace).model()
    start = np.array(model.config.suggested_init())
    checked = set()
    for number, channel in enumerate(hs3_document(workspace)["distributions"]):
        name = workspace["channels"][number]["name"]
        order = model.config.samples
        bins = model.config.channel_slices[name]
        for sample in channel["samples"]:
            row = order.index(sample["name"])

            def rates(parameter, value, row=row, bins=bins):
                pars = start.copy()
                pars[[n.startswith("mu2_") for n in model.config.par_names]] = 1.0
                pars[model.config.par_map[parameter]["slice"]] = value
                return np.asarray(model.main_model.expected_data(pars, return_by_sample=True))[
                    row, bins
                ]

            for m in sample["modifiers"]:
                if m["type"] not in {"normsys", "histosys"}:
                    continue
                nominal = rates(m["parameter"], 0.0)
                for key, value in (("hi", 1.0), ("lo", -1.0)):
                    side = m["data"][key]
                    predicted = rates(m["parameter"], value)
                    assert not np.allclose(predicted, nominal, rtol=1e-3)
                    if m["type"] == "normsys":
                        expected = side * nominal
                    else:  # factors of other modifiers are one here
                        expected = np.asarray(side["contents"])
                    assert predicted == pytest.approx(expected, rel=1e-9)
                    checked.add((m["type"], key))
    assert checked == {(t, k) for t in ("normsys", "histosys") for k in ("hi", "lo")}
