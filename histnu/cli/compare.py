"""``histnu compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.common import (
    cl_option,
    console,
    engine_option,
    json_option,
    pair_selection_options,
    text_table,
)
from histnu.cli.given import poi_option

if TYPE_CHECKING:
    from histnu.verbs.results import Difference
    from histnu.workspace.selection import Selection

_SHOWN = 40


@click.command()
@click.argument("first", type=types.Target())
@click.argument("second", type=types.Target())
@poi_option
@click.option("--relative", type=types.POSITIVE, default=1e-6, show_default=True,
              help="Numbers closer than this are the same.")  # fmt: skip
@pair_selection_options
@cl_option
@engine_option
@json_option
def command(
    first: str,
    second: str,
    poi: str | None,
    relative: float,
    cl: float,
    engine: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """What differs between two likelihoods or two results.

    FIRST and SECOND are two targets (a workspace, an analysis), or two JSON results of any verb or
    two results.json. For likelihoods the limit on --poi is asked of both. --measurement, --patch
    and --patch-name hold for both, --first-... and --second-... for one of them.

    \b
    Examples:
      histnu compare magnetic_moment_combined magnetic_moment_xenonnt --poi mu_e
      histnu compare BkgOnly.json BkgOnly.json --first-patch-name A --second-patch-name B
      histnu compare results/results.json other/results.json
    """
    from histnu.core.serialize import dumps
    from histnu.verbs.comparison import compare
    from histnu.verbs.options import Options

    selections = _selection(chosen, "first"), _selection(chosen, "second")
    answer = compare(first, second, poi, Options(cl=cl, engine=engine), relative, selections)
    if as_json:
        click.echo(dumps(answer.to_json()), nl=False)
        return
    rows = answer.differences
    _show_rows(rows, f"{len(rows)} differences between {answer.first} and {answer.second}")
    names = (answer.first, answer.second)
    for name, chosen_one, row in zip(names, selections, answer.answers, strict=False):
        marks = f" [{row.provenance} inputs]" if row.kind == "bound" and row.provenance else ""
        text = f"{row.parameter}: {row.problem}" if row.kind == "no_answer" else str(row)
        measurement = chosen_one.measurement
        marks += "" if measurement is None else f"; measurement {measurement}"
        click.echo(f"{name}: {text}{marks}")


def _selection(chosen: Mapping[str, Any], which: str) -> Selection:
    """What was chosen for one of the documents: its own options, or else those of both."""
    from histnu.workspace.selection import Selection

    names = ("measurement", "patches", "patch_name")
    return Selection(*(chosen[f"{which}_{name}"] or chosen[name] for name in names))


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
