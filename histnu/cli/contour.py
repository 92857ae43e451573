"""``histnu contour``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.answers import UNCERTIFIED, held_parts
from histnu.cli.common import allow_option, cl_option, engine_option, json_option, set_option

DEFAULT_RANGE = (-10.0, 15.0)

if TYPE_CHECKING:
    from histnu.inference.contours import RegionOptions
    from histnu.inference.results import Region2D
    from histnu.mass_scan import ScanOptions
    from histnu.targets import Target


@click.command()
@click.argument("target", type=types.Target())
@click.option("--x", "x_name", required=True, help="Parameter on the x axis (q_ee).")
@click.option("--y", "y_name", required=True, help="Parameter on the y axis (q_mumu).")
@click.option(
    "--x-range", nargs=2, type=types.ANY_NUMBER, default=None, help="Default: the model's."
)
@click.option(
    "--y-range", nargs=2, type=types.ANY_NUMBER, default=None, help="Default: the model's."
)
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
    x_range: tuple[float, float] | None,
    y_range: tuple[float, float] | None,
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

    Print the polylines on which Delta(-2 log L) is the threshold; the rest is profiled. With a
    held parameter of the model (a mass) as --x, the ends of --y at its values (logarithmic).

    \b
    Examples:
      histnu contour millicharge_combined --x q_ee --y q_mumu --plot region.png
      histnu contour sterile_dipole_combined --x m4 --y mu_e --x-range 0.1 15
    """
    from histnu.inference.contours import RegionOptions
    from histnu.inference.engine.fit import FitOptions
    from histnu.mass_scan import ScanOptions
    from histnu.serialize import dumps
    from histnu.targets import load_target

    fit = FitOptions(engine=engine, allow_uncertified=allow_uncertified)
    if is_held(target, x_name):
        options = ScanOptions(cl, dof, fit)
        document = held_curve((target, settings), (x_name, y_name), (x_range, points), options)
    else:
        ranges = [
            (*checked(n, r or DEFAULT_RANGE), points)
            for n, r in (("--x-range", x_range), ("--y-range", y_range))
        ]
        loaded = load_target(target, settings)
        choice = RegionOptions(cl=cl, dof=dof, fit=fit)
        document = plane(loaded, (x_name, y_name), (ranges[0], ranges[1]), choice)
    if plot is not None:
        from histnu.plotting.contours import draw_region

        draw_region(document, plot)
    if as_json:
        click.echo(dumps(document), nl=False)
        return
    lines = document["polylines"]
    held = "".join(f", {part}" for part in held_parts(document["held"] | document["fixed"]))
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

    question = ask(loaded, names[0], names[1:])
    options = replace(options, fit=replace(options.fit, fixed=question.fixed))
    if question.squared:
        raise ConfigError(f"{names[0]} enters squared; give its strength {question.parameter}")
    grid = (np.linspace(*ranges[0]), np.linspace(*ranges[1]))
    found = region(question.likelihood, None, names, grid, options)
    return {**describe(loaded, found, names), "fixed": dict(question.fixed)}


def checked(option: str, limits: tuple[float, float]) -> tuple[float, float]:
    """A range that is not empty.

    Raises:
        ConfigError: otherwise.
    """
    from histnu.errors import ConfigError

    if not limits[0] < limits[1]:
        low, high = limits
        raise ConfigError(f"{option} {low:g} {high:g}: the first value must be the smaller one")
    return limits


def is_held(target: str, name: str) -> bool:
    """Whether a target is an analysis whose model holds a parameter."""
    from histnu.analyses import analysis_names, load_analysis, signal_model

    if target not in analysis_names() and not target.endswith((".yaml", ".yml")):
        return False
    return name in {h.name for h in signal_model(load_analysis(target).model).held}


def held_curve(
    asked: tuple[str, dict[str, float]],
    names: tuple[str, str],
    scan: tuple[tuple[float, float] | None, int],
    options: ScanOptions,
) -> dict[str, Any]:
    """Ends of a parameter against a held one, as the contour of -2 log L in both.

    Args:
        asked: analysis, and values of other held or of fixed parameters.
        names: the held parameter and the other one.
        scan: range of the held parameter (the model's scan if None), and number of values.
        options: level and fit.
    """
    import numpy as np

    from histnu.analyses import load_analysis, signal_model
    from histnu.errors import ConfigError, located
    from histnu.mass_scan import mass_scan
    from histnu.targets import split, with_held

    held, parameter = names
    limits, points = scan
    settings, free = split(asked[1])
    if free:
        mend = "give the coupling of one model"
        raise ConfigError(located(asked[0], "--set", f"{free[0]}=free beside {held}", mend))
    analysis, fixed = with_held(load_analysis(asked[0]), settings)
    values = next(h.scan for h in signal_model(analysis.model).held if h.name == held)
    if limits is not None:
        if not checked("--x-range", limits)[0] > 0:
            raise ConfigError(f"--x-range {limits[0]:g}: values of {held} must be positive")
        values = tuple(np.geomspace(*limits, points).tolist())
    options = replace(options, fit=replace(options.fit, fixed=fixed))
    curve = mass_scan(analysis, held, [parameter], values, options)[0]
    ends = [list(zip(curve.values, side, strict=True)) for side in (curve.lower, curve.upper)]
    lines = [[[v, e] for v, e in side if e is not None] for side in ends]
    return {
        "target": asked[0],
        "x": {"name": held, "unit": curve.held_unit},
        "y": {"name": parameter, "unit": curve.unit},
        "cl": curve.cl,
        "dof": curve.dof,
        "threshold": curve.threshold,
        "best_fit": [curve.best_fit_held, curve.best_fit],
        "held": dict(analysis.model.held),
        "fixed": fixed,
        "certified": curve.certified,
        "provenance": curve.provenance,
        "log": [True, True],
        "polylines": [line for line in lines if line],
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
        "certified": found.certified,
        "search": found.search,
        "provenance": target.provenance,
        "polylines": list(found.contours),
    }
