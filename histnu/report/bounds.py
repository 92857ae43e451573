"""Bounds, profiles and regions of one analysis, as rows of ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.analyses import Analysis, Assembly
from histnu.errors import FitError
from histnu.inference.contours import RegionOptions, region
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import IntervalOptions, interval
from histnu.inference.profile import best_fit, profile
from histnu.inference.results import Interval
from histnu.mass_scan import MassCurve, ScanOptions, mass_scan
from histnu.physics.models.millicharge import CHARGE_UNIT
from histnu.report.roots import root

Array = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Level:
    """Confidence level and degrees of freedom of a profile-likelihood threshold."""

    cl: float = 0.9
    dof: int = 1


def base_likelihood(assembly: Assembly, measurement: str | None = None) -> BatchedLikelihood:
    """The workspace's likelihood for one measurement (the first by default)."""
    name = measurement or assembly.workspace["measurements"][0]["name"]
    return BatchedLikelihood.from_workspace(dict(assembly.workspace), measurement=name)


def charge_likelihood(assembly: Assembly) -> MappedLikelihood:
    """The likelihood in the six charges and the nuisances."""
    return MappedLikelihood(base_likelihood(assembly), assembly.polynomial)


def interval_options(engine: str) -> IntervalOptions:
    """Options of :func:`histnu.inference.limits.interval` for an engine."""
    return IntervalOptions(fit=FitOptions(engine=engine))


QUICK = IntervalOptions(fit=FitOptions(search=GlobalOptions(starts=4)), linear_points=24)
"""A third of the default number of Newton starts, for tables of many intervals of charges; on the
combined workspace all ends agree with the default search to 1e-8."""


def _row(assembly: Assembly, experiment: str, parameter: str, found: Interval) -> Row:
    """The common part of a row."""
    units = {p.name: p.unit for p in assembly.model.parameters}
    return {
        "id": parameter,
        "model": assembly.model.name,
        "parameter": parameter,
        "experiment": experiment,
        "method": "profile likelihood",
        "engine": found.engine,
        "interpolation": assembly.analysis.interpolation,
        "correction": assembly.analysis.correction,
        "cl": found.cl,
        "dof": found.dof,
        "unit": units[parameter],
        "provenance": assembly.provenance,
    }


def strength_name(parameter: str) -> str:
    """``mu_e`` -> ``mu2_e``, the strength that is the square of a moment."""
    return parameter.replace("mu_", "mu2_", 1)


def moment_bound(
    assembly: Assembly, experiment: str, parameter: str, level: Level, engine: str = "batched"
) -> Row:
    """Bound on a magnetic moment ``mu = sqrt(mu2)`` from the strength ``mu2``.

    Args:
        assembly: an assembled magnetic-moment or dipole analysis.
        experiment: label of the row.
        parameter: ``mu_e``, ``mu_mu``, ``mu_tau`` or ``mu_universal``.
        level: confidence level.
        engine: ``batched``, ``pyhf`` (minuit) or ``pyhf-scipy``.
    """
    strength = strength_name(parameter)
    likelihood = base_likelihood(assembly, strength)
    found = interval(likelihood, None, strength, level.cl, level.dof, interval_options(engine))
    row = _row(assembly, experiment, parameter, found)
    best = found.best_fit.parameters[strength]
    return {
        **row,
        "lower": root(found.lower),
        "upper": root(found.upper),
        "best_fit": root(best),
        "twice_nll": found.best_fit.twice_nll,
        "nuisances": _pulls(found, {strength}, assembly),
    }


def charge_bound(
    assembly: Assembly,
    experiment: str,
    parameter: str,
    level: Level,
    options: IntervalOptions | None = None,
) -> Row:
    """Interval of one charge, the other five and all nuisances profiled."""
    likelihood = charge_likelihood(assembly)
    found = interval(likelihood, None, parameter, level.cl, level.dof, options)
    charges = {p.name for p in assembly.model.parameters}
    best = found.best_fit.parameters
    no_charge = best_fit(likelihood, None, FitOptions(fixed=dict.fromkeys(charges, 0.0)))
    return {
        **_row(assembly, experiment, parameter, found),
        "lower": found.lower,
        "upper": found.upper,
        "best_fit": best[parameter],
        "best_fit_all": {k: best[k] for k in sorted(charges)},
        "delta_sm": no_charge.twice_nll - found.best_fit.twice_nll,
        "twice_nll": found.best_fit.twice_nll,
        "nuisances": _pulls(found, charges, assembly),
    }


def _pulls(found: Interval, skip: set[str], assembly: Assembly) -> dict[str, float]:
    """Best-fit nuisance parameters in standard deviations."""
    strengths = set(assembly.polynomial.outputs)
    values = found.best_fit.parameters
    return {k: v for k, v in sorted(values.items()) if k not in skip and k not in strengths}


