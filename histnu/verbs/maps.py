"""Feldman-Cousins and coverage maps of a target, or of an analysis over a parameter it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.analysis.mass_scan import HeldQuestion, HeldTarget, targets_at
from histnu.analysis.schema import Analysis, load_analysis
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
from histnu.core.executor import Executor, Local
from histnu.core.serialize import digest
from histnu.experiments.model import weakest
from histnu.inference.chunks import Family, Runner
from histnu.inference.maps import Grid, MapOptions, Point
from histnu.inference.maps import ToyMap as FoundMap
from histnu.inference.maps import toy_map as find_map
from histnu.verbs.envelope import Segment, stamped
from histnu.verbs.options import Options, inputs_of, settled
from histnu.verbs.planes import is_held
from histnu.verbs.results import MapAxis, ToyMap

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MapQuestion:
    """A map that can be computed.

    Attributes:
        name, provenance, held, fixed, inputs, patches: of the result.
        axes: names, units and values. grid: the points in the likelihoods' parameters.
        family: the likelihoods, with how they are fitted.
        interests: the asked parameters of each member of the family, in the order of the axes.
        scales: unit of the last parameter in each member, in units of the axis.
    """

    name: str
    provenance: str | None
    held: Mapping[str, float]
    fixed: Mapping[str, float]
    inputs: Mapping[str, str]
    axes: tuple[MapAxis, ...]
    grid: Grid
    family: Family
    interests: tuple[tuple[ParameterOfInterest, ...], ...]
    scales: tuple[float, ...] = (1.0,)
    held_values: tuple[float, ...] = ()
    patches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """Where toys are computed and kept.

    Attributes:
        executor: processes. folder: of chunks, or None. progress: (toys done, toys asked so far).
    """

    executor: Executor = field(default_factory=Local)
    folder: Path | None = None
    progress: Callable[[int, int], None] = lambda done, total: None

    def runner(self, family: Family) -> Runner:
        """What computes chunks of a family."""
        return Runner(family, self.executor, self.folder, self.progress)


def map_of(
    target: str | Target,
    axes: Sequence[tuple[str, ArrayLike]],
    options: Options,
    settings: Mapping[str, Setting] | None = None,
    executor: Executor | None = None,
) -> MapQuestion:
    """The map of one or two parameters of anything a verb takes; the first may be a held one.

    Args:
        target: name, path, or loaded. axes: (parameter, ascending values in its unit).
        options: engine and held values. settings: further held values, of a name or path.
        executor: where templates of a held axis are made.

    Raises:
        HistnuError: for anything that cannot be read or asked.
    """
    if isinstance(target, Target):
        return plane_of(target, axes, options)
    if not is_held(target, axes[0][0]):
        if any(is_held(target, name) for name, _ in axes[1:]):
            raise ConfigError(f"{axes[1][0]} is held by the model; give it as the first axis (--x)")
        return plane_of(load_target(target, settings), axes, options)
    given, free = split(settings or {})
    if free:
        mend = "ask at one value of it"
        raise ConfigError(located(str(target), "--set", f"{free[0]}=free against a mass", mend))
    analysis, fixed = with_held(load_analysis(target), given)
    options = replace(options, held={**fixed, **options.held}, many=True)
    return held_plane_of(analysis, axes, options, executor)


def plane_of(
    target: Target, axes: Sequence[tuple[str, ArrayLike]], options: Options
) -> MapQuestion:
    """The map of one or two parameters of a target.

    Args:
        target: what is asked. axes: (parameter, ascending values in its unit), one or two.
        options: engine and held values.

    Raises:
        ConfigError: an axis without ascending values, a name twice, two parameters of which one
            enters squared, or an unknown parameter.
    """
    checked = _axes(axes, {**target.units})
    names = tuple(a.name for a in checked)
    interests = tuple(parameter_of_interest(target, name, names) for name in names)
    options = replace(settled(interests[0], options), many=True)
    if len(checked) == 2 and any(i.squared for i in interests):
        one = next(i for i in interests if i.squared)
        raise ConfigError(f"{one.name} enters squared; give its strength {one.parameter}")
    checked = tuple(
        a.model_copy(update={"unit": i.unit}) for a, i in zip(checked, interests, strict=True)
    )
    values = [np.array(a.values) for a in checked]
    points = []
    for row in _rows(values):
        test = {i.parameter: i.inverse(float(v)) for i, v in zip(interests, row, strict=True)}
        points.append(Point({**target.held, **test}, test))
    grid = Grid(tuple(values), tuple(a.log for a in checked), tuple(points))
    first = interests[0]
    family = Family.of(target.document, first.likelihood, first.measurement, options.fit)
    return MapQuestion(
        target.name, target.provenance, dict(target.held), dict(options.held),
        inputs_of(target), checked, grid, family, (interests,), patches=target.patches,
    )  # fmt: skip


def held_plane_of(
    analysis: Analysis,
    axes: Sequence[tuple[str, ArrayLike]],
    options: Options,
    executor: Executor | None = None,
) -> MapQuestion:
    """The map of a parameter against one that the model holds; the first axis is the held one.

    Args:
        analysis: what is asked; further held parameters must have a value.
        axes: (held parameter, values), (parameter, values). options: engine and fixed values.
        executor: where templates are made.

    Raises:
        ConfigError: as :func:`plane_of`, or a process that is closed at every value.
    """
    if len(axes) != 2:
        raise ConfigError(f"a map over {axes[0][0]} needs a second axis (--y)")
    held, parameter = axes[0][0], axes[1][0]
    question = HeldQuestion(analysis, held, (parameter,))
    units, held_unit = question.units()
    checked = _axes(axes, {held: held_unit, **units})
    x, y = (a.values for a in checked)
    made = [one for (one,) in (executor or Local()).map(targets_at, x, question)]
    members = [(v, t) for v, t in zip(x, made, strict=True) if t is not None]
    if not members:
        raise ConfigError(f"{parameter}: the process is closed at every {held}")
    interests = [parameter_of_interest(t.target, parameter) for _, t in members]
    families = [
        Family.of(t.target.document, i.likelihood, i.measurement, options.fit)
        for (_, t), i in zip(members, interests, strict=True)
    ]
    maps = [f.polynomial[0] for f in families if f.polynomial]
    family = replace(
        families[0], documents=tuple(t.target.document for _, t in members),
        polynomial=tuple(maps) or None,
    )  # fmt: skip
    others = dict(analysis.model.held)
    points = _held_points((x, y), made, dict(zip((v for v, _ in members), interests, strict=True)),
                          (held, others))  # fmt: skip
    grid = Grid((np.array(x), np.array(y)), tuple(a.log for a in checked), points)
    return MapQuestion(
        analysis.name, weakest([e.provenance for e in question.data]), others,
        dict(options.held), {analysis.name: digest(family.documents)}, checked, grid, family,
        tuple((i,) for i in interests), tuple(t.ratio for _, t in members),
        tuple(v for v, _ in members),
    )  # fmt: skip


def _held_points(
    values: tuple[Sequence[float], Sequence[float]],
    made: Sequence[HeldTarget | None],
    interests: Mapping[float, ParameterOfInterest],
    held: tuple[str, Mapping[str, float]],
) -> tuple[Point | None, ...]:
    """The points of a plane; coordinates in the unit of the analysis, tests in the member's."""
    members = {value: k for k, value in enumerate(interests)}
    points: list[Point | None] = []
    for x, one in zip(values[0], made, strict=True):
        for y in values[1]:
            if one is None:
                points.append(None)
                continue
            interest = interests[x]
            at = {**held[1], held[0]: x, interest.parameter: interest.inverse(y)}
            test = {interest.parameter: interest.inverse(y / one.ratio)}
            points.append(Point(at, test, members[x]))
    return tuple(points)


