"""The same fits through pyhf itself, one at a time: the reference for the batched engine.

With ``FitOptions(engine="pyhf")`` every function of :mod:`histnu.inference` fits with pyhf
and minuit (tolerance 1e-3, strategy 1: pyhf's default leaves -2 log L off by 3e-4), with
``engine="pyhf-scipy"`` with pyhf and SLSQP. pyhf's backend is restored afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood, FitOptions
from histnu.inference.engine.global_min import design, reduction, separated_starts
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import BatchFit, Problems

Array = NDArray[np.float64]


@contextmanager
def numpy_backend() -> Iterator[Any]:
    """Give pyhf with its numpy backend, and restore backend and optimizer at the end."""
    import pyhf

    backend, optimizer = pyhf.get_backend()
    try:
        if backend.name != "numpy" or backend.precision != "64b":
            pyhf.set_backend("numpy", precision="64b")
        yield pyhf
    finally:
        if pyhf.get_backend()[0] is not backend:
            pyhf.set_backend(backend, custom_optimizer=optimizer)


def reference_fit(
    likelihood: AnyLikelihood, observed: Observed, problems: Problems, options: FitOptions
) -> BatchFit:
    """Return the minima of all problems, each found by pyhf.

    A mapped likelihood is minimised by minuit over its physical parameters and nuisances;
    the value is pyhf's logpdf of the document with the normfactors set from the polynomial.
    It starts at the most promising points of the global search.

    Raises:
        FitError: the likelihood was not made from a pyhf model.
    """
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    if base.model is None:
        raise FitError("the pyhf engine needs a likelihood made from a pyhf model or workspace")
    if observed.templates is not None:
        raise FitError("the pyhf engine cannot replace templates; apply the patch to the document")
    count = problems.start.shape[1]
    rows = []
    with numpy_backend() as pyhf:
        for p in range(count):
            data = observed.select(np.array([p]))
            full = np.concatenate([data.main[:, 0], data.aux[:, 0]])
            part = problems.select(np.array([p]))
            if isinstance(likelihood, MappedLikelihood):
                rows.append(_fit_mapped(likelihood, (data, full), part, options))
            else:
                rows.append(_fit_model(pyhf, likelihood, full, (part, options)))
    parameters, value, converged = zip(*rows, strict=True)
    none = np.zeros(count, dtype=bool)
    return BatchFit(
        np.array(parameters), np.array(value), np.array(converged), np.zeros(count, np.intp), none
    )


def _optimizer(pyhf: Any, engine: str) -> Any:
    if engine == "pyhf-scipy":
        return pyhf.optimize.scipy_optimizer(tolerance=1e-10, maxiter=10000)
    return pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1, maxiter=100000)


def _fit_model(
    pyhf: Any, likelihood: Any, data: Array, task: tuple[Problems, FitOptions]
) -> tuple[Array, float, bool]:
    """Return the minimum of one problem by pyhf's own optimizer."""
    problem, options = task
    start = problem.start[:, 0].tolist()
    fixed = [(int(i), start[i]) for i in np.flatnonzero(problem.fixed[:, 0])]
    bounds = [
        (min(lo, x), max(hi, x))
        for (lo, hi), x in zip(likelihood.bounds.tolist(), start, strict=True)
    ]
    try:
        x, value = _optimizer(pyhf, options.engine).minimize(
            pyhf.infer.mle.twice_nll, data, likelihood.model, start, bounds, fixed,
            return_fitted_val=True,
        )  # fmt: skip
    except pyhf.exceptions.FailedMinimization:
        nan = float(likelihood.model.logpdf(start, data)[0])
        return np.array(start), -2 * nan, False
    return np.asarray(x, dtype=float), float(value), True


def _fit_mapped(
    likelihood: MappedLikelihood,
    observed: tuple[Observed, Array],
    problem: Problems,
    options: FitOptions,
) -> tuple[Array, float, bool]:
    """Return the minimum of one problem over physical parameters and nuisances."""
    reduce = reduction(likelihood)
    points = design(likelihood, reduce, options.search)
    starts = separated_starts(likelihood, observed[0], problem, (reduce, points), options.search)
    found = [_migrad(likelihood, observed[1], problem, s[:, 0]) for s in starts[:4]]
    return min(found, key=lambda f: (not np.isfinite(f[1]), f[1]))


def _migrad(
    likelihood: MappedLikelihood, data: Array, problem: Problems, start: Array
) -> tuple[Array, float, bool]:
    """Run minuit on pyhf's logpdf from one start."""
    from iminuit import Minuit

    free = np.flatnonzero(~problem.fixed[:, 0])
    model = likelihood.base.model

    def full(values: Array) -> Array:
        x = start.copy()
        x[free] = values
        return x

    def objective(values: Array) -> float:
        with np.errstate(all="ignore"):
            value = -2 * float(model.logpdf(likelihood.base_parameters(full(values))[0], data)[0])
        return value if np.isfinite(value) else 1e30

    minuit = Minuit(objective, start[free])
    minuit.limits = [tuple(b) for b in likelihood.bounds[free]]
    minuit.errordef, minuit.tol, minuit.strategy = 1.0, 1e-3, 1
    minuit.migrad(ncall=100000)
    return full(np.asarray(minuit.values)), float(minuit.fval), bool(minuit.valid)
