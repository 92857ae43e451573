"""Profile likelihoods of one or more parameters.

    Delta(x) = -2 log [ L(x, all others profiled) / L(best fit) ]

Reference: G. Cowan, K. Cranmer, E. Gross, O. Vitells, Eur. Phys. J. C 71 (2011) 1554,
arXiv:1007.1727.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.certification import Asked, require
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, fit, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.problems import BatchFit
from histnu.inference.results import BestFit, Profile1D

Array = NDArray[np.float64]


def best_fit(
    likelihood: AnyLikelihood,
    data: ArrayLike | None = None,
    options: FitOptions | None = None,
    auxdata: ArrayLike | None = None,
) -> BestFit:
    """Return the unconditional minimum of -2 log L.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        options: how to fit. auxdata: (A,); the model's own if None.
    """
    return named(
        likelihood, fit(likelihood, observe(likelihood, data, auxdata), None, None, options)
    )


def named(likelihood: AnyLikelihood, found: BatchFit, index: int = 0) -> BestFit:
    """Return one fit of a batch with names."""
    values = {
        k: float(v)
        for k, v in zip(likelihood.parameter_names, found.parameters[index], strict=True)
    }
    return BestFit(
        values,
        float(found.twice_nll[index]),
        bool(found.converged[index]),
        bool(found.certified[index]),
    )


def start_of(likelihood: AnyLikelihood, best: BestFit) -> Array:
    """Return the parameters (n,) of a best fit, to start others there."""
    return np.array([best.parameters[k] for k in likelihood.parameter_names])


def conditional(
    solver: Solver, observed: Observed, fixed: Mapping[str, ArrayLike], best: BestFit
) -> BatchFit:
    """Return the fits at fixed values, started at the best fit among others."""
    return solver.fit(observed, fixed, start_of(solver.likelihood, best))


def profile(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    values: ArrayLike,
    options: FitOptions | None = None,
    auxdata: ArrayLike | None = None,
) -> Profile1D:
    """Return the profile of one parameter over all other parameters.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        parameter: name; values: (P,) at which it is held.
        options: how to fit. auxdata: (A,); the model's own if None.

    Raises:
        FitError: unknown parameter, bad values or data, or a fit that is not certified.

    >>> profile(textbook, None, "mu", [0.0, 1.0]).delta_twice_nll.round(4).tolist()
    [0.0, 3.9382]
    """
    options = options or FitOptions()
    values = np.atleast_1d(np.asarray(values, dtype=float))
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)):
        raise FitError(f"{parameter}: give a list of finite values")
    observed = observe(likelihood, data, auxdata)
    likelihood.index(parameter)
    solver = Solver(likelihood, options)
    first, found = solver.profile(observed, {parameter: values})
    best = named(likelihood, first)
    require(likelihood, observed, first, Asked({}), options)
    require(likelihood, observed, found, Asked({parameter: values}), options)
    best = improved(likelihood, best, found)
    return Profile1D(
        parameter=parameter,
        values=values,
        delta_twice_nll=unrounded(found.twice_nll - best.twice_nll),
        best_fit=best,
        parameters=found.parameters,
        parameter_names=tuple(likelihood.parameter_names),
        converged=found.converged,
        engine=options.engine,
        certified=found.certified,
        search=solver.counts.to_json(),
    )


def unrounded(delta: Array) -> Array:
    """Return Delta without the rounding that makes it negative at the best fit."""
    return np.where((delta <= 0) & (delta > -1e-8), 0.0, delta)


def improved(likelihood: AnyLikelihood, best: BestFit, found: BatchFit) -> BestFit:
    """Return the lower of the best fit and the lowest allowed point of a scan.

    A scan inside the bounds cannot be below the global minimum; where it is, by more than
    the convergence tolerance, the scan found a basin that the fit had missed.
    """
    lower, upper = likelihood.bounds.T
    inside = np.all((found.parameters >= lower) & (found.parameters <= upper), axis=1)
    value = np.where(inside & np.isfinite(found.twice_nll), found.twice_nll, np.inf)
    k = int(np.argmin(value))
    return named(likelihood, found, k) if value[k] < best.twice_nll - 1e-8 else best
