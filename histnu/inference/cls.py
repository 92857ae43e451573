"""CLs tests and upper limits with the test statistics q-tilde and q, asymptotic and with toys.

    q~(mu) = -2 log [ L(mu, profiled) / L(best fit with mu >= 0) ],  0 if mu_hat > mu,
    CLs = p_(s+b) / (1 - p_b);

q(mu) has the best fit at any mu, and needs a parameter whose lower bound is below zero.

References: Cowan et al., arXiv:1007.1727, eqs. 14, 16, 57-59, 62-65; A. L. Read, J. Phys. G 28
(2002) 2693. The numbers equal those of ``pyhf.infer.hypotest`` with the same ``test_stat``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from histnu.core.errors import FitError
from histnu.inference.certification import Asked, require
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.profile import conditional, improved, named
from histnu.inference.profile_function import ProfileFunction
from histnu.inference.results import (
    BOUND,
    CROSSING,
    BestFit,
    HypothesisTest,
    Interval,
    Segment,
)
from histnu.inference.toys import ToyOptions, toy_statistics

Array = NDArray[np.float64]

_SIGMAS = np.array([2.0, 1.0, 0.0, -1.0, -2.0])
_PERCENTILES = 100 * ndtr(-_SIGMAS)


STATISTICS = ("q_tilde", "q")
"""Test statistics of upper limits."""


def _bounded(
    likelihood: AnyLikelihood, parameter: str, values: Array, statistic: str = "q_tilde"
) -> None:
    """Raise unless the parameter has the bound of the statistic and the values are above zero."""
    low, high = likelihood.bounds[likelihood.index(parameter)]
    if statistic not in STATISTICS:
        raise FitError(f"unknown statistic {statistic!r}; CLs takes {' or '.join(STATISTICS)}")
    if statistic == "q_tilde" and low != 0:
        mend = "set its bounds" + (", or test a value with q" if -np.inf < low < 0 else "")
        raise FitError(f"q-tilde needs {parameter} bounded at 0, not at {low:g}; {mend}")
    if statistic == "q" and low >= 0:
        raise FitError(f"q needs {parameter} bounded below 0, not at {low:g}; use q_tilde")
    if not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise FitError(f"CLs of {parameter} needs tested values above 0")
    if np.any(values > high):
        problem = f"{parameter} = {np.max(values):g} is above its bound {high:g}"
        raise FitError(f"{problem}, where no best fit is sought; widen its bounds")


def _observed(
    solver: Solver, observed: Observed, parameter: str, values: Array
) -> tuple[Array, BestFit, bool]:
    """Return the statistic (P,) of tested values, the free fit, and whether all is certified."""
    likelihood, options = solver.likelihood, solver.options
    first = solver.fit(observed)
    best = named(likelihood, first)
    held = conditional(solver, observed, {parameter: values}, best)
    certified = require(likelihood, observed, first, Asked({}), options)
    certified &= require(likelihood, observed, held, Asked({parameter: values}), options)
    best = improved(likelihood, best, held)
    q = held.twice_nll - best.twice_nll
    return np.where(best.parameters[parameter] > values, 0.0, q), best, certified


def hypotest(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    values: ArrayLike,
    options: FitOptions | None = None,
    statistic: str = "q_tilde",
) -> list[HypothesisTest]:
    """Return asymptotic CLs, observed and expected, at each value.

    Args:
        likelihood: the model.
        data: (B,) counts; the observation of the workspace if None.
        parameter, values: (P,) tested. options: how to fit.
        statistic: ``q_tilde`` of a parameter bounded at 0, ``q`` of one bounded below 0.

    Raises:
        FitError: another bound, a value not above 0, or a fit that did not converge or was not
            certified.

    >>> round(hypotest(textbook, None, "mu", [1.0])[0].cls, 6)
    0.052516
    """
    options = options or FitOptions()
    values = np.atleast_1d(np.asarray(values, dtype=float))
    _bounded(likelihood, parameter, values, statistic)
    observed, tilde = observe(likelihood, data), statistic == "q_tilde"
    return _Asymptotic(likelihood, observed, parameter, options, tilde).tests(values)


class _Asymptotic:
    """Asymptotic tests of one parameter: its profiles on the data and on the Asimov data.

    The Asimov data are what the background expects, its nuisances profiled on the data.
    """

    def __init__(
        self,
        likelihood: AnyLikelihood,
        observed: Observed,
        parameter: str,
        options: FitOptions,
        tilde: bool = True,
    ) -> None:
        self.parameter, self.tilde = parameter, tilde
        self.data = ProfileFunction(likelihood, observed, parameter, options)
        self.data.evaluate(np.zeros(1))
        self._options = options
        self._generate()

    def _generate(self) -> None:
        """Make the Asimov data and their profile."""
        likelihood = self.data.likelihood
        self._background = self.data.parameters_at(0.0)
        asimov = likelihood.observe(
            likelihood.expected(self._background[None])[0],
            likelihood.expected_auxdata(self._background[None])[0],
        )
        self.asimov = ProfileFunction(
            likelihood, asimov, self.parameter, self._options, start=self._background
        )

    def tests(self, values: Array, near: bool = False) -> list[HypothesisTest]:
        """Return the tests of values (P,) above 0; ``near`` as in ProfileFunction.evaluate."""
        self.data.evaluate(values, near)
        if not near:
            self.data.settle()
        if not np.array_equal(self.data.parameters_at(0.0), self._background):
            self._generate()  # a lower minimum of the background
        near = near and len(self.asimov.x) > 2
        self.asimov.evaluate(values, near)
        if not near:
            self.asimov.settle()
        self.data.require(np.concatenate([np.zeros(1), values]))
        self.asimov.require(values)
        q, q_a = (np.maximum(f.known(values)[0], 0.0) for f in (self.data, self.asimov))
        q = np.where(self.data.center > values, 0.0, q)
        root, root_a = np.sqrt(q), np.sqrt(q_a)
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = (q - q_a) / (2 * root_a)
        inside = (root <= root_a) | (not self.tilde)
        statistic = np.where(inside, root - root_a, beyond)
        cl_sb, cl_b = ndtr(-(statistic + root_a)), ndtr(-statistic)
        expected = ndtr(-(_SIGMAS + root_a[:, None])) / ndtr(-_SIGMAS)
        certified = self.data.certified and self.asimov.certified
        return [
            HypothesisTest(
                self.parameter, float(v), float(cl_sb[k] / cl_b[k]), float(cl_b[k]),
                float(cl_sb[k]), tuple(expected[k].tolist()), float(q[k]), "asymptotic",
                certified=certified, search=self.search(), best_fit=self.data.best,
                statistic="q_tilde" if self.tilde else "q",
            )
            for k, v in enumerate(values)
        ]  # fmt: skip

    def search(self) -> dict[str, int]:
        """Return what both searches did."""
        counts = [f.solver.counts.to_json() for f in (self.data, self.asimov)]
        return {name: sum(c[name] for c in counts) for name in counts[0]}

    def excess(self, x: float, alpha: float) -> float:
        """Return log(CLs / alpha) at a value between values that are known."""
        return float(np.log(self.tests(np.array([x]), near=True)[0].cls / alpha))


def hypotest_toys(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    value: float,
    options: ToyOptions | None = None,
    statistic: str = "q_tilde",
) -> HypothesisTest:
    """Return CLs at one value from toys of signal plus background and of background alone.

    The nuisances of the toys are those profiled on the data under each hypothesis. A few toys
    whose fits fail are left out; more are an error (:func:`histnu.inference.toys.check_toys`).

    Args:
        likelihood: the model.
        data: (B,) counts; the observation of the workspace if None.
        parameter, value: tested. options: number and fits of the toys, per hypothesis.
        statistic: see :func:`hypotest`.
    """
    options = options or ToyOptions()
    _bounded(likelihood, parameter, np.array([value]), statistic)
    observed = observe(likelihood, data)
    solver = Solver(likelihood, options.fit)
    q, best, certified = _observed(solver, observed, parameter, np.array([value]))
    held = {parameter: np.array([value, 0.0])}
    found = conditional(solver, observed, held, best)
    certified &= require(likelihood, observed, found, Asked(held), options.fit)
    truths, search, failed = found.parameters, solver.counts.to_json(), 0
    sampled = []
    for truth, mean in zip(truths, held[parameter], strict=True):
        point = {parameter: float(mean)}
        toys = toy_statistics(likelihood, truth, (parameter, float(value)), options, point)
        sampled.append(np.sort(np.where(toys.estimate > value, 0.0, toys.delta)[toys.converged]))
        search = {name: n + toys.search[name] for name, n in search.items()}
        failed += toys.failed
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
        certified=certified and failed == 0, search=search, failed=failed, best_fit=best,
        statistic=statistic,
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
        FitError: CLs stays above ``1 - cl`` up to the upper bound of the parameter, or a fit did
            not converge or was not certified.
    """
    options = options or (toys.fit if toys else FitOptions())
    _bounded(likelihood, parameter, np.zeros(0))
    asymptotic = _Asymptotic(likelihood, observe(likelihood, data), parameter, options)
    limit = _asymptotic_root(asymptotic, 1 - cl)
    test = asymptotic.tests(np.array([limit]), near=True)[0]
    method, certified, search = "cls", test.certified, test.search
    if toys is not None:
        limit, tests = _toy_root(likelihood, data, (parameter, 1 - cl, limit), toys)
        method = "cls_toys"
        certified = certified and all(t.certified for t in tests)
        search = {name: n + sum(t.search[name] for t in tests) for name, n in search.items()}
    assert test.best_fit is not None
    return Interval(
        parameter, cl, 1, 1 - cl, None, limit, test.best_fit, method=method,
        engine=options.engine, intervals=(Segment(0.0, limit, BOUND, CROSSING),),
        certified=certified, search=search,
    )  # fmt: skip


