"""``histnu limit``."""

from __future__ import annotations

from dataclasses import replace

import click

from histnu.cli import types
from histnu.cli.common import cl_option, seed_option
from histnu.cli.expected import expected_line, expected_option
from histnu.cli.given import Given, likelihood_verb, poi_option

METHODS = ("profile", "cls", "cls-toys", "toys")


@click.command()
@likelihood_verb
@poi_option
@cl_option
@click.option("--dof", type=types.DEGREES, default=1, show_default=True, help="For profile.")
@click.option(
    "--method", type=click.Choice(METHODS), default="profile", show_default=True,
    help="profile: Delta = chi2 quantile; cls: asymptotic; cls-toys; toys: Feldman-Cousins.",
)  # fmt: skip
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
@expected_option
@seed_option
def command(
    given: Given,
    poi: str | None,
    cl: float,
    dof: int,
    method: str,
    n_toys: int,
    expected: str | None,
    seed: int,
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

    loaded, interest = given.load(poi)
    how = given.options(interest, method=method, cl=cl, dof=dof, n_toys=n_toys, seed=seed)
    with given.toys(how, "toys" in method) as options:
        found = verbs.limit_of(loaded, interest, options)
    if expected is not None:
        silent = replace(options, progress=None)
        bands = verbs.expected_of(interest, expected == "toys", silent)
        found = found.model_copy(update={"expected": bands})
    if given.show(found, loaded):
        return
    click.echo(f"{found}{given.marks(loaded, interest, found)}")
    if found.expected is not None:
        click.echo(expected_line(found.expected, interest.unit))
    for note in found.boundary:
        click.echo(f"  {note}")
