"""Channels of equal shape, their factors and differences: the parts of a model evaluated by rows.

The formulae are those of :mod:`histnu.inference.engine.rows`. R rows, M parameters that multiply
rows, J histosys parameters, C channels of a block, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Row
from histnu.inference.engine.interpolation import Effect, EffectTable, histosys_weights
from histnu.inference.engine.weights import Weights

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_TINY = 1e-100  # stands for a factor that is zero, in derivatives


def nonzero(x: Array) -> Array:
    """Return ``x`` with what is smaller than 1e-100 replaced by it."""
    small = np.abs(x) < _TINY
    return np.where(small, _TINY, x) if small.any() else x


# ---------------------------------------------------------------------- what multiplies rows
@dataclass(frozen=True)
class Factors:
    """Products of rows (R, P), once exact and once without zeros, and their derivatives.

    Attributes:
        exact, safe: (R, P). slope: (N, P) phi'/phi of every effect. curve: (N, P) phi''/phi.
    """

    exact: Array
    safe: Array
    slope: Array
    curve: Array


class RowFactors:
    """Everything that multiplies whole rows, N effects in the order of the rows.

    Attributes:
        parameters: (M,) those that multiply rows. row, column: (N,) row and place among them.
    """

    def __init__(self, rows: list[Row]) -> None:
        pairs = [(r, e) for r, row in enumerate(rows) for e in row.factors]
        self._size = len(rows)
        self.row = np.array([r for r, _ in pairs], dtype=np.intp)
        numbers = np.array([e.parameter for _, e in pairs], dtype=np.intp)
        self.parameters, self.column = np.unique(numbers, return_inverse=True)
        self._used, self._starts = np.unique(self.row, return_index=True)
        self._by_column = np.argsort(self.column, kind="stable")
        self._columns = np.unique(self.column, return_index=False)
        self._column_starts = np.searchsorted(self.column[self._by_column], self._columns)
        self._plan([e for _, e in pairs])

    def _plan(self, effects: list[Effect]) -> None:
        """Group the different effects by kind, to evaluate each once."""
        unique = list(dict.fromkeys(effects))
        kinds = sorted({e.kind for e in unique})
        groups = [[e for e in unique if e.kind == kind] for kind in kinds]
        self._tables = [EffectTable(k, g) for k, g in zip(kinds, groups, strict=True)]
        number = {e: k for k, e in enumerate(e for g in groups for e in g)}
        self._number = np.array([number[e] for e in effects], dtype=np.intp)
        self._plain = len(number) == len(effects) and bool(
            np.all(self._number == np.arange(len(effects)))
        )

    def _listed(self, values: list[Array], points: int) -> Array:
        """Return (N, P) from the values of the groups of different effects."""
        if not values:
            return np.ones((0, points))
        joined = values[0] if len(values) == 1 else np.concatenate(values)
        return joined if self._plain else joined[self._number]

    def _product(self, listed: Array) -> Array:
        out = np.ones((self._size, listed.shape[1]))
        if len(listed):
            out[self._used] = np.multiply.reduceat(listed, self._starts, axis=0)
        return out

    def products(self, pars: Array) -> Array:
        """Return the factor of every row (R, P)."""
        values = [table.evaluate(pars)[0] for table in self._tables]
        return self._product(self._listed(values, pars.shape[1]))

    def evaluate(self, pars: Array) -> Factors:
        """Return the factors of rows and logarithmic derivatives of the effects."""
        points = pars.shape[1]
        triples = [table.evaluate(pars) for table in self._tables]
        value, slope, curve = (self._listed([t[k] for t in triples], points) for k in range(3))
        exact = self._product(value)
        safe = nonzero(value)
        return Factors(
            exact, exact if safe is value else self._product(safe), slope / safe, curve / safe
        )

    def by_parameter(self, listed: Array) -> Array:
        """Return the sums (M, P) over the effects of each parameter of values (N, P)."""
        if not len(listed):
            return np.zeros((0, listed.shape[1]))
        return np.add.reduceat(listed[self._by_column], self._column_starts, axis=0)

    def dense(self, listed: Array) -> Array:
        """Return values (N, P) as matrices (P, R, M)."""
        out = np.zeros((listed.shape[1], self._size, len(self.parameters)))
        out[:, self.row, self.column] = listed.T
        return out


# ---------------------------------------------------------------------- what is added to rows
class Interpolations:
    """Interpolating functions of all histosys parameters (J of them)."""

    def __init__(self, rows: list[Row], code: str) -> None:
        numbers = sorted({d.parameter for row in rows for d in row.differences})
        self.parameters = np.array(numbers, dtype=np.intp)
        self._code = code

    def evaluate(self, pars: Array) -> Array:
        """Return u and d and two derivatives, (3, 2, J + 1, P); the last parameter is a dummy."""
        out = np.zeros((3, 2, len(self.parameters) + 1, pars.shape[1]))
        if len(self.parameters):
            up, down = histosys_weights(self._code, pars[self.parameters])
            for k in range(3):
                out[k, 0, :-1], out[k, 1, :-1] = up[k], down[k]
        return out


# ---------------------------------------------------------------------- channels of equal shape
@dataclass(frozen=True)
class Counts:
    """Counts of a block and what they are made of, (C, rows, bins, P).

    Attributes:
        counts: F a. factor: F. gamma: (C, layers, bins, P) parameters per bin.
    """

    counts: Array
    factor: Array
    gamma: Array


@dataclass(frozen=True)
class Point:
    """Everything at P parameter points that the blocks share.

    Attributes:
        pars: (n, P). factors: of rows. log_slopes: (P, R, M). differences: (3, 2, J + 1, P).
        weights: of the Poisson part, twice those of half of -2 log L.
    """

    pars: Array
    factors: Factors
    log_slopes: Array
    differences: Array
    weights: Weights


@dataclass
class Sums:
    """What the blocks contribute to (M parameters multiply rows, J are histosys).

    Attributes:
        pull: (R, P) residual times counts. second: (R, P) the same with the weights s.
        push: (P, R, M) (K + diag S) L. gram: (P, M) diagonal of L' K L.
        crossing: (P, R, J + 1) Q. additive: (P, B, J + 1) A.
        curve: (P, J + 1) what histosys add to the diagonal.
        gradient, hessian: (P, N + L) and (P, N, N + L) of all variables, which
            :class:`~histnu.inference.engine.rows.Variables` describes.
        inner: (P, L, s) those of the local ones with the first, second, ... of the same bin.
    """

    pull: Array
    second: Array
    push: Array
    gram: Array
    crossing: Array
    additive: Array
    curve: Array
    gradient: Array
    hessian: Array
    inner: Array

    def couple(self, i: Index, j: Index, values: Array) -> None:
        """Enter second derivatives (P, ...) in variables i and j, not both of them local."""
        for x, y in ((i, j), (j, i)):
            if x.flat[0] < self.hessian.shape[1]:
                self.hessian[:, x, y] = values


class Block:
    """Channels of equal shape (C of them), evaluated together.

    Args:
        channels: rows of each channel. first_row: number of the first of them.
        added: parameter -> its place among the J histosys parameters.

    Attributes:
        rows: numbers of its rows. bins: (C, bins) among those of all channels.
        layers: how many modifiers with parameters per bin a channel has.
        gamma: (C, layers, bins) indices of those parameters.
        added: (C, J') places of its histosys parameters.
        variables: (C, layers, bins) places of the parameters per bin among all variables.
        local: the layers whose variables are local -> their place among those.
    """

    def __init__(self, channels: list[list[Row]], first_row: int, added: dict[int, int]) -> None:
        c, r, b = len(channels), len(channels[0]), len(channels[0][0].nominal)
        self.rows = slice(first_row, first_row + c * r)
        self.shape = (c, r, b)
        self.samples = [[row.sample for row in rows] for rows in channels]
        self.bins = np.array(
            [np.arange(rows[0].bins.start, rows[0].bins.stop) for rows in channels], dtype=np.intp
        )
        flat = self.bins.ravel()
        together = bool(np.all(np.diff(flat) == 1))
        self.flat = slice(int(flat[0]), int(flat[-1]) + 1) if together else flat
        self.nominal = np.array([[row.nominal for row in rows] for rows in channels])[..., None]
        self._collect_layers(channels)
        self._collect_differences(channels, added)
        self.variables = np.zeros(self.gamma.shape, dtype=np.intp)
        self.local: dict[int, int] = {}

    def _collect_layers(self, channels: list[list[Row]]) -> None:
        """Collect the layers of parameters per bin: their indices, and the rows they act on."""
        c, r, b = self.shape
        layers = [list(dict.fromkeys(x for row in rows for x in row.layers)) for rows in channels]
        self.layers = len(layers[0])
        self.gamma = np.array(layers, dtype=np.intp).reshape(c, self.layers, b)
        acts = [
            [[x in row.layers for row in rows] for x in ls]
            for rows, ls in zip(channels, layers, strict=True)
        ]
        self.acts = np.array(acts, dtype=bool).reshape(c, self.layers, r)
        self.acts_on_all = bool(self.acts.all())

    def _collect_differences(self, channels: list[list[Row]], added: dict[int, int]) -> None:
        """Collect the histosys of each channel: (C, rows, bins, 2 J') ups, then downs."""
        c, r, b = self.shape
        local = [
            sorted({added[d.parameter] for x in rows for d in x.differences}) for rows in channels
        ]
        width = max(map(len, local))
        self.added = np.full((c, width), len(added), dtype=np.intp)
        self.tensor = np.zeros((c, r, b, 2 * width))
        for k, (rows, used) in enumerate(zip(channels, local, strict=True)):
            self.added[k, : len(used)] = used
            place = {j: m for m, j in enumerate(used)}
            for q, row in enumerate(rows):
                for d in row.differences:
                    m = place[added[d.parameter]]
                    self.tensor[k, q, :, m], self.tensor[k, q, :, width + m] = d.up, d.down
        self.width = width

    # ------------------------------------------------------------------ counts
    def counts(
        self, pars: Array, factors: Array, differences: Array, yields: Array | None
    ) -> Counts:
        """Return the counts of rows; ``yields`` (C, rows, bins, P) are added to the nominal."""
        c, r, b = self.shape
        points = pars.shape[1]
        base = self.nominal if yields is None else self.nominal + yields
        if self.width:
            weights = differences[0][:, self.added].swapaxes(0, 1).reshape(c, -1, points)
            moved = self.tensor.reshape(c, r * b, -1) @ weights
            base = base + moved.reshape(c, r, b, points)
        factor = factors[self.rows].reshape(c, r, 1, points)
        gamma = pars[self.gamma]
        for m in range(self.layers):
            on = self.acts[:, m, :, None, None]
            factor = factor * (
                gamma[:, m, None] if self.acts_on_all else np.where(on, gamma[:, m, None], 1.0)
            )
        return Counts(factor * base, factor, gamma)

    # ------------------------------------------------------------------ derivatives
    def add(self, at: Point, parts: Counts, sums: Sums) -> None:
        """Add the contributions of the block."""
        c, r, _ = self.shape
        points = at.pars.shape[1]
        weights = self._weights(at)
        residual, w, s = weights
        counts = parts.counts
        sums.pull[self.rows] = (counts * residual).sum(axis=2).reshape(-1, points)
        second = (counts * s).sum(axis=2)
        sums.second[self.rows] = second.reshape(-1, points)
        weighted = _first(counts * w)  # (P, C, rows, bins)
        slopes = at.log_slopes[:, self.rows].reshape(points, c, r, -1)
        products = (weighted @ _first(counts).swapaxes(2, 3)) @ slopes
        sums.gram += np.einsum("pcrm,pcrm->pm", products, slopes)
        products += _first(second)[..., None] * slopes
        sums.push[:, self.rows] = products.reshape(points, c * r, -1)
        added = self._add_differences(at, parts, (weighted, s), sums) if self.width else None
        if self.layers:
            self._add_layers(at, (parts, weights), (slopes, added), sums)

    def slopes(self, at: Point, parts: Counts, out: Array) -> None:
        """Enter the derivatives of the counts of its bins in all variables, (P, B, N)."""
        c, r, _ = self.shape
        points, m = at.log_slopes.shape[0], at.log_slopes.shape[2]
        log_slopes = at.log_slopes[:, self.rows].reshape(points, c, r, m)
        by_factors = _first(parts.counts).swapaxes(2, 3) @ log_slopes
        out[:, self.flat, :m] = by_factors.reshape(points, -1, m)
        if self.width:
            moved = self._contract_rows(self._factor(parts))
            added = _fold(moved, self._slopes(at, 1)[:, :, None])
            out[:, self.bins[:, :, None], m + self.added[:, None]] = added.transpose(2, 0, 1, 3)
        if self.layers:
            first = self._pieces(parts)[2]
            out[:, self.bins[:, None], self.variables] = _first(first)

    def _weights(self, at: Point) -> tuple[Array, Array, Array]:
        """Return the weights of the bins of the block, each (C, 1, bins, P)."""
        c, _, b = self.shape
        x, chosen = at.weights, self.flat
        residual, w, s = (y[chosen].reshape(c, 1, b, -1) for y in (x.residual, x.product, x.second))
        return residual, w, s

    def _slopes(self, at: Point, order: int) -> Array:
        """Return the derivatives of u and d of the histosys of each channel, (2, C, P, J')."""
        return at.differences[order][:, self.added].transpose(0, 1, 3, 2)

    def _add_differences(
        self, at: Point, parts: Counts, weights: tuple[Array, Array], sums: Sums
    ) -> Array:
        """Add what histosys do; return the derivatives of the counts of bins, (C, bins, P, J')."""
        c, r, _ = self.shape
        slopes, curves = self._slopes(at, 1), self._slopes(at, 2)
        factor = self._factor(parts)
        added = _fold(self._contract_rows(factor), slopes[:, :, None])
        weighted, s = weights
        by_row = np.ascontiguousarray((factor * s).swapaxes(2, 3)) @ self.tensor
        per_point = added.transpose(2, 0, 1, 3)
        crossing = _fold(by_row, slopes[:, :, None]).transpose(2, 0, 1, 3) + weighted @ per_point
        rows = np.arange(self.rows.start, self.rows.stop).reshape(c, r, 1)
        sums.crossing[:, rows, self.added[:, None]] = crossing
        sums.additive[:, self.bins[:, :, None], self.added[:, None]] = per_point
        curve = _fold(by_row.sum(axis=1), curves)  # (C, P, J')
        np.add.at(sums.curve.T, self.added, curve.transpose(0, 2, 1))
        return added

    def _factor(self, parts: Counts) -> Array:
        """Return what multiplies the yields of each bin of the rows, (C, rows, bins, P)."""
        if self.layers:
            return parts.factor
        return np.broadcast_to(parts.factor, (*self.shape, parts.factor.shape[-1]))

    def _contract_rows(self, factor: Array) -> Array:
        """Return ``sum_r F_rb T_rbj`` as (C, bins, P, 2 J') from F (C, rows, bins, P)."""
        per_bin = np.ascontiguousarray(factor.transpose(0, 2, 3, 1))
        return np.asarray(per_bin @ self.tensor.swapaxes(1, 2))

    def _add_layers(
        self,
        at: Point,
        given: tuple[Counts, tuple[Array, Array, Array]],
        slopes: tuple[Array, Array | None],
        sums: Sums,
    ) -> None:
        """Add gradient and second derivatives of the parameters per bin."""
        points, m = at.pars.shape[1], slopes[0].shape[-1]
        parts, (residual, w, s) = given
        inverse, pieces, first = self._pieces(parts)
        coupling = (w * first)[:, :, None] * parts.counts[:, None] + s[:, :, None] * pieces
        by_row = np.ascontiguousarray(coupling.transpose(4, 1, 0, 3, 2))
        to_factors = by_row @ slopes[0][:, None]  # (P, layers, C, bins, M)
        v = self.variables
        pull = _first(residual * first)
        for k in range(self.layers):
            layer = slice(int(v[0, k, 0]), int(v[-1, k, -1]) + 1)
            sums.gradient[:, layer] = pull[:, :, k].reshape(points, -1)
            values = to_factors[:, k].reshape(points, -1, m)
            sums.hessian[:, :m, layer] = values.swapaxes(1, 2)
            if k not in self.local:
                sums.hessian[:, layer, :m] = values
        if slopes[1] is not None:
            crossing = self._cross_layers(at, parts, (w * first, s * inverse), slopes[1])
            for k in range(self.layers):
                sums.couple(m + self.added[:, None], v[:, k, :, None], crossing[:, :, k])
        for k, q, value in self._layer_pairs(first, pieces, inverse, (w, s)):
            if k in self.local and q in self.local:
                first_local = sums.hessian.shape[1]
                sums.inner[:, v[:, k] - first_local, self.local[q]] = value
                sums.inner[:, v[:, q] - first_local, self.local[k]] = value
            else:
                sums.couple(v[:, k], v[:, q], value)

    def _pieces(self, parts: Counts) -> tuple[Array, Array, Array]:
        """Return 1 / gamma, the counts that each gamma multiplies over it, and their sums.

        Shapes (C, layers, bins, P), (C, layers, rows, bins, P) and (C, layers, bins, P); the sums
        are the derivatives of the counts of bins.
        """
        inverse = 1 / parts.gamma
        pieces = parts.counts[:, None] * inverse[:, :, None]
        if not self.acts_on_all:
            pieces = np.where(self.acts[..., None, None], pieces, 0.0)
        return inverse, pieces, pieces.sum(axis=2)

    def _cross_layers(
        self, at: Point, parts: Counts, weights: tuple[Array, Array], added: Array
    ) -> Array:
        """Return second derivatives in a parameter per bin and a histosys.

        Shape (P, C, layers, bins, J').
        """
        products, second = (x.swapaxes(0, 1)[..., None] for x in weights)
        if self.acts_on_all:  # what it multiplies moves as the bin does
            return ((products + second) * added).transpose(3, 1, 0, 2, 4)
        slopes = self._slopes(at, 1)
        out = products * added  # (layers, C, bins, P, J')
        for m in range(self.layers):
            factor = np.where(self.acts[:, m, :, None, None], parts.factor, 0.0)
            out[m] += second[m] * _fold(self._contract_rows(factor), slopes[:, :, None])
        return out.transpose(3, 1, 0, 2, 4)

    def _layer_pairs(
        self, first: Array, pieces: Array, inverse: Array, weights: tuple[Array, Array]
    ) -> list[tuple[int, int, Array]]:
        """Return (layer, layer, (P, C, bins)) second derivatives in the parameters of one bin."""
        w, s = weights[0][:, 0], weights[1][:, 0]
        out = []
        for m in range(self.layers):
            out.append((m, m, _first(w * first[:, m] ** 2)))
            for q in range(m + 1, self.layers):
                both = np.where(self.acts[:, q, :, None, None], pieces[:, m], 0.0).sum(axis=1)
                value = w * first[:, m] * first[:, q] + s * both * inverse[:, q]
                out.append((m, q, _first(value)))
        return out


def _first(x: Array) -> Array:
    """Return an array with its last axis, the points, in front, contiguous."""
    return np.ascontiguousarray(x.transpose(x.ndim - 1, *range(x.ndim - 1)))


def _fold(values: Array, slopes: Array) -> Array:
    """Return ups times slopes of u plus downs times slopes of d; (..., 2 J') to (..., J')."""
    width = slopes.shape[-1]
    return values[..., :width] * slopes[0] + values[..., width:] * slopes[1]
