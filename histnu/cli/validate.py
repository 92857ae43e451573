"""``histnu validate``: check anybody's workspace, PatchSet, experiment or analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.core.serialize import dumps

if TYPE_CHECKING:
    from histnu.workspace.findings import Finding

FAULTY = 2
"""Exit status for a document with errors, as for any other bad input."""
STRICT = 1
"""Exit status for warnings under ``--strict``."""
SHOWN = 3
"""Findings of one check that are printed before the rest is counted."""


@click.command("validate")
@click.argument("file", type=types.Place())
@click.option(
    "--background",
    type=types.Place(),
    help="Background-only workspace of a PatchSet (default: workspace.json beside it).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings.")
@click.option("--all", "everything", is_flag=True, help="Print every finding, none counted.")
def command(
    file: Path, background: Path | None, as_json: bool, strict: bool, everything: bool
) -> int:
    """Check FILE beyond the schema: each finding has its place, its problem and its mend.

    FILE is a HistFactory workspace or PatchSet (JSON), or an experiment or analysis (YAML).
    Of many findings of one check the first are printed and the rest is counted; --all and --json
    give them all. Exit status: 0 without errors, 2 with errors, 1 for warnings under --strict.

    \b
    Example:
      histnu validate likelihood/workspace.json --json
    """
    from histnu.analysis.validation import check_file

    found = check_file(file, background)
    count = Counter(f.severity for f in found)
    if as_json:
        findings = [f.to_json() for f in found]
        document = {"file": file.as_posix(), "findings": findings, "errors": count["error"]}
        click.echo(dumps({**document, "warnings": count["warning"]}), nl=False)
    else:
        for line in map(str, found) if everything else summary(found):
            click.echo(line)
        click.echo(f"{file}: {count['error']} errors, {count['warning']} warnings")
    if count["error"]:
        return FAULTY
    return STRICT if strict and count["warning"] else 0


def summary(found: Sequence[Finding]) -> Iterator[str]:
    """Lines of the first findings of each check and severity, and how many more there are."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.severity, finding.check), []).append(finding)
    for (severity, check), group in groups.items():
        yield from map(str, group[:SHOWN])
        if len(group) > SHOWN:
            yield f"{severity}: {len(group) - SHOWN} more [{check}]; --all shows them"
