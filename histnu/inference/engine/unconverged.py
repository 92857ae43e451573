"""Finish with MIGRAD what the batched Newton iteration left unconverged."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.problems import BatchFit, Problems

Array = NDArray[np.float64]

log = logging.getLogger(__name__)

_TOLERANCE = 1e-4  # MIGRAD stops at an EDM of 0.002 * tolerance * errordef = 2e-7
_PENALTY = 1e30  # finite stand-in for an undefined likelihood, which MIGRAD cannot use


def finish_with_migrad(
    likelihood: Likelihood, observed: Observed, problems: Problems, fit: BatchFit, most: int = 20
) -> BatchFit:
    """Return ``fit`` with its unconverged problems, at most ``most``, minimised one by one.

    MIGRAD (F. James, M. Roos, Comput. Phys. Commun. 10 (1975) 343) runs on the batched
    likelihood with its analytic gradient. A problem stays unconverged where it is
    undefined at every start.
    """
    out = fit.copy()
    left = np.flatnonzero(~fit.converged & np.isfinite(fit.twice_nll))[:most]
    log.debug("%d of %d fits are finished by MIGRAD", len(left), len(fit))
    for p in left:
        out.migrad[p] = True
        x, best, valid = _migrad(
            likelihood, observed.select(np.array([p])), problems.fixed[:, p], fit.parameters[p]
        )
        if best <= fit.twice_nll[p] + 1e-9:
            out.parameters[p], out.twice_nll[p] = x, min(best, fit.twice_nll[p])
            out.converged[p], out.agreeing[p] = valid, int(valid)
            out.gradient[p] = np.nan
    failed = int((~out.converged).sum())
    if failed:
        log.info("%d of %d fits did not converge", failed, len(fit))
    return out


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
    minuit.migrad(ncall=5000)
    x = start.copy()
    x[free] = np.asarray(minuit.values)
    return x, float(minuit.fval), bool(minuit.valid)
