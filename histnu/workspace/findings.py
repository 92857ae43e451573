"""What the linter says: a finding names its place (a JSON pointer), the problem and the mend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        severity: ``error``, ``warning`` or ``info``.
        check: name of the check.
        path: JSON pointer (RFC 6901) into the document.
        problem: what is wrong, with the offending value.
        mend: what to do.
    """

    severity: str
    check: str
    path: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.path or '/'}: {self.problem}; {self.mend} [{self.check}]"

    def to_json(self) -> dict[str, str]:
        """The fields as plain Python."""
        return asdict(self)


Findings = Iterator[Finding]


def error(check: str, path: str, problem: str, mend: str) -> Finding:
    """A finding that makes the likelihood wrong or undefined."""
    return Finding("error", check, path, problem, mend)


def warning(check: str, path: str, problem: str, mend: str) -> Finding:
    """A finding that is a trap."""
    return Finding("warning", check, path, problem, mend)


def info(check: str, path: str, problem: str, mend: str) -> Finding:
    """A finding that a reader should know."""
    return Finding("info", check, path, problem, mend)


def pointer(*parts: object) -> str:
    """A JSON pointer.

    >>> pointer("channels", 0, "a/b")
    '/channels/0/a~1b'
    """
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)


def ordered(found: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then information; the order of the checks otherwise."""
    return sorted(found, key=lambda f: SEVERITIES.index(f.severity))
