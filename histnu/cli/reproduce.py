"""``histnu reproduce``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import (
    ENGINES,
    available_cores,
    console,
    dask_option,
    json_option,
    output_option,
    progress_bar,
    quiet_option,
)

if TYPE_CHECKING:
    from histnu.studies.jobs import Running
    from histnu.studies.reproduce import Outcome, Prepared

CACHE = "cache"
"""Folder of answered questions inside the output folder."""


@click.command()
@click.argument("study", default="deromeri2024")
@output_option
@click.option("--interpolation", type=click.Choice(["normsys", "linear"]), default=None,
              help="normsys: HistFactory's standard; linear: the paper's Eq. 15.")  # fmt: skip
@click.option("--correction", type=click.Choice(["none", "published_sm"]), default=None,
              help="Scale the signal per bin to a published SM expectation.")  # fmt: skip
@click.option("--replace", "replaced", multiple=True, metavar="EXPERIMENT=FILE",
              help="Experiment YAML that takes the place of one; may be repeated.")  # fmt: skip
@click.option("--with", "options", multiple=True, metavar="OPTION",
              help="Also the questions that the study asks with this option only.")  # fmt: skip
@click.option("--full", is_flag=True, help="The same as --with full.")
@click.option("--engine", type=click.Choice(ENGINES), default=None, help="Of the bounds.")
@click.option("--fresh", is_flag=True, help="Answer every question again.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder of answered questions (cache in the output folder).")  # fmt: skip
@click.option("--overlay", "overlays", multiple=True, metavar="NAME[=FILE.csv]",
              help="Published limit: a name (histnu list published) or a table (m4_mev, "
              "mu_b).")  # fmt: skip
@click.option("--jobs", "-j", type=types.JOBS, default=None, help="Processes.")
@dask_option
@json_option
@quiet_option
def command(
    study: str,
    output: Path,
    interpolation: str | None,
    correction: str | None,
    replaced: tuple[str, ...],
    options: tuple[str, ...],
    full: bool,
    engine: str | None,
    fresh: bool,
    cache: Path | None,
    overlays: tuple[str, ...],
    jobs: int | None,
    dask: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Reproduce a study: bounds, figures, workspaces.

    STUDY is the name of a study of the package (default: the paper, Eqs. 16-22 and Figs. 1-4) or
    a folder with study.yaml and report.md. Answered questions are kept in a cache folder: an
    interrupted run goes on where it was. Delete the folder whenever you like. A question whose fit
    fails is named in the results, the others are answered, and the exit status is 2.

    \b
    Examples:
      histnu reproduce -o results
      histnu reproduce electron_recoils -o electron
      histnu reproduce my_study/ -o my_results
    """
    from histnu.core.errors import FitError
    from histnu.core.executor import executor
    from histnu.plotting.overlays import parse_mass_overlays
    from histnu.studies.jobs import Running
    from histnu.studies.plan import Settings
    from histnu.studies.reproduce import prepare, write_study
    from histnu.studies.schema import load_study

    fields = {"interpolation": interpolation, "correction": correction}
    settings = Settings(
        {k: v for k, v in fields.items() if v is not None},
        parse_replaced(replaced),
        engine,
        frozenset({*options, *(["full"] if full else [])}),
    )
    curves = parse_mass_overlays(overlays)
    prepared = prepare(load_study(study), settings)
    folder = cache or output / CACHE
    with executor(jobs or available_cores(), dask) as kept:
        outcome = run(prepared, Running(cache=folder, fresh=fresh, run=kept), quiet or as_json)
        write_study(outcome, prepared.loaded, output, curves, kept)
    if as_json:
        from histnu.core.serialize import dumps

        click.echo(dumps(outcome.results), nl=False)
    else:
        show(outcome, output)
    if outcome.problems:
        raise FitError(f"{len(outcome.problems)} of {len(prepared.tasks)} questions have no answer")


def parse_replaced(pairs: Sequence[str]) -> dict[str, str]:
    """``EXPERIMENT=FILE`` options.

    Raises:
        ConfigError: for an option of another form.
    """
    from histnu.core.errors import ConfigError

    found = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not (name and equals and file):
            raise ConfigError(f"--replace {pair!r} must be of the form EXPERIMENT=FILE")
        found[name] = file
    return found


def run(prepared: Prepared, running: Running, quiet: bool) -> Outcome:
    """Answer the questions of a study with a progress bar."""
    from histnu.studies.reproduce import compute

    total, done = len(prepared.tasks), count(1)
    with progress_bar(total, quiet, "questions") as advance:
        progress = lambda label: advance(next(done), total, label)  # noqa: E731
        started = lambda label: advance(None, total, label)  # noqa: E731
        return compute(prepared, replace(running, progress=progress, started=started))


def show(outcome: Outcome, output: Path) -> None:
    """Tables of the bounds on the terminal."""
    from histnu.studies.tables import LEGEND, make_table

    out = console()
    results = outcome.results
    table = make_table(results, "bounds", {"section": "bounds", "where": "dof=1"})
    if table.rows:
        out.print(table.rich(f"{results['study']['title']} (1 dof)"))
    for name, reason in results["skipped"].items():
        out.print(f"skipped {name}: {reason}", highlight=False)
    for line in outcome.problems:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    out.print(LEGEND, highlight=False)
    out.print(
        f"written: {output}/ (results.md, results.json, figures, workspaces); "
        f"answered questions: {output}/{CACHE}/",
        highlight=False,
    )
