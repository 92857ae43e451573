"""Fits and profiles: the best fit, a scan, a contour, ends against a held parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.analysis.mass_scan import MassCurve as HeldCurve
from histnu.analysis.mass_scan import ScanOptions, mass_scan
from histnu.analysis.schema import Analysis
from histnu.analysis.target import ParameterOfInterest, Target, parameter_of_interest
from histnu.core.errors import ConfigError
from histnu.core.executor import Local
from histnu.experiments.model import Experiment
from histnu.inference.chunks import Family
from histnu.inference.contours import RegionOptions
from histnu.inference.contours import region as find_region
from histnu.inference.profile import best_fit, unrounded
from histnu.inference.profile import profile as find_profile
from histnu.inference.results import Profile1D
from histnu.verbs.envelope import Axis
from histnu.verbs.options import Options, common_fields, required, settled, shared_fields
from histnu.verbs.results import Fit, MassCurve, Profile, Region

Array = NDArray[np.float64]

SLICE = 16
"""Points of a scan that one call computes."""


def fit(target: Target, parameter: str | None = None, options: Options | None = None) -> Fit:
    """Global minimum of -2 log L in the parameters that a limit on one would use."""
    interest = parameter_of_interest(target, parameter)
    options = settled(interest, options or Options())
    best = best_fit(interest.likelihood, options.counts(interest), options.fit)
    return Fit(
        **common_fields(target, interest, options),
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
    interest = parameter_of_interest(target, parameter)
    return scan_of(target, interest, values, settled(interest, options or Options()))


def scan_of(
    target: Target, interest: ParameterOfInterest, values: ArrayLike, options: Options
) -> Profile:
    """:func:`scan` of a likelihood that is already prepared."""
    points = np.atleast_1d(np.asarray(values, dtype=float))
    inner = np.array([interest.inverse(float(v)) for v in points])
    data = options.counts(interest)
    if options.executor == Local():
        found = find_profile(interest.likelihood, data, interest.parameter, inner, options.fit)
    else:
        found = _in_slices(target, interest, (inner, data), options)
    delta = [max(float(d), 0.0) if np.isfinite(d) else None for d in found.delta_twice_nll]
    return Profile(
        **common_fields(target, interest, options),
        unit=interest.unit,
        parameter=interest.name,
        values=tuple(points),
        delta_twice_nll=tuple(delta),
        best_fit=required(interest.value(found.best_fit.parameters[interest.parameter])),
        twice_nll=found.best_fit.twice_nll,
        converged=bool(np.all(found.converged)),
        certified=bool(found.certified.all() and found.best_fit.certified),
        certified_points=tuple(found.certified.tolist()),
        search=found.search,
    )


def _in_slices(
    target: Target,
    interest: ParameterOfInterest,
    scanned: tuple[Array, Array | None],
    options: Options,
) -> Profile1D:
    """The profile at values (P,) of data, in slices that do not depend on the number of workers.

    Each is a scan of its own, certified by itself; the best fit is the lowest of all.
    """
    values, data = scanned
    family = Family.of(target.document, interest.likelihood, interest.measurement, options.fit)
    slices = np.array_split(values, -(-len(values) // SLICE))
    items = [(interest.parameter, part, data) for part in slices]
    parts = options.executor.map(_slice, items, family)
    best = min((p.best_fit for p in parts), key=lambda b: b.twice_nll)
    twice_nll = np.concatenate([p.delta_twice_nll + p.best_fit.twice_nll for p in parts])
    return replace(
        parts[0],
        values=values,
        delta_twice_nll=unrounded(twice_nll - best.twice_nll),
        best_fit=best,
        parameters=np.concatenate([p.parameters for p in parts]),
        converged=np.concatenate([p.converged for p in parts]),
        certified=np.concatenate([p.certified for p in parts]),
        search={k: sum(p.search[k] for p in parts) for k in parts[0].search},
    )


def _slice(family: Family, item: tuple[str, Array, Array | None]) -> Profile1D:
    parameter, values, data = item
    return find_profile(family.likelihoods[0], data, parameter, values, family.fit)


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
    interest = parameter_of_interest(target, plane[0], plane[1:])
    chosen = settled(interest, options or Options(dof=2))
    return contour_of(target, interest, plane, grid, chosen)


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
        **common_fields(target, interest, options),
        unit=x.unit,
        x=x,
        y=y,
        best_fit=(best[plane[0]], best[plane[1]]),
        polylines=lines,
        converged=found.best_fit.converged,
        **shared_fields(found, Region, "x", "y", "best_fit"),
    )


def mass_curves(
    analysis: Analysis,
    held: str,
    parameters: Sequence[str],
    values: Sequence[float],
    options: Options | None = None,
    experiments: Sequence[Experiment] | None = None,
    refine: int = 0,
) -> tuple[MassCurve, ...]:
    """Ends of parameters against one that the model holds: the contour of -2 log L in both.

    Args:
        analysis: what is analysed.
        held: name of the held parameter. values: of it, in its unit.
        parameters: physical parameters, each on its own.
        options: level (2 dof for the contour), engine and data.
        experiments: use these instead of loading the analysis' experiments.
        refine: how often values are added where a curve bends, climbs or ends.

    Raises:
        HistnuError: for an unknown parameter, or a process that is closed everywhere.
    """
    options = options or Options(dof=2)
    asimov_data = options.data == "asimov"
    level = ScanOptions(options.cl, options.dof, options.fit, asimov_data, options.executor, refine)
    found = mass_scan(analysis, held, parameters, values, level, experiments)
    return tuple(_mass_curve(analysis.name, curve, options) for curve in found)


def _mass_curve(name: str, found: HeldCurve, options: Options) -> MassCurve:
    own = asdict(found)
    x = Axis(name=own.pop("held"), unit=own.pop("held_unit"))
    return MassCurve(
        target=name, engine=options.engine, held=dict(options.held), data=options.data, x=x, **own
    )
