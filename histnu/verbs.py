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

from histnu.analyses import Analysis
from histnu.errors import ConfigError, FitError
from histnu.experiments.model import Experiment
from histnu.inference.asimov import asimov
from histnu.inference.cls import cls_limit, hypotest, hypotest_toys
from histnu.inference.contours import RegionOptions
from histnu.inference.contours import region as find_region
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.expected import ExpectedOptions, expected_limit
from histnu.inference.limits import IntervalOptions, interval
from histnu.inference.profile import best_fit
from histnu.inference.profile import profile as find_profile
from histnu.inference.results import Interval
from histnu.inference.toys import ToyOptions, feldman_cousins, neyman_scan
from histnu.inference.toys import coverage as find_coverage
from histnu.mass_scan import MassCurve as HeldCurve
from histnu.mass_scan import ScanOptions, mass_scan
from histnu.results import (
    Axis,
    Bound,
    Coverage,
    Expected,
    Fit,
    MassCurve,
    Profile,
    Region,
    Segment,
    Test,
    Toys,
)
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
        allow_uncertified: give a result, marked as such, where a fit is not certified.
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
    allow_uncertified: bool = False

    @property
    def fit(self) -> FitOptions:
        """Options of single fits."""
        options = FitOptions(
            engine=self.engine,
            fixed=dict(self.held),
            allow_uncertified=self.allow_uncertified,
        )
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
    def toy_options(self) -> ToyOptions:
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
        "held": {**target.held, **options.held},
        "data": options.data,
        "provenance": target.provenance,
    }


def _settled(question: Question, options: Options) -> Options:
    """The options with what the question itself holds fixed."""
    return replace(options, held={**question.fixed, **options.held}) if question.fixed else options


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
        return cls_limit(*arguments, options.cl, options.fit, options.toy_options)
    if options.method == "toys":
        return feldman_cousins(*arguments, options.cl, options.toy_options)[0]
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
    question = ask(target, parameter)
    return limit_of(target, question, _settled(question, options or Options()))


def limit_of(target: Target, question: Question, options: Options) -> Bound:
    """:func:`limit` of a likelihood that is already prepared."""
    found = find_interval(question, options)
    best = found.best_fit
    value = question.value
    return Bound(
        **_common(target, options),
        method=METHODS[options.method],
        **_toy_fields(options),
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
        certified=found.certified,
        measurement=question.measurement,
        boundary=found.boundary,
        search=found.search,
    )


def expected_of(question: Question, from_toys: bool, options: Options) -> Expected:
    """Upper ends expected without a signal, in the unit that was asked.

    Methods with toys always have bands from toys.
    """
    method = "cls-toys" if from_toys and options.method == "cls" else options.method
    found = expected_limit(
        question.likelihood,
        None,
        question.parameter,
        ExpectedOptions(
            method=method,
            cl=options.cl,
            dof=options.dof,
            ensemble=from_toys and method == "profile",
            fit=options.fit,
            toys=options.toy_options,
        ),
    )
    return Expected(
        method=found.method,
        ensemble=found.ensemble,
        cl=found.cl,
        dof=found.dof,
        sigmas=found.sigmas,
        upper=tuple(question.value(u) for u in found.upper),
        n_toys=found.n_toys,
        open_fraction=found.open_fraction,
        nuisances=found.nuisances,
    )


def _toy_fields(options: Options) -> dict[str, Any]:
    """Seed and number of toys, of methods that have toys."""
    if "toys" not in options.method:
        return {}
    return {"seed": options.seed, "n_toys": options.n_toys}


def _intervals(found: Interval, question: Question) -> tuple[Segment, ...]:
    """The allowed set in what was asked."""
    return tuple(
        Segment(
            lower=question.value(s.lower),
            upper=question.value(s.upper),
            lower_end=s.lower_end,
            upper_end=s.upper_end,
        )
        for s in found.intervals
    )


def _required(value: float | None) -> float:
    if value is None:
        raise FitError("the fit gave no value")
    return value


def fit(target: Target, parameter: str | None = None, options: Options | None = None) -> Fit:
    """Global minimum of -2 log L in the parameters that a question about one would use."""
    question = ask(target, parameter)
    options = _settled(question, options or Options())
    best = best_fit(question.likelihood, options.counts(question), options.fit)
    return Fit(
        **_common(target, options),
        method="maximum likelihood",
        unit=question.unit,
        parameters=best.parameters,
        twice_nll=best.twice_nll,
        converged=best.converged,
        certified=best.certified,
    )


def scan(
    target: Target, parameter: str | None, values: ArrayLike, options: Options | None = None
) -> Profile:
    """Profile of one parameter at given values (in its own unit), the others profiled."""
    question = ask(target, parameter)
    return scan_of(target, question, values, _settled(question, options or Options()))


def scan_of(target: Target, question: Question, values: ArrayLike, options: Options) -> Profile:
    """:func:`scan` of a likelihood that is already prepared."""
    points = np.atleast_1d(np.asarray(values, dtype=float))
    inner = np.array([question.inverse(float(v)) for v in points])
    data = options.counts(question)
    found = find_profile(question.likelihood, data, question.parameter, inner, options.fit)
    delta = [max(float(d), 0.0) if np.isfinite(d) else None for d in found.delta_twice_nll]
    return Profile(
        **_common(target, options),
        unit=question.unit,
        parameter=question.asked,
        values=tuple(points),
        delta_twice_nll=tuple(delta),
        best_fit=_required(question.value(found.best_fit.parameters[question.parameter])),
        twice_nll=found.best_fit.twice_nll,
        converged=bool(np.all(found.converged)),
        certified=bool(found.certified.all() and found.best_fit.certified),
        certified_points=tuple(found.certified.tolist()),
        measurement=question.measurement,
        search=found.search,
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
    question = ask(target, plane[0], plane[1:])
    return contour_of(target, question, plane, grid, _settled(question, options or Options(dof=2)))


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
        certified=found.certified,
        search=found.search,
    )


