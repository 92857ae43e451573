"""``histnu electron``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli.common import console, output_option


@click.command(help="Electron recoils: bounds, dipole contours, figures, workspaces.")
@output_option
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    metavar="NAME=FILE.CSV",
    help="Published dipole curve for the figure (columns m4_mev, mu_b); may be repeated.",
)
def command(output: Path, overlays: tuple[str, ...]) -> None:
    """Compute bounds from XENONnT, LZ and PandaX-4T electron recoils (some minutes).

    \b
    Example:
      histnu electron -o electron --overlay borexino=my_table.csv
    """
    from histnu.plotting.electron_recoils import parse_overlays
    from histnu.report.electron_report import comparison_text, write_electron_report

    results = write_electron_report(output, overlays=parse_overlays(overlays))
    out = console()
    out.print(comparison_text(results), highlight=False)
    out.print(f"written: {output}/ (electron_recoils.json, .md, figures, workspaces)")
