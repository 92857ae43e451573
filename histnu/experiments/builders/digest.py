"""Remember which files were read, and their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from histnu.core.errors import DataError, located
from histnu.core.serialize import file_digest
from histnu.releases.registry import RELEASES

SHOWN = 12
"""Folders with more files than this are summed up in one digest."""


class FileLog:
    """Collects the files of a release as they are read."""

    def __init__(self) -> None:
        self.files: set[Path] = set()

    def add(self, path: Path) -> Path:
        """Remember a file and return its path."""
        self.files.add(path)
        return path

    def digests(self) -> dict[str, str]:
        """SHA-256 by name; of a folder with many files, the SHA-256 of their digests.

        Raises:
            DataError: if a file cannot be read.
        """
        folders: dict[Path, list[Path]] = {}
        for path in sorted(self.files):
            folders.setdefault(path.parent, []).append(path)
        result: dict[str, str] = {}
        for folder, paths in folders.items():
            try:
                single = {p.name: file_digest(p) for p in paths}
            except OSError as error:
                problem = f"cannot be read ({error.strerror})"
                raise DataError(located(folder, "", problem, "fetch the release again")) from None
            label = _label(folder)
            if len(paths) <= SHOWN:
                result |= {f"{label}/{name}": value for name, value in single.items()}
            else:
                text = "\n".join(f"{v}  {k}" for k, v in sorted(single.items()))
                result[f"{label}/* ({len(paths)})"] = hashlib.sha256(text.encode()).hexdigest()
        return result


def _label(folder: Path) -> str:
    """Path of a folder from the name of its release on."""
    for i in range(len(folder.parts) - 1, -1, -1):
        if folder.parts[i] in RELEASES:
            return "/".join(folder.parts[i:])
    return folder.name
