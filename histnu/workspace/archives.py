"""Likelihood archives: what is attached to a HEPData record, read safely.

Reading never executes anything, and writes nothing but a temporary copy of an archive inside
another.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from histnu.core.errors import ConfigError, ExportError, located
from histnu.core.serialize import parse_json
from histnu.core.strict_yaml import parse_documents

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
RESOURCE_TYPE = "HistFactory"
"""Type of the resources of a HEPData record that are likelihoods."""
SUBMISSION = "submission.yaml"
"""The file that makes an archive a HEPData submission."""

MAXIMUM_BYTES = 500_000_000
"""Unpacked size above which an archive is refused."""

MAXIMUM_FILES = 10_000
"""Number of files above which an archive is refused."""

DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
)
"""What the standard library raises for damaged or unusual archives."""


def check_name(name: str, archive: str) -> PurePosixPath:
    """A relative path that stays inside.

    Raises:
        ExportError: for absolute paths, drive letters, backslashes and ``..``.
    """
    path = PurePosixPath(name)
    climbs = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if climbs or not path.parts or "\0" in name:
        problem = f"holds the path {name!r}, which climbs out of it"
        raise ExportError(located(archive, "", problem, "do not use this archive"))
    return path


def read_archive(path: str | Path) -> dict[str, bytes]:
    """Read all files of a ``.tar``, ``.tar.gz`` or ``.zip`` into memory; nothing is written.

    Raises:
        ExportError: for a missing, truncated or damaged archive, paths that climb out of it,
            links or devices, or more than ``MAXIMUM_BYTES`` or ``MAXIMUM_FILES``.
    """
    path = Path(path)
    if not path.is_file():
        raise ExportError(located(path, "", "does not exist", "check the path"))
    reader: Callable[[Path], Iterator[tuple[str, bytes]]]
    reader = _zip_files if zipfile.is_zipfile(path) else _tar_files
    found: dict[str, bytes] = {}
    try:
        for name, data in reader(path):
            found[name] = data
            if len(found) > MAXIMUM_FILES or sum(map(len, found.values())) > MAXIMUM_BYTES:
                mend = "unpack it by other means if you trust it"
                raise ExportError(located(path, "", "is too large when unpacked", mend))
    except DAMAGE as error:
        problem = f"is truncated or damaged ({type(error).__name__})"
        raise ExportError(located(path, "", problem, "download it again")) from None
    return found


def _unpacked(path: Path) -> bytes:
    """The tar archive inside a ``.tar.gz``, whose checksum this verifies, or a plain ``.tar``."""
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        reader = gzip.GzipFile(fileobj=stream) if packed else stream
        data = reader.read(MAXIMUM_BYTES + 1)
    if len(data) > MAXIMUM_BYTES:
        mend = "unpack it by other means if you trust it"
        raise ExportError(located(path, "", "is too large when unpacked", mend))
    return data


def _tar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(_unpacked(path)), mode="r:") as tar:
        for entry in tar:
            if entry.isdir():
                continue
            name = str(check_name(entry.name, str(path)))
            if not entry.isreg():
                problem = f"holds {name!r}, which is a link or a device"
                raise ExportError(located(path, "", problem, "do not use this archive"))
            yield name, _limited(path, tar.extractfile(entry), entry.size)


def _zip_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Regular files of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            if entry.flag_bits & 1:
                problem = f"holds {entry.filename!r} encrypted"
                raise ExportError(located(path, "", problem, "unpack it with its password first"))
            name = str(check_name(entry.filename, str(path)))
            with archive.open(entry) as stream:
                yield name, _limited(path, stream, entry.file_size)


def _limited(path: Path, stream: Any, size: int) -> bytes:
    """Read one member, never more than the limit."""
    if size > MAXIMUM_BYTES or stream is None:
        mend = "unpack it by other means if you trust it"
        raise ExportError(located(path, "", "is too large when unpacked", mend))
    data = bytes(stream.read(size + 1))
    if len(data) != size:
        raise ExportError(located(path, "", "is truncated or damaged", "download it again"))
    return data


def attached(path: Path, contents: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Files of each likelihood archive that a submission attaches.

    Args:
        path: of the submission, for messages. contents: its files.

    Raises:
        ExportError: for a resource that is missing or damaged, or a ``submission.yaml`` that is.
    """
    for location in _resources(path, contents[SUBMISSION]):
        check_name(location, str(path))
        if location not in contents:
            raise ExportError(located(path, location, "is missing", "download the whole record"))
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / Path(location).name
            archive.write_bytes(contents[location])
            yield read_archive(archive)


def _resources(path: Path, text: bytes) -> Iterator[str]:
    """Locations of the HistFactory resources of a ``submission.yaml``."""
    where = f"{path}: submission.yaml"
    try:
        documents = parse_documents(text.decode("utf-8-sig"), where)
    except ConfigError as error:
        raise ExportError(str(error)) from None
    except UnicodeDecodeError:
        raise ExportError(located(path, "submission.yaml", "is not text", "mend it")) from None
    for document in documents:
        listed = document.get("additional_resources") if isinstance(document, dict) else None
        for resource in listed if isinstance(listed, list) else []:
            if not isinstance(resource, dict) or "location" not in resource:
                mend = "give every additional resource a location"
                raise ExportError(located(where, "additional_resources", "is damaged", mend))
            if str(resource.get("type", "")).lower() == RESOURCE_TYPE.lower():
                yield str(resource["location"])


def split_name(text: str) -> tuple[str, str] | None:
    """Archive and name of ``ARCHIVE::NAME``; the name is empty in ``ARCHIVE``.

    None for a text that names no archive.
    """
    archive, _, name = text.partition("::")
    return (archive, name) if archive.endswith(SUFFIXES) else None


def read_member(text: str) -> Any | None:
    """The JSON document that ``ARCHIVE::NAME`` names, or None for any other text.

    Args:
        text: a likelihood archive, or a submission that attaches some, and a file inside.

    Raises:
        ExportError: for a damaged archive, a path that climbs out of it, or an unknown name.
        DataError: the file is not strict JSON.
    """
    named = split_name(text)
    if named is None:
        return None
    path, name = Path(named[0]), named[1]
    files = read_archive(path)
    if SUBMISSION in files:
        files = {n: data for inner in attached(path, files) for n, data in inner.items()}
    if name not in files:
        known = ", ".join(sorted(n for n in files if n.endswith(".json")))
        mend = f"write {path}::NAME with one of {known}"
        raise ExportError(located(path, name, "names no file in the archive", mend))
    return parse_json(files[name], text)
