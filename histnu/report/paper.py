"""The jobs that reproduce the paper: bounds, profiles, regions, variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.analyses import Analysis, assemble, load_analysis, replaced_experiment
from histnu.errors import DataError
from histnu.experiments import us2
from histnu.experiments.loader import load_experiment
from histnu.physics.models.standard_model import StandardModel
from histnu.report import bounds
from histnu.report.bounds import Level, Row
from histnu.report.jobs import Job
from histnu.report.published import PUBLISHED
from histnu.sources.solar import solar_source
from histnu.templates.us2 import reconstruct

Array = NDArray[np.float64]

EXPERIMENTS = ("xenonnt", "pandax4t", "combined")
MOMENTS = tuple(b.id for b in PUBLISHED if b.model == "magnetic_moment")
CHARGES = tuple(b.id for b in PUBLISHED if b.model == "millicharge")
PLANES = (("q_ee", "q_mumu"), ("q_ee", "q_emu"), ("q_ee", "q_mutau"))
MOMENT_SCAN = np.linspace(0.0, 5.0, 101)
CHARGE_SCANS = {
    "q_ee": np.linspace(-8.0, 14.0, 111),
    "q_mumu": np.linspace(-8.0, 14.0, 111),
    "q_emu": np.linspace(-8.0, 8.0, 81),
    "q_mutau": np.linspace(-8.0, 8.0, 81),
}
PLANE_GRID = {
    "q_ee": np.linspace(-9.0, 15.0, 49),
    "q_mumu": np.linspace(-9.0, 15.0, 49),
    "q_emu": np.linspace(-9.0, 9.0, 37),
    "q_mutau": np.linspace(-9.0, 9.0, 37),
}
M4_MEV = np.concatenate(
    [[0.001, 0.01, 0.1, 0.5], np.arange(1.0, 12.01, 0.5), np.arange(12.25, 15.8, 0.25)]
)
"""Sterile masses of Fig. 4 in nuclear recoils: flat below a few MeV, closed beyond about 16 MeV."""
EVES_M4_MEV = (
    0.001, 0.01, 0.03, 0.06, 0.1, 0.13, 0.17, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8,
    0.9, 1.0, 1.15, 1.3, 1.5, 1.7, 1.9, 2.2, 2.6, 3.4,
)  # fmt: skip
"""Sterile masses of Fig. 4 in electron recoils, closed beyond about 3 MeV."""
EVES_SET = "combined_er"
LEVEL_1D, LEVEL_2D = Level(0.9, 1), Level(0.9, 2)
MEASUREMENT_CHANNEL = "pandax4t_us2"


@dataclass(frozen=True)
class Settings:
    """Choices of a reproduction.

    Attributes:
        interpolation: ``normsys`` or ``linear``.
        correction: ``none`` or ``published_sm``.
        pandax_table: experiment file that replaces the reconstructed PandaX-4T channel.
        engine: ``batched``, ``pyhf`` or ``pyhf-scipy``.
        m4_mev: sterile masses of Fig. 4.
        full: also the collaborations' full likelihoods (minutes; needs their releases).
    """

    interpolation: str = "normsys"
    correction: str = "none"
    pandax_table: str | None = None
    engine: str = "batched"
    m4_mev: tuple[float, ...] = tuple(float(m) for m in M4_MEV)
    full: bool = False


def paper_analysis(model: str, experiment: str, settings: Settings) -> Analysis:
    """The built-in analysis with the settings applied."""
    analysis = load_analysis(f"{model}_{experiment}")
    update = {"interpolation": settings.interpolation, "correction": settings.correction}
    analysis = analysis.model_copy(update=update)
    if settings.pandax_table is not None and MEASUREMENT_CHANNEL in analysis.experiments:
        analysis = replaced_experiment(analysis, MEASUREMENT_CHANNEL, settings.pandax_table)
    return analysis


def one_bound(
    parameter: str, experiment: str, settings: Settings, level: Level, quick: bool = False
) -> Row:
    """One bound of the paper, compared with the published one where there is one."""
    if parameter in MOMENTS:
        assembly = assemble(paper_analysis("magnetic_moment", experiment, settings))
        row = bounds.moment_bound(assembly, experiment, parameter, level, settings.engine)
    else:
        assembly = assemble(paper_analysis("millicharge", experiment, settings))
        options = bounds.QUICK if quick else bounds.interval_options(settings.engine)
        row = bounds.charge_bound(assembly, experiment, parameter, level, options)
    return compared(row)


def compared(row: Row) -> Row:
    """Add the published bound and the ratio.

    The paper's numbers are combined ones; for the magnetic moments it states that XENONnT
    dominates them, so that the XENONnT row is compared as well.
    """
    published = next((b for b in PUBLISHED if b.id == row["id"]), None)
    comparable = row["experiment"] == "combined" or (
        row["experiment"] == "xenonnt" and row["id"] in MOMENTS
    )
    if published is None or not comparable or row["dof"] != 1:
        return {**row, "published": None, "ratio": None}
    upper = row["upper"]
    ratio = None if upper is None else upper / published.upper
    return {**row, "published": published.to_json(), "ratio": ratio}


def one_profile(parameter: str, experiment: str, settings: Settings) -> Row:
    """One curve of Fig. 1 or Fig. 2."""
    if parameter in MOMENTS:
        assembly = assemble(paper_analysis("magnetic_moment", experiment, settings))
        return bounds.moment_profile(assembly, experiment, parameter, MOMENT_SCAN)
    assembly = assemble(paper_analysis("millicharge", experiment, settings))
    return bounds.charge_profile(assembly, experiment, parameter, CHARGE_SCANS[parameter])


def one_region(plane: tuple[str, str], experiment: str, settings: Settings) -> Row:
    """One region of Fig. 3."""
    assembly = assemble(paper_analysis("millicharge", experiment, settings))
    grid = (PLANE_GRID[plane[0]], PLANE_GRID[plane[1]])
    return bounds.charge_region(assembly, experiment, plane, grid, LEVEL_2D)


def one_dipole(experiment: str, settings: Settings) -> list[Row]:
    """The curves of Fig. 4 of one data set."""
    analysis = paper_analysis("sterile_dipole", experiment, settings)
    rows = bounds.dipole_scan(analysis, ("e", "mu", "tau"), settings.m4_mev, LEVEL_2D)
    return [{**row, "experiment": experiment} for row in rows]


def electron_recoils(parameters: Sequence[str], m4_mev: Sequence[float]) -> list[Row]:
    """Bounds and dipole curves from all electron-recoil data (EvES), Sec. IV C.

    The single experiments, charges and the combination with CEvNS are in ``histnu electron``.
    """
    from histnu.report.electron_recoils import data_sets, dipole_contours, moment_limit

    data = data_sets((EVES_SET,))[0]
    rows = [moment_limit(data.electron, "eves", parameter) for parameter in parameters]
    for curve in dipole_contours(data, ("e", "mu", "tau"), m4_mev):
        upper = [None if u is None else u * 1e9 for u in curve["upper_mu_b"]]
        row = {k: v for k, v in curve.items() if not k.endswith("_mu_b")}
        best = {"best_fit": curve["best_fit_mu_b"] * 1e9, "model": "sterile_dipole"}
        more = {"experiment": "eves", "unit": "1e-9 mu_B", "published": None, "ratio": None}
        rows.append({**row, **best, **more, "lower": None, "upper": upper})
    return rows


def one_full(name: str) -> dict[str, Any]:
    """Bounds from a full likelihood, or why there are none (its release is not here)."""
    from histnu.report.full import FullOptions, results_for

    try:
        rows = results_for(name, FullOptions())
    except DataError as error:
        return {"experiment": name, "bounds": [], "skipped": str(error)}
    tau = {"id": "dipole_tau", "parameter": "mu_tau", "equal_to": "dipole_mu"}
    rows += [{**row, **tau} for row in rows if row["id"] == "dipole_mu"]  # maximal theta_23
    return {"experiment": name, "bounds": rows, "skipped": None}


def one_rate(experiment: str, settings: Settings) -> Row:
    """Expected and observed events per bin, and the fitted 8B rate."""
    assembly = assemble(paper_analysis("standard_model", experiment, settings))
    return bounds.rate_row(assembly, experiment)


def variation(label: str, assumptions: us2.Us2Assumptions, settings: Settings) -> dict[str, Any]:
    """Combined bounds with the PandaX-4T channel rebuilt under other assumptions."""
    result: dict[str, Any] = {"assumption": label, "upper": {}, "lower": {}}
    pandax = load_experiment("pandax4t_us2")
    channel = reconstruct(pandax.channels[0], assumptions, solar_source("b8"), StandardModel())
    data = [load_experiment("xenonnt_sr01"), pandax.with_channels((channel,))]
    moments = assemble(paper_analysis("magnetic_moment", "combined", settings), data)
    charges = assemble(paper_analysis("millicharge", "combined", settings), data)
    for parameter in MOMENTS:
        row = bounds.moment_bound(moments, "combined", parameter, LEVEL_1D)
        result["upper"][parameter] = row["upper"]
    for parameter in CHARGES:
        row = bounds.charge_bound(charges, "combined", parameter, LEVEL_1D, bounds.QUICK)
        result["upper"][parameter] = row["upper"]
        result["lower"][parameter] = row["lower"]
    return result


def bound_jobs(settings: Settings) -> list[Job]:
    """All bounds: 1 dof for all, 2 dof beside."""
    return [
        Job(f"{p} {e} ({level.dof} dof)", one_bound, (p, e, settings, level))
        for level in (LEVEL_1D, LEVEL_2D)
        for p in (*MOMENTS, *CHARGES)
        for e in EXPERIMENTS
    ]


def alternative_jobs(settings: Settings) -> list[Job]:
    """The combined and XENONnT bounds with the other interpolation and correction."""
    other = "linear" if settings.interpolation == "normsys" else "normsys"
    choices = [
        replace(settings, interpolation=other),
        replace(settings, correction="published_sm" if settings.correction == "none" else "none"),
    ]
    return [
        Job(f"{p} {e} ({s.interpolation}, {s.correction})", one_bound, (p, e, s, LEVEL_1D, True))
        for s in choices
        for p in (*MOMENTS, *CHARGES)
        for e in ("xenonnt", "combined")
    ]


def reference_jobs(settings: Settings) -> list[Job]:
    """The magnetic moments through pyhf's own optimizers (the charges take minutes there)."""
    return [
        Job(f"{p} {e} ({engine})", one_bound, (p, e, replace(settings, engine=engine), LEVEL_1D))
        for p in MOMENTS
        for e in EXPERIMENTS
        for engine in ("pyhf", "pyhf-scipy")
    ]


