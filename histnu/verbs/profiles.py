"""Fits and profiles: the best fit, a scan, a contour, ends against a held parameter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from histnu.analysis.mass_scan import MassCurve as HeldCurve
from histnu.analysis.mass_scan import ScanOptions, mass_scan
from histnu.analysis.schema import Analysis
from histnu.analysis.target import ParameterOfInterest, Target, parameter_of_interest
from histnu.core.errors import ConfigError
from histnu.experiments.model import Experiment
from histnu.inference.contours import RegionOptions
from histnu.inference.contours import region as find_region
from histnu.inference.profile import best_fit
from histnu.inference.profile import profile as find_profile
from histnu.verbs.envelope import Axis
from histnu.verbs.options import Options, common_fields, required, settled
from histnu.verbs.results import Fit, MassCurve, Profile, Region


def fit(target: Target, parameter: str | None = None, options: Options | None = None) -> Fit:
    """Global minimum of -2 log L in the parameters that a limit on one would use."""
    options = settled(target, options or Options())
    interest = parameter_of_interest(target, parameter)
    best = best_fit(interest.likelihood, options.counts(interest), options.fit)
    return Fit(
        **common_fields(target, options),
        method="maximum likelihood",
        unit=interest.unit,
        parameters=best.parameters,
        twice_nll=best.twice_nll,
        converged=best.converged,
        certified=best.certified,
    )


def scan(
    target: Target, parameter: str | None, values: ArrayLike, options: Options | None = None
) -> Profile:
    """Profile of one parameter at given values (in its own unit), the others profiled."""
    chosen = settled(target, options or Options())
    return scan_of(target, parameter_of_interest(target, parameter), values, chosen)


def scan_of(
    target: Target, interest: ParameterOfInterest, values: ArrayLike, options: Options
) -> Profile:
    """:func:`scan` of a likelihood that is already prepared."""
    points = np.atleast_1d(np.asarray(values, dtype=float))
    inner = np.array([interest.inverse(float(v)) for v in points])
    data = options.counts(interest)
    found = find_profile(interest.likelihood, data, interest.parameter, inner, options.fit)
    delta = [max(float(d), 0.0) if np.isfinite(d) else None for d in found.delta_twice_nll]
    return Profile(
        **common_fields(target, options),
        unit=interest.unit,
        parameter=interest.name,
        values=tuple(points),
        delta_twice_nll=tuple(delta),
        best_fit=required(interest.value(found.best_fit.parameters[interest.parameter])),
        twice_nll=found.best_fit.twice_nll,
        converged=bool(np.all(found.converged)),
        certified=bool(found.certified.all() and found.best_fit.certified),
        certified_points=tuple(found.certified.tolist()),
        measurement=interest.measurement,
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
    chosen = settled(target, options or Options(dof=2))
    return contour_of(target, parameter_of_interest(target, plane[0]), plane, grid, chosen)


def contour_of(
    target: Target,
    interest: ParameterOfInterest,
    plane: tuple[str, str],
    grid: tuple[ArrayLike, ArrayLike],
    options: Options,
) -> Region:
    """:func:`contour` of a likelihood that is already prepared."""
    if interest.squared:
        raise ConfigError(f"{plane[0]} enters squared; give its strength {interest.parameter}")
    level = RegionOptions(cl=options.cl, dof=options.dof, fit=options.fit)
    found = find_region(interest.likelihood, options.counts(interest), plane, grid, level)
    best = found.best_fit.parameters
    x, y = (Axis(name=n, unit=target.units.get(n, "")) for n in plane)
    lines = tuple(tuple((float(a), float(b)) for a, b in line) for line in found.contours)
    return Region(
        **common_fields(target, options),
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
