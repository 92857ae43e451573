"""HEPData submissions: complete, valid offline, and read back to the same limit."""

from __future__ import annotations

import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from histnu.cli.export import command
from histnu.core.errors import DataError, ExportError, HistnuError
from histnu.core.serialize import read_json, write_json
from histnu.export import hepdata, hepdata_tables

pytest.importorskip("hepdata_lib", reason="submissions need hepdata-lib")
pytest.importorskip("hepdata_validator", reason="submissions need hepdata-validator")

COMMON = {"method": "profile likelihood", "cl": 0.9, "dof": 1, "interpolation": "normsys"}


def bound(experiment, upper, **changes):
    row = {
        "id": "mu_e",
        "model": "magnetic_moment",
        "parameter": "mu_e",
        "experiment": experiment,
        "unit": "1e-9 mu_B",
        "provenance": "derived",
        "lower": None,
        "best_fit": 0.5,
        "upper": upper,
        "published": {"experiment": "combined", "lower": None, "upper": 1.9, "eq": 16},
        **COMMON,
    }
    return row | changes


@pytest.fixture(scope="module")
def results():
    """A small results.json with every kind of entry."""
    theta = np.linspace(0, 2 * np.pi, 9)
    circle = np.stack([np.cos(theta), np.sin(theta)], axis=1).tolist()
    charge = {"id": "q_ee", "parameter": "q_ee", "unit": "1e-8 e", "model": "millicharge"}
    return {
        "schema": "histnu-results/1",
        "bounds": [
            bound("xenonnt", 1.8),
            bound("combined", 1.9, provenance="reconstructed"),
            bound("combined", 3.0, lower=-4.0, **charge, published=None),
            bound(
                "combined",
                2.5,
                lower=-3.0,
                **charge,
                published=None,
                held={"q_emu": 0.0, "q_mutau": 0.0},
            ),
            bound(
                "combined",
                [2.0, 3.0, None],
                id="dipole_e",
                m4_mev=[0.001, 1.0, 30.0],
                dof=2,
                x={"name": "m4", "unit": "MeV"},
            ),
        ],
        "alternatives": [bound("combined", 1.8, interpolation="linear")],
        "profiles": [
            {
                "id": "mu_e",
                "parameter": "mu_e",
                "experiment": "combined",
                "unit": "1e-9 mu_B",
                "provenance": "reconstructed",
                "values": [0.0, 1.0, 2.0],
                "delta_chi2": [0.1, 0.0, 3.3],
            }
        ],
        "contours": [
            {
                "id": "q_ee-q_emu",
                "experiment": "combined",
                "cl": 0.9,
                "dof": 2,
                "provenance": "reconstructed",
                "x": {"name": "q_ee", "unit": "1e-8 e"},
                "y": {"name": "q_emu", "unit": "1e-8 e"},
                "best_fit": [0.5, 0.5],
                "polylines": [circle, [[3.0, 3.0], [4.0, 4.0]]],
            }
        ],
    }


@pytest.fixture(scope="module")
def results_folder(results, built, tmp_path_factory):
    """A results folder as ``histnu reproduce`` leaves it."""
    image = pytest.importorskip("PIL.Image", reason="figures need pillow")
    folder = tmp_path_factory.mktemp("results")
    write_json(folder / "results.json", results)
    shutil.copytree(built, folder / "workspaces" / "moments")
    for name in ("fig1.png", "fig3.png", "fig4.png"):
        image.new("RGBA", (800, 600), (10, 20, 30, 128)).save(folder / name)
    (folder / "fig1.pdf").write_bytes(b"%PDF-1.4")
    return folder


@pytest.fixture(scope="module")
def submission(results_folder, tmp_path_factory):
    return hepdata.write_submission(results_folder, tmp_path_factory.mktemp("hep") / "submission")


@pytest.fixture(scope="module")
def documents(submission):
    return list(yaml.safe_load_all((submission / "submission.yaml").read_text()))


def table(submission, documents, name):
    entry = next(d for d in documents if d.get("name") == name)
    return entry, yaml.safe_load((submission / entry["data_file"]).read_text())


def test_valid_offline(submission):
    hepdata.validate_submission(submission / hepdata.SUBMISSION)


def test_a_table_for_everything(documents):
    assert [d["name"] for d in documents[1:]] == [
        "Limits on mu_e 90 percent CL 1 dof",
        "Limits on q_ee 90 percent CL 1 dof",
        "Limits on q_ee 90 percent CL 1 dof others zero",
        "Limits on mu_e 90 percent CL 1 dof linear",
        "Limit on dipole_e combined 90 percent CL",
        "Profile of mu_e combined",
        "Contour q_ee-q_emu combined 90 percent CL",
        "Yields moments xenonnt_sr01",
        "Yields moments pandax4t_us2",
    ]


