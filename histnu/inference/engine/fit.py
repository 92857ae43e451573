"""One entry to all fits: global for polynomial models, direct for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from histnu.errors import FitError
from histnu.inference.engine.global_min import GlobalOptions, global_minimise
from histnu.inference.engine.likelihood import BatchedLikelihood, Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import BatchFit, MinimiseOptions, Problems, minimise
from histnu.inference.engine.threads import one_blas_thread

ENGINES = ("batched", "pyhf", "pyhf-scipy")
AnyLikelihood = BatchedLikelihood | MappedLikelihood


@dataclass(frozen=True)
class FitOptions:
    """How to fit.

    Attributes:
        minimise: options of the Newton minimiser.
        search: options of the global search, used for polynomial models only.
        engine: ``batched``, or for the reference ``pyhf`` (minuit) or ``pyhf-scipy``.
        fixed: parameters held at a value in every fit.
    """

    minimise: MinimiseOptions = field(default_factory=MinimiseOptions)
    search: GlobalOptions = field(default_factory=GlobalOptions)
    engine: str = "batched"
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise FitError(f"unknown engine {self.engine!r}; choose from {', '.join(ENGINES)}")


@one_blas_thread
def fit(
    likelihood: AnyLikelihood,
    observed: Observed,
    fixed: Mapping[str, ArrayLike] | None = None,
    start: ArrayLike | None = None,
    options: FitOptions | None = None,
) -> BatchFit:
    """Return the minima of -2 log L for every fixed value or data set.

    Args:
        likelihood: a batched or a mapped likelihood.
        observed: data from ``likelihood.observe``: one set, or one per problem.
        fixed: parameter -> value, or one value per problem.
        start: (n,) or (P, n) start values.
        options: see :class:`FitOptions`.

    A mapped likelihood is minimised globally; problems with one data set and several fixed
    values are a scan, whose points also start from their neighbours' minima.
    """
    options = options or FitOptions()
    held = {**options.fixed, **(fixed or {})}
    sizes = {np.size(v) for v in held.values() if np.ndim(v)}
    points = observed.size or max(sizes, default=1)
    problems = Problems.make(likelihood, points, held, start)
    if options.engine != "batched":
        from histnu.inference.reference import reference_fit

        return reference_fit(likelihood, observed, problems, options)
    if isinstance(likelihood, MappedLikelihood):
        ordered = observed.size is None and points > 1
        return global_minimise(likelihood, observed, problems, options.search, ordered)
    return minimise(likelihood, observed, problems, options.minimise)


def observe(
    likelihood: AnyLikelihood, data: ArrayLike | None, auxdata: ArrayLike | None = None
) -> Observed:
    """Return checked data; the observation of the workspace if ``data`` is None.

    Raises:
        FitError: there is no observation, or the data are wrong.
    """
    if data is None:
        if likelihood.observation is None:
            raise FitError("the likelihood was made without observed data; give data")
        data = likelihood.observation
    return likelihood.observe(data, auxdata)
