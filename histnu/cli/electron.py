"""``histnu electron``: an alias of ``histnu reproduce electron_recoils``."""

from __future__ import annotations

from typing import Any

import click

from histnu.cli import reproduce


@click.pass_context
def electron(context: click.Context, **options: Any) -> None:
    """Electron recoils: bounds, dipole contours, figures, workspaces.

    The same as histnu reproduce electron_recoils (some minutes).

    \b
    Example:
      histnu electron -o electron --overlay borexino=my_table.csv
    """
    context.invoke(reproduce.command, study="electron_recoils", **options)


shared = ("output", "overlays", "jobs", "quiet")
command = click.command(params=[p for p in reproduce.command.params if p.name in shared])(electron)
