"""The main job: a study, from its questions to results, report, figures and workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histnu.core.executor import Executor
from histnu.core.serialize import file_digest, staged, write_json, write_text
from histnu.plotting.overlays import Published
from histnu.plotting.studies import draw_all
from histnu.studies.document import results_document
from histnu.studies.jobs import Running, run_tasks
from histnu.studies.plan import Plan, Settings, of_experiment, plan
from histnu.studies.rows import rows_of, unanswered
from histnu.studies.schema import LoadedStudy
from histnu.studies.tasks import Task
from histnu.studies.text import report_text
from histnu.workspace.digests import document_digests


@dataclass(frozen=True)
class Prepared:
    """A study with all its tasks, before anything is computed."""

    loaded: LoadedStudy
    settings: Settings
    plan: Plan

    @property
    def tasks(self) -> list[tuple[str, Task]]:
        """Labelled tasks: questions, then experiments, then workspaces."""
        questions = [(item.label, item.task) for item in self.plan.items]
        data = [(name, of_experiment(name)) for name in self.plan.experiments]
        return [*questions, *data, *self.plan.workspaces.items()]


def prepare(loaded: LoadedStudy, settings: Settings | None = None) -> Prepared:
    """Plan a study; everything that can be wrong in its files is found here.

    Raises:
        HistnuError: for anything wrong in the study, its analyses or its data.
    """
    chosen = settings or Settings()
    return Prepared(loaded, chosen, plan(loaded, chosen))


@dataclass(frozen=True)
class Outcome:
    """The results document of a study, and its likelihoods by folder name."""

    results: dict[str, Any]
    workspaces: dict[str, dict[str, Any]]

    @property
    def problems(self) -> list[str]:
        """Every question that has no answer, with the reason, in one line each."""
        rows = self.results.get("no_answer", [])
        return [f"{r['question']}: no answer: {r['problem']}" for r in rows]


def compute(prepared: Prepared, running: Running) -> Outcome:
    """Answer all questions; nothing is written but the cache."""
    answers = run_tasks(prepared.tasks, running)
    made = prepared.plan
    n, m = len(made.items), len(made.experiments)
    rows = rows_of(made.items, answers[:n])
    failed = [unanswered(*asked, a) for asked, a in zip(prepared.tasks, answers, strict=True)
              if a.problem]  # fmt: skip
    experiments = [a.document for a in answers[n : n + m] if a.document]
    written = zip(made.workspaces, answers[n + m :], strict=True)
    workspaces = {name: a.document for name, a in written if a.document}
    document = results_document(made, prepared.settings, rows, experiments, failed)
    return Outcome(document, workspaces)


def write_study(
    outcome: Outcome,
    loaded: LoadedStudy,
    folder: Path,
    overlays: Sequence[Published] = (),
    run: Executor | None = None,
) -> list[Path]:
    """Write ``results.json``, ``results.md``, figures and workspaces; return the paths.

    Everything is written beside its place and moved when it is whole. Processes of ``run`` draw
    the figures, this one if None.
    """
    with staged(folder) as temporary:
        out = temporary / "out"
        paths = _write(outcome, loaded, out)
        paths += draw_all(outcome.results, out, overlays, run)
    return [folder / path.relative_to(out) for path in paths]


def _write(outcome: Outcome, loaded: LoadedStudy, folder: Path) -> list[Path]:
    """Write everything but the figures."""
    text = report_text(outcome.results, loaded.report)
    paths = [folder / "results.json", folder / "results.md"]
    write_json(paths[0], outcome.results)
    write_text(paths[1], text)
    for name, content in outcome.workspaces.items():
        paths.append(_write_workspace(folder / "workspaces" / name, content))
    return paths


def _write_workspace(folder: Path, content: dict[str, Any]) -> Path:
    """Write a likelihood and its manifest with the digests of the file."""
    path = folder / "workspace.json"
    write_json(path, content["workspace"])
    entry = {
        "file_sha256": file_digest(path),
        "kind": "workspace",
        "digests": document_digests(content["workspace"]),
    }
    write_json(folder / "manifest.json", {**content["manifest"], "documents": {path.name: entry}})
    return path
