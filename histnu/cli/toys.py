"""``histnu toys``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.common import (
    cl_option,
    engine_option,
    json_option,
    progress_bar,
    quiet_option,
    seed_option,
)


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option(
    "--value", type=types.ANY_NUMBER, default=None, help="Test this value (CLs) instead of a limit."
)
@click.option("--n-toys", type=types.TOYS, default=10000, show_default=True)
@cl_option
@seed_option
@engine_option
@json_option
@quiet_option
def command(
    target: str,
    poi: str | None,
    value: float | None,
    n_toys: int,
    cl: float,
    seed: int,
    engine: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Limits with pseudo-experiments (CLs, Feldman-Cousins).

    CLs of one value, or the Feldman-Cousins interval; nuisances profiled in each toy.

    \b
    Example:
      histnu toys magnetic_moment_combined --poi mu_universal --value 1.1
    """
    from histnu.inference.cls import hypotest_toys
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.toys import ToyOptions, feldman_cousins
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    loaded = load_target(target)
    question = ask(loaded, poi)
    with progress_bar(1, quiet or as_json) as advance:
        options = ToyOptions(
            n_toys=n_toys,
            seed=seed,
            fit=FitOptions(engine=engine),
            progress=lambda done, total: advance(f"{done}/{total} toys"),
        )
        if value is not None:
            inner = question.inverse(value)
            test = hypotest_toys(question.likelihood, None, question.parameter, inner, options)
            result = {**test.to_json(), "parameter": question.asked, "value": value}
            text = (
                f"{question.asked} = {value:g} {question.unit}: CLs = {test.cls:.4f}"
                f" (CLs+b = {test.cl_sb:.4f}, CLb = {test.cl_b:.4f}, {n_toys} toys each)"
            )
        else:
            found, _ = feldman_cousins(question.likelihood, None, question.parameter, cl, options)
            ends = (question.value(found.lower), question.value(found.upper))
            result = {
                "parameter": question.asked,
                "unit": question.unit,
                "cl": cl,
                "lower": ends[0],
                "upper": ends[1],
                "method": found.method,
                "n_toys": n_toys,
                "seed": seed,
            }
            shown = ["open" if e is None else f"{e:.4g}" for e in ends]
            text = (
                f"{question.asked}: [{shown[0]}, {shown[1]}] {question.unit} at "
                f"{100 * cl:g} % CL ({found.method}, {n_toys} toys per value, seed {seed})"
            )
    click.echo(dumps(result) if as_json else text, nl=not as_json)
