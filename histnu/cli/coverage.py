"""``histnu coverage``."""

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


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option(
    "--true", "truth", type=types.ANY_NUMBER, default=0.0, show_default=True, help="True value."
)
@plane_options
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
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
    truth: float,
    x: str | None,
    x_range: tuple[float, float] | None,
    y: str | None,
    y_range: tuple[float, float] | None,
    points: int,
    dof: int | None,
    precision: float | None,
    plot: Path | None,
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
    """Coverage of intervals, with toys at true parameters.

    Fraction of toys at the true value whose profile interval covers it, with its error. With --x
    (and --y) a map of it; nuisances at their suggested values.

    \b
    Examples:
      histnu coverage magnetic_moment_combined --poi mu_universal --true 0.5
      histnu coverage magnetic_moment_combined --x mu_e --x-range 0 3 --plot coverage.png
    """
    from histnu import verbs
    from histnu.cli.maps import Where, asked, run, show
    from histnu.inference.maps import MapOptions

    options = verbs.Options(
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
        how = MapOptions(precision=precision, everywhere=True, nominal=True)
        show(run(question, options, how, where), plot, as_json)
        return
    single((target, settings, poi, truth), options, where, as_json)


def single(
    asked: tuple[str, dict[str, float], str | None, float],
    options: Options,
    where: Where,
    as_json: bool,
) -> None:
    """The coverage at one value."""
    from histnu import verbs
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.cli.maps import running

    target, settings, poi, truth = asked
    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    with running(loaded, interest, options, where) as options:
        found = verbs.coverage(loaded, poi, truth, options)
    if as_json:
        click.echo(stamped_json(found, loaded), nl=False)
        return
    low, high = found.coverage_interval
    click.echo(
        f"{interest.name} = {truth:g} {interest.unit}: {found.covered} of {found.n_toys} "
        f"intervals at {100 * found.cl:g} % CL cover: {found.coverage:.4f} in [{low:.4f}, "
        f"{high:.4f}] (68.3 %, Clopper-Pearson; {found.engine}, seed {found.seed}); best fit of "
        f"the data {found.best_fit:.6g}"
        + (f"; {found.failed} toys left out" if found.failed else "")
        + marks(loaded, interest, found.certified)
    )
