"""Deterministic JSON, strict reading, and files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from histnu.core.errors import DataError, located

log = logging.getLogger(__name__)

SIGNIFICANT_DIGITS = 10
"""Digits kept in every JSON number: far below any physical accuracy, above rounding noise
of different machines."""
MAXIMUM_DEPTH = 60
"""Levels of nesting that a document may have; HistFactory needs nine."""
MAXIMUM_INTEGER = 2**63
"""Integers of this size and more are no counts; other languages cannot hold them."""
MAXIMUM_PARTS = 200
"""Folders inside folders above which a path is not written to."""
MAXIMUM_BYTES = 1_000_000_000
"""Size above which a text file is not read."""
_PLAIN = frozenset({str, int, bool, type(None)})  # written as they are


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
    kind = type(value)
    if kind is float:  # the exact types first: of them there are many
        return _number(value, exact)
    if kind in _PLAIN:
        return value
    if kind is list or kind is tuple:
        return [jsonable(v, exact) for v in value]
    if kind is dict or (isinstance(value, Mapping) and not hasattr(value, "to_json")):
        return {str(k): jsonable(v, exact) for k, v in value.items()}
    if hasattr(value, "to_json"):
        return jsonable(value.to_json(), exact)
    if isinstance(value, (float, np.floating)):
        return _number(float(value), exact)
    if isinstance(value, (list, tuple)):
        return [jsonable(v, exact) for v in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist(), exact)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, Path):
        return value.as_posix()
    return value


def _number(value: float, exact: bool) -> float | None:
    """A float as it is written, see :func:`jsonable`."""
    if not math.isfinite(value):
        if exact:
            return None
        raise DataError(f"{value} cannot be written to JSON")
    return value if exact else rounded(value)


def dumps(document: Any, indent: int | None = 2) -> str:
    """Serialise with sorted keys and fixed precision; equal input gives equal bytes."""
    separators = (",", ": ") if indent is not None else (",", ":")
    clean = jsonable(document)
    return json.dumps(clean, sort_keys=True, indent=indent, separators=separators) + "\n"


def digest(document: Any) -> str:
    """SHA-256 of the document as written by :func:`dumps` without indentation."""
    return hashlib.sha256(dumps(document, indent=None).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def reason(error: OSError | ValueError) -> str:
    """What the system says, without its number and path."""
    return str(getattr(error, "strerror", None) or error)


def _unreadable(path: str | Path, error: OSError | ValueError) -> DataError:
    return DataError(located(path, "", f"cannot be read ({reason(error)})", "check the path"))


def _unwritable(path: str | Path, error: OSError | ValueError) -> DataError:
    mend = "choose another folder with -o"
    return DataError(located(path, "", f"cannot be written ({reason(error)})", mend))


# ---------------------------------------------------------------- reading


def read_bytes(path: str | Path) -> bytes:
    """The content of a file or pipe.

    Raises:
        DataError: if it is missing, a folder or a device, or larger than ``MAXIMUM_BYTES``.
    """
    try:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
                raise DataError(located(path, "", "is no regular file", "give a file"))
            data = stream.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(data) > MAXIMUM_BYTES:
        problem = f"is larger than {MAXIMUM_BYTES} bytes"
        raise DataError(located(path, "", problem, "give a smaller file"))
    return data


def read_text(path: str | Path) -> str:
    """The content of a UTF-8 text file, without a byte-order mark.

    Raises:
        DataError: as :func:`read_bytes`, and for bytes that are not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start})"
        raise DataError(located(path, "", problem, "give a text file")) from None


def read_json(path: str | Path) -> Any:
    """Read a JSON file strictly (see :func:`parse_json`).

    Raises:
        DataError: if it is missing or not strict JSON.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str | bytes, path: str | Path) -> Any:
    """Parse JSON: no key twice, every number finite and an integer below 2^63, limited depth.

    Args:
        text: the content, UTF-8 if bytes.
        path: where it comes from, for messages.

    Raises:
        DataError: otherwise; the message names the key, the number or the line.
    """
    if is_deeper(text, MAXIMUM_DEPTH):
        raise _too_deep(path)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except RecursionError:
        raise _too_deep(path) from None
    except (_NotStrict, ValueError) as error:
        problem = f"is not JSON ({' '.join(str(error).split())})"
        raise DataError(located(path, "", problem, "give a JSON file")) from None
    return document


def _too_deep(path: str | Path) -> DataError:
    problem = f"is nested more than {MAXIMUM_DEPTH} levels deep"
    return DataError(located(path, "", problem, "give a flatter document"))


class _NotStrict(ValueError):
    """JSON that Python reads and others do not, or read differently."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [k for k, _ in pairs]
        repeated = next(k for i, k in enumerate(names) if k in names[:i])
        raise _NotStrict(f"the key {shortened(repeated)!r} appears twice in one object")
    return found


def _no_constant(text: str) -> float:
    raise _NotStrict(f"{text} is no number")


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= MAXIMUM_INTEGER:
        raise _NotStrict(f"the integer {shortened(text)} is too large")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotStrict(f"the number {shortened(text)} is too large")
    return number


