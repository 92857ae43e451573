"""``histnu contour``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.answers import UNCERTIFIED
from histnu.cli.common import allow_option, cl_option, engine_option, json_option, set_option

MASS_AXIS = "m4"

if TYPE_CHECKING:
    from histnu.inference.contours import RegionOptions
    from histnu.inference.results import Region2D
    from histnu.targets import Target


@click.command()
@click.argument("target", type=types.Target())
@click.option("--x", "x_name", required=True, help="Parameter on the x axis (q_ee).")
@click.option("--y", "y_name", required=True, help="Parameter on the y axis (q_mumu).")
@click.option("--x-range", nargs=2, type=types.ANY_NUMBER, default=(-10.0, 15.0), show_default=True)
@click.option("--y-range", nargs=2, type=types.ANY_NUMBER, default=(-10.0, 15.0), show_default=True)
@click.option(
    "--points", type=types.Integer(5, 1001), default=41, show_default=True, help="Per axis."
)
@cl_option
@click.option("--dof", type=types.DEGREES, default=2, show_default=True)
@click.option("--plot", type=types.Place(picture=True), default=None, help="Draw into this file.")
@set_option
@engine_option
@allow_option
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
    settings: dict[str, float],
    engine: str,
    allow_uncertified: bool,
    as_json: bool,
) -> None:
    """Two-dimensional confidence region of an analysis.

    Print the polylines on which Delta(-2 log L) is the threshold; the rest is profiled. For the
    sterile dipole, --x m4 gives the upper end of the dipole at masses in MeV (logarithmic).

    \b
    Examples:
      histnu contour millicharge_combined --x q_ee --y q_mumu --plot region.png
      histnu contour sterile_dipole_combined --x m4 --y mu_e --x-range 0.1 15
    """
    from histnu.errors import ConfigError
    from histnu.inference.contours import RegionOptions
    from histnu.inference.engine.fit import FitOptions
    from histnu.serialize import dumps
    from histnu.targets import load_target

    for name, (low, high) in (("--x-range", x_range), ("--y-range", y_range)):
        if not low < high:
            raise ConfigError(f"{name} {low:g} {high:g}: the first value must be the smaller one")
    if x_name == MASS_AXIS:
        document = mass_curve(target, y_name, (*x_range, points), (cl, dof))
    else:
        ranges = ((*x_range, points), (*y_range, points))
        loaded = load_target(target, settings)
        fit = FitOptions(engine=engine, fixed=loaded.fixed, allow_uncertified=allow_uncertified)
        document = plane(loaded, (x_name, y_name), ranges, RegionOptions(cl=cl, dof=dof, fit=fit))
    if plot is not None:
        from histnu.plotting.contours import draw_region

        draw_region(document, plot)
    if as_json:
        click.echo(dumps(document), nl=False)
        return
    lines = document["polylines"]
    held = "".join(f", {k} = {v:g}" for k, v in {**document.get("held", {}), **settings}.items())
    warning = "" if document.get("certified", True) else f" [{UNCERTIFIED}]"
    click.echo(
        f"# {x_name} {y_name}: {100 * cl:g} % CL, {dof} dof, {len(lines)} polylines{held}{warning}"
    )
    for line in lines:
        click.echo("\n".join(f"{x:.6g} {y:.6g}" for x, y in line))
        click.echo()


def plane(
    loaded: Target,
    names: tuple[str, str],
    ranges: tuple[tuple[float, float, int], tuple[float, float, int]],
    options: RegionOptions,
) -> dict[str, Any]:
    """The region of two parameters of a likelihood."""
    import numpy as np

    from histnu.errors import ConfigError
    from histnu.inference.contours import region
    from histnu.targets import ask

    question = ask(loaded, names[0])
    if question.squared:
        raise ConfigError(f"{names[0]} enters squared; give its strength {question.parameter}")
    grid = (np.linspace(*ranges[0]), np.linspace(*ranges[1]))
    found = region(question.likelihood, None, names, grid, options)
    return describe(loaded, found, names)


def mass_curve(
    target: str, parameter: str, masses: tuple[float, float, int], level: tuple[float, int]
) -> dict[str, Any]:
    """Upper end of a dipole against the sterile mass, as the contour of -2 log L(m4, mu)."""
    import numpy as np

    from histnu.analyses import load_analysis
    from histnu.errors import ConfigError
    from histnu.report.bounds import Level, dipole_scan

    analysis = load_analysis(target)
    flavour = parameter.removeprefix("mu_")
    if analysis.model.name != "sterile_dipole" or flavour not in ("e", "mu", "tau"):
        raise ConfigError(
            f"--x {MASS_AXIS} --y {parameter}: give an analysis of sterile_dipole and --y mu_e, "
            "mu_mu or mu_tau"
        )
    if not masses[0] > 0:
        raise ConfigError(f"--x-range {masses[0]:g}: masses in MeV must be positive")
    m4 = np.geomspace(*masses)
    row = dipole_scan(analysis, [flavour], m4.tolist(), Level(*level))[0]
    ends = zip(row["m4_mev"], row["upper"], strict=True)
    return {
        "target": target,
        "x": {"name": MASS_AXIS, "unit": "MeV"},
        "y": {"name": parameter, "unit": row["unit"]},
        "cl": row["cl"],
        "dof": row["dof"],
        "best_fit": [row["best_fit_m4_mev"], row["best_fit"]],
        "provenance": row["provenance"],
        "log": [True, True],
        "polylines": [[[m, u] for m, u in ends if u is not None]],
    }


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
        "held": dict(target.held),
        "fixed": dict(target.fixed),
        "certified": found.certified,
        "search": found.search,
        "provenance": target.provenance,
        "polylines": list(found.contours),
    }
