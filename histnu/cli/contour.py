"""``histnu contour``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli.common import cl_option, engine_option, json_option

if TYPE_CHECKING:
    from histnu.inference.results import Region2D
    from histnu.targets import Target


@click.command(help="Two-dimensional confidence region of an analysis.")
@click.argument("target")
@click.option("--x", "x_name", required=True, help="Parameter on the x axis (q_ee).")
@click.option("--y", "y_name", required=True, help="Parameter on the y axis (q_mumu).")
@click.option("--x-range", nargs=2, type=float, default=(-10.0, 15.0), show_default=True)
@click.option("--y-range", nargs=2, type=float, default=(-10.0, 15.0), show_default=True)
@click.option("--points", type=click.IntRange(5), default=41, show_default=True, help="Per axis.")
@cl_option
@click.option("--dof", type=click.IntRange(1), default=2, show_default=True)
@click.option("--plot", type=click.Path(path_type=Path), default=None, help="Draw into this file.")
@engine_option
@json_option
def command(
    target: str,
    x_name: str,
    y_name: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    points: int,
    cl: float,
    dof: int,
    plot: Path | None,
    engine: str,
    as_json: bool,
) -> None:
    """Print the polylines on which Delta(-2 log L) is the threshold; the rest is profiled.

    \b
    Example:
      histnu contour millicharge_combined --x q_ee --y q_mumu --plot region.png
    """
    import numpy as np

    from histnu.errors import ConfigError
    from histnu.inference.contours import RegionOptions, region
    from histnu.inference.engine.fit import FitOptions
    from histnu.serialize import dumps
    from histnu.targets import ask, load_target

    for name, (low, high) in (("--x-range", x_range), ("--y-range", y_range)):
        if not low < high:
            raise ConfigError(f"{name} {low:g} {high:g}: the first value must be the smaller one")
    loaded = load_target(target)
    question = ask(loaded, x_name)
    if question.squared:
        raise ConfigError(f"{x_name} enters squared; give its strength {question.parameter}")
    grid = (np.linspace(*x_range, points), np.linspace(*y_range, points))
    options = RegionOptions(cl=cl, dof=dof, fit=FitOptions(engine=engine))
    found = region(question.likelihood, None, (x_name, y_name), grid, options)
    document = describe(loaded, found, (x_name, y_name))
    if plot is not None:
        from histnu.plotting.contours import draw_region

        draw_region(document, plot)
    if as_json:
        click.echo(dumps(document), nl=False)
        return
    click.echo(
        f"# {x_name} {y_name}: {100 * cl:g} % CL, {dof} dof, {len(found.contours)} polylines"
    )
    for line in found.contours:
        click.echo("\n".join(f"{x:.6g} {y:.6g}" for x, y in line))
        click.echo()


def describe(target: Target, found: Region2D, names: tuple[str, str]) -> dict[str, Any]:
    """The region as plain data: axes with units, level, best fit, polylines."""
    best = found.best_fit.parameters
    x, y = ({"name": n, "unit": target.units.get(n, "")} for n in names)
    return {
        "target": target.name,
        "x": x,
        "y": y,
        "cl": found.cl,
        "dof": found.dof,
        "threshold": found.threshold,
        "best_fit": [best[n] for n in names],
        "provenance": target.provenance,
        "polylines": list(found.contours),
    }
