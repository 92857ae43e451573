"""What a study's ``study.yaml`` may say (schema ``histnu-study/1``), and how one is found.

A study is a folder with ``study.yaml`` and ``report.md``. The JSON Schema of the file is in the
package (``data/schemas/study.json``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from histnu.analysis.schema import Analysis
from histnu.core.errors import ConfigError, located
from histnu.core.forms import read_form
from histnu.core.tables import data_path

SCHEMA = "histnu-study/1"
FILE, REPORT = "study.yaml", "report.md"
Others = Literal["profiled", "zero"] | None
"""The companions of a parameter that is asked; None: as the model says."""
Word = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_]+$")]


class Strict(BaseModel):
    """A section of a study: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Level(Strict):
    """Confidence level and degrees of freedom of a threshold on -2 log L."""

    cl: float = Field(default=0.9, gt=0, lt=1)
    dof: int = Field(default=1, ge=1)


class Range(Strict):
    """``points`` values from ``start`` to ``stop``, linear or logarithmic."""

    start: float
    stop: float
    points: int = Field(ge=2)
    spacing: Literal["linear", "log"] = "linear"

    def values(self) -> tuple[float, ...]:
        """The values."""
        space = np.geomspace if self.spacing == "log" else np.linspace
        return tuple(float(v) for v in space(self.start, self.stop, self.points))


Values = Range | tuple[float, ...]


def values_of(values: Values) -> tuple[float, ...]:
    """The numbers of a range or a list."""
    return values.values() if isinstance(values, Range) else values


class SearchSection(Strict):
    """How hard to look for the minimum of a likelihood with interference."""

    starts: int | None = Field(default=None, ge=1)
    linear_points: int | None = Field(default=None, ge=2)


class DataSet(Strict):
    """How a data set is called and drawn; a broad ``linewidth`` lies below narrower lines."""

    title: str
    legend: str | None = None
    color: str | None = None
    linewidth: float | None = Field(default=None, gt=0)
    linestyle: str | tuple[float, tuple[float, ...]] = "-"


class Parameter(Strict):
    """How a parameter is written in tables and on axes.

    Attributes:
        sides: ``one`` where only the size is bounded (``< 1.9``).
        unit_latex: unit on an axis; the parameter's unit if absent.
    """

    symbol: str
    latex: str | None = None
    sides: Literal["one", "two"] = "two"


class Published(Strict):
    """A published bound.

    Attributes:
        held: values of held parameters that it belongs to.
        id: of our row. data: what it was obtained from. compare: data sets of ours it is
            compared with (``data`` alone if absent).
        eq: equation in the paper. source: reference.
    """

    id: str
    data: Word
    unit: str
    lower: float | None = None
    upper: float
    cl: float = 0.9
    dof: int = 1
    compare: tuple[Word, ...] = ()
    held: dict[str, float] = Field(default_factory=dict)
    eq: str | None = None
    source: str


class Change(Strict):
    """A change of an experiment, by the name of a function that is registered for it.

    Attributes:
        name: see :data:`histnu.studies.changes.CHANGES`.
        experiment: the one it is applied to; all of the analysis if absent.
        options: of the function.
    """

    name: Word
    experiment: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Assumption(Strict):
    """An assumption that is varied alone; each alternative is one or more changes."""

    label: str
    id: str | None = None
    alternatives: tuple[tuple[Change, ...], ...] = Field(min_length=1)


class Question(Strict):
    """What all questions have in common.

    Attributes:
        section: list of ``results.json`` that the answers go to.
        analyses: a group of the study. data: data sets of it; all if absent.
        settings: fields of the analyses with alternative values; each value that differs from
            the analysis' own is asked in turn.
        held: parameters held at values (the mass of a new state).
        tags: further fields of the rows. when: asked only with this option (``--with``).
        optional: analyses whose public release is absent are skipped, and named.
    """

    section: Word
    analyses: Word
    data: tuple[Word, ...] | None = None
    settings: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    held: dict[str, float] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    when: Word | None = None
    optional: bool = False


class BoundQuestion(Question):
    """Confidence intervals.

    Attributes:
        parameters: bounded one at a time. levels: asked in turn.
        method: ``profile``, ``cls``, ``cls-toys`` or ``toys``. engines: the study's if absent.
        others: the other physical parameters are profiled, or zero; as the model says if absent.
        tie: new parameter -> physical parameters that are all equal to it.
        at: held parameters (a mass) -> values; asked at each.
        expected: also the Asimov sensitivity.
        copies: parameter -> one of ``parameters`` with the same interval by a symmetry.
    """

    kind: Literal["bound"]
    parameters: tuple[str, ...] = Field(min_length=1)
    levels: tuple[Level, ...] = (Level(),)
    method: Literal["profile", "cls", "cls-toys", "toys"] = "profile"
    n_toys: int = Field(default=1000, ge=10)
    engines: tuple[Literal["batched", "pyhf", "pyhf-scipy"], ...] = ()
    others: Others = None
    tie: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    at: dict[str, Values] = Field(default_factory=dict)
    search: SearchSection = SearchSection()
    expected: bool = False
    copies: dict[str, str] = Field(default_factory=dict)


