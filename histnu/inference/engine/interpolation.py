"""HistFactory interpolations as functions of one nuisance parameter, with two derivatives.

Every systematic of HistFactory enters an expected count through a function of **one**
parameter. This module evaluates many such functions ("effects") for many parameter points
in one call. Histosys codes are linear in the upward and downward differences
``up = hi - nom`` and ``down = nom - lo``: ``delta = u(alpha) up + d(alpha) down``.

References: K. Cranmer et al., HistFactory, CERN-OPEN-2012-016; the codes are those of
pyhf 0.7 (``pyhf.interpolators``), including its code 2 beyond ``|alpha| = 1``, which is
``(b + 2a)(alpha - 1)`` above and ``(b - 2a) alpha`` below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import FitError

Array = NDArray[np.float64]
Triple = tuple[Array, Array, Array]

NORMSYS_CODES = ("code1", "code4")
HISTOSYS_CODES = ("code0", "code2", "code4p")

# inverse of the boundary conditions of code 4 at alpha0 = 1 (CERN-OPEN-2012-016, eq. 22)
_CODE4_INVERSE = (
    np.array(
        [
            [15.0, -15.0, -7.0, -7.0, 1.0, -1.0],
            [24.0, 24.0, -9.0, 9.0, 1.0, 1.0],
            [-10.0, 10.0, 10.0, 10.0, -2.0, 2.0],
            [-24.0, -24.0, 14.0, -14.0, -2.0, -2.0],
            [3.0, -3.0, -3.0, -3.0, 1.0, -1.0],
            [8.0, 8.0, -5.0, 5.0, 1.0, 1.0],
        ]
    )
    / 16.0
)


@dataclass(frozen=True)
class Effect:
    """One factor of an expected count: a function of the parameter ``parameter``.

    Attributes:
        kind: ``identity`` (normfactor, lumi), ``code1``, ``code4`` (normsys), or
            ``code0``, ``code2``, ``code4p`` (histosys).
        parameter: index of the parameter.
        first: ``lo`` of a normsys; weight of ``u`` of a histosys.
        second: ``hi`` of a normsys; weight of ``d`` of a histosys.
    """

    kind: str
    parameter: int
    first: float = 1.0
    second: float = 1.0

    @property
    def smooth(self) -> bool:
        """Whether the function is twice differentiable everywhere."""
        if self.kind == "code0":
            return self.first == self.second
        if self.kind == "code1":
            return bool(np.isclose(self.first * self.second, 1.0, rtol=1e-14))
        return self.kind in ("identity", "code4", "code4p")


def code4_coefficients(lo: Array, hi: Array) -> Array:
    """Return the six polynomial coefficients of code 4, shape (6, E)."""
    log_lo, log_hi = np.log(lo), np.log(hi)
    b = [hi - 1, lo - 1, log_hi * hi, -log_lo * lo, log_hi**2 * hi, log_lo**2 * lo]
    return np.asarray(_CODE4_INVERSE @ np.stack([x[:, 0] for x in b]))


class EffectTable:
    """Effects of one kind, evaluated together.

    Args:
        kind: see :class:`Effect`.
        effects: the effects, all of that kind.
    """

    def __init__(self, kind: str, effects: list[Effect]) -> None:
        self.kind = kind
        self.parameters = np.array([e.parameter for e in effects], dtype=np.intp)
        self.first = np.array([e.first for e in effects], dtype=float)[:, None]
        self.second = np.array([e.second for e in effects], dtype=float)[:, None]
        if kind in NORMSYS_CODES:
            if np.any(self.first <= 0) or np.any(self.second <= 0):
                raise FitError(
                    "a normsys has lo <= 0 or hi <= 0, which has no logarithm; use a histosys"
                )
            self._log_lo, self._log_hi = np.log(self.first), np.log(self.second)
        if kind == "code4":
            self._poly = code4_coefficients(self.first, self.second)

    def evaluate(self, pars: Array) -> Triple:
        """Return value, first and second derivative, each (E, P), at ``pars`` (n, P)."""
        alpha = pars[self.parameters]
        if self.kind == "identity":
            return alpha, np.ones_like(alpha), np.zeros_like(alpha)
        if self.kind == "code1":
            return self._exponential(alpha, alpha > 0)
        if self.kind == "code4":
            return self._code4(alpha)
        u, d = _HISTOSYS[self.kind](alpha)
        value, slope, curve = (self.first * x + self.second * y for x, y in zip(u, d, strict=True))
        return value, slope, curve

    def _exponential(self, alpha: Array, upper: NDArray[np.bool_]) -> Triple:
        """Return ``hi**alpha`` where ``upper``, else ``lo**-alpha``."""
        rate = np.where(upper, self._log_hi, -self._log_lo)
        value = np.exp(rate * alpha)
        slope = rate * value
        return value, slope, rate * slope

    def _code4(self, alpha: Array) -> Triple:
        """Return code 4: a sixth-order polynomial inside ``|alpha| < 1``, else exponential."""
        a = self._poly[:, :, None]
        x = alpha
        value = 1 + x * (a[0] + x * (a[1] + x * (a[2] + x * (a[3] + x * (a[4] + x * a[5])))))
        slope = a[0] + x * (
            2 * a[1] + x * (3 * a[2] + x * (4 * a[3] + x * (5 * a[4] + x * 6 * a[5])))
        )
        curve = 2 * a[1] + x * (6 * a[2] + x * (12 * a[3] + x * (20 * a[4] + x * 30 * a[5])))
        outside = np.abs(alpha) >= 1
        if outside.any():
            e0, e1, e2 = self._exponential(np.where(outside, alpha, 0.0), alpha >= 1)
            value = np.where(outside, e0, value)
            slope = np.where(outside, e1, slope)
            curve = np.where(outside, e2, curve)
        return value, slope, curve


def _histosys_code0(alpha: Array) -> tuple[Triple, Triple]:
    up = (alpha > 0).astype(float)
    zero = np.zeros_like(alpha)
    return (up * alpha, up, zero), ((1 - up) * alpha, 1 - up, zero)


def _histosys_code2(alpha: Array) -> tuple[Triple, Triple]:
    above, below = alpha > 1, alpha < -1
    one, zero = np.ones_like(alpha), np.zeros_like(alpha)

    def pick(inside: Array, high: Array, low: Array) -> Array:
        return np.where(above, high, np.where(below, low, inside))

    square = alpha * alpha
    u = (
        pick((square + alpha) / 2, 1.5 * (alpha - 1), -0.5 * alpha),
        pick(alpha + 0.5, 1.5 * one, -0.5 * one),
        pick(one, zero, zero),
    )
    d = (
        pick((alpha - square) / 2, -0.5 * (alpha - 1), 1.5 * alpha),
        pick(0.5 - alpha, -0.5 * one, 1.5 * one),
        pick(-one, zero, zero),
    )
    return u, d


def _histosys_code4p(alpha: Array) -> tuple[Triple, Triple]:
    inside = np.abs(alpha) <= 1
    x = np.where(inside, alpha, 0.0)
    square = x * x
    sign = np.where(inside, 0.0, np.sign(alpha))
    # half the difference of u and d: A-term inside, |alpha| / 2 outside
    value = square * (15 + square * (3 * square - 10)) / 16 + sign * alpha / 2
    slope = x * (30 + square * (18 * square - 40)) / 16 + sign / 2
    curve = np.where(inside, (30 + square * (90 * square - 120)) / 16, 0.0)
    half = alpha / 2
    return (half + value, 0.5 + slope, curve), (half - value, 0.5 - slope, -curve)


def histosys_weights(code: str, alpha: Array) -> tuple[Triple, Triple]:
    """Return u and d of a histosys and their two derivatives, each like ``alpha``."""
    return _HISTOSYS[code](alpha)


_HISTOSYS = {"code0": _histosys_code0, "code2": _histosys_code2, "code4p": _histosys_code4p}
