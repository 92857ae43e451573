"""Check a file of any kind: a HistFactory document, or an experiment or analysis in YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from histnu.core.errors import DataError, HistnuError, located
from histnu.core.serialize import read_json
from histnu.core.strict_yaml import read_yaml
from histnu.workspace.checks import check_workspace
from histnu.workspace.findings import Finding, error
from histnu.workspace.patchset_checks import check_document


def check_file(path: str | Path, background: str | Path | None = None) -> list[Finding]:
    """Findings of a file: workspace, PatchSet, manifest, or experiment or analysis in YAML.

    A PatchSet is checked against ``background``, or against ``workspace.json`` beside it. An
    analysis is built, in memory, so that what passes here is what ``histnu build`` builds.

    Raises:
        DataError: if the file cannot be read or is none of these.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(located(path, "", "does not exist", "check the path"))
    if path.suffix in {".yaml", ".yml"}:
        return _check_yaml(path)
    document = read_json(path)
    if not isinstance(document, dict) or not {"patches", "channels"} & set(document):
        problem = "is neither a workspace nor a PatchSet"
        raise DataError(located(path, "", problem, "give a document with channels or patches"))
    if background is None and "patches" in document:
        beside = path.with_name("workspace.json")
        background = beside if beside.is_file() else None
    return check_document(document, None if background is None else read_json(background))


def _check_yaml(path: Path) -> list[Finding]:
    """Findings of an experiment or analysis file: what loading, or building, says."""
    from histnu.analysis.schema import ANALYSIS_SCHEMA
    from histnu.experiments.loader import load_experiment

    try:
        document = read_yaml(path)
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema == ANALYSIS_SCHEMA:
            return _check_analysis(path)
        load_experiment(path)
    except HistnuError as fault:
        text = str(fault).removeprefix(f"{path}: ")
        return [error("schema", "", text, "correct the file")]
    return []


def _check_analysis(path: Path) -> list[Finding]:
    """Findings of the workspace that an analysis file builds."""
    from histnu.analysis.assemble import assemble
    from histnu.analysis.hypothesis import signal_model
    from histnu.analysis.schema import load_analysis
    from histnu.experiments.loader import load_experiment

    analysis = load_analysis(path)
    parts: dict[str, Callable[[], Any]] = {"/model": lambda: signal_model(analysis.model)}
    for i, name in enumerate(analysis.experiments):
        parts[f"/experiments/{i}"] = lambda name=name: load_experiment(name)  # type: ignore[misc]
    found = [f for at, make in parts.items() for f in _faults(path, at, make)]
    workspace: Any = None if found else assemble(analysis).workspace
    return found or check_workspace(workspace)


def _faults(path: Path, at: str, make: Callable[[], Any]) -> list[Finding]:
    """The mistake in one part of a file, if there is one."""
    try:
        make()
    except HistnuError as fault:
        return [error("schema", at, str(fault).removeprefix(f"{path}: "), "correct the file")]
    return []
