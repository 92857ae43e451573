"""``histnu reproduce``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import (
    available_cores,
    console,
    engine_option,
    json_option,
    output_option,
    progress_bar,
    quiet_option,
)


@click.command()
@output_option
@click.option(
    "--interpolation", type=click.Choice(["normsys", "linear"]), default="normsys",
    show_default=True, help="normsys: HistFactory's standard; linear: the paper's Eq. 15.",
)  # fmt: skip
@click.option(
    "--correction", type=click.Choice(["none", "published_sm"]), default="none",
    show_default=True, help="Scale the signal per bin to a published SM expectation.",
)  # fmt: skip
@click.option(
    "--pandax-table", type=types.Place(), default=None,
    help="Experiment YAML that replaces the reconstructed PandaX-4T channel.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Also the full XENONnT likelihoods (minutes).")
@engine_option
@click.option("--jobs", "-j", type=types.JOBS, default=None, help="Processes.")
@json_option
@quiet_option
def command(
    output: Path,
    interpolation: str,
    correction: str,
    pandax_table: Path | None,
    full: bool,
    engine: str,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Reproduce the paper: bounds, figures, workspaces.

    Compute Eqs. 16-22 and Figs. 1-4 and write everything into a folder.

    \b
    Example:
      histnu reproduce -o results
    """
    from histnu.report.paper import Settings
    from histnu.report.reproduce import compute, job_count, write_report
    from histnu.serialize import dumps

    table = None if pandax_table is None else str(pandax_table)
    settings = Settings(interpolation, correction, table, engine, full=full)
    with progress_bar(job_count(settings), quiet or as_json) as advance:
        results = compute(settings, jobs or available_cores(), advance)
    write_report(results, settings, output)
    if as_json:
        click.echo(dumps(results), nl=False)
        return
    from histnu.report import tables

    out = console()
    title = "90 % CL bounds, profile likelihood (1 dof)"
    out.print(tables.rich_table(title, tables.BOUND_HEADER, tables.bound_rows(results)))
    header, rows = tables.full_rows(results)
    if rows:
        out.print(tables.rich_table("Full likelihoods (expected in brackets)", header, rows))
    for name, reason in results["skipped"].items():
        out.print(f"skipped {name}: {reason}", highlight=False)
    out.print(tables.LEGEND, highlight=False)
    out.print(
        f"written: {output}/ (results.md, results.json, fig1-fig4, workspaces)", highlight=False
    )
