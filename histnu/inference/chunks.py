"""Chunks of toys as independent calls: shared among workers, kept in a folder, computed once.

A chunk is known by the SHA-256 of all that decides its toys: the documents of the likelihoods, how
they are fitted, the code that does it, truth, tested values, point, seed, number and size. Its file
carries a checksum. What is there is read, what is damaged or absent is computed; the statistics do
not depend on who computes them, or when.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import FitError
from histnu.core.executor import Executor, Local
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import digest, file_digest
from histnu.core.store import Store
from histnu.inference.engine.compiled import available
from histnu.inference.engine.fit import AnyLikelihood, FitOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.toys import Chunk, ToyStatistics, chunk_statistics

log = logging.getLogger(__name__)
Array = NDArray[np.float64]

SCHEMA = "histnu-toys/1"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the code and the packages that turn a document into statistics of toys."""
    root = Path(__file__).parent
    files = {p.relative_to(root).as_posix(): file_digest(p) for p in sorted(root.rglob("*.py"))}
    numba = version("numba") if available() else ""
    return digest([files, version("numpy"), version("scipy"), numba])


@dataclass(frozen=True)
class Family:
    """Likelihoods of one hypothesis as plain data, one per value of what they hold.

    Attributes:
        documents: HistFactory JSON workspaces. measurement: whose settings hold.
        polynomial: of each, from physical parameters to strengths; None where parameters of the
            document are asked.
        fit: how to fit.
        code: of the process that asks, which every worker must have too.
    """

    documents: tuple[Mapping[str, Any], ...] = field(repr=False)
    measurement: str | None = None
    polynomial: tuple[PolynomialMap, ...] | None = None
    fit: FitOptions = field(default_factory=FitOptions)
    code: str = field(default_factory=code_digest)

    @classmethod
    def of(
        cls,
        document: Mapping[str, Any],
        likelihood: AnyLikelihood,
        measurement: str,
        fit: FitOptions,
    ) -> Family:
        """A likelihood that was made of a document."""
        mapped = isinstance(likelihood, MappedLikelihood)
        polynomial = (likelihood.polynomial,) if mapped else None  # type: ignore[union-attr]
        return cls((document,), measurement, polynomial, fit)

    def __getstate__(self) -> dict[str, Any]:
        """The fields, without what is made from them."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    @cached_property
    def likelihoods(self) -> tuple[AnyLikelihood, ...]:
        """The likelihoods, made once in each process."""
        bases = [BatchedLikelihood.from_workspace(d, self.measurement) for d in self.documents]
        if self.polynomial is None:
            return tuple(bases)
        return tuple(MappedLikelihood(b, p) for b, p in zip(bases, self.polynomial, strict=True))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of documents, measurement, polynomials, options of the fits and code."""
        fit = asdict(replace(self.fit, allow_uncertified=False))
        polynomials = [asdict(p) for p in self.polynomial or ()]
        return digest([self.documents, self.measurement, polynomials, fit, self.code])

    def key(self, chunk: Chunk) -> str:
        """SHA-256 of all that decides the toys of a chunk; numbers with all their digits."""
        return digest([SCHEMA, self.digest, question(chunk)])


def question(chunk: Chunk) -> dict[str, Any]:
    """What a chunk is, as plain data; numbers with all their digits."""
    return {
        **asdict(chunk),
        "truth": [x.hex() for x in chunk.truth],
        "test": {k: float(v).hex() for k, v in chunk.test.items()},
        "point": {k: float(v).hex() for k, v in chunk.point.items()},
    }


def compute(family: Family, chunk: Chunk) -> dict[str, Any]:
    """Return the statistics of a chunk as plain data, in whatever process this is.

    Raises:
        FitError: this process has other code than the one that asks.
    """
    if family.code != code_digest():
        raise FitError("a worker has another version of histnu, numpy, scipy or numba")
    found = chunk_statistics(family.likelihoods, chunk, family.fit)
    return {
        "delta": _packed(found.delta),
        "estimate": _packed(found.estimate),
        "failed": np.flatnonzero(~found.converged).tolist(),
        "search": found.search,
    }


def _packed(values: Array) -> str:
    return base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode()


def _unpacked(text: str) -> Array:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(float)


def statistics(content: Mapping[str, Any]) -> ToyStatistics:
    """Return what :func:`compute` made of a chunk."""
    delta = _unpacked(content["delta"])
    converged = np.ones(len(delta), dtype=bool)
    converged[content["failed"]] = False
    return ToyStatistics(delta, _unpacked(content["estimate"]), converged, content["search"])


@dataclass
class Runner:
    """Computes chunks of one family by an executor, and keeps them in a folder.

    Attributes:
        family: the likelihoods. executor: where to compute. folder: of chunks, or None.
        progress: called with (toys done, toys asked so far).
        computed, read: numbers of chunks so far; the statistics of all are kept in memory.
    """

    family: Family
    executor: Executor = field(default_factory=Local)
    folder: Path | None = None
    progress: Callable[[int, int], None] = lambda done, total: None
    computed: int = 0
    read: int = 0
    _done: int = 0
    _known: dict[str, ToyStatistics] = field(default_factory=dict, repr=False)

    def __call__(self, chunks: Sequence[Chunk]) -> list[ToyStatistics]:
        """Return the statistics of chunks, in their order."""
        store = Store(self.folder, SCHEMA)
        keys = [self.family.key(c) for c in chunks]
        new = {k: c for k, c in zip(keys, chunks, strict=True) if k not in self._known}
        asked = self._done + sum(c.n_toys for c in new.values())

        def arrived(key: str, content: Mapping[str, Any]) -> None:
            self._known[key] = statistics(content)
            self._done += new[key].n_toys
            self.progress(self._done, asked)

        for key in new:
            content = store.get(key)
            if content is not None:
                arrived(key, content)
        todo = [key for key in new if key not in self._known]
        self.read += len(new) - len(todo)
        log.info("%d chunks of toys, %d to compute", len(new), len(todo))

        def computed(number: int, content: dict[str, Any]) -> None:
            key = todo[number]
            self.computed += 1
            arrived(key, store.put(key, question(new[key]), content))

        self.executor.map(compute, [new[k] for k in todo], self.family, computed)
        return [self._known[key] for key in keys]
