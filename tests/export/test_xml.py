"""HistFactory XML + ROOT and back: the same likelihood."""

from __future__ import annotations

import copy
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.core.errors import ExportError
from histnu.export.xml import TOP, read_xml, write_xml


def log_likelihoods(first, second, measurement, n_points=5):
    """log L of two documents at the same random points, matched by parameter name."""
    import pyhf

    rng = np.random.default_rng(7)
    workspaces = [pyhf.Workspace(w) for w in (first, second)]
    models = [w.model(measurement_name=measurement) for w in workspaces]
    data = [w.data(m) for w, m in zip(workspaces, models, strict=True)]
    names = models[0].config.par_names
    assert set(names) == set(models[1].config.par_names)
    low, high = np.array(models[0].config.suggested_bounds()).T
    found = []
    for _ in range(n_points):
        start = np.array(models[0].config.suggested_init())
        point = np.clip(start + 0.5 * rng.normal(size=len(names)), low, np.minimum(high, 5.0))
        values = dict(zip(names, point, strict=True))
        row = []
        for model, d in zip(models, data, strict=True):
            row.append(model.logpdf([values[n] for n in model.config.par_names], d)[0])
        found.append(row)
    return np.array(found).T


@pytest.mark.parametrize(
    "interpolation", ["normsys", pytest.param("linear", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "name",
    [pytest.param("magnetic_moment_combined", marks=pytest.mark.slow), "millicharge_xenonnt"],
)
def test_round_trip_is_the_same_likelihood(name, interpolation, tmp_path):
    """Required: 1e-10. ROOT files hold doubles, so nothing is lost at all."""
    analysis = load_analysis(name).model_copy(update={"interpolation": interpolation})
    document = assemble(analysis).workspace
    back = read_xml(write_xml(document, tmp_path / "xml"))
    for measurement in document["measurements"]:
        ours, theirs = log_likelihoods(document, back, measurement["name"])
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-10)


def test_settings_survive(workspace, tmp_path):
    import pyhf

    back = read_xml(write_xml(workspace, tmp_path / "xml"))
    one, two = (pyhf.Workspace(w).model(measurement_name="mu2_e") for w in (workspace, back))
    assert one.config.suggested_bounds() == two.config.suggested_bounds()
    assert one.config.suggested_fixed() == two.config.suggested_fixed()
    assert one.config.suggested_init() == two.config.suggested_init()


def test_without_settings_only_the_lumi_is_dropped(workspace, tmp_path):
    """The converter gives every measurement a lumi; documents of others have no settings.json."""
    folder = write_xml(workspace, tmp_path / "xml")
    (folder / "settings.json").unlink()
    back = read_xml(folder / TOP)
    for measurement in back["measurements"]:
        assert "lumi" not in [p["name"] for p in measurement["config"]["parameters"]]
    ours, theirs = log_likelihoods(workspace, back, "mu2_universal")
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-10)


def test_a_used_lumi_is_kept(tmp_path):
    document = {
        "channels": [
            {
                "name": "SR",
                "samples": [
                    {
                        "name": "s",
                        "data": [5.0, 6.0],
                        "modifiers": [
                            {"name": "mu", "type": "normfactor", "data": None},
                            {"name": "lumi", "type": "lumi", "data": None},
                        ],
                    },
                    {
                        "name": "b",
                        "data": [50.0, 60.0],
                        "modifiers": [
                            {"name": "staterror_SR", "type": "staterror", "data": [5.0, 6.0]}
                        ],
                    },
                ],
            }
        ],
        "observations": [{"name": "SR", "data": [55.0, 65.0]}],
        "measurements": [
            {
                "name": "m",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {
                            "name": "lumi",
                            "auxdata": [1.0],
                            "sigmas": [0.02],
                            "bounds": [[0.9, 1.1]],
                            "inits": [1.0],
                        }
                    ],
                },
            }
        ],
        "version": "1.0.0",
    }
    folder = write_xml(document, tmp_path / "xml")
    (folder / "settings.json").unlink()
    back = read_xml(folder)
    assert {p["name"] for p in back["measurements"][0]["config"]["parameters"]} == {"lumi", "mu"}


def test_the_folder_can_be_moved(workspace, tmp_path):
    folder = write_xml(workspace, tmp_path / "first")
    assert str(tmp_path) not in (folder / TOP).read_text()
    for file in (folder / "config").iterdir():
        assert str(tmp_path) not in file.read_text()
    shutil.move(folder, tmp_path / "second")
    assert read_xml(tmp_path / "second")["channels"][0]["name"] == "xenonnt_sr01"


def test_what_root_reads(workspace, tmp_path):
    """POI, constant parameters and channels as hist2workspace expects them."""
    top = ET.parse(write_xml(workspace, tmp_path / "xml") / TOP).getroot()
    measurement = top.find("Measurement[@Name='mu2_e']")
    assert measurement.findtext("POI") == "mu2_e"
    fixed = measurement.find("ParamSetting[@Const='True']").text.split()
    assert fixed == ["mu2_mu", "mu2_tau", "mu2_universal"]
    assert (tmp_path / "HistFactorySchema.dtd").exists() is False
    assert (tmp_path / "xml" / "HistFactorySchema.dtd").exists()


def test_missing_root_file_and_histogram(workspace, tmp_path):
    folder = write_xml(workspace, tmp_path / "xml")
    channel = folder / "config" / "channel_xenonnt_sr01.xml"
    text = channel.read_text()
    channel.write_text(text.replace("histxenonnt_sr01_ac", "histxenonnt_sr01_none"))
    with pytest.raises(ExportError, match="histxenonnt_sr01_none"):
        read_xml(folder)
    channel.write_text(text)
    (folder / "data" / "data.root").unlink()
    with pytest.raises(ExportError, match=r"histfactory\.xml: cannot be read"):
        read_xml(folder)


def test_damaged_and_missing_xml(workspace, tmp_path):
    folder = write_xml(workspace, tmp_path / "xml")
    (folder / TOP).write_text("<Combination>")
    with pytest.raises(ExportError, match="cannot be read"):
        read_xml(folder)
    with pytest.raises(ExportError, match="does not exist"):
        read_xml(tmp_path / "none.xml")


def test_a_document_that_does_not_convert(workspace, tmp_path):
    document = copy.deepcopy(workspace)
    document["observations"].pop()
    with pytest.raises(ExportError, match="does not convert to XML"):
        write_xml(document, tmp_path / "xml")
    assert list(tmp_path.iterdir()) == []