def _asymptotic_root(asymptotic: _Asymptotic, alpha: float) -> float:
    """Return the first value at which the asymptotic CLs crosses ``alpha``."""
    parameter, bound = asymptotic.parameter, asymptotic.data.bounds[1]
    low, high = 0.0, min(1.0, bound)
    for _ in range(60):
        if asymptotic.tests(np.array([high]))[0].cls < alpha:
            break
        if high >= bound:
            raise FitError(f"CLs of {parameter} stays above {alpha:g} up to its bound {bound:g}")
        low, high = high, min(2.5 * high, bound)
    else:
        raise FitError(f"CLs of {parameter} never falls below {alpha:g}")
    x = np.linspace(low, high, 12)
    above = x[x > 0]  # CLs is one at zero, where signal and background are the same
    below = [t.cls < alpha for t in asymptotic.tests(above)]
    k = int(np.argmax(below))
    low, high = above[k - 1] if k else low, above[k]
    while not low:  # CLs at zero is not evaluated
        middle = 0.5 * high
        if asymptotic.tests(np.array([middle]), near=True)[0].cls < alpha:
            high = middle
        else:
            low = middle
    from scipy.optimize import brentq  # a third of the time of a start, for those alone

    return float(brentq(asymptotic.excess, low, high, (alpha,), 1e-12 * high, 1e-10))


def _toy_root(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    target: tuple[str, float, float],
    toys: ToyOptions,
) -> tuple[float, list[HypothesisTest]]:
    """Return where CLs from toys crosses ``alpha``, and the tests made."""
    parameter, alpha, near = target
    x = near * np.linspace(0.6, 1.4, 15)
    bound = likelihood.bounds[likelihood.index(parameter), 1]
    x = x[x <= bound]
    tests = [hypotest_toys(likelihood, data, parameter, float(v), toys) for v in x]
    value = np.log([max(t.cls, 0.5 / toys.n_toys) for t in tests]) - np.log(alpha)
    root = first_crossing(x, value)
    if root is None:
        raise FitError(f"CLs of {parameter} from toys does not cross {alpha:g} near {near:g}")
    return root, tests


def first_crossing(x: Array, y: Array) -> float | None:
    """Where a falling curve crosses zero, linear between points; None if it does not."""
    below = np.flatnonzero(y < 0)
    if not len(below) or below[0] == 0:
        return None
    k = int(below[0])
    return float(x[k - 1] - y[k - 1] * (x[k] - x[k - 1]) / (y[k] - y[k - 1]))
