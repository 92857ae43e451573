"""``histnu electron``: an alias of ``histnu reproduce electron_recoils``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import reproduce, types
from histnu.cli.common import output_option, quiet_option


@click.command()
@output_option
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    metavar="NAME[=FILE.csv]",
    help="Published limit: a name (histnu list published) or a table (m4_mev, mu_b).",
)
@click.option("--jobs", "-j", type=types.JOBS, default=None, help="Processes.")
@quiet_option
@click.pass_context
def command(
    context: click.Context, output: Path, overlays: tuple[str, ...], jobs: int | None, quiet: bool
) -> None:
    """Electron recoils: bounds, dipole contours, figures, workspaces.

    The same as histnu reproduce electron_recoils (some minutes).

    \b
    Example:
      histnu electron -o electron --overlay borexino=my_table.csv
    """
    context.invoke(
        reproduce.command,
        study="electron_recoils",
        output=output,
        overlays=overlays,
        jobs=jobs,
        quiet=quiet,
    )
