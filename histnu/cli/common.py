"""Options and helpers that several verbs share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

ENGINES = ("batched", "pyhf", "pyhf-scipy")


def console() -> Console:
    """Console on standard output, without a width limit where it is no terminal."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=160)


def available_cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@contextmanager
def progress_bar(total: int, quiet: bool) -> Iterator[Any]:
    """Give a function ``advance(label)`` that moves a progress bar on standard error."""
    if quiet:
        yield lambda label: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=total)
        yield lambda label: progress.update(task, advance=1, description=label)


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
    "--cl", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.9,
    show_default=True, help="Confidence level.",
)  # fmt: skip
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
set_option = click.option(
    "--set", "held", multiple=True, metavar="NAME=VALUE",
    help="Value of a held parameter of the model (m4=5); may be repeated.",
)  # fmt: skip
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("results"),
    show_default=True, help="Folder to write to.",
)  # fmt: skip


def assignments(texts: tuple[str, ...]) -> dict[str, float]:
    """Values of ``--set NAME=VALUE``.

    Raises:
        ConfigError: for a text of another form.
    """
    from histnu.errors import ConfigError

    values = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            values[name.strip()] = float(number)
        except ValueError:
            raise ConfigError(f"--set {text!r} must be of the form NAME=NUMBER") from None
    return values


def numbers(value: float | None) -> str:
    """A number for people, ``open`` where an interval has no end."""
    return "open" if value is None else f"{value:.6g}"
