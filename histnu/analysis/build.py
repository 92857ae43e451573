"""Build the documents of an analysis into a folder: workspace or PatchSet, and manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from histnu.analysis.assemble import Assembly, assemble, templates_for
from histnu.analysis.hypothesis import require_held, signal_model
from histnu.analysis.schema import Analysis
from histnu.core.errors import ConfigError
from histnu.core.executor import Executor, Local
from histnu.core.serialize import staged, write_json
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import weakest
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.protocol import Component
from histnu.workspace.checks import require_valid
from histnu.workspace.grids import Grid, model_grids
from histnu.workspace.manifest import Manifest, bin_edges
from histnu.workspace.patchset import Basis, PatchSetInfo, basis_of, build_patchset, reference_for


def manifest_of(assembly: Assembly, options: dict[str, Any] | None = None) -> Manifest:
    """The manifest of an assembled analysis."""
    analysis = assembly.analysis
    asked = analysis.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"flux"})
    fluxes = {name: _flux(c) for name, c in assembly.components.items()}
    return Manifest(
        analysis.name,
        analysis.title,
        assembly.experiments,
        (assembly.model.name, assembly.model.reference),
        analysis.interpolation,
        assembly.polynomial if assembly.model.parameters else None,
        {p.name: p.unit for p in assembly.model.parameters},
        {
            **asked,
            "fluxes": fluxes,
            "held": assembly.held,
            **_companions(assembly),
            **(options or {}),
        },
    )


def _companions(assembly: Assembly) -> dict[str, str]:
    """What holds the other parameters when one is asked, where that is not to profile them."""
    companions = assembly.model.companions
    return {} if companions == "profiled" else {"companions": companions}


def _flux(component: Component) -> dict[str, Any]:
    """Size and uncertainty of a flux, and the nuisance parameter it has."""
    flux = component.flux
    return {
        "total_cm2_s": component.source.flux.total_cm2_s,
        "relative": flux.relative,
        "parameter": flux.name,
        "source": flux.source,
    }


def build_command(analysis: Analysis, grid: Grid | None = None) -> str:
    """The command that builds a document of an analysis.

    >>> from histnu.analysis.schema import load_analysis
    >>> build_command(load_analysis("magnetic_moment_xenonnt"))
    'histnu build magnetic_moment_xenonnt'
    """
    words = ["histnu build", analysis.name]
    if analysis.interpolation != "normsys":
        words.append(f"--interpolation {analysis.interpolation}")
    if analysis.correction != "none":
        words.append(f"--correction {analysis.correction}")
    words += [f"--set {name}={value:g}" for name, value in analysis.model.held.items()]
    if grid is not None:
        is_default = model_grids(signal_model(analysis.model)).get(grid.name) == grid
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
    """One of the default grids of the analysis' model.

    Raises:
        ConfigError: for an unknown grid.
    """
    model = signal_model(analysis.model)
    grids = model_grids(model)
    if name not in grids:
        known = ", ".join(sorted(grids)) or "none"
        raise ConfigError(
            f"unknown grid {name!r} for {analysis.name}; grids of {model.name}: {known}"
        )
    return grids[name]


def basis_at(analysis: Analysis, outer: Mapping[str, float]) -> Basis:
    """Basis samples of an analysis at values of its held parameters."""
    data = tuple(load_experiment(e) for e in analysis.experiments)
    chosen = analysis.holding(outer)
    model = signal_model(chosen.model, [c.recoil for e in data for c in e.channels])
    require_held(chosen, model)
    templates = templates_for(chosen, data, [StandardModel(), model])
    return basis_of(templates, model.polynomial, chosen.interpolation)


def write_patchset(
    analysis: Analysis, grid: Grid, folder: Path, executor: Executor | None = None
) -> list[Path]:
    """Write background-only ``workspace.json``, ``patchset.json`` and ``manifest.json``.

    Templates along held axes are made by the executor.
    """
    data = tuple(load_experiment(e) for e in analysis.experiments)
    outer = [axis for axis in grid.axes if axis.outer]
    labels = [axis.label for axis in outer]
    outside = {axis.label: axis.values[0] for axis in outer}
    places = [
        dict(zip(labels, values, strict=True)) for values in product(*(a.values for a in outer))
    ]
    alone = executor is None or executor == Local()
    made = None if executor is None or alone else executor.map(basis_at, places, analysis)

    def basis(at: dict[str, float]) -> Basis:
        return basis_at(analysis, at) if made is None else made[places.index(at)]

    info = PatchSetInfo(
        name=f"{analysis.name}_{grid.name}",
        description=f"{analysis.title}: grid in {', '.join(grid.labels)}",
        hepdata=reference_for([e.inspire for e in data]),
        provenance=weakest([e.provenance for e in data]),
        bibliography=tuple(r for e in data for r in e.references),
        extra={
            "assumptions": {e.name: list(e.assumptions) for e in data},
            "channels": bin_edges(data),
        },
    )
    names = ["workspace.json", "patchset.json"]
    options = {"grid": grid.to_json(), "command": build_command(analysis, grid)}
    assembly = assemble(analysis.holding(outside))
    manifest = manifest_of(replace(assembly, analysis=analysis), options)
    with staged(folder) as temporary:
        out = temporary / "out"
        build_patchset(out, grid, basis if outside else basis({}), info)
        manifest.write(out, names, with_environment=False)
    return [folder / n for n in (*names, "manifest.json")]
