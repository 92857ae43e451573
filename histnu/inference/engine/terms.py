"""Rates and derivatives in the space of the terms: for models with few effects.

    lambda_b = sum_t T_tb c_t(theta).

All pairs of derivatives of strengths that share a bin are listed once per model and contracted
with products of histograms: nothing depends on the number of bins but two matrix products.
The list grows with the square of the number of effects, so that larger models, and those with
parameters per bin, are evaluated row by row (:mod:`histnu.inference.engine.rows`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled
from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.kernel import StrengthKernel, Strengths, terms
from histnu.inference.engine.weights import Weights

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_MAX_EFFECTS = 200  # most first derivatives of strengths, whose pairs are listed
_MAX_HISTOGRAMS = 1_000_000  # most numbers in the products of histograms
_MAX_PRODUCTS = 1500  # longest list of products of derivatives that is evaluated at once
_FREE_PRODUCTS = 400  # products that cost less than anything row by row
_PRODUCTS_PER_CELL = 5  # products that cost as much as one bin of one row


def by_terms(compiled: Compiled) -> bool:
    """Whether a model is evaluated faster by its terms than row by row.

    A product of two derivatives costs about 5 ns per point, a bin of a row about 25 ns (measured
    from 4 to 41 parameters and 7 to 10,000 bins): few effects on many bins are terms, many
    effects on few bins are rows. Models with parameters per bin are always rows.
    """
    if compiled.per_bin:
        return False
    effects = products = numbers = cells = 0
    for channel, bins in compiled.channels.items():
        terms_here = effects_here = 0
        for row in (row for row in compiled.rows if row.channel == channel):
            twice = sum(1 if np.array_equal(d.up, d.down) else 2 for d in row.differences)
            terms_here += 1 + twice
            effects_here += len(row.factors) + twice * (len(row.factors) + 1)
            cells += bins.stop - bins.start
        effects += effects_here
        products += effects_here * (effects_here + 1) // 2
        numbers += terms_here**2 * compiled.n_bins // 2
    return (
        effects <= _MAX_EFFECTS
        and numbers <= _MAX_HISTOGRAMS
        and products <= max(_FREE_PRODUCTS, _PRODUCTS_PER_CELL * cells)
    )


class TermRates:
    """Rates of a model without per-bin parameters, in the space of its terms."""

    def __init__(self, compiled: Compiled) -> None:
        parts = terms(compiled)
        self._n, self.local = len(compiled.init), np.zeros(0, dtype=np.intp)
        self._kernel = StrengthKernel(parts)
        self._histograms = np.stack([t.histogram for t in parts])
        self._plan_histograms()
        k = self._kernel
        edges = np.flatnonzero(np.diff(k.first_parameter, prepend=-1))
        self._starts = edges
        self._used = k.first_parameter[edges]
        self._entries = np.split(np.arange(len(k.first_parameter)), edges[1:])
        self._plan_products()
        starts = np.flatnonzero(np.diff(k.second_i * self._n + k.second_j, prepend=-1))
        self._second_starts = starts
        self._second_pairs = (k.second_i[starts], k.second_j[starts])
        self.floats_per_value = max(compiled.n_bins, len(parts))
        self.floats_per_point = (
            3 * self._n**2
            + 5 * compiled.n_bins
            + 4 * len(k.first_term)
            + 3 * len(k.second_term)
            + len(self._pair_histograms)
        )

    def _plan_histograms(self) -> None:
        """Multiply the histograms of terms that share a bin."""
        hist = self._histograms
        overlap = (hist[:, None] != 0) & (hist[None] != 0)
        first, second = np.nonzero(overlap.any(axis=2))
        upper = first <= second
        self._pair_histograms = hist[first[upper]] * hist[second[upper]]
        zero_row = int(upper.sum())  # pairs that share no bin point at a row of zeros
        self._pair_of = np.full((len(hist), len(hist)), zero_row, dtype=np.intp)
        self._pair_of[first[upper], second[upper]] = np.arange(zero_row)
        self._pair_of[second[upper], first[upper]] = np.arange(zero_row)

    def _plan_products(self) -> None:
        """List the products of first derivatives that make up the Hessian, if they are few.

        A row is (entry a, entry b, histogram pair) with parameters i <= j and terms that
        share a bin; rows are sorted by (i, j).
        """
        k = self._kernel
        parameter, term = k.first_parameter, k.first_term
        self._products: tuple[Index, Index, Index, Index] | None = None
        overlap = self._pair_of[np.ix_(term, term)] < len(self._pair_histograms)
        a, b = np.nonzero(overlap & (parameter[:, None] <= parameter[None]))
        key = parameter[a] * self._n + parameter[b]
        order = np.argsort(key, kind="stable")
        a, b, key = a[order], b[order], key[order]
        if not 0 < len(a) <= _MAX_PRODUCTS:
            return
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        self._products = (a, b, self._pair_of[term[a], term[b]], starts)
        self._product_pairs = (parameter[a[starts]], parameter[b[starts]])

    def rates(self, pars: Array, templates: Array | None = None) -> Array:
        """Return expected counts (B, P) at parameters (n, P)."""
        assert templates is None, "templates are evaluated row by row"
        return np.asarray(self._histograms.T @ self._kernel.values(pars))

    def derivatives(
        self, pars: Array, data: tuple[Array, Mask | None], templates: Array | None = None
    ) -> tuple[Array, Array, Hessian]:
        """Return rates (B, P), gradient (n, P) and second derivatives of the Poisson part.

        With ``r_b = 2 (1 - d_b / lambda_b)`` and ``w_b = 2 d_b / lambda_b^2``:
        ``g_i = sum_t c_t,i (T r)_t`` and
        ``H_ij = sum_tt' c_t,i (T w T')_tt' c_t',j + sum_t (T r)_t c_t,ij``.

        Args:
            pars: (n, P). data: counts (B, P) and the mask of the expected information.
            templates: None; such likelihoods are evaluated row by row.
        """
        assert templates is None, "templates are evaluated row by row"
        s = self._kernel.derivatives(pars)
        rates = np.asarray(self._histograms.T @ s.value)
        weights = Weights.of(rates, *data)
        gradient, hessian = np.zeros(pars.shape), np.zeros((self._n, *pars.shape))
        if len(self._used):
            self._add(s, weights, (gradient, hessian))
        gradient *= 2
        hessian *= 2
        return rates, gradient, Hessian(hessian)

    def _add(self, s: Strengths, weights: Weights, out: tuple[Array, Array]) -> None:
        """Add half of gradient and Hessian."""
        gradient, hessian = out
        k = self._kernel
        pull = self._histograms @ weights.residual
        used, starts = self._used, self._starts
        gradient[used] += np.add.reduceat(s.first * pull[k.first_term], starts, axis=0)
        if weights.second is not weights.residual:
            pull = self._histograms @ weights.second
        self._add_second(s, pull, hessian)
        if self._products is not None:
            a, b, pair, first = self._products
            rows = s.first[a] * s.first[b]
            rows *= (self._pair_histograms @ weights.product)[pair]
            self._add_pairs(np.add.reduceat(rows, first, axis=0), self._product_pairs, hessian)
            return
        pairs = np.zeros((len(self._pair_histograms) + 1, s.value.shape[1]))
        np.matmul(self._pair_histograms, weights.product, out=pairs[:-1])
        for j, entries in zip(used, self._entries, strict=True):
            columns = self._pair_of[k.first_term[entries]]
            push = pairs[columns[0]] * s.first[entries[0]]
            for column, entry in zip(columns[1:], entries[1:], strict=True):
                push += pairs[column] * s.first[entry]
            hessian[used, j] += np.add.reduceat(s.first * push[k.first_term], starts, axis=0)

    def _add_second(self, s: Strengths, pull: Array, hessian: Array) -> None:
        """Add ``sum_t pull_t d^2 c_t`` to the Hessian."""
        k = self._kernel
        if not len(k.second_term):
            return
        sums = np.add.reduceat(s.second * pull[k.second_term], self._second_starts, axis=0)
        self._add_pairs(sums, self._second_pairs, hessian)

    @staticmethod
    def _add_pairs(sums: Array, pairs: tuple[Index, Index], hessian: Array) -> None:
        """Add values (N, P) at the places (i, j), i <= j, and at their mirror images."""
        i, j = pairs
        hessian[i, j] += sums
        off = i != j
        hessian[j[off], i[off]] += sums[off]
