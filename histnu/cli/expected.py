"""``histnu limit --expected``: what the limit was expected to be."""

from __future__ import annotations

from typing import Any

import click

ENSEMBLES = ("asimov", "toys")

expected_option = click.option(
    "--expected", type=click.Choice(ENSEMBLES), default=None,
    help="Median and 1, 2 standard deviation bands without a signal: Asimov formulae, or toys.",
)  # fmt: skip


def expected(
    question: Any, method: str, level: tuple[float, int], ensemble: str, toys: Any
) -> dict[str, Any]:
    """Bands of the upper end, in the unit that was asked.

    Methods with toys (``cls-toys``, ``toys``) always have bands from toys.
    """
    from histnu.inference.expected import ExpectedOptions, expected_limit

    options = ExpectedOptions(
        method=method, cl=level[0], dof=level[1], ensemble=ensemble == "toys", fit=toys.fit,
        toys=toys,
    )  # fmt: skip
    if method == "cls" and ensemble == "toys":
        options = ExpectedOptions(method="cls-toys", cl=level[0], fit=toys.fit, toys=toys)
    found = expected_limit(question.likelihood, None, question.parameter, options)
    document = found.to_json()
    document["upper"] = [question.value(u) for u in found.upper]
    document.pop("toys")
    return document


def expected_line(document: dict[str, Any], unit: str) -> str:
    """One line for people."""
    from histnu.cli.common import numbers

    low2, low1, median, high1, high2 = (numbers(u) for u in document["upper"])
    source = f"{document['n_toys']} toys" if document["ensemble"] == "toys" else "Asimov"
    if document["upper"][1] is None and document["upper"][3] is None:
        return (
            f"expected upper end without a signal: {median} {unit} (median, {source}); "
            "bands of a parameter that does not enter linearly need --expected toys"
        )
    return (
        f"expected upper end without a signal: {median} {unit} (median), "
        f"[{low1}, {high1}] (1 sigma), [{low2}, {high2}] (2 sigma), {source}"
    )