def test_limit_table(submission, documents):
    _, content = table(submission, documents, "Limits on mu_e 90 percent CL 1 dof")
    sets = content["independent_variables"][0]["values"]
    assert [v["value"] for v in sets] == ["xenonnt", "combined"]
    columns = {d["header"]["name"]: d for d in content["dependent_variables"]}
    upper = columns[r"$\mu_{\nu_e}$ upper limit"]
    assert upper["header"]["units"] == r"$10^{-9}\,\mu_B$"
    assert [v["value"] for v in upper["values"]] == [1.8, 1.9]
    assert {"name": "CONFIDENCE LEVEL", "value": "0.9"} in upper["qualifiers"]
    assert [v["value"] for v in columns["published upper limit"]["values"]] == ["-", 1.9]
    lower = columns[r"$\mu_{\nu_e}$ lower limit"]
    assert [v["value"] for v in lower["values"]] == ["-", "-"]


def test_two_sided_limits_are_uncertainties_of_the_best_fit(submission, documents):
    _, content = table(submission, documents, "Limits on q_ee 90 percent CL 1 dof")
    best = next(d for d in content["dependent_variables"] if d["header"]["name"] == "best fit")
    errors = best["values"][0]["errors"]
    assert errors == [{"asymerror": {"minus": -4.5, "plus": 2.5}, "label": "90% interval"}]


def test_limits_with_other_charges_zero_and_profiled_are_told_apart(submission, documents):
    found = {}
    for others, name in (("profiled", ""), ("zero", " others zero")):
        entry, content = table(submission, documents, f"Limits on q_ee 90 percent CL 1 dof{name}")
        assert f"the other parameters of the hypothesis {others}." in entry["description"]
        upper = next(d for d in content["dependent_variables"] if "upper" in d["header"]["name"])
        (value,) = upper["values"]
        held = [q["value"] for q in upper["qualifiers"] if q["name"] == "HELD"]
        found[others] = (value["value"], held)
    assert found == {"profiled": (3.0, []), "zero": (2.5, ["q_emu = q_mutau = 0"])}


def test_a_curve_in_pieces_shows_its_sets():
    ends = {"lower_end": "crossing", "upper_end": "crossing"}
    pieces = [{"lower": -1.0, "upper": 1.0, **ends}, {"lower": 3.0, "upper": 3.5, **ends}]
    row = bound("combined", [3.5, 2.0, None], x={"name": "m_v", "unit": "MeV"},
                m_v_mev=[1.0, 10.0, 99.0], allowed=[pieces, pieces[:1], None])  # fmt: skip
    (spec,) = hepdata_tables.limit_tables([row])
    assert spec.independent[0].values == (1.0, 10.0)
    assert spec.dependent[-1].values == ("[-1, 1] u [3, 3.5]", "[-1, 1]")


def test_curves_leave_out_closed_masses(submission, documents):
    _, content = table(submission, documents, "Limit on dipole_e combined 90 percent CL")
    mass = content["independent_variables"][0]
    assert mass["header"] == {"name": "$m_4$", "units": "MeV"}
    assert [v["value"] for v in mass["values"]] == [0.001, 1.0]


def test_contours_keep_their_lines_apart(submission, documents):
    _, content = table(submission, documents, "Contour q_ee-q_emu combined 90 percent CL")
    lines = [v["value"] for v in content["independent_variables"][0]["values"]]
    assert lines == [1.0] * 9 + [2.0] * 2


def test_yields_have_bins_units_and_uncertainties(submission, documents, workspace):
    _, content = table(submission, documents, "Yields moments pandax4t_us2")
    bins = content["independent_variables"][0]
    assert bins["header"] == {"name": "reconstructed electrons", "units": "e"}
    assert bins["values"][0] == {"low": 4.0, "high": 5.0}
    columns = {d["header"]["name"]: d for d in content["dependent_variables"]}
    cevns = columns["cevns"]["values"][0]
    sample = workspace["channels"][1]["samples"][0]
    assert cevns["value"] == pytest.approx(sample["data"][0], rel=1e-7)
    flux = next(e for e in cevns["errors"] if e["label"] == "sys,b8_flux")
    shift = flux.get("symerror", flux.get("asymerror", {}).get("plus"))
    assert shift == pytest.approx(0.12 * sample["data"][0], rel=1e-6)
    assert columns["mu2_e"]["qualifiers"] == [{"name": "STRENGTH", "value": "mu2_e"}]
    observed = columns["observed"]["values"][0]
    assert observed["errors"][0]["label"] == "stat"


