"""pyhf's command line works on our documents, unmodified."""

from __future__ import annotations

import contextlib
import json
import warnings
from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

from histnu.workspace.digests import document_digest


@pytest.fixture(scope="module")
def pyhf_cli(inputs):
    """Run ``pyhf ...`` in the folder of the documents and return what it prints."""
    (program,) = entry_points(group="console_scripts", name="pyhf")
    command = program.load()

    def run(*arguments, status=0):
        with contextlib.chdir(inputs), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # pyhf leaves files open
            done = CliRunner().invoke(command, list(map(str, arguments)))
        assert done.exit_code == status, done.output
        return done.stdout + (f"{done.stderr}{done.exception}" if status else "")

    return run


@pytest.mark.slow
def test_verify(pyhf_cli):
    assert "All good." in pyhf_cli("patchset", "verify", "background.json", "patchset.json")


@pytest.mark.slow
def test_verify_finds_another_background(pyhf_cli):
    found = pyhf_cli("patchset", "verify", "workspace.json", "patchset.json", status=1)
    assert "digest verification failed" in found


@pytest.mark.slow
def test_inspect(pyhf_cli):
    assert "mu_universal_1" in pyhf_cli("patchset", "inspect", "patchset.json").split()


@pytest.mark.slow
def test_digest(pyhf_cli, inputs):
    document = json.loads((inputs / "background.json").read_text())
    assert document_digest(document) in pyhf_cli("digest", "background.json")


@pytest.mark.slow
def test_apply_extract_and_cls(pyhf_cli, reference):
    """Both ways to a limit point; CLs at mu_sig = 1 lies on the right side of our limit."""
    name = "mu_universal_1"
    pyhf_cli(
        "patchset",
        "apply",
        "background.json",
        "patchset.json",
        "--name",
        name,
        "--output-file",
        "full.json",
    )
    pyhf_cli("patchset", "extract", "patchset.json", "--name", name, "--output-file", "patch.json")
    applied = json.loads(pyhf_cli("cls", "full.json"))
    patched = json.loads(pyhf_cli("cls", "background.json", "--patch", "patch.json"))
    assert applied == patched
    assert (applied["CLs_obs"] > 0.1) == (reference["cls_90"] > 1.0)


@pytest.mark.slow
def test_cls_at_our_limit(pyhf_cli, reference):
    """CLs is 0.1 at the 90 % limit (SLSQP, pyhf's default here, is good to 1e-3 in CLs)."""
    limit = reference["cls_90"]
    found = json.loads(pyhf_cli("cls", "workspace.json", "--test-poi", limit))
    assert found["CLs_obs"] == pytest.approx(0.1, abs=2e-3)


@pytest.mark.slow
def test_model_inspection(pyhf_cli):
    found = pyhf_cli("inspect", "workspace.json")
    assert "xenonnt_sr01" in found
    assert "mu2_universal" in found


@pytest.mark.slow
def test_xml_there_and_back(pyhf_cli, inputs):
    pyhf_cli("json2xml", "workspace.json", "--output-dir", ".")
    back = json.loads(pyhf_cli("xml2json", "FitConfig.xml", "--basedir", inputs, "--hide-progress"))
    document = json.loads((inputs / "workspace.json").read_text())
    ours = {c["name"]: {s["name"]: s["data"] for s in c["samples"]} for c in document["channels"]}
    theirs = {c["name"]: {s["name"]: s["data"] for s in c["samples"]} for c in back["channels"]}
    assert theirs == ours
