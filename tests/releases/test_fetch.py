"""Fetching releases: a server on 127.0.0.1, archives, folders; and all that can go wrong."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from histnu.cli.fetch import command
from histnu.core.errors import ConfigError, DataError
from histnu.releases import fetch as module
from histnu.releases import registry
from histnu.releases.fetch import FetchOptions, download, fetch
from histnu.releases.locate import find_release, releases_found

FILES = {"a.csv": b"x\n1\n", "deep/b.bin": bytes(range(256)) * 2000}
TOY = registry.Release("toy", "a toy", None, ("arXiv:0",), "none", tuple(FILES))


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.RELEASES, "toy", TOY)


def zipped(files: dict[str, bytes], prefix: str = "toy-v1/") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in files.items():
            file.writestr(prefix + name, data)
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return stream.getvalue()


class Server:
    """Serves one archive; can break off, and counts range requests."""

    def __init__(self) -> None:
        self.body = zipped(FILES)
        self.stop_after: int | None = None
        self.ranges: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "missing" in self.path:
                    self.send_error(404)
                    return
                wanted = self.headers.get("Range")
                first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                if wanted:
                    outer.ranges.append(wanted)
                part = outer.body[first:]
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                stop, outer.stop_after = outer.stop_after, None
                self.wfile.write(part if stop is None else part[:stop])

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/toy.zip"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name not in {"toy", ".downloads"}]


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_download_from_a_server(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    options = FetchOptions(
        server.url, sha256(server.body), tmp_path, lambda a, b: seen.append((a, b))
    )
    folder = fetch("toy", options)
    assert content(folder) == FILES
    assert seen[-1] == (len(server.body), len(server.body))
    assert leftovers(tmp_path) == []


def test_second_fetch_downloads_nothing(server: Server, tmp_path: Path) -> None:
    options = FetchOptions(server.url, None, tmp_path)
    fetch("toy", options)
    server.body = b"not an archive"
    assert content(fetch("toy", options)) == FILES


def test_interrupted_download_is_resumed(server: Server, tmp_path: Path) -> None:
    server.stop_after = 100_000
    options = FetchOptions(server.url, sha256(server.body), tmp_path)
    with pytest.raises(DataError, match="resume"):
        fetch("toy", options)
    assert not (tmp_path / "toy").exists()
    assert content(fetch("toy", options)) == FILES
    assert server.ranges and server.ranges[0].startswith("bytes=")


def test_tampered_download_is_refused(server: Server, tmp_path: Path) -> None:
    good = sha256(server.body)
    server.body = server.body[:-60] + b"x" * 60
    with pytest.raises(DataError, match="tampered"):
        fetch("toy", FetchOptions(server.url, good, tmp_path))
    assert not (tmp_path / "toy").exists()
    assert list((tmp_path / ".downloads").iterdir()) == []


def test_http_error_and_no_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="404"):
        download(server.url.replace("toy.zip", "missing.zip"), None, tmp_path)
    with pytest.raises(DataError, match="download failed"):
        download("http://127.0.0.1:9/x.zip", None, tmp_path)


def test_doi_is_used_by_default(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_doi = registry.Release("toy", "a toy", "10.5281/zenodo.1", (), "none", tuple(FILES))
    monkeypatch.setitem(registry.RELEASES, "toy", with_doi)
    addresses = [(server.url, sha256(server.body))]
    monkeypatch.setattr(module, "doi_files", lambda doi: addresses if "zenodo.1" in doi else [])
    assert content(fetch("toy", FetchOptions(folder=tmp_path))) == FILES


def test_release_without_doi_needs_a_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no DOI; give --from"):
        fetch("toy", FetchOptions(folder=tmp_path))
    with pytest.raises(ConfigError, match="unknown release 'nothing'"):
        fetch("nothing")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_local_archive(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    archive = tmp_path / "archive"
    archive.write_bytes(make(FILES))
    assert content(fetch("toy", FetchOptions(str(archive), folder=tmp_path / "c"))) == FILES


def test_local_folder(tmp_path: Path) -> None:
    for name, data in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder = fetch("toy", FetchOptions(str(tmp_path / "source"), folder=tmp_path / "c"))
    assert content(folder) == FILES


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_cannot_climb_out(name: str, kind: str, tmp_path: Path) -> None:
    files = {**FILES, name: b"bad"}
    archive = tmp_path / "archive"
    archive.write_bytes(zipped(files, "") if kind == "zip" else tarred(files))
    with pytest.raises(DataError, match="climbs out"):
        fetch("toy", FetchOptions(str(archive), folder=tmp_path / "cache"))
    assert not (tmp_path / "cache" / "toy").exists()
    assert list(tmp_path.rglob("*evil*")) == []
    assert not (tmp_path / "cache").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as file:
        info = tarfile.TarInfo("a.csv")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(DataError, match="link"):
        fetch("toy", FetchOptions(str(archive), folder=tmp_path / "cache"))


def test_truncated_archive_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(tarred(FILES)[:-40])
    with pytest.raises(DataError, match="download it again"):
        fetch("toy", FetchOptions(str(archive), folder=tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_incomplete_archive_keeps_the_old_release(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(zipped(FILES))
    bad.write_bytes(zipped({"a.csv": b""}))
    fetch("toy", FetchOptions(str(good), folder=tmp_path / "c"))
    with pytest.raises(DataError, match=r"missing, first: deep/b\.bin"):
        fetch("toy", FetchOptions(str(bad), folder=tmp_path / "c", force=True))
    assert content(tmp_path / "c" / "toy") == FILES


def test_wrong_checksum_of_a_local_archive(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(FILES))
    with pytest.raises(DataError, match="its checksum is"):
        fetch("toy", FetchOptions(str(archive), "sha256:00", tmp_path / "c"))
    with pytest.raises(ConfigError, match="unknown checksum"):
        fetch("toy", FetchOptions(str(archive), "crc99:00", tmp_path / "c"))


def test_found_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(FILES))
    folder = fetch("toy", FetchOptions(str(archive), folder=tmp_path / "c"))
    monkeypatch.setenv("HISTNU_RELEASES", str(tmp_path / "c"))
    assert find_release("toy") == folder
    assert releases_found()["toy"] == folder
    (folder / "a.csv").unlink()
    with pytest.raises(DataError, match="incomplete"):
        find_release("toy")
    monkeypatch.setenv("HISTNU_RELEASES", str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="histnu fetch toy"):
        find_release("toy")


def test_command(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(FILES))
    arguments = ["toy", "--from", str(archive), "-o", str(tmp_path / "c")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "c" / "toy") in result.output
