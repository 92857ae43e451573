"""What the verbs of this folder print: one envelope of JSON, tables, and a line of provenance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from histnu.inference.toys import ToyOptions
    from histnu.targets import Question, Target

poi_option = click.option(
    "--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee)."
)
plot_option = click.option(
    "--plot", type=click.Path(path_type=Path), default=None,
    help="Draw into FILE (.png, .pdf, .svg; without suffix all three); numbers beside it as CSV.",
)  # fmt: skip


def prepare(target: str, poi: str | None) -> tuple[Target, Question]:
    """The target, and the question about one of its parameters."""
    from histnu.targets import ask, load_target

    loaded = load_target(target)
    return loaded, ask(loaded, poi)


def envelope(kind: str, target: Target, question: Question, **answer: Any) -> dict[str, Any]:
    """What was asked of what, from inputs of which provenance, and the answer."""
    from histnu.inference.results import jsonable

    head = {
        "kind": kind,
        "target": target.name,
        "parameter": question.asked,
        "unit": question.unit,
        "provenance": target.provenance,
    }
    filled: dict[str, Any] = jsonable({**head, **answer})
    return filled


def marks(target: Target) -> str:
    """Provenance in brackets, as ``limit`` prints it."""
    return f" [{target.provenance} inputs]" if target.provenance else ""


def toy_options(n_toys: int, seed: int, engine: str, advance: Any) -> ToyOptions:
    """Toys with a progress bar."""
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.toys import ToyOptions

    return ToyOptions(
        n_toys=n_toys,
        seed=seed,
        fit=FitOptions(engine=engine),
        chunk=max(50, min(4000, n_toys // 20)),
        progress=lambda done, total: advance(f"{done}/{total} toys"),
    )


def say_written(paths: list[Path]) -> None:
    """Name the files of a figure on standard error."""
    for path in paths:
        click.echo(f"wrote {path}", err=True)
