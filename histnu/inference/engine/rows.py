"""Rates and derivatives from the logarithmic derivatives of every row: for models of any size.

A row (one sample of one channel) has counts ``r_b = F_b a_b``: ``F`` the product of everything
that multiplies it (functions phi of one parameter each, and parameters per bin), ``a`` its
nominal yields plus its histosys. With ``L_i = phi_i' / phi_i`` and ``a_j`` the derivative of a,

    dr/di = r L_i + F a_i,
    d2r/didj = r L_i L_j + F (L_i a_j + L_j a_i)  for i != j,
    d2r/di2 = r phi_i'' / phi_i + 2 F L_i a_i + F a_ii,

since a parameter enters ``F`` once. The Hessian of the Poisson part, with weights ``w_b`` of
products of first derivatives of the counts lambda and ``s_b`` of second derivatives, is then::

    multiplicative:  L' (K + diag S) L,  K_rq = sum_b w_b r_rb r_qb (rows of one channel),
                     S_r = sum_b s_b r_rb; on the diagonal S phi''/phi takes the place of S L^2;
    crossing:        L' Q,  Q_rj = sum_b (w_b r_rb A_bj + s_b F_rb a_rb,j),  A_bj = dlambda_b/dj;
    additive:        A' w A, and sum_rb s_b F_rb a_rb,jj on the diagonal;

and parameters per bin couple to each other through their own bin only. The cost is linear in the
number of effects, times the number of parameters once.

**Factors that are zero** are replaced by 1e-100 in the derivatives (not in the counts). Then
``r L`` is the derivative to rounding, ``r`` vanishes beside anything else, and a second factor
that is zero in the same row leaves of the second derivatives the one in both, as it must be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.blocks import (
    Block,
    Counts,
    Interpolations,
    Point,
    RowFactors,
    Sums,
    nonzero,
)
from histnu.inference.engine.compile import Compiled, Row
from histnu.inference.engine.hessian import Arrow, Hessian
from histnu.inference.engine.weights import Weights

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_MANY = 4  # points of the expected information that are worth being evaluated apart
_MANY_LOCAL = 40  # from which a batch takes half the time, and one fit no more than 5 % longer


# ---------------------------------------------------------------------- variables, parameters
class Variables:
    """The N variables of the derivatives: M that multiply rows, J histosys and one dummy, then one
    for every parameter per bin of every channel, and one more that nothing depends on. L that are
    local (see :mod:`.hessian`) follow.

    A parameter may be several of them (a normsys and a histosys of one name, a shapefactor of
    several channels): its derivatives are their sums.

    Args:
        n: number of parameters. variables: (N - 1,) their parameters, or -1.
        local: (s, G) parameters of the local ones that are s to a bin, for every s.
    """

    def __init__(self, n: int, variables: Index, local: list[Index]) -> None:
        self.size, self._shapes = len(variables) + 1, [x.shape for x in local]
        self.local = np.concatenate([np.zeros(0, dtype=np.intp), *(x.ravel() for x in local)])
        self.most = max((len(x) for x in local), default=0)
        self._others = np.setdiff1d(np.arange(n), self.local)
        self._place = np.full(n, self.size - 1, dtype=np.intp)
        self._again: list[tuple[Index, Index]] = []  # parameters and further variables of theirs
        left = np.flatnonzero(variables >= 0)
        parameters, first = np.unique(variables[left], return_index=True)
        self._place[parameters] = left[first]
        while len(left := np.setdiff1d(left, left[first], assume_unique=True)):
            parameters, first = np.unique(variables[left], return_index=True)
            self._again.append((parameters, left[first]))
        self._place[self.local] = self.size + np.arange(len(self.local))

    def sums(self, x: Array) -> Array:
        """Return values (..., n) of the parameters from those of the variables (..., N + L)."""
        out: Array = x.take(self._place, axis=-1)
        for parameters, source in self._again:
            out[..., parameters] += x[..., source]
        return out

    def gradient(self, x: Array) -> Array:
        """Return (n, P) from (P, N + L)."""
        return np.ascontiguousarray(self.sums(x).T)

    def hessian(self, x: Array, inner: Array) -> Hessian:
        """Return second derivatives from (P, N, N + L), and (P, L, s) those in each bin."""
        place = self._place[self._others]
        k = len(place)
        as_is = np.array_equal(place, np.arange(k))  # every parameter multiplies rows: no copies
        again = [(np.searchsorted(self._others, target), source) for target, source in self._again]
        rows = x[:, :k] if as_is else x.take(place, axis=1)
        for target, source in again:
            rows[:, target] += x[:, source]
        core = rows[:, :, :k] if as_is else rows.take(place, axis=2)
        for target, source in again:
            core[:, :, target] += rows[:, :, source]
        core = core.transpose(1, 2, 0)
        if not len(self.local):
            return Hessian(core)
        border = rows[:, :, self.size :].transpose(1, 2, 0)
        blocks, start = [], 0
        for s, g in self._shapes:
            part = inner[:, start : start + s * g, :s].reshape(-1, s, g, s)
            blocks.append(part.transpose(1, 3, 2, 0))
            start += s * g
        return Hessian(core, Arrow(border, tuple(blocks), self._others, self.local))


# ---------------------------------------------------------------------- the whole model
class RowRates:
    """Rates of a model, row by row.

    Args:
        compiled: the model.
        replaced: sample whose nominal yields are given per problem, or None.
    """

    def __init__(self, compiled: Compiled, replaced: str | None = None) -> None:
        self._n, self._n_bins = len(compiled.init), compiled.n_bins
        groups: dict[tuple[int, int, int], list[list[Row]]] = {}
        for channel in compiled.channels:
            rows = [row for row in compiled.rows if row.channel == channel]
            layers = len({layer for row in rows for layer in row.layers})
            groups.setdefault((len(rows), len(rows[0].nominal), layers), []).append(rows)
        ordered = [row for channels in groups.values() for rows in channels for row in rows]
        self._effects = RowFactors(ordered)
        self._differences = Interpolations(ordered, compiled.histosys_code)
        self._make_blocks(list(groups.values()))
        self._replaced = [
            np.array([[row == replaced for row in rows] for rows in block.samples])[..., None, None]
            for block in self._blocks
        ]
        for block, mask in zip(self._blocks, self._replaced, strict=True):
            block.nominal = np.where(mask, 0.0, block.nominal)
        self.floats_per_point = self._floats(len(ordered))
        self.floats_per_value = max(block.nominal.size for block in self._blocks)

    def _make_blocks(self, groups: list[list[list[Row]]]) -> None:
        """Make the blocks and number the variables."""
        added = {int(p): j for j, p in enumerate(self._differences.parameters)}
        self._blocks: list[Block] = []
        self._rows = 0
        for channels in groups:
            self._blocks.append(Block(channels, self._rows, added))
            self._rows = self._blocks[-1].rows.stop
        shared = [self._effects.parameters, self._differences.parameters]
        per_bin = [block.gamma.ravel() for block in self._blocks]
        self._per_bin = np.unique(np.concatenate(per_bin))
        self._choose_local(np.bincount(np.concatenate(shared + per_bin), minlength=self._n))
        self._number_variables([*shared, np.array([-1])])

    def _choose_local(self, uses: Index) -> None:
        """Choose the layers whose parameters act in one bin each, if there are many of these."""
        for block in self._blocks:
            single = np.flatnonzero((uses[block.gamma] == 1).all(axis=(0, 2)))
            block.local = {int(m): rank for rank, m in enumerate(single)}
        if sum(block.bins.size * len(block.local) for block in self._blocks) < _MANY_LOCAL:
            for block in self._blocks:
                block.local = {}

    def _number_variables(self, variables: list[Index]) -> None:
        """Number the parameters per bin after ``variables``, the local ones last."""
        count = sum(map(len, variables))
        for block in self._blocks:
            for m in set(range(block.layers)) - set(block.local):
                gamma = block.gamma[:, m]
                block.variables[:, m] = count + np.arange(gamma.size).reshape(gamma.shape)
                variables.append(gamma.ravel())
                count += gamma.size
        local = self._number_local(count + 1)
        self._variables = Variables(self._n, np.concatenate(variables).astype(np.intp), local)
        self.local = self._variables.local
        self._few_bins = not len(self.local) and self._n_bins <= self._rows

    def _number_local(self, first: int) -> list[Index]:
        """Number the local variables; return their parameters (s, G) of every s (see Arrow)."""
        out = []
        for s in sorted({len(block.local) for block in self._blocks} - {0}):
            blocks = [block for block in self._blocks if len(block.local) == s]
            layers = [block.gamma[:, list(block.local)].swapaxes(0, 1) for block in blocks]
            parameters = np.concatenate([x.reshape(s, -1) for x in layers], axis=1)
            numbers = first + np.arange(parameters.size).reshape(parameters.shape)
            ends = np.cumsum([block.bins.size for block in blocks])[:-1]
            for block, part in zip(blocks, np.split(numbers, ends, axis=1), strict=True):
                own = part.reshape(s, *block.bins.shape).swapaxes(0, 1)
                block.variables[:, list(block.local)] = own
            out.append(parameters)
            first += parameters.size
        return out

    def _floats(self, rows: int) -> int:
        """Return how many numbers the evaluation of a point holds at once."""
        m, j = len(self._effects.parameters), len(self._differences.parameters)
        size, local = self._variables.size, len(self._variables.local)
        cells = sum(b.nominal.size * (5 + 3 * b.layers + b.width) for b in self._blocks)
        return (
            3 * (self._n - local) * self._n + size * (size + local) + rows * (3 * m + j)
            + self._n_bins * 2 * j + cells
        )  # fmt: skip

    def _counts(
        self, pars: Array, factors: Array, differences: Array, templates: Array | None
    ) -> list[Counts]:
        """Return the counts of rows of every block."""
        out = []
        for block, mask in zip(self._blocks, self._replaced, strict=True):
            yields = None
            if templates is not None and mask.any():
                yields = np.where(mask, templates[block.bins][:, None], 0.0)
            out.append(block.counts(pars, factors, differences, yields))
        return out

    def _total(self, parts: list[Counts], points: int) -> Array:
        """Return the counts of bins (B, P)."""
        rates = np.empty((self._n_bins, points))
        for block, part in zip(self._blocks, parts, strict=True):
            rates[block.flat] = part.counts.sum(axis=1).reshape(-1, points)
        return rates

    def rates(self, pars: Array, templates: Array | None = None) -> Array:
        """Return expected counts (B, P) at parameters (n, P) and yields (B, P) of a sample."""
        if not pars.shape[1]:
            return np.empty((self._n_bins, 0))
        differences = self._differences.evaluate(pars)
        parts = self._counts(pars, self._effects.products(pars), differences, templates)
        return self._total(parts, pars.shape[1])

    def derivatives(
        self, pars: Array, data: tuple[Array, Mask | None], templates: Array | None = None
    ) -> tuple[Array, Array, Hessian]:
        """Return rates (B, P), gradient (n, P) and second derivatives of the Poisson part.

        Args:
            pars: (n, P). data: counts (B, P) and the mask of the expected information.
            templates: (B, P) yields of the replaced sample, or None.
        """
        if not pars.shape[1]:
            n = self._n
            return np.empty((self._n_bins, 0)), np.empty((n, 0)), Hessian(np.empty((n, n, 0)))
        main, expected = data
        if self._few_bins and expected is not None and _MANY <= expected.sum() < len(expected):
            return self._apart(pars, (main, expected), templates)
        factors = self._effects.evaluate(pars)
        differences = self._differences.evaluate(pars)
        parts = self._counts(pars, factors.exact, differences, templates)
        rates = self._total(parts, pars.shape[1])
        weights = Weights.of(rates, main, expected)
        moved = nonzero(pars) if np.any(pars[self._per_bin] == 0) else pars
        if factors.safe is not factors.exact or moved is not pars:
            parts = self._counts(moved, factors.safe, differences, templates)
        twice = Weights(2 * weights.residual, 2 * weights.product, 2 * weights.second)
        at = Point(pars, factors, self._effects.dense(factors.slope), differences, twice)
        if self._few_bins and not weights.second.any():
            return rates, *self._information(at, parts)
        sums = self._sums(pars.shape[1])
        for block, part in zip(self._blocks, parts, strict=True):
            block.add(at, part, sums)
        self._finish(at, sums)
        second = self._variables.hessian(sums.hessian, sums.inner)
        return rates, self._variables.gradient(sums.gradient), second

    def _apart(
        self, pars: Array, data: tuple[Array, Mask], templates: Array | None
    ) -> tuple[Array, Array, Hessian]:
        """Evaluate the points of the expected information apart from the others."""
        main, expected = data
        n, points = pars.shape
        rates, gradient = np.empty((self._n_bins, points)), np.empty((n, points))
        core = np.empty((points, n, n))
        for which in (expected, ~expected):
            counts = main if main.shape[1] == 1 else main[:, which]
            yields = None if templates is None else templates[:, which]
            part = self.derivatives(pars[:, which], (counts, expected[which]), yields)
            rates[:, which], gradient[:, which] = part[:2]
            core[which] = part[2].core.transpose(2, 0, 1)
        return rates, gradient, Hessian(core.transpose(1, 2, 0))

    def _information(self, at: Point, parts: list[Counts]) -> tuple[Array, Hessian]:
        """Return gradient and second derivatives where those of the rates have no weight.

        ``sum_b w_b dlambda_b/di dlambda_b/dj``: of few bins this is all that has to be added up.
        """
        slopes = np.zeros((at.pars.shape[1], self._n_bins, self._variables.size))
        for block, part in zip(self._blocks, parts, strict=True):
            block.slopes(at, part, slopes)
        slopes = self._variables.sums(slopes)  # (P, B, n)
        weighted = at.weights.product.T[..., None] * slopes
        gradient = (at.weights.residual.T[:, None] @ slopes)[:, 0].T
        hessian = slopes.swapaxes(1, 2) @ weighted
        return np.ascontiguousarray(gradient), Hessian(hessian.transpose(1, 2, 0))

    def _sums(self, points: int) -> Sums:
        """Return empty sums."""
        rows, size, local = self._rows, self._variables.size, len(self._variables.local)
        m, j = len(self._effects.parameters), len(self._differences.parameters)
        return Sums(
            np.empty((rows, points)),
            np.empty((rows, points)),
            np.empty((points, rows, m)),
            np.zeros((points, m)),
            np.zeros((points, rows, j + 1)),
            np.zeros((points, self._n_bins, j + 1)),
            np.zeros((points, j + 1)),
            np.zeros((points, size + local)),
            np.zeros((points, size, size + local)),
            np.zeros((points, local, self._variables.most)),
        )

    def _finish(self, at: Point, sums: Sums) -> None:
        """Fill the gradient and the Hessian of everything but the parameters per bin."""
        e = self._effects
        m, j = len(e.parameters), sums.curve.shape[1]
        g, h = sums.gradient, sums.hessian
        transposed = at.log_slopes.swapaxes(1, 2)
        g[:, :m] = e.by_parameter(sums.pull[e.row] * at.factors.slope).T
        np.matmul(transposed, sums.push, out=h[:, :m, :m])
        diagonal = np.arange(m)
        curve = e.by_parameter(sums.second[e.row] * at.factors.curve).T
        h[:, diagonal, diagonal] = sums.gram + curve
        if j == 1:
            return
        both = slice(m, m + j)
        crossing = transposed @ sums.crossing
        h[:, :m, both], h[:, both, :m] = crossing, crossing.swapaxes(1, 2)
        added = sums.additive.swapaxes(1, 2)
        g[:, both] = (added @ at.weights.residual.T[..., None])[..., 0]
        weighted = at.weights.product.T[..., None] * sums.additive
        np.matmul(added, weighted, out=h[:, both, both])
        diagonal = np.arange(m, m + j)
        h[:, diagonal, diagonal] += sums.curve
