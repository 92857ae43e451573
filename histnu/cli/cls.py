"""``histnu cls``: the test of one value, as ``pyhf cls`` makes it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from histnu.cli import types
from histnu.cli.common import chunks_option, processes_options, seed_option
from histnu.cli.given import Given, likelihood_verb, poi_option
from histnu.cli.maps import Places, computed


@click.command("cls")
@likelihood_verb
@poi_option
@click.option("--value", type=types.ANY_NUMBER, default=1.0, show_default=True, help="Tested.")
@click.option(
    "--test-stat", type=click.Choice(["q_tilde", "q"]), default="q_tilde", show_default=True,
    help="q_tilde: of a parameter bounded at 0; q: of one that may be negative.",
)  # fmt: skip
@click.option("--n-toys", type=types.TOYS, default=None, help="Toys per hypothesis.")
@seed_option
@processes_options
@chunks_option
def command(
    given: Given,
    poi: str | None,
    value: float,
    test_stat: str,
    n_toys: int | None,
    seed: int,
    jobs: int,
    dask: str | None,
    chunks: Path | None,
) -> None:
    """CLs of one value of a parameter, observed and expected.

    CLs = CLs+b / CLb with the probabilities of data at least as signal-like, from the asymptotic
    formulae or, with --n-toys, from toys. Expected: with data without a signal, median and 1, 2
    standard deviations. The value at which CLs is 1 - CL is the limit: histnu limit --method cls.
    The significance of a signal (q0) is histnu significance.

    \b
    Examples:
      histnu cls workspace.json --value 1.0
      histnu cls BkgOnly.json --patch patchset.json --patch-name C1N2_200_50 --json
      histnu cls magnetic_moment_combined --poi mu_universal --value 1.1 --n-toys 5000
    """
    from histnu import verbs

    loaded, interest = given.load(poi)
    more = {"method": "cls"} if n_toys is None else {"method": "cls-toys", "n_toys": n_toys}
    how = given.options(interest, statistic=test_stat, seed=seed, **more)
    places = Places(jobs, dask, chunks)
    toys = nullcontext(how) if n_toys is None else computed((loaded, interest), how, given, places)
    with toys as options:
        found = verbs.test_of(loaded, interest, value, options)
    if given.show(found, loaded):
        return
    click.echo(f"{found}{given.marks(loaded, interest, found)}")
    low2, low1, median, high1, high2 = (f"{cls:.4g}" for cls in found.expected)
    click.echo(
        f"expected CLs without a signal: {median} (median), [{low1}, {high1}] (1 sigma), "
        f"[{low2}, {high2}] (2 sigma)"
    )
