"""Uncertainties of fitted parameters: from the curvature (Hesse) and from the profile (MINOS).

    C = 2 [d^2 (-2 log L) / d theta_i d theta_j]^-1 at the best fit,
    profile ends: Delta(theta_k) = 1, all other parameters profiled.

References: F. James, M. Roos, Comput. Phys. Commun. 10 (1975) 343 (HESSE, MINOS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.batch import Crossings, CrossingTask, linear_response
from histnu.inference.ends import certified_ends
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.toys import constraints_of

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

FREE, FIXED, AT_BOUND, UNDETERMINED = "free", "fixed", "at bound", "undetermined"

_AT_BOUND = 1e-9  # distance to a bound, in widths of the parameter
_FLAT = 1e-9  # eigenvalue of the unit-diagonal Hessian below which a direction is flat
_SHARE = 1e-4  # component along a flat direction above which a parameter is not determined


@dataclass(frozen=True)
class Curvature:
    """Covariance at a best fit.

    Attributes:
        covariance: (n, n); rows of parameters that are not ``free`` are zero.
        status: per parameter ``free``, ``fixed``, ``at bound`` (held there by the data: no
            symmetric uncertainty exists) or ``undetermined`` (a flat direction).
    """

    covariance: Array
    status: tuple[str, ...]

    @property
    def sigma(self) -> Array:
        """(n,) standard deviations, 0 where a parameter is not free."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def correlation(self) -> Array:
        """(n, n) correlation matrix: unit diagonal, zero where a parameter is not free."""
        scale = np.where(self.sigma > 0, self.sigma, 1.0)
        matrix = self.covariance / np.outer(scale, scale)
        np.fill_diagonal(matrix, 1.0)
        return np.asarray(matrix)

    @property
    def free(self) -> Mask:
        """(n,) True for parameters with a standard deviation."""
        return np.array([s == FREE for s in self.status])


def curvature(
    likelihood: AnyLikelihood,
    observed: Observed,
    parameters: Array,
    options: FitOptions | None = None,
) -> Curvature:
    """Return the covariance of the parameters at a best fit, from analytic second derivatives.

    Args:
        likelihood: a batched or mapped likelihood. observed: its data, one set.
        parameters: (n,) the best fit. options: parameters held in the fit.

    Parameters that the data push against a bound are held there. Directions along which the
    likelihood does not change are left out, and parameters that move along them have no
    standard deviation.
    """
    held = likelihood.fixed.copy()
    for name in (options or FitOptions()).fixed:
        held[likelihood.index(name)] = True
    at = likelihood.derivatives(np.ascontiguousarray(parameters[:, None]), observed)
    gradient, hessian = at.gradient[:, 0], at.hessian[:, :, 0]
    lower, upper = likelihood.bounds.T
    width = at.widths()[:, 0]
    size = _AT_BOUND * np.where(np.isfinite(width), width, np.maximum(1.0, np.abs(parameters)))
    pushed = ((parameters - lower <= size) & (gradient >= 0)) | (
        (upper - parameters <= size) & (gradient <= 0)
    )
    status = np.where(held, FIXED, np.where(pushed, AT_BOUND, FREE)).astype(object)
    where = np.flatnonzero(status == FREE)
    covariance = np.zeros_like(hessian)
    inner, flat = _inverse(hessian[np.ix_(where, where)])
    status[where[flat]] = UNDETERMINED
    keep = where[~flat]
    covariance[np.ix_(keep, keep)] = 2 * inner[np.ix_(~flat, ~flat)]
    return Curvature(covariance, tuple(str(s) for s in status))


def _inverse(hessian: Array) -> tuple[Array, Mask]:
    """Return the inverse without flat directions, and which variables those touch."""
    diagonal = np.diag(hessian)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(hessian * np.outer(scale, scale))
    flat = values < _FLAT
    touched = np.any(np.abs(vectors[:, flat]) > _SHARE, axis=1) | (diagonal <= 0)
    inverse = np.where(flat, 0.0, 1 / np.where(flat, 1.0, values))
    matrix = (vectors * inverse) @ vectors.T
    return matrix * np.outer(scale, scale), touched


