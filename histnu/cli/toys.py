"""``histnu toys``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.answers import marks, stamped_json
from histnu.cli.common import (
    allow_option,
    cl_option,
    engine_option,
    json_option,
    plane_options,
    quiet_option,
    running_options,
    seed_option,
    set_option,
)

if TYPE_CHECKING:
    from histnu.cli.maps import Where
    from histnu.verbs import Options
    from histnu.verbs.results import Bound, Test


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option(
    "--value", type=types.ANY_NUMBER, default=None, help="Test this value (CLs) instead of a limit."
)
@plane_options
@click.option("--everywhere", is_flag=True, help="All toys at all points of a map.")
@click.option("--n-toys", type=types.TOYS, default=10000, show_default=True)
@running_options
@cl_option
@seed_option
@set_option
@engine_option
@allow_option
@json_option
@quiet_option
def command(
    target: str,
    poi: str | None,
    value: float | None,
    x: str | None,
    x_range: tuple[float, float] | None,
    y: str | None,
    y_range: tuple[float, float] | None,
    points: int,
    dof: int | None,
    precision: float | None,
    plot: Path | None,
    everywhere: bool,
    n_toys: int,
    jobs: int,
    dask: str | None,
    chunks: Path | None,
    cl: float,
    seed: int,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Limits and maps with pseudo-experiments (CLs, Feldman-Cousins).

    CLs of one value, or the Feldman-Cousins interval; nuisances profiled in each toy. With --x (and
    --y) a map: critical values of the points, and the region beside the asymptotic one. Toys go
    near the contour, at most --n-toys per point.

    \b
    Examples:
      histnu toys magnetic_moment_combined --poi mu_universal --value 1.1
      histnu toys millicharge_combined --x q_ee --x-range -8 13 --y q_mumu --y-range -8 13
      histnu toys sterile_dipole_combined --x m4 --y mu_e --y-range 0.5 30 --chunks toys -j 2
    """
    from histnu import verbs
    from histnu.cli.maps import Where, asked, run, show
    from histnu.inference.maps import MapOptions

    options = verbs.Options(
        method="toys" if value is None else "cls-toys",
        cl=cl,
        dof=dof or (1 if y is None else 2),
        engine=engine,
        n_toys=n_toys,
        seed=seed,
        allow_uncertified=allow_uncertified,
    )
    where = Where(jobs, dask, chunks, quiet or as_json)
    if x is not None or y is not None:
        question = asked(target, settings, (x, y), (x_range, y_range), points)
        how = MapOptions(precision=precision, everywhere=everywhere)
        show(run(question, options, how, where), plot, as_json)
        return
    single((target, settings, poi, value), options, where, as_json)


def single(
    asked: tuple[str, dict[str, float], str | None, float | None],
    options: Options,
    where: Where,
    as_json: bool,
) -> None:
    """The interval of one parameter, or CLs of one value."""
    from histnu import verbs
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.cli.maps import running

    target, settings, poi, value = asked
    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    with running(loaded, interest, options, where) as options:
        found: Bound | Test
        if value is None:
            found = verbs.limit_of(loaded, interest, options)
        else:
            found = verbs.hypothesis_test(loaded, poi, value, options)
    if as_json:
        click.echo(stamped_json(found, loaded), nl=False)
        return
    click.echo(f"{found}{marks(loaded, interest, found.certified)}")
