"""``histnu fetch``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from histnu.cli import types


@click.command(name="fetch")
@click.argument("release", type=types.Release(), required=False)
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
    release: str | None, source: str | None, checksum: str | None, output: Path | None, force: bool
) -> None:
    """Download a public data release, check it and print its folder.

    A release that is there already, in any folder that histnu searches, is not downloaded again
    (--force does). Without RELEASE: what is there and what is not.

    \b
    Examples:
      histnu fetch
      histnu fetch xenonnt_cevns_2026
    """
    from histnu.releases import found

    here = found()
    if release is None:
        for name, path in here.items():
            click.echo(f"{name}: {path or f'not here; run: histnu fetch {name}'}")
        return
    place = here.get(release)
    if place is not None and output is None and source is None and not force:
        click.echo(f"{release} is complete in {place}; --force downloads it again", err=True)
        click.echo(str(place))
        return
    from histnu.releases.fetch import FetchOptions, fetch

    with _download_bar(release) as show:
        folder = fetch(release, FetchOptions(source, checksum, output, show, force))
    click.echo(str(folder))


@contextmanager
def _download_bar(release: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (bytes done, in total) that moves a bar where a terminal shows errors."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(release, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