def prefit(likelihood: AnyLikelihood) -> tuple[Array, Array]:
    """Return central values (n,) and standard deviations (n,) before the fit.

    A constrained parameter is at the maximum of its constraint, with the width of the Gaussian
    or ``1 / sqrt(tau)`` of the Poisson of rate ``tau theta``; others are at their suggested start
    and have no width (0).
    """
    c = constraints_of(likelihood)
    shift = likelihood.n_theta if isinstance(likelihood, MappedLikelihood) else 0
    center, width = likelihood.init.copy(), np.zeros(len(likelihood.init))
    index = c.parameters
    if shift:
        base = likelihood.base  # type: ignore[union-attr]
        index = np.array(
            [likelihood.index(base.parameter_names[i]) for i in c.parameters], dtype=np.intp
        )
    value = np.where(c.normal, c.auxdata, c.auxdata / np.where(c.normal, 1.0, c.scale))
    sigma = np.where(c.normal, c.scale, 1 / np.sqrt(np.where(c.normal, 1.0, c.scale)))
    moving = ~likelihood.fixed[index]
    center[index[moving]], width[index[moving]] = value[moving], sigma[moving]
    return center, width


@dataclass(frozen=True)
class ProfileErrors:
    """Profile uncertainties of some parameters.

    Attributes:
        index: (K,) parameters. down, up: (K,) ends minus best fit, NaN where open or at a bound.
        parameters: (n,) the best fit, lower than the one given where a profile undercut it.
        twice_nll: -2 log L there.
    """

    index: Index
    down: Array
    up: Array
    parameters: Array
    twice_nll: float


def profile_errors(
    likelihood: AnyLikelihood,
    observed: Observed,
    parameters: Array,
    matrix: Curvature,
    options: FitOptions | None = None,
    level: float = 1.0,
) -> ProfileErrors:
    """Return the profile (MINOS-like) uncertainties of all parameters in one batch.

    Args:
        likelihood: a batched or mapped likelihood. observed: its data, one set.
        parameters: (n,) the best fit.
        matrix: its covariance, which gives the first step and the start of the others.
        options: how to fit. level: Delta at the ends, 1 for 68.3 %.

    Parameters that are fixed are left out. Where a conditional fit lies below the best fit, the
    best fit is replaced and the ends are looked for again.
    """
    options = options or FitOptions()
    held = {likelihood.index(name) for name in options.fixed}
    chosen = [i for i in np.flatnonzero(~likelihood.fixed) if int(i) not in held]
    index = np.array(chosen, dtype=np.intp)
    best = np.asarray(parameters, dtype=float)
    for _ in range(3):
        value = float(likelihood.value(best[:, None].copy(), observed)[0])
        ends, found = _both_ends(likelihood, observed, (best, value, index, matrix, level), options)
        if found.lowest > -1e-6:
            break
        again = fit(likelihood, observed, None, found.lowest_parameters, options)
        best = again.parameters[0]
    k = len(index)
    ends = ends - np.tile(best[index], 2)
    return ProfileErrors(index, ends[:k], ends[k:], best, value)


def _both_ends(
    likelihood: AnyLikelihood,
    observed: Observed,
    what: tuple[Array, float, Index, Curvature, float],
    options: FitOptions,
) -> tuple[Array, Crossings]:
    best, value, index, matrix, level = what
    k, sigma = len(index), matrix.sigma[index]
    width = likelihood.derivatives(best[:, None].copy(), observed).widths()[index, 0]
    width = np.where(np.isfinite(width), width, np.maximum(0.1 * np.abs(best[index]), 0.1))
    scale = np.where(sigma > 0, sigma, width)
    both, signs = np.tile(index, 2), np.repeat([-1.0, 1.0], k)
    first = best[both] + signs * np.sqrt(level) * np.tile(scale, 2)
    start = linear_response(best, matrix.covariance, both, first, likelihood.bounds)
    task = CrossingTask(
        np.tile(best, (2 * k, 1)), np.full(2 * k, value), both, signs,
        np.full(2 * k, level), np.tile(scale, 2), start,
    )  # fmt: skip
    return certified_ends(likelihood, observed, task, options)
