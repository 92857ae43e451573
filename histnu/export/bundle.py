"""Likelihood archives: what is attached to a HEPData record, and how anybody's is read safely.

Layout (a flat or nested folder of JSON, packed as ``.tar.gz``)::

    README.md                       what is inside and how to use it
    <name>/workspace.json           full workspace, or background-only workspace of a PatchSet
    <name>/patchset.json            one patch per grid point, where there is a grid
    <name>/manifest.json            bin edges, units, formulas, interpolation, provenance, digests

Reading never executes and, unless asked to extract, never writes anything.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from histnu.core.errors import DataError, ExportError, located
from histnu.core.serialize import atomic_open, parse_json, read_bytes

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

README = """# Likelihoods in pyhf's HistFactory JSON

Use them with any pyhf tool:

    pyhf cls NAME/workspace.json --measurement MEASUREMENT
    pyhf patchset verify NAME/workspace.json NAME/patchset.json
    pyhf patchset apply NAME/workspace.json NAME/patchset.json --name PATCH --output-file full.json
    pyhf cls full.json

`manifest.json` beside a document states what HistFactory JSON cannot hold: bin edges, units, the
formula of the parameters of interest, interpolation codes, provenance and digests. Where there is
a PatchSet, the parameter of interest `mu_sig` exists once a patch is applied; 1 is the hypothesis
that labels the patch.

Documents:

"""


def write_bundle(files: Mapping[str, Path], path: str | Path) -> Path:
    """Pack JSON documents into a ``.tar.gz``; equal input gives equal bytes.

    Args:
        files: name inside the archive (``moments/workspace.json``) -> file.
        path: the archive.

    Raises:
        ExportError: if there is nothing to pack, or a name climbs out of the archive.
    """
    if not files:
        raise ExportError(located(path, "", "no likelihood to pack", "build a workspace first"))
    listed = "".join(f"- `{name}`\n" for name in sorted(files))
    contents = {"README.md": (README + listed).encode()}
    contents |= {name: read_bytes(file) for name, file in files.items()}
    return write_tar(contents, path)


def write_tar(contents: Mapping[str, bytes], path: str | Path) -> Path:
    """Write a deterministic ``.tar.gz``: sorted names, no times, owners or modes of this machine.

    Raises:
        ExportError: if a name climbs out of the archive.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(contents):
            check_name(name, str(path))
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(contents[name]), 0o644
            tar.addfile(entry, io.BytesIO(contents[name]))
    with atomic_open(path, "wb") as stream, gzip.GzipFile("", "wb", 9, stream, mtime=0) as packed:
        packed.write(buffer.getvalue())
    return Path(path)


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


@dataclass(frozen=True)
class Bundle:
    """Likelihoods of an archive.

    Attributes:
        workspaces: name inside the archive -> HistFactory JSON.
        patchsets: name inside the archive -> PatchSet JSON.
        manifests: folder inside the archive -> manifest.
    """

    workspaces: dict[str, dict[str, Any]]
    patchsets: dict[str, dict[str, Any]]
    manifests: dict[str, dict[str, Any]]


def read_bundle(path: str | Path) -> Bundle:
    """Read the likelihoods of an archive or of a folder.

    Documents are told apart by what they hold, not by name, so archives of other experiments
    (``BkgOnly.json``, ``patchset.json``) are read as well.

    Raises:
        ExportError: as :func:`read_archive`, or if it holds no HistFactory JSON.
    """
    contents = _folder_files(Path(path)) if Path(path).is_dir() else read_archive(path)
    bundle = Bundle({}, {}, {})
    for name, data in sorted(contents.items()):
        if not name.endswith(".json"):
            continue
        try:
            document = parse_json(data, f"{path}::{name}")
        except DataError as error:
            raise ExportError(str(error)) from None
        if not isinstance(document, dict):
            continue
        if "patches" in document:
            bundle.patchsets[name] = document
        elif "channels" in document and "measurements" in document:
            bundle.workspaces[name] = document
        elif str(document.get("schema", "")).startswith("histnu-manifest/"):
            bundle.manifests[str(PurePosixPath(name).parent)] = document
    if not bundle.workspaces:
        mend = "give a likelihood archive or its folder"
        raise ExportError(located(path, "", "holds no HistFactory JSON", mend))
    return bundle


def _folder_files(folder: Path) -> dict[str, bytes]:
    """JSON files of a folder."""
    files = sorted(p for p in folder.rglob("*.json") if p.is_file())
    return {p.relative_to(folder).as_posix(): read_bytes(p) for p in files}
