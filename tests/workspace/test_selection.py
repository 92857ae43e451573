"""Which likelihood of a document: patches are pyhf's, mistakes are one line with their mend."""

from __future__ import annotations

import copy
import json

import jsonpatch
import pyhf
import pytest

from histnu.core.errors import ConfigError, PatchSetError, WorkspaceError
from histnu.workspace.selection import Selection, select
from tests.inference import examples

NAME = "C1N2_300_50"


@pytest.fixture
def pair():
    return examples.search()


def operations(patchset, k=1):
    return patchset["patches"][k]["patch"]


def test_a_patch_of_a_set_is_that_of_pyhf(pair):
    background, patchset = pair
    before = copy.deepcopy(pair)
    found = select("BkgOnly.json", background, Selection(patches=(patchset,), patch_name=NAME))
    assert found.document == dict(pyhf.PatchSet(patchset).apply(background, NAME))
    assert found.patches == (f"patchset::{NAME}",)
    # the digests that pyhf gives the document and the extracted patch identify the input
    assert found.inputs == {
        "BkgOnly.json": pyhf.utils.digest(background),
        f"patchset::{NAME}": pyhf.utils.digest(operations(patchset)),
    }
    assert pair == before, "inputs are not changed"


def test_coordinates_name_a_patch_too(pair):
    background, patchset = pair
    by_name = select("b", background, Selection(None, (patchset,), NAME))
    assert select("b", background, Selection(None, (patchset,), (300.0, 50.0))) == by_name


def test_files_one_after_the_other(pair, tmp_path):
    background, patchset = pair
    (tmp_path / "patchset.json").write_text(json.dumps(patchset))
    sample = background["channels"][1]["samples"][0]
    later = [
        {"op": "replace", "path": "/channels/0/samples/1/data/0", "value": 9.0},
        {"op": "add", "path": "/channels/2", "value": {"name": "VR", "samples": []}},
        {"op": "add", "path": "/channels/2/samples/-", "value": sample},
        {"op": "add", "path": "/observations/-", "value": {"name": "VR", "data": [200.0]}},
    ]  # fmt: skip
    (tmp_path / "later.json").write_text(json.dumps(later))
    files = (tmp_path / "patchset.json", tmp_path / "later.json")
    found = select("b", background, Selection(None, files, NAME))
    full = dict(pyhf.PatchSet(patchset).apply(background, NAME))
    want = jsonpatch.apply_patch(full, later)
    assert found.document == want
    assert found.patches == (f"{files[0]}::{NAME}", str(files[1]))
    # the set was not made for a document that another patch has changed
    with pytest.raises(PatchSetError, match="the workspace has"):
        reverse = ([{"op": "replace", "path": "/version", "value": "1.0.1"}], patchset)
        select("b", background, Selection(None, reverse, NAME))


def test_the_set_beside_the_workspace_is_used(pair, tmp_path):
    background, patchset = pair
    (tmp_path / "patchset.json").write_text(json.dumps(patchset))
    beside = tmp_path / "patchset.json"
    found = select("b", background, Selection(patch_name=NAME), beside)
    assert found.patches == (f"{beside}::{NAME}",)
    assert select("b", background, Selection(), beside).document == background
    with pytest.raises(ConfigError, match=r"b: --patch-name: there is no patchset\.json beside it"):
        select("b", background, Selection(patch_name=NAME))


def changed(patchset, **metadata):
    return {**patchset, "metadata": {**patchset["metadata"], **metadata}}


def test_mistakes_are_named(pair):
    background, patchset = pair

    def refused(error, message, *patches, name=None, document=background):
        with pytest.raises(error, match=message) as caught:
            select("b", document, Selection(None, patches, name))
        assert "\n" not in str(caught.value)

    near = "no patch is called 'C1N2_300_5'; known: C1N2_200_50, C1N2_300_100, C1N2_300_50"
    refused(PatchSetError, near, patchset, name="C1N2_300_5")
    refused(ConfigError, "holds 3 patches; choose with --patch-name: C1N2_200_50", patchset)
    refused(ConfigError, "b: --patch: 2 PatchSets", patchset, patchset, name=NAME)
    wrong = changed(patchset, digests={"sha256": "0" * 64})
    digest = pyhf.utils.digest(background)
    refused(PatchSetError, f"states {'0' * 64}, the workspace has {digest}", wrong, name=NAME)
    far = [{"op": "add", "path": "/channels/7/samples/0", "value": {}}]
    refused(PatchSetError, r"patch: 0: .*channel 7 does not exist \(there are 2\)", far)
    missing = [{"op": "remove", "path": "/channels/0/samples/4"}]
    refused(PatchSetError, "patch: 0: the patch cannot be applied", missing)
    test = [{"op": "test", "path": "/version", "value": "2"}]
    refused(PatchSetError, "JsonPatchTestFailed", test)
    root = [{"op": "replace", "path": "", "value": 5}]
    refused(PatchSetError, "outside a workspace", root)
    refused(PatchSetError, "is no patch; give a list of operations", {"op": "add"})
    bins = [{"op": "replace", "path": "/channels/0/samples/0/data", "value": [1.0]}]
    refused(WorkspaceError, "b with patch: ", bins)
    refused(WorkspaceError, "is not a workspace", bins, document=[1])


def test_a_measurement_must_exist(pair):
    background, _ = pair
    assert select("b", background, Selection("no_jes")).measurement == "no_jes"
    message = "b: --measurement: no measurement 'x'; use one of measurement, no_jes"
    with pytest.raises(ConfigError, match=message):
        select("b", background, Selection("x"))
