"""Makes the tests' own modules importable, and gives doctests a small likelihood."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = str(Path(__file__).resolve().parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


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
