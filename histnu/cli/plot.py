"""``histnu plot``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, help="Folder.")
def command(results: Path, output: Path | None) -> None:
    """Draw the figures of a results folder again.

    Read results.json (or its folder) and draw what its study declares, as PNG and PDF.

    \b
    Example:
      histnu plot results -o figures
    """
    from histnu.plotting.studies import draw_all
    from histnu.studies.document import read_results

    file = results / "results.json" if results.is_dir() else results
    folder = output or file.parent
    folder.mkdir(parents=True, exist_ok=True)
    for path in draw_all(read_results(file), folder):
        click.echo(path)
