"""Tasks: single questions with all they depend on, and the identity that a cache knows them by."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from inspect import getsourcefile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from histnu.analysis.schema import Analysis
from histnu.core.errors import DataError, located
from histnu.core.installed import MODELS, entries, installed_files
from histnu.core.serialize import digest, file_digest
from histnu.core.tables import data_path
from histnu.experiments.builders import BUILDERS
from histnu.experiments.loader import load_experiment
from histnu.releases.locate import find_release
from histnu.studies.schema import Change, Others, SearchSection, Strict
from histnu.verbs.envelope import Axis, Model, versions
from histnu.verbs.results import AnyResult

Kind = Literal[
    "bound",
    "profile",
    "region",
    "mass_curve",
    "rates",
    "agreement",
    "spectrum",
    "workspace",
    "experiment",
]
OUTSIDE = ("cli", "plotting", "export", "report")
"""Sub-packages that make no number of a result."""
INSIDE_STUDIES = ("answers.py", "changes.py", "tasks.py")
"""Modules of studies that do."""


class Task(Strict):
    """One question of one analysis, independent of all others.

    Attributes:
        kind: what is asked. analysis: of what. parameters: one, or two for a region.
        cl, dof, method, engine, n_toys, seed, data, search: see :class:`histnu.verbs.Options`.
        held: held parameters of the model or the likelihood. others: companions are profiled or
            zero; as the model says if None. tie: new parameter -> those that are equal to it.
        changes: of the experiments. grids: values for profiles, regions and mass curves.
        x: held parameter of a mass curve. refine: rounds of values that are added to it.
        expected: the Asimov sensitivity as well.
        name: of an experiment, for its description.
    """

    kind: Kind
    analysis: Analysis | None = None
    parameters: tuple[str, ...] = ()
    cl: float = 0.9
    dof: int = 1
    method: str = "profile"
    engine: str = "batched"
    n_toys: int = 1000
    seed: int = 0
    data: Literal["observed", "asimov"] = "observed"
    search: SearchSection = SearchSection()
    held: dict[str, float] = Field(default_factory=dict)
    others: Others = None
    tie: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    grids: tuple[tuple[float, ...], ...] = ()
    x: Axis | None = None
    refine: int = 0
    expected: bool = False
    name: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields that are not at their default; equal tasks give equal documents."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @property
    def experiments(self) -> tuple[str, ...]:
        """Names or files of the data."""
        return (self.name,) if self.analysis is None else self.analysis.experiments


class Answer(Model):
    """What a task gives.

    Attributes:
        results: typed results. model: name of the hypothesis. provenance: weakest of any input.
        physical, strengths: parameters of the hypothesis, to tell them from nuisances.
        gain: how much -2 log L improves over the hypothesis without a signal.
        document: of tasks that make one (a workspace with its manifest, an experiment).
        problem: why there is no answer, in one line; such an answer has nothing else.
    """

    results: tuple[AnyResult, ...] = ()
    model: str = ""
    provenance: str = ""
    physical: tuple[str, ...] = ()
    strengths: tuple[str, ...] = ()
    gain: float | None = None
    document: dict[str, Any] | None = None
    problem: str | None = None


def identity(task: Task) -> str:
    """SHA-256 of the question, its inputs and the code and packages that answer it.

    Raises:
        HistnuError: if an input cannot be read.
    """
    inputs = {name: experiment_inputs(name) for name in task.experiments}
    model = {} if task.analysis is None else _model_inputs(task.analysis)
    return digest([task.to_json(), inputs, model, numerics()])


@lru_cache(maxsize=64)
def experiment_inputs(name: str) -> dict[str, Any]:
    """What identifies the data of an experiment.

    Experiments of the package are part of :func:`numerics`; a file is known by the SHA-256 of
    what it reads, a public release by names, sizes and times of its files.

    Raises:
        DataError: if a release is absent.
    """
    path = installed_files("experiments/*/experiment.yaml").get(name)
    if path is not None and path.is_relative_to(data_path("")):
        return {}
    if name in BUILDERS:
        return {r: _folder_stamp(find_release(r)) for r in BUILDERS[name].releases}
    return dict(load_experiment(name).files)


def _folder_stamp(folder: Path) -> str:
    """SHA-256 of names, sizes and modification times of all files of a folder."""
    try:
        found = [(p, p.stat()) for p in sorted(folder.rglob("*")) if p.is_file()]
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise DataError(located(folder, "", problem, "fetch the release again")) from None
    lines = (f"{p.relative_to(folder)} {s.st_size} {s.st_mtime_ns}" for p, s in found)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _model_inputs(analysis: Analysis) -> dict[str, str]:
    """What identifies a hypothesis that is not the package's: its table or its source file."""
    if analysis.model.table is not None:
        return {"table": _digest(Path(analysis.model.table))}
    found = entries(MODELS)
    entry = found.get(analysis.model.name)
    if entry is None or entry.module.startswith("histnu."):
        return {}
    release = "" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    source = getsourcefile(entry.load())
    return {"release": release, "source": "" if source is None else _digest(Path(source))}


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise DataError(located(path, "", problem, "check the path")) from None


@lru_cache(maxsize=1)
def numerics() -> str:
    """SHA-256 of the package's code and tables that make numbers, and of the versions used.

    Any change of them makes every question new; a change of prose, tables or figures none.
    """
    root = data_path("").parent
    parts = [f"{k} {v}" for k, v in sorted(versions().items())]
    for path in sorted(root.rglob("*")):
        where = path.relative_to(root)
        if path.is_file() and _makes_numbers(where):
            parts.append(f"{where.as_posix()} {file_digest(path)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _makes_numbers(where: Path) -> bool:
    if "__pycache__" in where.parts or where.parts[0] in OUTSIDE:
        return False
    if where.parts[0] == "studies":
        return where.name in INSIDE_STUDIES
    return where.parts[:2] not in (("data", "studies"), ("data", "schemas"))
