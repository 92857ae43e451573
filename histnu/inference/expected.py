"""Limits expected without a signal: median and bands of one and two standard deviations.

Let ``q_A(mu)`` be Delta of the data that the model expects at ``mu = 0`` (the Asimov data, nuisance
parameters profiled on the observed data as pyhf does, or nominal) and sigma the standard deviation
of the estimator, ``sigma^2 = mu^2 / q_A(mu)``. A data set whose estimator fluctuates by N sigma has
its limit where ``sqrt(q_A(mu)) = g(N)``:

    CLs                   g = N + Phi^-1(1 - alpha Phi(N))          (arXiv:1007.1727, eq. 89)
    profile, mu free      g = N + sqrt(t)
    profile, mu >= 0      g = N + sqrt(t) for N >= 0, N + sqrt(N^2 + t) for N < 0

with alpha = 1 - CL and t the threshold of Delta. The last line is the profile interval of an
estimator held at its bound, ``Delta(mu) = [(mu - N sigma)^2 - N^2 sigma^2] / sigma^2``. Toys make
no such assumption: data sets are drawn at ``mu = 0``, and each gets its limit.

Reference: G. Cowan, K. Cranmer, E. Gross, O. Vitells, Eur. Phys. J. C 71 (2011) 1554.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from histnu.core.errors import FitError
from histnu.inference.batch import CrossingTask, asimov_data, crossings
from histnu.inference.cls import first_crossing, hypotest_toys
from histnu.inference.ends import certified_ends
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit, observe
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import threshold
from histnu.inference.results import Result
from histnu.inference.toys import ToyOptions, check_left_out, neyman_scan, sample
from histnu.inference.uncertainties import curvature

Array = NDArray[np.float64]

SIGMAS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Quantiles of every band, in standard deviations."""
PERCENTILES = tuple(float(p) for p in 100 * ndtr(np.array(SIGMAS)))
METHODS = ("profile", "cls", "cls-toys", "toys")


@dataclass(frozen=True)
class ExpectedOptions:
    """How to find expected limits.

    Attributes:
        method: ``profile`` or ``cls`` (asymptotic unless ``ensemble``), ``cls-toys``, ``toys``
            (Feldman-Cousins).
        cl: confidence level. dof: of the threshold, for ``profile``.
        nuisances: ``fitted`` (profiled on the data at zero signal) or ``nominal``.
        ensemble: for ``profile``: the limits of toys instead of the Asimov formulae.
        fit: how to fit. toys: number and seed of the toys.
    """

    method: str = "profile"
    cl: float = 0.9
    dof: int = 1
    nuisances: str = "fitted"
    ensemble: bool = False
    fit: FitOptions = field(default_factory=FitOptions)
    toys: ToyOptions = field(default_factory=ToyOptions)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise FitError(f"unknown method {self.method!r}; choose from {', '.join(METHODS)}")
        if self.nuisances not in ("fitted", "nominal"):
            raise FitError(f"nuisances {self.nuisances!r}; choose fitted or nominal")


@dataclass(frozen=True)
class ExpectedLimit(Result):
    """Upper ends expected at zero signal.

    Attributes:
        parameter: its name. method: as asked. ensemble: ``asimov`` or ``toys``.
        cl: confidence level. dof: of the threshold, None for CLs and Feldman-Cousins.
        sigmas: (5,) quantiles in standard deviations, -2 to 2.
        upper: (5,) upper ends at those quantiles; None where open, or where no band can be given.
        n_toys: toys used. open_fraction: of the toys, how many have no upper end.
        toys: (N,) upper ends of the toys that were used, infinite where open; or None.
        nuisances: ``fitted`` or ``nominal``.
    """

    parameter: str
    method: str
    ensemble: str
    cl: float
    dof: int | None
    sigmas: tuple[float, ...]
    upper: tuple[float | None, ...]
    n_toys: int = 0
    open_fraction: float = 0.0
    toys: Array | None = None
    nuisances: str = "fitted"

    @property
    def median(self) -> float | None:
        """The median expected upper end."""
        return self.upper[2]


def band_levels(method: str, cl: float, dof: int, bounded: bool) -> Array:
    """Return ``g(N)`` (5,) of the module's description.

    >>> band_levels("cls", 0.95, 1, True).round(4).tolist()
    [1.0518, 1.412, 1.96, 2.7272, 3.656]
    """
    n = np.array(SIGMAS)
    if method == "cls":
        return np.asarray(n + ndtri(1 - (1 - cl) * ndtr(n)))
    root = np.sqrt(threshold(cl, dof))
    if not bounded:
        return np.asarray(n + root)
    return np.asarray(np.where(n < 0, n + np.sqrt(n**2 + root**2), n + root))


