"""``histnu scan``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.common import engine_option, json_option


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option("--from", "low", type=types.ANY_NUMBER, required=True, help="First value.")
@click.option("--to", "high", type=types.ANY_NUMBER, required=True, help="Last value.")
@click.option("--points", type=types.Integer(2, 100_000), default=51, show_default=True)
@engine_option
@json_option
def command(
    target: str, poi: str | None, low: float, high: float, points: int, engine: str, as_json: bool
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
    loaded = load_target(target)
    question = ask(loaded, poi)
    values = np.linspace(low, high, points)
    inner = np.array([question.inverse(float(v)) for v in values])
    options = FitOptions(engine=engine)
    found = profile(question.likelihood, None, question.parameter, inner, options)
    if as_json:
        document = {
            "target": loaded.name,
            "parameter": question.asked,
            "unit": question.unit,
            "provenance": loaded.provenance,
            "engine": engine,
            "values": values,
            "delta_twice_nll": found.delta_twice_nll,
            "best_fit": question.value(found.best_fit.parameters[question.parameter]),
        }
        click.echo(dumps(document), nl=False)
        return
    click.echo(f"# {question.asked} [{question.unit}]  Delta(-2 log L)")
    for value, delta in zip(values, found.delta_twice_nll, strict=True):
        click.echo(f"{value:.6g} {delta:.6f}")