class MedianQuestion(Question):
    """Bounds expected without a signal (Asimov data set), as rows of their own."""

    kind: Literal["median"]
    parameters: tuple[str, ...] = Field(min_length=1)
    level: Level = Level()


class ProfileQuestion(Question):
    """Profiles at given values: parameter -> values; ``others`` as for bounds."""

    kind: Literal["profile"]
    parameters: dict[str, Values] = Field(min_length=1)
    others: Others = None


class RegionQuestion(Question):
    """Regions of two parameters; ``axes`` gives the grid of each."""

    kind: Literal["region"]
    planes: tuple[tuple[str, str], ...] = Field(min_length=1)
    axes: dict[str, Values]
    level: Level = Level(dof=2)


class MassCurveQuestion(Question):
    """Upper ends against a held parameter.

    Attributes:
        x: the held parameter. values: where, in its unit. refine: how often values are added
            where a curve bends, climbs or ends.
        parameters: parameter -> id of its rows. copies: as for bounds, parameter -> parameter.
        base_unit: also the ends in the unit without its power of ten (``upper_mu_b``).
    """

    kind: Literal["mass_curve"]
    x: Word
    values: Values
    refine: int = Field(default=0, ge=0, le=6)
    parameters: dict[str, str] = Field(min_length=1)
    level: Level = Level(dof=2)
    expected: bool = False
    copies: dict[str, str] = Field(default_factory=dict)
    base_unit: bool = False

    @model_validator(mode="after")
    def _same_values(self) -> MassCurveQuestion:
        if self.refine and self.expected:
            raise ValueError("refine: observed and expected curves need the same values; use 0")
        return self


class RatesQuestion(Question):
    """Events per bin, and the fitted strength of the Standard Model signal."""

    kind: Literal["rates"]
    cl: float = 0.6826894921370859


class AgreementQuestion(Question):
    """Deviance and pulls of background and Standard Model, and the strength of its signal."""

    kind: Literal["agreement"]
    cl: float = 0.6827


class SpectrumQuestion(Question):
    """Counts and expectations per bin, with a parameter at its own limit."""

    kind: Literal["spectrum"]
    parameter: str
    level: Level = Level()


class VariationQuestion(Question):
    """Bounds with one assumption changed at a time."""

    kind: Literal["variation"]
    parameters: tuple[str, ...] = Field(min_length=1)
    level: Level = Level()
    search: SearchSection = SearchSection()
    assumptions: tuple[Assumption, ...] = Field(min_length=1)


AnyQuestion = Annotated[
    BoundQuestion
    | MedianQuestion
    | ProfileQuestion
    | RegionQuestion
    | MassCurveQuestion
    | RatesQuestion
    | AgreementQuestion
    | SpectrumQuestion
    | VariationQuestion,
    Field(discriminator="kind"),
]


class WorkspaceSection(Strict):
    """Likelihoods of a group that are written beside the results."""

    analyses: Word
    data: tuple[Word, ...] | None = None
    held: dict[str, float] = Field(default_factory=dict)


class Include(Strict):
    """Questions of another study that are asked as well, with their published numbers."""

    study: str
    when: Word | None = None


class Panel(Strict):
    """One panel of a figure: the id of its rows, a title, ranges of its axes."""

    id: str
    title: str = ""
    xlim: tuple[float, float] | None = None


class FigureBase(Strict):
    """A figure.

    Attributes:
        section: rows that are drawn. panels: one per id. columns: panels in a row.
        size: of one panel in inches. data: order of the data sets; all that have rows if absent.
    """

    section: Word
    panels: tuple[Panel, ...] = Field(min_length=1)
    columns: int = Field(default=3, ge=1)
    size: tuple[float, float] = (4.5, 4.6)
    data: tuple[Word, ...] | None = None


class ProfileFigure(FigureBase):
    """Profiles with the threshold and the published ends."""

    kind: Literal["profiles"]
    level: Level = Level()
    ymax: float = 8.0


class RegionFigure(FigureBase):
    """Regions in planes of two parameters."""

    kind: Literal["regions"]


class MassCurveFigure(FigureBase):
    """Exclusion curves, logarithmic, without the unit's power of ten.

    Attributes:
        published: names of published limits (``histnu list published``) in MeV and mu_B.
    """

    kind: Literal["mass_curves"]
    ylabel: str
    published: tuple[Word, ...] = ()
    ylim: tuple[float, float]
    suffix: dict[str, str] = Field(default_factory=dict)


