"""Run the tasks of a study: what is cached is read, the rest is shared among processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histnu.core.errors import ConfigError, DataError, HistnuError
from histnu.core.executor import Executor, executor
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
        dask: address of a Dask scheduler or ``local``, see :func:`histnu.core.executor.executor`.
        run: an executor that is there already; one of ``workers`` and ``dask`` if None.
    """

    workers: int = 1
    cache: Path | None = None
    fresh: bool = False
    progress: Callable[[str], None] = lambda label: None
    started: Callable[[str], None] = lambda label: None
    dask: str | None = None
    run: Executor | None = None

    def executor(self) -> AbstractContextManager[Executor]:
        """What runs the tasks, ended afterwards if it is made for them."""
        return executor(self.workers, self.dask) if self.run is None else nullcontext(self.run)


def run_tasks(tasks: Sequence[tuple[str, Task]], running: Running) -> list[Answer]:
    """Answers of labelled tasks, in their order; equal tasks are answered once.

    Each answer is stored as soon as it is there, by the process that found it (from a cluster, by
    this one), so an interrupted run goes on where it was. A question whose fit fails does not stop
    the others: its answer says the problem, and it is asked again by the next run.

    Raises:
        ConfigError, DataError: of the first task whose study, analysis or data are wrong.
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
    waiting = {n: b[0][1] for n, b in enumerate(bundles)}
    if waiting:
        running.started(waiting[0])
    with running.executor() as run:
        folder = None if run.remote else running.cache

        def arrived(number: int, contents: list[dict[str, Any]]) -> None:
            own = waiting.pop(number)
            longest = next(iter(waiting.values()), own)
            for (key, _, task), content in zip(bundles[number], contents, strict=True):
                found[key] = Answer.model_validate(content)
                if run.remote and found[key].problem is None:
                    cache.put(key, task, found[key])
                running.progress(longest)

        labels = [f"{len(b)} {b[0][1]}" for b in bundles]
        run.map(answer_bundle, [(b, folder) for b in bundles], done=arrived, labels=labels)
    return [found[key] for key in keys]


Bundle = list[tuple[str, str, Task]]


def bundled(todo: Mapping[str, tuple[str, Task]]) -> list[Bundle]:
    """Tasks in groups of one analysis and at most ``BUNDLE``, the longest first."""
    groups: dict[tuple[tuple[int, int], str, str], Bundle] = {}
    for key, (label, task) in todo.items():
        name = "" if task.analysis is None else task.analysis.model_dump_json()
        changes = "".join(c.model_dump_json() for c in task.changes)
        groups.setdefault((_weight(task), name, changes), []).append((key, label, task))
    result: list[Bundle] = []
    for _, bundle in sorted(groups.items(), key=lambda item: item[0][0], reverse=True):
        size = 1 if bundle[0][2].kind in WEIGHT else BUNDLE
        result += [bundle[i : i + size] for i in range(0, len(bundle), size)]
    return result


def _weight(task: Task) -> tuple[int, int]:
    """How long a task takes beside others: by its kind, then by how many experiments it has."""
    size = 0 if task.analysis is None else len(task.analysis.experiments)
    return WEIGHT.get(task.kind, 0), size if task.kind in WEIGHT else 0


def answer_bundle(item: tuple[Bundle, Path | None]) -> list[dict[str, Any]]:
    """Answer some tasks one after the other, storing each; runs in a process of its own."""
    bundle, folder = item
    cache = Cache(folder)
    found = []
    for key, label, task in bundle:
        try:
            found.append(cache.put(key, task, answer(task)))
        except (ConfigError, DataError):
            raise
        except HistnuError as error:
            log.warning("%s: no answer: %s", label, error)
            found.append(Answer(problem=str(error)))
    return [a.to_json() for a in found]
