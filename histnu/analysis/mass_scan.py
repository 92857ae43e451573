"""Contours against a held parameter: one likelihood per value, a common minimum.

The parameter that is held (a sterile mass, a mediator's mass) changes the templates, so every value
is a likelihood of its own. The contour of ``-2 log L(held, theta)`` has the threshold above the
minimum over all values: at each value the threshold is lowered by how much worse its own minimum
is. Every likelihood counts the parameter in a unit in which its signal has a few events, because a
signal may fall by ten powers of ten along a scan.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr

from histnu.analysis.assemble import measurements_of, strengths_of, templates_for
from histnu.analysis.hypothesis import require_held, signal_model
from histnu.analysis.schema import Analysis
from histnu.analysis.target import ParameterOfInterest, Target, parameter_of_interest
from histnu.core.errors import ConfigError, FitError
from histnu.core.executor import Executor, Local
from histnu.core.units import split_unit
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, weakest
from histnu.inference.engine.fit import AnyLikelihood, FitOptions
from histnu.inference.limits import IntervalOptions, interval, threshold
from histnu.inference.profile import best_fit
from histnu.inference.results import BestFit, Segment
from histnu.physics.models.protocol import InUnit, SignalModel, Term
from histnu.physics.models.standard_model import StandardModel
from histnu.templates.basis import ChannelTemplates
from histnu.workspace.build import build_workspace

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

EVENTS_PER_UNIT = 20.0
"""A parameter of one unit makes about this many events."""
CLOSED = 1e-30
"""Fewer events than this at one unit of the analysis: the process is kinematically closed."""


@dataclass(frozen=True)
class ScanOptions:
    """How a scan is made.

    Attributes:
        cl, dof: confidence level and degrees of freedom of the threshold (2 for a contour).
        fit: how to fit.
        asimov: use the expectation without a signal as data, for a sensitivity.
        executor: where the templates of the values are made.
        refine: how often values are added where a curve bends, climbs or ends.
    """

    cl: float = 0.9
    dof: int = 2
    fit: FitOptions = field(default_factory=FitOptions)
    asimov: bool = False
    executor: Executor = field(default_factory=Local)
    refine: int = 0


@dataclass(frozen=True)
class MassCurve:
    """Ends of a contour against a held parameter.

    Attributes:
        held, held_unit, values: the held parameter and its values, (N,).
        parameter, unit: the physical parameter and its unit.
        allowed: segments of the allowed set at every value, none where its minimum is above the
            level; None where the process is closed.
        lower, upper: their outermost ends, None where there is none.
        best_fit: parameter at the common minimum, and ``best_fit_x`` the held one there.
        cl, dof, threshold: level of the contour.
        provenance: weakest provenance of the data.
        certified: whether every fit it rests on is certified.
    """

    held: str
    held_unit: str
    values: tuple[float, ...]
    parameter: str
    unit: str
    allowed: tuple[tuple[Segment, ...] | None, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    best_fit: float
    best_fit_x: float
    cl: float
    dof: int
    threshold: float
    provenance: str
    certified: bool


@dataclass(frozen=True)
class HeldTarget:
    """The likelihood of one parameter at one held value; its unit is ``ratio`` of the analysis'."""

    target: Target
    ratio: float


@dataclass(frozen=True)
class HeldQuestion:
    """What is asked at every value of a held parameter.

    Attributes:
        analysis: what is analysed; further held parameters must have a value.
        held: name of the held parameter.
        parameters: physical parameters, each on its own.
        experiments: use these instead of loading the analysis' experiments.
    """

    analysis: Analysis
    held: str
    parameters: tuple[str, ...]
    experiments: tuple[Experiment, ...] | None = None

    @cached_property
    def data(self) -> tuple[Experiment, ...]:
        """The experiments."""
        return self.experiments or tuple(map(load_experiment, self.analysis.experiments))

    def units(self) -> tuple[dict[str, str], str]:
        """Units of the parameters by name, and of the held one.

        Raises:
            ConfigError: for a parameter that the model does not have or does not hold.
        """
        model = signal_model(self.analysis.model)
        units = {p.name: p.unit for p in model.parameters}
        held_units = {h.name: h.unit for h in model.held}
        for name, known in ((self.held, held_units), *((p, units) for p in self.parameters)):
            if name not in known:
                names = ", ".join(known) or "none"
                kind = "held parameters" if known is held_units else "parameters"
                raise ConfigError(f"{model.name} has no {name!r} here; {kind}: {names}")
        return {p: units[p] for p in self.parameters}, held_units[self.held]


