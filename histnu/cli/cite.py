"""``histnu cite``."""

from __future__ import annotations

import click

from histnu.cli import types


@click.command()
@click.argument("target", type=types.Target())
def command(target: str) -> None:
    """BibTeX of everything that a result rests on.

    Data and releases of the experiments of TARGET, neutrino fluxes, hypothesis, pyhf, HistFactory
    and histnu. TARGET is the name or file of an analysis, or a workspace with its manifest.

    \b
    Example:
      histnu cite magnetic_moment_combined
    """
    from histnu.analysis.citation import bibtex

    click.echo(bibtex(target), nl=False)
