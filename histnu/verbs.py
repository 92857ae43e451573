"""One function per verb: a target in, a typed result out.

The command line, studies and notebooks call these; nothing else turns a likelihood into a number
that is published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import ConfigError, FitError
from histnu.inference.asimov import asimov
from histnu.inference.cls import cls_limit
from histnu.inference.contours import RegionOptions
from histnu.inference.contours import region as find_region
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.limits import IntervalOptions, interval, threshold
from histnu.inference.mass_contour import mass_contour
from histnu.inference.profile import best_fit
from histnu.inference.profile import profile as find_profile
from histnu.inference.results import Interval
from histnu.inference.toys import ToyOptions, feldman_cousins
from histnu.results import Axis, Bound, Ends, Fit, MassCurve, Profile, Region
from histnu.serialize import digest
from histnu.targets import Question, Target, ask

Array = NDArray[np.float64]

METHODS: Mapping[str, str] = {
    "profile": "profile likelihood",
    "cls": "cls",
    "cls-toys": "cls_toys",
    "toys": "feldman_cousins",
}
"""Methods of an interval, and how results name them."""


@dataclass(frozen=True)
class Search:
    """How hard to look for the global minimum of a likelihood with interference.

    Attributes:
        starts: Newton starts. linear_points: points of the scan for further minima. None: the
            defaults of :mod:`histnu.inference`.
    """

    starts: int | None = None
    linear_points: int | None = None


@dataclass(frozen=True)
class Options:
    """How to answer.

    Attributes:
        method: a key of ``METHODS``, for intervals.
        cl, dof: confidence level and degrees of freedom of the threshold.
        engine: ``batched``, ``pyhf`` (minuit) or ``pyhf-scipy``.
        held: parameters held at values.
        data: observed counts, or the Asimov data set without a signal.
        n_toys, seed, progress: of methods with toys.
        search: of the global minimum.
    """

    method: str = "profile"
    cl: float = 0.9
    dof: int = 1
    engine: str = "batched"
    held: Mapping[str, float] = field(default_factory=dict)
    data: Literal["observed", "asimov"] = "observed"
    n_toys: int = 1000
    seed: int = 0
    progress: Callable[[int, int], None] | None = None
    search: Search = Search()

    @property
    def fit(self) -> FitOptions:
        """Options of single fits."""
        options = FitOptions(engine=self.engine, fixed=dict(self.held))
        if self.search.starts is None:
            return options
        return replace(options, search=GlobalOptions(starts=self.search.starts))

    @property
    def interval(self) -> IntervalOptions:
        """Options of intervals of the profile likelihood."""
        if self.search.linear_points is None:
            return IntervalOptions(fit=self.fit)
        return IntervalOptions(fit=self.fit, linear_points=self.search.linear_points)

    @property
    def toys(self) -> ToyOptions:
        """Options of toys."""
        options = ToyOptions(n_toys=self.n_toys, seed=self.seed, fit=self.fit)
        return options if self.progress is None else replace(options, progress=self.progress)

    def counts(self, question: Question) -> Array | None:
        """The data to use: None means those of the workspace."""
        return asimov(question.likelihood) if self.data == "asimov" else None


def inputs_of(target: Target) -> dict[str, str]:
    """Digests that identify what was asked: SHA-256 of the likelihood document."""
    return {target.name: digest(target.document)}


def _common(target: Target, options: Options) -> dict[str, Any]:
    """The fields of an envelope that every verb shares."""
    return {
        "target": target.name,
        "engine": options.engine,
        "held": dict(options.held),
        "data": options.data,
        "provenance": target.provenance,
    }


def find_interval(question: Question, options: Options) -> Interval:
    """The interval of a prepared likelihood by the method of the options.

    Raises:
        ConfigError: for an unknown method.
        FitError: if a fit or a root is not found.
    """
    arguments = (question.likelihood, options.counts(question), question.parameter)
    if options.method == "profile":
        return interval(*arguments, options.cl, options.dof, options.interval)
    if options.method == "cls":
        return cls_limit(*arguments, options.cl, options.fit)
    if options.method == "cls-toys":
        return cls_limit(*arguments, options.cl, options.fit, options.toys)
    if options.method == "toys":
        return feldman_cousins(*arguments, options.cl, options.toys)[0]
    raise ConfigError(f"unknown method {options.method!r}; use one of {', '.join(METHODS)}")


def limit(target: Target, parameter: str | None, options: Options | None = None) -> Bound:
    """Confidence interval of one parameter.

    Args:
        target: the likelihood.
        parameter: of interest, or physical; the document's first parameter of interest if None.
        options: method, level, engine, held values, data, toys.

    Raises:
        HistnuError: for an unknown parameter or method, or a fit that fails.
    """
    return limit_of(target, ask(target, parameter), options or Options())


def limit_of(target: Target, question: Question, options: Options) -> Bound:
    """:func:`limit` of a likelihood that is already prepared."""
    found = find_interval(question, options)
    best = found.best_fit
    value = question.value
    return Bound(
        **_common(target, options),
        method=METHODS[options.method],
        seed=options.seed if "toys" in options.method else None,
        unit=question.unit,
        parameter=question.asked,
        cl=options.cl,
        dof=options.dof if options.method == "profile" else None,
        lower=value(found.lower),
        upper=value(found.upper),
        intervals=_intervals(found, question),
        best_fit=_required(value(best.parameters[question.parameter])),
        parameters=best.parameters,
        twice_nll=best.twice_nll,
        converged=best.converged,
        certified=getattr(found, "certified", None),
    )


def _intervals(found: Interval, question: Question) -> tuple[Ends, ...]:
    """The allowed set in what was asked."""
    pieces = getattr(found, "intervals", None) or ((found.lower, found.upper),)
    return tuple((question.value(low), question.value(high)) for low, high in pieces)


def _required(value: float | None) -> float:
    if value is None:
        raise FitError("the fit gave no value")
    return value


def fit(target: Target, parameter: str | None = None, options: Options | None = None) -> Fit:
    """Global minimum of -2 log L in the parameters that a question about one would use."""
    options = options or Options()
    question = ask(target, parameter)
    best = best_fit(question.likelihood, options.counts(question), options.fit)
    return Fit(
        **_common(target, options),
        method="maximum likelihood",
        unit=question.unit,
        parameters=best.parameters,
        twice_nll=best.twice_nll,
        converged=best.converged,
        certified=getattr(best, "certified", None),
    )


def scan(
    target: Target, parameter: str | None, values: ArrayLike, options: Options | None = None
) -> Profile:
    """Profile of one parameter at given values (in its own unit), the others profiled.

    Raises:
        FitError: where -2 log L is not finite.
    """
    return scan_of(target, ask(target, parameter), values, options or Options())


def scan_of(target: Target, question: Question, values: ArrayLike, options: Options) -> Profile:
    """:func:`scan` of a likelihood that is already prepared."""
    points = np.atleast_1d(np.asarray(values, dtype=float))
    inner = np.array([question.inverse(float(v)) for v in points])
    data = options.counts(question)
    found = find_profile(question.likelihood, data, question.parameter, inner, options.fit)
    if not np.all(np.isfinite(found.delta_twice_nll)):
        raise FitError(f"profile of {question.asked}: -2 log L is not finite everywhere")
    return Profile(
        **_common(target, options),
        unit=question.unit,
        parameter=question.asked,
        values=tuple(points),
        delta_twice_nll=tuple(np.maximum(found.delta_twice_nll, 0.0)),
        best_fit=_required(question.value(found.best_fit.parameters[question.parameter])),
        twice_nll=found.best_fit.twice_nll,
        converged=bool(np.all(found.converged)),
    )


def contour(
    target: Target,
    plane: tuple[str, str],
    grid: tuple[ArrayLike, ArrayLike],
    options: Options | None = None,
) -> Region:
    """Region of two parameters, the others profiled; 2 dof unless the options say otherwise.

    Raises:
        ConfigError: for a parameter that enters squared; its strength can be asked.
    """
    return contour_of(target, ask(target, plane[0]), plane, grid, options or Options(dof=2))


def contour_of(
    target: Target,
    question: Question,
    plane: tuple[str, str],
    grid: tuple[ArrayLike, ArrayLike],
    options: Options,
) -> Region:
    """:func:`contour` of a likelihood that is already prepared."""
    if question.squared:
        raise ConfigError(f"{plane[0]} enters squared; give its strength {question.parameter}")
    level = RegionOptions(cl=options.cl, dof=options.dof, fit=options.fit)
    found = find_region(question.likelihood, options.counts(question), plane, grid, level)
    best = found.best_fit.parameters
    x, y = (Axis(name=n, unit=target.units.get(n, "")) for n in plane)
    lines = tuple(tuple((float(a), float(b)) for a, b in line) for line in found.contours)
    return Region(
        **_common(target, options),
        unit=x.unit,
        x=x,
        y=y,
        cl=found.cl,
        dof=found.dof,
        threshold=found.threshold,
        best_fit=(best[plane[0]], best[plane[1]]),
        polylines=lines,
        converged=found.best_fit.converged,
    )


@dataclass(frozen=True)
class MassPoint:
    """The likelihood at one value of a held parameter; None where the process is closed."""

    value: float
    question: Question | None


def produces(target: Target, strength: str) -> bool:
    """Whether any template of a strength has events."""
    samples = [s for c in target.document["channels"] for s in c["samples"]]
    scaled = (s for s in samples if any(m["name"] == strength for m in s["modifiers"]))
    return any(np.any(np.asarray(s["data"]) > 0.0) for s in scaled)


def mass_point(target: Target, value: float, parameter: str) -> MassPoint:
    """Prepare one point of :func:`mass_curve`.

    Raises:
        ConfigError: unless the parameter is the root of one strength.
    """
    question = ask(target, parameter)
    if not question.squared:
        raise ConfigError(f"{parameter} does not enter as the square of one strength")
    return MassPoint(value, question if produces(target, question.parameter) else None)


def mass_curve(
    target: Target,
    parameter: str,
    points: Sequence[MassPoint],
    x: Axis,
    options: Options | None = None,
) -> MassCurve:
    """Upper ends of a parameter against a held one: the contour of -2 log L in both.

    Args:
        target: any of the points' targets, for its name and unit.
        parameter: one that enters as the square of one strength.
        points: a prepared likelihood at every value of the held parameter.
        x: the held parameter.
        options: level (2 dof for the contour) and data.

    Raises:
        FitError: if the process is closed everywhere.
    """
    options = options or Options(dof=2)
    questions = [p.question for p in points]
    first = next((q for q in questions if q is not None), None)
    if first is None:
        raise FitError(f"{parameter}: no {x.name} of the scan can be produced")
    likelihoods = [None if q is None else q.likelihood for q in questions]
    data = [None if q is None else options.counts(q) for q in questions]
    level = threshold(options.cl, options.dof)
    uppers, best = mass_contour(likelihoods, first.parameter, level, data)
    if best is None:
        raise FitError(f"{parameter}: no fit of the scan of {x.name} succeeded")
    return MassCurve(
        **_common(target, options),
        unit=first.unit,
        parameter=parameter,
        x=x,
        values=tuple(p.value for p in points),
        cl=options.cl,
        dof=options.dof,
        upper=tuple(uppers),
        best_fit=best[1],
        best_fit_x=points[best[0]].value,
    )
