"""``histnu compare``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import (
    cl_option,
    console,
    engine_option,
    json_option,
    measurement_option,
    text_table,
)
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
@measurement_option
@cl_option
@engine_option
@json_option
def command(
    first: str,
    second: str,
    poi: str | None,
    relative: float,
    measurement: str | None,
    cl: float,
    engine: str,
    as_json: bool,
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

    answer = compare(first, second, poi, Options(cl=cl, engine=engine), relative, measurement)
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
    click.echo(title)
    if not rows:
        return
    columns = ("where", "what", "first", "second", "largest relative")
    lines = [
        (r.where, r.kind, r.first or "", r.second or "",
         "" if r.largest_relative is None else f"{r.largest_relative:.3g}")
        for r in rows[:_SHOWN]
    ]  # fmt: skip
    console().print(text_table(columns, lines, left=columns))
    if len(rows) > _SHOWN:
        click.echo(f"{len(rows) - _SHOWN} more: --json")
