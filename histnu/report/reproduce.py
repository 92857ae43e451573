"""The main job: all of the paper, from tables to figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from histnu.analyses import assemble
from histnu.building import manifest_of
from histnu.experiments.loader import load_experiment
from histnu.plotting.paper import draw_all
from histnu.report import paper
from histnu.report.document import results_document
from histnu.report.jobs import run_jobs
from histnu.report.paper import EXPERIMENTS, Settings
from histnu.report.text import report_text
from histnu.serialize import jsonable, staged, write_json, write_text

DIPOLE_EXAMPLE_MEV = 5.0
"""Sterile mass of the dipole workspaces that are written as examples (the grid is a PatchSet)."""


def compute(
    settings: Settings, workers: int, progress: Callable[[str], None] = lambda label: None
) -> dict[str, Any]:
    """Run all jobs and return the results document (nothing is written)."""
    kinds = paper.all_jobs(settings)
    jobs = [job for group in kinds.values() for job in group]
    found = iter(run_jobs(jobs, workers, progress))
    pieces = {kind: [next(found) for _ in group] for kind, group in kinds.items()}
    document: dict[str, Any] = jsonable(results_document(pieces, inputs(settings)))
    return document


def job_count(settings: Settings) -> int:
    """Number of jobs, for progress bars."""
    return sum(len(group) for group in paper.all_jobs(settings).values())


def inputs(settings: Settings) -> dict[str, Any]:
    """Experiments and settings of a reproduction."""
    analysis = paper.paper_analysis("magnetic_moment", "combined", settings)
    experiments = [load_experiment(e) for e in analysis.experiments]
    return {
        "settings": asdict(replace(settings, m4_mev=())) | {"m4_mev": list(settings.m4_mev)},
        "experiments": [
            {
                "name": e.name,
                "title": e.title,
                "provenance": e.provenance,
                "assumptions": list(e.assumptions),
                "references": list(e.references),
                "files": {Path(f).name: d for f, d in e.files.items()},
            }
            for e in experiments
        ],
    }


def write_workspaces(settings: Settings, folder: Path) -> list[Path]:
    """Write the likelihood of every model and data set with its manifest."""
    paths = []
    for model in ("standard_model", "magnetic_moment", "millicharge", "sterile_dipole"):
        for experiment in EXPERIMENTS:
            analysis = paper.paper_analysis(model, experiment, settings)
            if model == "sterile_dipole":
                name = f"{analysis.name}_m4_{DIPOLE_EXAMPLE_MEV:g}MeV"
                analysis = analysis.holding({"m4": DIPOLE_EXAMPLE_MEV})
                analysis = analysis.model_copy(update={"name": name})
            assembly = assemble(analysis)
            path = folder / analysis.name / "workspace.json"
            write_json(path, assembly.workspace)
            manifest_of(assembly).write(path.parent, ["workspace.json"], with_environment=False)
            paths.append(path)
    return paths


def write_report(results: dict[str, Any], settings: Settings, folder: Path) -> list[Path]:
    """Write ``results.json``, ``results.md``, figures and workspaces; return the paths.

    Everything is written beside its place and moved when it is whole.
    """
    with staged(folder) as temporary:
        out = temporary / "out"
        paths = _write_report(results, settings, out)
    return [folder / path.relative_to(out) for path in paths]


def _write_report(results: dict[str, Any], settings: Settings, folder: Path) -> list[Path]:
    write_json(folder / "results.json", results)
    write_text(folder / "results.md", report_text(results))
    paths = [folder / "results.json", folder / "results.md"]
    paths += draw_all(results, folder)
    paths += write_workspaces(settings, folder / "workspaces")
    return paths
