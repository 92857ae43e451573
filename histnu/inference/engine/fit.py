"""One entry to all fits: global for polynomial models, direct for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from histnu.inference.engine.global_min import GlobalOptions, global_minimise
from histnu.inference.engine.likelihood import BatchedLikelihood, Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import BatchFit, MinimiseOptions, Problems, minimise

AnyLikelihood = BatchedLikelihood | MappedLikelihood


@dataclass(frozen=True)
class FitOptions:
    """How to fit.

    Attributes:
        minimise: options of the Newton minimiser.
        search: options of the global search, used for polynomial models only.
        engine: ``batched``, or ``pyhf`` for the reference.
    """

    minimise: MinimiseOptions = field(default_factory=MinimiseOptions)
    search: GlobalOptions = field(default_factory=GlobalOptions)
    engine: str = "batched"


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
    sizes = {np.size(v) for v in (fixed or {}).values() if np.ndim(v)}
    points = observed.size or max(sizes, default=1)
    problems = Problems.make(likelihood, points, fixed, start)
    if isinstance(likelihood, MappedLikelihood):
        ordered = observed.size is None and points > 1
        return global_minimise(likelihood, observed, problems, options.search, ordered)
    return minimise(likelihood, observed, problems, options.minimise)
