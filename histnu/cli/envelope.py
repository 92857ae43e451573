"""What the verbs of this folder print: one envelope of JSON, tables, and a line of provenance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types

if TYPE_CHECKING:
    from histnu.analysis.target import ParameterOfInterest, Target
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.toys import ToyOptions

poi_option = click.option(
    "--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee)."
)
plot_option = click.option(
    "--plot", type=types.Place(), default=None,
    help="Draw into FILE (.png, .pdf, .svg; without suffix all three); numbers beside it as CSV.",
)  # fmt: skip


def prepare(
    target: str, poi: str | None, settings: dict[str, float], how: tuple[str, bool]
) -> tuple[Target, ParameterOfInterest, FitOptions]:
    """The target, one of its parameters, and how to fit it.

    Args:
        target, poi: as given. settings: of ``--set``.
        how: engine, and whether uncertified fits are allowed.
    """
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.inference.engine.fit import FitOptions

    loaded = load_target(target, settings)
    interest = parameter_of_interest(loaded, poi)
    engine, allow = how
    return loaded, interest, FitOptions(
        engine=engine, fixed=interest.fixed, allow_uncertified=allow
    )  # fmt: skip


def envelope(kind: str, asked: dict[str, Any], **answer: Any) -> dict[str, Any]:
    """What was asked (see :func:`histnu.cli.answers.asked_of`) and the answer, as plain JSON."""
    from histnu.inference.results import jsonable

    filled: dict[str, Any] = jsonable({"kind": kind, **asked, **answer})
    return filled


def toy_options(n_toys: int, seed: int, fit: FitOptions, advance: Any) -> ToyOptions:
    """Toys with a progress bar."""
    from histnu.inference.toys import ToyOptions

    return ToyOptions(
        n_toys=n_toys,
        seed=seed,
        fit=fit,
        chunk=max(50, min(4000, n_toys // 20)),
        progress=lambda done, total: advance(f"{done}/{total} toys"),
    )


def say_written(paths: list[Path]) -> None:
    """Name the files of a figure on standard error."""
    for path in paths:
        click.echo(f"wrote {path}", err=True)
