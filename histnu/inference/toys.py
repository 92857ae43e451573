"""Toy experiments: Feldman-Cousins limits and coverage, nuisances profiled in every toy.

Toys are fitted from one start where the model shows a single minimum, and a share of them from
two as a check; from many starts as soon as any toy meets a second minimum (see
:mod:`histnu.inference.engine.multistart`). Toys whose fits do not converge are left out; more
than can matter (:func:`check_toys`) are an error.

A toy draws the counts from a Poisson and each auxiliary measurement from its Gaussian or
Poisson around the given nuisance parameters, as pyhf does. Toys come in chunks whose random
numbers belong to the seed, the point and the number of the chunk (:mod:`histnu.inference.streams`):
chunks can be computed anywhere and in any order, and in bounded memory. Within a chunk three
independent streams (counts, Gaussian and Poisson auxiliaries) make the toys independent of how many
are fitted at once.

References: G. J. Feldman, R. D. Cousins, Phys. Rev. D 57 (1998) 3873, physics/9711021;
profiled nuisances: B. Sen, M. Walker, M. Woodroofe, Statist. Sinica 19 (2009) 301.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.core.serialize import rounded
from histnu.inference.certification import Asked, require
from histnu.inference.engine.compile import Constraints
from histnu.inference.engine.compiled import available
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, Solver, observe
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.relaxation import relaxation
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
from histnu.inference.streams import stream

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Progress = Callable[[int, int], None]

_TOY_SEARCH = GlobalOptions(starts=4, halton=32, distances=(2.0,), again=0)


MAXIMUM_RATE = 1e15
"""Expected count above which no toy is drawn (numpy's Poisson generator ends at 9.2e18)."""
TOYS_PER_CHUNK = 1000
"""Toys that share one generator; another number gives other toys."""
_TRUTH_DIGITS = 8
_EXTENSIONS = 6  # times that a scan without an end goes on, each time three times as wide
"""Digits of fitted nuisances at which toys are drawn: the same on every machine."""


@dataclass(frozen=True)
class Chunk:
    """Some toys of one point, with all that decides what they are.

    Attributes:
        truth: (n,) parameters at which they are drawn. test: parameter -> value under test.
        point: coordinate -> value that the random numbers belong to.
        seed: of the whole. number: of the chunk. n_toys: at most ``TOYS_PER_CHUNK``.
        member: of a family of likelihoods, the one from which they are drawn.
        thorough: start the fits of every toy more than once.
    """

    truth: tuple[float, ...]
    test: Mapping[str, float]
    point: Mapping[str, float]
    seed: int
    number: int
    n_toys: int
    member: int = 0
    thorough: bool = False


@dataclass(frozen=True)
class ToyOptions:
    """How many toys, from which seed, and how to fit them.

    Attributes:
        n_toys: toys per hypothesis.
        seed: of the random numbers; the same seed gives a point the same toys.
        chunk: toys fitted at once; the result does not depend on it.
        fit: how to fit. For polynomial models the default uses a smaller search per toy.
        progress: called with (toys done, toys in total).
        held: coordinates of the point that are no parameters of the likelihood (a mass).
        run: computes chunks somewhere else; in this process if None.
    """

    n_toys: int = 1000
    seed: int = 0
    chunk: int = TOYS_PER_CHUNK
    fit: FitOptions = field(default_factory=FitOptions)
    progress: Progress | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    run: Callable[[Sequence[Chunk]], list[ToyStatistics]] | None = None

    def __post_init__(self) -> None:
        if self.n_toys < 1 or self.chunk < 1:
            raise FitError(f"n_toys={self.n_toys}, chunk={self.chunk}: both must be at least 1")


@dataclass(frozen=True)
class ToyStatistics:
    """Statistics of N toys.

    Attributes:
        delta: (N,) -2 log likelihood ratio of the tested value to the best fit of the toy.
        estimate: (N,) best-fit value of the tested parameter; empty where several are tested.
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

    @classmethod
    def merged(cls, parts: Sequence[ToyStatistics]) -> ToyStatistics:
        """Return the toys of several chunks in their order."""
        return cls(
            np.concatenate([p.delta for p in parts]),
            np.concatenate([p.estimate for p in parts]),
            np.concatenate([p.converged for p in parts]),
            {k: sum(p.search[k] for p in parts) for k in parts[0].search},
        )


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


def chunks_of(
    likelihood: AnyLikelihood,
    truth: ArrayLike,
    test: Mapping[str, float],
    options: ToyOptions,
    point: Mapping[str, float] | None = None,
) -> list[Chunk]:
    """Return the chunks of the toys of one point.

    Args:
        likelihood: the model. truth: (n,) parameters of the toys; fitted ones are rounded to
            ``_TRUTH_DIGITS`` digits. test: parameter -> value under test.
        options: number, seed and held coordinates. point: coordinates of the truth; ``test`` if
            None.
    """
    point = {**options.held, **(test if point is None else point)}
    exact = {*point, *test}
    low, high = likelihood.bounds.T
    coarse = np.clip([rounded(x, _TRUTH_DIGITS) for x in np.asarray(truth)], low, high)
    names = likelihood.parameter_names
    values = np.where([n in exact for n in names], truth, coarse)
    size, n = TOYS_PER_CHUNK, options.n_toys
    return [
        Chunk(
            tuple(values.tolist()), dict(test), point, options.seed, k, min(size, n - k * size)
        )
        for k in range(-(-n // size))
    ]  # fmt: skip


def chunk_statistics(
    family: Sequence[AnyLikelihood],
    chunk: Chunk,
    options: FitOptions,
    batch: int = TOYS_PER_CHUNK,
    progress: Callable[[int], None] = lambda toys: None,
) -> ToyStatistics:
    """Return the statistics of one chunk of toys.

    Args:
        family: likelihoods of one hypothesis, one per value of what they hold (a mass); the best
            fit of a toy is the lowest minimum of all.
        chunk: the toys. options: how to fit. batch: toys fitted at once.
        progress: called with the number of toys that were fitted.
    """
    if chunk.thorough:
        options = replace(options, starts=replace(options.starts, share=1.0))
    solvers = [Solver(member, _toy_fit(member, options)) for member in family]
    parts = None
    while parts is None:  # each second minimum that is met on the way: again, from many starts
        parts = _fit_chunk(solvers, chunk, batch, progress)
    counts = [s.counts.to_json() for s in solvers]
    search = {name: sum(c[name] for c in counts) for name in counts[0]}
    return replace(ToyStatistics.merged(parts), search=search)


def _fit_chunk(
    solvers: Sequence[Solver], chunk: Chunk, batch: int, progress: Callable[[int], None]
) -> list[ToyStatistics] | None:
    """Fit all toys; None when some were fitted before the first second minimum was met."""
    before = [s.second for s in solvers]
    parts: list[ToyStatistics] = []
    rng = stream(chunk.seed, chunk.point, chunk.number)
    likelihood = solvers[chunk.member].likelihood
    for data in sample(likelihood, chunk.truth, chunk.n_toys, rng, batch):
        parts.append(_statistics(solvers, chunk, data))
        if [s.second for s in solvers] != before:
            return None
        progress(len(data[0]))
    return parts


def run_chunks(
    chunks: Sequence[Chunk], run: Callable[[Sequence[Chunk]], list[ToyStatistics]]
) -> list[ToyStatistics]:
    """Return the statistics of chunks, thoroughly where another chunk met a second minimum."""
    found = run(chunks)
    points = [tuple(sorted(c.point.items())) for c in chunks]
    met = {p for p, f in zip(points, found, strict=True) if f.search["second"]}
    again = [
        k for k, f in enumerate(found)
        if points[k] in met and not f.search["second"] and not chunks[k].thorough
    ]  # fmt: skip
    if again:
        better = run([replace(chunks[k], thorough=True) for k in again])
        for k, statistics in zip(again, better, strict=True):
            found[k] = statistics
    return found


def _here(
    likelihood: AnyLikelihood, options: ToyOptions, total: int
) -> Callable[[Sequence[Chunk]], list[ToyStatistics]]:
    """Return what computes chunks in this process, one after the other."""
    done = 0

    def advance(toys: int) -> None:
        nonlocal done
        done = min(done + toys, total)
        if options.progress is not None:
            options.progress(done, total)

    return lambda chunks: [
        chunk_statistics([likelihood], c, options.fit, options.chunk, advance) for c in chunks
    ]


def many_statistics(
    likelihood: AnyLikelihood, points: Sequence[list[Chunk]], options: ToyOptions
) -> list[ToyStatistics]:
    """Return the statistics of the toys of several points, each given by its chunks.

    Raises:
        FitError: more toys failed than can be left out, see :func:`check_toys`.
    """
    chunks = [c for point in points for c in point]
    run = options.run or _here(likelihood, options, sum(c.n_toys for c in chunks))
    parts = iter(run_chunks(chunks, run))
    found = [ToyStatistics.merged([next(parts) for _ in point]) for point in points]
    for point, toys in zip(points, found, strict=True):
        check_toys(toys, ", ".join(f"{k} = {v:.6g}" for k, v in point[0].test.items()), options)
    return found


def toy_statistics(
    likelihood: AnyLikelihood,
    parameters: Array,
    test: tuple[str, float],
    options: ToyOptions,
    point: Mapping[str, float] | None = None,
) -> ToyStatistics:
    """Return the statistics of toys drawn at ``parameters`` for one tested value.

    Args:
        likelihood: the model. parameters: (n,) the truth of the toys.
        test: (parameter, value) under test, which need not be the truth.
        options: number and fits of the toys.
        point: coordinates of the truth, which key the random numbers; the test if None.

    Raises:
        FitError: more toys failed than can be left out, see :func:`check_toys`.
    """
    chunks = chunks_of(likelihood, parameters, dict([test]), options, point)
    return many_statistics(likelihood, [chunks], options)[0]


def check_toys(found: ToyStatistics, where: str, options: ToyOptions) -> None:
    """Raise if the toys left out could move a fraction by more than a quarter of its error.

    Left-out toys may all have been on one side: ``failed / n`` is the most they can move a
    fraction of the toys, whose own error is up to ``0.5 / sqrt(n)``.

    Raises:
        FitError: too many failed; none of them did with ``allow_uncertified``.
    """
    n = len(found.converged)
    check_left_out(found.failed if found.converged.any() else n, n, where, options)


def check_left_out(failed: int, n: int, where: str, options: ToyOptions) -> None:
    """Raise if ``failed`` of n toys are too many to be left out, see :func:`check_toys`."""
    if failed == n:
        raise FitError(f"{where}: no toy converged")
    if options.fit.allow_uncertified or failed <= np.sqrt(n) / 8:
        return
    raise FitError(
        f"{where}: the fits of {failed} of {n} toys did not converge or were not certified; "
        "allow_uncertified (--allow-uncertified) leaves them out"
    )


def _toy_fit(likelihood: AnyLikelihood, options: FitOptions) -> FitOptions:
    """Return fit options with a search per toy that is smaller than for data."""
    minimise = options.search.minimise
    if not isinstance(likelihood, MappedLikelihood) or options.search != GlobalOptions(
        minimise=minimise
    ):
        return options
    if minimise.compiled and available() and relaxation(likelihood) is not None:
        return options  # few toys are searched at all
    return replace(options, search=replace(_TOY_SEARCH, minimise=minimise))


def _statistics(
    solvers: Sequence[Solver], chunk: Chunk, data: tuple[Array, Array]
) -> ToyStatistics:
    """Fit toys freely and at the tested values."""
    own = solvers[chunk.member]
    observed = own.likelihood.observe(*data)
    held = own.fit(observed, chunk.test, np.array(chunk.truth))
    free = own.fit(observed, None, held.parameters)
    fits, of = [held, free], [own, own]
    for other in (s for s in solvers if s is not own):
        of.append(other)
        start = _carried(own, other, held.parameters)
        fits.append(other.fit(other.likelihood.observe(*data), None, start))
    # the conditional fit is allowed in the free one, which cannot be worse
    lowest = np.min([f.twice_nll for f in fits], axis=0)
    good = np.all([f.converged for f in fits], axis=0)
    for solver, found in zip(of, fits, strict=True):  # the others certify a share of the toys
        good &= found.certified | (not solver.second)
    estimate = np.empty(0)
    if len(chunk.test) == 1:
        ((name, value),) = chunk.test.items()
        worse = held.twice_nll < free.twice_nll
        estimate = np.where(worse, value, free.parameters[:, own.likelihood.index(name)])
    return ToyStatistics(held.twice_nll - lowest, estimate, good)


def _carried(of: Solver, to: Solver, parameters: Array) -> Array:
    """Return parameters (N, n) as starts of another likelihood, its own where it has others."""
    a, b = of.likelihood, to.likelihood
    shared = [name for name in b.parameter_names if name in a.parameter_names]
    starts = np.tile(b.init, (len(parameters), 1))
    starts[:, [b.index(n) for n in shared]] = parameters[:, [a.index(n) for n in shared]]
    return starts


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
    point = {parameter: tested, **{name: float(value) for name, value in truth.items()}}
    found = toy_statistics(likelihood, start, (parameter, tested), options, point)
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
    critical, p_value, error = (np.empty(len(values)) for _ in range(3))
    search, failed = solver.counts.to_json(), 0
    points = [
        chunks_of(likelihood, truth, {parameter: float(value)}, options)
        for truth, value in zip(held.parameters, values, strict=True)
    ]
    for k, toys in enumerate(many_statistics(likelihood, points, options)):
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
        values: (P,) scanned; around the profile interval, and on until both ends are excluded or
            at a bound, if None.

    The ends are where the p-value, linear between the scanned values, crosses ``1 - cl``.

    Raises:
        FitError: the profile interval, from which the scan starts, is open on both sides, or no
            value is excluded far beyond it.
    """
    options = options or ToyOptions()
    bounds = likelihood.bounds[likelihood.index(parameter)]
    if values is not None:
        scan = neyman_scan(likelihood, data, parameter, values, cl, options)
    else:
        first = _scan_values(likelihood, data, parameter, cl, options)
        scan = _wide_scan(
            lambda x: neyman_scan(likelihood, data, parameter, x, cl, options), first, bounds
        )
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


def critical_error(sampled: ArrayLike, cl: float) -> float:
    """Return the standard error of :func:`critical_value`, from order statistics.

    The rank of the quantile has the binomial error ``sqrt(n cl (1 - cl))``; half the difference of
    the toys at the ranks one error below and above is the error of the value.
    """
    ordered = np.sort(np.asarray(sampled, dtype=float))
    n = len(ordered)
    low, high = cl * n + np.array([-1, 1]) * np.sqrt(n * cl * (1 - cl))
    ranks = np.clip(np.ceil([low, high]).astype(int) - 1, 0, n - 1)
    return float(np.ptp(ordered[ranks])) / 2


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


def _wide_scan(scan_of: Callable[[Array], NeymanScan], values: Array, bounds: Array) -> NeymanScan:
    """Scan, and go on beyond an end that is not excluded; each time twice as far.

    Raises:
        FitError: an end is not excluded after ``_EXTENSIONS`` times.
    """
    for _ in range(_EXTENSIONS):
        scan = scan_of(values)
        low, high = values[0], values[-1]
        below, above = scan.p_value[[0, -1]] > 1 - scan.cl
        more = []
        if below and low > bounds[0]:
            more.append(np.linspace(max(bounds[0], 2 * low - high), low, 11)[:-1])
        if above and high < bounds[1]:
            more.append(np.linspace(high, min(bounds[1], 2 * high - low), 11)[1:])
        if not more:
            return scan
        values = np.unique(np.concatenate([values, *more]))
    raise FitError(f"{scan.parameter}: no value up to {high:g} is excluded; give values to scan")


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
