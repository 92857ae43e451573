"""``histnu significance``."""

from __future__ import annotations

from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import seed_option
from histnu.cli.given import Given, likelihood_verb, plot_option, poi_option, say_written


@click.command()
@likelihood_verb
@poi_option
@click.option("--n-toys", type=types.TOYS, default=None, help="Background-only toys.")
@click.option("--signal", type=types.ANY_NUMBER, default=None, help="Of the expected significance.")
@seed_option
@plot_option
def command(
    given: Given,
    poi: str | None,
    n_toys: int | None,
    signal: float | None,
    seed: int,
    plot: Path | None,
) -> None:
    """Significance of a signal: q0, asymptotic and with toys.

    The background-only hypothesis (--poi at 0) is tested. With --signal the significance expected
    for that value is given too (median, Asimov data).

    \b
    Examples:
      histnu significance standard_model_xenonnt_4d_2024 --signal 1 --n-toys 20000
      histnu significance magnetic_moment_combined --poi mu_universal
    """
    from histnu.verbs.estimation import significance_of

    loaded, interest = given.load(poi)
    toys = {} if n_toys is None else {"method": "toys", "n_toys": n_toys}
    with given.toys(given.options(interest, seed=seed, **toys), n_toys is not None) as options:
        found, sampled = significance_of(loaded, interest, options, signal)
    if plot is not None:
        from histnu.plotting.statistics import draw_toys
        from histnu.verbs.figures import significance_figure

        say_written(draw_toys(significance_figure(loaded, found, sampled), plot))
    if not given.show(found, loaded):
        click.echo(f"{found}{given.marks(loaded, interest, found)}")
