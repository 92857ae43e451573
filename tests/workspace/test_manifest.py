"""Manifests and the index: everything the JSON of a workspace cannot hold."""

from __future__ import annotations

import json

import pytest
from likelihood_index import build_index, index_markdown, write_index

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.core.errors import DataError
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import read_json, write_json
from histnu.workspace.digests import document_digest
from histnu.workspace.manifest import Manifest, bin_edges


@pytest.fixture(scope="module")
def assembly():
    return assemble(load_analysis("magnetic_moment_combined"))


@pytest.fixture
def built(assembly, tmp_path):
    """A folder with a workspace and its manifest."""
    folder = tmp_path / "magnetic_moment_combined"
    write_json(folder / "workspace.json", assembly.workspace)
    units = {p.name: p.unit for p in assembly.model.parameters}
    manifest = Manifest(
        assembly.analysis.name,
        assembly.analysis.title,
        assembly.experiments,
        (assembly.model.name, assembly.model.reference),
        assembly.analysis.interpolation,
        assembly.polynomial,
        units,
    )
    manifest.write(folder, ["workspace.json"])
    return folder, manifest


def test_manifest_says_what_the_document_cannot(built, assembly):
    folder, _ = built
    manifest = read_json(folder / "manifest.json")
    channel = manifest["experiments"]["pandax4t_us2"]["channels"]["pandax4t_us2"]
    assert channel["edges"] == [4.0, 5.0, 6.0, 7.0, 8.0]
    assert channel["unit"] == "e"
    assert manifest["interpolation"]["codes"] == {"normsys": "code4", "histosys": "code4p"}
    assert PolynomialMap.from_json(manifest["polynomial"]) == assembly.polynomial
    assert manifest["units"]["mu_e"] == "1e-9 mu_B"
    assert manifest["provenance"] == "reconstructed"
    document = read_json(folder / "workspace.json")
    stated = manifest["documents"]["workspace.json"]["digests"]["sha256"]
    assert stated == document_digest(document)
    assert set(manifest["environment"]) == {"python", "numpy", "scipy", "pyhf"}


def test_manifest_holds_no_path_of_this_machine(built, project_root):
    text = (built[0] / "manifest.json").read_text()
    assert str(project_root) not in text
    assert "/site-packages/" not in text


def test_manifest_without_environment_is_reproducible(built):
    folder, manifest = built
    again = manifest.to_json([folder / "workspace.json"], with_environment=False)
    written = read_json(folder / "manifest.json")
    del written["environment"]
    assert written == json.loads(json.dumps(again))


def test_bin_edges(assembly):
    edges = bin_edges(assembly.experiments)
    assert edges["xenonnt_sr01"] == {"observable": "cs2_bin", "unit": "bin", "edges": [0, 1, 2, 3]}


def test_index_lists_and_checks(built):
    folder, _ = built
    index = write_index(folder.parent)
    assert index == build_index(folder.parent) == read_json(folder.parent / "index.json")
    assert index["entries"][0]["build"] == "histnu build magnetic_moment_combined"
    assert "`magnetic_moment_combined/workspace.json`" in index_markdown(index)
    (folder / "workspace.json").write_text("{}")
    with pytest.raises(DataError, match="is not the file of its manifest"):
        build_index(folder.parent)
