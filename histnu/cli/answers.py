"""What verbs say of a result: its envelope, what was held, and how far it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histnu.core.units import held_parts

if TYPE_CHECKING:
    from histnu.analysis.target import ParameterOfInterest, Target
    from histnu.verbs.envelope import Envelope

UNCERTIFIED = "NOT CERTIFIED: a fit did not converge, or no two starts agree on its minimum"


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