def test_figures_with_thumbnails(submission, documents):
    from PIL import Image

    entry, _ = table(submission, documents, "Limits on mu_e 90 percent CL 1 dof")
    found = [(r["description"], r["location"]) for r in entry["additional_resources"]]
    assert found == [("Image file", "fig1.png"), ("Thumbnail image file", "thumb_fig1.png")]
    with Image.open(submission / "thumb_fig1.png") as image:
        assert image.size[0] <= 240
        assert image.size[1] <= 179


def test_keywords(documents):
    keywords = {k["name"]: k["values"] for k in documents[1]["keywords"]}
    assert "solar neutrinos" in keywords["phrases"]
    assert keywords["reactions"]


def test_likelihood_archive_is_typed(documents, submission):
    resources = [r for r in documents[0]["additional_resources"] if "type" in r]
    assert [(r["type"], r["location"]) for r in resources] == [("HistFactory", hepdata.ARCHIVE)]
    with tarfile.open(submission / hepdata.SUBMISSION) as tar:
        assert hepdata.ARCHIVE in tar.getnames()


def test_the_same_limit_comes_back(submission, workspace):
    """From the upload, with histnu's engine and with plain pyhf: the limit of the original.

    Tolerance: the documents are equal, so only the root finding of each tool counts.
    """
    import pyhf

    from histnu.inference.engine import BatchedLikelihood
    from histnu.inference.limits import interval

    bundle = hepdata.read_submission(submission / hepdata.SUBMISSION)
    (document,) = bundle.workspaces.values()
    assert document == workspace

    def ours(spec):
        likelihood = BatchedLikelihood.from_workspace(spec, measurement="mu2_universal")
        return interval(likelihood, None, "mu2_universal", 0.9, 1).upper

    assert ours(document) == pytest.approx(ours(workspace), rel=1e-9)

    model = pyhf.Workspace(document).model(measurement_name="mu2_universal")
    data = pyhf.Workspace(document).data(model)
    best = pyhf.infer.mle.fit(data, model, return_fitted_val=True)[1]
    at_limit = pyhf.infer.mle.fixed_poi_fit(ours(document), data, model, return_fitted_val=True)[1]
    # 2.7055 is the 90 % point of chi^2 with one degree of freedom; SLSQP is good to 1e-3 here
    assert float(at_limit - best) == pytest.approx(2.7055, abs=5e-3)


def test_histnu_limit_takes_the_upload(submission, built, capsys):
    """``histnu limit`` on the upload gives what it gives on the original document."""
    from histnu.cli.main import cli

    found = []
    archive = submission / hepdata.SUBMISSION
    targets = (built / "workspace.json", archive, f"{archive}::workspaces/moments/workspace.json")
    for target in targets:
        arguments = ["limit", str(target), "--poi", "mu_universal", "--json"]
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        document = json.loads(done.output)
        assert list(document["inputs"]) == [document.pop("target")]
        found.append({**document, "inputs": list(document["inputs"].values())})
    assert found[0] == found[1] == found[2]
    assert found[0]["unit"] == "1e-9 mu_B"


def test_unknown_name_in_an_archive(submission):
    with pytest.raises(ExportError, match=r"::NAME with one of workspaces/moments/workspace\.json"):
        hepdata.archived_likelihood(f"{submission / hepdata.SUBMISSION}::charges.json")
    assert hepdata.archived_likelihood("magnetic_moment_combined") is None


def test_reading_a_folder_and_a_likelihood_archive(submission, workspace):
    for source in (submission, submission / hepdata.ARCHIVE):
        found = hepdata.read_submission(source)
        assert list(found.workspaces.values()) == [workspace]
        assert found.manifests