def _axes(axes: Sequence[tuple[str, ArrayLike]], units: Mapping[str, str]) -> tuple[MapAxis, ...]:
    """Axes with ascending values; those spaced by equal factors are logarithmic."""
    if not 1 <= len(axes) <= 2 or len({name for name, _ in axes}) != len(axes):
        raise ConfigError(f"a map has one or two different axes, not {[n for n, _ in axes]}")
    found = []
    for name, given in axes:
        values = np.atleast_1d(np.asarray(given, dtype=float))
        steps = np.diff(values)
        if values.ndim != 1 or not np.all(np.isfinite(values)) or not np.all(steps > 0):
            raise ConfigError(f"{name}: give ascending values")
        if len(values) < 2 and len(axes) == 2:
            raise ConfigError(f"{name}: a map of two parameters needs two values or more")
        log = len(values) > 2 and values[0] > 0 and np.allclose(np.diff(steps / values[:-1]), 0)
        found.append(
            MapAxis(name=name, unit=units.get(name, ""), values=tuple(values), log=bool(log))
        )
    return tuple(found)


def _rows(values: Sequence[Array]) -> Array:
    """All points of a grid (P, D), the last axis fastest."""
    return np.column_stack([m.ravel() for m in np.meshgrid(*values, indexing="ij")])


