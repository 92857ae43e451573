"""``histnu validate``: check anybody's workspace, PatchSet, experiment or analysis."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from histnu.cli import types
from histnu.core.serialize import dumps

FAULTY = 2
"""Exit status for a document with errors, as for any other bad input."""
STRICT = 1
"""Exit status for warnings under ``--strict``."""


@click.command("validate")
@click.argument("file", type=types.Place())
@click.option(
    "--background",
    type=types.Place(),
    help="Background-only workspace of a PatchSet (default: workspace.json beside it).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings.")
def command(file: Path, background: Path | None, as_json: bool, strict: bool) -> int:
    """Check FILE beyond the schema: each finding has its place, its problem and its mend.

    FILE is a HistFactory workspace or PatchSet (JSON), or an experiment or analysis (YAML).
    Exit status: 0 without errors, 2 with errors, 1 for warnings under --strict.

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
        for finding in found:
            click.echo(str(finding))
        click.echo(f"{file}: {count['error']} errors, {count['warning']} warnings")
    if count["error"]:
        return FAULTY
    return STRICT if strict and count["warning"] else 0
