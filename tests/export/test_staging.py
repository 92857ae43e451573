"""Folders appear whole or not at all, and unwritable places are one clear line."""

from __future__ import annotations

import pytest

from histnu.core.errors import ConfigError, DataError, ExportError, PatchSetError, WorkspaceError
from histnu.core.serialize import staged
from histnu.export import export_document
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.workspace.grids import make_grid
from histnu.workspace.patchset import Basis, PatchSetInfo, build_patchset
from histnu.workspace.selection import Selection

ONE = Selection(patch_name="mu_e_1")


@pytest.fixture(scope="module")
def grid(assembly, tmp_path_factory):
    """Folder with a background-only workspace and a PatchSet."""
    folder = tmp_path_factory.mktemp("grid")
    basis = Basis(assembly.workspace, assembly.polynomial)
    grid = make_grid(MagneticMoment(), "mu_e", [("mu_e", (0.0, 1.0, 2.0))])
    build_patchset(folder, grid, basis, PatchSetInfo("n", "d"))
    return folder


def test_files_are_moved_and_others_stay(tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "mine.txt").write_text("mine")
    with staged(tmp_path / "place") as temporary:
        (temporary / "out" / "sub").mkdir()
        (temporary / "out" / "sub" / "new.txt").write_text("new")
        (temporary / "scratch.txt").write_text("not published")
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["place/mine.txt", "place/sub/new.txt"]


def test_nothing_is_left_after_a_fault(tmp_path):
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "place") as temporary:
        (temporary / "out" / "half.txt").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["root", "xml", "hs3", "hepdata"])
def test_a_file_where_the_folder_should_be(built, tmp_path, target):
    if target == "hepdata":
        pytest.importorskip("hepdata_lib", reason="submissions need hepdata-lib")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another folder with -o") as caught:
        export_document(built / "workspace.json", target, tmp_path / "file" / "deep")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_patches_are_applied_first(grid, tmp_path):
    written = export_document(grid / "workspace.json", "hs3", tmp_path, ONE)
    assert '"mu_sig"' in written.read_text()


def test_background_only_documents_need_a_patch(grid, tmp_path):
    with pytest.raises(WorkspaceError, match=r"is background-only; name a patch with --patch-name"):
        export_document(grid / "workspace.json", "hs3", tmp_path)
    with pytest.raises(PatchSetError, match="no patch is called 'mu_e_7'"):
        export_document(grid / "workspace.json", "hs3", tmp_path, Selection(patch_name="mu_e_7"))
    with pytest.raises(ConfigError, match="leave out --patch"):
        export_document(grid / "workspace.json", "hepdata", tmp_path, ONE)
    assert list(tmp_path.iterdir()) == []


def test_sources_that_are_no_workspace(built, tmp_path):
    with pytest.raises(ExportError, match="is a folder"):
        export_document(built, "root", tmp_path)
    with pytest.raises(WorkspaceError, match="is no workspace"):
        export_document(built / "manifest.json", "root", tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        export_document(built / "none.json", "root", tmp_path)
    with pytest.raises(ConfigError, match="unknown format 'pdf'"):
        export_document(built / "workspace.json", "pdf", tmp_path)
