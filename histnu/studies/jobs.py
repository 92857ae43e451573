"""Run the tasks of a study: what is cached is read, the rest is shared among processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histnu.core.pool import Job, run_jobs
from histnu.studies.answers import answer
from histnu.studies.cache import Cache
from histnu.studies.tasks import Answer, Task, identity

log = logging.getLogger(__name__)

BUNDLE = 4
"""Tasks of one analysis that one process takes at a time; they share its templates."""
WEIGHT: Mapping[str, int] = {"mass_curve": 3, "region": 2, "profile": 1}
"""Longest kinds first, so that no process is left alone with one at the end."""


@dataclass(frozen=True)
class Running:
    """How tasks are run.

    Attributes:
        workers: processes. cache: folder of answers, or None. fresh: read no stored answer.
        progress: called for each answered task with the label of the longest one that is still
            open; started: called once with that of the first.
    """

    workers: int = 1
    cache: Path | None = None
    fresh: bool = False
    progress: Callable[[str], None] = lambda label: None
    started: Callable[[str], None] = lambda label: None


def run_tasks(tasks: Sequence[tuple[str, Task]], running: Running) -> list[Answer]:
    """Answers of labelled tasks, in their order; equal tasks are answered once.

    Each answer is stored as soon as it is there, by the process that found it, so an interrupted
    run goes on where it was.

    Raises:
        HistnuError: of the first task that fails.
    """
    cache = Cache(running.cache, running.fresh)
    keys = [identity(task) for _, task in tasks]
    found: dict[str, Answer] = {}
    todo: dict[str, tuple[str, Task]] = {}
    for key, (label, task) in zip(keys, tasks, strict=True):
        stored = None if key in todo or key in found else cache.get(key)
        if stored is not None:
            found[key] = stored
        elif key not in found:
            todo.setdefault(key, (label, task))
        if key in found:
            running.progress(label)
    log.info("%d questions, %d to compute, %d stored", len(tasks), len(todo), len(found))
    bundles = bundled(todo)
    jobs = [Job(f"{len(b)} {b[0][1]}", answer_bundle, (b, running.cache)) for b in bundles]
    waiting = [job.label for job in jobs]

    def advance(label: str) -> None:
        waiting.remove(label)
        size, _, name = label.partition(" ")
        for _ in range(int(size)):
            running.progress(waiting[0].partition(" ")[2] if waiting else name)

    if jobs:
        running.started(jobs[0].label.partition(" ")[2])
    for pairs in run_jobs(jobs, running.workers, advance):
        found.update({key: Answer.model_validate(content) for key, content in pairs})
    return [found[key] for key in keys]


Bundle = list[tuple[str, str, Task]]


def bundled(todo: Mapping[str, tuple[str, Task]]) -> list[Bundle]:
    """Tasks in groups of one analysis and at most ``BUNDLE``, the longest first."""
    groups: dict[tuple[int, str, str], Bundle] = {}
    for key, (label, task) in todo.items():
        weight = -WEIGHT.get(task.kind, 0)
        name = "" if task.analysis is None else task.analysis.model_dump_json()
        changes = "".join(c.model_dump_json() for c in task.changes)
        groups.setdefault((weight, name, changes), []).append((key, label, task))
    result: list[Bundle] = []
    for _, bundle in sorted(groups.items(), key=lambda item: item[0][0]):
        size = 1 if bundle[0][2].kind in WEIGHT else BUNDLE
        result += [bundle[i : i + size] for i in range(0, len(bundle), size)]
    return result


def answer_bundle(bundle: Bundle, folder: Path | None) -> list[tuple[str, dict[str, object]]]:
    """Answer some tasks one after the other, storing each; runs in a process of its own."""
    cache = Cache(folder)
    return [(key, cache.put(key, task, answer(task)).to_json()) for key, _, task in bundle]
