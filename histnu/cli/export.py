"""``histnu export``: a likelihood as ROOT, HistFactory XML, HS3 or a HEPData submission."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import patch_name_option, patch_option

FORMATS = ("root", "xml", "hs3", "hepdata")


@click.command("export")
@click.argument("source", type=types.Place())
@click.option("--to", "target", type=click.Choice(FORMATS), required=True, help="Format to write.")
@click.option(
    "-o",
    "--output",
    type=types.Place(folder=True),
    default=Path("export"),
    show_default=True,
    help="Folder to write into.",
)
@patch_option
@patch_name_option
def command(
    source: Path, target: str, output: Path, patches: tuple[str, ...], patch_name: str | None
) -> None:
    """Write SOURCE, a workspace (or, for hepdata, also a results folder), in another format.

    \b
    root     templates and data as histograms with axes and units: templates.root
    xml      HistFactory XML with its ROOT file, for hist2workspace and other tools
    hs3      HEP Statistics Serialization Standard: hs3.json
    hepdata  complete submission: tables, likelihoods, figures: submission.tar.gz

    Edges and units come from the manifest.json beside SOURCE.

    \b
    Examples:
      histnu export likelihood/workspace.json --to root -o root
      histnu export results --to hepdata -o submission
    """
    from histnu.export import export_document
    from histnu.workspace.selection import Selection

    selection = Selection(patches=patches, patch_name=patch_name)
    written = export_document(source, target, output, selection)
    click.echo(f"wrote {written}")