class SetFigure(FigureBase):
    """Allowed sets of bounds, one line per data set, in pieces where they come in pieces.

    ``level`` is that of the rows. ``unit`` counts all of them in one unit. With ``symlog`` the
    axis is logarithmic beyond that distance from zero.
    """

    kind: Literal["sets"]
    level: Level = Level()
    unit: str | None = None
    symlog: float | None = Field(default=None, gt=0)


class HeldFigure(FigureBase):
    """Ends of bounds against the parameter ``x`` that is held, logarithmic."""

    kind: Literal["held"]
    x: Word
    xlabel: str
    level: Level = Level()


class SpectrumFigure(FigureBase):
    """Data, prediction and a signal at its limit; the panels' ids are data sets."""

    kind: Literal["spectra"]


AnyFigure = Annotated[
    ProfileFigure | RegionFigure | MassCurveFigure | SetFigure | HeldFigure | SpectrumFigure,
    Field(discriminator="kind"),
]


class CancellingRecoil(Strict):
    """Recoil energy at which a charge cancels the weak charge of xenon; ``of`` is its path."""

    kind: Literal["cancelling_recoil"]
    of: str


class Crossing(Strict):
    """Where the first of two curves stops being the stronger one; paths of the two rows."""

    kind: Literal["crossing"]
    first: str
    second: str


AnyNumber = Annotated[CancellingRecoil | Crossing, Field(discriminator="kind")]


class Study(Strict):
    """A study.

    Attributes:
        data: label -> how a data set is called and drawn.
        analyses: group -> label of a data set -> name of an analysis, file, or analysis.
        settings: fields of every analysis (``interpolation``), as ``--interpolation`` changes
            them. engine: of all fits. seed: from which every question derives its own.
        experiments: further experiments that the report describes, where their data are here.
        titles: headline and closing notes are in ``report.md``.
    """

    schema_: Literal["histnu-study/1"] = Field(default="histnu-study/1", alias="schema")
    name: Word
    title: str
    reference: str
    data: dict[Word, DataSet]
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    analyses: dict[Word, dict[Word, str | Analysis]]
    settings: dict[str, str] = Field(default_factory=dict)
    engine: Literal["batched", "pyhf", "pyhf-scipy"] = "batched"
    seed: int = 0
    include: tuple[Include, ...] = ()
    questions: tuple[AnyQuestion, ...] = ()
    published: tuple[Published, ...] = ()
    numbers: dict[Word, AnyNumber] = Field(default_factory=dict)
    figures: dict[Word, AnyFigure] = Field(default_factory=dict)
    workspaces: tuple[WorkspaceSection, ...] = ()
    overlaps: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> Study:
        """Questions and workspaces name groups and data sets that exist."""
        for where, group, labels in self._uses():
            if group not in self.analyses:
                known = ", ".join(self.analyses)
                raise ValueError(f"{where}: unknown analyses {group!r}; known: {known}")
            unknown = sorted(set(labels or ()) - set(self.analyses[group]))
            if unknown:
                known = ", ".join(self.analyses[group])
                raise ValueError(f"{where}: unknown data {unknown[0]!r}; known: {known}")
        for group, members in self.analyses.items():
            unknown = sorted(set(members) - set(self.data))
            if unknown:
                raise ValueError(f"analyses.{group}: {unknown[0]!r} is not described in data")
        return self

    def _uses(self) -> Iterator[tuple[str, str, tuple[str, ...] | None]]:
        for i, q in enumerate(self.questions):
            yield f"questions.{i}", q.analyses, q.data
        for i, w in enumerate(self.workspaces):
            yield f"workspaces.{i}", w.analyses, w.data


@dataclass(frozen=True)
class LoadedStudy:
    """A study and the folder it was read from."""

    study: Study
    folder: Path

    @property
    def report(self) -> Path:
        """The prose."""
        return self.folder / REPORT


def builtin_studies() -> tuple[str, ...]:
    """Names of the studies of the package.

    >>> "deromeri2024" in builtin_studies()
    True
    """
    return tuple(sorted(p.parent.name for p in data_path("studies").glob(f"*/{FILE}")))


def load_study(name_or_path: str | Path) -> LoadedStudy:
    """A study of the package by name, or one of a folder (or of the ``study.yaml`` in it).

    Raises:
        ConfigError: for an unknown name, or a file that breaks the schema; every mistake is named.
    """
    text = str(name_or_path)
    if text in builtin_studies():
        return _read(data_path("studies") / text)
    path = Path(text)
    folder = path.parent if path.name == FILE else path
    if not (folder / FILE).is_file():
        known = ", ".join(builtin_studies())
        raise ConfigError(f"unknown study {text!r}; known: {known}; or give a folder with {FILE}")
    return _read(folder)


def _read(folder: Path) -> LoadedStudy:
    study = read_form(Study, folder / FILE, SCHEMA)
    if not (folder / REPORT).is_file():
        raise ConfigError(located(folder / REPORT, "", "does not exist", "write the study's prose"))
    return LoadedStudy(study, folder)