def background(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    options: ExpectedOptions,
) -> Array:
    """Return the parameters (n,) at zero signal: fitted on the data, or nominal.

    Raises:
        FitError: zero is outside the parameter's bounds.
    """
    index = likelihood.index(parameter)
    low, high = likelihood.bounds[index]
    if not low <= 0 <= high:
        raise FitError(f"{parameter} cannot be 0 within [{low:g}, {high:g}]: nothing to expect")
    if options.nuisances == "fitted":
        observed = observe(likelihood, data)
        return fit(likelihood, observed, {parameter: 0.0}, None, options.fit).parameters[0]
    start = likelihood.init.copy()
    if isinstance(likelihood, MappedLikelihood):
        start[: likelihood.n_theta] = 0.0
    for name, value in options.fit.fixed.items():
        start[likelihood.index(name)] = value
    start[index] = 0.0
    return start


def expected_limit(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    parameter: str,
    options: ExpectedOptions | None = None,
) -> ExpectedLimit:
    """Return the upper limits expected at zero signal.

    Args:
        likelihood: a batched or mapped likelihood.
        data: (B,) counts, on which nuisance parameters are profiled; the workspace's if None.
        parameter: its name. options: method, level, ensemble.

    Bands from the Asimov formulae need a parameter that enters linearly (a strength); for a
    physical parameter of a polynomial model the Asimov median is given, and bands need toys.

    Raises:
        FitError: an unknown parameter, a method that needs other bounds, a failed fit.
    """
    options = options or ExpectedOptions()
    index = likelihood.index(parameter)
    truth = background(likelihood, data, parameter, options)
    if options.method == "cls-toys":
        return _cls_toys(likelihood, data, (parameter, index), truth, options)
    if options.method == "toys" or options.ensemble:
        return _ensemble(likelihood, data, (parameter, index), truth, options)
    bounded = likelihood.bounds[index, 0] == 0
    if options.method == "cls" and not bounded:
        raise FitError(f"CLs needs {parameter} bounded at 0; set its bounds")
    levels = band_levels(options.method, options.cl, options.dof, bool(bounded))
    upper = _asymptotic(likelihood, (index, truth), levels, options)
    if isinstance(likelihood, MappedLikelihood):
        upper = (None, None, upper[2], None, None)
    return ExpectedLimit(
        parameter, options.method, "asimov", options.cl,
        options.dof if options.method == "profile" else None, SIGMAS, upper,
        nuisances=options.nuisances,
    )  # fmt: skip


def _asymptotic(
    likelihood: AnyLikelihood,
    where: tuple[int, Array],
    levels: Array,
    options: ExpectedOptions,
) -> tuple[float | None, ...]:
    """Where the root of the Asimov profile reaches each level (on the side of its sign)."""
    index, truth = where
    observed = asimov_data(likelihood, truth)
    best = fit(likelihood, observed, None, truth, options.fit)
    matrix = curvature(likelihood, observed, truth, options.fit)
    # at its bound the parameter has no standard deviation: use that of the other side
    scale = float(matrix.sigma[index]) or _scale(likelihood, observed, index, truth)
    k = len(levels)
    task = CrossingTask(
        np.tile(best.parameters[0], (k, 1)), np.full(k, best.twice_nll[0]),
        np.full(k, index, dtype=np.intp), np.where(levels < 0, -1.0, 1.0), levels**2,
        np.full(k, scale),
    )  # fmt: skip
    ends, _ = certified_ends(likelihood, observed, task, options.fit)
    return tuple(float(end) if np.isfinite(end) else None for end in ends)


def _scale(likelihood: AnyLikelihood, observed: Observed, index: int, at: Array) -> float:
    """A first step for a parameter at its bound: its width with all others held."""
    width = float(likelihood.derivatives(at[:, None].copy(), observed).widths()[index, 0])
    return width if np.isfinite(width) else 0.1


def _ensemble(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    what: tuple[str, int],
    truth: Array,
    options: ExpectedOptions,
) -> ExpectedLimit:
    """Upper ends of toys at zero signal, by profile threshold or Feldman-Cousins acceptance."""
    name, index = what
    upper_of: Callable[[Observed, Array, Array], Array]
    if options.method == "toys":
        values, critical = _acceptance(likelihood, data, (name, truth), options)

        def upper_of(observed: Observed, best: Array, value: Array) -> Array:
            return _accepted(likelihood, observed, (name, values, critical), value, options)

    else:

        def upper_of(observed: Observed, best: Array, value: Array) -> Array:
            return _profile_ends(likelihood, observed, (index, best, value), truth, options)

    ends, done = [], 0
    toys = options.toys
    rng = np.random.default_rng(toys.seed)
    for main, aux in sample(likelihood, truth, toys.n_toys, rng, min(toys.chunk, 500)):
        observed = likelihood.observe(main, aux)
        free = fit(likelihood, observed, None, truth, toys.fit)
        found = upper_of(observed, free.parameters, free.twice_nll)
        ends.append(np.where(free.converged, found, np.nan))
        done += len(main)
        if toys.progress is not None:
            toys.progress(done, toys.n_toys)
    return _quantiles(name, np.concatenate(ends), options)


