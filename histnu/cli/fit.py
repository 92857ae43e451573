"""``histnu fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.common import console, seed_option
from histnu.cli.given import Given, likelihood_verb, plot_option, poi_option, say_written

if TYPE_CHECKING:
    from histnu.verbs.fit_results import FitSummary, Yields

_LARGE = 0.2  # correlations above this are printed


@click.command()
@likelihood_verb
@poi_option
@click.option("--profile/--no-profile", default=True, help="Profile (MINOS-like) uncertainties.")
@click.option("--n-toys", type=types.TOYS, default=None, help="Toys of the goodness of fit.")
@seed_option
@plot_option
def command(
    given: Given, poi: str | None, profile: bool, n_toys: int | None, seed: int, plot: Path | None
) -> None:
    """Best fit, uncertainties, correlations, goodness of fit and yields.

    TARGET is a workspace.json, its folder, or the name of an analysis. Uncertainties come from the
    curvature of -2 log L (Hesse) and from its profile (Delta = 1); a parameter that the data push
    against its bound has no symmetric one.

    \b
    Examples:
      histnu fit magnetic_moment_combined --poi mu_universal
      histnu fit standard_model_xenonnt --n-toys 2000 --plot fit.png
    """
    from histnu.verbs.estimation import summary_of

    loaded, interest = given.load(poi)
    toys = {} if n_toys is None else {"method": "toys", "n_toys": n_toys}
    with given.toys(given.options(interest, seed=seed, **toys), n_toys is not None) as options:
        found, _ = summary_of(loaded, interest, options, profile)
    if plot is not None:
        from histnu.analysis.axes import channel_axes
        from histnu.plotting.prediction import draw_prediction
        from histnu.verbs.figures import prediction_figure

        figure = prediction_figure(loaded, interest, found, channel_axes(given.target))
        say_written(draw_prediction(figure, plot))
    if not given.show(found, loaded):
        _show(found, f"{loaded.name} ({found.engine}){given.marks(loaded, interest, found)}")


def _show(found: FitSummary, title: str) -> None:
    """Tables for people."""
    good = found.goodness
    click.echo(title)
    line = f"-2 log L = {found.twice_nll:.6f}; "
    line += "converged; " if found.converged else "NOT CONVERGED; "
    line += f"saturated chi2 / dof = {good.chi2:.3f} / {good.dof}"
    line += "" if good.p_value is None else f", p = {good.p_value:.4g} (asymptotic)"
    if good.p_value_toys is not None:
        error = good.p_value_toys_error
        line += f", p = {good.p_value_toys:.4g} +- {error:.2g} ({good.n_toys} toys)"
    click.echo(line)
    console().print(_parameter_table(found))
    pairs = _correlations(found)
    if pairs:
        click.echo(f"correlations above {_LARGE:g}: {pairs}")
    for before, after in zip(found.prefit, found.postfit, strict=True):
        console().print(_yield_table(before, after))


def _parameter_table(found: FitSummary) -> Any:
    from rich.table import Table

    table = Table(title="parameters", title_justify="left", box=None)
    for name in ("name", "best fit", "Hesse", "profile", "pull", "constraint", "status"):
        table.add_column(name, justify="left" if name in ("name", "status") else "right")

    def number(x: float | None, spec: str = ".4g") -> str:
        return "-" if x is None else format(x, spec)

    for p in found.parameters:
        if p.status == "fixed":
            continue
        ends = f"{number(p.down, '+.4g')} {number(p.up, '+.4g')}"
        cells = (number(p.value), number(p.error), ends, number(p.pull, "+.2f"))
        table.add_row(p.name, *cells, number(p.constraint, ".2f"), p.status)
    return table


def _correlations(found: FitSummary) -> str:
    """Pairs of free parameters with a large correlation, largest first."""
    names, matrix = found.names, found.correlation
    pairs = [
        (abs(matrix[i][j]), f"{names[i]}, {names[j]}: {matrix[i][j]:+.2f}")
        for i in range(len(names))
        for j in range(i)
        if abs(matrix[i][j]) > _LARGE
    ]
    pairs.sort(key=lambda p: -p[0])
    shown = "; ".join(text for _, text in pairs[:12])
    return shown + (f"; and {len(pairs) - 12} more (--json)" if len(pairs) > 12 else "")


def _yield_table(before: Yields, after: Yields) -> Any:
    from rich.table import Table

    table = Table(title=f"events in {after.channel}", title_justify="left", box=None)
    for name in ("sample", "pre-fit", "post-fit"):
        table.add_column(name, justify="left" if name == "sample" else "right")
    for k, sample in enumerate(after.samples):
        if before.sums[k] == 0 and after.sums[k] == 0:
            continue
        table.add_row(
            sample,
            f"{before.sums[k]:.4g} +- {before.sum_errors[k]:.2g}",
            f"{after.sums[k]:.4g} +- {after.sum_errors[k]:.2g}",
        )
    table.add_row(
        "total",
        f"{before.sum_total:.4g} +- {before.sum_total_error:.2g}",
        f"{after.sum_total:.4g} +- {after.sum_total_error:.2g}",
    )
    table.add_row("observed", "", f"{sum(after.observed):g}")
    return table
