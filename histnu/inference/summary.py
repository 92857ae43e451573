"""Everything one asks of a fit: values, uncertainties, correlations, goodness of fit, yields."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.inference.certification import Asked, require
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit, observe
from histnu.inference.results import Result
from histnu.inference.saturated import GoodnessOfFit, goodness_of_fit
from histnu.inference.toys import ToyOptions
from histnu.inference.uncertainties import FREE, Curvature, curvature, prefit, profile_errors
from histnu.inference.yields import Prediction, prediction

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SummaryOptions:
    """What a summary holds.

    Attributes:
        fit: how to fit.
        profile: look for the profile ends of every parameter.
        toys: toys of the goodness of fit; asymptotic only if None.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    profile: bool = True
    toys: ToyOptions | None = None


@dataclass(frozen=True)
class FittedParameter(Result):
    """One parameter after the fit.

    Attributes:
        name: of the parameter. value: best fit.
        status: ``free``, ``fixed``, ``at bound`` or ``undetermined``.
        error: Hesse standard deviation, None unless free.
        down, up: profile ends minus best fit (Delta = 1), None where open or at a bound.
        prefit: central value and standard deviation before the fit; the latter None where the
            parameter has no constraint.
        pull: (best fit - prefit) / prefit standard deviation; constraint: ratio of the two.
    """

    name: str
    value: float
    status: str
    error: float | None
    down: float | None
    up: float | None
    prefit: tuple[float, float | None]
    pull: float | None
    constraint: float | None


@dataclass(frozen=True)
class FitSummary(Result):
    """A fit with its uncertainties.

    Attributes:
        parameters: in the order of the model.
        correlation: (n, n), in the same order; unit diagonal, zero where not free.
        covariance: (n, n), zero where not free.
        twice_nll: -2 log L, constants included.
        converged, certified: of the fit, see :class:`~histnu.inference.results.BestFit`.
        goodness: saturated goodness of fit.
        prefit, postfit: expected events with uncertainties.
        engine: ``batched`` or ``pyhf``.
    """

    parameters: tuple[FittedParameter, ...]
    correlation: Array
    covariance: Array
    twice_nll: float
    converged: bool
    certified: bool
    goodness: GoodnessOfFit
    prefit: Prediction
    postfit: Prediction
    engine: str

    def __getitem__(self, name: str) -> FittedParameter:
        """The parameter of this name; KeyError if there is none."""
        return {p.name: p for p in self.parameters}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(p.name for p in self.parameters)


def summarise(
    likelihood: AnyLikelihood,
    data: ArrayLike | None = None,
    options: SummaryOptions | None = None,
) -> FitSummary:
    """Fit and describe the result.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        options: what to compute.

    Raises:
        FitError: no data, or a fit that is not certified.
    """
    options = options or SummaryOptions()
    observed = observe(likelihood, data)
    counts = np.asarray(likelihood.observation if data is None else data, dtype=float)
    best = fit(likelihood, observed, None, None, options.fit)
    require(likelihood, observed, best, Asked({}), options.fit)
    x, value = best.parameters[0], float(best.twice_nll[0])
    matrix = curvature(likelihood, observed, x, options.fit)
    down = up = np.full(len(x), np.nan)
    if options.profile:
        ends = profile_errors(likelihood, observed, x, matrix, options.fit)
        if ends.twice_nll < value - 1e-8:
            x, value = ends.parameters, ends.twice_nll
            matrix = curvature(likelihood, observed, x, options.fit)
        down, up = down.copy(), up.copy()
        down[ends.index], up[ends.index] = ends.down, ends.up
    center, width = prefit(likelihood)
    return FitSummary(
        parameters=_parameters(likelihood.parameter_names, x, matrix, (down, up), (center, width)),
        correlation=matrix.correlation,
        covariance=matrix.covariance,
        twice_nll=value,
        converged=bool(best.converged[0]),
        certified=bool(best.certified[0]),
        goodness=goodness_of_fit(likelihood, counts, (x, value), options.toys, options.fit),
        prefit=prediction(likelihood, center, np.diag(width**2), counts, "prefit"),
        postfit=prediction(likelihood, x, matrix.covariance, counts, "postfit"),
        engine=options.fit.engine,
    )


def _parameters(
    names: tuple[str, ...],
    best: Array,
    matrix: Curvature,
    ends: tuple[Array, Array],
    before: tuple[Array, Array],
) -> tuple[FittedParameter, ...]:
    """Collect the numbers of each parameter."""

    def finite(x: float) -> float | None:
        return float(x) if np.isfinite(x) else None

    out = []
    for i, name in enumerate(names):
        sigma, width = float(matrix.sigma[i]), float(before[1][i])
        status = matrix.status[i]
        error = sigma if status == FREE else None
        known = width > 0
        out.append(
            FittedParameter(
                name, float(best[i]), status, error, finite(ends[0][i]), finite(ends[1][i]),
                (float(before[0][i]), width if known else None),
                float((best[i] - before[0][i]) / width) if known else None,
                sigma / width if known and error is not None else None,
            )
        )  # fmt: skip
    return tuple(out)
