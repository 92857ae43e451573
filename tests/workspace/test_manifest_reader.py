"""Manifests of anybody: damaged ones are refused with the field, foreign ones are left alone."""

from __future__ import annotations

import json

import pytest

from histnu.core.errors import DataError
from histnu.workspace.manifest_reader import checked_manifest, manifest_beside, polynomial_of

GOOD = {
    "schema": "histnu-manifest/1",
    "experiments": {
        "x": {"channels": {"a": {"edges": [0.0, 1.0, 2.0], "observable": "s2", "unit": "PE"}}}
    },
    "polynomial": {
        "parameters": ["g"],
        "outputs": ["mu"],
        "terms": [[{"coefficient": 2.0, "powers": {"g": 2}}]],
    },
    "units": {"g": "1"},
    "provenance": "derived",
}
WORKSPACE = {"channels": [{"samples": [{"modifiers": [{"name": "mu"}]}]}]}


def test_shipped_manifests(project_root):
    files = sorted((project_root / "workspaces").glob("*/manifest.json"))
    assert files
    for file in files:
        assert manifest_beside(file.with_name("workspace.json")) == json.loads(file.read_text())


def test_polynomial():
    assert polynomial_of(GOOD, WORKSPACE, "m")([3.0]).tolist() == [18.0]
    assert polynomial_of(GOOD, {"channels": []}, "m") is None


def changed(path, value):
    document = json.loads(json.dumps(GOOD))
    *parents, last = path
    node = document
    for key in parents:
        node = node[key]
    node[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("experiments",), 3, "experiments: "),
        (("experiments", "x", "channels", "a", "edges"), [2.0, 1.0], "edges must increase"),
        (("experiments", "x", "channels", "a", "edges"), [0.0, True], "edges.1: "),
        (("polynomial", "terms"), [], "1 outputs but 0 term lists"),
        (("polynomial", "terms"), [[{"coefficient": 1.0, "powers": {"h": 1}}]], "unknown param"),
        (("polynomial", "terms"), [[{"coefficient": 1.0, "powers": {"g": -1}}]], "powers.g: "),
        (("polynomial", "outputs"), ["mu", "mu"], "2 outputs"),
        (("units",), {"g": 3}, "units.g: "),
        (("provenance",), "guessed", "provenance: "),
    ],
)  # fmt: skip
def test_damaged(path, value, message):
    with pytest.raises(DataError) as caught:
        checked_manifest(changed(path, value), "manifest.json")
    assert str(caught.value).startswith("manifest.json: ")
    assert message in str(caught.value)
    assert "use the manifest that was written with the document" in str(caught.value)


def test_manifest_of_another_document():
    two = changed(("polynomial", "outputs"), ["mu", "nu"])
    two["polynomial"]["terms"] *= 2
    with pytest.raises(DataError, match="has no parameter 'nu'"):
        polynomial_of(two, WORKSPACE, "m")


def test_foreign_and_broken_files(tmp_path, caplog):
    file = tmp_path / "manifest.json"
    assert manifest_beside(tmp_path / "workspace.json") is None
    file.write_text('{"name": "a web page"}')
    assert manifest_beside(tmp_path / "workspace.json") is None
    assert "is no histnu-manifest/1 and is not used" in caplog.text
    file.write_text("[1]")
    with pytest.raises(DataError, match="is no JSON object"):
        manifest_beside(tmp_path / "workspace.json")
    file.unlink()
    file.mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        manifest_beside(tmp_path / "workspace.json")
