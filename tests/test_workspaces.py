"""The committed likelihoods: equal to what is built, valid, and giving the bounds of the paper."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys

import pytest
from likelihood_index import build_index, index_markdown

from histnu.core.serialize import read_json
from histnu.workspace.digests import document_digests

RELATIVE = 1e-9 * (1 + 1e-6)
"""Numbers are written with ten digits: one unit of the tenth is 1e-9 of the number or less."""
DIGESTS = {"digests", "file_sha256"}
"""What follows from the bytes of a document and differs where its last digit does."""


def load_builder(project_root):
    path = project_root / "scripts" / "build_workspaces.py"
    spec = importlib.util.spec_from_file_location("build_workspaces", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory, project_root):
    """Everything of ``workspaces/`` built again."""
    folder = tmp_path_factory.mktemp("workspaces")
    load_builder(project_root).build(folder)
    return folder


def files_of(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())


def differences(ours, theirs, path="$"):
    """Where two JSON documents differ: structure and text exactly, numbers beyond ``RELATIVE``."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            yield f"{path}: keys {sorted(ours)} and {sorted(theirs)}"
            return
        for key in ours.keys() - DIGESTS:
            yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{path}: lengths {len(ours)} and {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(a, b, f"{path}[{i}]")
    elif type(ours) is not type(theirs):
        yield f"{path}: {ours!r} and {theirs!r}"
    elif isinstance(ours, float):
        if not math.isclose(ours, theirs, rel_tol=RELATIVE, abs_tol=0.0):
            yield f"{path}: {ours!r} and {theirs!r}"
    elif ours != theirs:
        yield f"{path}: {ours!r} and {theirs!r}"


@pytest.mark.slow
def test_committed_documents_are_what_is_built(rebuilt, project_root):
    """On any machine: other processors round the last bit of a template differently."""
    committed = project_root / "workspaces"
    assert files_of(committed) == files_of(rebuilt)
    found = [
        f"{name}{difference}"
        for name in files_of(committed)
        if name.suffix == ".json"
        for difference in differences(read_json(committed / name), read_json(rebuilt / name))
    ]
    assert found == []


def test_committed_digests_are_those_of_the_committed_files(project_root):
    committed = project_root / "workspaces"
    assert build_index(committed) == read_json(committed / "index.json")
    assert index_markdown(build_index(committed)) == (committed / "README.md").read_text()
    for entry in build_index(committed)["entries"]:
        for name, described in entry["documents"].items():
            if described["kind"] == "workspace":
                document = read_json(committed / entry["folder"] / name)
                assert described["digests"] == document_digests(document)


@pytest.mark.slow
def test_byte_for_byte_on_one_machine(rebuilt, project_root, tmp_path):
    """Built again by another process, whose sets and dictionaries of strings are ordered anew."""
    script = project_root / "scripts" / "build_workspaces.py"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, script, "-o", tmp_path], env=environment, check=True)
    assert files_of(tmp_path) == files_of(rebuilt)
    different = [
        str(p)
        for p in files_of(rebuilt)
        if (tmp_path / p).read_bytes() != (rebuilt / p).read_bytes()
    ]
    assert different == []


def test_the_comparison_sees_a_changed_digit():
    document = {"a": [1.5, {"b": "x", "file_sha256": "1"}], "n": 3}
    same = {"a": [1.500000001, {"b": "x", "file_sha256": "2"}], "n": 3}
    assert list(differences(document, same)) == []
    other = {"a": [1.50000001, {"b": "y"}], "n": 3.0}
    assert sorted(differences(document, other)) == [
        "$.a[0]: 1.5 and 1.50000001",
        "$.a[1]: keys ['b', 'file_sha256'] and ['b']",
        "$.n: 3 and 3.0",
    ]


@pytest.mark.slow
def test_patchsets_belong_to_their_backgrounds(project_root):
    import pyhf

    found = sorted((project_root / "workspaces").glob("*/patchset.json"))
    assert len(found) == 5
    for path in found:
        background = json.loads(path.with_name("workspace.json").read_text())
        patchset = pyhf.PatchSet(json.loads(path.read_text()))
        patchset.verify(background)
        patch = patchset.patches[-1]
        model = pyhf.Workspace(patchset.apply(background, patch.name)).model()
        assert model.config.poi_name is not None


def test_plain_pyhf_gives_the_published_bound(project_root):
    """A statistician with pyhf alone: profile bound on mu_universal from the committed file."""
    import pyhf
    from scipy.optimize import brentq

    path = project_root / "workspaces" / "magnetic_moment_combined" / "workspace.json"
    workspace = pyhf.Workspace(json.loads(path.read_text()))
    model = workspace.model(measurement_name="mu2_universal")
    data = workspace.data(model)
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1))
    try:
        best = pyhf.infer.mle.fit(data, model, return_fitted_val=True)[1]

        def delta(poi):
            fixed = pyhf.infer.mle.fixed_poi_fit(poi, data, model, return_fitted_val=True)
            return float(fixed[1] - best) - 2.705543

        upper = math.sqrt(brentq(delta, 0.5, 3.0, xtol=1e-5))
    finally:
        pyhf.set_backend(backend, optimizer)
    # 1.1e-9 mu_B is published with two digits (4.5 %); 5 % is asked for
    assert upper == pytest.approx(1.1, rel=0.05)
