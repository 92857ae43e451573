"""``histnu fetch``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types


@click.command(name="fetch")
@click.argument("release", type=types.Release())
@click.option("--from", "source", metavar="PATH|URL", help="Archive, folder or URL, not the DOI.")
@click.option("--checksum", metavar="ALGORITHM:HEX", help="Checksum of the archive or URL.")
@click.option(
    "-o",
    "--output",
    type=types.Place(folder=True),
    help="Folder that keeps releases (default: the user's cache).",
)
@click.option("--force", is_flag=True, help="Replace a release that is already there.")
def command(
    release: str, source: str | None, checksum: str | None, output: Path | None, force: bool
) -> None:
    """Download a public data release, check it and print its folder.

    \b
    Example:
      histnu fetch xenonnt_cevns_2026
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from histnu.releases.fetch import FetchOptions, fetch

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    out = Console(stderr=True)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(release, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        folder = fetch(release, FetchOptions(source, checksum, output, show, force))
    click.echo(str(folder))
