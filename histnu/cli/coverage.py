"""``histnu coverage``."""

from __future__ import annotations

import click

from histnu.cli import types
from histnu.cli.common import cl_option, json_option, progress_bar, quiet_option, seed_option


@click.command()
@click.argument("target", type=types.Target())
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option(
    "--true", "truth", type=types.ANY_NUMBER, default=0.0, show_default=True, help="True value."
)
@click.option("--n-toys", type=types.TOYS, default=1000, show_default=True)
@cl_option
@seed_option
@json_option
@quiet_option
def command(
    target: str,
    poi: str | None,
    truth: float,
    n_toys: int,
    cl: float,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Coverage of intervals, with toys at true parameters.

    Fraction of toys at the true value whose profile interval covers it, with its error.

    \b
    Example:
      histnu coverage magnetic_moment_combined --poi mu_universal --true 0.5
    """
    from histnu.inference.toys import ToyOptions, coverage
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    question = ask(load_target(target), poi)
    with progress_bar(1, quiet or as_json) as advance:
        options = ToyOptions(
            n_toys=n_toys, seed=seed, progress=lambda done, total: advance(f"{done}/{total} toys")
        )
        true = {question.parameter: question.inverse(truth)}
        found = coverage(question.likelihood, true, question.parameter, cl, options=options)
    if as_json:
        click.echo(dumps(found.to_json()), nl=False)
        return
    click.echo(
        f"{question.asked} = {truth:g} {question.unit}: "
        f"{found.covered} of {found.n_toys} intervals at {100 * cl:g} % CL cover: "
        f"{found.coverage:.4f} +- {found.error:.4f}"
        + (f"; {found.failed} toys left out" if found.failed else "")
    )
