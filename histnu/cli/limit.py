"""``histnu limit``."""

from __future__ import annotations

from typing import Any

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

METHODS = ("profile", "cls", "cls-toys", "toys")


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@cl_option
@click.option("--dof", type=types.DEGREES, default=1, show_default=True, help="For profile.")
@click.option(
    "--method", type=click.Choice(METHODS), default="profile", show_default=True,
    help="profile: Delta = chi2 quantile; cls: asymptotic; cls-toys; toys: Feldman-Cousins.",
)  # fmt: skip
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
@seed_option
@set_option
@engine_option
@allow_option
@json_option
@quiet_option
def command(
    target: str,
    poi: str | None,
    cl: float,
    dof: int,
    method: str,
    n_toys: int,
    seed: int,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Confidence region or upper limit of one parameter.

    The region is printed as a set: an interval, "< 1.2" where it has no lower end, or several
    intervals joined by "or". Every number rests on minima that two different starts agree on.

    TARGET is a workspace.json, its folder, or the name of an analysis.

    \b
    Examples:
      histnu limit likelihood/workspace.json --poi mu2_e --method cls --cl 0.95
      histnu limit millicharge_combined --poi q_ee --json
      histnu limit sterile_dipole_combined --poi mu_e --set m4=5
    """
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.toys import ToyOptions
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    loaded = load_target(target, settings)
    question = ask(loaded, poi)
    fit = FitOptions(engine=engine, fixed=question.fixed, allow_uncertified=allow_uncertified)
    with progress_bar(n_toys, quiet or as_json or "toys" not in method) as advance:
        toys = ToyOptions(n_toys=n_toys, seed=seed, fit=fit, progress=_advance(advance))
        found = run(question, method, (cl, dof), toys)
    best = question.value(found.best_fit.parameters[question.parameter])
    segments = segments_of(question, found.intervals)
    if as_json:
        result = {
            **asked_of(loaded, question, found.engine),
            "method": found.method,
            "cl": cl,
            "dof": dof if method == "profile" else None,
            "lower": question.value(found.lower),
            "upper": question.value(found.upper),
            "intervals": segments,
            "best_fit": best,
            "twice_nll": found.best_fit.twice_nll,
            "certified": found.certified,
            "search": found.search,
            "boundary": list(found.boundary),
            **({"n_toys": n_toys, "seed": seed} if "toys" in method else {}),
        }
        click.echo(dumps(result), nl=False)
        return
    how = f"{found.method}, {found.engine}"
    how += f", {n_toys} toys, seed {seed}" if "toys" in method else ""
    click.echo(
        f"{question.asked}: {region_text(segments, question.unit)} at {100 * cl:g} % CL ({how}); "
        f"best fit {numbers(best)}{marks(loaded, question, found.certified)}"
    )
    for note in found.boundary:
        click.echo(f"  {note}")


def run(question: Any, method: str, level: tuple[float, int], toys: Any) -> Any:
    """Find the region of a question with a method; returns an ``Interval``."""
    from histnu.inference.cls import cls_limit
    from histnu.inference.limits import IntervalOptions, interval
    from histnu.inference.toys import feldman_cousins

    cl, dof = level
    arguments = (question.likelihood, None, question.parameter)
    if method == "profile":
        return interval(*arguments, cl, dof, IntervalOptions(fit=toys.fit))
    if method == "cls":
        return cls_limit(*arguments, cl, toys.fit)
    if method == "cls-toys":
        return cls_limit(*arguments, cl, toys.fit, toys)
    return feldman_cousins(*arguments, cl, toys)[0]


def _advance(advance: Any) -> Any:
    """Adapt (done, total) progress to a bar that counts calls."""
    return lambda done, total: advance(f"{done}/{total} toys")
