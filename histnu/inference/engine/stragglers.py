"""Finish with MIGRAD what the batched Newton iteration left unconverged."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.minimize import BatchFit, Problems

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

_TOLERANCE = 1e-4  # MIGRAD stops at an EDM of 0.002 * tolerance * errordef = 2e-7
_PENALTY = 1e30  # finite stand-in for an undefined likelihood, which MIGRAD cannot use


def finish(
    likelihood: Likelihood, observed: Observed, problems: Problems, fit: BatchFit
) -> BatchFit:
    """Return ``fit`` with its unconverged problems minimised one by one.

    MIGRAD (F. James, M. Roos, Comput. Phys. Commun. 10 (1975) 343) runs on the batched
    likelihood with its analytic gradient. A problem stays unconverged where it is
    undefined at every start.
    """
    parameters, value = fit.parameters.copy(), fit.twice_nll.copy()
    converged, straggler = fit.converged.copy(), fit.straggler.copy()
    left = np.flatnonzero(~converged)
    log.debug("%d of %d fits are finished by MIGRAD", len(left), len(fit))
    for p in left:
        straggler[p] = True
        if not np.isfinite(value[p]):
            continue
        x, best, valid = _migrad(
            likelihood, observed.select(np.array([p])), problems.fixed[:, p], parameters[p]
        )
        if best <= value[p] + 1e-9:
            parameters[p], value[p] = x, min(best, value[p])
            converged[p] = valid
    failed = int((~converged).sum())
    if failed:
        log.warning("%d of %d fits did not converge", failed, len(fit))
    return BatchFit(parameters, value, converged, fit.iterations, straggler)


def _migrad(
    likelihood: Likelihood, observed: Observed, fixed: NDArray[np.bool_], start: Array
) -> tuple[Array, float, bool]:
    """Return minimum, -2 log L and validity of one problem."""
    from iminuit import Minuit

    free = np.flatnonzero(~fixed)

    def full(values: Array) -> Array:
        x = start.copy()
        x[free] = values
        return x[:, None]

    def objective(values: Array) -> float:
        value = float(likelihood.value(full(values), observed)[0])
        return value if np.isfinite(value) else _PENALTY

    def slope(values: Array) -> Array:
        return np.asarray(likelihood.derivatives(full(values), observed).gradient[free, 0])

    minuit = Minuit(objective, start[free], grad=slope)
    minuit.limits = [tuple(b) for b in likelihood.bounds[free]]
    minuit.errordef = 1.0
    minuit.tol = _TOLERANCE
    minuit.strategy = 1
    minuit.migrad(ncall=20000)
    x = start.copy()
    x[free] = np.asarray(minuit.values)
    return x, float(minuit.fval), bool(minuit.valid)