def shortened(text: str, length: int = 60) -> str:
    """The text, or its beginning.

    >>> shortened("9" * 5000, 8)
    '99999999...'
    """
    return text if len(text) <= length else text[:length] + "..."


STEPS = np.zeros(256, dtype=np.int8)
STEPS[list(b"[{")] = 1
STEPS[list(b"]}")] = -1
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)


def is_deeper(text: str | bytes, limit: int) -> bool:
    """Whether the brackets of a JSON text nest deeper than ``limit``, found before it is parsed.

    >>> is_deeper('[[[]], "[["]', 3), is_deeper('[[[{"a": 1}]], 1]', 3)
    (False, True)
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    level = 0
    for first in range(0, len(data), 1 << 20):
        block = np.frombuffer(data[first : first + (1 << 20)], dtype=np.uint8)
        levels = level + np.cumsum(STEPS[block], dtype=np.int64)
        if levels.max() > limit:
            break
        level = int(levels[-1])
    else:
        return False  # unless brackets in texts hide it, which the parser notices
    level = 0
    for match in TOKENS.finditer(data):
        level += int(STEPS[match.group()[0]])
        if level > limit:
            return True
    return False


# ---------------------------------------------------------------- writing


@contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Make the folder of a file; on any exception remove again what was made, if it is empty."""
    if len(path.parts) > MAXIMUM_PARTS:  # pathlib and os make folders by recursion
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
    missing = [p for p in path.parents if not p.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            try:
                folder.rmdir()
            except OSError:
                break
        raise


def _check_place(path: Path) -> None:
    """Refuse to replace a folder or a device by a file.

    Raises:
        DataError: if there is one.
    """
    if path.is_dir():
        problem = "is a folder where a file is to be written"
        raise DataError(located(path, "", problem, "remove it, or choose another folder with -o"))
    if path.exists() and not path.is_file():
        raise DataError(located(path, "", "is no regular file", "choose another folder with -o"))


@contextmanager
def beside(path: str | Path) -> Iterator[Path]:
    """A temporary file of the same suffix beside ``path``, renamed to it on success.

    On any exception nothing is left behind, not even folders that were made.

    Raises:
        DataError: if the place cannot be written (read-only, full, a folder or device is there).
    """
    path = Path(path)
    try:
        _check_place(path)
        with folder_for(path):
            handle, name = tempfile.mkstemp(
                dir=path.parent, prefix=f".{path.stem[:40]}.", suffix=path.suffix[:20]
            )
            os.close(handle)
            try:
                yield Path(name)
                os.chmod(name, 0o644)
                os.replace(name, path)
                log.info("wrote %s", path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
    except (OSError, ValueError) as error:
        strange = isinstance(error, UnicodeEncodeError) or "embedded null" in str(error)
        if isinstance(error, ValueError) and not strange:
            raise
        raise _unwritable(path, error) from None


@contextmanager
def atomic_open(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Write beside ``path`` and rename on success; on any exception nothing is left behind.

    Raises:
        DataError: if the place cannot be written.
    """
    text = "b" not in mode
    with (
        beside(path) as temporary,
        open(
            temporary, mode, encoding="utf-8" if text else None, newline="\n" if text else None
        ) as stream,
    ):
        yield stream


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_open(path) as stream:
        stream.write(text)


def write_json(path: str | Path, document: Any, indent: int | None = 2) -> None:
    """Write a JSON file atomically and deterministically."""
    write_text(path, dumps(document, indent))


def write_with(path: str | Path, writer: Callable[[Path], None]) -> None:
    """Let ``writer`` fill a temporary file of the same suffix, then rename it to ``path``."""
    with beside(path) as temporary:
        writer(temporary)


@contextmanager
def staged(folder: str | Path) -> Iterator[Path]:
    """A temporary folder inside ``folder``; on success its ``out`` folder is moved to its place.

    Files of other names that are in ``folder`` already stay. On any exception nothing is moved
    and nothing is left.

    Yields:
        The temporary folder, with an empty folder ``out`` inside.

    Raises:
        DataError: if the place cannot be written, or a folder is where a file belongs.
    """
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise DataError(located(folder, "", "is a file", "choose another folder with -o"))
        with (
            folder_for(folder / "file"),
            tempfile.TemporaryDirectory(dir=folder, prefix=".histnu-") as name,
        ):
            out = Path(name) / "out"
            out.mkdir()
            yield Path(name)
            _publish(out, folder)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "embedded null" not in str(error):
            raise
        raise _unwritable(folder, error) from None


def _publish(out: Path, folder: Path) -> None:
    """Move files to a folder, each by a rename, after checking every place."""
    files = {file: folder / file.relative_to(out) for file in sorted(out.rglob("*"))}
    files = {file: target for file, target in files.items() if file.is_file()}
    for target in files.values():
        _check_place(target)
    for target in files.values():
        target.parent.mkdir(parents=True, exist_ok=True)
    for file, target in files.items():
        os.replace(file, target)
        log.info("wrote %s", target)
