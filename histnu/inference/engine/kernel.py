"""Strengths of the terms of a model, and their derivatives, for P parameter points.

Everything here has the points on the **last** axis, so that numpy works on long
contiguous rows: parameters (n, P), strengths (T, P), derivatives as lists of the
non-zero entries only (they are few: a term depends on three or four parameters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled
from histnu.inference.engine.interpolation import Effect, EffectTable

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Term:
    """A histogram (B,) over all bins and the effects its strength is the product of."""

    histogram: Array
    effects: tuple[Effect, ...]


def terms(compiled: Compiled) -> tuple[Term, ...]:
    """Return the terms of a model without per-bin parameters.

    A row gives its nominal histogram and, for every histosys, one term where up and down are
    equal (the sum of its two interpolating functions is then all that counts), else two.
    """
    out = []
    for row in compiled.rows:
        parts: list[tuple[Array, tuple[Effect, ...]]] = [(row.nominal, row.factors)]
        for d in row.differences:
            weights = [(d.up, 1.0, 1.0)]
            if not np.array_equal(d.up, d.down):
                weights = [(d.up, 1.0, 0.0), (d.down, 0.0, 1.0)]
            parts += [
                (h, (*row.factors, Effect(compiled.histosys_code, d.parameter, u, v)))
                for h, u, v in weights
                if np.any(h)
            ]
        for values, effects in parts:
            histogram = np.zeros(compiled.n_bins)
            histogram[row.bins] = values
            out.append(Term(histogram, effects))
    return tuple(out)


@dataclass(frozen=True)
class Strengths:
    """Strengths c_t of the terms and their derivatives (see :class:`StrengthKernel`).

    Attributes:
        value: (T, P) strengths.
        first: (N1, P) non-zero ``dc_t / dtheta_i`` in the order of ``kernel.first_*``.
        second: (N2, P) non-zero ``d^2 c_t / dtheta_i dtheta_j``, i <= j.
    """

    value: Array
    first: Array
    second: Array


class StrengthKernel:
    """Evaluate ``c_t(theta) = prod_k phi_tk(theta_tk)`` with sparse derivatives.

    Args:
        terms: the terms of the model.

    Attributes:
        first_parameter, first_term: (N1,) parameter and term of each first derivative,
            sorted by parameter.
        second_i, second_j, second_term: (N2,) the same for second derivatives, i <= j.
    """

    def __init__(self, terms: tuple[Term, ...]) -> None:
        unique = sorted(
            {e for t in terms for e in t.effects},
            key=lambda e: (e.kind, e.parameter, e.first, e.second),
        )
        kinds = sorted({e.kind for e in unique})
        self._tables = [EffectTable(k, [e for e in unique if e.kind == k]) for k in kinds]
        self.effects = unique
        number = {effect: k for k, effect in enumerate(unique)}
        width = max((len(t.effects) for t in terms), default=0)
        one = len(unique)
        self._slots = np.full((len(terms), max(width, 1)), one, dtype=np.intp)
        for t, term in enumerate(terms):
            self._slots[t, : len(term.effects)] = [number[e] for e in term.effects]
        self._plan_first(terms, number, one)
        self._plan_second(terms, number, one)

    def _plan_first(self, terms: tuple[Term, ...], number: dict[Effect, int], one: int) -> None:
        """List the products whose sums are the first derivatives."""
        entries = []
        for t, term in enumerate(terms):
            for k, effect in enumerate(term.effects):
                others = [number[e] for m, e in enumerate(term.effects) if m != k]
                entries.append((effect.parameter, t, number[effect], others))
        entries.sort(key=lambda x: (x[0], x[1]))
        self._first_effect = np.array([e[2] for e in entries], dtype=np.intp)
        self._first_others = pad([e[3] for e in entries], one)
        keys: list[tuple[int, ...]] = [(e[0], e[1]) for e in entries]
        self._first_starts, unique = _starts(keys)
        self.first_parameter = np.array([k[0] for k in unique], dtype=np.intp)
        self.first_term = np.array([k[1] for k in unique], dtype=np.intp)

    def _plan_second(self, terms: tuple[Term, ...], number: dict[Effect, int], one: int) -> None:
        """List the products whose sums are the second derivatives."""
        entries = []
        for t, term in enumerate(terms):
            ids = [number[e] for e in term.effects]
            for k, a in enumerate(term.effects):
                if a.kind != "identity":
                    others = [x for m, x in enumerate(ids) if m != k]
                    entries.append((a.parameter, a.parameter, t, ids[k], -1, others))
                for m in range(k + 1, len(ids)):
                    b = term.effects[m]
                    others = [x for q, x in enumerate(ids) if q not in (k, m)]
                    i, j = sorted((a.parameter, b.parameter))
                    # a parameter used twice in one term: (i, i) gets the pair twice
                    for _ in range(2 if i == j else 1):
                        entries.append((i, j, t, ids[k], ids[m], others))
        entries.sort(key=lambda x: x[:3])
        self._second_a = np.array([e[3] for e in entries], dtype=np.intp)
        self._second_b = np.array([e[4] for e in entries], dtype=np.intp)
        self._second_others = pad([e[5] for e in entries], one)
        self._second_starts, unique = _starts([e[:3] for e in entries])
        self.second_i = np.array([k[0] for k in unique], dtype=np.intp)
        self.second_j = np.array([k[1] for k in unique], dtype=np.intp)
        self.second_term = np.array([k[2] for k in unique], dtype=np.intp)

    def _effects(self, pars: Array) -> tuple[Array, Array, Array]:
        """Return values (E + 1, P) and derivatives (E, P); the last value is the constant 1."""
        shape = (len(self.effects), pars.shape[1])
        value, slope, curve = np.ones((shape[0] + 1, shape[1])), np.empty(shape), np.empty(shape)
        start = 0
        for table in self._tables:
            stop = start + len(table.parameters)
            value[start:stop], slope[start:stop], curve[start:stop] = table.evaluate(pars)
            start = stop
        return value, slope, curve

    def values(self, pars: Array) -> Array:
        """Return the strengths, shape (T, P), at parameters (n, P)."""
        return product(self._effects(pars)[0], self._slots)

    def derivatives(self, pars: Array) -> Strengths:
        """Return strengths and their first and second derivatives at parameters (n, P)."""
        value, slope, curve = self._effects(pars)
        first = slope[self._first_effect] * product(value, self._first_others)
        second = np.where(
            (self._second_b < 0)[:, None],
            curve[self._second_a],
            slope[self._second_a] * slope[self._second_b],
        )
        second *= product(value, self._second_others)
        return Strengths(
            product(value, self._slots),
            _reduce(first, self._first_starts),
            _reduce(second, self._second_starts),
        )


def pad(rows: list[list[int]], filler: int) -> Index:
    """Return a list of rows of unequal length as one array."""
    width = max((len(r) for r in rows), default=0)
    out = np.full((len(rows), width), filler, dtype=np.intp)
    for k, row in enumerate(rows):
        out[k, : len(row)] = row
    return out


def _starts(keys: list[tuple[int, ...]]) -> tuple[Index | None, list[tuple[int, ...]]]:
    """Return where each run of equal keys starts (None if all differ), and the keys."""
    unique = list(dict.fromkeys(keys))
    if len(unique) == len(keys):
        return None, unique
    starts = [k for k, key in enumerate(keys) if k == 0 or key != keys[k - 1]]
    return np.array(starts, dtype=np.intp), unique


def _reduce(values: Array, starts: Index | None) -> Array:
    return values if starts is None else np.add.reduceat(values, starts, axis=0)


def product(values: Array, index: Index) -> Array:
    """Return the product over the columns of ``index`` of rows of ``values``."""
    if index.shape[1] == 0:
        return np.ones((index.shape[0], values.shape[1]))
    out = values[index[:, 0]]
    for column in index.T[1:]:
        out *= values[column]
    return out
