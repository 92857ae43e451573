"""``histnu contour``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli import types
from histnu.cli.common import cl_option, processes_options
from histnu.cli.given import UNCERTIFIED, Given, likelihood_verb, plot_option, say_written

if TYPE_CHECKING:
    from histnu.analysis.target import Target
    from histnu.verbs.results import MassCurve, Region

_RANGE = "Default: around the region, or the model's."


@click.command()
@likelihood_verb
@click.option("--x", "x_name", required=True, help="Parameter on the x axis (q_ee, or a mass).")
@click.option("--y", "y_name", required=True, help="Parameter on the y axis (q_mumu).")
@click.option("--x-range", nargs=2, type=types.ANY_NUMBER, default=None, help=_RANGE)
@click.option("--y-range", nargs=2, type=types.ANY_NUMBER, default=None, help=_RANGE)
@click.option(
    "--points", type=types.Integer(5, 1001), default=41, show_default=True, help="Per axis."
)
@cl_option
@click.option("--dof", type=types.DEGREES, default=2, show_default=True)
@plot_option
@processes_options
def command(
    given: Given,
    x_name: str,
    y_name: str,
    x_range: tuple[float, float] | None,
    y_range: tuple[float, float] | None,
    points: int,
    cl: float,
    dof: int,
    plot: Path | None,
    jobs: int,
    dask: str | None,
) -> None:
    """Two-dimensional confidence region of an analysis.

    Print the polylines on which Delta(-2 log L) is the threshold; the rest is profiled. With a
    held parameter of the model (a mass) as --x, every end of --y at its values (logarithmic), whose
    templates --jobs and --dask share among processes.

    \b
    Examples:
      histnu contour millicharge_combined --x q_ee --y q_mumu --plot region.png
      histnu contour sterile_dipole_combined --x m4 --y mu_e --x-range 0.1 15
    """
    from histnu.core.executor import executor
    from histnu.verbs.options import Options
    from histnu.verbs.planes import Plane, plane_figure, plane_result

    refine = 0 if plot is None else 2  # of a mass: no corners in the figure
    plane = Plane(x_name, y_name, x_range, y_range, points, refine)
    with executor(jobs, dask) as processes:
        options = Options(
            cl=cl, dof=dof, engine=given.engine, allow_uncertified=given.allow_uncertified,
            executor=processes,
        )  # fmt: skip
        found, loaded = plane_result(given.on_axes(x_name), plane, options, given.settings)
    if plot is not None:
        from histnu.plotting.planes import draw_plane

        say_written(draw_plane(plane_figure([(found, loaded)]), plot))
    if given.as_json:
        _print_json(found, loaded)
    else:
        _print_lines(found, given, f"{x_name} {y_name}: {100 * cl:g} % CL, {dof} dof")


def _print_json(found: Region | MassCurve, loaded: Target | None) -> None:
    from histnu.core.serialize import dumps
    from histnu.verbs.envelope import stamped
    from histnu.verbs.options import inputs_of

    document = stamped(found, {} if loaded is None else inputs_of(loaded)).to_json()
    click.echo(dumps(document), nl=False)


def _print_lines(found: Region | MassCurve, given: Given, head: str) -> None:
    """Polylines as columns, with comments that gnuplot and numpy skip."""
    from histnu.verbs.planes import polylines, sets_in_pieces

    lines = polylines(found)
    held = "".join(f", {part}" for part in given.parts(found))
    warning = f" [{UNCERTIFIED}]" if found.certified is False else ""
    click.echo(f"# {head}, {len(lines)} polylines{held}{warning}")
    for words in sets_in_pieces(found):
        click.echo(f"# {words}")
    for line in lines:
        click.echo("\n".join(f"{x:.6g} {y:.6g}" for x, y in line))
        click.echo()
