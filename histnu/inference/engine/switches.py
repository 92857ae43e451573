"""Parameters whose bounds separate minima of -2 log L, and the values at which to hold them.

A factor that is zero removes its counts and, with them, whatever could be gained by changing
them: a fit that puts it there cannot come back, although a minimum on the other side may be lower.
Two structures make such pairs of minima:

* An empty bin is emptied in different ways: by a factor of a sample at zero, by another, or by a
  sample that a histosys makes negative and a large factor multiplies.
* A sample with a histosys that can change its sign (in a bin with or without events): the slope
  in whatever multiplies it changes sign with it.

A fit with the factor *held*, and then released, comes out on its side of the divide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled, Row

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def can_turn(row: Row, bounds: Array) -> Mask:
    """Return (bins,): whether histosys within ``bounds`` (n, 2) change the sign of a content."""
    least = row.nominal.copy()
    most = row.nominal.copy()
    for d in row.differences:
        low, high = bounds[d.parameter]
        moved = np.stack([np.zeros_like(least), d.up * max(high, 0.0), d.down * min(low, 0.0)])
        least += moved.min(axis=0)
        most += moved.max(axis=0)
    return (least < 0) & (most > 0)


def switches(compiled: Compiled, counts: Array) -> list[tuple[int, float]]:
    """Return (parameter, value) pairs to hold in turn, for counts (B,).

    Factors without an auxiliary measurement are held at their bounds and at their suggested start,
    parameters per bin with one at their lower bound and at their suggested start.
    """
    constrained = np.zeros(len(compiled.init), dtype=bool)
    constrained[compiled.constraints.parameters] = True
    chosen: set[int] = set()
    for row in compiled.rows:
        empty = counts[row.bins] == 0
        turns = can_turn(row, compiled.bounds)
        here = turns | (empty & ((row.nominal > 0) | turns))
        if not here.any():
            continue
        chosen |= {layer[b] for layer in row.layers for b in np.flatnonzero(here)}
        chosen |= {e.parameter for e in row.factors if e.kind == "identity"}
    out = []
    for k in sorted(chosen):
        if compiled.fixed[k]:
            continue
        low, high = compiled.bounds[k]
        values = [low, compiled.init[k]] if constrained[k] else [low, compiled.init[k], high]
        out += [(k, float(v)) for v in dict.fromkeys(values) if np.isfinite(v)]
    return out
