"""``histnu limit``."""

from __future__ import annotations

from typing import Any

import click

from histnu.cli.common import (
    cl_option,
    engine_option,
    json_option,
    numbers,
    progress_bar,
    quiet_option,
    seed_option,
)
from histnu.cli.expected import expected_option

METHODS = ("profile", "cls", "cls-toys", "toys")


@click.command()
@click.argument("target")
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@cl_option
@click.option("--dof", type=click.IntRange(1), default=1, show_default=True, help="For profile.")
@click.option(
    "--method", type=click.Choice(METHODS), default="profile", show_default=True,
    help="profile: Delta = chi2 quantile; cls: asymptotic; cls-toys; toys: Feldman-Cousins.",
)  # fmt: skip
@click.option("--n-toys", type=click.IntRange(10), default=1000, show_default=True)
@expected_option
@seed_option
@engine_option
@json_option
@quiet_option
def command(
    target: str,
    poi: str | None,
    cl: float,
    dof: int,
    method: str,
    n_toys: int,
    expected: str | None,
    seed: int,
    engine: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Confidence interval or upper limit from a workspace.

    TARGET is a workspace.json, its folder, or the name of an analysis.

    \b
    Examples:
      histnu limit likelihood/workspace.json --poi mu2_e --method cls --cl 0.95
      histnu limit millicharge_combined --poi q_ee --json
      histnu limit magnetic_moment_combined --poi mu_universal --method cls --expected asimov
    """
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.toys import ToyOptions
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    loaded = load_target(target)
    question = ask(loaded, poi)
    with progress_bar(n_toys, quiet or as_json or "toys" not in method) as advance:
        toys = ToyOptions(n_toys=n_toys, seed=seed, progress=_advance(advance))
        found = run(question, method, (cl, dof), engine, toys)
    result = {
        "target": loaded.name,
        "parameter": question.asked,
        "unit": question.unit,
        "method": found.method,
        "engine": found.engine,
        "cl": cl,
        "dof": dof if method == "profile" else None,
        "lower": question.value(found.lower),
        "upper": question.value(found.upper),
        "best_fit": question.value(found.best_fit.parameters[question.parameter]),
        "twice_nll": found.best_fit.twice_nll,
        "provenance": loaded.provenance,
    }
    if expected is not None:
        from histnu.cli.expected import expected as find_expected

        toys = ToyOptions(n_toys=n_toys, seed=seed, fit=FitOptions(engine=engine))
        result["expected"] = find_expected(question, method, (cl, dof), expected, toys)
    if as_json:
        click.echo(dumps(result), nl=False)
        return
    marks = f" [{loaded.provenance} inputs]" if loaded.provenance else ""
    click.echo(
        f"{question.asked}: [{numbers(result['lower'])}, {numbers(result['upper'])}] "
        f"{question.unit} at {100 * cl:g} % CL ({found.method}, {found.engine}); "
        f"best fit {numbers(result['best_fit'])}{marks}"
    )
    if expected is not None:
        from histnu.cli.expected import expected_line

        click.echo(expected_line(result["expected"], question.unit))


def run(question: Any, method: str, level: tuple[float, int], engine: str, toys: Any) -> Any:
    """Find the interval of a question with a method; returns an ``Interval``."""
    from histnu.inference.cls import cls_limit
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.limits import IntervalOptions, interval
    from histnu.inference.toys import feldman_cousins

    cl, dof = level
    options = FitOptions(engine=engine)
    arguments = (question.likelihood, None, question.parameter)
    if method == "profile":
        return interval(*arguments, cl, dof, IntervalOptions(fit=options))
    if method == "cls":
        return cls_limit(*arguments, cl, options)
    if method == "cls-toys":
        return cls_limit(*arguments, cl, options, toys)
    return feldman_cousins(*arguments, cl, toys)[0]


def _advance(advance: Any) -> Any:
    """Adapt (done, total) progress to a bar that counts calls."""
    return lambda done, total: advance(f"{done}/{total} toys")
