"""A built likelihood with its manifest, shared by the tests of all formats."""

from __future__ import annotations

import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.core.serialize import read_json, write_json
from histnu.workspace.manifest import Manifest


@pytest.fixture(scope="session")
def assembly():
    return assemble(load_analysis("magnetic_moment_combined"))


@pytest.fixture(scope="session")
def built(assembly, tmp_path_factory):
    """Folder with ``workspace.json`` and ``manifest.json``."""
    folder = tmp_path_factory.mktemp("built") / "moments"
    write_json(folder / "workspace.json", assembly.workspace)
    units = {p.name: p.unit for p in assembly.model.parameters}
    Manifest(
        assembly.analysis.name,
        assembly.analysis.title,
        assembly.experiments,
        (assembly.model.name, assembly.model.reference),
        assembly.analysis.interpolation,
        assembly.polynomial,
        units,
    ).write(folder, ["workspace.json"])
    return folder


@pytest.fixture(scope="session")
def workspace(built):
    return read_json(built / "workspace.json")


@pytest.fixture(scope="session")
def manifest(built):
    return read_json(built / "manifest.json")
