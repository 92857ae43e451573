"""Typed rows of ``results.json``: an answer with its place in a study and the published number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import Field

from histnu.core.units import column_name
from histnu.studies.plan import Planned
from histnu.studies.schema import (
    AgreementQuestion,
    BoundQuestion,
    MassCurveQuestion,
    MedianQuestion,
    ProfileQuestion,
    Published,
    RatesQuestion,
    RegionQuestion,
    SpectrumQuestion,
    VariationQuestion,
)
from histnu.studies.tasks import Answer, Task
from histnu.verbs.envelope import Axis, Envelope, Model, Numbers, Segment
from histnu.verbs.results import Bound, ChannelCounts, Estimate, MassCurve

Json = dict[str, Any]


class Row(Model):
    """What all rows have in common.

    Attributes:
        id: of what was asked. experiment: label of the data set. model: hypothesis.
        tags: fields that the study adds, written as fields of the row.
    """

    id: str
    experiment: str
    model: str
    provenance: str
    tags: dict[str, str] = Field(default_factory=dict)

    def to_json(self) -> Json:
        """The row as it is written, with its tags."""
        row = super().to_json()
        return {**row, **row.pop("tags")}


class PublishedEntry(Model):
    """A published bound beside ours: ends, equation, what it was obtained from, reference."""

    lower: float | None
    upper: float
    eq: str | None
    experiment: str
    source: str


class EndsPair(Model):
    """Two ends, or at several values a lower and an upper curve."""

    lower: float | None
    upper: float | tuple[float | None, ...] | None


class BoundRow(Row):
    """A bound.

    Attributes:
        nuisances: at the best fit, in standard deviations. best_fit_all: physical parameters.
        delta_sm: how much -2 log L improves over no signal, where that was asked of several
            parameters together.
        expected: Asimov sensitivity. equal_to: id of the row it is equal to by a symmetry.
        ratio: upper end over the published one.
    """

    parameter: str
    method: str
    engine: str
    interpolation: str
    correction: str
    cl: float
    dof: int | None
    unit: str
    data: str
    held: dict[str, float]
    lower: float | None
    upper: float | None
    intervals: tuple[Segment, ...]
    best_fit: float
    best_fit_all: dict[str, float] | None
    delta_sm: float | None
    twice_nll: float
    nuisances: dict[str, float]
    converged: bool
    certified: bool | None
    expected: EndsPair | None
    equal_to: str | None
    published: PublishedEntry | None
    ratio: float | None


class ProfileRow(Row):
    """A profile: Delta chi^2 at values of a parameter, None where the likelihood is undefined."""

    parameter: str
    unit: str
    values: Numbers
    delta_chi2: tuple[float | None, ...]


class RegionRow(Row):
    """A region of two parameters."""

    cl: float
    dof: int
    x: Axis
    y: Axis
    best_fit: tuple[float, float]
    polylines: tuple[tuple[tuple[float, float], ...], ...]


class MassCurveRow(Row):
    """The allowed set against a held parameter, written as ``m4_mev`` for ``m4`` in MeV."""

    parameter: str
    method: str
    engine: str
    cl: float
    dof: int
    unit: str
    x: Axis
    values: Numbers
    allowed: tuple[tuple[Segment, ...] | None, ...] = ()
    lower: tuple[float | None, ...] | None
    upper: tuple[float | None, ...]
    best_fit: float
    best_fit_x: float
    expected: EndsPair | None
    equal_to: str | None
    base: dict[str, Any] = Field(default_factory=dict)
    published: None = None
    ratio: None = None

    def to_json(self) -> Json:
        """The row with the values named after the held parameter and its unit."""
        row = super().to_json()
        name = column_name(self.x.name, self.x.unit)
        row[name], row[f"best_fit_{name}"] = row.pop("values"), row.pop("best_fit_x")
        return {**row, **row.pop("base")}


class RatesRow(Row):
    """Events per bin and the fitted strength of the Standard Model signal."""

    channels: tuple[ChannelCounts, ...]
    flux_cm2_s: float | None
    strength: Estimate


class AgreementRow(Row):
    """Agreement of background and Standard Model with the data."""

    bins: int
    observed: float
    expected_signal: float
    expected_background: float
    chi2: float
    chi2_per_bin: float
    nuisances: dict[str, float]
    strength: Estimate


class SpectrumRow(Row):
    """Counts and expectations per bin, and a signal at its limit."""

    parameter: str
    unit: str
    value: float
    channels: tuple[ChannelCounts, ...]
    signal: tuple[Numbers, ...]


class VariationRow(Row):
    """Bounds under one alternative of an assumption.

    Attributes:
        assumption: what is varied, ``alternative`` which of its alternatives.
        lower, upper: by parameter. shift: of the upper ends, relative to ours without it.
    """

    assumption: str
    alternative: int
    cl: float
    dof: int
    lower: dict[str, float | None]
    upper: dict[str, float | None]
    shift: dict[str, float | None]


class NoAnswerRow(Model):
    """A question that has no answer.

    Attributes:
        question: kind, parameters and data set. held: parameters held at values.
        problem: why, in one line.
    """

    question: str
    held: dict[str, float]
    problem: str


def unanswered(question: str, task: Task, answer: Answer) -> NoAnswerRow:
    """The row of a question that has no answer."""
    return NoAnswerRow(question=question, held=task.held, problem=answer.problem or "")


R = TypeVar("R", bound=Row)


def row_of(
    kind: type[R], item: Planned, answer: Answer, identifier: str, found: Envelope, **more: Any
) -> R:
    """A row with its place in the study, ``more``, and the fields it shares with a result."""
    shared = set(kind.model_fields) - set(Row.model_fields) - set(more)
    return kind(
        id=identifier,
        experiment=item.data,
        model=answer.model,
        provenance=answer.provenance,
        tags=item.question.tags,
        **found.model_dump(include=shared),
        **more,
    )


def published_entry(item: Planned, identifier: str) -> PublishedEntry | None:
    """The published number that a bound is compared with: same id, level, and data set."""
    for p in item.published if item.task.data == "observed" else ():
        compared = p.compare or (p.data,)
        same = (p.id, p.cl, p.dof) == (identifier, item.task.cl, item.task.dof)
        same &= item.task.held == p.held
        if same and item.data in compared:
            return _entry(p)
    return None


def _entry(p: Published) -> PublishedEntry:
    return PublishedEntry(lower=p.lower, upper=p.upper, eq=p.eq, experiment=p.data, source=p.source)


def _ratio(upper: float | None, published: PublishedEntry | None) -> float | None:
    return None if published is None or upper is None else upper / published.upper


def _sensitivity(answer: Answer) -> EndsPair | None:
    """The Asimov answer beside the observed one."""
    for found in answer.results[1:]:
        if isinstance(found, Bound) and found.data == "asimov":
            return EndsPair(lower=found.lower, upper=found.upper)
    return None


def bound_row(item: Planned, answer: Answer) -> BoundRow:
    """The row of a bound."""
    found = answer.results[0]
    if not isinstance(found, Bound) or item.task.analysis is None:
        raise TypeError(f"{item.label}: not a bound")
    published = published_entry(item, found.parameter)
    several = any(p in found.parameters for p in answer.physical)
    known = {*answer.physical, *answer.strengths, found.parameter}
    best = {p: found.parameters.get(p, 0.0) for p in answer.physical}  # zero: left out
    return row_of(
        BoundRow, item, answer, found.parameter, found,
        interpolation=item.task.analysis.interpolation,
        correction=item.task.analysis.correction,
        best_fit_all=best if several else None,
        delta_sm=answer.gain,
        nuisances={k: v for k, v in sorted(found.parameters.items()) if k not in known},
        expected=_sensitivity(answer),
        equal_to=None,
        published=published,
        ratio=_ratio(found.upper, published),
    )  # fmt: skip


def _bounds(item: Planned, answer: Answer) -> Iterator[Row]:
    """The bound, and the copies that a symmetry makes equal to it."""
    row = bound_row(item, answer)
    yield row
    copies = item.question.copies if isinstance(item.question, BoundQuestion) else {}
    for name, original in copies.items():
        if original == row.parameter:
            published = published_entry(item, name)
            yield row.model_copy(
                update={
                    "id": name,
                    "parameter": name,
                    "equal_to": original,
                    "published": published,
                    "ratio": _ratio(row.upper, published),
                }
            )


def _rows(
    kind: type[Row], identify: Callable[[Planned, Any], str], **renamed: str
) -> Callable[[Planned, Answer], Iterator[Row]]:
    """One row for every result of an answer.

    Args:
        kind: of the rows. identify: their id. renamed: field of the row -> field of the result.
    """

    def make(item: Planned, answer: Answer) -> Iterator[Row]:
        for found in answer.results:
            if isinstance(found, Envelope):
                more = {name: getattr(found, field) for name, field in renamed.items()}
                yield row_of(kind, item, answer, identify(item, found), found, **more)

    return make


def _mass_curves(item: Planned, answer: Answer) -> Iterator[Row]:
    """One row per parameter, and the copies."""
    question = item.question
    if not isinstance(question, MassCurveQuestion):
        raise TypeError(f"{item.label}: not a mass curve")
    curves = [r for r in answer.results if isinstance(r, MassCurve)]
    observed = {r.parameter: r for r in curves if r.data == "observed"}
    asimov = {r.parameter: r for r in curves if r.data == "asimov"}
    for name, identifier in question.parameters.items():
        original = question.copies.get(name, name)
        found, expected = observed[original], asimov.get(original)
        yield row_of(
            MassCurveRow, item, answer, identifier, found,
            parameter=name,
            lower=found.lower if any(v is not None for v in found.lower) else None,
            expected=None if expected is None else EndsPair(lower=None, upper=expected.upper),
            equal_to=None if original == name else question.parameters.get(original),
            base=in_base_unit(found) if question.base_unit else {},
        )  # fmt: skip


def in_base_unit(found: MassCurve) -> Json:
    """Ends without the power of ten of their unit: ``upper_mu_b`` for ``1e-11 mu_B``."""
    power, _, unit = found.unit.partition(" ")
    factor, name = float(power), unit.lower()
    return {
        f"upper_{name}": [None if u is None else u * factor for u in found.upper],
        f"best_fit_{name}": found.best_fit * factor,
    }


MAKERS: Mapping[type, Callable[[Planned, Answer], Iterator[Row]]] = {
    BoundQuestion: _bounds,
    MedianQuestion: _bounds,
    ProfileQuestion: _rows(
        ProfileRow, lambda item, found: str(found.parameter), delta_chi2="delta_twice_nll"
    ),
    RegionQuestion: _rows(RegionRow, lambda item, found: f"{found.x.name}-{found.y.name}"),
    MassCurveQuestion: _mass_curves,
    RatesQuestion: _rows(RatesRow, lambda item, found: "rates"),
    AgreementQuestion: _rows(AgreementRow, lambda item, found: "agreement"),
    SpectrumQuestion: _rows(SpectrumRow, lambda item, found: item.data),
}


def rows_of(items: Sequence[Planned], answers: Sequence[Answer]) -> dict[str, list[Row]]:
    """Rows of all questions that have an answer by section, in the order of the study."""
    sections: dict[str, list[Row]] = {}
    varied: list[tuple[Planned, Answer]] = []
    for item, answer in zip(items, answers, strict=True):
        rows = sections.setdefault(item.section, [])
        if answer.problem:
            continue
        if isinstance(item.question, VariationQuestion):
            varied.append((item, answer))
        else:
            rows += MAKERS[type(item.question)](item, answer)
    ours = [r for rows in sections.values() for r in rows if isinstance(r, BoundRow)]
    for section, row in variation_rows(varied, ours):
        sections[section].append(row)
    return sections


def variation_rows(
    varied: Sequence[tuple[Planned, Answer]], ours: Sequence[BoundRow]
) -> Iterator[tuple[str, VariationRow]]:
    """One row per alternative and data set, with the parameters of all its answers."""
    groups: dict[tuple[str, str, int, str], list[tuple[Planned, Answer]]] = {}
    for item, answer in varied:
        if item.assumption is not None:
            assumption, alternative = item.assumption
            key = (item.section, assumption.label, alternative, item.data)
            groups.setdefault(key, []).append((item, answer))
    for (section, label, alternative, data), members in groups.items():
        bounds = [bound_row(item, answer) for item, answer in members]
        first = members[0][0]
        named = None if first.assumption is None else first.assumption[0].id
        nominal = {b.parameter: _nominal(b, ours) for b in bounds}
        yield (
            section,
            VariationRow(
                id=named or label,
                experiment=data,
                model=bounds[0].model,
                provenance=bounds[0].provenance,
                tags=first.question.tags,
                assumption=label,
                alternative=alternative,
                cl=bounds[0].cl,
                dof=bounds[0].dof or 1,
                lower={b.parameter: b.lower for b in bounds},
                upper={b.parameter: b.upper for b in bounds},
                shift={b.parameter: _shift(b.upper, nominal[b.parameter]) for b in bounds},
            ),
        )


def _nominal(row: BoundRow, ours: Sequence[BoundRow]) -> float | None:
    """Our upper end without the change: the first row of the same question."""

    def key(b: BoundRow) -> tuple[Any, ...]:
        return (b.parameter, b.experiment, b.data, b.cl, b.dof, b.interpolation, b.correction)

    return next((b.upper for b in ours if key(b) == key(row) and b.engine == row.engine), None)


def _shift(upper: float | None, nominal: float | None) -> float | None:
    return None if not upper or not nominal else upper / nominal - 1.0
