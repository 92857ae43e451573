"""The electron-recoil results as independent jobs, and the document made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from histnu.report.electron_likelihoods import ELECTRON_SETS, electron_analysis
from histnu.report.electron_recoils import (
    Plan,
    Row,
    experiments_of,
    joint_bounds,
    labelled_contours,
    median_moment_limit,
    set_bounds,
    spectrum_row,
    validation_row,
)
from histnu.report.electron_variations import variation_rows
from histnu.report.jobs import Job, run_jobs

SCHEMA = "histnu-electron-recoils/1"
Pieces = Mapping[str, Sequence[Any]]


def median_row(name: str, parameter: str = "mu_universal") -> Row:
    """Limit on a moment expected without a signal."""
    return {
        "experiment": name,
        "parameter": parameter,
        "unit": electron_analysis("magnetic_moment").model.unit,
        "upper": median_moment_limit(experiments_of(name), parameter),
    }


def electron_jobs(plan: Plan) -> dict[str, list[Job]]:
    """Every piece of the results by kind; the longest first.

    Each job returns a row or a list of rows, and can run in a process of its own.
    """
    names = ELECTRON_SETS["combined_er"]
    sets = [s for s in plan.sets if s in ELECTRON_SETS]
    return {
        "contours": [
            Job(f"dipole, {label}", labelled_contours, (label, plan.flavours, plan.m4_mev))
            for label in sorted(plan.contours, key=lambda n: n != "combined_all")
        ],
        "bounds": [
            *(Job(f"bounds, {name}", set_bounds, (name, plan.charges)) for name in plan.sets),
            Job("bounds, combined_all", joint_bounds, ("combined_all",)),
        ],
        "variations": [Job(f"variations, {s}", variation_rows, (s,)) for s in sets],
        "median_limits": [Job(f"median, {s}", median_row, (s,)) for s in sets],
        "validation": [Job(f"fit, {n}", validation_row, (n,)) for n in (*names, "combined_er")],
        "spectra": [Job(f"spectrum, {n}", spectrum_row, (n,)) for n in names],
    }


def results_of(pieces: Pieces) -> dict[str, Any]:
    """The document of the results of all jobs by kind, in the order of the jobs."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "units": {
            symbol: electron_analysis(model).model.unit
            for symbol, model in (("mu", "magnetic_moment"), ("q", "millicharge"))
        },
    }
    for kind, found in pieces.items():
        document[kind] = [r for f in found for r in (f if isinstance(f, list) else [f])]
    return document


def electron_results(
    plan: Plan | None = None,
    workers: int = 1,
    progress: Callable[[str], None] = lambda label: None,
) -> dict[str, Any]:
    """All electron-recoil results: contours, bounds, variations, medians, validation, spectra.

    Args:
        plan: what to compute; everything by default.
        workers: processes.
        progress: called with the label of each finished job.
    """
    kinds = electron_jobs(plan or Plan())
    found = iter(run_jobs([job for jobs in kinds.values() for job in jobs], workers, progress))
    return results_of({kind: [next(found) for _ in jobs] for kind, jobs in kinds.items()})


def job_count(plan: Plan | None = None) -> int:
    """Number of jobs, for progress bars."""
    return sum(len(jobs) for jobs in electron_jobs(plan or Plan()).values())
