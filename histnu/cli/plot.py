"""``histnu plot``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types


@click.command()
@click.argument("results", type=types.Place())
@click.option("-o", "--output", type=types.Place(folder=True), default=None, help="Folder.")
def command(results: Path, output: Path | None) -> None:
    """Draw the figures of a results folder again.

    Read results.json (or its folder) and draw Figs. 1-4 as PNG and PDF.

    \b
    Example:
      histnu plot results -o figures
    """
    from histnu.plotting.paper import draw_all
    from histnu.results_document import read_results
    from histnu.serialize import staged

    file = results / "results.json" if results.is_dir() else results
    folder = output or file.parent
    document = read_results(file)
    with staged(folder) as temporary:
        out = temporary / "out"
        paths = [folder / path.relative_to(out) for path in draw_all(document, out)]
    for path in paths:
        click.echo(path)
