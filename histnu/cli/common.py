"""Options and helpers that several verbs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from histnu.analysis.target import Setting

ENGINES = ("batched", "pyhf", "pyhf-scipy")


def console(width: int = 160) -> Console:
    """Console on standard output, of a fixed width where it is no terminal."""
    from rich.console import Console

    class Output(Console):
        """A console that leaves a closed pipe to the caller (rich's own ends the process)."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    found = Output()
    return found if found.is_terminal else Output(width=width)


def text_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    left: Collection[str] = ("name",),
    title: str | None = None,
) -> Table:
    """A table without lines; columns named in ``left`` hold words, the others numbers."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None)
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def available_cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@contextmanager
def progress_bar(total: int, quiet: bool, unit: str = "") -> Iterator[Any]:
    """Give a function ``advance(done, total, label)`` that moves a bar with the time that is left.

    ``done`` may be None: only the label is new. It is drawn where a terminal shows errors; ``unit``
    says what is counted.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, label="": None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def advance(done: int | None, total: int, label: str = "") -> None:
            progress.update(task, completed=done, total=total, description=label)

        yield advance


def _settings(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, Setting]:
    """Parse ``NAME=VALUE`` pairs."""
    found: dict[str, Setting] = {}
    for text in values:
        name, _, number = text.partition("=")
        if not name or not number:
            raise click.BadParameter(f"{text[:40]!r} is not NAME=VALUE with a finite number")
        value: Setting = "free"
        if number != value:
            value = types.ANY_NUMBER.convert(number, option, context)
        if name in found:
            raise click.BadParameter(f"{name} is set twice")
        found[name] = value
    return found


set_option = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", callback=_settings,
    help="Hold a parameter: of the model (m4=5, in MeV) or of the likelihood. NAME=free profiles "
    "one that its model holds at zero (all=free: every one). May be repeated.",
)  # fmt: skip
measurement_option = click.option(
    "--measurement", default=None, metavar="NAME",
    help="Measurement of the document. Default: the one of --poi, or the first.",
)  # fmt: skip
_files: dict[str, Any] = {
    "multiple": True, "metavar": "FILE|ARCHIVE::NAME", "type": types.Place(),
    "callback": lambda context, option, values: tuple(map(str, values)),
}  # fmt: skip
patch_option = click.option(
    "--patch", "patches", **_files,
    help="Apply a JSON patch, or a patch of a PatchSet, to the workspace first. May be repeated.",
)  # fmt: skip
patch_name_option = click.option(
    "--patch-name", default=None, metavar="NAME",
    help="Patch of the PatchSet: of --patch, or of patchset.json beside the workspace.",
)  # fmt: skip
allow_option = click.option(
    "--allow-uncertified", is_flag=True,
    help="Give a result, marked as such, where a fit is not certified, instead of an error.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="batched",
    show_default=True,
    help="batched: the vectorised engine; pyhf: the reference with minuit; pyhf-scipy: with SLSQP.",
)
cl_option = click.option(
    "--cl", type=types.LEVEL, default=0.9, show_default=True, help="Confidence level."
)
seed_option = click.option(
    "--seed", type=types.SEED, default=0, show_default=True, help="Random seed."
)
output_option = click.option(
    "-o", "--output", type=types.Place(folder=True), default=Path("results"),
    show_default=True, help="Folder to write to.",
)  # fmt: skip
jobs_option = click.option(
    "--jobs", "-j", type=types.JOBS, default=1, show_default=True, help="Local processes."
)
dask_option = click.option(
    "--dask", default=None, metavar="ADDRESS|local",
    help="Compute on a Dask cluster: tcp://HOST:PORT, or local (with --jobs processes).",
)  # fmt: skip
chunks_option = click.option(
    "--chunks", type=types.Place(folder=True), default=None, metavar="FOLDER",
    help="Keep chunks of toys here; what is there is not computed again.",
)  # fmt: skip


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--measurement``, ``--patch`` and ``--patch-name``."""
    return measurement_option(patch_option(patch_name_option(command)))


def pair_selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """The same for two documents, and each of them for one of the two (``--second-patch``)."""
    for which in ("second", "first"):
        only = f"Of {which.upper()} alone, instead of"
        for option in (
            click.option(f"--{which}-patch-name", default=None, metavar="NAME",
                         help=f"{only} --patch-name."),
            click.option(f"--{which}-patch", f"{which}_patches", help=f"{only} --patch.", **_files),
            click.option(f"--{which}-measurement", default=None, metavar="NAME",
                         help=f"{only} --measurement."),
        ):  # fmt: skip
            command = option(command)
    return selection_options(command)


def processes_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--jobs`` and ``--dask``."""
    return jobs_option(dask_option(command))
