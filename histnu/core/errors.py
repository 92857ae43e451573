"""Exceptions of histnu. Each message is one line: where, what is wrong, how to mend it."""

from __future__ import annotations

from pathlib import Path


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
