"""Regions of two parameters, and of a parameter against a held one, as they are asked by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histnu.analysis.hypothesis import signal_model
from histnu.analysis.schema import analysis_names, load_analysis
from histnu.analysis.target import (
    ParameterOfInterest,
    Setting,
    Target,
    load_target,
    parameter_of_interest,
    split,
    with_held,
)
from histnu.core.errors import ConfigError, located
from histnu.plotting.canvas import Header, quantity
from histnu.plotting.planes import PlaneFigure, end_lines, excluded
from histnu.plotting.planes import Region as DrawnRegion
from histnu.verbs.envelope import region_text
from histnu.verbs.intervals import find_interval
from histnu.verbs.options import Options
from histnu.verbs.profiles import contour_of, mass_curves
from histnu.verbs.results import MassCurve, Region
from histnu.workspace.selection import Selection

Array = NDArray[np.float64]
Range = tuple[float, float]

MARGIN = 0.15
"""Free space of a default range on both sides of the region, relative to its width."""


@dataclass(frozen=True)
class Plane:
    """Two parameters with ranges.

    Attributes:
        x, y: names; x may be a held parameter of the model.
        x_range, y_range: ends; around the region (of a held parameter: the model's scan) if None.
        points: per axis. refine: how often masses are added where a curve bends, climbs or ends.
    """

    x: str
    y: str
    x_range: Range | None = None
    y_range: Range | None = None
    points: int = 41
    refine: int = 0


def plane_result(
    target: str | Target, plane: Plane, options: Options, settings: Mapping[str, Setting]
) -> tuple[Region | MassCurve, Target | None]:
    """The region of a target in a plane, or the curve against a held parameter of its model.

    Args:
        target: name, path, or loaded. plane: what is asked. options: level, fits.
        settings: values of held parameters and of parameters that are to be fixed, of a name.

    Returns:
        The result, and the target where there is a single one.

    Raises:
        ConfigError: for a range that is empty, or of negative values of a held parameter.
    """
    for name, ends in ((plane.x, plane.x_range), (plane.y, plane.y_range)):
        if ends is not None and not ends[0] < ends[1]:
            raise ConfigError(
                f"range of {name}, {ends[0]:g} {ends[1]:g}: the first value must be the smaller one"
            )
    if not isinstance(target, Target):
        if is_held(target, plane.x):
            return _held_curve(target, plane, options, settings), None
        target = load_target(target, settings)
    pair = (plane.x, plane.y)
    interest = parameter_of_interest(target, plane.x, pair)
    options = replace(options, held={**options.held, **interest.fixed})
    ranges = (plane.x_range, plane.y_range)
    asked = (interest, parameter_of_interest(target, plane.y, pair))
    grid = [
        np.linspace(*(ends or default_range(of, options)), plane.points)
        for of, ends in zip(asked, ranges, strict=True)
    ]
    return contour_of(target, interest, pair, (grid[0], grid[1]), options), target


def target_of_axes(
    text: str,
    axes: Sequence[str | None],
    settings: Mapping[str, Setting],
    selection: Selection,
) -> str | Target:
    """The target of a region or map, loaded unless an axis is a parameter that its model holds.

    Raises:
        ConfigError: for a measurement or a patch together with such an axis.
    """
    held = [name for name in axes if name is not None and is_held(text, name)]
    if not held:
        return load_target(text, settings, selection)
    if selection != Selection():
        problem = f"{held[0]} as an axis needs another document at every value"
        mend = f"leave out --measurement and --patch, or ask at one value (--set {held[0]}=VALUE)"
        raise ConfigError(located(text, "", problem, mend))
    return text


def is_held(text: str, name: str) -> bool:
    """Whether a target is an analysis whose model holds a parameter."""
    if text not in analysis_names() and not text.endswith((".yaml", ".yml")):
        return False
    return name in {h.name for h in signal_model(load_analysis(text).model).held}


def default_range(interest: ParameterOfInterest, options: Options) -> Range:
    """Ends of the parameter's own region at the same threshold, with a margin."""
    found = find_interval(interest, replace(options, method="profile"))
    low, high = map(
        float, interest.likelihood.bounds[interest.likelihood.index(interest.parameter)]
    )
    lower = low if found.lower is None else found.lower
    upper = high if found.upper is None else found.upper
    margin = MARGIN * (upper - lower)
    return max(lower - margin, low), min(upper + margin, high)


def _held_curve(
    text: str, plane: Plane, options: Options, settings: Mapping[str, Setting]
) -> MassCurve:
    """Ends of y against the held x, its values on a logarithmic scale."""
    given, free = split(settings)
    if free:
        mend = "ask at one value of it"
        raise ConfigError(located(text, "--set", f"{free[0]}=free against {plane.x}", mend))
    analysis, fixed = with_held(load_analysis(text), given)
    values = next(h.scan for h in signal_model(analysis.model).held if h.name == plane.x)
    if plane.x_range is not None:
        if not plane.x_range[0] > 0:
            raise ConfigError(f"{plane.x} from {plane.x_range[0]:g}: values must be positive")
        values = tuple(np.geomspace(*plane.x_range, plane.points).tolist())
    options = replace(options, held={**options.held, **fixed})
    (curve,) = mass_curves(analysis, plane.x, [plane.y], values, options, None, plane.refine)
    held = {**analysis.model.held, **curve.held}
    return curve.model_copy(update={"target": text, "held": held})


def polylines(result: Region | MassCurve) -> tuple[Array, ...]:
    """Lines (N, 2) of a region, or of all ends against a held parameter."""
    if isinstance(result, Region):
        return tuple(np.asarray(line) for line in result.polylines)
    return end_lines(result.values, result.to_json()["allowed"])


def sets_in_pieces(result: Region | MassCurve) -> list[str]:
    """The allowed sets of a curve that are more than one segment, in words."""
    if isinstance(result, Region):
        return []
    return [
        f"{result.x.name} = {value:g}: {result.parameter} in {region_text(allowed, result.unit)}"
        for value, allowed in zip(result.values, result.allowed, strict=True)
        if allowed and len(allowed) > 1
    ]


def plane_figure(found: Sequence[tuple[Region | MassCurve, Target | None]]) -> PlaneFigure:
    """The figure of regions in one plane, with the targets that were loaded."""
    results = [result for result, _ in found]
    regions = []
    for result, target in found:
        star = "*" if result.provenance == "reconstructed" else ""
        name = result.target if target is None else target.label
        drawn = DrawnRegion(f"{name}{star}", polylines(result))
        if isinstance(result, MassCurve):
            ruled_out = excluded(result.values, result.to_json()["allowed"])
            regions.append(replace(drawn, excluded=ruled_out))
        else:
            regions.append(replace(drawn, best_fit=result.best_fit))
    first = results[0]
    marked = "reconstructed" if any(r.provenance == "reconstructed" for r in results) else None
    if isinstance(first, MassCurve):
        y, log = quantity(first.parameter, first.unit), (True, True)
    else:
        y, log = quantity(first.y.name, first.y.unit), (False, False)
    note = f"{100 * first.cl:g} % CL ({first.dof} dof), all other parameters profiled"
    x = quantity(first.x.name, first.x.unit)
    return PlaneFigure(x, y, tuple(regions), log, Header("", marked, note))
