"""Measurement and patches on every verb: the same likelihood as pyhf's, and it is said."""

from __future__ import annotations

import json
import zipfile

import pyhf
import pytest

import histnu
from histnu.export.bundle import write_bundle, write_tar
from tests.inference import examples

NAME = "C1N2_200_50"


@pytest.fixture
def folder(tmp_path):
    """A search as it is downloaded, and the same with a signal in one file."""
    background, patchset = examples.search()
    (tmp_path / "BkgOnly.json").write_text(json.dumps(background))
    (tmp_path / "patchset.json").write_text(json.dumps(patchset))
    full = pyhf.PatchSet(patchset).apply(background, NAME)
    (tmp_path / "full.json").write_text(json.dumps(full))
    (tmp_path / "patch.json").write_text(json.dumps(patchset["patches"][0]["patch"]))
    return tmp_path


def lines(text):
    return len(text.splitlines())


ANSWERS = {
    "limit": ("--method", "cls"),
    "fit": (),
    "impacts": (),
    "significance": (),
    "cls": ("--value", "1.5"),
    "scan": ("--from", "0", "--to", "2", "--points", "3"),
    "coverage": ("--n-toys", "10", "-q"),
    "toys": ("--x", "mu_SIG", "--x-range", "0.1", "1", "--points", "2", "--n-toys", "10", "-q"),
    "contour": ("--x", "mu_SIG", "--y", "xsec", "--points", "5"),
}
ASKED = ("target", "patches", "inputs")


@pytest.mark.parametrize("verb", ANSWERS)
def test_a_patched_background_is_the_full_workspace(run, folder, verb):
    """Every verb gives the digits of pyhf's patched document; provenance tells them apart."""
    words = (*ANSWERS[verb], "--json", "--measurement", "no_jes")
    whole = json.loads(run(verb, folder / "full.json", *words)[1])
    file = folder / "patchset.json"
    given = ("--patch", file, "--patch-name", NAME)
    patched = json.loads(run(verb, folder / "BkgOnly.json", *words, *given)[1])
    assert patched["patches"] == [f"{file}::{NAME}"]
    assert list(patched["inputs"]) == [str(folder / "BkgOnly.json"), f"{file}::{NAME}"]
    assert patched["measurement"] == whole["measurement"] == "no_jes"
    rest = [{k: v for k, v in d.items() if k not in ASKED} for d in (whole, patched)]
    assert rest[0] == rest[1]
    text = run(verb, folder / "BkgOnly.json", *words[:-3], *words[-2:], "--patch-name", NAME)[1]
    assert f"patch {file}::{NAME}" in text
    assert "measurement no_jes" in text


def test_a_plain_patch_is_the_patch_of_the_set(run, folder):
    words = ("limit", folder / "BkgOnly.json", "--json")
    one = json.loads(run(*words, "--patch", folder / "patch.json")[1])
    two = json.loads(run(*words, "--patch-name", NAME)[1])
    assert one["upper"] == two["upper"]
    assert one["patches"] == [str(folder / "patch.json")]
    assert set(one["inputs"].values()) == set(two["inputs"].values())


def test_the_measurement_decides(run, folder):
    """A held systematic narrows the interval; pyhf's model of the measurement has it fixed."""
    words = ("limit", folder / "full.json", "--json")
    first, second = (
        json.loads(run(*words, "--measurement", name)[1]) for name in ("measurement", "no_jes")
    )
    assert second["upper"] < first["upper"]
    assert second["parameters"]["jes"] == 0.0 != first["parameters"]["jes"]
    text = run("limit", folder / "full.json")[1]
    assert "measurement measurement was taken; --measurement takes no_jes" in text
    text = run("limit", folder / "full.json", "--poi", "mu_SIG")[1]
    assert "measurement measurement was taken" in text, "both have this parameter of interest"
    assert "was taken" not in run("limit", folder / "full.json", "--measurement", "no_jes")[1]


def test_a_parameter_is_asked_in_the_measurement_that_is_named(run, project_root):
    folder = project_root / "workspaces" / "magnetic_moment_xenonnt"
    named = json.loads(run("limit", folder, "--measurement", "mu2_mu", "--json")[1])
    asked = json.loads(run("limit", folder, "--poi", "mu2_mu", "--json")[1])
    assert named == asked
    status, _, err = run("limit", folder, "--measurement", "mu2_mu", "--poi", "mu_e")
    assert (status, "mu2_e is fixed in measurement mu2_mu" in err) == (2, True)


