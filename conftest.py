"""Makes the tests' own modules importable, shares tests out, and gives doctests a likelihood."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = str(Path(__file__).resolve().parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


ONE_BY_ONE = "::test_200_documents["
"""Tests that share nothing with the others of their file."""
FULL = ("overlap", "xenonnt_full", "significance", "full_likelihoods", "workspace/test_analyses")
"""Files of tests that read the thousands of files of XENONnT's full likelihoods."""


# Collecting garbage among the million objects that libraries make is a tenth of the time otherwise
gc.set_threshold(50_000, 20, 50)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Import only what has doctests in it, of the package."""
    package = Path(ROOT) / "histnu"
    if collection_path.suffix != ".py" or package not in collection_path.parents:
        return None
    return None if ">>>" in collection_path.read_text(encoding="utf-8") else True


def pytest_collection_finish() -> None:
    """Leave what is there, modules and tests, out of all collections to come."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long first, so that no worker is left with it at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> int:
        if isinstance(item, pytest.DoctestItem):
            return 3
        return 1 if ONE_BY_ONE in item.nodeid else 0 if item.path in long else 2

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a whole file to one worker, which makes its fixtures once, with two exceptions."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.removesuffix(".py").endswith(FULL):
                return "full likelihoods"
            return nodeid if ONE_BY_ONE in nodeid else file

    config.option.loadscopereorder = False  # keep the order given above
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def _likelihood_of_doctests(request: pytest.FixtureRequest) -> None:
    """Define ``textbook``, two bins with an uncorrelated uncertainty, and ``np`` in doctests."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
    import numpy as np

    names["np"] = np
    if request.node.name.startswith("histnu.inference"):
        from histnu.inference import BatchedLikelihood
        from tests.inference.examples import textbook

        names["textbook"] = BatchedLikelihood.from_workspace(textbook())
