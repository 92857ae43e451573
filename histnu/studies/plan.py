"""From a study to tasks: every question with every data set, parameter, level and choice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from histnu.analysis.hypothesis import signal_model
from histnu.analysis.schema import Analysis, load_analysis
from histnu.core.errors import ConfigError, DataError, located
from histnu.core.forms import explain
from histnu.studies.changes import function_of
from histnu.studies.schema import (
    FILE,
    AgreementQuestion,
    AnyQuestion,
    Assumption,
    BoundQuestion,
    LoadedStudy,
    MassCurveQuestion,
    MedianQuestion,
    ProfileQuestion,
    Published,
    Question,
    RatesQuestion,
    RegionQuestion,
    SpectrumQuestion,
    Study,
    VariationQuestion,
    load_study,
    values_of,
)
from histnu.studies.tasks import Task, experiment_inputs
from histnu.verbs.envelope import Axis


@dataclass(frozen=True)
class Settings:
    """What a user changes of a study.

    Attributes:
        analysis: fields of all analyses (``interpolation``, ``correction``).
        replaced: experiment -> experiment or file that takes its place.
        engine: of the bounds; the study's if None.
        options: questions that are asked only with these (``--with``).
    """

    analysis: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    engine: str | None = None
    options: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Planned:
    """A task and where its answer belongs.

    Attributes:
        section: list of the results. data: label of the data set.
        question: that it comes from. published: numbers it may be compared with.
        assumption: what is varied, and which of its alternatives.
    """

    task: Task
    section: str
    data: str
    question: AnyQuestion
    published: tuple[Published, ...] = ()
    assumption: tuple[Assumption, int] | None = None

    @property
    def label(self) -> str:
        """For progress bars."""
        words = [self.task.kind, *self.task.parameters, self.data]
        if self.assumption is not None:
            words.append(f"({self.assumption[0].label})")
        return " ".join(words)


@dataclass
class Plan:
    """All tasks of a study.

    Attributes:
        items: tasks in the order of the study. skipped: data set -> why it is left out.
        studies: the study and those it includes.
        experiments: the data that are used. workspaces: likelihoods to write, by folder name.
    """

    items: list[Planned] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    studies: list[Study] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    workspaces: dict[str, Task] = field(default_factory=dict)


def plan(loaded: LoadedStudy, settings: Settings) -> Plan:
    """Every task of a study and of those it includes.

    Raises:
        HistnuError: for anything wrong in the study, its analyses or its data.
    """
    known = _options(loaded.study)
    unknown = sorted(settings.options - known)
    if unknown:
        have = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"study {loaded.study.name} has no option {unknown[0]!r}; options: {have}"
        )
    result = Plan()
    _Planner(loaded, settings, result).run()
    for include in loaded.study.include:
        if include.when is None or include.when in settings.options:
            _Planner(load_study(include.study), settings, result).run()
    return result


def _options(study: Study) -> set[str]:
    """Options that a study knows."""
    named = [*(q.when for q in study.questions), *(i.when for i in study.include)]
    return {name for name in named if name is not None}


class _Planner:
    """Expands the questions of one study."""

    def __init__(self, loaded: LoadedStudy, settings: Settings, result: Plan) -> None:
        self.loaded, self.study = loaded, loaded.study
        self.settings, self.result = settings, result

    def run(self) -> None:
        """Add all tasks to the plan."""
        self.result.studies.append(self.study)
        for question in self.study.questions:
            if question.when is None or question.when in self.settings.options:
                self._ask(question)
        for name in self.study.experiments:
            self._describe(name)
        for section in self.study.workspaces:
            labels = section.data or tuple(self.study.analyses[section.analyses])
            for label in labels:
                self._workspace(self._analysis(section.analyses, label), section.held)

    def _describe(self, name: str) -> None:
        """Add an experiment that is only described, if its data are here."""
        try:
            experiment_inputs(name)
        except DataError as error:
            self.result.skipped[name] = str(error)
            return
        if name not in self.result.experiments:
            self.result.experiments.append(name)

    def _ask(self, question: AnyQuestion) -> None:
        """Add the tasks of one question; of optional ones those whose data are here."""
        for label in question.data or tuple(self.study.analyses[question.analyses]):
            analysis = self._analysis(question.analyses, label)
            try:
                for name in analysis.experiments:
                    experiment_inputs(name)
            except DataError as error:
                if not question.optional:
                    raise
                self.result.skipped[label] = str(error)
                continue
            new = [e for e in analysis.experiments if e not in self.result.experiments]
            self.result.experiments += new
            for variant in _variants(analysis, question):
                self._add(question, label, variant)

    def _add(self, question: AnyQuestion, label: str, analysis: Analysis) -> None:
        for task, assumption in EXPAND[type(question)](question, analysis):
            if assumption is not None and not _applies(task):
                continue
            update: dict[str, Any] = {"seed": _seed(self.study.seed, task)}
            if task.kind == "bound" and task.engine == "":
                update["engine"] = self.settings.engine or self.study.engine
            done = task.model_copy(update=update)
            self.result.items.append(
                Planned(done, question.section, label, question, self.study.published, assumption)
            )

    def _workspace(self, analysis: Analysis, held: Mapping[str, float]) -> None:
        units = {h.name: h.unit for h in signal_model(analysis.model).held}
        words = [analysis.name, *(f"{k}_{v:g}{units.get(k, '')}" for k, v in held.items())]
        name = "_".join(words)
        named = analysis.model_copy(update={"name": name})
        self.result.workspaces[name] = Task(kind="workspace", analysis=named, held=dict(held))

    def _analysis(self, group: str, label: str) -> Analysis:
        """An analysis of the study with the settings of study and user.

        Raises:
            ConfigError: if the analysis or a setting is wrong.
        """
        given = self.study.analyses[group][label]
        if isinstance(given, Analysis):
            found = _near(given, self.loaded.folder)
        else:
            is_file = Path(given).suffix in {".yaml", ".yml"}
            found = load_analysis(self.loaded.folder / given if is_file else given)
        names = tuple(self.settings.replaced.get(e, e) for e in found.experiments)
        changes = {**self.study.settings, **self.settings.analysis, "experiments": names}
        return with_fields(found, changes, self.loaded.folder / FILE)


def _near(analysis: Analysis, folder: Path) -> Analysis:
    """An analysis written in a study: its experiment files are beside the study."""
    names = (str(folder / e) if e.endswith((".yaml", ".yml")) else e for e in analysis.experiments)
    return analysis.model_copy(update={"experiments": tuple(names)})


def with_fields(analysis: Analysis, changes: Mapping[str, Any], path: Path) -> Analysis:
    """An analysis with other fields, checked as if it had been written so.

    Raises:
        ConfigError: for an unknown field or a value that is not allowed.
    """
    document = {**analysis.model_dump(by_alias=True), **changes}
    try:
        return Analysis.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"settings: {explain(path, error)}") from None


def _variants(analysis: Analysis, question: Question) -> Iterator[Analysis]:
    """The analysis, or where a question lists settings, each that differs from it.

    Raises:
        ConfigError: for a setting that the analysis does not know.
    """
    if not question.settings:
        yield analysis
    for name, values in question.settings.items():
        if name not in type(analysis).model_fields:
            raise ConfigError(located(None, f"settings.{name}", "is no field of an analysis", ""))
        for value in values:
            if value != getattr(analysis, name):
                yield analysis.model_copy(update={name: value})


def _seed(seed: int, task: Task) -> int:
    """A seed of its own for every question that draws random numbers; zero for others."""
    if "toys" not in task.method:
        return 0
    names = [str(seed), task.analysis.name if task.analysis else "", *task.parameters]
    return int.from_bytes(hashlib.sha256("\n".join(names).encode()).digest()[:4], "big")


def _applies(task: Task) -> bool:
    """Whether the experiments that are changed are part of the analysis (not replaced)."""
    names = set(task.experiments)
    return all(c.experiment is None or c.experiment in names for c in task.changes)


Expanded = Iterator[tuple[Task, tuple[Assumption, int] | None]]


def _bounds(q: BoundQuestion, analysis: Analysis) -> Expanded:
    names = tuple(q.tie) or q.parameters
    points = product(*(values_of(v) for v in q.at.values()))
    helds = [{**q.held, **dict(zip(q.at, point, strict=True))} for point in points]
    for held, level, name, engine in product(helds, q.levels, names, q.engines or ("",)):
        yield (
            Task(
                kind="bound",
                analysis=analysis,
                parameters=(name,),
                cl=level.cl,
                dof=level.dof,
                method=q.method,
                engine=engine,
                n_toys=q.n_toys,
                held=held,
                others=q.others,
                tie=q.tie,
                search=q.search,
                expected=q.expected,
            ),
            None,
        )


def _medians(q: MedianQuestion, analysis: Analysis) -> Expanded:
    for name in q.parameters:
        yield (
            Task(
                kind="bound",
                analysis=analysis,
                parameters=(name,),
                cl=q.level.cl,
                dof=q.level.dof,
                held=q.held,
                data="asimov",
            ),
            None,
        )


def _profiles(q: ProfileQuestion, analysis: Analysis) -> Expanded:
    for name, values in q.parameters.items():
        grids = (values_of(values),)
        task = Task(
            kind="profile",
            analysis=analysis,
            parameters=(name,),
            grids=grids,
            held=q.held,
            others=q.others,
        )
        yield task, None


def _regions(q: RegionQuestion, analysis: Analysis) -> Expanded:
    for plane in q.planes:
        missing = [name for name in plane if name not in q.axes]
        if missing:
            raise ConfigError(f"region {'-'.join(plane)}: axes has no values for {missing[0]}")
        task = Task(
            kind="region",
            analysis=analysis,
            parameters=plane,
            cl=q.level.cl,
            dof=q.level.dof,
            held=q.held,
            grids=tuple(values_of(q.axes[name]) for name in plane),
        )
        yield task, None


def _mass_curves(q: MassCurveQuestion, analysis: Analysis) -> Expanded:
    task = Task(
        kind="mass_curve",
        analysis=analysis,
        parameters=tuple(p for p in q.parameters if p not in q.copies),
        cl=q.level.cl,
        dof=q.level.dof,
        grids=(values_of(q.values),),
        x=Axis(name=q.x),
        refine=q.refine,
        expected=q.expected,
    )
    yield task, None


def _rates(q: RatesQuestion, analysis: Analysis) -> Expanded:
    yield Task(kind="rates", analysis=analysis, cl=q.cl), None


def _agreements(q: AgreementQuestion, analysis: Analysis) -> Expanded:
    yield Task(kind="agreement", analysis=analysis, cl=q.cl), None


def _spectra(q: SpectrumQuestion, analysis: Analysis) -> Expanded:
    parameters, level = (q.parameter,), q.level
    yield (
        Task(kind="spectrum", analysis=analysis, parameters=parameters, cl=level.cl, dof=level.dof),
        None,
    )


def _variations(q: VariationQuestion, analysis: Analysis) -> Expanded:
    for assumption in q.assumptions:
        for i, changes in enumerate(assumption.alternatives):
            for change in changes:
                function_of(change.name)
            for name in q.parameters:
                task = Task(
                    kind="bound",
                    analysis=analysis,
                    parameters=(name,),
                    cl=q.level.cl,
                    dof=q.level.dof,
                    search=q.search,
                    changes=changes,
                )
                yield task, (assumption, i)


EXPAND: Mapping[type[Question], Any] = {
    BoundQuestion: _bounds,
    MedianQuestion: _medians,
    ProfileQuestion: _profiles,
    RegionQuestion: _regions,
    MassCurveQuestion: _mass_curves,
    RatesQuestion: _rates,
    AgreementQuestion: _agreements,
    SpectrumQuestion: _spectra,
    VariationQuestion: _variations,
}


def of_experiment(name: str) -> Task:
    """The task that describes an experiment."""
    return Task(kind="experiment", name=name)
