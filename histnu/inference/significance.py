"""Significance of a signal: the background-only hypothesis is tested with q0.

    q0 = -2 log [ L(0, profiled) / L(best fit) ],  0 if the best fit is not above 0,
    p0 = 1 - Phi(sqrt(q0)),  Z = sqrt(q0)                                  (asymptotic)

with toys: p0 is the fraction of background-only toys with at least the observed q0, and
``Z = Phi^-1(1 - p0)``. The expected significance is that of the Asimov data of a signal.

Reference: G. Cowan et al., arXiv:1007.1727, eqs. 12, 52, 53.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from histnu.core.errors import FitError
from histnu.inference.batch import asimov_data
from histnu.inference.certification import Asked, require
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.results import Result
from histnu.inference.toys import ToyOptions, toy_statistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SignificanceOptions:
    """How to test the background-only hypothesis.

    Attributes:
        null: value of the parameter under test.
        signal: value whose Asimov data give the expected significance; none if None.
        toys: background-only toys; asymptotic only if None.
        fit: how to fit.
    """

    null: float = 0.0
    signal: float | None = None
    toys: ToyOptions | None = None
    fit: FitOptions = field(default_factory=FitOptions)


@dataclass(frozen=True)
class Significance(Result):
    """Result of the test of one value against larger ones.

    Attributes:
        parameter: its name. null: tested value. best_fit: value of the parameter.
        q0: test statistic. p_value, significance: asymptotic.
        expected: asymptotic significance of the Asimov data of ``signal``; None if not asked.
        p_value_toys, p_value_toys_error: fraction of toys and its binomial standard error; where
            no toy reaches q0 the p-value is 0, and ``significance_toys`` the lower limit at
            one toy.
        significance_toys: from the toys. n_toys: toys whose fits converged. toys: (N,) their q0.
        engine: ``batched`` or ``pyhf``. certified: both fits of the data are.
    """

    parameter: str
    null: float
    best_fit: float
    q0: float
    p_value: float
    significance: float
    signal: float | None = None
    expected: float | None = None
    p_value_toys: float | None = None
    p_value_toys_error: float | None = None
    significance_toys: float | None = None
    n_toys: int = 0
    toys: Array | None = None
    engine: str = "batched"
    certified: bool = True


def discovery_statistic(
    likelihood: AnyLikelihood,
    observed: Observed,
    test: tuple[str, float],
    options: FitOptions,
) -> tuple[float, float, Array, bool]:
    """Return q0, the best fit of the parameter, the parameters (n,) under the null, certified."""
    name, null = test
    held = fit(likelihood, observed, {name: null}, None, options)
    free = fit(likelihood, observed, None, held.parameters, options)
    estimate = float(free.parameters[0, likelihood.index(name)])
    certified = require(likelihood, observed, held, Asked({name: np.array([null])}), options)
    certified &= require(likelihood, observed, free, Asked({}), options)
    delta = float(held.twice_nll[0] - free.twice_nll[0])
    q0 = max(delta, 0.0) if estimate > null else 0.0
    return q0, estimate, held.parameters[0], certified


def significance(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    options: SignificanceOptions | None = None,
) -> Significance:
    """Return the significance of a signal above the null value.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts; the observation of the workspace if None.
        parameter: the strength of the signal. options: null, expected, toys.

    Raises:
        FitError: an unknown or fixed parameter, a fit that is not certified, or no toy converged.
    """
    options = options or SignificanceOptions()
    if likelihood.fixed[likelihood.index(parameter)] or parameter in options.fit.fixed:
        raise FitError(f"{parameter} is fixed; it has no significance")
    test = (parameter, options.null)
    observed = observe(likelihood, data)
    q0, estimate, truth, certified = discovery_statistic(likelihood, observed, test, options.fit)
    expected = None
    if options.signal is not None:
        signal = fit(likelihood, observed, {parameter: options.signal}, None, options.fit)
        fake = asimov_data(likelihood, signal.parameters)
        expected = float(np.sqrt(discovery_statistic(likelihood, fake, test, options.fit)[0]))
    toys = None if options.toys is None else _toys(likelihood, truth, test, options.toys)
    p, error, z = (None, None, None) if toys is None else _tail(toys, q0)
    return Significance(
        parameter, options.null, estimate, q0, float(ndtr(-np.sqrt(q0))), float(np.sqrt(q0)),
        options.signal, expected, p, error, z, 0 if toys is None else len(toys), toys,
        options.fit.engine, certified,
    )  # fmt: skip


def _toys(
    likelihood: AnyLikelihood, truth: Array, test: tuple[str, float], options: ToyOptions
) -> Array:
    """q0 of toys without a signal, nuisances as profiled on the data."""
    found = toy_statistics(likelihood, truth, test, options)
    statistic = np.where(found.estimate > test[1], np.maximum(found.delta, 0.0), 0.0)
    sampled = statistic[found.converged & np.isfinite(statistic)]
    if not len(sampled):
        raise FitError(f"no toy of {test[0]} = {test[1]:g} converged")
    return np.asarray(sampled)


def _tail(toys: Array, q0: float) -> tuple[float, float, float]:
    """p-value, its error and the significance from toys."""
    # rounding of the fits must not decide between equal discrete outcomes
    p = float(np.mean(toys >= q0 - 1e-7))
    error = float(np.sqrt(p * (1 - p) / len(toys)))
    return p, error, float(-ndtri(min(max(p, 1 / len(toys)), 1.0))) if p < 1 else 0.0