def targets_at(question: HeldQuestion, value: float) -> list[HeldTarget | None]:
    """The likelihoods of all parameters at one value; None where the process is closed."""
    analysis = question.analysis.holding({question.held: value})
    data = question.data
    model = signal_model(analysis.model, [c.recoil for e in data for c in e.channels])
    require_held(analysis, model)
    templates = templates_for(analysis, data, [StandardModel(), model])
    units = {p.name: p.unit for p in model.parameters}
    found: list[HeldTarget | None] = []
    for parameter in question.parameters:
        ratio = _ratio(model, templates, parameter)
        if ratio is None:
            log.info("%s = %g: no signal of %s", question.held, value, parameter)
            found.append(None)
            continue
        target = _target(analysis, model, templates, units[parameter], ratio)
        found.append(HeldTarget(target, ratio))
    return found


@dataclass(frozen=True)
class _Point:
    """The likelihood of one parameter at one held value, with its best fit."""

    value: float
    interest: ParameterOfInterest
    ratio: float
    data: Array | None
    best: BestFit


@dataclass
class _Scan:
    """Everything of one parameter while values are added; ends by value and level."""

    parameter: str
    unit: str
    points: dict[float, _Point | None] = field(default_factory=dict)
    ends: dict[tuple[float, float], _Ends] = field(default_factory=dict)


def mass_scan(
    analysis: Analysis,
    held: str,
    parameters: Sequence[str],
    values: Sequence[float],
    options: ScanOptions | None = None,
    experiments: Sequence[Experiment] | None = None,
    progress: Callable[[float], None] = lambda value: None,
) -> tuple[MassCurve, ...]:
    """Contours of parameters of a model against one of its held parameters.

    Args:
        analysis: what is analysed; further held parameters must have a value.
        held: name of the held parameter.
        parameters: physical parameters, each on its own.
        values: of the held parameter, in its unit.
        options: level and engine.
        experiments: use these instead of loading the analysis' experiments.
        progress: called with every value whose likelihoods are made.

    Raises:
        ConfigError: for a parameter that the model does not have or does not hold.
        FitError: if the process is closed at every value.
    """
    options = options or ScanOptions()
    question = HeldQuestion(
        analysis, held, tuple(parameters), tuple(experiments) if experiments else None
    )
    units, held_unit = question.units()
    scans = [_Scan(p, units[p]) for p in parameters]
    provenance = weakest([e.provenance for e in question.data])
    todo = [float(v) for v in values]
    for _ in range(options.refine + 1):
        _add_values(question, todo, scans, options, progress)
        curves = tuple(_curve(s, (held, held_unit), options, provenance) for s in scans)
        todo = sorted({v for c in curves for v in values_to_add(c.values, c.upper)})
        if not todo:
            break
    return curves


STEEP, BENT, CLOSE = 0.2, 0.02, 1.01
"""A curve is refined where its logarithm changes by more than ``STEEP`` between neighbours or is
``BENT`` off their chord, unless the neighbours differ by less than the factor ``CLOSE``."""