def test_python_is_the_same_road(run, folder):
    said = json.loads(run("cls", folder / "BkgOnly.json", "--patch-name", NAME, "--json")[1])
    patch = json.loads((folder / "patchset.json").read_text())
    background = json.loads((folder / "BkgOnly.json").read_text())
    documents = [
        histnu.load(folder / "BkgOnly.json", patch_name=NAME),
        histnu.load(folder / "BkgOnly.json", patch=folder / "patchset.json", patch_name=(200, 50)),
        histnu.load(folder / "BkgOnly.json", patch=patch["patches"][0]["patch"]),
        histnu.load(background, patch=[patch], patch_name=NAME),
    ]  # fmt: skip
    for document in documents:
        assert document.hypothesis_test().cls == pytest.approx(said["cls"], rel=1e-9)
    assert f"BkgOnly.json with {folder}/patchset.json::{NAME}: " in repr(documents[0])
    held = histnu.load(folder / "full.json", measurement="no_jes")
    model, _ = held.pyhf()
    assert model.config.suggested_fixed()[model.config.par_order.index("jes")]
    one = histnu.limit(folder / "BkgOnly.json", measurement="no_jes", patch_name=NAME)
    assert one.upper == held.limit().upper
    axes = {"mu_SIG": [0.5, 1.0]}
    maps = [
        histnu.feldman_cousins(folder / "BkgOnly.json", axes, patch_name=NAME, n_toys=20),
        documents[0].feldman_cousins(axes, n_toys=20),
    ]
    assert maps[0] == maps[1]
    both = histnu.hypothesis_test(folder / "BkgOnly.json", patch_name=NAME)
    assert both.cls == documents[0].hypothesis_test().cls


def test_a_set_in_an_archive_is_beside_its_workspace(run, folder):
    files = {f"RegionA/{n}": folder / n for n in ("BkgOnly.json", "patchset.json")}
    archive = write_bundle(files, folder / "likelihoods.tar.gz")
    target = f"{archive}::RegionA/BkgOnly.json"
    found = json.loads(run("cls", target, "--patch-name", NAME, "--json")[1])
    want = json.loads(run("cls", folder / "full.json", "--json")[1])
    assert (found["cls"], found["patches"]) == (want["cls"], [f"patchset::{NAME}"])


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_a_patch_in_an_archive(run, folder, suffix):
    """A PatchSet and a JSON patch, named as members of any archive, with the workspace beside."""
    archive = folder / f"patches.{suffix}"
    files = {f"RegionA/{name}": folder / name for name in ("patchset.json", "patch.json")}
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as made:
            for name, file in files.items():
                made.write(file, name)
    else:
        write_bundle(files, archive)
    want = json.loads(run("cls", folder / "full.json", "--json")[1])["cls"]
    for member, more, label in (
        ("patchset.json", ("--patch-name", NAME), f"::{NAME}"),
        ("patch.json", (), ""),
    ):
        place = f"{archive}::RegionA/{member}"
        words = ("cls", folder / "BkgOnly.json", "--patch", place, *more, "--json")
        found = json.loads(run(*words)[1])
        assert (found["cls"], found["patches"]) == (want, [f"{place}{label}"])
    status, _, err = run("cls", folder / "BkgOnly.json", "--patch", f"{archive}::patchset.json")
    mend = f"write {archive}::NAME with one of RegionA/patch.json, RegionA/patchset.json"
    assert status == 2 and mend in err


def test_a_patch_that_a_submission_attaches(folder):
    """The archive of the record's resource of type HistFactory is inside the submission."""
    files = {f"RegionA/{n}": folder / n for n in ("BkgOnly.json", "patchset.json")}
    inner = write_bundle(files, folder / "likelihoods.tar.gz").read_bytes()
    listed = "additional_resources: [{location: likelihoods.tar.gz, type: HistFactory}]\n"
    outer = {"submission.yaml": listed.encode(), "likelihoods.tar.gz": inner}
    place = f"{write_tar(outer, folder / 'submission.tar.gz')}::RegionA/patchset.json"
    found = histnu.load(folder / "BkgOnly.json", patch=place, patch_name=NAME)
    assert found.target.document == json.loads((folder / "full.json").read_text())
    assert found.target.patches == (f"{place}::{NAME}",)


