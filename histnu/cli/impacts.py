"""``histnu impacts``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli.common import console, text_table
from histnu.cli.given import Given, likelihood_verb, plot_option, poi_option, say_written

if TYPE_CHECKING:
    from rich.table import Table

    from histnu.verbs.fit_results import Impacts


@click.command()
@likelihood_verb
@poi_option
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows shown.")
@plot_option
def command(given: Given, poi: str | None, top: int, plot: Path | None) -> None:
    """Impacts of the nuisance parameters, with pulls and constraints.

    Every nuisance parameter is held one standard deviation (before and after the fit) above and
    below its best fit, and everything else is fitted again; the impact is the change of --poi. A
    parameter that enters squared is ranked through its square.

    \b
    Examples:
      histnu impacts magnetic_moment_combined --poi mu_universal
      histnu impacts standard_model_combined --plot impacts.png
    """
    from histnu.verbs.estimation import impacts_of

    loaded, interest = given.load(poi)
    found = impacts_of(loaded, interest, given.options(interest))
    if plot is not None:
        from histnu.plotting.statistics import draw_impacts
        from histnu.verbs.figures import impacts_figure

        say_written(draw_impacts(impacts_figure(loaded, found, top), plot))
    if given.show(found, loaded):
        return
    fitted = "" if found.error is None else f" +- {found.error:.4g}"
    click.echo(
        f"{found.ranked} = {found.best_fit:.6g}{fitted} ({loaded.name}, {found.engine})"
        f"{given.marks(loaded, interest, found)}"
    )
    console().print(_table(found, top))
    if len(found.impacts) > top:
        click.echo(f"{len(found.impacts) - top} smaller impacts are not shown (--top)")


def _table(found: Impacts, top: int) -> Table:
    columns = ("", "name", "pull", "constraint", "pre-fit up", "down", "post-fit up", "down")
    rows = [
        (
            str(k + 1),
            i.name,
            "-" if i.pull is None else f"{i.pull:+.2f}",
            "-" if i.constraint is None else f"{i.constraint:.2f}",
            *("-" if n is None else f"{n:+.4g}"
              for n in (i.prefit_up, i.prefit_down, i.postfit_up, i.postfit_down)),
        )
        for k, i in enumerate(found.impacts[:top])
    ]  # fmt: skip
    return text_table(columns, rows)
