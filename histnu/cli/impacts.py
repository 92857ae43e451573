"""``histnu impacts``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.answers import asked_of, marks
from histnu.cli.common import allow_option, console, engine_option, json_option, set_option
from histnu.cli.envelope import envelope, plot_option, poi_option, prepare, say_written


@click.command()
@click.argument("target", type=types.Target())
@poi_option
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows shown.")
@plot_option
@set_option
@engine_option
@allow_option
@json_option
def command(
    target: str,
    poi: str | None,
    top: int,
    plot: Path | None,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
) -> None:
    """Impacts of the nuisance parameters, with pulls and constraints.

    Every nuisance parameter is held one standard deviation (before and after the fit) above and
    below its best fit, and everything else is fitted again; the impact is the change of --poi. A
    parameter that enters squared is ranked through its square.

    \b
    Examples:
      histnu impacts magnetic_moment_combined --poi mu_universal
      histnu impacts standard_model_combined --plot impacts.png
    """
    from histnu.core.serialize import dumps
    from histnu.inference.impacts import impacts

    loaded, interest, how = prepare(target, poi, settings, (engine, allow_uncertified))
    found = impacts(interest.likelihood, None, interest.parameter, how)
    if plot is not None:
        from histnu.plotting.statistics import draw_impacts
        from histnu.verbs.figures import impacts_figure

        say_written(draw_impacts(impacts_figure(loaded, interest, found, top), plot))
    if as_json:
        asked = asked_of(loaded, interest, found.engine)
        answer = {**found.to_json(), "parameter": interest.name, "ranked": found.parameter}
        click.echo(dumps(envelope("impacts", asked, **answer)), nl=False)
        return
    from rich.table import Table

    fitted = "" if found.error is None else f" +- {found.error:.4g}"
    click.echo(
        f"{found.parameter} = {found.best_fit:.6g}{fitted} ({loaded.name}, {found.engine})"
        f"{marks(loaded, interest, found.certified)}"
    )
    table = Table(box=None)
    for name in ("", "name", "pull", "constraint", "pre-fit up", "down", "post-fit up", "down"):
        table.add_column(name, justify="left" if name == "name" else "right")
    for k, i in enumerate(found.impacts[:top]):
        numbers = (i.prefit_up, i.prefit_down, i.postfit_up, i.postfit_down)
        table.add_row(
            str(k + 1),
            i.name,
            "-" if i.pull is None else f"{i.pull:+.2f}",
            "-" if i.constraint is None else f"{i.constraint:.2f}",
            *("-" if n is None else f"{n:+.4g}" for n in numbers),
        )
    console().print(table)
    if len(found.impacts) > top:
        click.echo(f"{len(found.impacts) - top} smaller impacts are not shown (--top)")
