"""``histnu scan``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import processes_options
from histnu.cli.given import Given, likelihood_verb, plot_option, poi_option, say_written


@click.command()
@likelihood_verb
@poi_option
@click.option("--from", "low", type=types.ANY_NUMBER, required=True, help="First value.")
@click.option("--to", "high", type=types.ANY_NUMBER, required=True, help="Last value.")
@click.option("--points", type=types.Integer(2, 100_000), default=51, show_default=True)
@processes_options
@plot_option
def command(
    given: Given,
    poi: str | None,
    low: float,
    high: float,
    points: int,
    jobs: int,
    dask: str | None,
    plot: Path | None,
) -> None:
    """Profile likelihood of one parameter.

    Print value and Delta(-2 log L) of a scan; all other parameters are profiled.

    \b
    Example:
      histnu scan millicharge_combined --poi q_ee --from -8 --to 12 --plot profile.png
    """
    import numpy as np

    from histnu import verbs
    from histnu.core.errors import ConfigError
    from histnu.core.executor import executor

    if not low < high:
        raise ConfigError(f"--from {low:g} must be below --to {high:g}")
    loaded, interest = given.load(poi)
    values = np.linspace(low, high, points)
    with executor(jobs, dask) as processes:
        options = given.options(interest, executor=processes)
        found = verbs.scan_of(loaded, interest, values, options)
    if plot is not None:
        from histnu.plotting.statistics import draw_scan
        from histnu.verbs.figures import profile_figure

        say_written(draw_scan(profile_figure(loaded, found), plot))
    if given.show(found, loaded):
        return
    notes = given.marks(loaded, interest, found)
    best = f"best fit {found.best_fit:.6g}"
    name = interest.name + (f" [{interest.unit}]" if interest.unit else "")
    click.echo(f"# {name}  Delta(-2 log L); {best}{notes}")
    for value, delta, good in zip(
        found.values, found.delta_twice_nll, found.certified_points, strict=True
    ):
        shown = "undefined" if delta is None else f"{delta:.6f}"
        click.echo(f"{value:.6g} {shown}" + ("" if good else "  # not certified"))
