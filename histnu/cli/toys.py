"""``histnu toys``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.answers import asked_of, marks, region_text, segments_of
from histnu.cli.common import (
    allow_option,
    cl_option,
    engine_option,
    json_option,
    numbers,
    progress_bar,
    quiet_option,
    seed_option,
    set_option,
)

if TYPE_CHECKING:
    from histnu.inference.toys import ToyOptions
    from histnu.targets import Question


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option(
    "--value", type=types.ANY_NUMBER, default=None, help="Test this value (CLs) instead of a limit."
)
@click.option("--n-toys", type=types.TOYS, default=10000, show_default=True)
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
    n_toys: int,
    cl: float,
    seed: int,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Limits with pseudo-experiments (CLs, Feldman-Cousins).

    CLs of one value, or the Feldman-Cousins interval; nuisances profiled in each toy.

    \b
    Example:
      histnu toys magnetic_moment_combined --poi mu_universal --value 1.1
    """
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.toys import ToyOptions
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    loaded = load_target(target, settings)
    question = ask(loaded, poi)
    fit = FitOptions(engine=engine, fixed=question.fixed, allow_uncertified=allow_uncertified)
    with progress_bar(1, quiet or as_json) as advance:
        options = ToyOptions(
            n_toys=n_toys,
            seed=seed,
            fit=fit,
            progress=lambda done, total: advance(f"{done}/{total} toys"),
        )
        if value is not None:
            answer, text = tested(question, value, options)
        else:
            answer, text = accepted_region(question, cl, options)
    if as_json:
        asked = asked_of(loaded, question, engine)
        click.echo(dumps({**asked, **answer, "n_toys": n_toys, "seed": seed}), nl=False)
        return
    certified = answer["certified"]
    click.echo(
        f"{text}, {engine}, {n_toys} toys per value, seed {seed}); best fit "
        f"{numbers(answer['best_fit'])}{marks(loaded, question, certified)}"
    )


def tested(question: Question, value: float, options: ToyOptions) -> tuple[dict[str, Any], str]:
    """CLs of one value, as JSON and as the first half of a line."""
    from histnu.inference.cls import hypotest_toys

    inner = question.inverse(value)
    test = hypotest_toys(question.likelihood, None, question.parameter, inner, options)
    assert test.best_fit is not None
    document = {**test.to_json(), "parameter": question.asked, "value": value}
    document["best_fit"] = question.value(test.best_fit.parameters[question.parameter])
    document["best_fit_twice_nll"] = test.best_fit.twice_nll
    text = (
        f"{question.asked} = {value:g} {question.unit}: CLs = {test.cls:.4f} "
        f"(CLs+b = {test.cl_sb:.4f}, CLb = {test.cl_b:.4f}"
    )
    return document, text


def accepted_region(
    question: Question, cl: float, options: ToyOptions
) -> tuple[dict[str, Any], str]:
    """The Feldman-Cousins region, as JSON and as the first half of a line."""
    from histnu.inference.toys import feldman_cousins

    found, _ = feldman_cousins(question.likelihood, None, question.parameter, cl, options)
    segments = segments_of(question, found.intervals)
    document = {
        "cl": cl,
        "lower": question.value(found.lower),
        "upper": question.value(found.upper),
        "intervals": segments,
        "method": found.method,
        "best_fit": question.value(found.best_fit.parameters[question.parameter]),
        "best_fit_twice_nll": found.best_fit.twice_nll,
        "certified": found.certified,
        "search": found.search,
    }
    region = region_text(segments, question.unit)
    text = f"{question.asked}: {region} at {100 * cl:g} % CL ({found.method}"
    return document, text
