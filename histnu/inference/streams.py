"""Random numbers that belong to a point, not to a place in a loop.

The generator of toys is keyed by the seed, the names and values of the point at which they are
drawn, and the number of the chunk: a point that is computed alone, in a scan, by another worker or
on another day has the same toys.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from histnu.core.serialize import digest


def stream(seed: int, point: Mapping[str, float], chunk: int) -> np.random.Generator:
    """Return the generator of one chunk of toys.

    Args:
        seed: of the whole. point: coordinate -> value, exact; the order does not matter.
        chunk: number of the chunk.

    >>> a, b = stream(1, {"x": 0.0, "m": 5.0}, 2), stream(1, {"m": 5, "x": -0.0}, 2)
    >>> bool(a.random() == b.random()), bool(a.random() == stream(1, {"x": 0.0}, 2).random())
    (True, False)
    """
    where = {name: (float(value) + 0.0).hex() for name, value in point.items()}
    key = digest({"seed": seed, "point": where, "chunk": chunk})
    return np.random.default_rng(int(key, 16))
