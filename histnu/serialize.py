"""Deterministic JSON, and files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from histnu.errors import DataError, located

SIGNIFICANT_DIGITS = 10
"""Digits kept in every JSON number: far below any physical accuracy, above rounding noise
of different machines."""


def rounded(value: float, digits: int = SIGNIFICANT_DIGITS) -> float:
    """Round to a number of significant digits.

    >>> rounded(0.1 + 0.2)
    0.3
    """
    number = float(value)
    if number == 0.0 or not math.isfinite(number):
        return number + 0.0
    return float(f"{number:.{digits - 1}e}")


def jsonable(value: Any, exact: bool = False) -> Any:
    """Convert mappings, arrays, tuples, paths, numpy scalars and objects with ``to_json``.

    Args:
        value: what is to be written.
        exact: keep all digits, and turn NaN and infinities into None, instead of rounding every
            float and refusing what JSON cannot hold.

    Raises:
        DataError: for NaN or infinity, unless exact.

    >>> jsonable({"a": np.array([0.1 + 0.2, 1.0])}), jsonable((np.inf, 1), exact=True)
    ({'a': [0.3, 1.0]}, [None, 1])
    """
    if hasattr(value, "to_json"):
        return jsonable(value.to_json(), exact)
    if isinstance(value, Mapping):
        return {str(k): jsonable(v, exact) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v, exact) for v in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist(), exact)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not math.isfinite(value):
            if exact:
                return None
            raise DataError(f"{value} cannot be written to JSON")
        return float(value) if exact else rounded(float(value))
    if isinstance(value, Path):
        return value.as_posix()
    return value


def dumps(document: Any, indent: int | None = 2) -> str:
    """Serialise with sorted keys and fixed precision; equal input gives equal bytes."""
    separators = (",", ": ") if indent is not None else (",", ":")
    clean = jsonable(document)
    return json.dumps(clean, sort_keys=True, indent=indent, separators=separators) + "\n"


def digest(document: Any) -> str:
    """SHA-256 of the document as written by :func:`dumps` without indentation."""
    return hashlib.sha256(dumps(document, indent=None).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_open(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Write beside ``path`` and rename on success; on any exception nothing is left behind.

    Raises:
        DataError: if the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise DataError(located(path, "", problem, "choose another folder with -o")) from None
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding, newline=None if "b" in mode else "\n") as f:
            yield f
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_open(path) as stream:
        stream.write(text)


def write_json(path: str | Path, document: Any, indent: int | None = 2) -> None:
    """Write a JSON file atomically and deterministically."""
    write_text(path, dumps(document, indent))


def write_with(path: str | Path, writer: Callable[[Path], None]) -> None:
    """Let ``writer`` fill a temporary file of the same suffix, then rename it to ``path``."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        writer(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: if it is missing or not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            located(path, "", f"cannot be read ({error.strerror})", "check the path")
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(located(path, "", f"is not JSON ({error})", "give a JSON file")) from None
