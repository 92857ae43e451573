"""Results of electron-recoil data: agreement with the Standard Model, bounds, dipole contours.

Every row is a plain mapping with the fields of ``results.json``, so that a report can merge them
with the rows of nuclear recoils. Bounds are ends of profile-likelihood intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.errors import ConfigError, FitError
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, weakest
from histnu.experiments.smearing import declared_detector
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import IntervalOptions, interval
from histnu.inference.profile import best_fit
from histnu.inference.results import BestFit
from histnu.mass_scan import MassCurve, ScanOptions, mass_scan
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.polynomial import PolynomialMap
from histnu.report.bounds import strength_name
from histnu.report.electron_likelihoods import (
    ELECTRON_SETS,
    NUCLEAR_SET,
    electron_analysis,
    electron_model,
    electron_templates,
    flux_components,
    load_set,
    sm_workspace,
    workspace_of,
)
from histnu.report.roots import root

Array = NDArray[np.float64]
Row = dict[str, Any]

MOMENTS = ("mu_e", "mu_mu", "mu_tau", "mu_universal")
CHARGES = ("q_ee", "q_mumu", "q_tautau", "q_emu", "q_etau", "q_mutau")
ELECTRON_MOMENT_UNIT = 1e-11
"""Bohr magnetons."""
STERILE_MASSES_MEV: tuple[float, ...] = tuple(
    float(f"{m:.4g}")
    for low, high, n in ((1e-3, 0.05, 5), (0.06, 2.0, 30), (2.3, 20.0, 13))
    for m in np.geomspace(low, high, n)
)
"""Finer where the pp and 7Be neutrinos reach their thresholds."""


@dataclass(frozen=True)
class PublishedLimit:
    """A published 90 % CL limit that a row is compared with, in the unit of the row."""

    experiment: str
    parameter: str
    lower: float | None
    upper: float
    source: str


PUBLISHED_LIMITS = (
    PublishedLimit("xenonnt_er", "mu_universal", None, 0.64, "XENONnT, arXiv:2207.11330"),
    PublishedLimit("lz_er_ws2022", "mu_universal", None, 1.36, "LZ WS2022, arXiv:2307.15753"),
)
"""Limits on the effective solar moment, where all flavours have the same one (1e-11 mu_B)."""

PUBLISHED_SOLAR_EVENTS: Mapping[str, tuple[float, float, str]] = {
    "xenonnt_er_2022": (300.0, 30.0, "1 to 140 keV, arXiv:2207.11330, Table I"),
}


def experiments_of(name: str) -> tuple[Experiment, ...]:
    """Experiments of a set of ``ELECTRON_SETS``, or one experiment by its own name.

    Raises:
        ConfigError: for an unknown name.
    """
    if name in ELECTRON_SETS:
        return load_set(name)
    if name in ELECTRON_SETS["combined_er"]:
        return (load_experiment(name),)
    known = ", ".join([*ELECTRON_SETS, *ELECTRON_SETS["combined_er"]])
    raise ConfigError(f"unknown electron-recoil data set {name!r}; known: {known}")


def solar_events(experiment: str, low_kev: float, high_kev: float) -> float:
    """Expected solar-neutrino events between two energies, efficiency without resolution.

    The efficiency above its last node is its last value.
    """
    exposure = load_experiment(experiment).channels[0].exposure_tonne_year
    efficiency, _ = declared_detector(experiment)
    t = np.linspace(low_kev, high_kev, 20001)
    model = StandardModel()
    spectra = [
        model.basis_spectra(Scattering("electron", c.source, XENON), t)["eves"]
        for c in flux_components()
    ]
    return float(exposure * np.trapezoid(efficiency(t) * np.sum(spectra, axis=0), t))


def goodness_of_fit(likelihood: BatchedLikelihood, found: BestFit) -> tuple[float, float]:
    """Poisson deviance of the counts and squared pulls of the nuisances at a fit."""
    pars = np.array([[found.parameters[k] for k in likelihood.parameter_names]])
    expected, n = likelihood.expected(pars)[0], np.asarray(likelihood.observation)
    ratio = np.where(n > 0, n, 1.0) / np.where(n > 0, expected, 1.0)
    deviance = 2.0 * float(np.sum(expected - n + n * np.log(ratio)))
    aux, measured = likelihood.expected_auxdata(pars)[0], np.asarray(likelihood.auxdata)
    return deviance, float(np.sum((aux - measured) ** 2))


def validation_row(name: str) -> Row:
    """Agreement of one data set with background and Standard Model neutrinos.

    Returns:
        Observed and expected events, deviance with nuisances profiled, bins, pulls and, with the
        neutrino signal free, its best-fit strength and 68 % interval.
    """
    data = experiments_of(name)
    likelihood = BatchedLikelihood.from_workspace(dict(sm_workspace(data)))
    fixed = FitOptions(fixed={"solar_strength": 1.0})
    found = best_fit(likelihood, None, fixed)
    deviance, pulls = goodness_of_fit(likelihood, found)
    solar = sum(float(t.standard_model().sum()) for t in electron_templates(data, None))
    other = sum(float(b.expected.sum()) for e in data for c in e.channels for b in c.backgrounds)
    bins = sum(c.n_bins for e in data for c in e.channels)
    free = interval(likelihood, None, "solar_strength", cl=0.6827)
    row: Row = {
        "experiment": name,
        "bins": bins,
        "observed": sum(float(c.observed.sum()) for e in data for c in e.channels),
        "expected_solar": solar,
        "expected_other": other,
        "chi2": deviance + pulls,
        "chi2_per_bin": (deviance + pulls) / bins,
        "nuisances": {k: v for k, v in found.parameters.items() if k != "solar_strength"},
        "solar_strength": free.best_fit.parameters["solar_strength"],
        "solar_strength_68": [free.lower, free.upper],
        "provenance": weakest([e.provenance for e in data]),
    }
    if name in PUBLISHED_SOLAR_EVENTS:
        events, error, source = PUBLISHED_SOLAR_EVENTS[name]
        row["solar_events"] = solar_events(name, 1.0, 140.0)
        row["published_solar_events"] = {"events": events, "error": error, "source": source}
    return row


def spectrum_row(name: str) -> Row:
    """Counts and expectations per bin of one data set, with the moment at its own 90 % CL limit.

    Backgrounds and neutrinos are nominal (before the fit), so the agreement is that of the
    published prediction.
    """
    data = experiments_of(name)
    (templates,) = electron_templates(data, electron_model("magnetic_moment"))
    limit = float(moment_limit(data, name, "mu_universal")["upper"])
    channel = templates.channel
    return {
        "experiment": name,
        "edges_kev": channel.observable.edges,
        "observed": channel.observed,
        "expected_other": np.sum([b.expected for b in channel.backgrounds], axis=0),
        "expected_solar": templates.standard_model(),
        "expected_signal": limit**2 * templates.basis(["mu2_universal"])[0],
        "mu_universal": limit,
    }


def bound_row(
    data: Sequence[Experiment], experiment: str, model: SignalModel, parameter: str
) -> Row:
    """Fields that every bound has."""
    units = {p.name: p.unit for p in model.parameters}
    return {
        "id": parameter,
        "model": model.name,
        "parameter": parameter,
        "experiment": experiment,
        "method": "profile likelihood",
        "unit": units[parameter],
        "provenance": weakest([e.provenance for e in data]),
    }


def with_published(row: Row) -> Row:
    """Add the published limit of the same parameter and data set, and the ratio to it."""
    for p in PUBLISHED_LIMITS:
        if (p.experiment, p.parameter) == (row["experiment"], row["parameter"]):
            published = {"lower": p.lower, "upper": p.upper, "source": p.source}
            return {**row, "published": published, "ratio": row["upper"] / p.upper}
    return {**row, "published": None, "ratio": None}


def moment_limit(
    data: Sequence[Experiment],
    experiment: str,
    parameter: str,
    engine: str = "batched",
    standard_model: StandardModel | None = None,
) -> Row:
    """90 % CL limit on a magnetic moment in 1e-11 mu_B, one moment at a time.

    Args:
        data: electron-recoil experiments.
        experiment: label of the row.
        parameter: ``mu_e``, ``mu_mu``, ``mu_tau`` or ``mu_universal``.
        engine: ``batched`` or ``pyhf``.
        standard_model: Standard Model with other options.
    """
    model = electron_model("magnetic_moment")
    strength = strength_name(parameter)
    document = workspace_of(electron_templates(data, model, standard_model), model)
    likelihood = BatchedLikelihood.from_workspace(dict(document), strength)
    options = IntervalOptions(fit=FitOptions(engine=engine))
    found = interval(likelihood, None, strength, 0.9, 1, options)
    row = {
        **bound_row(data, experiment, model, parameter),
        "cl": 0.9,
        "dof": 1,
        "lower": root(found.lower),
        "upper": root(found.upper),
        "best_fit": root(found.best_fit.parameters[strength]),
        "engine": engine,
    }
    return with_published(row)


def median_moment_limit(data: Sequence[Experiment], parameter: str) -> float:
    """Limit on a moment for the Asimov data set of the Standard Model, in 1e-11 mu_B.

    Raises:
        FitError: if there is no upper end.
    """
    strength = strength_name(parameter)
    model = electron_model("magnetic_moment")
    document = workspace_of(electron_templates(data, model), model)
    likelihood = BatchedLikelihood.from_workspace(dict(document), strength)
    start = likelihood.init.copy()
    start[likelihood.index(strength)] = 0.0
    asimov = likelihood.expected(start)[0]
    upper = root(interval(likelihood, asimov, strength).upper)
    if upper is None:
        raise FitError(f"{parameter}: the Asimov data set gives no upper limit")
    return upper


def charge_likelihood(data: Sequence[Experiment], model: SignalModel) -> MappedLikelihood:
    """Likelihood in the six charges and the nuisances."""
    document = workspace_of(electron_templates(data, model), model)
    first = document["measurements"][0]["name"]
    base = BatchedLikelihood.from_workspace(dict(document), first)
    return MappedLikelihood(base, model.polynomial)


def charge_limits(data: Sequence[Experiment], experiment: str, parameter: str) -> list[Row]:
    """90 % CL intervals of a charge in 1e-12 e: the other five zero, and profiled."""
    model = electron_model("millicharge")
    likelihood = charge_likelihood(data, model)
    others = {k: 0.0 for k in model.polynomial.parameters if k != parameter}
    rows = []
    for label, held in (("zero", others), ("profiled", {})):
        options = IntervalOptions(fit=FitOptions(fixed=held))
        found = interval(likelihood, None, parameter, 0.9, 1, options)
        rows.append(
            {
                **bound_row(data, experiment, model, parameter),
                "other_charges": label,
                "cl": 0.9,
                "dof": 1,
                "lower": found.lower,
                "upper": found.upper,
                "best_fit": found.best_fit.parameters[parameter],
                "published": None,
                "ratio": None,
            }
        )
    return rows


def universal_charge_limit(data: Sequence[Experiment], experiment: str) -> Row:
    """90 % CL interval of one charge common to all flavours (diagonal, no transition), 1e-12 e."""
    model = electron_model("millicharge")
    outputs = model.polynomial.outputs
    powers = [max(sum(n.values()) for _, n in term.monomials) for term in model.terms]
    terms = tuple(((1.0, {"q_universal": n}),) for n in powers)
    document = workspace_of(electron_templates(data, model), model)
    base = BatchedLikelihood.from_workspace(dict(document), document["measurements"][0]["name"])
    likelihood = MappedLikelihood(base, PolynomialMap(("q_universal",), outputs, terms))
    found = interval(likelihood, None, "q_universal")
    return {
        **bound_row(data, experiment, model, "q_ee"),
        "id": "q_universal",
        "parameter": "q_universal",
        "cl": 0.9,
        "dof": 1,
        "lower": found.lower,
        "upper": found.upper,
        "best_fit": found.best_fit.parameters["q_universal"],
        "published": None,
        "ratio": None,
    }


@dataclass(frozen=True)
class DataSets:
    """Data of one contour: electron recoils, nuclear recoils, or both together."""

    label: str
    electron: tuple[Experiment, ...] = ()
    nuclear: tuple[Experiment, ...] = ()

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """All of them."""
        return (*self.electron, *self.nuclear)


def data_sets(labels: Sequence[str]) -> tuple[DataSets, ...]:
    """Data sets by label: those of electron recoils, ``cevns``, ``combined_all`` (both)."""
    result = []
    for label in labels:
        nuclear = (
            tuple(load_experiment(n) for n in NUCLEAR_SET)
            if label in ("cevns", "combined_all")
            else ()
        )
        name = "combined_er" if label == "combined_all" else label
        electron = () if label == "cevns" else experiments_of(name)
        result.append(DataSets(label, electron, nuclear))
    return tuple(result)


def joint_moment_limit(data: DataSets, parameter: str) -> Row:
    """90 % CL limit on a moment from electron and nuclear recoils in one workspace."""
    strength = strength_name(parameter)
    model = electron_model("magnetic_moment")
    document = workspace_of(electron_templates(data.experiments, model), model)
    likelihood = BatchedLikelihood.from_workspace(dict(document), strength)
    found = interval(likelihood, None, strength)
    return {
        **bound_row(data.experiments, data.label, model, parameter),
        "cl": 0.9,
        "dof": 1,
        "lower": root(found.lower),
        "upper": root(found.upper),
        "best_fit": root(found.best_fit.parameters[strength]),
        "published": None,
        "ratio": None,
    }


def dipole_contours(
    data: DataSets, flavours: Sequence[str], m4_mev: Sequence[float], cl: float = 0.9
) -> list[Row]:
    """Contours of ``-2 log L(m4, mu)`` above its global minimum, 2 dof, one row per flavour.

    nu_mu and nu_tau arrive in equal numbers, so their contours are equal and fitted once.

    Args:
        data: the experiments.
        flavours: some of ``e``, ``mu``, ``tau``.
        m4_mev: sterile masses in MeV.
        cl: confidence level.
    """
    fitted = ["mu" if f == "tau" else f for f in flavours]
    unique = tuple(dict.fromkeys(fitted))
    analysis, parameters = electron_analysis("sterile_dipole"), [f"mu_{f}" for f in unique]
    curves = mass_scan(analysis, "m4", parameters, m4_mev, ScanOptions(cl), data.experiments)
    found = dict(zip(unique, curves, strict=True))
    return [
        {"id": f"dipole_{f}", "parameter": f"mu_{f}", **contour_row(data, found[g])}
        for f, g in zip(flavours, fitted, strict=True)
    ]


def contour_row(data: DataSets, curve: MassCurve) -> Row:
    """A curve as a row; ``upper_mu_b`` is in Bohr magnetons, None where the mass cannot be made."""
    upper = [None if u is None else u * ELECTRON_MOMENT_UNIT for u in curve.upper]
    return {
        "experiment": data.label,
        "method": "profile likelihood",
        "cl": curve.cl,
        "dof": curve.dof,
        "provenance": curve.provenance,
        "m4_mev": list(curve.values),
        "upper_mu_b": upper,
        "best_fit_m4_mev": curve.best_fit_held,
        "best_fit_mu_b": curve.best_fit * ELECTRON_MOMENT_UNIT,
    }


@dataclass(frozen=True)
class Plan:
    """What is computed.

    Attributes:
        sets: data sets of bounds. charges: charges to bound.
        contours: data sets of dipole contours (also ``cevns`` and ``combined_all``).
        flavours: flavours of the contours. m4_mev: sterile masses in MeV.
    """

    sets: tuple[str, ...] = (*ELECTRON_SETS, *ELECTRON_SETS["combined_er"][1:3])
    charges: tuple[str, ...] = CHARGES
    contours: tuple[str, ...] = (*ELECTRON_SETS, "cevns", "combined_all")
    flavours: tuple[str, ...] = ("e", "mu", "tau")
    m4_mev: tuple[float, ...] = STERILE_MASSES_MEV


def set_bounds(name: str, charges: Sequence[str]) -> list[Row]:
    """All bounds of one data set: moments, charges, and one charge common to all flavours."""
    data = experiments_of(name)
    rows = [moment_limit(data, name, p) for p in MOMENTS]
    for q in charges:
        rows += charge_limits(data, name, q)
    return [*rows, universal_charge_limit(data, name)]


def joint_bounds(label: str) -> list[Row]:
    """Bounds on the moments from electron and nuclear recoils together."""
    data = data_sets([label])[0]
    return [joint_moment_limit(data, p) for p in MOMENTS]


def labelled_contours(label: str, flavours: Sequence[str], m4_mev: Sequence[float]) -> list[Row]:
    """:func:`dipole_contours` of the data sets called ``label``."""
    return dipole_contours(data_sets([label])[0], flavours, m4_mev)
