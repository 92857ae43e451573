"""The linter: ours are clean, and each published trap is found with its place and mend."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.analysis.validation import check_file
from histnu.cli.validate import command
from histnu.core.errors import DataError
from histnu.core.serialize import write_json
from histnu.physics.models.millicharge import Millicharge
from histnu.physics.models.protocol import linear
from histnu.workspace import rates
from histnu.workspace.checks import check_workspace
from histnu.workspace.digests import document_digests
from histnu.workspace.findings import SEVERITIES, pointer
from histnu.workspace.grids import make_grid
from histnu.workspace.patchset import Basis, PatchSetInfo, build_patchset
from histnu.workspace.patchset_checks import check_document, check_patchset


def published():
    """A background-only document in the style of HEPData: two regions, several modifier types."""
    normsys = {"name": "jes", "type": "normsys", "data": {"hi": 1.05, "lo": 0.95}}
    histosys = {"name": "jes", "type": "histosys"}
    return {
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {
                        "name": "ttbar",
                        "data": [12.0, 5.0],
                        "modifiers": [
                            {"name": "mu_ttbar", "type": "normfactor", "data": None},
                            {"name": "lumi", "type": "lumi", "data": None},
                            {"name": "staterror_SR", "type": "staterror", "data": [1.0, 0.5]},
                            normsys,
                            {**histosys, "data": {"hi_data": [12.5, 5.1], "lo_data": [11.5, 4.9]}},
                        ],
                    },
                    {
                        "name": "fakes",
                        "data": [2.0, 1.0],
                        "modifiers": [{"name": "fakes_SR", "type": "shapesys", "data": [0.5, 0.3]}],
                    },
                ],
            },
            {
                "name": "CR",
                "samples": [
                    {
                        "name": "ttbar",
                        "data": [200.0],
                        "modifiers": [
                            {"name": "mu_ttbar", "type": "normfactor", "data": None},
                            {"name": "lumi", "type": "lumi", "data": None},
                            copy.deepcopy(normsys),
                        ],
                    },
                    {"name": "other", "data": [10.0], "modifiers": []},
                ],
            },
        ],
        "observations": [{"name": "SR", "data": [14.0, 7.0]}, {"name": "CR", "data": [205.0]}],
        "measurements": [
            {
                "name": "NormalMeasurement",
                "config": {
                    "poi": "mu_SIG",
                    "parameters": [
                        {
                            "name": "lumi",
                            "auxdata": [1.0],
                            "sigmas": [0.017],
                            "bounds": [[0.915, 1.085]],
                            "inits": [1.0],
                        },
                        {"name": "mu_ttbar", "bounds": [[0.0, 5.0]], "inits": [1.0]},
                    ],
                },
            }
        ],
        "version": "1.0.0",
    }


def signal_patch(name, values, scale=1.0):
    """A patch in the style of HEPData: the signal region only."""
    modifiers = [
        {"name": "mu_SIG", "type": "normfactor", "data": None},
        {"name": "lumi", "type": "lumi", "data": None},
    ]
    sample = {"name": "signal", "data": [3.0 * scale, 2.0 * scale], "modifiers": modifiers}
    operations = [{"op": "add", "path": "/channels/0/samples/2", "value": sample}]
    return {"metadata": {"name": name, "values": values}, "patch": operations}


def published_set():
    """A PatchSet for it, as on HEPData (no units: the schema has no place for them)."""
    return {
        "metadata": {
            "references": {"hepdata": "ins1234567"},
            "description": "a simplified model",
            "digests": document_digests(published()),
            "labels": ["mass"],
        },
        "patches": [signal_patch("m_100", [100.0]), signal_patch("m_200", [200.0], 0.5)],
        "version": "1.0.0",
    }


def severe(found):
    return [f for f in found if f.severity != "info"]


def test_a_published_document_is_clean():
    found = check_workspace(published())
    assert severe(found) == []
    assert [f.check for f in found] == ["poi"]
    assert "background-only until patched" in found[0].problem


def test_a_published_set_is_clean_and_asked_for_units():
    found = check_patchset(published_set(), published())
    assert severe(found) == []
    assert [(f.check, f.problem) for f in found] == [("units", "no units are stated for mass")]


def test_our_patchset_is_clean(tmp_path):
    assembly = assemble(load_analysis("millicharge_combined"))
    basis = Basis(assembly.workspace, assembly.polynomial)
    axes = [(p, linear(-10.0, 10.0, 7)) for p in ("q_ee", "q_emu")]
    grid = make_grid(Millicharge(), "plane", axes)
    build_patchset(tmp_path, grid, basis, PatchSetInfo("n", "d"))
    assert severe(check_file(tmp_path / "patchset.json")) == []
    assert severe(check_file(tmp_path / "workspace.json")) == []


def sample(document, channel=0, index=0):
    return document["channels"][channel]["samples"][index]


def modifier(document, index, channel=0, which=0):
    return sample(document, channel, which)["modifiers"][index]


def add(document, **entry):
    sample(document)["modifiers"].append({"data": None, **entry})


CASES = {
    "normsys zero": (
        lambda d: modifier(d, 3)["data"].update(lo=0.0),
        ("error", "normsys", "/channels/0/samples/0/modifiers/3/data/lo", "has no logarithm"),
    ),
    "nan": (
        lambda d: sample(d)["data"].__setitem__(1, float("nan")),
        ("error", "finite", "/channels/0/samples/0/data/1", "nan is not finite"),
    ),
    "infinity": (
        lambda d: d["observations"][0]["data"].__setitem__(0, float("inf")),
        ("error", "finite", "/observations/0/data/0", "inf is not finite"),
    ),
    "duplicate": (
        lambda d: add(d, name="jes", type="normsys", data={"hi": 1.2, "lo": 0.8}),
        ("error", "duplicates", "/channels/0/samples/0/modifiers/5", "keeps only one"),
    ),
    "staterror on a negative bin": (
        lambda d: sample(d)["data"].__setitem__(1, -0.5),
        ("warning", "staterror", "/channels/0/samples/0/modifiers/2/data/1", "freezes it"),
    ),
    "negative uncertainty": (
        lambda d: modifier(d, 0, which=1)["data"].__setitem__(0, -0.5),
        ("error", "shapesys", "/channels/0/samples/1/modifiers/0/data/0", "is negative"),
    ),
    "shapesys without events": (
        lambda d: sample(d, 0, 1)["data"].__setitem__(0, 0.0),
        ("warning", "shapesys", "/channels/0/samples/1/modifiers/0/data/0", "has no effect"),
    ),
    "normfactor and normsys": (
        lambda d: add(d, name="mu_ttbar", type="normsys", data={"hi": 1.2, "lo": 0.8}),
        ("error", "shared_names", "/channels/0/samples/0/modifiers/5", "free normalisation"),
    ),
    "staterror name of a normsys": (
        lambda d: modifier(d, 2).update(name="jes"),
        ("error", "shared_names", "/channels/0/samples/0/modifiers/3", "and a Gaussian nuisance"),
    ),
    "shared shapesys": (
        lambda d: add(d, name="fakes_SR", type="shapesys", data=[0.5, 0.3]),
        ("error", "shared_names", "/channels/0/samples/1/modifiers/0", "shared by 2 samples"),
    ),
    "staterror across channels": (
        lambda d: sample(d, 1)["modifiers"].append(
            {"name": "staterror_SR", "type": "staterror", "data": [1.0]}
        ),
        ("error", "shared_names", "/channels/1/samples/0/modifiers/3", "[1, 2] bins"),
    ),
    "integers": (
        lambda d: d["observations"][0].update(data=[14, 7]),
        ("warning", "integers", "/observations/0/data/0", "2 integers"),
    ),
    "no observation": (
        lambda d: d["observations"].pop(),
        ("error", "observations", "/channels/1", "'CR' has no observation"),
    ),
    "observation of nothing": (
        lambda d: d["observations"][1].update(name="VR"),
        ("warning", "observations", "/observations/1/name", "'VR' is no channel"),
    ),
    "too many counts": (
        lambda d: d["observations"][1]["data"].append(1.0),
        ("error", "observations", "/observations/1/data", "2 counts, channel 'CR' has 1 bins"),
    ),
    "negative count": (
        lambda d: d["observations"][1]["data"].__setitem__(0, -1.0),
        ("error", "observations", "/observations/1/data/0", "-1.0 is negative"),
    ),
    "short sample": (
        lambda d: sample(d, 0, 1)["data"].pop(),
        ("error", "lengths", "/channels/0/samples/1/data", "1 bins"),
    ),
    "long modifier": (
        lambda d: modifier(d, 4)["data"]["hi_data"].append(1.0),
        ("error", "lengths", "/channels/0/samples/0/modifiers/4/data/hi_data", "3 values"),
    ),
    "two channels of one name": (
        lambda d: d["channels"][1].update(name="SR"),
        ("error", "names", "/channels/1/name", "'SR' is used twice"),
    ),
    "two samples of one name": (
        lambda d: sample(d, 0, 1).update(name="ttbar"),
        ("error", "names", "/channels/0/samples/1/name", "'ttbar' is used twice"),
    ),
    "setting twice": (
        lambda d: d["measurements"][0]["config"]["parameters"].append({"name": "mu_ttbar"}),
        ("error", "settings", "/measurements/0/config/parameters/2/name", "is set twice"),
    ),
    "setting of nothing": (
        lambda d: d["measurements"][0]["config"]["parameters"].append({"name": "mu_tt"}),
        ("info", "settings", "/measurements/0/config/parameters/2/name", "pyhf ignores it"),
    ),
    "bounds backwards": (
        lambda d: d["measurements"][0]["config"]["parameters"][1].update(bounds=[[5.0, 0.0]]),
        ("error", "settings", "/measurements/0/config/parameters/1/bounds/0", "not [lower"),
    ),
    "start outside": (
        lambda d: d["measurements"][0]["config"]["parameters"][1].update(inits=[6.0]),
        ("error", "settings", "/measurements/0/config/parameters/1/inits/0", "outside"),
    ),
    "lumi without auxdata": (
        lambda d: d["measurements"][0]["config"]["parameters"].pop(0),
        ("error", "lumi", "/measurements/0/config/parameters", "no auxdata"),
    ),
    "lumi without bounds": (
        lambda d: d["measurements"][0]["config"]["parameters"][0].pop("bounds"),
        ("error", "lumi", "/measurements/0/config/parameters/0", "has no bounds"),
    ),
    "two starts of one parameter": (
        lambda d: d["measurements"][0]["config"]["parameters"][1].update(inits=[1.0, 1.0]),
        ("error", "settings", "/measurements/0/config/parameters/1/inits", "2 inits"),
    ),
    "two bounds of one parameter": (
        lambda d: d["measurements"][0]["config"]["parameters"][1].update(bounds=[[0.0, 5.0]] * 2),
        ("error", "settings", "/measurements/0/config/parameters/1/bounds", "2 bounds"),
    ),
    "sigma of zero": (
        lambda d: d["measurements"][0]["config"]["parameters"][0].update(sigmas=[0.0]),
        ("error", "settings", "/measurements/0/config/parameters/0/sigmas/0", "constrains nothing"),
    ),
    "sigma below zero": (
        lambda d: d["measurements"][0]["config"]["parameters"][0].update(sigmas=[-0.1]),
        ("error", "settings", "/measurements/0/config/parameters/0/sigmas/0", "sigma -0.1"),
    ),
    "nan bounds": (
        lambda d: d["measurements"][0]["config"]["parameters"][1].update(
            bounds=[[float("nan"), 5.0]]
        ),
        ("error", "finite", "/measurements/0/config/parameters/1/bounds/0/0", "not finite"),
    ),
    "signal of zero": (
        lambda d: (
            d["measurements"][0]["config"].update(poi="mu_SIG"),
            d["channels"][0]["samples"].append(
                {
                    "name": "signal",
                    "data": [0.0, 0.0],
                    "modifiers": [{"name": "mu_SIG", "type": "normfactor", "data": None}],
                }
            ),
        ),
        ("error", "signal", "/measurements/0/config/poi", "zero in every bin"),
    ),
    "absurd count": (
        lambda d: d["observations"][0]["data"].__setitem__(0, 1e300),
        ("error", "magnitude", "/observations/0/data/0", "1e+300 is no number of events"),
    ),
    "absurd template": (
        lambda d: sample(d)["data"].__setitem__(0, -1e300),
        ("error", "magnitude", "/channels/0/samples/0/data/0", "-1e+300"),
    ),
    "negative background": (
        lambda d: sample(d, 0, 1).update(data=[-3.0, 1.0], modifiers=[]),
        ("warning", "negative", "/channels/0/samples/1/data", "'fakes' expects -2 events"),
    ),
    "negative background that nothing outweighs": (
        lambda d: (
            sample(d)["modifiers"].clear(),
            sample(d, 0, 1).update(data=[-13.0, 1.0], modifiers=[]),
        ),
        ("error", "negative", "/channels/0", "bin 0 of 'SR' expects less than 0 events whatever"),
    ),
    "fractional count": (
        lambda d: d["observations"][0]["data"].__setitem__(1, 7.5),
        ("warning", "observations", "/observations/0/data/1", "7.5 is no count"),
    ),
    "constrained parameter of interest": (
        lambda d: d["measurements"][0]["config"].update(poi="jes"),
        ("warning", "poi", "/measurements/0/config/poi", "is a Gaussian nuisance"),
    ),
    "empty bin with an event": (
        lambda d: sample(d, 1).update(data=[0.0]) or sample(d, 1, 1).update(data=[0.0]),
        ("error", "rates", "/channels/1", "expects 0 events, 205 are observed"),
    ),
    "negative inside the bounds": (
        lambda d: modifier(d, 4)["data"].update(hi_data=[12.5, 9.0], lo_data=[11.5, 1.0]),
        ("warning", "rates", "/channels/0", "bin 1 of 'SR' reaches"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_workspace_traps(case):
    change, (severity, check, path, problem) = CASES[case]
    document = published()
    change(document)
    found = check_workspace(document)
    match = [f for f in found if (f.severity, f.check, f.path) == (severity, check, path)]
    assert match, [str(f) for f in found]
    assert problem in match[0].problem
    assert match[0].mend
    ranks = [SEVERITIES.index(f.severity) for f in found]
    assert ranks == sorted(ranks)


def evaluated(document):
    """log L of pyhf with every jes at half a standard deviation."""
    import pyhf

    workspace = pyhf.Workspace(document)
    with np.errstate(all="ignore"):
        model = workspace.model(poi_name=None)
        point = np.array(model.config.suggested_init())
        point[model.config.par_slice("jes")] = 0.5
        return model.logpdf(point.tolist(), workspace.data(model))[0]


def test_traps_are_real():
    """What the linter calls an error is wrong in pyhf: NaN, a dropped term, or an exception."""
    import pyhf

    documents = {}
    for case in ("normsys zero", "duplicate", "nan", "normfactor and normsys"):
        documents[case] = published()
        CASES[case][0](documents[case])
    assert np.isnan(evaluated(documents["normsys zero"]))
    assert np.isnan(evaluated(documents["nan"]))
    both = published()
    modifier(both, 3)["data"].update(hi=1.05 * 1.2, lo=0.95 * 0.8)
    assert evaluated(documents["duplicate"]) != pytest.approx(evaluated(both)), "one is dropped"
    with pytest.raises(pyhf.exceptions.InvalidNameReuse):
        evaluated(documents["normfactor and normsys"])


def test_lowest_rate_is_what_pyhf_computes():
    """The witness is a point inside the bounds at which pyhf predicts the same rate."""
    import pyhf

    document = published()
    CASES["negative inside the bounds"][0](document)
    ranges = rates.parameter_ranges(document, document["measurements"][0])
    low = rates.lowest_rates(document["channels"][0], ranges)
    assert [x.bin for x in low] == [1]
    model = pyhf.Workspace(document).model(poi_name=None)
    parameters = np.array(model.config.suggested_init())
    for name in model.config.par_order:
        if name in low[0].parameters:
            parameters[model.config.par_slice(name)] = low[0].parameters[name]
    expected = model.expected_actualdata(parameters)
    assert expected[model.config.channel_slices["SR"]][1] == pytest.approx(low[0].lowest, rel=1e-9)
    assert low[0].lowest < 0 < low[0].total


@pytest.mark.parametrize("alpha", [-3.0, -1.0, -0.4, 0.0, 0.7, 1.0, 2.5])
def test_histosys_shift_is_code4p(alpha):
    import pyhf

    nominal, low, high = np.array([10.0, 4.0]), np.array([8.0, 4.5]), np.array([11.0, 5.0])
    code = pyhf.interpolators.code4p([[[low, nominal, high]]], subscribe=False)
    expected = np.array(code(np.array([[alpha]])))[0, 0, 0]
    got = rates.histosys_shift(nominal, low, high, alpha)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_interference_with_a_free_sign_is_found():
    """Linear and squared strengths that float independently can make the total negative."""
    document = assemble(load_analysis("millicharge_xenonnt")).workspace
    document = copy.deepcopy(document)
    for setting in document["measurements"][0]["config"]["parameters"]:
        setting.pop("fixed", None)
    found = [f for f in check_workspace(document) if f.check == "rates"]
    assert found
    assert "q_lin_" in found[0].problem
    assert found[0].problem.count("=") == 1, "one parameter is enough: the point is a simple one"


def test_schema_fault_has_a_place():
    document = published()
    document["channels"][0]["samples"][0]["colour"] = "red"
    found = check_workspace(document)
    assert found[0].check == "schema"
    assert found[0].path.startswith("/channels/0")
    assert "colour" in found[0].problem


SET_CASES = {
    "unknown digest": (
        lambda d: d["metadata"].update(digests={"crc32": "00"}),
        ("error", "digests", "/metadata/digests/crc32", "unknown digest algorithm"),
    ),
    "wrong digest": (
        lambda d: d["metadata"]["digests"].update(md5="0" * 32),
        ("error", "digests", "/metadata/digests/md5", "the workspace has"),
    ),
    "patch called name": (
        lambda d: d["patches"][0]["metadata"].update(name="name"),
        ("error", "patch_names", "/patches/0/metadata/name", "rejects a patch called 'name'"),
    ),
    "patch called values": (
        lambda d: d["patches"][1]["metadata"].update(name="values"),
        ("error", "patch_names", "/patches/1/metadata/name", "rejects a patch called 'values'"),
    ),
    "two patches of one name": (
        lambda d: d["patches"][1]["metadata"].update(name="m_100"),
        ("error", "patch_names", "/patches/1/metadata/name", "is used twice"),
    ),
    "the same point twice": (
        lambda d: d["patches"][1]["metadata"].update(values=[100.0]),
        ("error", "patch_values", "/patches/1/metadata/values", "appears twice"),
    ),
    "wrong number of values": (
        lambda d: d["patches"][1]["metadata"].update(values=[100.0, 1.0]),
        ("error", "patch_values", "/patches/1/metadata/values", "2 values for 1 labels"),
    ),
    "rounding noise": (
        lambda d: d["patches"][1]["metadata"].update(values=[3 * 0.1]),
        ("warning", "patch_values", "/patches/1/metadata/values", "rounding noise"),
    ),
    "missing channel": (
        lambda d: d["patches"][0]["patch"][0].update(path="/channels/5/samples/0"),
        ("error", "patch_channels", "/patches/0/patch/0", "channel 5 does not exist"),
    ),
    "patch without the others' channel": (
        lambda d: (
            d["patches"].append(signal_patch("m_300", [300.0]))
            or d["patches"][0]["patch"][0].update(path="/channels/1/samples/2")
        ),
        ("warning", "patch_channels", "/patches/0/patch", "touches no sample of channel 0"),
    ),
    "empty patch": (
        lambda d: d["patches"][0].update(patch=[]),
        ("error", "patch_channels", "/patches/0/patch", "is empty"),
    ),
    "zero signal": (
        lambda d: d["patches"][0]["patch"][0]["value"].update(data=[0.0, 0.0]),
        ("info", "patch_signal", "/patches/0/patch/0/value", "zero in every bin"),
    ),
    "illegal factor in a patch": (
        lambda d: d["patches"][0]["patch"][0]["value"]["modifiers"].append(
            {"name": "x", "type": "normsys", "data": {"hi": 2.0, "lo": -1.0}}
        ),
        ("error", "normsys", "/patches/0/patch/0/value/modifiers/2/data/lo", "no logarithm"),
    ),
    "clash after patching": (
        lambda d: d["patches"][1]["patch"][0]["value"]["modifiers"].append(
            {"name": "mu_ttbar", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
        ),
        ("error", "shared_names", "/patches/1", "with patch m_200: /channels/0"),
    ),
    "record": (
        lambda d: d["metadata"].update(references={"hepdata": "2408.02877"}),
        ("error", "schema", "/metadata/references/hepdata", "2408.02877"),
    ),
    "nan": (
        lambda d: d["patches"][0]["patch"][0]["value"].update(data=[float("nan"), 1.0]),
        ("error", "finite", "/patches/0/patch/0/value/data/0", "nan"),
    ),
    "version": (
        lambda d: d.update(version="0.9.0"),
        ("error", "schema", "/version", "1.0.0"),
    ),
}


@pytest.mark.parametrize("case", SET_CASES)
def test_patchset_traps(case):
    change, (severity, check, path, problem) = SET_CASES[case]
    document = published_set()
    change(document)
    found = check_patchset(document, published())
    match = [f for f in found if (f.severity, f.check, f.path) == (severity, check, path)]
    assert match, [str(f) for f in found]
    assert problem in match[0].problem


def test_integers_change_the_digest():
    """A background re-written with integers fails, and the linter says why."""
    background = published()
    background["observations"][0]["data"] = [14, 7]
    assert any(f.check == "digests" for f in check_patchset(published_set(), background))
    assert any(f.check == "integers" for f in check_workspace(background))


def test_neither_workspace_nor_patchset(tmp_path):
    with pytest.raises(DataError, match="neither channels nor patches"):
        check_document({"a": 1})
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(DataError, match="neither a workspace nor a PatchSet"):
        check_file(tmp_path / "a.json")
    for name in ("b.json", "b.yaml"):
        with pytest.raises(DataError, match=rf"{name}: does not exist"):
            check_file(tmp_path / name)


def test_pointer_escapes():
    assert pointer("a/b", "c~d", 0) == "/a~1b/c~0d/0"


def test_yaml_files_are_checked(tmp_path, project_root):
    good = project_root / "histnu/data/experiments/xenonnt_sr01/experiment.yaml"
    assert check_file(good) == []
    bad = tmp_path / "experiment.yaml"
    bad.write_text("schema: histnu-experiment/1\nname: x\n")
    found = check_file(bad)
    assert found[0].severity == "error"
    assert "channels" in found[0].problem
    analysis = tmp_path / "analysis.yaml"
    analysis.write_text(
        "schema: histnu-analysis/1\nname: a\ntitle: t\nexperiments: [xenonnt_sr02]\n"
        "model: {name: magnetic_moment}\n"
    )
    assert "xenonnt_sr02" in check_file(analysis)[0].problem


def test_command(tmp_path):
    runner = CliRunner()
    write_json(tmp_path / "good.json", published())
    done = runner.invoke(command, [str(tmp_path / "good.json")], standalone_mode=False)
    assert done.return_value == 0
    assert done.output.endswith("0 errors, 0 warnings\n")
    document = published()
    CASES["normsys zero"][0](document)
    write_json(tmp_path / "bad.json", document)
    done = runner.invoke(command, [str(tmp_path / "bad.json"), "--json"], standalone_mode=False)
    assert done.return_value == 2
    report = json.loads(done.output)
    assert report["errors"] == 1
    assert report["findings"][0]["path"] == "/channels/0/samples/0/modifiers/3/data/lo"


def test_strict_and_background_options(tmp_path):
    runner = CliRunner()
    document = published()
    CASES["integers"][0](document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    for options, status in (([], 0), (["--strict"], 1)):
        arguments = [str(tmp_path / "a.json"), *options]
        assert runner.invoke(command, arguments, standalone_mode=False).return_value == status
    write_json(tmp_path / "set.json", published_set())
    arguments = [str(tmp_path / "set.json"), "--background", str(tmp_path / "a.json")]
    done = runner.invoke(command, arguments, standalone_mode=False)
    assert done.return_value == 2
    assert "the workspace has" in done.output


def test_exit_status_of_the_program(tmp_path):
    code = "from histnu.cli.main import main; import sys; main(sys.argv[1:])"
    arguments = [sys.executable, "-c", code, "validate", str(tmp_path / "missing.json")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "missing.json" in done.stderr
    assert done.stderr.count("\n") == 1
