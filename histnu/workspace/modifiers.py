"""HistFactory modifiers of a sample, in two interpolations.

``normsys`` is HistFactory's standard. ``linear`` writes each relative uncertainty as a symmetric
``histosys``: the rate is then exactly ``N (1 + sigma alpha)``, the paper's Eq. 15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import WorkspaceError
from histnu.core.types import Modifier
from histnu.experiments.model import RateNuisance

Array = NDArray[np.float64]

INTERPOLATIONS = ("normsys", "linear")


def is_linear(rate: RateNuisance, interpolation: str) -> bool:
    """Whether an uncertainty is written as N(1 + sigma alpha).

    A ``normsys`` of 100 % or more has no legal lower factor (log 0), so it becomes linear unless
    its experiment asks for a log-normal.
    """
    if rate.interpolation == "default":
        return interpolation == "linear" or rate.relative >= 1.0
    return rate.interpolation == "linear"


def rate_modifier(rate: RateNuisance, nominal: Array, interpolation: str) -> Modifier:
    """The modifier of one relative rate uncertainty.

    Args:
        rate: the uncertainty.
        nominal: events per bin of the sample, shape (B,).
        interpolation: ``normsys`` or ``linear``.

    Raises:
        WorkspaceError: for an unknown interpolation.
    """
    if interpolation not in INTERPOLATIONS:
        known = ", ".join(INTERPOLATIONS)
        raise WorkspaceError(f"unknown interpolation {interpolation!r}; known: {known}")
    if is_linear(rate, interpolation):
        return {
            "name": rate.name,
            "type": "histosys",
            "data": {
                "hi_data": (nominal * (1.0 + rate.relative)).tolist(),
                "lo_data": (nominal * (1.0 - rate.relative)).tolist(),
            },
        }
    high = 1.0 + rate.relative
    low = 1.0 / high if rate.interpolation == "lognormal" else 1.0 - rate.relative
    return {"name": rate.name, "type": "normsys", "data": {"hi": high, "lo": low}}


def shape_modifier(name: str, down: Array, up: Array) -> Modifier:
    """A ``histosys`` from templates at -1 and +1 standard deviation."""
    return {
        "name": name,
        "type": "histosys",
        "data": {"hi_data": up.tolist(), "lo_data": down.tolist()},
    }


def strength_modifier(name: str) -> Modifier:
    """A free normalisation."""
    return {"name": name, "type": "normfactor", "data": None}


def linear_bounds(rates: Sequence[RateNuisance], interpolation: str) -> dict[str, float]:
    """Lower bounds that keep a sample positive when its uncertainties are linear.

    With n linear terms each is bounded by ``-0.99/(n sigma)``: even all of them at their bounds
    leave 1 % of the sample, so no bin can become zero or negative and -2 log L stays finite.
    """
    linear = [r for r in rates if is_linear(r, interpolation)]
    return {r.name: -0.99 / (len(linear) * r.relative) for r in linear}
