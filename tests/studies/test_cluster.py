"""Studies on a cluster: the same answers, kept by the process that asked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from histnu.analysis.schema import load_analysis
from histnu.core.serialize import dumps
from histnu.studies.cache import Cache
from histnu.studies.jobs import Running, run_tasks
from histnu.studies.tasks import Task, identity


@pytest.mark.slow
# looked for only, because the import takes a second
@pytest.mark.skipif(find_spec("distributed") is None, reason="the extra dask is not installed")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_answers_of_a_cluster_are_those_of_one_process(tmp_path: Path) -> None:
    analysis = load_analysis("magnetic_moment_xenonnt")
    tasks = [
        (p, Task(kind="bound", analysis=analysis, parameters=(p,), cl=cl))
        for p in ("mu_e", "mu_mu") for cl in (0.68, 0.9)
    ]  # fmt: skip
    alone = run_tasks(tasks, Running(1))
    labels: list[str] = []
    found = run_tasks(tasks, Running(2, tmp_path, progress=labels.append, dask="local"))
    assert dumps([a.to_json() for a in found]) == dumps([a.to_json() for a in alone])
    # one report per answer, with the name of a question that is still open
    assert len(labels) == len(tasks) and set(labels) <= {p for p, _ in tasks}
    kept = [Cache(tmp_path).get(identity(task)) for _, task in tasks]
    assert [dumps(a) for a in kept] == [dumps(a) for a in found]
