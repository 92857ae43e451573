"""``histnu compare``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import cl_option, console, engine_option, json_option
from histnu.cli.given import poi_option

if TYPE_CHECKING:
    from histnu.verbs.results import Difference

_SHOWN = 40


@click.command()
@click.argument("first", type=types.Target())
@click.argument("second", type=types.Target())
@poi_option
@click.option("--relative", type=types.POSITIVE, default=1e-6, show_default=True,
              help="Numbers closer than this are the same.")  # fmt: skip
@cl_option
@engine_option
@json_option
def command(
    first: str, second: str, poi: str | None, relative: float, cl: float, engine: str, as_json: bool
) -> None:
    """What differs between two likelihoods or two results.

    FIRST and SECOND are two targets (a workspace, an analysis), or two JSON results of any verb or
    two results.json. For likelihoods the limit on --poi is asked of both.

    \b
    Examples:
      histnu compare magnetic_moment_combined magnetic_moment_xenonnt --poi mu_e
      histnu compare results/results.json other/results.json
    """
    from histnu.core.serialize import dumps
    from histnu.verbs.comparison import compare
    from histnu.verbs.options import Options

    answer = compare(first, second, poi, Options(cl=cl, engine=engine), relative)
    if as_json:
        click.echo(dumps(answer.to_json()), nl=False)
        return
    rows = answer.differences
    _show_rows(rows, f"{len(rows)} differences between {first} and {second}")
    for row in answer.answers:
        marks = f" [{row.provenance} inputs]" if row.kind == "bound" and row.provenance else ""
        text = f"{row.parameter}: {row.problem}" if row.kind == "no_answer" else str(row)
        click.echo(f"{row.target}: {text}{marks}")


def _show_rows(rows: Sequence[Difference], title: str) -> None:
    from rich.table import Table

    click.echo(title)
    if not rows:
        return
    table = Table(box=None)
    for name in ("where", "what", "first", "second", "largest relative"):
        table.add_column(name, overflow="fold")
    for row in rows[:_SHOWN]:
        apart = row.largest_relative
        cells = (row.first or "", row.second or "", "" if apart is None else f"{apart:.3g}")
        table.add_row(row.where, row.kind, *cells)
    console().print(table)
    if len(rows) > _SHOWN:
        click.echo(f"{len(rows) - _SHOWN} more: --json")
