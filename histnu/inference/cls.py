"""CLs upper limits with the test statistic q-tilde, asymptotic and with toys.

    q~(mu) = -2 log [ L(mu, profiled) / L(best fit with mu >= 0) ],  0 if mu_hat > mu,
    CLs = p_(s+b) / (1 - p_b).

References: Cowan et al., arXiv:1007.1727, eqs. 16, 62-65; A. L. Read, J. Phys. G 28 (2002)
2693. The numbers equal those of ``pyhf.infer.hypotest(test_stat="qtilde")``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from histnu.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.profile import conditional, named
from histnu.inference.results import BestFit, HypothesisTest, Interval
from histnu.inference.toys import ToyOptions, toy_statistics

Array = NDArray[np.float64]

_SIGMAS = np.array([2.0, 1.0, 0.0, -1.0, -2.0])
_PERCENTILES = 100 * ndtr(-_SIGMAS)


def _bounded(likelihood: AnyLikelihood, parameter: str, values: Array) -> None:
    """Raise unless the parameter is bounded at zero and the tested values are above it."""
    low = likelihood.bounds[likelihood.index(parameter), 0]
    if low != 0:
        raise FitError(f"q-tilde needs {parameter} bounded at 0, not at {low:g}; set its bounds")
    if not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise FitError(f"CLs of {parameter} needs tested values above 0")


def _qtilde(
    likelihood: AnyLikelihood,
    observed: Observed,
    parameter: str,
    values: Array,
    options: FitOptions,
) -> tuple[Array, BestFit]:
    """Return q-tilde (P,) of the tested values, and the free fit."""
    best = named(likelihood, fit(likelihood, observed, None, None, options))
    held = conditional(likelihood, observed, {parameter: values}, best, options)
    lowest = min(best.twice_nll, float(held.twice_nll.min()))
    q = held.twice_nll - lowest
    return np.where(best.parameters[parameter] > values, 0.0, q), best


def hypotest(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    values: ArrayLike,
    options: FitOptions | None = None,
) -> list[HypothesisTest]:
    """Return asymptotic CLs, observed and expected, at each value.

    Args:
        likelihood: the model; its ``parameter`` must be bounded at 0.
        data: (B,) counts; the observation of the workspace if None.
        parameter, values: (P,) tested. options: how to fit.

    >>> from histnu.inference.engine.examples import textbook
    >>> from histnu.inference.engine.likelihood import BatchedLikelihood
    >>> like = BatchedLikelihood.from_workspace(textbook())
    >>> round(hypotest(like, None, "mu", [1.0])[0].cls, 6)
    0.052516
    """
    options = options or FitOptions()
    values = np.atleast_1d(np.asarray(values, dtype=float))
    _bounded(likelihood, parameter, values)
    observed = observe(likelihood, data)
    q, _ = _qtilde(likelihood, observed, parameter, values, options)
    background = fit(likelihood, observed, {parameter: 0.0}, None, options).parameters
    asimov = likelihood.observe(
        likelihood.expected(background)[0], likelihood.expected_auxdata(background)[0]
    )
    q_asimov, _ = _qtilde(likelihood, asimov, parameter, values, options)
    root, root_a = np.sqrt(q), np.sqrt(np.maximum(q_asimov, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = (q - q_asimov) / (2 * root_a)
    statistic = np.where(root <= root_a, root - root_a, beyond)
    cl_sb, cl_b = ndtr(-(statistic + root_a)), ndtr(-statistic)
    expected = ndtr(-(_SIGMAS + root_a[:, None])) / ndtr(-_SIGMAS)
    return [
        HypothesisTest(
            parameter, float(v), float(cl_sb[k] / cl_b[k]), float(cl_b[k]), float(cl_sb[k]),
            tuple(expected[k].tolist()), float(q[k]), "asymptotic",
        )
        for k, v in enumerate(values)
    ]  # fmt: skip


def hypotest_toys(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    value: float,
    options: ToyOptions | None = None,
) -> HypothesisTest:
    """Return CLs at one value from toys of signal plus background and of background alone.

    The nuisances of the toys are those profiled on the data under each hypothesis. Toys
    whose fits do not converge are left out.

    Args:
        likelihood: the model; its ``parameter`` must be bounded at 0.
        data: (B,) counts; the observation of the workspace if None.
        parameter, value: tested. options: number and fits of the toys, per hypothesis.
    """
    options = options or ToyOptions()
    _bounded(likelihood, parameter, np.array([value]))
    observed = observe(likelihood, data)
    q, best = _qtilde(likelihood, observed, parameter, np.array([value]), options.fit)
    truths = conditional(
        likelihood, observed, {parameter: np.array([value, 0.0])}, best, options.fit
    ).parameters
    sampled = []
    for truth, rng in zip(truths, np.random.default_rng(options.seed).spawn(2), strict=True):
        toys = toy_statistics(likelihood, truth, (parameter, float(value)), options, rng)
        statistic = np.where(toys.estimate > value, 0.0, toys.delta)[toys.converged]
        if not len(statistic):
            raise FitError(f"no toy at {parameter} = {value:g} converged")
        sampled.append(np.sort(statistic))
    # rounding of the fits must not decide between equal discrete outcomes
    p_sb, p_b = (_tail(s, q - 1e-7)[0] for s in sampled)
    band = _tail(sampled[1], sampled[1] - 1e-7)
    cls_band = _tail(sampled[0], sampled[1] - 1e-7) / band
    errors = [np.sqrt(p * (1 - p) / len(s)) for p, s in zip((p_sb, p_b), sampled, strict=True)]
    cls = p_sb / p_b if p_b > 0 else 1.0
    relative = np.hypot(errors[0] / max(p_sb, 1e-300), errors[1] / max(p_b, 1e-300))
    return HypothesisTest(
        parameter, float(value), float(cls), float(p_b), float(p_sb),
        tuple(np.percentile(cls_band, _PERCENTILES).tolist()), float(q[0]), "toys",
        options.n_toys, (float(errors[0]), float(errors[1]), float(cls * relative)),
    )  # fmt: skip


def _tail(sample: Array, values: Array) -> Array:
    """Return the fraction of a sorted sample at or above each value."""
    return 1 - np.searchsorted(sample, values, side="left") / len(sample)


def cls_limit(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    cl: float = 0.9,
    options: FitOptions | None = None,
    toys: ToyOptions | None = None,
) -> Interval:
    """Return the CLs upper limit: the value at which CLs is ``1 - cl``.

    Args:
        likelihood: the model; its ``parameter`` must be bounded at 0.
        data: (B,) counts; the observation of the workspace if None.
        parameter: its name. cl: confidence level. options: how to fit.
        toys: use toys instead of the asymptotic formulae: 15 values around the asymptotic
            limit, with log CLs linear between them.

    Raises:
        FitError: CLs stays above ``1 - cl`` up to the upper bound of the parameter.
    """
    options = options or (toys.fit if toys else FitOptions())
    observed = observe(likelihood, data)
    found = named(likelihood, fit(likelihood, observed, None, None, options))
    limit = _asymptotic_root(likelihood, data, (parameter, 1 - cl), options)
    method = "cls"
    if toys is not None:
        limit = _toy_root(likelihood, data, (parameter, 1 - cl, limit), toys)
        method = "cls_toys"
    return Interval(
        parameter, cl, 1, 1 - cl, None, limit, found, method=method, engine=options.engine
    )


def _asymptotic_root(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    target: tuple[str, float],
    options: FitOptions,
) -> float:
    """Return where the asymptotic CLs crosses ``alpha``, by repeated division into parts."""
    parameter, alpha = target
    bound = float(likelihood.bounds[likelihood.index(parameter), 1])
    low, high = 0.0, min(1.0, bound)
    for _ in range(60):
        if _cls(likelihood, data, parameter, np.array([high]), options)[0] < alpha:
            break
        if high >= bound:
            raise FitError(f"CLs of {parameter} stays above {alpha:g} up to its bound {bound:g}")
        low, high = high, min(2.5 * high, bound)
    else:
        raise FitError(f"CLs of {parameter} never falls below {alpha:g}")
    for _ in range(12):
        x = np.linspace(low, high, 12)
        value = _cls(likelihood, data, parameter, x, options)
        k = max(int(np.argmax(value < alpha)), 1)
        low, high = float(x[k - 1]), float(x[k])
        if high - low < 1e-9 * high:
            break
    return 0.5 * (low + high)


def _cls(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    values: Array,
    options: FitOptions,
) -> Array:
    """Return observed CLs (P,); one at zero, where signal and background are the same."""
    above = values > 0
    tests = hypotest(likelihood, data, parameter, values[above], options)
    out = np.ones(len(values))
    out[above] = [t.cls for t in tests]
    return out


def _toy_root(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    target: tuple[str, float, float],
    toys: ToyOptions,
) -> float:
    """Return where CLs from toys crosses ``alpha``."""
    parameter, alpha, near = target
    x = near * np.linspace(0.6, 1.4, 15)
    bound = likelihood.bounds[likelihood.index(parameter), 1]
    x = x[x <= bound]
    tests = [hypotest_toys(likelihood, data, parameter, float(v), toys) for v in x]
    value = np.log([max(t.cls, 0.5 / toys.n_toys) for t in tests]) - np.log(alpha)
    below = np.flatnonzero(value < 0)
    if not len(below) or below[0] == 0:
        raise FitError(f"CLs of {parameter} from toys does not cross {alpha:g} near {near:g}")
    k = int(below[0])
    return float(x[k - 1] - value[k - 1] * (x[k] - x[k - 1]) / (value[k] - value[k - 1]))
