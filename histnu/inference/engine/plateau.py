"""Ways off a plateau: parameters that do nothing while another one is at its bound.

Where a factor is zero, at its bound, parameters that multiply the same counts do nothing. The
slope of -2 log L in that factor may then point out of its bound at some of their values and into
the allowed region at others: a Newton iteration that ends at the former is at no minimum. The
slope is linear in parameters that only multiply, therefore its lowest value is at their bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.likelihood import Likelihood, Observed

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_NOTHING = 1e-9  # change of -2 log L over the range of a parameter that does nothing
_FALL = 1e-6  # least fall of -2 log L, along the tangent, for which a plateau is left


@dataclass(frozen=True)
class Resting:
    """P points at which Newton's method ends.

    Attributes:
        x: (n, P). bounds: lower and upper, each (n, P).
        held: (n, P) parameters at a bound whose gradient points outwards.
        move: (n, P) parameters that may move.
    """

    x: Array
    bounds: tuple[Array, Array]
    held: Mask
    move: Mask

    @property
    def room(self) -> Array:
        """(n, P) ranges of the parameters."""
        room = self.bounds[1] - self.bounds[0]
        return np.where(np.isfinite(room), room, 2 * (1 + np.abs(self.x)))


def idle(at: Resting, gradient: Array, hessian: Array) -> Mask:
    """Return (n, P): parameters that may move but change nothing, alone or with others."""
    room = at.room
    change = np.where(at.move, np.abs(hessian) * room[:, None] * room, 0.0).max(axis=1)
    return at.move & (np.maximum(change, np.abs(gradient) * room) < _NOTHING)


def way_off(
    likelihood: Likelihood, observed: Observed, at: Resting, still: Mask
) -> tuple[Array, Mask]:
    """Return a step (n, P) along the plateau to where it can be left, and (P,) where there is one.

    -2 log L is the same at the end of the step; there one of the held parameters may move.
    ``still`` (n, P) are the idle parameters.
    """
    found = likelihood.derivatives(np.ascontiguousarray(at.x), observed)
    room, (low, high) = at.room, at.bounds
    below, above = np.maximum(low, at.x - room) - at.x, np.minimum(high, at.x + room) - at.x
    inwards = np.where(at.x <= low, 1.0, -1.0)
    # [i, j]: how far j goes, to the bound at which the slope of i, inwards, is lower
    reach = np.where(found.hessian * inwards[:, None] > 0, below, above)
    slope = found.gradient + np.where(still, found.hessian * reach, 0.0).sum(axis=1)
    fall = np.where(at.held, slope * inwards * room, 0.0)
    best, problems = fall.argmin(axis=0), np.arange(at.x.shape[1])
    leaves = fall[best, problems] < -_FALL
    return np.where(still & leaves, reach[best, :, problems].T, 0.0), leaves
