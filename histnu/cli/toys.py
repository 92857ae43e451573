"""``histnu toys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import cl_option, seed_option
from histnu.cli.given import Given, likelihood_verb, poi_option
from histnu.cli.maps import Asked, map_options, show

if TYPE_CHECKING:
    from histnu.verbs.results import Bound, Test


@click.command()
@likelihood_verb
@poi_option
@click.option(
    "--value", type=types.ANY_NUMBER, default=None, help="Test this value (CLs) instead of a limit."
)
@map_options
@click.option("--everywhere", is_flag=True, help="All toys at all points of a map.")
@click.option("--n-toys", type=types.TOYS, default=10000, show_default=True)
@cl_option
@seed_option
def command(
    given: Given,
    asked: Asked,
    poi: str | None,
    value: float | None,
    everywhere: bool,
    n_toys: int,
    cl: float,
    seed: int,
) -> None:
    """Limits and maps with pseudo-experiments (CLs, Feldman-Cousins).

    CLs of one value, or the Feldman-Cousins interval; nuisances profiled in each toy. With --x (and
    --y) a map: critical values of the points, and the region beside the asymptotic one. Toys go
    near the contour, at most --n-toys per point.

    \b
    Examples:
      histnu toys magnetic_moment_combined --poi mu_universal --value 1.1
      histnu toys millicharge_combined --x q_ee --y q_mumu --points 31 --plot charges.png
      histnu toys sterile_dipole_combined --x m4 --y mu_e --y-range 0.5 30 --chunks toys -j 2
    """
    from histnu import verbs
    from histnu.inference.maps import MapOptions

    method = "toys" if value is None else "cls-toys"
    options = verbs.Options(
        method=method, cl=cl, engine=given.engine, n_toys=n_toys, seed=seed,
        allow_uncertified=given.allow_uncertified,
    )  # fmt: skip
    if asked.is_map:
        found = asked.run(given, options, MapOptions(everywhere=everywhere))
        show(found, asked.plot, given.as_json)
        return
    loaded, interest = given.load(poi)
    how = given.options(interest, method=method, cl=cl, n_toys=n_toys, seed=seed)
    result: Bound | Test
    with asked.toys(given, (loaded, interest), how) as options:
        if value is None:
            result = verbs.limit_of(loaded, interest, options)
        else:
            result = verbs.hypothesis_test(loaded, poi, value, options)
    if not given.show(result, loaded):
        click.echo(f"{result}{given.marks(loaded, interest, result)}")
