"""What verbs say of a result: its envelope, what was held, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histnu.analysis.target import ParameterOfInterest, Target
    from histnu.verbs.envelope import Envelope

UNCERTIFIED = "NOT CERTIFIED: a fit did not converge, or no two starts agree on its minimum"


def asked_of(target: Target, interest: ParameterOfInterest, engine: str) -> dict[str, Any]:
    """What was asked, for the JSON of every verb."""
    return {
        "target": target.name,
        "parameter": interest.name,
        "unit": interest.unit,
        "measurement": interest.measurement,
        "held": dict(target.held),
        "fixed": dict(interest.fixed),
        "engine": engine,
        "provenance": target.provenance,
    }


def held_parts(held: Mapping[str, float]) -> list[str]:
    """What was held at which value; parameters of one value together.

    >>> held_parts({"m4": 5.0, "q_ee": 0.0, "q_emu": 0.0})
    ['m4 = 5', 'q_ee = q_emu = 0']
    """
    names: dict[float, list[str]] = {}
    for name, value in held.items():
        names.setdefault(value, []).append(name)
    return [f"{' = '.join(same)} = {value:g}" for value, same in names.items()]


def marks(target: Target, interest: ParameterOfInterest, certified: bool | None) -> str:
    """What was held and chosen, provenance, and a warning; for the end of a line of text."""
    parts = held_parts({**target.held, **interest.fixed})
    if interest.taken:
        others = ", ".join(p for p in target.pois if p != interest.name)
        parts.append(f"measurement {interest.measurement} was taken; --poi takes {others}")
    text = "".join(f"; {p}" for p in parts)
    if target.provenance:
        text += f" [{target.provenance} inputs]"
    return text if certified else f"{text} [{UNCERTIFIED}]"


def stamped_json(result: Envelope, target: Target) -> str:
    """The envelope of a result, with digests of its inputs and versions, as JSON text."""
    from histnu.core.serialize import dumps
    from histnu.verbs import inputs_of
    from histnu.verbs.envelope import stamped

    return dumps(stamped(result, inputs_of(target)).to_json())
