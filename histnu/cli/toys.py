"""``histnu toys``."""

from __future__ import annotations

from typing import Any

import click

from histnu.cli.given import Given, likelihood_verb
from histnu.cli.maps import Asked, toy_options


def _moved(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Say where the test of one value is."""
    if value is not None:
        raise click.UsageError(f"toys at one value: histnu cls --value {value} --n-toys N", context)


@click.command()
@likelihood_verb
@click.option("--value", hidden=True, expose_value=False, callback=_moved)
@click.option("--everywhere", is_flag=True, help="All toys at all points of a map.")
@toy_options(n_toys=10000)
def command(given: Given, asked: Asked, everywhere: bool) -> None:
    """Limits and maps with pseudo-experiments (Feldman-Cousins).

    The Feldman-Cousins interval; nuisances profiled in each toy. With --x (and --y) a map: critical
    values of the points, and the region beside the asymptotic one. Toys go near the contour, at
    most --n-toys per point. CLs of one value with toys is histnu cls --n-toys.

    \b
    Examples:
      histnu toys magnetic_moment_combined --poi mu_universal --n-toys 2000
      histnu toys millicharge_combined --x q_ee --y q_mumu --points 31 --plot charges.png
      histnu toys sterile_dipole_combined --x m4 --y mu_e --y-range 0.5 30 --chunks toys -j 2
    """
    from histnu import verbs
    from histnu.inference.maps import MapOptions

    if asked.is_map:
        options = asked.options(given, method="toys")
        asked.show_map(given, options, MapOptions(everywhere=everywhere))
        return
    with asked.question(given, method="toys") as (loaded, interest, options):
        found = verbs.limit_of(loaded, interest, options)
    if not given.show(found, loaded):
        click.echo(f"{found}{given.marks(loaded, interest, found)}")
