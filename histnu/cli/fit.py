"""``histnu fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import console, seed_option, text_table
from histnu.cli.given import Given, likelihood_verb, plot_option, poi_option, say_written

if TYPE_CHECKING:
    from rich.table import Table

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

    loaded, interest = given.load(poi, needed=False)
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


def _parameter_table(found: FitSummary) -> Table:
    columns = ("name", "best fit", "Hesse", "profile", "pull", "constraint", "status")

    def number(x: float | None, spec: str = ".4g") -> str:
        return "-" if x is None else format(x, spec)

    rows = [
        (p.name, number(p.value), number(p.error),
         f"{number(p.down, '+.4g')} {number(p.up, '+.4g')}", number(p.pull, "+.2f"),
         number(p.constraint, ".2f"), p.status)
        for p in found.parameters
        if p.status != "fixed"
    ]  # fmt: skip
    return text_table(columns, rows, ("name", "status"), "parameters")


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


def _yield_table(before: Yields, after: Yields) -> Table:
    both = (before, after)
    rows = [
        (sample, *(f"{y.sums[k]:.4g} +- {y.sum_errors[k]:.2g}" for y in both))
        for k, sample in enumerate(after.samples)
        if any(y.sums[k] != 0 for y in both)
    ]
    rows.append(("total", *(f"{y.sum_total:.4g} +- {y.sum_total_error:.2g}" for y in both)))
    rows.append(("observed", "", f"{sum(after.observed):g}"))
    columns = ("sample", "pre-fit", "post-fit")
    return text_table(columns, rows, ("sample",), f"events in {after.channel}")
