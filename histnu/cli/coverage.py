"""``histnu coverage``."""

from __future__ import annotations

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


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option(
    "--true", "truth", type=types.ANY_NUMBER, default=0.0, show_default=True, help="True value."
)
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
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
    truth: float,
    n_toys: int,
    cl: float,
    seed: int,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Coverage of intervals, with toys at true parameters.

    Fraction of toys at the true value whose profile interval covers it, with its error.

    \b
    Example:
      histnu coverage magnetic_moment_combined --poi mu_universal --true 0.5
    """
    from histnu import verbs
    from histnu.analysis.target import load_target, parameter_of_interest

    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    with progress_bar(1, quiet or as_json, "toys") as advance:
        options = verbs.Options(
            cl=cl,
            engine=engine,
            held=interest.fixed,
            n_toys=n_toys,
            seed=seed,
            progress=advance,
            allow_uncertified=allow_uncertified,
        )
        found = verbs.coverage(loaded, poi, truth, options)
    if as_json:
        click.echo(stamped_json(found, loaded), nl=False)
        return
    low, high = found.coverage_interval
    click.echo(
        f"{interest.name} = {truth:g} {interest.unit}: {found.covered} of {found.n_toys} "
        f"intervals at {100 * cl:g} % CL cover: {found.coverage:.4f} in [{low:.4f}, {high:.4f}] "
        f"(68.3 %, Clopper-Pearson; {engine}, seed {seed}); best fit of the data "
        f"{found.best_fit:.6g}"
        + (f"; {found.failed} toys left out" if found.failed else "")
        + marks(loaded, interest, found.certified)
    )
