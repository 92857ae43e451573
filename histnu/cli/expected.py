"""``histnu limit --expected``: what the limit was expected to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from histnu.verbs.results import Expected

ENSEMBLES = ("asimov", "toys")

expected_option = click.option(
    "--expected", type=click.Choice(ENSEMBLES), default=None,
    help="Median and 1, 2 standard deviation bands without a signal: Asimov formulae, or toys.",
)  # fmt: skip


def expected_line(found: Expected, unit: str) -> str:
    """One line for people."""
    from histnu.verbs.envelope import number_text

    low2, low1, median, high1, high2 = (number_text(u) for u in found.upper)
    source = f"{found.n_toys} toys" if found.ensemble == "toys" else "Asimov"
    if found.upper[1] is None and found.upper[3] is None:
        return (
            f"expected upper end without a signal: {median} {unit} (median, {source}); "
            "bands of a parameter that does not enter linearly need --expected toys"
        )
    return (
        f"expected upper end without a signal: {median} {unit} (median), "
        f"[{low1}, {high1}] (1 sigma), [{low2}, {high2}] (2 sigma), {source}"
    )
