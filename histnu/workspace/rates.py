"""Where inside its parameter bounds a HistFactory model predicts a rate of zero or less.

A total rate of zero in a bin with an event makes -2 log L infinite, a negative one makes it NaN;
both pass pyhf's schema. The model of a bin is ``sum_s (N_s + sum_h d_h(a_h)) prod_k f_k(a_k)``:
linear in every ``normfactor`` and in every ``histosys`` beyond one standard deviation, so its
minimum over the bounds is searched one parameter at a time at the ends of its range and at
-1, 0 and 1. A point that is found is a proof; finding none is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CONSTRAINED = ("normsys", "histosys")
DEFAULT_RANGES: Mapping[str, tuple[float, float, float]] = {
    "normfactor": (1.0, 0.0, 10.0),
    "shapefactor": (1.0, 0.0, 10.0),
    "normsys": (0.0, -5.0, 5.0),
    "histosys": (0.0, -5.0, 5.0),
    "lumi": (1.0, 0.0, 10.0),
    "staterror": (1.0, 1e-10, 10.0),
    "shapesys": (1.0, 1e-10, 10.0),
}
"""Start, lower and upper bound that pyhf gives a parameter without settings."""
SWEEPS = 4
SIMPLIFIED = 20
"""Bins of a channel for which a point with few moved parameters is looked for."""


@dataclass(frozen=True)
class LowestRate:
    """A bin whose total rate reaches zero or less.

    Attributes:
        bin: index of the bin.
        total: rate at the start values, in events.
        lowest: rate at the point that was found, zero or less.
        parameters: parameters away from their start values there, as few as the search found.
    """

    bin: int
    total: float
    lowest: float
    parameters: dict[str, float]


def parameter_ranges(
    document: Mapping[str, Any], measurement: Mapping[str, Any]
) -> dict[str, tuple[float, float, float]]:
    """Start, lower and upper value of every parameter; equal where it is fixed.

    Parameters with one value per bin get the first of their settings.
    """
    ranges: dict[str, tuple[float, float, float]] = {}
    for channel in document["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                ranges.setdefault(modifier["name"], DEFAULT_RANGES[modifier["type"]])
    for setting in measurement["config"]["parameters"]:
        name = setting["name"]
        if name not in ranges:
            continue
        start, low, high = ranges[name]
        start = float(setting.get("inits", setting.get("auxdata", [start]))[0])
        low, high = (float(v) for v in setting.get("bounds", [[low, high]])[0])
        ranges[name] = (start, start, start) if setting.get("fixed") else (start, low, high)
    return ranges


def _smooth(alpha: Array) -> Array:
    """Weight of the even part inside one standard deviation (pyhf's code4p)."""
    square = alpha * alpha
    return 0.0625 * square * (15.0 + square * (-10.0 + 3.0 * square))


def histosys_shift(nominal: Array, low: Array, high: Array, alpha: float) -> Array:
    """Shift of a template, pyhf's code4p: linear beyond one standard deviation.

    >>> n, lo, hi = np.array([10.0]), np.array([9.0]), np.array([11.0])
    >>> histosys_shift(n, lo, hi, 0.5).tolist(), histosys_shift(n, lo, hi, -3.0).tolist()
    ([0.5], [-3.0])
    """
    if alpha > 1.0:
        return alpha * (high - nominal)
    if alpha < -1.0:
        return alpha * (nominal - low)
    even = (high - nominal) + (low - nominal)
    odd = 0.5 * (high - low)
    return np.asarray(alpha * odd + even * _smooth(np.asarray(alpha)))


def _candidates(start: float, low: float, high: float, kinds: set[str]) -> list[float]:
    """Values at which a parameter is tried."""
    values = {start, low, high}
    if kinds & set(CONSTRAINED):
        values |= {v for v in (-1.0, 0.0, 1.0) if low <= v <= high}
    return sorted(values)


class _Channel:
    """Additive shifts and factors of a channel at every candidate value of its parameters."""

    def __init__(
        self, channel: Mapping[str, Any], ranges: Mapping[str, tuple[float, float, float]]
    ) -> None:
        samples = channel["samples"]
        self.nominal = np.array([s["data"] for s in samples], dtype=float)
        kinds: dict[str, set[str]] = {}
        for sample in samples:
            for m in sample["modifiers"]:
                kinds.setdefault(m["name"], set()).add(m["type"])
        self.names = sorted(kinds)
        self.values = [_candidates(*ranges[n], kinds[n]) for n in self.names]
        self.start = [v.index(ranges[n][0]) for n, v in zip(self.names, self.values, strict=True)]
        tables = [self._table(samples, n, v) for n, v in zip(self.names, self.values, strict=True)]
        self.shift = [t[0] for t in tables]
        self.factor = [t[1] for t in tables]

    def _table(
        self, samples: list[Mapping[str, Any]], name: str, values: list[float]
    ) -> tuple[Array, Array]:
        """Shifts and factors, each (V, S, B), of one parameter."""
        shift = np.zeros((len(values), *self.nominal.shape))
        factor = np.ones_like(shift)
        for s, sample in enumerate(samples):
            for m in sample["modifiers"]:
                if m["name"] != name:
                    continue
                for v, value in enumerate(values):
                    if m["type"] == "histosys":
                        low, high = (np.array(m["data"][k]) for k in ("lo_data", "hi_data"))
                        shift[v, s] += histosys_shift(self.nominal[s], low, high, value)
                    elif m["type"] == "normsys":
                        ratio = m["data"]["hi"] if value >= 0 else m["data"]["lo"]
                        factor[v, s] *= max(float(ratio), 1e-300) ** abs(value)
                    else:
                        factor[v, s] *= value
        return shift, factor

    def lowest(self) -> tuple[Array, Array, NDArray[np.intp]]:
        """Total at the start (B,), lowest total (B,) and candidate of each parameter (P, B)."""
        bins = np.arange(self.nominal.shape[1])
        choice = np.repeat(np.array(self.start, dtype=np.intp)[:, None], bins.size, axis=1)
        shift = self._stack(self.shift, choice)
        factor = self._stack(self.factor, choice)
        total = np.sum((self.nominal + shift.sum(axis=0)) * factor.prod(axis=0), axis=0)
        first = total
        for _ in range(SWEEPS):
            before = total
            for p in range(len(self.names)):
                rest = self.nominal + shift.sum(axis=0) - shift[p]
                others = np.delete(factor, p, axis=0).prod(axis=0)
                tried = np.sum((rest + self.shift[p]) * (others * self.factor[p]), axis=1)
                choice[p] = np.argmin(tried, axis=0)
                total = tried[choice[p], bins]
                shift[p] = self.shift[p][choice[p], :, bins].T
                factor[p] = self.factor[p][choice[p], :, bins].T
            if np.allclose(before, total, rtol=1e-12, atol=0.0):
                break
        return first, total, choice

    def sparse(self, b: int, choice: NDArray[np.intp]) -> tuple[float, NDArray[np.intp]]:
        """Move parameters of a bin back to their start while its total stays at zero or less."""
        choice, total = choice.copy(), self._total(b, choice)
        for p in np.flatnonzero(choice != np.array(self.start)):
            trial = choice.copy()
            trial[p] = self.start[p]
            moved = self._total(b, trial)
            if moved <= 0.0:
                choice, total = trial, moved
        return total, choice

    def _total(self, b: int, choice: NDArray[np.intp]) -> float:
        """Total rate of one bin at one candidate of each parameter."""
        rate = self.nominal[:, b].copy()
        factor = np.ones_like(rate)
        for p, c in enumerate(choice):
            rate += self.shift[p][c, :, b]
            factor *= self.factor[p][c, :, b]
        return float(np.sum(rate * factor))

    def _stack(self, tables: list[Array], choice: NDArray[np.intp]) -> Array:
        """Entries of the chosen candidates, (P, S, B)."""
        if not tables:
            return np.zeros((0, *self.nominal.shape))
        bins = np.arange(self.nominal.shape[1])
        return np.stack([t[c, :, bins].T for t, c in zip(tables, choice, strict=True)])


def lowest_rates(
    channel: Mapping[str, Any], ranges: Mapping[str, tuple[float, float, float]]
) -> list[LowestRate]:
    """Bins of a channel whose total rate reaches zero or less inside the parameter bounds.

    Args:
        channel: a channel of a workspace that passes the schema.
        ranges: see :func:`parameter_ranges`.
    """
    model = _Channel(channel, ranges)
    first, lowest, choice = model.lowest()
    found: list[LowestRate] = []
    for b in np.flatnonzero(lowest <= 0.0):
        dense = (float(lowest[b]), choice[:, b])
        total, at = model.sparse(int(b), choice[:, b]) if len(found) < SIMPLIFIED else dense
        moved = {
            name: model.values[p][at[p]]
            for p, name in enumerate(model.names)
            if at[p] != model.start[p]
        }
        found.append(LowestRate(int(b), float(first[b]), total, moved))
    return found


def negated(channel: Mapping[str, Any]) -> dict[str, Any]:
    """The channel with all rates negated, whose lowest rates are the highest of this one.

    >>> sample = {"name": "s", "data": [1.0], "modifiers": []}
    >>> lowest_rates(negated({"samples": [sample]}), {})[0].lowest
    -1.0
    """

    def opposite(data: Any) -> Any:
        return {key: [-v for v in values] for key, values in data.items()}

    def changed(m: Mapping[str, Any]) -> dict[str, Any]:
        return {**m, "data": opposite(m["data"])} if m["type"] == "histosys" else dict(m)

    samples = [
        {**s, "data": [-v for v in s["data"]], "modifiers": [changed(m) for m in s["modifiers"]]}
        for s in channel["samples"]
    ]
    return {**channel, "samples": samples}
