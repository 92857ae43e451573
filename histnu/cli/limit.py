"""``histnu limit``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import cl_option, seed_option
from histnu.cli.given import Given, likelihood_verb, plot_option, poi_option, say_written
from histnu.core.units import in_unit

if TYPE_CHECKING:
    from histnu.verbs.results import Expected

METHODS = ("profile", "cls", "cls-toys", "toys")


@click.command()
@likelihood_verb
@poi_option
@cl_option
@click.option("--dof", type=types.DEGREES, default=1, show_default=True, help="For profile.")
@click.option(
    "--method", type=click.Choice(METHODS), default="profile", show_default=True,
    help="profile: Delta = chi2 quantile; cls: asymptotic; cls-toys; toys: Feldman-Cousins.",
)  # fmt: skip
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
@click.option(
    "--expected", type=click.Choice(["asimov", "toys"]), default=None,
    help="Median and 1, 2 standard deviation bands without a signal: Asimov formulae, or toys.",
)  # fmt: skip
@seed_option
@plot_option
def command(
    given: Given,
    poi: str | None,
    cl: float,
    dof: int,
    method: str,
    n_toys: int,
    expected: str | None,
    seed: int,
    plot: Path | None,
) -> None:
    """Confidence region or upper limit of one parameter.

    The region is printed as a set: an interval, "< 1.2" where it has no lower end, or several
    intervals joined by "or". Every number rests on minima that two different starts agree on.

    TARGET is a workspace.json, its folder, or the name of an analysis.

    \b
    Examples:
      histnu limit likelihood/workspace.json --poi mu2_e --method cls --cl 0.95
      histnu limit millicharge_combined --poi q_ee --json
      histnu limit magnetic_moment_combined --poi mu_universal --method cls --expected asimov
      histnu limit sterile_dipole_combined --poi mu_e --set m4=5 --plot profile.png
    """
    from histnu import verbs

    loaded, interest = given.load(poi)
    how = given.options(interest, method=method, cl=cl, dof=dof, n_toys=n_toys, seed=seed)
    with given.toys(how, "toys" in method) as options:
        found = verbs.limit_of(loaded, interest, options)
    if expected is not None:
        silent = replace(options, progress=None)
        bands = verbs.expected_of(interest, expected == "toys", silent)
        found = found.model_copy(update={"expected": bands})
    if plot is not None:
        from histnu.plotting.statistics import draw_scan
        from histnu.verbs.figures import limit_figure

        say_written(draw_scan(limit_figure(loaded, interest, found, how), plot))
    if given.show(found, loaded):
        return
    click.echo(f"{found}{given.marks(loaded, interest, found)}")
    if found.expected is not None:
        click.echo(_expected_line(found.expected, interest.unit))
    for note in found.boundary:
        click.echo(f"  {note}")


def _expected_line(found: Expected, unit: str) -> str:
    """One line for people."""
    from histnu.verbs.envelope import number_text

    low2, low1, median, high1, high2 = (number_text(u) for u in found.upper)
    source = f"{found.n_toys} toys" if found.ensemble == "toys" else "Asimov"
    median = in_unit(median, unit)
    if found.upper[1] is None and found.upper[3] is None:
        return (
            f"expected upper end without a signal: {median} (median, {source}); "
            "bands of a parameter that does not enter linearly need --expected toys"
        )
    return (
        f"expected upper end without a signal: {median} (median), "
        f"[{low1}, {high1}] (1 sigma), [{low2}, {high2}] (2 sigma), {source}"
    )