def profile_jobs(settings: Settings) -> list[Job]:
    """Curves of Figs. 1 and 2."""
    return [
        Job(f"profile {p} {e}", one_profile, (p, e, settings))
        for p in (*MOMENTS, *CHARGES)
        for e in EXPERIMENTS
    ]


def region_jobs(settings: Settings) -> list[Job]:
    """Regions of Fig. 3."""
    return [
        Job(f"region {'-'.join(plane)} {e}", one_region, (plane, e, settings))
        for plane in PLANES
        for e in EXPERIMENTS
    ]


def dipole_jobs(settings: Settings) -> list[Job]:
    """Curves of Fig. 4."""
    return [Job(f"dipole {e}", one_dipole, (e, settings)) for e in EXPERIMENTS]


def eves_jobs() -> list[Job]:
    """Electron recoils."""
    return [Job("electron recoils", electron_recoils, (MOMENTS, EVES_M4_MEV))]


def full_jobs() -> list[Job]:
    """The collaborations' full likelihoods and the largest combination without double counting."""
    from histnu.report.full import FullOptions

    return [Job(f"full likelihood {n}", one_full, (n,)) for n in FullOptions().experiments]


def rate_jobs(settings: Settings) -> list[Job]:
    """Expected and observed events."""
    return [Job(f"rate {e}", one_rate, (e, settings)) for e in EXPERIMENTS]


def variation_jobs(settings: Settings) -> list[Job]:
    """The PandaX-4T assumptions, unless a table of the user replaces the channel."""
    if settings.pandax_table is not None:
        return []
    return [
        Job(f"assumption: {label}", variation, (label, assumptions, settings))
        for label, alternatives in us2.VARIATIONS.items()
        for assumptions in alternatives
    ]


def all_jobs(settings: Settings) -> dict[str, Sequence[Job]]:
    """Every piece of the reproduction by kind."""
    return {
        "full": full_jobs() if settings.full else [],  # first: the longest jobs
        "bounds": bound_jobs(settings),
        "rates": rate_jobs(settings),
        "profiles": profile_jobs(settings),
        "dipole": [*dipole_jobs(settings), *eves_jobs()],
        "regions": region_jobs(settings),
        "reference": reference_jobs(settings),
        "alternatives": alternative_jobs(settings),
        "variations": variation_jobs(settings),
    }
