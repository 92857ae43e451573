"""What in a document makes several minima of -2 log L possible: how many starts a fit needs.

A factor that is zero removes its counts and, with them, whatever could be gained by changing
them: a fit that puts it there cannot come back, although a minimum on the other side may be lower.
Two structures make such pairs of minima:

* An empty bin is emptied in different ways: by a factor of a sample at zero, by another, or by a
  sample that a histosys makes negative and a large factor multiplies.
* A sample with a histosys that can change its sign (in a bin with or without events): the slope
  in whatever multiplies it changes sign with it.

A fit with the factor *held*, and then released, comes out on its side of the divide.

A document is *plain* (:func:`is_plain`) if it has none of these, no sample with two factors that
nothing constrains, and no effect that *folds* strongly: raises or lowers a bin on both sides of
zero. The curvature that an effect f_b of a constrained parameter gives -2 log L is
``2 sum_b (1 - d_b / lambda_b) f_b``, at least ``-2 sqrt(chi2 sum_b f_b^2 / lambda_b)`` (Cauchy and
Schwarz) with ``chi2 = sum_b (lambda_b - d_b)^2 / lambda_b``; the constraint gives +2. Where the
bound is less than half of that no fold can make a second minimum near the first. Of parameters
that do fold (:func:`folding`) each can be on either side: 2^k minima, which spread starts do not
list, but one or two parameters apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled, Row

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


_GAIN = 2.0  # in -2 log L: what an empty bin must be able to give for its samples to be looked at
_FOLD = 0.5  # share of the curvature of the constraint that folds may take away


def jumping(compiled: Compiled) -> Index:
    """Return the parameters in which rates jump: of a histosys with code 2, at -1 and 1."""
    if compiled.histosys_code != "code2":
        return np.zeros(0, dtype=np.intp)
    return np.unique([d.parameter for row in compiled.rows for d in row.differences]).astype(
        np.intp
    )


def turning(row: Row, bounds: Array) -> Array:
    """Return (bins,): the least ``sum alpha^2`` of histosys that makes each content negative.

    Infinite where none within ``bounds`` (n, 2) does.
    """
    slope, least = np.zeros_like(row.nominal), row.nominal.copy()
    for d in row.differences:
        low, high = bounds[d.parameter]
        fall = np.maximum(np.maximum(-d.up, d.down), 0.0)
        slope += fall**2
        moved = np.minimum(d.up * max(high, 0.0), d.down * min(low, 0.0))
        least += np.minimum(moved, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((least < 0) & (row.nominal > 0), row.nominal**2 / slope, np.inf)


def _constrained(compiled: Compiled) -> Mask:
    out = np.zeros(len(compiled.init), dtype=bool)
    out[compiled.constraints.parameters] = True
    return out


def is_plain(compiled: Compiled, folds: Array, counts: Array, rates: Array) -> bool:
    """Return whether nothing in a document makes several minima likely (see above).

    Args:
        compiled: the model. folds: (n, B) of :func:`folds`. counts: (B,) data.
        rates: (B,) expected counts at a minimum.
    """
    if not np.all(rates > 0) or switches(compiled, counts):
        return False
    free = ~_constrained(compiled) & ~compiled.fixed
    for row in compiled.rows:
        layers = sum(any(free[p] for p in layer) for layer in row.layers)
        if layers + sum(bool(free[e.parameter]) for e in row.factors) > 1:
            return False
    return not len(folding(folds, counts, rates))


def folding(folds: Array, counts: Array, rates: Array, share: float = _FOLD) -> Index:
    """Return the parameters whose folds (n, B) can make minima on both sides of zero.

    The strongest come first.

    Args:
        folds: of :func:`folds`. counts: (B,) data. rates: (B,) positive, at a minimum.
        share: of the curvature of the constraint that a fold must be able to take away.
    """
    chi2 = float(np.sum((rates - counts) ** 2 / rates))
    strength = np.sqrt(chi2 * np.sum(folds**2 / rates, axis=1))
    order = np.argsort(-strength, kind="stable")
    return order[strength[order] >= share]


def folds(compiled: Compiled) -> Array:
    """Return (n, B): by how much each parameter moves a bin to the same side up and down."""
    out = np.zeros((len(compiled.init), compiled.n_bins))
    _add_scales(out, compiled.rows)
    _add_shapes(out, compiled.rows)
    return out


def _common(up: Array, down: Array) -> Array:
    """Return what two changes of the same sign have in common; ``down`` is that of -1."""
    smaller = np.minimum(np.abs(up), np.abs(down)) * np.sign(up)
    return np.where(up * down > 0, smaller, 0.0)


def _add_scales(out: Array, rows: Sequence[Row]) -> None:
    """Add the folds of what multiplies rows."""
    effects = [(e, row) for row in rows for e in row.factors if e.kind != "identity"]
    up, down = (np.array([getattr(e, k) for e, _ in effects]) - 1 for k in ("first", "second"))
    common = _common(up, down)
    for k in np.flatnonzero(common):
        effect, row = effects[k]
        out[effect.parameter, row.bins] += common[k] * row.nominal


def _add_shapes(out: Array, rows: Sequence[Row]) -> None:
    """Add the folds of what is added to rows."""
    differences = [d for row in rows for d in row.differences]
    if not differences:
        return
    counts = [len(row.differences) for row in rows]
    last = np.repeat([row.bins.stop for row in rows], counts)
    width = last - np.repeat([row.bins.start for row in rows], counts)
    up, down = (np.concatenate([getattr(d, k) for d in differences]) for k in ("up", "down"))
    parameter = np.repeat([d.parameter for d in differences], width)
    bins = np.arange(len(up)) + np.repeat(last - np.cumsum(width), width)
    np.add.at(out, (parameter, bins), _common(up, -down))


def _spread_out(row: Row, n_bins: int) -> Array:
    """Return the nominal yields of a row over all bins (B,)."""
    out = np.zeros(n_bins)
    out[row.bins] = np.abs(row.nominal)
    return out


def switches(compiled: Compiled, counts: Array) -> list[tuple[int, float]]:
    """Return (parameter, value) pairs to hold in turn, for counts (B,).

    Factors of samples that an empty bin would gain from losing are held at zero and at their
    suggested start, those of samples that can become negative there also at their upper bound,
    and factors that can be negative themselves at two negative values.
    A factor with an auxiliary measurement only where zero costs less than the bin may gain.
    """
    gain = 2 * sum(_spread_out(row, len(counts)) for row in compiled.rows) * (counts == 0)
    cost = _cost_of_zero(compiled)
    chosen: dict[int, bool] = {}
    for row in compiled.rows if np.any(gain > _GAIN) else ():
        here = np.where(gain[row.bins] > _GAIN, gain[row.bins], 0.0)
        turns = (turning(row, compiled.bounds) < here) & (here > 0)
        some = ((2 * row.nominal > _GAIN) & (here > 0)) | turns
        factors = [(layer[b], int(b)) for layer in row.layers for b in np.flatnonzero(some)]
        if some.any():
            most = int(np.argmax(np.where(some, here, 0.0)))
            factors += [(e.parameter, most) for e in row.factors if e.kind == "identity"]
        for k, b in factors:
            if turns.any() or cost[k] < here[b]:
                chosen[k] = chosen.get(k, False) or bool(turns.any() and cost[k] == 0)
    out = []
    for k in sorted(chosen):
        if not compiled.fixed[k]:
            low, high = compiled.bounds[k]
            size = abs(compiled.init[k]) or 1.0
            values = [max(low, 0.0), compiled.init[k], *([high] if chosen[k] else [])]
            values += [max(low, -share * size) for share in (0.3, 1.0) if low < 0]
            out += [(k, float(v)) for v in dict.fromkeys(values) if np.isfinite(v)]
    return out


def _cost_of_zero(compiled: Compiled) -> Array:
    """Return (n,): what the auxiliary measurement of a factor adds to -2 log L where it is zero."""
    out = np.zeros(len(compiled.init))
    c = compiled.constraints
    with np.errstate(divide="ignore"):
        normal = np.square(c.auxdata / c.scale)
    np.add.at(out, c.parameters, np.where(c.normal, normal, 2 * c.auxdata))
    return out
