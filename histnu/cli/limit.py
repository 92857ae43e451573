"""``histnu limit``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
from histnu.cli.expected import expected_line, expected_option

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
@expected_option
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
    expected: str | None,
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
      histnu limit magnetic_moment_combined --poi mu_universal --method cls --expected asimov
      histnu limit sterile_dipole_combined --poi mu_e --set m4=5
    """
    from histnu import verbs
    from histnu.analysis.target import load_target, parameter_of_interest

    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    with progress_bar(n_toys, quiet or as_json or "toys" not in method) as advance:
        options = verbs.Options(
            method=method,
            cl=cl,
            dof=dof,
            engine=engine,
            held=interest.fixed,
            n_toys=n_toys,
            seed=seed,
            progress=_advance(advance),
            allow_uncertified=allow_uncertified,
        )
        found = verbs.limit_of(loaded, interest, options)
    if expected is not None:
        silent = replace(options, progress=None)
        bands = verbs.expected_of(interest, expected == "toys", silent)
        found = found.model_copy(update={"expected": bands})
    if as_json:
        click.echo(stamped_json(found, loaded), nl=False)
        return
    click.echo(f"{found}{marks(loaded, interest, found.certified)}")
    if found.expected is not None:
        click.echo(expected_line(found.expected, interest.unit))
    for note in found.boundary:
        click.echo(f"  {note}")


def _advance(advance: Any) -> Any:
    """Adapt (done, total) progress to a bar that counts calls."""
    return lambda done, total: advance(f"{done}/{total} toys")
