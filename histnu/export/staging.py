"""Folders that appear whole: written beside their place, then moved file by file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histnu.errors import DataError, located


@contextmanager
def staged(folder: str | Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``; on success its ``out`` folder is moved to its place.

    Files of other names that are in ``folder`` already stay. On any exception nothing is moved.

    Yields:
        The temporary folder, with an empty folder ``out`` inside.

    Raises:
        DataError: if the place cannot be written.
    """
    folder = Path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.")
    except OSError as error:
        raise _unwritable(folder, error) from None
    with temporary as name:
        out = Path(name) / "out"
        out.mkdir()
        yield Path(name)
        try:
            _publish(out, folder)
        except OSError as error:
            raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> DataError:
    problem = f"cannot be written ({error.strerror})"
    return DataError(located(folder, "", problem, "choose another folder with -o"))


def _publish(out: Path, folder: Path) -> None:
    """Move files to a folder, each by a rename."""
    for file in sorted(p for p in out.rglob("*") if p.is_file()):
        target = folder / file.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)