def test_compare_patches_of_one_background(run, folder):
    """One of the two, both, and each its own; the answers are those of the patched documents."""
    back, other, poi = folder / "BkgOnly.json", "C1N2_300_50", ("--poi", "mu_SIG", "--json")
    wanted = {
        name: json.loads(run("limit", back, "--patch-name", name, *poi)[1])["upper"]
        for name in (NAME, other)
    }

    def compared(*words):
        found = json.loads(run("compare", *words, *poi)[1])
        return found, [answer["upper"] for answer in found["answers"]]

    pair = ("--first-patch-name", NAME, "--second-patch-name", other)
    found, upper = compared(back, back, *pair)
    assert upper == [wanted[NAME], wanted[other]]
    # both add a sample of the same name to both regions and nothing else
    assert {d["where"].split("/")[1] for d in found["differences"]} == {"signal"}
    assert found["second"] == f"{back} with {folder / 'patchset.json'}::{other}"
    same, upper = compared(back, back, "--patch-name", NAME)
    assert (same["differences"], upper) == ([], [wanted[NAME]] * 2)
    one, upper = compared(folder / "full.json", back, "--second-patch", folder / "patch.json")
    assert (one["differences"], upper) == ([], [wanted[NAME]] * 2)
    mixed, _ = compared(back, back, "--patch-name", NAME, "--second-patch-name", other)
    assert mixed["differences"] == found["differences"]


def test_compare_measurements_of_one_document(run, folder):
    full = folder / "full.json"
    words = ("compare", full, full, "--measurement", "measurement", "--second-measurement")
    found = json.loads(run(*words, "no_jes", "--json")[1])
    assert [a["measurement"] for a in found["answers"]] == ["measurement", "no_jes"]
    wanted = [
        json.loads(run("limit", full, "--measurement", name, "--json")[1])["upper"]
        for name in ("measurement", "no_jes")
    ]
    assert [a["upper"] for a in found["answers"]] == wanted
    assert wanted[0] != wanted[1]  # a parameter less
    assert "; measurement no_jes" in run(*words, "no_jes")[1].splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("limit", "BkgOnly.json"), "apply a signal patch (--patch, --patch-name)"),
        (("limit", "BkgOnly.json", "--patch", "patchset.json"), "holds 3 patches; choose with"),
        (("limit", "BkgOnly.json", "--patch-name", "C1N2_200"), "called 'C1N2_200'; known: C1N2_"),
        (("limit", "full.json", "--patch-name", NAME), "the workspace has"),
        (("limit", "full.json", "--patch", "none.json"), "none.json: cannot be read"),
        (("limit", "full.json", "--patch", "full.json"), "full.json: is no patch"),
        (("limit", "full.json", "--measurement", "x"), "use one of measurement, no_jes"),
        (("compare", "full.json", "full.json", "--measurement", "x"), "use one of measurement"),
        (("compare", "full.json", "full.json", "--second-measurement", "x"), "use one of measure"),
        (("compare", "patchset.json", "patchset.json", "--first-patch", "patch.json"),
         "is a result, which has no measurement to choose and takes no patch"),
        (("cls", "magnetic_moment_combined", "--patch", "patch.json"), "takes no patch"),
        (("contour", "sterile_dipole_xenonnt", "--x", "m4", "--y", "mu_e", "--measurement", "a"),
         "m4 as an axis needs another document at every value"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(run, folder, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    status, out, err = run(*words)
    assert (status, out, lines(err)) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize("uncertainty", ["alone", "staterror", "shapesys"])
def test_a_negative_background_is_named(run, tmp_path, uncertainty):
    """Weights of a simulation may sum below zero: pyhf's -2 log L, and a warning.

    The parameter of an uncertainty in a negative bin is frozen, as it is by pyhf.
    """
    document = examples.textbook()
    kind = {"type": uncertainty, "name": "mc", "data": [1.0, 0.2]}
    modifiers = [] if uncertainty == "alone" else [kind]
    weights = {"name": "weights", "data": [-2.0, 0.5], "modifiers": modifiers}
    document["channels"][0]["samples"].append(weights)
    path = tmp_path / "negative.json"
    path.write_text(json.dumps(document))
    status, out, err = run("fit", path, "--json")
    assert (status, lines(err)) == (0, 1)
    assert err.startswith("histnu: warning: ") and "'weights' expects -1.5 events" in err
    workspace = pyhf.Workspace(document)
    model = workspace.model()
    found = json.loads(out)["parameters"]
    assert [p["status"] == "fixed" for p in found] == model.config.suggested_fixed()
    best = [p["value"] for p in found]
    reference = -2 * float(model.logpdf(best, workspace.data(model))[0])
    assert json.loads(out)["twice_nll"] == pytest.approx(reference, abs=1e-7)  # ten digits of JSON


def test_figures_name_the_patch(folder):
    loaded = histnu.load(folder / "BkgOnly.json", measurement="no_jes", patch_name=NAME)
    assert loaded.target.label == f"BkgOnly.json, {NAME}, no_jes"
