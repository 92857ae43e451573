"""Parts of studies, computed once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from histnu.studies.document import results_document
from histnu.studies.jobs import Running, run_tasks
from histnu.studies.plan import Plan, Planned, Settings, of_experiment, plan
from histnu.studies.rows import rows_of
from histnu.studies.schema import load_study
from histnu.studies.tasks import Task
from tests.compiled import where_kept

SLOW = {"results", "many_bounds", "contours", "variations"}
"""Fixtures that take more than three seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need one of the slow fixtures are slow."""
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here) and SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class Part:
    """Some questions of a study: their rows as written, and a whole document of them."""

    sections: dict[str, list[dict[str, Any]]]
    document: dict[str, Any]

    def row(self, section: str, **wanted: Any) -> dict[str, Any]:
        """The one row of a section with these fields."""
        found = [r for r in self.sections[section] if wanted.items() <= r.items()]
        assert len(found) == 1, (section, wanted, len(found))
        return found[0]


@pytest.fixture(scope="session")
def part(tmp_path_factory):
    """Compute the questions of a study that a function chooses; answers are shared by all tests.

    By compiled fits, as users do, where they were compiled beforehand.
    """
    running = Running(1, tmp_path_factory.mktemp("answers"))

    def make(
        name: str,
        choose: Callable[[Planned], bool],
        settings: Settings | None = None,
        change: Callable[[Task], Task] = lambda task: task,
    ) -> Part:
        chosen = settings or Settings()
        made = plan(load_study(name), chosen)
        items = [i for i in made.items if choose(i)]
        assert items
        items = [Planned(change(i.task), i.section, i.data, i.question, i.published, i.assumption)
                 for i in items]  # fmt: skip
        used = dict.fromkeys(e for i in items for e in i.task.experiments)
        with where_kept():
            rows = rows_of(items, run_tasks([(i.label, i.task) for i in items], running))
            data = run_tasks([(e, of_experiment(e)) for e in used], running)
        described = [a.document or {} for a in data]
        smaller = Plan(items, made.skipped, made.studies, list(used), {})
        document = results_document(smaller, chosen, rows, described)
        sections = {k: v for k, v in document.items() if isinstance(v, list)}
        return Part(sections, document)

    return make
