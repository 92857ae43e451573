"""``histnu toys``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.answers import marks, stamped_json
from histnu.cli.common import (
    allow_option,
    cl_option,
    engine_option,
    json_option,
    progress_bar,
    quiet_option,
    seed_option,
    set_option,
)

if TYPE_CHECKING:
    from histnu.verbs.results import Bound, Test


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
    from histnu import verbs
    from histnu.analysis.target import load_target, parameter_of_interest

    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    with progress_bar(1, quiet or as_json, "toys") as advance:
        options = verbs.Options(
            method="toys" if value is None else "cls-toys",
            cl=cl,
            engine=engine,
            held=interest.fixed,
            n_toys=n_toys,
            seed=seed,
            progress=advance,
            allow_uncertified=allow_uncertified,
        )
        found: Bound | Test
        if value is None:
            found = verbs.limit_of(loaded, interest, options)
        else:
            found = verbs.hypothesis_test(loaded, poi, value, options)
    if as_json:
        click.echo(stamped_json(found, loaded), nl=False)
        return
    click.echo(f"{found}{marks(loaded, interest, found.certified)}")
