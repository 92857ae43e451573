"""Exceptions of histnu. Each message is one line: where, what is wrong, how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class HistnuError(Exception):
    """Base of every error that histnu raises on purpose.

    The command line turns it into one line on standard error and exit status 2.
    """


class ConfigError(HistnuError):
    """A YAML file, an option or a name given by the user is wrong."""


class DataError(HistnuError):
    """A table, release or data set is missing, damaged or inconsistent."""


class PhysicsError(HistnuError, ValueError):
    """A physical parameter or energy is outside its domain."""


class TemplateError(HistnuError, ValueError):
    """A template has the wrong shape, or holds a NaN, an infinity or an illegal sign."""


class WorkspaceError(HistnuError):
    """A pyhf workspace is invalid, or cannot be built as asked."""


class PatchSetError(HistnuError):
    """A PatchSet is invalid, or does not belong to its background workspace."""


class FitError(HistnuError):
    """A fit or a limit did not converge, or is not supported."""


class ExportError(HistnuError):
    """A document cannot be written to, or read from, another format."""


def located(file: str | Path | None, field: str, problem: str, mend: str) -> str:
    """Return ``file: field: problem; mend`` as one line.

    Args:
        file: the file the fault is in, or None.
        field: path of the field inside the file (``backgrounds.0.expected``).
        problem: what is wrong, with the offending value.
        mend: what to do about it.

    >>> located("a.yaml", "observed.counts", "-1 is negative", "give counts >= 0")
    'a.yaml: observed.counts: -1 is negative; give counts >= 0'
    """
    parts = [str(file)] if file is not None else []
    if field:
        parts.append(field)
    text = ": ".join([*parts, problem])
    return f"{text}; {mend}" if mend else text


LISTED = 12
"""Names that a message lists; of more the nearest ones."""


def known_names(name: str, names: Iterable[str]) -> str:
    """What there is instead of an unknown name: all names, or of many the nearest three.

    >>> known_names("b1", ["a1", "b2"])
    'known: a1, b2'
    >>> known_names("point_7", [f"point_{i}" for i in range(20, 50)])
    'the nearest of 30 are point_27, point_37, point_47'
    """
    every = sorted(names)
    if len(every) <= LISTED:
        return f"known: {', '.join(every)}"
    near = sorted(get_close_matches(name, every, 3, cutoff=0.0))
    return f"the nearest of {len(every)} are {', '.join(near)}"


def named(
    table: Mapping[str, T], name: str, kind: str, error: type[HistnuError] = ConfigError
) -> T:
    """The entry of a name.

    Raises:
        HistnuError: of the kind ``error`` for an unknown name; it lists the known ones.
    """
    if name not in table:
        raise error(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
    return table[name]


def missing_extra(what: str, package: str, extra: str) -> str:
    """Return the hint for an optional dependency that is not installed, as one line.

    >>> missing_extra("downloads", "pooch", "releases")
    "downloads need pooch; run: pip install 'histnu[releases]'"
    """
    return f"{what} need {package}; run: {install_extra(extra)}"


def install_extra(extra: str) -> str:
    """The command that installs an extra, quoted for shells that expand brackets."""
    return f"pip install 'histnu[{extra}]'"
