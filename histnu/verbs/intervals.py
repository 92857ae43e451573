"""Confidence regions of one parameter, observed and expected, and tests of one value."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

from histnu.analysis.target import ParameterOfInterest, Target, parameter_of_interest
from histnu.core.errors import ConfigError, FitError
from histnu.inference.cls import cls_limit, hypotest, hypotest_toys
from histnu.inference.expected import ExpectedOptions, expected_limit
from histnu.inference.limits import interval
from histnu.inference.results import Interval
from histnu.inference.toys import feldman_cousins
from histnu.verbs.envelope import Segment
from histnu.verbs.options import (
    METHODS,
    Options,
    common_fields,
    required,
    settled,
    shared_fields,
    toy_fields,
)
from histnu.verbs.results import Bound, Expected, Test

log = logging.getLogger(__name__)


def find_interval(interest: ParameterOfInterest, options: Options) -> Interval:
    """The interval of a prepared likelihood by the method of the options.

    Raises:
        ConfigError: for an unknown method.
        FitError: if a fit or a root is not found.
    """
    arguments = (interest.likelihood, options.counts(interest), interest.parameter)
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
    interest = parameter_of_interest(target, parameter)
    return limit_of(target, interest, settled(interest, options or Options()))


def limit_of(target: Target, interest: ParameterOfInterest, options: Options) -> Bound:
    """:func:`limit` of a likelihood that is already prepared."""
    options = replace(options, at=dict(target.held))
    found = find_interval(interest, options)
    log.info("%s: %s", interest.name, ", ".join(f"{v} {k}" for k, v in found.search.items()))
    best = found.best_fit
    value = interest.value
    return Bound(
        **common_fields(target, interest, options),
        method=METHODS[options.method],
        **toy_fields(options),
        unit=interest.unit,
        parameter=interest.name,
        cl=options.cl,
        dof=options.dof if options.method == "profile" else None,
        lower=value(found.lower),
        upper=value(found.upper),
        intervals=_intervals(found, interest),
        best_fit=required(value(best.parameters[interest.parameter])),
        parameters=best.parameters,
        twice_nll=best.twice_nll,
        converged=best.converged,
        certified=found.certified,
        boundary=found.boundary,
        search=found.search,
    )


def expected_of(interest: ParameterOfInterest, from_toys: bool, options: Options) -> Expected:
    """Upper ends expected without a signal, in the unit that was asked.

    Methods with toys always have bands from toys.
    """
    method = "cls-toys" if from_toys and options.method == "cls" else options.method
    found = expected_limit(
        interest.likelihood,
        None,
        interest.parameter,
        ExpectedOptions(
            method=method,
            cl=options.cl,
            dof=options.dof,
            ensemble=from_toys and method == "profile",
            fit=options.fit,
            toys=options.toy_options,
        ),
    )
    upper = tuple(interest.value(u) for u in found.upper)
    return Expected(upper=upper, **shared_fields(found, Expected, "upper"))


def _intervals(found: Interval, interest: ParameterOfInterest) -> tuple[Segment, ...]:
    """The allowed set in what was asked."""
    return tuple(
        Segment(**{**asdict(s), "lower": interest.value(s.lower), "upper": interest.value(s.upper)})
        for s in found.intervals
    )


def hypothesis_test(
    target: Target, parameter: str | None, value: float, options: Options | None = None
) -> Test:
    """CLs of one value of a parameter, observed and expected without a signal.

    Args:
        target: the likelihood.
        parameter: of interest, or physical; the document's first parameter of interest if None.
        value: tested, in the unit of the parameter.
        options: ``statistic``; ``method="cls-toys"`` for toys, asymptotic otherwise.

    Raises:
        HistnuError: for an unknown parameter, one whose bound is not that of the statistic, or a
            fit that fails.
    """
    interest = parameter_of_interest(target, parameter)
    return test_of(target, interest, value, settled(interest, options or Options(method="cls")))


def test_of(target: Target, interest: ParameterOfInterest, value: float, options: Options) -> Test:
    """:func:`hypothesis_test` of a likelihood that is already prepared."""
    if interest.squared and value < 0:
        raise FitError(f"CLs of {interest.name} needs tested values above 0")
    data, inner, likelihood = options.counts(interest), interest.inverse(value), interest.likelihood
    asked = (likelihood, data, interest.parameter)
    if options.method == "cls-toys":
        found = hypotest_toys(*asked, inner, options.toy_options, options.statistic)
    else:
        (found,) = hypotest(*asked, [inner], options.fit, options.statistic)
    best = found.best_fit
    return Test(
        **common_fields(target, interest, options),
        **toy_fields(options),
        unit=interest.unit,
        parameter=interest.name,
        value=value,
        best_fit=None if best is None else interest.value(best.parameters[interest.parameter]),
        twice_nll=None if best is None else best.twice_nll,
        **shared_fields(found, Test, "parameter", "value", "best_fit", "n_toys"),
    )


test_of.__test__ = False  # type: ignore[attr-defined]  # no test of pytest