def toy_map(
    question: MapQuestion, options: Options, how: MapOptions, running: Running | None = None
) -> ToyMap:
    """Acceptance and coverage of the points of a map, from toys.

    Args:
        question: from :func:`plane_of` or :func:`held_plane_of`.
        options: level, number of toys, seed. how: precision and where toys go.
        running: where they are computed and kept.

    Raises:
        FitError: a fit of the data is not certified, or too many fits of toys fail.
    """
    toys = replace(options.toy_options, fit=question.family.fit, run=None)
    how = replace(how, cl=options.cl, dof=options.dof, toys=toys)
    runner = (running or Running()).runner(question.family)
    found = find_map(runner, question.grid, options.counts(question.interests[0][0]), how)
    return stamped(_result(question, options, how, found), question.inputs)


def _result(question: MapQuestion, options: Options, how: MapOptions, found: FoundMap) -> ToyMap:
    names = ("critical", "critical_error", "p_value", "error", "coverage", "coverage_error")
    columns: dict[str, Any] = {name: _optional(getattr(found, name)) for name in names}
    return ToyMap(
        target=question.name,
        patches=question.patches,
        method="feldman_cousins",
        engine=options.engine,
        held={**question.held, **question.fixed},
        data=options.data,
        seed=options.seed,
        n_toys=options.n_toys,
        unit=question.axes[-1].unit,
        provenance=question.provenance,
        axes=question.axes,
        cl=how.cl,
        dof=how.dof,
        threshold=found.threshold,
        best_fit=_best(question, found),
        delta_twice_nll=_optional(np.maximum(found.delta, 0.0)),
        **columns,
        toys=tuple(found.n_toys.tolist()),
        inside=tuple(found.inside.tolist()),
        decided=tuple(found.decided.tolist()),
        **_regions(question, found),
        nuisances="nominal" if how.nominal else "profiled",
        precision=how.precision,
        everywhere=how.everywhere,
        rounds=found.rounds,
        failed=found.failed,
        certified=found.certified,
        measurement=question.interests[0][0].measurement,
        search=found.search,
    )


def _optional(values: Array) -> tuple[float | None, ...]:
    return tuple(float(v) if np.isfinite(v) else None for v in values)


def _best(question: MapQuestion, found: FoundMap) -> tuple[float, ...]:
    """Coordinates of the best fit, in the units of the axes."""
    member, parameters = found.best_member, found.best_fit.parameters
    inner = [i.value(parameters[i.parameter]) or 0.0 for i in question.interests[member]]
    if question.held_values:
        return question.held_values[member], inner[0] * question.scales[member]
    return tuple(inner)


def _regions(question: MapQuestion, found: FoundMap) -> dict[str, Any]:
    """The region by the toys, and the one with the asymptotic threshold."""
    levels = {"": found.critical, "asymptotic_": np.full(len(found.delta), found.threshold)}
    if len(question.axes) == 2:
        return {
            f"{prefix}polylines": tuple(tuple(map(tuple, line)) for line in found.lines(level))
            for prefix, level in levels.items()
        }
    (interest,) = question.interests[0]
    low, high = interest.likelihood.bounds[interest.likelihood.index(interest.parameter)]
    bounds = (interest.value(float(low)) or 0.0, interest.value(float(high)) or np.inf)
    return {
        f"{prefix}intervals": tuple(
            Segment(lower=s.lower, upper=s.upper, lower_end=s.lower_end, upper_end=s.upper_end)
            for s in found.segments(level, bounds)
        )
        for prefix, level in levels.items()
    }
