"""``histnu build``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import output_option, processes_options, set_option


@click.command()
@click.argument("analysis", type=types.Target())
@output_option
@click.option("--grid", default=None, help="Write a PatchSet on this grid (q_ee, dipole_e, ...).")
@click.option("--interpolation", type=click.Choice(["normsys", "linear"]), default=None)
@click.option("--correction", type=click.Choice(["none", "published_sm"]), default=None)
@set_option
@processes_options
def command(
    analysis: str,
    output: Path,
    grid: str | None,
    interpolation: str | None,
    correction: str | None,
    settings: dict[str, float],
    jobs: int,
    dask: str | None,
) -> None:
    """Build workspace, PatchSet and manifest of an analysis.

    Write workspace.json and manifest.json; with --grid a PatchSet beside them.

    \b
    Examples:
      histnu build magnetic_moment_combined -o likelihood
      histnu build sterile_dipole_all --set m4=0.5 -o dipole
      histnu build millicharge_xenonnt --grid q_ee -o grid
    """
    from histnu.analysis.build import grid_for, write_patchset, write_workspace
    from histnu.analysis.schema import load_analysis
    from histnu.core.executor import executor

    chosen = load_analysis(analysis)
    update = {"interpolation": interpolation, "correction": correction}
    chosen = chosen.model_copy(update={k: v for k, v in update.items() if v is not None})
    chosen = chosen.holding(settings)
    if grid is None:
        paths = write_workspace(chosen, output)
    else:
        with executor(jobs, dask) as processes:
            paths = write_patchset(chosen, grid_for(chosen, grid), output, processes)
    for path in paths:
        click.echo(path)
