"""``histnu scan``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.answers import asked_of, marks
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

    from histnu.errors import ConfigError
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.profile import profile
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    if not low < high:
        raise ConfigError(f"--from {low:g} must be below --to {high:g}")
    loaded = load_target(target, settings)
    question = ask(loaded, poi)
    values = np.linspace(low, high, points)
    inner = np.array([question.inverse(float(v)) for v in values])
    options = FitOptions(engine=engine, fixed=question.fixed, allow_uncertified=allow_uncertified)
    found = profile(question.likelihood, None, question.parameter, inner, options)
    best = question.value(found.best_fit.parameters[question.parameter])
    certified = bool(found.certified.all() and found.best_fit.certified)
    if as_json:
        document = {
            **asked_of(loaded, question, engine),
            "values": values,
            "delta_twice_nll": found.delta_twice_nll,
            "best_fit": best,
            "certified": certified,
            "certified_points": found.certified.tolist(),
            "search": found.search,
        }
        click.echo(dumps(document), nl=False)
        return
    notes = marks(loaded, question, certified)
    click.echo(f"# {question.asked} [{question.unit}]  Delta(-2 log L); best fit {best:.6g}{notes}")
    for value, delta, good in zip(values, found.delta_twice_nll, found.certified, strict=True):
        shown = f"{delta:.6f}" if np.isfinite(delta) else "undefined"
        click.echo(f"{value:.6g} {shown}" + ("" if good else "  # not certified"))
