"""Proof that a minimum is the global one, for conditional fits of log-normal and linear models.

Theorem. Let every parameter that is not held have a normal constraint, ``alpha = (theta - a) /
sigma``, so that ``f = -2 log L = |alpha|^2 + P(lambda(theta))`` up to a constant, with
``P = 2 sum_b (lambda_b - d_b log lambda_b)``. P is convex in lambda and lies above its tangent at
the minimum ^ that was found::

    f(theta) >= l(theta) = |alpha|^2 + P^ + sum_b r_b (lambda_b(theta) - lambda^_b),
    r_b = 2 (1 - d_b / lambda^_b),

with equal values and gradients at ^. Points with ``f <= f^`` lie in the ball ``|alpha| <= rho``,
``rho^2 = f^ - min P``. If l is convex there, its second derivatives at least ``m > 0``, no allowed
point is lower than ``f^ - |g|^2 / (2 m)``, g being the gradient left by the fit in what is not
pushed against a bound.

Rows are ``Phi_s(alpha) S_s``, ``S_s = G_s + sum_k w_sk theta_k``: ``Phi_s`` a product of normsys,
``G_s`` and ``w_sk`` sums of nominal yields and linear histosys weighted by r. At a distance t from
the minimum ``Phi_s <= Phi^_s exp(|A_s| t)`` and ``|S_s - S^_s| <= |w_s| t`` with A the supremum of
``|phi'/phi|``. The second derivatives of a row are ``Phi_s S_s (D + a a^T - diag a^2)``, ``D =
diag(phi''/phi)``, plus the crossings of a and w. Where S is negative they are bounded with the
supremum C of ``phi''/phi``. Where it is positive ``a a^T`` helps, and what is left is negative only
within one sigma of the nominal value (code 4): with K the supremum of ``-phi''/phi`` there, or of
``-(log phi)''`` if a row has several factors. By Gershgorin's theorem the second derivatives at t
are, in units of sigma, at least::

    m(t) = 2 - max_k sum_s { sup Phi_s [ sup(-S_s, 0) (C_sk + sum_(l not k) A_sk A_sl)
           + sum_l (A_sk |w_sl| + |w_sk| A_sl) ] + sup_k Phi_s sup(S_s, 0) K_sk }.

Along a line from the minimum ``l(t) >= l^ + integral_0^t (t - u) m(u) du``: m may be negative far
out. By the mean value theorem l bounds rho in turn, ``rho^2 <= |alpha^|^2 + t |h|`` with
``t = rho + |alpha^|`` and ``h_k = sum_s sup Phi_s (sup|S_s| A_sk + |w_sk|)`` (where S is positive a
row falls by at most ``Phi^_s sup S_s |A_s| t``).

It holds where residuals r are small or what they belong to moves little: for the nuisances of a
counting experiment with a signal strength that is held. Free factors, parameters per bin and shapes
that bend are not covered: there the agreement of starts stays evidence.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.blocks import RowFactors
from histnu.inference.engine.compile import Compiled, Row
from histnu.inference.engine.interpolation import Effect, code4_coefficients
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.problems import BatchFit

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_CELLS = 4096  # of [-1, 1], in which a polynomial is bounded by its derivative
_ROUNDS = 2  # times that the ball is made smaller
_STEPS = 6  # of the integral along a line from the minimum
_GAP = 1e-6  # in -2 log L, by which a lower value may exist where a fit left a gradient
_LEAST = 0.1  # second derivative of l, of 2, that is left: far above rounding


@functools.lru_cache(maxsize=4096)  # many rows share the effect of a rate
def suprema(effect: Effect) -> tuple[float, float, float, float]:
    """Return the suprema of ``|φ'/φ|``, ``φ''/φ``, ``-φ''/φ`` and ``-(log φ)''`` of a normsys.

    Infinite where phi is not twice differentiable. Outside [-1, 1] code 4 is an exponential;
    inside, a function is within h sup|f'| of its values at points 2h apart.
    """
    unknown = (np.inf, np.inf, np.inf, np.inf)
    if effect.kind not in ("code1", "code4") or not effect.smooth:
        return unknown
    steep = float(np.abs(np.log([effect.first, effect.second])).max())
    if effect.kind == "code1":
        return steep, steep**2, 0.0, 0.0
    ends = np.array([[effect.first]]), np.array([[effect.second]])
    poly = np.polynomial.Polynomial([1.0, *code4_coefficients(*ends)[:, 0]])
    h = 1.0 / _CELLS
    x = np.linspace(-1 + h, 1 - h, _CELLS)
    p, p1, p2 = (poly.deriv(k)(x) for k in range(3))
    most = [float(np.abs(poly.deriv(k).coef).sum()) for k in (1, 2, 3)]  # suprema on [-1, 1]
    least = float(p.min()) - h * most[0]
    if least <= 0:
        return unknown
    r1, r2, r3 = (m / least for m in most)
    slope = float(np.abs(p1 / p).max()) + h * (r2 + r1**2)
    bend, margin = p2 / p, h * (r3 + r1 * r2)
    logarithm = float(((p1 / p) ** 2 - bend).max()) + margin + 2 * h * (r1 * r2 + r1**3)
    return (
        max(steep, slope),
        max(steep**2, float(bend.max()) + margin),
        max(margin - float(bend.min()), 0.0),
        max(logarithm, 0.0),
    )


class Convexity:
    """What :meth:`proven` needs of a model, computed once.

    Args:
        compiled: the model.
    """

    def __init__(self, compiled: Compiled) -> None:
        c, n, rows = compiled.constraints, len(compiled.init), compiled.rows
        shapes = [(r, d) for r, row in enumerate(rows) for d in row.differences]
        linear = compiled.histosys_code != "code2" and all(
            np.array_equal(d.up, d.down) for _, d in shapes
        )
        self._covered = np.zeros(n, dtype=bool)
        if not linear or compiled.per_bin or any(map(_repeats, rows)):
            return
        self._factors = RowFactors(list(rows))
        self._row = np.array([r for r, _ in shapes], dtype=np.intp)
        self._shape = np.array([d.parameter for _, d in shapes], dtype=np.intp)
        self._nominal = np.zeros((len(rows), compiled.n_bins))
        self._moved = np.zeros((len(shapes), compiled.n_bins))
        for k, (r, d) in enumerate(shapes):
            self._moved[k, rows[r].bins] = d.up
        self._bounds = np.zeros((4, len(rows), n))  # A, C, and K of one factor or of several
        for r, row in enumerate(rows):
            self._nominal[r, row.bins] = row.nominal
            for e in row.factors:
                self._bounds[:, r, e.parameter] = suprema(e)
        self._sigma, self._center = np.zeros(n), np.zeros(n, dtype=np.intp)
        self._sigma[c.parameters[c.normal]] = c.scale[c.normal]
        self._center[c.parameters[c.normal]] = np.flatnonzero(c.normal)
        times = np.bincount(c.parameters, minlength=n)
        self._covered = (times == 1) & (self._sigma > 0)
        self._covered &= np.isfinite(self._bounds).all(axis=(0, 1))

    def covers(self, fixed: Mask) -> bool:
        """Return whether the theorem may hold for fits with these parameters (n,) held."""
        return bool(self._covered[~fixed].all()) and not fixed.all()

    def proven(
        self, likelihood: Likelihood, observed: Observed, fit: BatchFit, fixed: Mask
    ) -> Mask:
        """Return (P,) which minima are proven to be the lowest, within 1e-6 in -2 log L.

        Args:
            likelihood, observed: what was fitted. fit: P fits. fixed: (n,) what was held, covered.
        """
        free = ~fixed
        sigma = np.where(free, self._sigma, 0.0)
        low, high = likelihood.bounds.T
        x, g = fit.parameters, fit.gradient
        held = ((x <= low) & (g > 0)) | ((x >= high) & (g < 0))
        left = np.square(np.where(free & ~held, g * sigma, 0.0)).sum(axis=1)
        least = self.modulus(likelihood, observed, fit, fixed)
        return np.asarray(fit.converged & (least > _LEAST) & (left <= 2 * _GAP * least))

    def modulus(
        self, likelihood: Likelihood, observed: Observed, fit: BatchFit, fixed: Mask
    ) -> Array:
        """Return m (P,), the average second derivative of l, from below.

        With ``D = alpha - alpha^`` f is at least ``f^ + g . D + m |D|^2 / 2`` at every point where
        it is not above f^. Minus infinity where a rate is not positive.
        """
        x = np.ascontiguousarray(fit.parameters.T)
        free = ~fixed
        sigma = np.where(free, self._sigma, 0.0)
        rates = likelihood.expected(fit.parameters).T
        defined = ((rates > 0) | ((observed.main == 0) & (rates == 0))).all(axis=0)
        residual = 2 * (1 - observed.main / np.where(rates > 0, rates, 1.0))
        pull = (x - observed.aux[self._center])[free] / sigma[free, None]
        away = np.sqrt(np.square(pull).sum(axis=0))
        with np.errstate(invalid="ignore", over="ignore"):
            rho = np.sqrt(np.maximum(fit.twice_nll - likelihood.least(observed), 0.0))
            rows = self._rows(x, residual, sigma)
            return np.where(defined, self._average(rows, away, rho), -np.inf)

    def _rows(self, x: Array, residual: Array, sigma: Array) -> _Rows:
        """Return the rows of l at minima x (n, P) with the slopes r (B, P) of P."""
        slopes = self._moved @ residual
        yields = self._nominal @ residual
        for k, row in enumerate(self._row):
            yields[row] += slopes[k] * x[self._shape[k]]
        factor = self._factors.products(x)
        with np.errstate(divide="ignore"):
            inside = (1 + np.abs(x)) / sigma[:, None]
        return _Rows(
            np.abs(factor), np.where(factor < 0, -yields, yields),
            np.abs(slopes) * sigma[self._shape, None], self._row, self._shape, inside,
            np.where(sigma > 0, self._bounds, 0.0) * np.stack([sigma, *3 * [sigma**2]])[:, None],
        )  # fmt: skip

    @staticmethod
    def _average(rows: _Rows, away: Array, rho: Array) -> Array:
        """Return a bound (P,) from below of the average second derivative of l in the ball."""
        for _ in range(_ROUNDS):
            reach = rho + away
            rho = np.minimum(rho, np.sqrt(away**2 + reach * rows.steepness(reach)))
        reach = rho + away
        least = 2 - rows.lost(reach).max(axis=0)
        more = np.flatnonzero(least <= _LEAST)
        if len(more):
            some = rows.select(more)
            shares = np.arange(1, _STEPS + 1) / _STEPS
            weights = (1 - shares + 1 / _STEPS) ** 2 - (1 - shares) ** 2
            lost = sum(w * some.lost(t * reach[more]) for w, t in zip(weights, shares, strict=True))
            least[more] = 2 - lost.max(axis=0)
        return np.asarray(least)


@dataclass(frozen=True)
class _Rows:
    """The rows of l at P minima: R rows, n parameters, J histosys.

    Attributes:
        factor: (R, P) Phi. yields: (R, P) S.
        slopes: (J, P) |w|; row, shape: (J,) to which row and parameter they belong.
        inside: (n, P) distance to anywhere within [-1, 1]. bounds: (4, R, n) A, C and both K, zero
            for what is held.
    """

    factor: Array
    yields: Array
    slopes: Array
    row: Index
    shape: Index
    inside: Array
    bounds: Array

    def select(self, which: Index) -> _Rows:
        """Return some of the minima."""
        parts = (self.factor, self.yields, self.slopes)
        factor, yields, slopes = (x[:, which] for x in parts)
        inside = self.inside[:, which]
        return replace(self, factor=factor, yields=yields, slopes=slopes, inside=inside)

    @functools.cached_property
    def _sums(self) -> tuple[Array, Array]:
        """Matrices that sum histosys over rows (R, J) and over parameters (n, J)."""
        every = np.arange(len(self.row))
        rows, parameters = (np.zeros((len(x), len(every))) for x in (self.factor, self.inside))
        rows[self.row, every], parameters[self.shape, every] = 1.0, 1.0
        return rows, parameters

    @functools.cached_property
    def _lengths(self) -> tuple[Array, Array, Array]:
        """|A_s| (R, 1), |w_s| (R, P) and sum |w_s| (R, P)."""
        rows = self._sums[0]
        length = np.sqrt(np.square(self.bounds[0]).sum(axis=1))[:, None]
        return length, np.sqrt(rows @ np.square(self.slopes)), rows @ self.slopes

    def _suprema(self, reach: Array) -> tuple[Array, Array]:
        """Return sup Phi_s and |w_s| t (R, P) within ``reach`` (P,)."""
        length, norm, _ = self._lengths
        return self.factor * np.exp(length * reach), norm * reach

    def steepness(self, reach: Array) -> Array:
        """Return |h| (P,): how steeply the rows may fall."""
        most, span = self._suprema(reach)
        high = np.where(self.yields >= span, self.factor, most) * (np.abs(self.yields) + span)
        h = self.bounds[0].T @ high + self._sums[1] @ (self.slopes * most[self.row])
        return np.asarray(np.sqrt(np.square(h).sum(axis=0)))

    def lost(self, reach: Array) -> Array:
        """Return by how much (n, P) the second derivatives may be less than 2 within ``reach``."""
        most, span = self._suprema(reach)
        steep, curve = self.bounds[0], self.bounds[1]
        total = steep.sum(axis=1)[:, None]
        negative = most * np.maximum(span - self.yields, 0)
        out = (curve + steep * (total - steep)).T @ negative
        out += steep.T @ (most * self._lengths[2])
        out += self._sums[1] @ (self.slopes * (most * total)[self.row])
        s, k, bend, others = self._bends
        grown = np.exp(others * reach + steep[s, k][:, None] * np.minimum(self.inside[k], reach))
        positive = self.factor * np.maximum(span + self.yields, 0)
        return np.asarray(out + bend @ (grown * positive[s]))

    @functools.cached_property
    def _bends(self) -> tuple[Index, Index, Array, Array]:
        """Factors whose slope falls: row and parameter (E,), K as a sum (n, E), the others' |A|."""
        steep, one, several = self.bounds[0], self.bounds[2], self.bounds[3]
        most = np.where(np.count_nonzero(steep, axis=1)[:, None] > 1, several, one)
        s, k = np.nonzero(most)
        bend = np.zeros((len(self.inside), len(s)))
        bend[k, np.arange(len(s))] = most[s, k]
        others = np.sqrt(np.square(steep).sum(axis=1)[s] - steep[s, k] ** 2)[:, None]
        return s, k, bend, others


_KNOWN: WeakKeyDictionary[Likelihood, Convexity | None] = WeakKeyDictionary()


def convexity(likelihood: Likelihood) -> Convexity | None:
    """Return what proofs need of a likelihood, made once; None where it is no plain document."""
    if likelihood not in _KNOWN:
        compiled = getattr(likelihood, "compiled", None)
        _KNOWN[likelihood] = None if compiled is None else Convexity(compiled)
    return _KNOWN[likelihood]


def _repeats(row: Row) -> bool:
    """Whether a parameter multiplies a row twice, or moves it twice."""
    factors = Counter(e.parameter for e in row.factors)
    shapes = Counter(d.parameter for d in row.differences)
    return any(n > 1 for n in (*factors.values(), *shapes.values()))
