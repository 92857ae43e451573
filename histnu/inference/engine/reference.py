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

from histnu.core.errors import FitError
from histnu.inference.engine.global_min import design, reduction, separated_starts
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.multistart import MultiStart
from histnu.inference.engine.options import AnyLikelihood, FitOptions
from histnu.inference.engine.problems import BatchFit, Problems

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_AGREE = 1e-4  # difference in -2 log L: MIGRAD at this tolerance is within 2e-6, SLSQP within 1e-5


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
    known = None
    if not isinstance(likelihood, MappedLikelihood):
        search = MultiStart(likelihood, options.minimise, options.starts)
        known = (search.scan if observed.size is None else search.sets)(observed, problems, [])
    rows = []
    with numpy_backend() as pyhf:
        for p in range(problems.start.shape[1]):
            data = observed.select(np.array([p]))
            part = problems.select(np.array([p]))
            if isinstance(likelihood, MappedLikelihood):
                rows.append(_fit_mapped(likelihood, data, part, options))
            else:
                other = None if known is None else known.select(slice(p, p + 1))
                rows.append(_fit_twice(pyhf, likelihood, (data, part, other), options))
    parameters, value, agreeing = zip(*rows, strict=True)
    fit = BatchFit.of(np.array(parameters), np.array(value), np.array(agreeing) > 0)
    fit.agreeing[:] = agreeing
    return fit


def _fit_twice(
    pyhf: Any,
    likelihood: Any,
    task: tuple[Observed, Problems, BatchFit | None],
    options: FitOptions,
) -> tuple[Array, float, int]:
    """Return pyhf's minimum, -2 log L and how many starts agree on it.

    pyhf starts at the given values and, because it can stop in a local minimum, also at the
    minimum of the batched engine. A minimum at negative expected counts is none.
    """
    observed, problem, known = task
    data = np.concatenate([observed.main[:, 0], observed.aux[:, 0]])
    starts = [problem.start[:, 0]]
    if known is not None and known.converged[0]:
        starts.append(known.parameters[0])
    found = [_fit_model(pyhf, likelihood, data, (x, problem.fixed[:, 0], options)) for x in starts]
    allowed = [
        f for f in found if f[2] and np.isfinite(likelihood.value(f[0][:, None], observed)[0])
    ]
    if not allowed:
        return found[0][0], found[0][1], 0
    return _agreed(allowed)


def _agreed(found: list[tuple[Array, float, bool]]) -> tuple[Array, float, int]:
    """Return the lowest of several fits and how many agree with it."""
    x, value, _ = min(found, key=lambda f: f[1])
    return x, value, sum(f[2] and f[1] - value <= _AGREE for f in found)


def _optimizer(pyhf: Any, engine: str) -> Any:
    if engine == "pyhf-scipy":
        return pyhf.optimize.scipy_optimizer(tolerance=1e-10, maxiter=10000)
    return pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1, maxiter=100000)


def _fit_model(
    pyhf: Any, likelihood: Any, data: Array, task: tuple[Array, Mask, FitOptions]
) -> tuple[Array, float, bool]:
    """Return the minimum of one problem by pyhf's own optimizer."""
    first, held, options = task
    start = first.tolist()
    fixed = [(int(i), start[i]) for i in np.flatnonzero(held)]
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
    likelihood: MappedLikelihood, observed: Observed, problem: Problems, options: FitOptions
) -> tuple[Array, float, int]:
    """Return the minimum of one problem over physical parameters and nuisances."""
    data = np.concatenate([observed.main[:, 0], observed.aux[:, 0]])
    plan = (reduction(likelihood), design(likelihood, reduction(likelihood), options.search))
    starts = separated_starts(likelihood, observed, problem, plan, options.search)
    found = [_migrad(likelihood, data, problem, s[:, 0]) for s in starts[:4]]
    return _agreed([f for f in found if np.isfinite(f[1])] or found)


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
