"""From results to figures: which numbers a figure of each kind shows.

The functions take a target, a parameter of interest and results, and return what
:mod:`histnu.plotting` draws; nothing is fitted here but the profiles that a figure shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histnu.analysis.axes import ChannelAxes
from histnu.analysis.target import ParameterOfInterest, Target
from histnu.core.errors import FitError
from histnu.inference.engine.fit import FitOptions
from histnu.inference.limits import IntervalOptions, interval, threshold
from histnu.inference.profile import profile
from histnu.inference.results import CROSSING, Interval
from histnu.inference.uncertainties import prefit
from histnu.inference.yields import prediction
from histnu.plotting.canvas import Header, quantity
from histnu.plotting.prediction import Panel, PredictionFigure
from histnu.plotting.statistics import (
    CorrelationFigure,
    Curve,
    ImpactRow,
    ImpactsFigure,
    NuisancesFigure,
    ScanFigure,
    ToysFigure,
)
from histnu.verbs.fit_results import FitSummary, Impacts, Significance
from histnu.verbs.options import Options
from histnu.verbs.profiles import scan_of
from histnu.verbs.results import Bound, Profile

Array = NDArray[np.float64]

ONE_SIGMA = 0.6826894921370859
"""Probability within one standard deviation of a normal distribution: erf(1 / sqrt(2))."""


def header(target: Target, what: str = "", note: str = "") -> Header:
    """Name of the target and what was asked, with its provenance."""
    title = f"{target.label}: {what}" if what else target.label
    return Header(title, target.provenance, note)


def signal_samples(target: Target) -> tuple[str, ...]:
    """Samples that a strength of a measurement scales."""
    pois = set(target.pois)
    if target.polynomial is not None:
        pois |= set(target.polynomial.outputs)
    return tuple(
        dict.fromkeys(
            s["name"]
            for c in target.document["channels"]
            for s in c["samples"]
            if any(m["type"] == "normfactor" and m["name"] in pois for m in s["modifiers"])
        )
    )


def prediction_figure(
    target: Target,
    interest: ParameterOfInterest,
    summary: FitSummary,
    axes: Mapping[str, ChannelAxes],
    limit: tuple[float, float] | None = None,
) -> PredictionFigure:
    """Data against the fitted prediction, one panel per channel and axis.

    Args:
        target: what was fitted. interest: the likelihood. summary: its fit.
        axes: titles and edges where known.
        limit: (upper limit of the likelihood's parameter, its CL): the total at it, the other
            parameters profiled, is drawn over the fit.
    """
    likelihood = interest.likelihood
    counts = np.asarray(likelihood.observation, dtype=float)
    best = np.array([p.value for p in summary.parameters])
    covariance = np.array(summary.covariance)
    before = prefit(likelihood)[0]
    above = None if limit is None else _held(interest, limit[0])
    most = max((len(axes[n].axes) for n in likelihood.channels if n in axes), default=1)
    panels = []
    for k in range(most):
        chosen = {
            name: axes[name].projection(k, where.stop - where.start)
            if name in axes
            else np.eye(where.stop - where.start)
            for name, where in likelihood.channels.items()
            if k == 0 or (name in axes and k < len(axes[name].axes))
        }
        after = prediction(likelihood, best, covariance, counts, "postfit", chosen)
        for channel in after.channels:
            where, matrix = likelihood.channels[channel.channel], chosen[channel.channel]
            described = axes.get(channel.channel)
            axis = None if described is None else described.axes[k]
            panels.append(
                Panel(
                    title=channel.channel if described is None else described.title,
                    x="bin" if axis is None else axis.label,
                    edges=None if axis is None or axis.numbered else axis.edges,
                    samples=channel.samples,
                    yields=channel.yields,
                    total_error=channel.total_error,
                    prefit=matrix @ likelihood.expected(before)[0][where],
                    observed=channel.observed,
                    overlay=None if above is None else matrix @ above[where],
                )
            )
    text = ""
    if limit is not None:
        value = interest.value(limit[0])
        text = f"{interest.name} = {value:.3g} ({100 * limit[1]:g} % CL limit)"
    order = list(dict.fromkeys(p.title for p in panels))
    panels = sorted(panels, key=lambda p: order.index(p.title))
    return PredictionFigure(
        tuple(panels), header(target, "data and post-fit prediction"), text, signal_samples(target)
    )


def _held(interest: ParameterOfInterest, value: float) -> Array:
    """Expected counts with the parameter held, all others profiled."""
    options = FitOptions(fixed=interest.fixed, allow_uncertified=True)  # drawn, not reported
    found = profile(interest.likelihood, None, interest.parameter, [value], options)
    return np.asarray(interest.likelihood.expected(found.parameters)[0])


def impacts_figure(target: Target, found: Impacts, top: int = 20) -> ImpactsFigure:
    """The largest impacts, with pulls."""
    rows = tuple(
        ImpactRow(
            i.name, i.pull, i.constraint, (i.prefit_up, i.prefit_down),
            (i.postfit_up, i.postfit_down),
        )
        for i in found.impacts[:top]
    )  # fmt: skip
    more = len(found.impacts) - len(rows)
    note = f"{more} smaller impacts are not shown" if more > 0 else ""
    fitted = f"{found.ranked} = {found.best_fit:.3g}"
    fitted += "" if found.error is None else f" \u00b1 {found.error:.2g}"
    name = quantity(found.ranked, found.unit)
    return ImpactsFigure(name, rows, header(target, fitted, note))


def correlation_figure(
    target: Target, summary: FitSummary, names: Sequence[str] | None = None
) -> CorrelationFigure:
    """Correlations of the free parameters, or of chosen ones."""
    free = [p.name for p in summary.parameters if p.status == "free"]
    chosen = [n for n in (names or free) if n in free]
    where = [summary.names.index(n) for n in chosen]
    matrix = np.array(summary.correlation)[np.ix_(where, where)]
    return CorrelationFigure(tuple(chosen), matrix, header(target, "post-fit correlations"))


def scan_curve(
    target: Target,
    interest: ParameterOfInterest,
    values: Array | None,
    level: tuple[float, int],
    options: FitOptions | None = None,
) -> tuple[Curve, Interval]:
    """The profile of a parameter of interest, with every crossing of one level.

    Args:
        target, interest: what is asked. values: (P,) in the unit asked; around the interval
            if None.
        level: confidence level and degrees of freedom. options: how to fit.
    """
    options = options or FitOptions()
    cl, dof = level
    found = interval(
        interest.likelihood, None, interest.parameter, cl, dof, IntervalOptions(fit=options)
    )
    grid = default_values(interest, found) if values is None else values
    inner = np.array([interest.inverse(float(v)) for v in grid])
    scanned = profile(interest.likelihood, None, interest.parameter, inner, options)
    roots = _crossings(found)
    cut = threshold(cl, dof)
    crossings = tuple((_required(interest.value(r)), cut) for r in roots)
    best = interest.value(scanned.best_fit.parameters[interest.parameter])
    curve = Curve(target.name, grid, scanned.delta_twice_nll, crossings, best)
    return replace(curve, label=target.label), found


def _crossings(found: Interval | Bound) -> list[float]:
    """All values at which the profile crosses the level, in ascending order."""
    ends = [
        end
        for s in found.intervals
        for end, kind in ((s.lower, s.lower_end), (s.upper, s.upper_end))
        if kind == CROSSING and end is not None
    ]
    return sorted(ends)


def _required(x: float | None) -> float:
    return 0.0 if x is None else x


def default_values(interest: ParameterOfInterest, found: Interval, points: int = 121) -> Array:
    """Values that show an interval with a margin of 35 % on both sides, inside the bounds."""
    center = found.best_fit.parameters[interest.parameter]
    return values_around(interest, (found.lower, found.upper, *found.other_roots, center), points)


def values_around(
    interest: ParameterOfInterest, ends: Sequence[float | None], points: int = 121
) -> Array:
    """Values (in the unit asked) around ends of the likelihood's parameter, inside its bounds."""
    bounds = interest.likelihood.bounds[interest.likelihood.index(interest.parameter)]
    known = [e for e in ends if e is not None]
    low, high = min(known), max(known)
    margin = 0.35 * (high - low) or 1.0
    low, high = max(low - margin, float(bounds[0])), min(high + margin, float(bounds[1]))
    first, last = interest.value(low), interest.value(high)
    return np.linspace(_required(first), _required(last), points)


def limit_figure(
    target: Target, interest: ParameterOfInterest, found: Bound, options: Options
) -> ScanFigure:
    """The profile around a limit: its level and crossings, or the ends of another method.

    Args:
        target, interest: what was asked. found: the answer. options: those it was found with.
    """
    ends = [e for s in found.intervals for e in (s.lower, s.upper)] or [found.lower, found.upper]
    inner = [None if e is None else interest.inverse(e) for e in (*ends, found.best_fit)]
    scanned = scan_of(target, interest, values_around(interest, inner), options)
    levels: dict[str, float] = {}
    crossings: tuple[tuple[float, float], ...] = ()
    percent = f"{100 * found.cl:g} % CL"
    if found.dof is not None:
        cut = threshold(found.cl, found.dof)
        levels = {f"{percent} ({found.dof} dof)": cut}
        crossings = tuple((end, cut) for end in _crossings(found))
    sides = (("lower", found.lower), ("upper", found.upper))
    method = found.method.replace("cls", "CLs")
    marks = {} if levels else {f"{k} end, {percent}, {method}": e for k, e in sides}
    if found.expected is not None:
        marks["expected upper end, median"] = found.expected.upper[2]
    figure = profile_figure(target, scanned, levels, crossings)
    return replace(figure, marks={k: e for k, e in marks.items() if e is not None})


def profile_figure(
    target: Target,
    found: Profile,
    levels: Mapping[str, float] | None = None,
    crossings: tuple[tuple[float, float], ...] = (),
) -> ScanFigure:
    """A profile as it was scanned; levels of 68.3 and 90 % (1 dof) unless others are given."""
    if levels is None:
        levels = {f"{100 * cl:.3g} % CL (1 dof)": threshold(cl, 1) for cl in (ONE_SIGMA, 0.9)}
    delta = np.array([np.nan if d is None else d for d in found.delta_twice_nll])
    curve = Curve("profile likelihood", np.array(found.values), delta, crossings, found.best_fit)
    return ScanFigure(quantity(found.parameter, found.unit), (curve,), levels,
                      header(target, f"profile of {found.parameter}"))  # fmt: skip


def scan_figure(
    interests: Sequence[tuple[Target, ParameterOfInterest]],
    values: Array | None,
    level: tuple[float, int],
    how: Callable[[ParameterOfInterest], FitOptions] = lambda interest: FitOptions(
        fixed=interest.fixed
    ),
) -> ScanFigure:
    """Profiles of one parameter in several targets, on the values that show all of them."""
    first = [scan_curve(t, q, values, level, how(q)) for t, q in interests]
    if values is None and len(first) > 1:
        low = min(c.values.min() for c, _ in first)
        high = max(c.values.max() for c, _ in first)
        shared = np.linspace(low, high, 121)
        first = [scan_curve(t, q, shared, level, how(q)) for t, q in interests]
    curves = tuple(c for c, _ in first)
    cl, dof = level
    asked = interests[0][1]
    levels = {f"{100 * cl:g} % CL ({dof} dof)": threshold(cl, dof)}
    weakest = [t.provenance for t, _ in interests if t.provenance == "reconstructed"]
    head = Header(f"profile of {asked.name}", weakest[0] if weakest else None)
    return ScanFigure(quantity(asked.name, asked.unit), curves, levels, head)


def nuisances_figure(
    target: Target,
    interest: ParameterOfInterest,
    values: Array | None,
    level: tuple[float, int],
    options: FitOptions | None = None,
    top: int = 8,
) -> NuisancesFigure:
    """The nuisance parameters that move most along a scan, in prefit standard deviations."""
    options = options or FitOptions(fixed=interest.fixed)
    settings = IntervalOptions(fit=options)
    found = interval(interest.likelihood, None, interest.parameter, *level, settings)
    grid = default_values(interest, found) if values is None else values
    inner = np.array([interest.inverse(float(v)) for v in grid])
    scanned = profile(interest.likelihood, None, interest.parameter, inner, options)
    center, width = prefit(interest.likelihood)
    known = np.flatnonzero(width > 0)
    pull = (scanned.parameters[:, known] - center[known]) / width[known]
    order = np.argsort(-np.ptp(pull, axis=0), kind="stable")[:top]
    names = tuple(scanned.parameter_names[known[i]] for i in order)
    cut = f"{100 * level[0]:g} % CL"
    ends = {
        f"{side} end, {cut}": interest.value(end)
        for side, end in (("lower", found.lower), ("upper", found.upper))
        if end is not None
    }
    more = len(known) - len(names)
    return NuisancesFigure(
        quantity(interest.name, interest.unit), grid, names, pull[:, order],
        interest.value(scanned.best_fit.parameters[interest.parameter]),
        {k: v for k, v in ends.items() if v is not None},
        header(target, "profiled nuisance parameters",
               f"{more} that move less are not shown" if more > 0 else ""),
    )  # fmt: skip


def significance_figure(target: Target, found: Significance, toys: Array | None) -> ToysFigure:
    """Background-only toys of q0 with the asymptotic distribution.

    Raises:
        FitError: without toys.
    """
    if toys is None or found.significance_toys is None:
        raise FitError("a figure of toys needs toys: give --n-toys")
    lines = (
        rf"asymptotic: {found.significance:.2f} $\sigma$",
        rf"toys: {found.significance_toys:.2f} $\sigma$",
    )
    name = rf"$q_0$ of {found.parameter}"
    return ToysFigure(name, toys, found.q0, "half_chi2", 1, lines,
                      header(target, "background-only toys"))  # fmt: skip


def goodness_figure(target: Target, summary: FitSummary, toys: Array | None) -> ToysFigure:
    """Toys of the saturated goodness of fit with the asymptotic distribution.

    Raises:
        FitError: without toys.
    """
    good = summary.goodness
    if toys is None or good.p_value_toys is None:
        raise FitError("a figure of toys needs toys: give --n-toys")
    lines = [f"p = {good.p_value_toys:.3g} (toys)"]
    if good.p_value is not None:
        lines.insert(0, f"p = {good.p_value:.3g} (asymptotic)")
    return ToysFigure(r"saturated $\chi^2$", toys, good.chi2, "chi2", max(good.dof, 1),
                      tuple(lines), header(target, "goodness of fit"))  # fmt: skip
