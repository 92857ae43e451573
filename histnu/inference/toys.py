"""Toy experiments: Feldman-Cousins limits and coverage, nuisances profiled in every toy.

Toys are fitted from one start where the model shows a single minimum, and a share of them from
two as a check; from many starts as soon as any toy meets a second minimum (see
:mod:`histnu.inference.engine.multistart`). Toys whose fits do not converge are left out; more
than can matter (:func:`check_toys`) are an error.

A toy draws the counts from a Poisson and each auxiliary measurement from its Gaussian or
Poisson around the given nuisance parameters, as pyhf does. Three independent streams (counts,
Gaussian and Poisson auxiliaries) make the toys independent of the size of the chunks in which
they are drawn and fitted, so any number of toys runs in bounded memory.

References: G. J. Feldman, R. D. Cousins, Phys. Rev. D 57 (1998) 3873, physics/9711021;
profiled nuisances: B. Sen, M. Walker, M. Woodroofe, Statist. Sinica 19 (2009) 301.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.certification import Asked, require
from histnu.inference.engine.compile import Constraints
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, observe
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import IntervalOptions, interval, threshold
from histnu.inference.profile import conditional, improved, named
from histnu.inference.results import (
    BOUND,
    CROSSING,
    OPEN,
    Coverage,
    Interval,
    NeymanScan,
    Segment,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Progress = Callable[[int, int], None]

_TOY_SEARCH = GlobalOptions(starts=4, halton=32, distances=(2.0,), again=0)


MAXIMUM_RATE = 1e15
"""Expected count above which no toy is drawn (numpy's Poisson generator ends at 9.2e18)."""


@dataclass(frozen=True)
class ToyOptions:
    """How many toys, from which seed, and how to fit them.

    Attributes:
        n_toys: toys per hypothesis.
        seed: of the ``numpy`` generator; the same seed gives the same toys.
        chunk: toys fitted at once; the result does not depend on it.
        fit: how to fit. For polynomial models the default uses a smaller search per toy.
        progress: called with (toys done, toys in total).
    """

    n_toys: int = 1000
    seed: int = 0
    chunk: int = 4000
    fit: FitOptions = field(default_factory=FitOptions)
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.n_toys < 1 or self.chunk < 1:
            raise FitError(f"n_toys={self.n_toys}, chunk={self.chunk}: both must be at least 1")


@dataclass(frozen=True)
class ToyStatistics:
    """Statistics of N toys.

    Attributes:
        delta: (N,) -2 log likelihood ratio of the tested value to the best fit of the toy.
        estimate: (N,) best-fit value of the parameter.
        converged: (N,) both fits of the toy converged, and were certified where the model has
            shown more than one minimum.
        search: counts of fits, starts, certified and checked fits, and of second minima met.
    """

    delta: Array
    estimate: Array
    converged: Mask
    search: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Number of toys that are left out."""
        return int((~self.converged).sum())


def constraints_of(likelihood: AnyLikelihood) -> Constraints:
    """Return the auxiliary measurements of a likelihood."""
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    return base.compiled.constraints


def sample(
    likelihood: AnyLikelihood,
    parameters: ArrayLike,
    n_toys: int,
    rng: np.random.Generator,
    chunk: int = 4000,
) -> Iterator[tuple[Array, Array]]:
    """Yield toys as (counts (N, B), auxiliary data (N, A)) in chunks.

    Args:
        likelihood: what to draw from. parameters: (n,) the truth.
        n_toys: in total. rng: generator. chunk: toys per item.

    Raises:
        FitError: an expected count of the truth is negative, not finite or too large to draw.
    """
    mean = likelihood.expected(parameters)[0]
    aux = likelihood.expected_auxdata(parameters)[0]
    c = constraints_of(likelihood)
    for rate in (*mean, *aux[~c.normal]):
        if not 0 <= rate <= MAXIMUM_RATE:
            wanted = f"expected counts >= 0 and <= {MAXIMUM_RATE:g}"
            raise FitError(f"toys need {wanted}, but one is {rate:g}; check the tested value")
    main_rng, normal_rng, poisson_rng = rng.spawn(3)
    for first in range(0, n_toys, chunk):
        n = min(chunk, n_toys - first)
        auxiliary = np.empty((n, len(aux)))
        sigma = c.scale[c.normal]
        auxiliary[:, c.normal] = normal_rng.normal(aux[c.normal], sigma, (n, len(sigma)))
        auxiliary[:, ~c.normal] = poisson_rng.poisson(aux[~c.normal], (n, (~c.normal).sum()))
        yield main_rng.poisson(mean, (n, len(mean))).astype(float), auxiliary


def toy_statistics(
    likelihood: AnyLikelihood,
    parameters: Array,
    test: tuple[str, float],
    options: ToyOptions,
    rng: np.random.Generator,
) -> ToyStatistics:
    """Return the statistics of toys drawn at ``parameters`` for one tested value.

    Args:
        likelihood: the model. parameters: (n,) the truth of the toys.
        test: (parameter, value) under test, which need not be the truth.
        options: number and fits of the toys. rng: generator.

    Raises:
        FitError: more toys failed than can be left out, see :func:`check_toys`.
    """
    name, value = test
    solver = Solver(likelihood, _toy_fit(likelihood, options.fit))
    first = deepcopy(rng)
    parts = _fit_toys(likelihood, parameters, (name, value), (solver, options, rng))
    if parts is None:  # a second minimum was met on the way: again, all toys from many starts
        parts = _fit_toys(likelihood, parameters, (name, value), (solver, options, first))
    assert parts is not None
    found = ToyStatistics(
        np.concatenate([p.delta for p in parts]),
        np.concatenate([p.estimate for p in parts]),
        np.concatenate([p.converged for p in parts]),
        solver.counts.to_json(),
    )
    check_toys(found, f"{name} = {value:.6g}", options)
    return found


def _fit_toys(
    likelihood: AnyLikelihood,
    parameters: Array,
    test: tuple[str, float],
    how: tuple[Solver, ToyOptions, np.random.Generator],
) -> list[ToyStatistics] | None:
    """Fit all toys; None when some were fitted before the first second minimum was met."""
    solver, options, rng = how
    parts: list[ToyStatistics] = []
    done, second = 0, solver.second
    for main, aux in sample(likelihood, parameters, options.n_toys, rng, options.chunk):
        observed = likelihood.observe(main, aux)
        parts.append(_statistics(likelihood, observed, (*test, parameters.copy()), solver))
        if solver.second and not second:
            return None
        done += len(main)
        if options.progress is not None:
            options.progress(done, options.n_toys)
    return parts


def check_toys(found: ToyStatistics, where: str, options: ToyOptions) -> None:
    """Raise if the toys left out could move a fraction by more than a quarter of its error.

    Left-out toys may all have been on one side: ``failed / n`` is the most they can move a
    fraction of the toys, whose own error is up to ``0.5 / sqrt(n)``.

    Raises:
        FitError: too many failed; none of them did with ``allow_uncertified``.
    """
    n = len(found.converged)
    if not found.converged.any():
        raise FitError(f"{where}: no toy converged")
    if options.fit.allow_uncertified or found.failed <= np.sqrt(n) / 8:
        return
    raise FitError(
        f"{where}: the fits of {found.failed} of {n} toys did not converge or were not certified; "
        "allow_uncertified (--allow-uncertified) leaves them out"
    )


def _toy_fit(likelihood: AnyLikelihood, options: FitOptions) -> FitOptions:
    """Return fit options with a search per toy that is smaller than for data."""
    if not isinstance(likelihood, MappedLikelihood) or options.search != FitOptions().search:
        return options
    return replace(options, search=_TOY_SEARCH)


def _statistics(
    likelihood: AnyLikelihood,
    observed: Observed,
    test: tuple[str, float, Array],
    solver: Solver,
) -> ToyStatistics:
    """Fit one chunk of toys freely and at the tested value."""
    name, value, start = test
    held = solver.fit(observed, {name: value}, start)
    free = solver.fit(observed, None, held.parameters)
    # the conditional fit is allowed in the free one, which cannot be worse
    lowest = np.minimum(free.twice_nll, held.twice_nll)
    worse = held.twice_nll < free.twice_nll
    estimate = np.where(worse, value, free.parameters[:, likelihood.index(name)])
    good = held.converged & free.converged
    if solver.second:
        good &= held.certified & free.certified
    return ToyStatistics(held.twice_nll - lowest, estimate, good)


def clopper_pearson(k: int, n: int, cl: float = 0.6826894921370859) -> tuple[float, float]:
    """Return the interval of a binomial fraction, central, one-sided for none or all.

    Args:
        k: successes of n. cl: confidence level.

    Reference: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404.

    >>> [round(x, 4) for x in clopper_pearson(50, 50, 0.9)]
    [0.955, 1.0]
    """
    from scipy.special import betaincinv

    alpha = (1 - cl) if k in (0, n) else (1 - cl) / 2
    low = float(betaincinv(k, n - k + 1, alpha)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - alpha)) if k < n else 1.0
    return low, high


def coverage(
    likelihood: AnyLikelihood,
    truth: Mapping[str, float],
    parameter: str,
    cl: float = 0.9,
    dof: int = 1,
    options: ToyOptions | None = None,
) -> Coverage:
    """Return the fraction of toys whose profile interval covers the truth.

    Args:
        likelihood: the model.
        truth: true parameters; others are at their suggested start.
        parameter: the one whose interval is studied. cl, dof: of its threshold.
        options: number and fits of the toys.

    Raises:
        FitError: an unknown parameter, a true value outside its bounds, or too many toys whose
            fits did not converge or were not certified.
    """
    options = options or ToyOptions()
    start = likelihood.init.copy()
    for name, value in truth.items():
        k = likelihood.index(name)
        low, high = likelihood.bounds[k]
        if not low <= value <= high:
            raise FitError(f"true {name} = {value:g} is outside its bounds [{low:g}, {high:g}]")
        start[k] = value
    tested = float(start[likelihood.index(parameter)])
    rng = np.random.default_rng(options.seed)
    found = toy_statistics(likelihood, start, (parameter, tested), options, rng)
    delta = found.delta[found.converged]
    covered = int((delta <= threshold(cl, dof)).sum())
    fraction = covered / len(delta)
    return Coverage(
        parameter=parameter,
        truth={k: float(v) for k, v in zip(likelihood.parameter_names, start, strict=True)},
        cl=cl,
        n_toys=len(delta),
        covered=covered,
        coverage=fraction,
        error=float(np.sqrt(fraction * (1 - fraction) / len(delta))),
        failed=found.failed,
        coverage_interval=clopper_pearson(covered, len(delta)),
        certified=found.failed == 0,
        search=found.search,
    )


def neyman_scan(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    values: ArrayLike,
    cl: float = 0.9,
    options: ToyOptions | None = None,
) -> NeymanScan:
    """Return the Feldman-Cousins acceptance at each value, with profiled nuisances.

    At each value the toys are drawn at the nuisances profiled on the data, and the ordering
    statistic is Delta, the profile likelihood ratio of the toy.

    Args:
        likelihood: the model. data: (B,) counts; the workspace's if None.
        parameter, values: (P,) tested. cl: confidence level of the critical values.
        options: number and fits of the toys, per value.
    """
    options = options or ToyOptions()
    values = np.atleast_1d(np.asarray(values, dtype=float))
    observed = observe(likelihood, data)
    solver = Solver(likelihood, options.fit)
    first = solver.fit(observed)
    best = named(likelihood, first)
    held = conditional(solver, observed, {parameter: values}, best)
    certified = require(likelihood, observed, first, Asked({}), options.fit)
    certified &= require(likelihood, observed, held, Asked({parameter: values}), options.fit)
    best = improved(likelihood, best, held)
    delta = held.twice_nll - best.twice_nll
    streams = np.random.default_rng(options.seed).spawn(len(values))
    critical, p_value, error = (np.empty(len(values)) for _ in range(3))
    search, failed = solver.counts.to_json(), 0
    for k, (value, rng) in enumerate(zip(values, streams, strict=True)):
        part = replace(options, progress=_shifted(options, k, len(values)))
        toys = toy_statistics(likelihood, held.parameters[k], (parameter, float(value)), part, rng)
        sampled = toys.delta[toys.converged]
        critical[k] = critical_value(sampled, cl)
        # rounding of the fits must not decide between equal discrete outcomes
        p_value[k] = np.mean(sampled >= delta[k] - 1e-7)
        error[k] = np.sqrt(p_value[k] * (1 - p_value[k]) / len(sampled))
        search = {name: n + toys.search[name] for name, n in search.items()}
        failed += toys.failed
    return NeymanScan(
        parameter, cl, values, delta, critical, p_value, error, options.n_toys, best,
        {"seed": options.seed}, certified and failed == 0, search, failed,
    )  # fmt: skip


def critical_value(sampled: ArrayLike, cl: float) -> float:
    """Return the smallest sampled Delta that at least a share ``cl`` of the toys do not exceed.

    An interpolated quantile would lie below it and under-cover where outcomes are discrete.

    >>> critical_value([0.0, 0.0, 1.0, 4.0], 0.6)
    1.0
    """
    ordered = np.sort(np.asarray(sampled, dtype=float))
    return float(ordered[max(int(np.ceil(cl * len(ordered) - 1e-9)) - 1, 0)])


def _shifted(options: ToyOptions, step: int, steps: int) -> Progress | None:
    """Return a progress callback for one of several equal steps."""
    if options.progress is None:
        return None
    report = options.progress
    return lambda done, total: report(step * total + done, steps * total)


def feldman_cousins(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    cl: float = 0.9,
    options: ToyOptions | None = None,
    values: ArrayLike | None = None,
) -> tuple[Interval, NeymanScan]:
    """Return the Feldman-Cousins interval and the scan it was read from.

    Args:
        likelihood: the model. data: (B,) counts; the workspace's if None.
        parameter: its name. cl: confidence level. options: toys per value.
        values: (P,) scanned; 21 around the profile interval if None.

    The ends are where the p-value, linear between the scanned values, crosses ``1 - cl``.

    Raises:
        FitError: the profile interval, from which the scan starts, is open on both sides.
    """
    options = options or ToyOptions()
    if values is None:
        values = _scan_values(likelihood, data, parameter, cl, options)
    scan = neyman_scan(likelihood, data, parameter, values, cl, options)
    bounds = likelihood.bounds[likelihood.index(parameter)]
    roots, segments = accepted(scan.values, scan.p_value - (1 - cl), bounds)
    lower = segments[0].lower if segments and segments[0].lower_end == CROSSING else None
    upper = segments[-1].upper if segments and segments[-1].upper_end == CROSSING else None
    found = Interval(
        parameter, cl, 1, threshold(cl, 1), lower, upper, scan.best_fit,
        method="feldman_cousins", engine=options.fit.engine,
        other_roots=tuple(r for r in roots if r not in (lower, upper)),
        intervals=segments, certified=scan.certified, search=scan.search,
    )  # fmt: skip
    return found, scan


def accepted(x: Array, excess: Array, bounds: Array) -> tuple[list[float], tuple[Segment, ...]]:
    """Return crossings of zero and segments where ``excess`` (P,) at ``x`` (P,) is positive.

    Linear between the points; no segment at all where nothing is accepted.

    >>> accepted(np.arange(4.0), np.array([1.0, -1.0, 1.0, 1.0]), np.array([0.0, 9.0]))[1][0].upper
    0.5
    """
    inside = excess > 0
    k = np.flatnonzero(inside[1:] != inside[:-1])
    roots = [float(r) for r in x[k] - excess[k] * (x[k + 1] - x[k]) / (excess[k + 1] - excess[k])]
    ends: list[tuple[float | None, str]] = [(r, CROSSING) for r in roots]
    if inside[0]:
        ends.insert(0, (float(x[0]), BOUND) if x[0] <= bounds[0] else (None, OPEN))
    if inside[-1]:
        ends.append((float(x[-1]), BOUND) if x[-1] >= bounds[1] else (None, OPEN))
    pairs = zip(ends[::2], ends[1::2], strict=True)
    return roots, tuple(Segment(a[0], b[0], a[1], b[1]) for a, b in pairs)


def _scan_values(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    cl: float,
    options: ToyOptions,
) -> Array:
    """Return 21 values that enclose the profile interval with a margin of 40 %."""
    first = interval(likelihood, data, parameter, cl, 1, IntervalOptions(fit=options.fit))
    center = first.best_fit.parameters[parameter]
    bound = likelihood.bounds[likelihood.index(parameter)]
    if first.lower is None and first.upper is None:
        raise FitError(f"the profile interval of {parameter} is open on both sides; give values")
    low = bound[0] if first.lower is None else first.lower
    high = bound[1] if first.upper is None else first.upper
    low = low if np.isfinite(low) else 2 * center - high
    high = high if np.isfinite(high) else 2 * center - low
    margin = 0.4 * (high - low)
    return np.linspace(max(bound[0], low - margin), min(bound[1], high + margin), 21)
