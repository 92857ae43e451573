"""Download a release: from its DOI, a URL or a local archive; checked, then put in place whole."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from histnu.core.errors import ConfigError, DataError, located
from histnu.core.serialize import folder_for
from histnu.releases.archive import extract
from histnu.releases.locate import cache_folder, missing_files
from histnu.releases.registry import Release, release

log = logging.getLogger(__name__)

BLOCK = 1 << 13
TIMEOUT_S = 60.0
Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in total (0 if unknown)."""


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch.

    Attributes:
        source: archive, folder or URL; the DOI of the release if None.
        checksum: ``sha256:...`` or ``md5:...`` of an archive or URL; DOIs bring their own.
        folder: where releases are kept; the user's cache if None.
        progress: called while downloading.
        force: replace a release that is already there.
    """

    source: str | None = None
    checksum: str | None = None
    folder: Path | None = None
    progress: Progress | None = None
    force: bool = False


def fetch(name: str, options: FetchOptions | None = None) -> Path:
    """Fetch a release and return its folder.

    An interrupted download is resumed by the next call; the release folder appears only when
    everything in it has been checked.

    Args:
        name: a known release. options: see :class:`FetchOptions`.

    Raises:
        ConfigError: unknown release, no DOI and no source, or pooch is not installed.
        DataError: download failed, truncated or tampered; unsafe or incomplete archive.
    """
    wanted, options = release(name), options or FetchOptions()
    base = options.folder or cache_folder()
    target = base / name
    if target.is_dir() and not missing_files(target, wanted) and not options.force:
        log.info("%s is already in %s", name, base)
        return target
    try:
        with (
            folder_for(target),
            tempfile.TemporaryDirectory(dir=base, prefix=f".{name}.") as scratch,
        ):
            content = _collect(wanted, options, base, Path(scratch))
            _install(content, target, wanted)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise DataError(located(base, "", problem, "choose another folder")) from None
    return target


def _collect(wanted: Release, options: FetchOptions, base: Path, scratch: Path) -> Path:
    """Bring archives to ``scratch`` and unpack them; return the folder with the content."""
    source = options.source
    if source is not None and Path(source).is_dir():
        folder = Path(source)
        near = [folder, *(p for p in sorted(folder.iterdir()) if p.is_dir())]
        shutil.copytree(_best(near, wanted), scratch / "content")
        return scratch / "content"
    if source is not None and not source.startswith(("http://", "https://")):
        path = Path(source)
        if not path.is_file():
            raise DataError(located(path, "", "is not a file", "give an archive, folder or URL"))
        _check_hash(path, options.checksum)
        return extract(path, scratch / "content")
    downloads = base / ".downloads"
    for url, checksum in _addresses(wanted, options):
        file = download(url, checksum, downloads, options.progress)
        extract(file, scratch / "content")
        file.unlink()
    return scratch / "content"


def _addresses(wanted: Release, options: FetchOptions) -> list[tuple[str, str | None]]:
    """URLs with checksums."""
    if options.source is not None:
        return [(options.source, options.checksum)]
    if wanted.doi is None:
        reference = ", ".join(wanted.references)
        raise ConfigError(
            f"release {wanted.name} has no DOI; give --from ARCHIVE or URL (see {reference})"
        )
    return doi_files(wanted.doi)


def doi_files(doi: str) -> list[tuple[str, str | None]]:
    """Archives of a DOI with the checksums its repository states.

    Raises:
        DataError: if the repository does not answer.
    """
    pooch = _pooch()
    try:
        repository = pooch.downloaders.doi_to_repository(doi)
        catalogue = pooch.create(path=cache_folder(), base_url=f"doi:{doi}", registry=None)
        repository.populate_registry(catalogue)
        return [(repository.download_url(f), h) for f, h in catalogue.registry.items()]
    except Exception as error:  # requests and pooch raise many kinds
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"doi:{doi}: {first}; check the connection, or use --from") from None


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        raise ConfigError("downloads need pooch; run: pip install histnu[releases]") from None
    return pooch


def download(
    url: str, checksum: str | None, folder: Path, progress: Progress | None = None
) -> Path:
    """Download a file with pooch, resuming what an earlier call left.

    Args:
        url: http or https address.
        checksum: ``algorithm:hex`` or None.
        folder: where the file and its unfinished part are kept.
        progress: called while downloading.

    Raises:
        DataError: no connection, an HTTP error, a truncated file or another checksum.
    """
    pooch = _pooch()
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        name = unquote(Path(urlparse(url).path).name) or "download"
    except ValueError as error:
        raise ConfigError(f"{url}: {error}; give an http or https address") from None
    try:
        found = pooch.retrieve(
            url=url,
            known_hash=checksum,
            fname=name,
            path=folder,
            downloader=ResumingDownloader(folder / f"{name}.part", progress),
        )
    except ValueError as error:  # pooch: the hash differs
        (folder / f"{name}.part").unlink(missing_ok=True)
        (folder / name).unlink(missing_ok=True)
        if "hash" not in str(error):
            raise DataError(f"{url}: {error}; check the address") from None
        raise DataError(f"{url}: its checksum is not {checksum}; it was tampered with") from None
    return Path(found)


class ResumingDownloader:
    """A pooch downloader that continues an unfinished file (HTTP range requests).

    Args:
        part: the unfinished file; it stays when a download breaks off.
        progress: called while downloading.
    """

    def __init__(self, part: Path, progress: Progress | None = None) -> None:
        self.part, self.progress = part, progress

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download ``url`` to ``output_file``, as pooch asks."""
        import requests

        self.part.parent.mkdir(parents=True, exist_ok=True)
        done = self.part.stat().st_size if self.part.is_file() else 0
        headers = {"Range": f"bytes={done}-"} if done else {}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
                if answer.status_code == 416:  # the part is already whole, or not of this file
                    self.part.unlink()
                    return self(url, output_file, pooch)
                answer.raise_for_status()
                self._write(answer, done if answer.status_code == 206 else 0)
        except requests.RequestException as error:
            reason = str(error).splitlines()[0][:200]
            raise DataError(f"{url}: download failed ({reason}); run it again to resume") from None
        os.replace(self.part, output_file)

    def _write(self, answer: Any, done: int) -> None:
        total = done + int(answer.headers.get("Content-Length", 0))
        with open(self.part, "ab" if done else "wb") as stream:
            for block in answer.iter_content(BLOCK):
                stream.write(block)
                done += len(block)
                if self.progress is not None:
                    self.progress(done, total)
        if "Content-Length" in answer.headers and done != total:
            problem = f"truncated at {done} of {total} bytes"
            raise DataError(f"{answer.url}: {problem}; run it again to resume")


