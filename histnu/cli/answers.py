"""What verbs say of a result: the region in words, what was held, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histnu.cli.common import numbers

if TYPE_CHECKING:
    from histnu.inference.results import Segment
    from histnu.targets import Question, Target

UNCERTIFIED = "NOT CERTIFIED: a fit did not converge, or no two starts agree on its minimum"


def asked_of(target: Target, question: Question, engine: str) -> dict[str, Any]:
    """What was asked, for the JSON of every verb."""
    return {
        "target": target.name,
        "parameter": question.asked,
        "unit": question.unit,
        "measurement": question.measurement,
        "held": dict(target.held),
        "fixed": dict(question.fixed),
        "engine": engine,
        "provenance": target.provenance,
    }


def marks(target: Target, question: Question, certified: bool) -> str:
    """What was held and chosen, provenance, and a warning; for the end of a line of text."""
    parts = [f"{name} = {value:g}" for name, value in {**target.held, **question.fixed}.items()]
    if question.taken:
        others = ", ".join(p for p in target.pois if p != question.asked)
        parts.append(f"measurement {question.measurement} was taken; --poi takes {others}")
    text = "".join(f"; {p}" for p in parts)
    if target.provenance:
        text += f" [{target.provenance} inputs]"
    return text if certified else f"{text} [{UNCERTIFIED}]"


def segments_of(question: Question, segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """The segments of a region in the units of what was asked."""
    return [
        {
            "lower": question.value(s.lower),
            "upper": question.value(s.upper),
            "lower_end": s.lower_end,
            "upper_end": s.upper_end,
        }
        for s in segments
    ]


def region_text(segments: Sequence[dict[str, Any]], unit: str = "") -> str:
    """A region in words: ``[0.2, 1.1]``, ``< 1.086``, or several segments joined by ``or``.

    >>> ends = {"lower_end": "bound", "upper_end": "crossing"}
    >>> region_text([{"lower": 0.0, "upper": 1.086, **ends}], "mu_B")
    '< 1.086 mu_B (down to its bound 0)'
    """
    unit = f" {unit}" if unit else ""
    if not segments:
        return "no value is allowed"
    if len(segments) > 1:
        return " or ".join(f"[{_end(s, 'lower')}, {_end(s, 'upper')}]" for s in segments) + unit
    one = segments[0]
    lower, upper = (one[f"{side}_end"] in ("crossing", "edge") for side in ("lower", "upper"))
    if lower and upper:
        return f"[{_end(one, 'lower')}, {_end(one, 'upper')}]{unit}"
    if upper:
        return f"< {numbers(one['upper'])}{unit}{_bound(one, 'lower', 'down')}"
    if lower:
        return f"> {numbers(one['lower'])}{unit}{_bound(one, 'upper', 'up')}"
    return f"[{_end(one, 'lower')}, {_end(one, 'upper')}]{unit}: no value is excluded"


def _bound(segment: dict[str, Any], side: str, direction: str) -> str:
    if segment[f"{side}_end"] != "bound":
        return ""
    return f" ({direction} to its bound {numbers(segment[side])})"


def _end(segment: dict[str, Any], side: str) -> str:
    value = numbers(segment[side])
    if segment[f"{side}_end"] == "edge":
        return f"{value} (a rate is negative beyond)"
    return f"its bound {value}" if segment[f"{side}_end"] == "bound" else value