def _quantiles(name: str, ends: Array, options: ExpectedOptions) -> ExpectedLimit:
    """The result of an ensemble of ends: infinite where open, NaN of toys that are left out.

    Raises:
        FitError: more toys failed than can be left out, see ``toys.check_toys``.
    """
    failed = np.isnan(ends)
    check_left_out(int(failed.sum()), len(ends), f"expected limit of {name}", options.toys)
    ends = ends[~failed]
    found = np.percentile(ends, PERCENTILES, method="closest_observation")
    return ExpectedLimit(
        name, options.method, "toys", options.cl,
        options.dof if options.method == "profile" else None, SIGMAS,
        tuple(float(v) if np.isfinite(v) else None for v in found), len(ends),
        float(np.mean(np.isinf(ends))), ends, options.nuisances,
    )  # fmt: skip


def _profile_ends(
    likelihood: AnyLikelihood,
    observed: Observed,
    fitted: tuple[int, Array, Array],
    truth: Array,
    options: ExpectedOptions,
) -> Array:
    """Upper ends (N,) of toys at the profile threshold: infinite where open, NaN where failed."""
    index, best, value = fitted
    count = len(best)
    scale = _scale(likelihood, asimov_data(likelihood, truth), index, truth)
    task = CrossingTask(
        best, value, np.full(count, index, dtype=np.intp), np.ones(count),
        np.full(count, threshold(options.cl, options.dof)), np.full(count, scale),
    )  # fmt: skip
    found = crossings(likelihood, observed, task, options.toys.fit)
    return np.where(found.converged, np.where(found.reached, found.value, np.inf), np.nan)


def _acceptance(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    what: tuple[str, Array],
    options: ExpectedOptions,
) -> tuple[Array, Array]:
    """Scanned values and the critical Delta of Feldman-Cousins at each."""
    name, truth = what
    index = likelihood.index(name)
    bounded = likelihood.bounds[index, 0] == 0
    levels = band_levels("profile", options.cl, 1, bool(bounded))
    reach = _asymptotic(likelihood, (index, truth), np.array([1.5 * levels[-1]]), options)[0]
    if reach is None:
        raise FitError(f"the expected profile of {name} never reaches its threshold")
    values = np.linspace(0.0, reach, 31)[1:]
    scan = neyman_scan(likelihood, data, name, values, options.cl, options.toys)
    return scan.values, scan.critical


def _accepted(
    likelihood: AnyLikelihood,
    observed: Observed,
    what: tuple[str, Array, Array],
    value: Array,
    options: ExpectedOptions,
) -> Array:
    """Largest accepted value of each toy (N,), linear between the scanned ones.

    Infinite where the last is accepted, NaN where a fit failed.
    """
    name, values, critical = what
    count = len(value)
    many = observed.select(np.repeat(np.arange(count), len(values)))
    found = fit(likelihood, many, {name: np.tile(values, count)}, None, options.toys.fit)
    delta = found.twice_nll.reshape(count, -1) - value[:, None]
    miss = delta - critical
    ends = np.full(count, np.inf)
    for k, row in enumerate(miss):
        inside = np.flatnonzero(row <= 0)
        if not len(inside):
            ends[k] = values[0]
        elif inside[-1] + 1 < len(values):
            j = inside[-1]
            ends[k] = values[j] - row[j] * (values[j + 1] - values[j]) / (row[j + 1] - row[j])
    return np.where(found.converged.reshape(count, -1).all(axis=1), ends, np.nan)


def _cls_toys(
    likelihood: AnyLikelihood,
    data: ArrayLike | None,
    what: tuple[str, int],
    truth: Array,
    options: ExpectedOptions,
) -> ExpectedLimit:
    """Where the quantiles of CLs from toys cross alpha; log CLs linear between 16 values."""
    name, index = what
    levels = band_levels("cls", options.cl, 1, True)
    ends = [e for e in _asymptotic(likelihood, (index, truth), levels, options) if e is not None]
    if not ends:
        raise FitError(f"the expected CLs of {name} never reaches {1 - options.cl:g}")
    values = np.geomspace(0.6 * min(ends), 1.5 * max(ends), 16)
    bound = likelihood.bounds[index, 1]
    values = values[values <= bound]
    rows = [hypotest_toys(likelihood, data, name, float(v), options.toys) for v in values]
    floor = 0.5 / options.toys.n_toys
    curves = np.log(np.maximum([r.expected for r in rows], floor)) - np.log(1 - options.cl)
    upper = tuple(first_crossing(values, curve) for curve in curves.T)
    return ExpectedLimit(
        name, options.method, "toys", options.cl, None, SIGMAS, upper, options.toys.n_toys,
        nuisances=options.nuisances,
    )  # fmt: skip