def _check_hash(path: Path, checksum: str | None) -> None:
    if checksum is None:
        return
    import hashlib

    algorithm, _, value = checksum.rpartition(":")
    try:
        with open(path, "rb") as stream:
            have = hashlib.file_digest(stream, algorithm or "sha256").hexdigest()
    except (ValueError, TypeError):  # unknown, or one whose length must be chosen
        raise ConfigError(f"unknown checksum {checksum!r}; write sha256:... or md5:...") from None
    if have != value.lower():
        problem = f"its checksum is {have}, not {value}"
        raise DataError(located(path, "", problem, "download it again"))


def _install(content: Path, target: Path, wanted: Release) -> None:
    """Check the content and rename it to ``target``."""
    root = _root(content, wanted)
    backup = target.with_name(f".{target.name}.old")
    shutil.rmtree(backup, ignore_errors=True)
    if target.exists():
        os.replace(target, backup)
    try:
        os.replace(root, target)
    except BaseException:
        if backup.exists():
            os.replace(backup, target)
        raise
    shutil.rmtree(backup, ignore_errors=True)


def _root(content: Path, wanted: Release) -> Path:
    """The folder inside an unpacked archive that holds all expected files.

    Raises:
        DataError: if none does; the message names the best candidate's first missing file.
    """
    return _best([content, *(p for p in sorted(content.rglob("*")) if p.is_dir())], wanted)


def _best(candidates: list[Path], wanted: Release) -> Path:
    """The folder that holds all expected files (see :func:`_root`)."""
    counted = [(len(missing_files(p, wanted)), i, p) for i, p in enumerate(candidates)]
    lowest, _, best = min(counted)
    if lowest:
        first = missing_files(best, wanted)[0]
        raise DataError(
            f"this is not release {wanted.name}: {lowest} of {len(wanted.expected)} files are "
            f"missing, first: {first}; check the source"
        )
    return best
