"""``histnu plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from histnu.cli import types
from histnu.cli.common import (
    allow_option,
    cl_option,
    engine_option,
    seed_option,
    selection_options,
    set_option,
)

KINDS: dict[str, str] = {
    "band": "expected limit with bands, and observed, along a held parameter (a mass)",
    "contour": "regions of two parameters, one per target, published curves over them",
    "correlation": "post-fit correlation matrix",
    "fit": "data against the fitted prediction, stacked, with pulls",
    "goodness": "toys of the goodness of fit with the asymptotic distribution",
    "impacts": "pulls and impacts, ranked",
    "mass": "coupling against mass on logarithmic axes, one curve per target",
    "nuisances": "nuisance parameters profiled along a scan",
    "response": "detection probability of an analysis",
    "scan": "profiles of one parameter with every crossing, one per target",
    "spectra": "recoil spectra of an analysis beside the Standard Model",
    "toys": "background-only toys of q0 with the asymptotic distribution",
}


@click.command(
    epilog="Kinds: " + "; ".join(f"{name}: {text}" for name, text in KINDS.items()) + "."
)
@click.argument("kind", type=types.Target(), metavar="KIND|RESULTS")
@click.argument("targets", nargs=-1, type=types.Target(), metavar="[TARGET]...")
@click.option(
    "-o", "--output", type=types.Place(), default=None,
    help="File (.png, .pdf, .svg; without suffix all three); numbers beside it as CSV. "
    "Of RESULTS: folder.",
)  # fmt: skip
@click.option("--poi", default=None, help="Parameter: of interest, or physical (mu_e, q_ee).")
@click.option("--x", "x_name", default=None, help="Parameter on the x axis of a contour.")
@click.option("--y", "y_name", default=None, help="Parameter on the y axis of a contour.")
@click.option("--from", "low", type=types.ANY_NUMBER, default=None, help="First value of x.")
@click.option("--to", "high", type=types.ANY_NUMBER, default=None, help="Last value of x.")
@click.option("--y-range", nargs=2, type=types.ANY_NUMBER, default=None, help="Range of --y.")
@click.option("--points", type=click.IntRange(2), default=None, help="Points along an axis.")
@click.option("--along", default=None, help="Held parameter of a band or mass figure (m4).")
@click.option(
    "--overlay",
    multiple=True,
    metavar="NAME[=FILE.csv]",
    help="Published limit: a name (histnu list published), or a curve (two columns) of your own.",
)
@click.option("--n-toys", type=types.TOYS, default=2000, show_default=True)
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows shown.")
@click.option("--dof", type=types.DEGREES, default=None, help="Of the threshold.")
@cl_option
@seed_option
@selection_options
@set_option
@engine_option
@allow_option
def command(kind: str, targets: tuple[str, ...], output: Path | None, **options: Any) -> None:
    """Draw a figure of a target, or the figures of a results folder again.

    KIND is one of those below and TARGET what every verb takes. With a results folder (or its
    results.json) alone, its figures are drawn again as PNG and PDF.

    \b
    Examples:
      histnu plot fit magnetic_moment_combined --poi mu_universal -o fit.png
      histnu plot contour millicharge_combined millicharge_xenonnt --x q_ee --y q_mumu
      histnu plot results -o figures
    """
    if kind not in KINDS:
        redraw(Path(kind), targets, output)
        return
    from histnu.core.errors import ConfigError
    from histnu.verbs.plots import DRAW, PlotOptions

    if not targets:
        raise ConfigError(f"histnu plot {kind} needs a TARGET: a workspace or an analysis")
    for path in DRAW[kind](targets, output or Path(kind), PlotOptions(**options)):
        click.echo(path)


def redraw(results: Path, targets: tuple[str, ...], output: Path | None) -> None:
    """Read results.json (or its folder) and draw the figures of a results folder."""
    from histnu.core.errors import ConfigError
    from histnu.core.serialize import staged
    from histnu.export.results_document import read_results
    from histnu.plotting.studies import draw_all

    if targets:
        raise ConfigError(f"unknown kind {str(results)!r}; use one of {', '.join(KINDS)}")
    file = results / "results.json" if results.is_dir() else results
    folder = output or file.parent
    document = read_results(file)
    with staged(folder) as temporary:
        out = temporary / "out"
        paths = [folder / path.relative_to(out) for path in draw_all(document, out)]
    for path in paths:
        click.echo(path)
