"""Unpack an archive without letting any of its paths out of the folder."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from histnu.core.errors import DataError, located

MAX_BYTES = 8 << 30
"""No release is larger than this when unpacked; more is an archive bomb."""


def extract(archive: Path, folder: Path) -> Path:
    """Unpack a zip or tar archive (plain, gz, bz2, xz) into a folder.

    Only regular files and folders are unpacked.

    Raises:
        DataError: for another kind of file, a damaged or truncated archive, a path that climbs
            out, a link, a device, or more than ``MAX_BYTES``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        elif tarfile.is_tarfile(archive):
            _untar(archive, folder)
        else:
            problem = "is no zip or tar archive, or is truncated"
            raise DataError(located(archive, "", problem, "download it again"))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        problem = f"cannot be unpacked ({error})"
        raise DataError(located(archive, "", problem, "download it again")) from None
    return folder


def safe_path(archive: Path, folder: Path, name: str) -> Path:
    """Where a member is written.

    Raises:
        DataError: for an absolute path or one with ``..``.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name.split("/")[0]:
        problem = "climbs out of the archive"
        raise DataError(located(archive, name, problem, "do not use this archive"))
    return folder / path


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        _check_size(archive, sum(m.file_size for m in members))
        targets = [(m, safe_path(archive, folder, m.filename)) for m in members]
        for member, target in targets:
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise DataError(located(archive, member.filename, "is a link", "do not use it"))
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                with file.open(member) as stream:
                    _write(stream, target)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        members = file.getmembers()
        _check_size(archive, sum(m.size for m in members))
        targets = [(m, safe_path(archive, folder, m.name)) for m in members]
        for member, target in targets:
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            stream = file.extractfile(member) if member.isfile() else None
            if stream is None:
                problem = "is a link or a device"
                raise DataError(located(archive, member.name, problem, "do not use this archive"))
            with stream:
                _write(stream, target)


def _check_size(archive: Path, size: int) -> None:
    if size > MAX_BYTES:
        problem = f"unpacks to {size} bytes"
        raise DataError(located(archive, "", problem, "check the source"))


def _write(stream: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as output:
        shutil.copyfileobj(stream, output)