def moment_profile(assembly: Assembly, experiment: str, parameter: str, values: Array) -> Row:
    """Profile of a magnetic moment at the given values (1e-9 mu_B)."""
    strength = strength_name(parameter)
    found = profile(base_likelihood(assembly, strength), None, strength, values**2)
    return _profile_row(assembly, (experiment, parameter), values, found.delta_twice_nll)


def charge_profile(assembly: Assembly, experiment: str, parameter: str, values: Array) -> Row:
    """Profile of a charge over the other five (1e-8 e)."""
    found = profile(charge_likelihood(assembly), None, parameter, values)
    return _profile_row(assembly, (experiment, parameter), values, found.delta_twice_nll)


def _profile_row(assembly: Assembly, label: tuple[str, str], values: Array, delta: Array) -> Row:
    units = {p.name: p.unit for p in assembly.model.parameters}
    if not np.all(np.isfinite(delta)):
        raise FitError(f"profile of {label[1]} ({label[0]}): -2 log L is not finite everywhere")
    return {
        "id": label[1],
        "experiment": label[0],
        "model": assembly.model.name,
        "parameter": label[1],
        "unit": units[label[1]],
        "provenance": assembly.provenance,
        "values": values,
        "delta_chi2": np.maximum(delta, 0.0),
    }


def dipole_scan(
    analysis: Analysis, flavours: Sequence[str], m4_mev: Sequence[float], level: Level
) -> list[Row]:
    """Upper limits on the dipole against the sterile mass, ``Delta`` to the global minimum.

    nu_tau has the curve of nu_mu (maximal theta_23).

    Args:
        analysis: a sterile-dipole analysis.
        flavours: ``e``, ``mu``, ``tau``.
        m4_mev: sterile masses in MeV.
        level: confidence level, 2 dof for the contour.

    Returns:
        One row per flavour with ``m4_mev`` and ``upper`` (None where the channel is closed).
    """
    fitted = tuple(dict.fromkeys("mu" if f == "tau" else f for f in flavours))
    options = ScanOptions(level.cl, level.dof)
    curves = mass_scan(analysis, "m4", [f"mu_{f}" for f in fitted], m4_mev, options)
    found = dict(zip(fitted, curves, strict=True))
    return [dipole_row(analysis.model.name, f, found["mu" if f == "tau" else f]) for f in flavours]


def dipole_row(model: str, flavour: str, curve: MassCurve) -> Row:
    """A curve of the sterile dipole as a row."""
    return {
        "id": f"dipole_{flavour}",
        "model": model,
        "parameter": f"mu_{flavour}",
        "method": "profile likelihood",
        "cl": curve.cl,
        "dof": curve.dof,
        "unit": curve.unit,
        "provenance": curve.provenance,
        "published": None,
        "ratio": None,
        "m4_mev": list(curve.values),
        "lower": None,
        "upper": list(curve.upper),
        "best_fit": curve.best_fit,
        "best_fit_m4_mev": curve.best_fit_held,
    }


def charge_region(
    assembly: Assembly,
    experiment: str,
    plane: tuple[str, str],
    grid: tuple[Array, Array],
    level: Level,
) -> Row:
    """Region of two charges, the other four and all nuisances profiled (Fig. 3)."""
    options = RegionOptions(cl=level.cl, dof=level.dof)
    found = region(charge_likelihood(assembly), None, plane, grid, options)
    best = found.best_fit.parameters
    return {
        "id": "-".join(plane),
        "experiment": experiment,
        "model": assembly.model.name,
        "cl": level.cl,
        "dof": level.dof,
        "provenance": assembly.provenance,
        "x": {"name": plane[0], "unit": CHARGE_UNIT},
        "y": {"name": plane[1], "unit": CHARGE_UNIT},
        "best_fit": [best[plane[0]], best[plane[1]]],
        "polylines": [np.asarray(line) for line in found.contours],
    }


def rate_row(assembly: Assembly, experiment: str) -> Row:
    """Events per channel and bin, and the fitted 8B rate relative to the nominal flux."""
    likelihood = base_likelihood(assembly)
    name = assembly.workspace["measurements"][0]["config"]["poi"]
    found = interval(likelihood, None, name, cl=0.6826894921370859)
    channels = [
        {
            "channel": t.channel.name,
            "observed": t.channel.observed,
            "signal": np.sum([s.expected for s in t.signals], axis=0),
            "background": np.sum([b.expected for b in t.channel.backgrounds], axis=0),
            "provenance": t.channel.provenance,
        }
        for t in assembly.templates
    ]
    flux = assembly.fluxes["b8"]
    return {
        "experiment": experiment,
        "provenance": assembly.provenance,
        "channels": channels,
        "flux_cm2_s": flux,
        "strength": {
            "best_fit": found.best_fit.parameters[name],
            "lower": found.lower,
            "upper": found.upper,
            "cl": found.cl,
        },
    }
