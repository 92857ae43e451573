"""Likelihood archives: deterministic, and nobody's archive can do harm."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest

from histnu.core.errors import ExportError
from histnu.export import bundle
from histnu.workspace import archives


@pytest.fixture
def archive(built, tmp_path):
    files = {f"moments/{p.name}": p for p in built.iterdir()}
    return bundle.write_bundle(files, tmp_path / "likelihoods.tar.gz")


def make_tar(path, entries):
    """A tar archive of (name, bytes) or TarInfo entries."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in entries:
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if entry.isreg():
                entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_round_trip(archive, workspace, manifest):
    found = bundle.read_bundle(archive)
    assert found.workspaces == {"moments/workspace.json": workspace}
    assert found.manifests == {"moments": manifest}
    assert found.patchsets == {}
    assert b"moments/workspace.json" in archives.read_archive(archive)["README.md"]


def test_bytes_are_the_same_twice(archive, built, tmp_path):
    files = {f"moments/{p.name}": p for p in reversed(list(built.iterdir()))}
    again = bundle.write_bundle(files, tmp_path / "again.tar.gz")
    assert again.read_bytes() == archive.read_bytes()


def test_zip_archives_are_read(workspace, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("BkgOnly.json", json.dumps(workspace))
    assert bundle.read_bundle(path).workspaces == {"BkgOnly.json": workspace}


def link(name, target, kind=tarfile.SYMTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        "../climbs.json",
        "/etc/climbs.json",
        "a/../../climbs.json",
        "..\\climbs.json",
        "C:/climbs.json",
        link("climbs.json", "/etc/passwd"),
        link("climbs.json", "../../secret", tarfile.LNKTYPE),
        link("climbs.json", "", tarfile.FIFOTYPE),
        link("climbs.json", "", tarfile.CHRTYPE),
    ],
    ids=lambda entry: entry if isinstance(entry, str) else f"type {entry.type.decode()}",
)
def test_archives_that_climb_out(entry, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    path = make_tar(tmp_path / "evil.tar.gz", [("good.json", b"{}"), (entry, b"{}")])
    with pytest.raises(ExportError, match="do not use this archive") as caught:
        archives.read_archive(path)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["evil.tar.gz", "inside"]


def test_zip_that_climbs_out(tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("../climbs.json", "{}")
    with pytest.raises(ExportError, match="climbs out"):
        archives.read_archive(path)
    assert [p.name for p in tmp_path.iterdir()] == ["evil.zip"]


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.99])
def test_truncated_archives(archive, tmp_path, keep):
    data = archive.read_bytes()
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ExportError, match="is truncated or damaged"):
        archives.read_archive(path)


def test_flipped_bytes_are_found(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "flipped.tar.gz"
    path.write_bytes(bytes(data))
    with pytest.raises(ExportError, match=r"truncated or damaged|is not JSON"):
        bundle.read_bundle(path)


def test_too_large(monkeypatch, archive):
    monkeypatch.setattr(archives, "MAXIMUM_BYTES", 1000)
    with pytest.raises(ExportError, match="too large"):
        archives.read_archive(archive)
    monkeypatch.setattr(archives, "MAXIMUM_BYTES", 10**9)
    monkeypatch.setattr(archives, "MAXIMUM_FILES", 1)
    with pytest.raises(ExportError, match="too large"):
        archives.read_archive(archive)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """A member that claims more than the limit is refused before it is read."""
    monkeypatch.setattr(archives, "MAXIMUM_BYTES", 10**6)
    path = make_tar(tmp_path / "bomb.tar.gz", [("zeros.json", bytes(2 * 10**6))])
    assert path.stat().st_size < 10**4
    with pytest.raises(ExportError, match="too large"):
        archives.read_archive(path)


def test_archives_without_likelihoods(tmp_path):
    path = make_tar(tmp_path / "a.tar.gz", [("a.json", b'{"x": 1}'), ("list.json", b"[1]")])
    with pytest.raises(ExportError, match="holds no HistFactory JSON"):
        bundle.read_bundle(path)
    path = make_tar(tmp_path / "b.tar.gz", [("a.json", b"{")])
    with pytest.raises(ExportError, match=r"a\.json: is not JSON"):
        bundle.read_bundle(path)
    with pytest.raises(ExportError, match="does not exist"):
        bundle.read_bundle(tmp_path / "none.tar.gz")
    (tmp_path / "text.tar.gz").write_text("no archive")
    with pytest.raises(ExportError, match="is truncated or damaged"):
        bundle.read_bundle(tmp_path / "text.tar.gz")
    with pytest.raises(ExportError, match="no likelihood to pack"):
        bundle.write_bundle({}, tmp_path / "c.tar.gz")
    with pytest.raises(ExportError, match="climbs out"):
        bundle.write_bundle({"../a.json": tmp_path / "text.tar.gz"}, tmp_path / "c.tar.gz")
    assert not (tmp_path / "c.tar.gz").exists()