def test_the_working_directory_is_left_alone(results_folder, tmp_path, monkeypatch):
    """hepdata_lib writes its archive into the working directory; ours must not."""
    monkeypatch.chdir(tmp_path)
    hepdata.write_submission(results_folder, tmp_path / "out")
    assert os.getcwd() == str(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_workspace_alone(built, tmp_path):
    hepdata.write_submission(built / "workspace.json", tmp_path / "out")
    documents = list(yaml.safe_load_all((tmp_path / "out" / "submission.yaml").read_text()))
    assert [d["name"] for d in documents[1:]] == [
        "Yields moments xenonnt_sr01",
        "Yields moments pandax4t_us2",
    ]


def test_command(built, tmp_path):
    runner = CliRunner()
    for target, name in (("hepdata", "submission.tar.gz"), ("hs3", "hs3.json"), ("xml", "data")):
        arguments = [str(built / "workspace.json"), "--to", target, "-o", str(tmp_path / target)]
        done = runner.invoke(command, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        assert (tmp_path / target / name).exists()


def test_nothing_to_submit(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no results and no likelihood"):
        hepdata.write_submission(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        hepdata.write_submission(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_figure(results_folder, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(results_folder, folder)
    (folder / "fig1.png").write_text("no image")
    with pytest.raises(ExportError, match=r"fig1\.png: is no image"):
        hepdata.write_submission(folder, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results"]


def test_missing_likelihood_and_climbing_location(submission, tmp_path):
    folder = tmp_path / "s"
    shutil.copytree(submission, folder)
    (folder / hepdata.ARCHIVE).unlink()
    with pytest.raises(ExportError, match=r"likelihoods\.tar\.gz: is missing"):
        hepdata.read_submission(folder)
    text = (folder / "submission.yaml").read_text()
    evil = text.replace(f"location: {hepdata.ARCHIVE}", "location: ../../etc/passwd")
    (folder / "submission.yaml").write_text(evil)
    with pytest.raises(ExportError, match="climbs out"):
        hepdata.read_submission(folder)
    (folder / "submission.yaml").write_text("comment: nothing here\n")
    with pytest.raises(ExportError, match="holds no likelihood"):
        hepdata.read_submission(folder)
    (folder / "submission.yaml").write_text("a: [")
    with pytest.raises(ExportError, match="is not YAML"):
        hepdata.read_submission(folder)


def test_yaml_tags_are_not_executed(submission, tmp_path):
    folder = tmp_path / "s"
    shutil.copytree(submission, folder)
    marker = tmp_path / "executed"
    text = f"comment: !!python/object/apply:os.mkdir ['{marker}']\n"
    (folder / "submission.yaml").write_text(text)
    with pytest.raises(ExportError, match="is not YAML"):
        hepdata.read_submission(folder)
    assert not marker.exists()


def test_truncated_upload(submission, tmp_path):
    data = (submission / hepdata.SUBMISSION).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ExportError, match="truncated or damaged"):
        hepdata.read_submission(tmp_path / "cut.tar.gz")


def test_invalid_submission_is_not_written(results_folder, tmp_path, monkeypatch):
    def refuse(path):
        raise ExportError("not valid")

    monkeypatch.setattr(hepdata, "validate_submission", refuse)
    with pytest.raises(ExportError, match="not valid"):
        hepdata.write_submission(results_folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_validator_names_the_fault(submission, tmp_path):
    folder = tmp_path / "s"
    shutil.copytree(submission, folder)
    (folder / hepdata.SUBMISSION).unlink()
    next(folder.glob("limits*.yaml")).write_text("a: 1\n")
    with pytest.raises(ExportError, match="is not a valid submission"):
        hepdata.validate_submission(folder)


def test_tables_are_checked():
    short = hepdata_tables.Variable("x", (1.0,))
    long = hepdata_tables.Variable("y", (1.0, 2.0))
    with pytest.raises(ExportError, match="different lengths"):
        hepdata_tables.TableSpec("t", "d", "l", (short,), (long,))
    with pytest.raises(ExportError, match="limited to 64"):
        hepdata_tables.TableSpec("t" * 65, "d", "l", (short,), (short,))


def test_errors_are_the_packages():
    assert issubclass(ExportError, HistnuError)
    assert json.dumps(hepdata_tables.table_name("a/b", "c:d")) == '"ab cd"'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "patches"),
    [
        ("standard_model_coherent", 0),
        ("standard_model_coherent_csi", 0),
        ("patchset_g_bl_coherent_csi", 20),
        ("patchset_r2_ee_coherent_csi", 21),
    ],
)
def test_coherent_is_ready_for_hepdata(name, patches, project_root, tmp_path):
    """Committed COHERENT likelihoods: valid offline; documents and all patches come back."""
    folder = project_root / "workspaces" / name
    written = hepdata.write_submission(folder, tmp_path / "out")  # validates before it is written
    found = hepdata.read_submission(written / hepdata.SUBMISSION)
    assert list(found.workspaces.values()) == [read_json(folder / "workspace.json")]
    sets = list(found.patchsets.values())
    assert sum(len(s["patches"]) for s in sets) == patches
    if patches:
        assert sets == [read_json(folder / "patchset.json")]
    documents = yaml.safe_load_all((written / "submission.yaml").read_text())
    channels = {c["name"] for c in read_json(folder / "workspace.json")["channels"]}
    tables = {d["name"].rsplit(" ", 1)[-1] for d in documents if d.get("name", "").startswith("Y")}
    assert tables == channels
