"""``histnu significance``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.answers import asked_of, marks
from histnu.cli.common import (
    allow_option,
    engine_option,
    json_option,
    progress_bar,
    quiet_option,
    seed_option,
    set_option,
)
from histnu.cli.envelope import (
    envelope,
    plot_option,
    poi_option,
    prepare,
    say_written,
    toy_options,
)

if TYPE_CHECKING:
    from histnu.inference.significance import Significance


@click.command()
@click.argument("target", type=types.Target())
@poi_option
@click.option("--n-toys", type=types.TOYS, default=None, help="Background-only toys.")
@click.option("--signal", type=types.ANY_NUMBER, default=None, help="Of the expected significance.")
@seed_option
@plot_option
@set_option
@engine_option
@allow_option
@json_option
@quiet_option
def command(
    target: str,
    poi: str | None,
    n_toys: int | None,
    signal: float | None,
    seed: int,
    plot: Path | None,
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Significance of a signal: q0, asymptotic and with toys.

    The background-only hypothesis (--poi at 0) is tested. With --signal the significance expected
    for that value is given too (median, Asimov data).

    \b
    Examples:
      histnu significance standard_model_xenonnt_4d_2024 --signal 1 --n-toys 20000
      histnu significance magnetic_moment_combined --poi mu_universal
    """
    from histnu.core.serialize import dumps
    from histnu.inference.significance import SignificanceOptions, significance

    loaded, interest, how = prepare(target, poi, settings, (engine, allow_uncertified))
    inner = None if signal is None else interest.inverse(signal)
    with progress_bar(n_toys or 1, quiet or as_json or n_toys is None) as advance:
        toys = None if n_toys is None else toy_options(n_toys, seed, how, advance)
        options = SignificanceOptions(0.0, inner, toys, how)
        found = significance(interest.likelihood, None, interest.parameter, options)
    if plot is not None:
        from histnu.plotting.statistics import draw_toys
        from histnu.verbs.figures import significance_figure

        say_written(draw_toys(significance_figure(loaded, found), plot))
    best = interest.value(found.best_fit)
    if as_json:
        asked = asked_of(loaded, interest, found.engine)
        answer = {**found.to_json(), "parameter": interest.name, "best_fit": best}
        answer |= {"signal": signal, "toys": None, "seed": None if n_toys is None else seed}
        click.echo(
            dumps(envelope("significance", asked, **answer)),
            nl=False,
        )
        return
    text = described(found, interest.name, (seed, signal))
    click.echo(
        f"{text}; best fit {best:.6g} {interest.unit}".rstrip()
        + marks(loaded, interest, found.certified)
    )


def described(found: Significance, asked: str, given: tuple[int, float | None]) -> str:
    """The significance in words; ``given`` is the seed and the expected signal of the options."""
    seed, signal = given
    text = (
        f"{asked} = 0 is disfavoured with {found.significance:.3f} standard deviations "
        f"(q0 = {found.q0:.4f}, p = {found.p_value:.3g}, asymptotic, {found.engine})"
    )
    if found.significance_toys is not None:
        bound = "> " if found.p_value_toys == 0 else ""
        text += (
            f"; {bound}{found.significance_toys:.3f} with {found.n_toys} toys "
            f"(p = {found.p_value_toys:.3g} +- {found.p_value_toys_error:.2g}, seed {seed})"
        )
    if found.expected is not None:
        text += f"; expected {found.expected:.3f} at {signal:g}"
    return text
