"""Physical parameters from strengths that are their squares."""

from __future__ import annotations

import math


def root(value: float | None) -> float | None:
    """``mu`` from ``mu2``; None stays None."""
    return None if value is None else math.sqrt(max(value, 0.0))