def values_to_add(values: Sequence[float], ends: Sequence[float | None]) -> list[float]:
    """Geometric means of neighbours where a positive curve bends, climbs or ends.

    Args:
        values: (N,) ascending, positive. ends: (N,) the curve, None or NaN where it is open.

    >>> values_to_add([1.0, 4.0, 16.0], [1.0, 1.0, 3.0])
    [2.0, 8.0]
    >>> values_to_add([1.0, 4.0, 16.0], [1.0, 1.1, 1.21])
    []
    """
    x = np.log(np.asarray(values, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(np.array([np.nan if e is None else e for e in ends], dtype=float))
        slope = np.diff(y) / np.diff(x)
        step = np.diff(x)
        off = np.abs(np.diff(slope)) * step[1:] * step[:-1] / (step[1:] + step[:-1])
        split = (np.abs(np.diff(y)) > STEEP) | (np.diff(np.isnan(y).astype(int)) != 0)
    bent = off > BENT
    split[1:] |= bent
    split[:-1] |= bent
    split &= step > np.log(CLOSE)
    return [float(np.sqrt(values[i] * values[i + 1])) for i in np.flatnonzero(split).tolist()]


def _add_values(
    question: HeldQuestion,
    at: Sequence[float],
    scans: Sequence[_Scan],
    options: ScanOptions,
    progress: Callable[[float], None],
) -> None:
    """Make and fit the likelihoods of all parameters at some values."""
    made = options.executor.map(
        targets_at, at, question, lambda number, targets: progress(at[number])
    )
    for value, targets in zip(at, made, strict=True):
        for scan, target in zip(scans, targets, strict=True):
            scan.points[value] = target and _fitted(value, target, scan.parameter, options)


def _fitted(value: float, made: HeldTarget, parameter: str, options: ScanOptions) -> _Point:
    """Fit the likelihood of one parameter at one value."""
    interest = parameter_of_interest(made.target, parameter)
    counts = _without_signal(interest) if options.asimov else None
    best = best_fit(interest.likelihood, counts, _fit(interest, options))
    if options.fit.engine == "batched":
        _forget_model(interest.likelihood)
    return _Point(value, interest, made.ratio, counts, best)


def _fit(interest: ParameterOfInterest, options: ScanOptions) -> FitOptions:
    """How to fit; what is held for the parameter is held."""
    return replace(options.fit, fixed={**interest.fixed, **options.fit.fixed})


def _ratio(
    model: SignalModel, templates: Sequence[ChannelTemplates], parameter: str
) -> float | None:
    """Unit in which the signal has ``EVENTS_PER_UNIT`` events, in units of the analysis."""
    found = [(_degree(t, parameter), t) for t in model.terms if _degree(t, parameter)]
    degree = max(d for d, _ in found)
    names = [t.name for d, t in found if d == degree]
    events = max(sum(float(np.abs(t.basis([n])).sum()) for t in templates) for n in names)
    return None if events < CLOSED else float((EVENTS_PER_UNIT / events) ** (1.0 / degree))


def _degree(term: Term, parameter: str) -> int:
    """Highest power of a parameter in a strength."""
    return max((powers.get(parameter, 0) for _, powers in term.monomials), default=0)


def _target(
    analysis: Analysis,
    model: SignalModel,
    templates: Sequence[ChannelTemplates],
    unit: str,
    ratio: float,
) -> Target:
    """The likelihood in a unit of the parameter that is ``ratio`` times that of the analysis."""
    number, base = split_unit(unit)
    scaled_model = InUnit(model, f"{number * ratio:.17g} {base}".strip())
    factors = scaled_model.factors
    scaled = [
        replace(t, signals=tuple(
            s.scaled(np.full(t.channel.n_bins, factors[s.strength])) if s.strength else s
            for s in t.signals
        ))
        for t in templates
    ]  # fmt: skip
    document = build_workspace(
        scaled,
        strengths_of(scaled_model, scaled),
        measurements_of(scaled_model, scaled),
        analysis.interpolation,
    )
    made = {s.strength for t in scaled for s in t.signals if s.strength}
    return Target(analysis.name, dict(document), model.polynomial.restricted(made))


def _without_signal(interest: ParameterOfInterest) -> Array:
    """Expected counts without a signal at nominal nuisance parameters, shape (B,)."""
    likelihood = interest.likelihood
    pars = np.array(likelihood.init, dtype=float)
    signal = getattr(likelihood, "n_theta", None)
    if signal is not None:
        pars[:signal] = 0.0
    else:
        pars[likelihood.index(interest.parameter)] = 0.0
    return np.asarray(likelihood.expected(pars)[0])


def _forget_model(likelihood: AnyLikelihood) -> None:
    """Drop pyhf's model, 15 MB for each value; the batched engine does not need it."""
    base: Any = getattr(likelihood, "base", likelihood)
    base.model = None


def _curve(scan: _Scan, held: tuple[str, str], options: ScanOptions, provenance: str) -> MassCurve:
    """Ends at all values, above the common minimum."""
    values = tuple(sorted(scan.points))
    reached = [p for p in scan.points.values() if p is not None]
    if not reached:
        raise FitError(f"{scan.parameter}: no {held[0]} of the scan can be made")
    lowest = min(reached, key=lambda p: p.best.twice_nll)
    cut = threshold(options.cl, options.dof)
    ends = []
    for value in values:
        point, level = scan.points[value], cut
        if point is not None:
            level -= _excess(point, lowest)
            if (value, level) not in scan.ends:
                scan.ends[value, level] = _ends(point, level, options)
        ends.append(_Ends(None) if point is None else scan.ends[value, level])
    best = lowest.interest.value(lowest.best.parameters[lowest.interest.parameter])
    return MassCurve(
        *held,
        values,
        scan.parameter,
        scan.unit,
        tuple(e.allowed for e in ends),
        tuple(e.lower for e in ends),
        tuple(e.upper for e in ends),
        (best or 0.0) * lowest.ratio,
        lowest.value,
        options.cl,
        options.dof,
        cut,
        provenance,
        all(p.best.certified for p in reached) and all(e.certified for e in ends),
    )


@dataclass(frozen=True)
class _Ends:
    """The allowed set at one value, see :class:`MassCurve`."""

    allowed: tuple[Segment, ...] | None = ()
    lower: float | None = None
    upper: float | None = None
    certified: bool = True


def _excess(point: _Point, lowest: _Point) -> float:
    """How much worse the minimum of a value is than that of all."""
    return point.best.twice_nll - lowest.best.twice_nll


def _ends(point: _Point, cut: float, options: ScanOptions) -> _Ends:
    """The set where the profile is at most ``cut`` above the value's own minimum."""
    if not cut > 0:
        return _Ends()
    level = float(chdtr(2, cut))
    interest = point.interest
    fit = IntervalOptions(fit=_fit(interest, options))
    found = interval(interest.likelihood, point.data, interest.parameter, level, 2, fit)

    def scaled(end: float | None) -> float | None:
        value = interest.value(end)
        return None if value is None else value * point.ratio

    allowed = (replace(s, lower=scaled(s.lower), upper=scaled(s.upper)) for s in found.intervals)
    return _Ends(tuple(allowed), scaled(found.lower), scaled(found.upper), found.certified)
