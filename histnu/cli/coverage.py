"""``histnu coverage``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.given import Given, likelihood_verb
from histnu.cli.maps import Asked, toy_options
from histnu.core.units import in_unit


@click.command()
@likelihood_verb
@click.option(
    "--true", "truth", type=types.ANY_NUMBER, default=0.0, show_default=True, help="True value."
)
@toy_options(n_toys=1000)
def command(given: Given, asked: Asked, truth: float) -> None:
    """Coverage of intervals, with toys at true parameters.

    Fraction of toys at the true value whose profile interval covers it, with its error. With --x
    (and --y) a map of it, nuisances at their suggested values.

    \b
    Examples:
      histnu coverage magnetic_moment_combined --poi mu_universal --true 0.5
      histnu coverage magnetic_moment_combined --x mu_e --x-range 0 3 --plot coverage.png
    """
    from histnu import verbs
    from histnu.inference.maps import MapOptions

    if asked.is_map:
        how = MapOptions(everywhere=True, nominal=True)
        asked.show_map(given, asked.options(given), how)
        return
    with asked.question(given, many=True) as (loaded, interest, options):
        found = verbs.coverage(loaded, asked.poi, truth, options)
    if given.show(found, loaded):
        return
    low, high = found.coverage_interval
    value = in_unit(f"{interest.name} = {truth:g}", interest.unit)
    click.echo(
        f"{value}: {found.covered} of {found.n_toys} "
        f"intervals at {100 * asked.cl:g} % CL cover: {found.coverage:.4f} in [{low:.4f}, "
        f"{high:.4f}] (68.3 %, Clopper-Pearson; {given.engine}, seed {asked.seed}); best fit of "
        f"the data {found.best_fit:.6g}"
        + (f"; {found.failed} toys left out" if found.failed else "")
        + given.marks(loaded, interest, found)
    )
