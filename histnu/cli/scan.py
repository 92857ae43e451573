"""``histnu scan``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.answers import marks, stamped_json
from histnu.cli.common import allow_option, engine_option, json_option, set_option


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option("--from", "low", type=types.ANY_NUMBER, required=True, help="First value.")
@click.option("--to", "high", type=types.ANY_NUMBER, required=True, help="Last value.")
@click.option("--points", type=types.Integer(2, 100_000), default=51, show_default=True)
@set_option
@engine_option
@allow_option
@json_option
def command(
    target: str,
    poi: str | None,
    low: float,
    high: float,
    points: int,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
) -> None:
    """Profile likelihood of one parameter.

    Print value and Delta(-2 log L) of a scan; all other parameters are profiled.

    \b
    Example:
      histnu scan millicharge_combined --poi q_ee --from -8 --to 12
    """
    import numpy as np

    from histnu import verbs
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.core.errors import ConfigError

    if not low < high:
        raise ConfigError(f"--from {low:g} must be below --to {high:g}")
    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    options = verbs.Options(engine=engine, held=interest.fixed, allow_uncertified=allow_uncertified)
    found = verbs.scan_of(loaded, interest, np.linspace(low, high, points), options)
    if as_json:
        click.echo(stamped_json(found, loaded), nl=False)
        return
    notes = marks(loaded, interest, found.certified)
    best = f"best fit {found.best_fit:.6g}"
    click.echo(f"# {interest.name} [{interest.unit}]  Delta(-2 log L); {best}{notes}")
    for value, delta, good in zip(
        found.values, found.delta_twice_nll, found.certified_points, strict=True
    ):
        shown = "undefined" if delta is None else f"{delta:.6f}"
        click.echo(f"{value:.6g} {shown}" + ("" if good else "  # not certified"))
