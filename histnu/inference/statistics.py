"""Test statistics of one parameter: t, q and q0, with and without a lower bound at zero.

With ``lambda(x)`` the profile likelihood ratio and ``x_hat`` the best fit,

    t(x) = -2 log lambda(x),            two-sided
    q(x) = t(x) if x_hat <= x, else 0,  upper limits
    q0 = t(0) if x_hat >= 0, else 0,    discovery;

in ``t_tilde`` and ``q_tilde`` the best fit is sought at x >= 0 only.

References: Cowan, Cranmer, Gross, Vitells, arXiv:1007.1727, eqs. 8, 11, 12, 14, 16, 52-53. The
numbers equal those of ``pyhf.infer.test_statistics``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, observe
from histnu.inference.profile import conditional, improved, named
from histnu.inference.results import BestFit, Result

Array = NDArray[np.float64]

STATISTICS = ("t", "t_tilde", "q", "q_tilde", "q0")


@dataclass(frozen=True)
class StatisticOptions:
    """How to compute a test statistic.

    Attributes:
        fit: how to fit.
        lower: lower bound of the parameter in the free fit of t, q and q0, where the model's
            own is not wanted; t_tilde and q_tilde always have 0.
    """

    fit: FitOptions = field(default_factory=FitOptions)
    lower: float | None = None


@dataclass(frozen=True)
class TestStatistic(Result):
    """A test statistic at several values of a parameter.

    Attributes:
        statistic: its name. parameter: of interest. values: tested. observed: the statistic.
        best_fit: the free fit.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    statistic: str
    parameter: str
    values: tuple[float, ...]
    observed: tuple[float, ...]
    best_fit: BestFit


def with_lower_bound(likelihood: AnyLikelihood, parameter: str, lower: float) -> AnyLikelihood:
    """Return the likelihood with another lower bound of one parameter.

    Raises:
        FitError: the bound is not below the upper one.
    """
    i = likelihood.index(parameter)
    upper = float(likelihood.bounds[i, 1])
    if not lower < upper:
        raise FitError(f"lower bound {lower:g} of {parameter}: give less than its upper {upper:g}")
    out = copy.copy(likelihood)
    out.bounds = likelihood.bounds.copy()
    out.bounds[i, 0] = lower
    return out


def test_statistic(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    values: ArrayLike,
    statistic: str = "q_tilde",
    options: StatisticOptions | None = None,
) -> TestStatistic:
    """Return a test statistic at each value.

    Args:
        likelihood: the model.
        data: (B,) counts; the observation of the workspace if None.
        parameter, values: (P,) tested; of q0 only 0 can be.
        statistic: one of :data:`STATISTICS`. options: see :class:`StatisticOptions`.

    Raises:
        FitError: an unknown statistic, a value that it is not defined at, or t or q of a
            parameter bounded at zero.

    >>> [round(x, 5) for x in test_statistic(textbook, None, "mu", [1.0, 2.0]).observed]
    [3.93824, 13.80325]
    """
    options = options or StatisticOptions()
    tested = np.atleast_1d(np.asarray(values, dtype=float))
    bounded = _bounded(likelihood, parameter, tested, (statistic, options.lower))
    observed = observe(bounded, data)
    solver = Solver(bounded, options.fit)
    best = named(bounded, solver.fit(observed))
    held = conditional(solver, observed, {parameter: tested}, best)
    best = improved(bounded, best, held)
    t = np.maximum(held.twice_nll - best.twice_nll, 0.0)
    estimate = best.parameters[parameter]
    if statistic.startswith("q"):
        wrong_side = estimate < 0 if statistic == "q0" else estimate > tested
        t = np.where(wrong_side, 0.0, t)
    return TestStatistic(statistic, parameter, tuple(tested.tolist()), tuple(t.tolist()), best)


test_statistic.__test__ = False  # type: ignore[attr-defined]


def _bounded(
    likelihood: AnyLikelihood, parameter: str, values: Array, choice: tuple[str, float | None]
) -> AnyLikelihood:
    """Return the likelihood with the lower bound that the statistic wants."""
    statistic, lower = choice
    if statistic not in STATISTICS:
        raise FitError(f"unknown statistic {statistic!r}; choose from {', '.join(STATISTICS)}")
    if not np.all(np.isfinite(values)):
        raise FitError(f"{statistic} of {parameter} needs finite values")
    if statistic == "q0" and np.any(values != 0):
        raise FitError("q0 tests the value 0 and no other")
    if statistic.endswith("tilde"):
        if np.any(values < 0):
            raise FitError(f"{statistic} of {parameter} is not defined below 0")
        return with_lower_bound(likelihood, parameter, 0.0)
    if lower is not None:
        return with_lower_bound(likelihood, parameter, lower)
    if statistic != "q0" and likelihood.bounds[likelihood.index(parameter), 0] >= 0:
        raise FitError(
            f"{statistic} of {parameter}, which is bounded at 0, is {statistic}_tilde: ask for "
            "that, or give a lower bound"
        )
    return likelihood
