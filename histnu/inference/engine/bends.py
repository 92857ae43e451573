"""Newton's steps along curved valleys.

Where rates are products of parameters, the surfaces of equal counts are curved: a step follows
their tangent, meets the wall of the valley, and Newton's method crawls. To second order the point
at which -2 log L is least, given what the rates do beyond their tangent, lies beside the step::

    d = -H^-1 J' W e,    e = lambda(x + s) - lambda(x) - J s,    W_b = 2 n_b / lambda_b^2

with the second derivatives H of -2 log L and J of the rates at x: the geodesic acceleration of
M. K. Transtrum, B. B. Machta, J. P. Sethna (Phys. Rev. E 83 (2011) 036701), of a finite step.
Several lengths of a step are tried at once, and the lowest is taken: near a barrier
(:mod:`.boundary`) none of them is right for long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.allowed import rate_slopes
from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.linalg import newton_step

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_LENGTHS = np.array([1.0, 4.0, 2.0, 0.5, 0.2, 0.05, 0.01])
_BENT = 1e-3  # change of -2 log L by the curvature that is worth a correction
_ROUNDS = 2
_DAMPING = 1e-10  # relative, of directions in which -2 log L is flat


@dataclass(frozen=True)
class Valley:
    """P points and the steps from them.

    Attributes:
        likelihood, observed: what is minimised. x, step: (n, P). length: (P,) of the steps.
        hessian: second derivatives at x. bounds: (n, 1) or (n, P), lower and upper. fixed: (n, P).
    """

    likelihood: Likelihood
    observed: Observed
    x: Array
    step: Array
    length: Array
    hessian: Hessian
    bounds: tuple[Array, Array]
    fixed: Mask

    def lowest(self) -> tuple[Array, Array]:
        """Return the lowest points (n, P) along the bent steps, and their lengths (P,).

        Where all are undefined, the shortest.
        """
        lengths = _LENGTHS[:, None] * self.length
        trials = self._bent(self._inside(self.x[:, None] + lengths * self.step[:, None]))
        value = self._at(self._values, trials)
        best = np.where(np.isfinite(value).any(axis=0), np.argmin(value, axis=0), -1)
        every = np.arange(len(best))
        return np.ascontiguousarray(trials[:, best, every]), lengths[best, every]

    def _bent(self, trials: Array) -> Array:
        """Return trial points (n, K, P) beside those of the straight steps."""
        n, count, size = trials.shape
        templates = self.observed.templates
        yields = None if templates is None else templates.T
        slopes = rate_slopes(self.likelihood, self.x, yields)  # (n, B, P)
        here = self._at(self._rates, self.x[:, None])
        straight = here + np.einsum("nbp,nkp->bkp", slopes, trials - self.x[:, None])
        events = self.observed.main
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(events > 0, 2 * events / here[:, 0] ** 2, 0.0)[:, None]
        low, high = (b[:, None] for b in self.bounds)
        free = (~self.fixed[:, None] & (trials > low) & (trials < high)).reshape(n, -1)
        out = trials
        for _ in range(_ROUNDS):
            off = self._at(self._rates, out) - straight
            off -= np.einsum("nbp,nkp->bkp", slopes, out - trials)
            bend = (weight * off**2).sum(axis=0).ravel()
            pull = np.einsum("nbp,bkp->nkp", slopes, weight * off).reshape(n, -1)
            k = np.flatnonzero((bend > _BENT) & np.isfinite(pull).all(axis=0))
            if not len(k):
                break
            found = newton_step(
                self.hessian.select(k % size), pull[:, k], free[:, k], np.full(len(k), _DAMPING)
            )
            beside = np.zeros_like(pull)
            beside[:, k] = found.step
            out = self._inside(trials + beside.reshape(n, count, size))
        return out

    def _inside(self, points: Array) -> Array:
        """Return points (n, K, P) inside the bounds, fixed parameters at their values."""
        low, high = (b[:, None] for b in self.bounds)
        inside = np.minimum(np.maximum(points, low), high)
        return np.where(self.fixed[:, None], self.x[:, None], inside)

    # ------------------------------------------------------------------ many points of each problem
    def _at(self, function: Callable[[Array, Index], Array], points: Array) -> Array:
        """Return (..., K, P) of a function of points (n, K, P) and their problems."""
        n, count, size = points.shape
        out = function(points.reshape(n, -1), np.tile(np.arange(size), count))
        return out.reshape(*out.shape[:-1], count, size)

    def _values(self, points: Array, problem: Index) -> Array:
        return self.likelihood.value(np.ascontiguousarray(points), self.observed.select(problem))

    def _rates(self, points: Array, problem: Index) -> Array:
        templates = self.observed.templates
        if templates is None:
            return self.likelihood.expected(points.T).T
        yields = templates[:, problem].T
        return self.likelihood.expected(points.T, yields).T  # type: ignore[call-arg]
