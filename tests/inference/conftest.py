"""Likelihoods shared by the tests of the statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from histnu.inference import BatchedLikelihood, MappedLikelihood
from tests import compiled
from tests.inference import examples


@cache
def _example(name: str) -> BatchedLikelihood:
    return BatchedLikelihood.from_workspace(getattr(examples, name)())


@pytest.fixture
def example() -> Callable[[str], BatchedLikelihood]:
    """Return the likelihood of an example document by name."""
    return _example


@pytest.fixture(scope="session")
def charges() -> MappedLikelihood:
    """Return the six-charge likelihood."""
    document, polynomial = examples.millicharge()
    return MappedLikelihood(BatchedLikelihood.from_workspace(document), polynomial)


@pytest.fixture
def compiled_fits() -> Iterator[None]:
    """Switch compiled fits on."""
    with compiled.compiled_fits():
        yield
