"""``histnu electron``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import (
    available_cores,
    console,
    output_option,
    progress_bar,
    quiet_option,
)


@click.command()
@output_option
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    metavar="NAME=FILE.CSV",
    help="Published dipole curve for the figure (columns m4_mev, mu_b); may be repeated.",
)
@click.option("--jobs", "-j", type=types.JOBS, default=None, help="Processes.")
@quiet_option
def command(output: Path, overlays: tuple[str, ...], jobs: int | None, quiet: bool) -> None:
    """Electron recoils: bounds, dipole contours, figures, workspaces.

    Compute bounds from XENONnT, LZ and PandaX-4T electron recoils (some minutes).

    \b
    Example:
      histnu electron -o electron --overlay borexino=my_table.csv
    """
    from histnu.plotting.electron_recoils import parse_overlays
    from histnu.report.electron_jobs import electron_results, job_count
    from histnu.report.electron_report import comparison_text, write_electron_report

    curves = parse_overlays(overlays)
    with progress_bar(job_count(), quiet) as advance:
        results = electron_results(None, jobs or available_cores(), advance)
    write_electron_report(results, output, curves)
    out = console()
    out.print(comparison_text(results), highlight=False)
    out.print(
        f"written: {output}/ (electron_recoils.md, .json, figures, workspaces)", highlight=False
    )