def hypothesis_test(
    target: Target, parameter: str | None, value: float, options: Options | None = None
) -> Test:
    """CLs of one value of a parameter: asymptotic, or from toys with ``method="cls-toys"``."""
    question = ask(target, parameter)
    options = _settled(question, options or Options(method="cls"))
    data, inner = options.counts(question), question.inverse(value)
    with_toys = options.method == "cls-toys"
    if with_toys:
        found = hypotest_toys(
            question.likelihood, data, question.parameter, inner, options.toy_options
        )
    else:
        (found,) = hypotest(question.likelihood, data, question.parameter, [inner], options.fit)
    best = found.best_fit
    return Test(
        **_common(target, options),
        method=found.method,
        **_toy_fields(options),
        unit=question.unit,
        parameter=question.asked,
        value=value,
        cls=found.cls,
        cl_b=found.cl_b,
        cl_sb=found.cl_sb,
        expected=found.expected,
        test_statistic=found.test_statistic,
        errors=found.errors,
        best_fit=None if best is None else question.value(best.parameters[question.parameter]),
        twice_nll=None if best is None else best.twice_nll,
        certified=found.certified,
        measurement=question.measurement,
        search=found.search,
    )


def toys(
    target: Target, parameter: str | None, values: ArrayLike, options: Options | None = None
) -> Toys:
    """Feldman-Cousins acceptance of values of a parameter (in its own unit) from toys."""
    question = ask(target, parameter)
    options = _settled(question, options or Options(method="toys"))
    points = np.atleast_1d(np.asarray(values, dtype=float))
    inner = np.array([question.inverse(float(v)) for v in points])
    found = neyman_scan(
        question.likelihood,
        options.counts(question),
        question.parameter,
        inner,
        options.cl,
        options.toy_options,
    )
    return Toys(
        **_common(target, options),
        method=METHODS["toys"],
        seed=options.seed,
        unit=question.unit,
        parameter=question.asked,
        cl=options.cl,
        values=tuple(points),
        n_toys=found.n_toys,
        delta_twice_nll=tuple(map(float, found.delta_twice_nll)),
        critical=tuple(map(float, found.critical)),
        p_value=tuple(map(float, found.p_value)),
        error=tuple(map(float, found.error)),
    )


def coverage(
    target: Target, parameter: str | None, truth: float, options: Options | None = None
) -> Coverage:
    """How often profile intervals of toys at a true value of a parameter cover it."""
    question = ask(target, parameter)
    options = _settled(question, options or Options())
    true = {**options.held, question.parameter: question.inverse(truth)}
    found = find_coverage(
        question.likelihood, true, question.parameter, options.cl, options.dof, options.toy_options
    )
    best = best_fit(question.likelihood, None, options.fit).parameters[question.parameter]
    return Coverage(
        **_common(target, options),
        method="toys",
        seed=options.seed,
        unit=question.unit,
        parameter=question.asked,
        truth={**options.held, question.asked: truth},
        cl=options.cl,
        n_toys=found.n_toys,
        covered=found.covered,
        coverage=found.coverage,
        coverage_interval=found.coverage_interval,
        error=found.error,
        failed=found.failed,
        best_fit=_required(question.value(best)),
        certified=found.certified,
        measurement=question.measurement,
        search=found.search,
    )


def mass_curves(
    analysis: Analysis,
    held: str,
    parameters: Sequence[str],
    values: Sequence[float],
    options: Options | None = None,
    experiments: Sequence[Experiment] | None = None,
) -> tuple[MassCurve, ...]:
    """Ends of parameters against one that the model holds: the contour of -2 log L in both.

    Args:
        analysis: what is analysed.
        held: name of the held parameter. values: of it, in its unit.
        parameters: physical parameters, each on its own.
        options: level (2 dof for the contour), engine and data.
        experiments: use these instead of loading the analysis' experiments.

    Raises:
        HistnuError: for an unknown parameter, or a process that is closed everywhere.
    """
    options = options or Options(dof=2)
    asimov_data = options.data == "asimov"
    level = ScanOptions(options.cl, options.dof, options.fit, asimov_data)
    found = mass_scan(analysis, held, parameters, values, level, experiments)
    return tuple(_mass_curve(analysis.name, curve, options) for curve in found)


def _mass_curve(name: str, found: HeldCurve, options: Options) -> MassCurve:
    return MassCurve(
        target=name,
        engine=options.engine,
        held=dict(options.held),
        data=options.data,
        unit=found.unit,
        provenance=found.provenance,
        parameter=found.parameter,
        x=Axis(name=found.held, unit=found.held_unit),
        values=found.values,
        cl=found.cl,
        dof=found.dof,
        lower=found.lower,
        upper=found.upper,
        best_fit=found.best_fit,
        best_fit_x=found.best_fit_held,
        threshold=found.threshold,
        certified=found.certified,
    )
