"""Templates as ROOT histograms and ``hist`` objects; ROOT files as inputs of experiments."""

from __future__ import annotations

import shutil

import hist
import numpy as np
import pytest
import uproot

from histnu.core.errors import DataError, ExportError
from histnu.experiments.loader import load_experiment
from histnu.experiments.root_input import read_histogram
from histnu.export import export_document
from histnu.export.bins import binnings
from histnu.export.histograms import histograms, templates
from histnu.export.root import write_root


@pytest.fixture(scope="module")
def root_file(workspace, manifest, tmp_path_factory):
    return write_root(workspace, tmp_path_factory.mktemp("root") / "templates.root", manifest)


def test_every_template_is_there_exactly(root_file, workspace):
    expected = templates(workspace)
    with uproot.open(root_file) as file:
        found = {k.split(";")[0] for k in file.keys(filter_classname="TH1D")}
        assert found == set(expected)
        for name, (_, values) in expected.items():
            assert file[name].values().tolist() == list(values)


def test_axes_have_edges_titles_and_units(root_file):
    with uproot.open(root_file) as file:
        h = file["pandax4t_us2/cevns/nominal"]
        assert h.axis().edges().tolist() == [4, 5, 6, 7, 8]
        assert h.axis().member("fTitle") == "reconstructed electrons [e]"
        assert h.title == "pandax4t_us2/cevns/nominal"


def test_only_counts_have_errors(root_file):
    with uproot.open(root_file) as file:
        data, template = file["xenonnt_sr01/data"], file["xenonnt_sr01/ac/nominal"]
        np.testing.assert_array_equal(data.variances(), data.values())
        np.testing.assert_array_equal(template.variances(), 0.0)


def test_without_manifest_axes_are_bin_numbers(workspace):
    binning = binnings(workspace)["xenonnt_sr01"]
    assert binning.edges == (0.0, 1.0, 2.0, 3.0)
    assert binning.label == "bin number"


def test_manifest_of_another_document(workspace, manifest):
    other = {"experiments": {"x": {"channels": {"xenonnt_sr01": {"edges": [0, 1]}}}}}
    with pytest.raises(ExportError, match="manifest has 1 bins, the workspace 3"):
        binnings(workspace, other)


def test_hist_objects(workspace, manifest):
    found = histograms(workspace, manifest)
    h = found["pandax4t_us2/cevns/nominal"]
    assert isinstance(h, hist.Hist)
    assert h.axes[0].edges.tolist() == [4, 5, 6, 7, 8]
    assert h.axes[0].label == "reconstructed electrons [e]"
    sample = workspace["channels"][1]["samples"][0]
    assert h.values().tolist() == sample["data"]
    up = found["pandax4t_us2/cevns/b8_flux_norm_up"]
    np.testing.assert_allclose(up.values(), 1.12 * h.values(), rtol=1e-12)


def test_linear_uncertainties_are_up_and_down_templates(workspace):
    """The 100 % electron-recoil rate is a histosys: its templates are written as they are."""
    found = templates(workspace)
    _, nominal = found["xenonnt_sr01/er/nominal"]
    _, up = found["xenonnt_sr01/er/er_rate_up"]
    np.testing.assert_allclose(up, 2 * np.array(nominal), rtol=1e-9)


def test_hist_and_root_agree(root_file, workspace, manifest):
    with uproot.open(root_file) as file:
        for name, h in histograms(workspace, manifest).items():
            np.testing.assert_array_equal(file[name].values(), h.values())
            np.testing.assert_array_equal(file[name].axis().edges(), h.axes[0].edges)


def test_command_function(built, tmp_path):
    written = export_document(built / "workspace.json", "root", tmp_path)
    assert written == tmp_path / "templates.root"
    assert [p.name for p in tmp_path.iterdir()] == ["templates.root"]


def test_unwritable(workspace, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((DataError, OSError)):
        write_root(workspace, tmp_path / "file" / "t.root")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- ROOT in -----------------------------------------------------------------------------------


def test_histograms_are_read(root_file, workspace):
    values = read_histogram(root_file, "xenonnt_sr01/ac/nominal")
    sample = next(s for s in workspace["channels"][0]["samples"] if s["name"] == "ac")
    assert values.tolist() == sample["data"]


def test_numpy_histograms_are_read(tmp_path):
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["folder/h"] = np.array([1.0, 2.0]), np.array([0.0, 1.0, 2.0])
    assert read_histogram(path, "folder/h").tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["nothing", "xenonnt_sr01/ac"])
def test_missing_histogram(root_file, name):
    with pytest.raises(DataError) as caught:
        read_histogram(root_file, name)
    message = str(caught.value)
    assert str(root_file) in message
    assert "histogram" in message
    assert "\n" not in message


def test_two_dimensional_histogram(tmp_path):
    path = tmp_path / "a.root"
    edges = np.array([0.0, 1.0, 2.0])
    with uproot.recreate(path) as file:
        file["h2"] = np.ones((2, 2)), edges, edges
    with pytest.raises(DataError, match="is not a one-dimensional histogram"):
        read_histogram(path, "h2")


def test_damaged_and_missing_files(root_file, tmp_path):
    damaged = tmp_path / "damaged.root"
    damaged.write_bytes(root_file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"damaged\.root"):
        read_histogram(damaged, "h")
    text = tmp_path / "text.root"
    text.write_text("no ROOT file")
    with pytest.raises(DataError, match="is not a readable ROOT file"):
        read_histogram(text, "h")
    with pytest.raises(DataError, match="does not exist"):
        read_histogram(tmp_path / "none.root", "h")


@pytest.fixture
def experiment_with_root(project_root, tmp_path):
    """A copy of the XENONnT experiment whose AC background and data come from a ROOT file."""
    source = project_root / "histnu/data/experiments/xenonnt_sr01"
    for file in source.iterdir():
        shutil.copy(file, tmp_path)
    original = load_experiment("xenonnt_sr01").channels[0]
    with uproot.recreate(tmp_path / "inputs.root") as file:
        edges = np.arange(4.0)
        file["templates/ac"] = original.backgrounds[0].expected, edges
        file["data"] = original.observed, edges
    path = tmp_path / "experiment.yaml"
    text = path.read_text()
    text = text.replace("rates.csv:ac", "inputs.root:templates/ac")
    path.write_text(text.replace("rates.csv:observed", "inputs.root:data"))
    return path


def test_experiment_takes_root_histograms(experiment_with_root):
    got = load_experiment(experiment_with_root)
    reference = load_experiment("xenonnt_sr01")
    assert got.channels[0].observed.tolist() == reference.channels[0].observed.tolist()
    ac, other = (e.channels[0].backgrounds[0].expected for e in (got, reference))
    np.testing.assert_array_equal(ac, other)
    assert any(str(p).endswith("inputs.root") for p in got.files), "the file is in the provenance"


def test_experiment_with_a_missing_histogram(experiment_with_root):
    text = experiment_with_root.read_text()
    wrong = experiment_with_root.with_name("wrong.yaml")
    wrong.write_text(text.replace("templates/ac", "templates/acc"))
    with pytest.raises(DataError, match="templates/acc: no such histogram"):
        load_experiment(wrong)
