"""``histnu coverage``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.common import cl_option, seed_option
from histnu.cli.given import Given, likelihood_verb, poi_option
from histnu.cli.maps import Asked, map_options, show


@click.command()
@likelihood_verb
@poi_option
@click.option(
    "--true", "truth", type=types.ANY_NUMBER, default=0.0, show_default=True, help="True value."
)
@map_options
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
@cl_option
@seed_option
def command(
    given: Given,
    asked: Asked,
    poi: str | None,
    truth: float,
    n_toys: int,
    cl: float,
    seed: int,
) -> None:
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
        options = verbs.Options(
            cl=cl, engine=given.engine, n_toys=n_toys, seed=seed,
            allow_uncertified=given.allow_uncertified,
        )  # fmt: skip
        how = MapOptions(everywhere=True, nominal=True)
        show(asked.run(given, options, how), asked.plot, given.as_json)
        return
    loaded, interest = given.load(poi)
    with asked.toys(
        given, (loaded, interest), given.options(interest, cl=cl, n_toys=n_toys, seed=seed)
    ) as options:
        found = verbs.coverage(loaded, poi, truth, options)
    if given.show(found, loaded):
        return
    low, high = found.coverage_interval
    click.echo(
        f"{interest.name} = {truth:g} {interest.unit}: {found.covered} of {found.n_toys} "
        f"intervals at {100 * cl:g} % CL cover: {found.coverage:.4f} in [{low:.4f}, {high:.4f}] "
        f"(68.3 %, Clopper-Pearson; {given.engine}, seed {seed}); best fit of the data "
        f"{found.best_fit:.6g}"
        + (f"; {found.failed} toys left out" if found.failed else "")
        + given.marks(loaded, interest, found)
    )
