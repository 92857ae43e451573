"""Build the documents of an analysis into a folder: workspace or PatchSet, and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histnu.analyses import Analysis, Assembly, assemble, signal_model, templates_for
from histnu.errors import ConfigError
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import weakest
from histnu.physics.models.standard_model import StandardModel
from histnu.serialize import staged, write_json
from histnu.workspace.checks import require_valid
from histnu.workspace.grids import Grid, default_grids
from histnu.workspace.manifest import Manifest, bin_edges
from histnu.workspace.patchset import (
    Basis,
    PatchSetInfo,
    basis_of,
    build_patchset,
    reference_for,
)


def manifest_of(assembly: Assembly, options: dict[str, Any] | None = None) -> Manifest:
    """The manifest of an assembled analysis."""
    analysis = assembly.analysis
    return Manifest(
        analysis.name,
        analysis.title,
        assembly.experiments,
        (assembly.model.name, assembly.model.reference),
        analysis.interpolation,
        assembly.polynomial,
        {p.name: p.unit for p in assembly.model.parameters},
        {**analysis.model_dump(mode="json", by_alias=True, exclude_none=True), **(options or {})},
    )


def build_command(analysis: Analysis, grid: Grid | None = None) -> str:
    """The command that builds a document of an analysis.

    >>> from histnu.analyses import load_analysis
    >>> build_command(load_analysis("magnetic_moment_xenonnt"))
    'histnu build magnetic_moment_xenonnt'
    """
    words = ["histnu build", analysis.name]
    if analysis.interpolation != "normsys":
        words.append(f"--interpolation {analysis.interpolation}")
    if analysis.correction != "none":
        words.append(f"--correction {analysis.correction}")
    if "m4_mev" in analysis.model.options:
        words.append(f"--m4-mev {analysis.model.options['m4_mev']:g}")
    if grid is not None:
        is_default = default_grids().get(grid.name) == grid
        words.append(f"--grid {grid.name}" + ("" if is_default else " (a coarser grid)"))
    return " ".join(words)


def write_workspace(analysis: Analysis, folder: Path) -> list[Path]:
    """Write ``workspace.json`` (exact in all strengths) and ``manifest.json``."""
    assembly = assemble(analysis)
    require_valid(assembly.workspace, analysis.name)
    manifest = manifest_of(assembly, {"command": build_command(analysis)})
    with staged(folder) as temporary:
        write_json(temporary / "out" / "workspace.json", assembly.workspace)
        manifest.write(temporary / "out", ["workspace.json"], with_environment=False)
    return [folder / "workspace.json", folder / "manifest.json"]


def grid_for(analysis: Analysis, name: str) -> Grid:
    """One of the default grids, if it belongs to the analysis' model.

    Raises:
        ConfigError: for an unknown grid or one of another model.
    """
    model = signal_model(analysis.model)
    outer = {"m4"} if model.name == "sterile_dipole" else set()
    known = set(model.polynomial.parameters) | outer
    grids = {n: g for n, g in default_grids().items() if _belongs(g, known, outer)}
    if name not in grids:
        available = ", ".join(sorted(grids)) or "none"
        raise ConfigError(
            f"unknown grid {name!r} for {analysis.name}; grids of {model.name}: {available}"
        )
    return grids[name]


def _belongs(grid: Grid, known: set[str], outer: set[str]) -> bool:
    labels = set(grid.labels)
    return labels <= known and outer <= labels


def write_patchset(analysis: Analysis, grid: Grid, folder: Path) -> list[Path]:
    """Write background-only ``workspace.json``, ``patchset.json`` and ``manifest.json``."""
    data = tuple(load_experiment(e) for e in analysis.experiments)

    def basis(outer: dict[str, float]) -> Basis:
        section = analysis.model
        if "m4" in outer:
            section = section.model_copy(update={"options": {"m4_mev": outer["m4"]}})
        model = signal_model(section)
        templates = templates_for(analysis, data, [StandardModel(), model])
        return basis_of(templates, model.polynomial, analysis.interpolation)

    has_outer = any(axis.outer for axis in grid.axes)
    info = PatchSetInfo(
        name=f"{analysis.name}_{grid.name}",
        description=f"{analysis.title}: grid in {', '.join(grid.labels)}",
        hepdata=reference_for([e.name for e in data]),
        provenance=weakest([e.provenance for e in data]),
        bibliography=tuple(r for e in data for r in e.references),
        extra={
            "assumptions": {e.name: list(e.assumptions) for e in data},
            "channels": bin_edges(data),
        },
    )
    names = ["workspace.json", "patchset.json"]
    options = {"grid": grid.to_json(), "command": build_command(analysis, grid)}
    manifest = manifest_of(assemble(analysis), options)
    with staged(folder) as temporary:
        out = temporary / "out"
        build_patchset(out, grid, basis if has_outer else basis({}), info)
        manifest.write(out, names, with_environment=False)
    return [folder / n for n in (*names, "manifest.json")]
