"""``histnu toys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.given import Given, likelihood_verb
from histnu.cli.maps import Asked, toy_options

if TYPE_CHECKING:
    from histnu.verbs.results import Bound, Test


@click.command()
@likelihood_verb
@click.option(
    "--value", type=types.ANY_NUMBER, default=None, help="Test this value (CLs) instead of a limit."
)
@click.option("--everywhere", is_flag=True, help="All toys at all points of a map.")
@toy_options(n_toys=10000)
def command(given: Given, asked: Asked, value: float | None, everywhere: bool) -> None:
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
    if asked.is_map:
        options = asked.options(given, method=method)
        asked.show_map(given, options, MapOptions(everywhere=everywhere))
        return
    result: Bound | Test
    with asked.question(given, method=method) as (loaded, interest, options):
        if value is None:
            result = verbs.limit_of(loaded, interest, options)
        else:
            result = verbs.hypothesis_test(loaded, asked.poi, value, options)
    if not given.show(result, loaded):
        click.echo(f"{result}{given.marks(loaded, interest, result)}")
