"""Global minima of likelihoods whose signal is a polynomial of physical parameters.

Such likelihoods have several minima (interference against squared terms, either sign of a
charge) and flat directions (parameters that enter in one combination only). Strategy:

1. *Reduced variables.* The counts depend on theta only through ``y = S U^T s(theta)``, from
   the singular value decomposition of the templates of the strengths s over several nuisance
   values; templates that are equal, or linearly dependent, drop out. One unit of ``y`` is
   one standard deviation of the counts.
2. *Scan.* A deterministic design covers theta: all patterns of signs and zeros at several
   distances, scaled so that each step changes ``y`` by a given amount, and a Halton sequence.
   Each problem (scan point, toy) evaluates the whole design at its fixed parameters.
3. *Basins.* The best candidate is taken, all candidates close to it in ``y`` are struck out,
   and so on: the starts lie in different places of the space on which the data depend.
4. *Newton* from every start, all problems and starts in one batch; saddle points, which every
   ``q_ll' = 0`` is, are left along their negative curvature.
5. *Sweeps.* In a scan, each point is started again from the minima of its neighbours, until
   nothing improves: a basin found at one point is carried to all others. Scans of more than
   192 points are searched fully at 96 of them, with fewer starts at the points between.

Where every strength is a sum of squares and linear terms, a convex relaxation comes first
(:mod:`.relaxation`, compiled): it proves most minima to be global from one start, and only the
others are searched for.

:func:`relaxed_minimum` bounds the result from below: with ``s`` free the likelihood is that
of a linear model, whose minimum no theta can undercut.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.core.polynomial import PolynomialMap
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import (
    AGREE,
    BatchFit,
    MinimiseOptions,
    Problems,
    lowest,
)
from histnu.inference.engine.relaxation import relaxed_fits
from histnu.inference.engine.starts import halton
from histnu.inference.engine.unconverged import finish_with_migrad

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_RANK = 1e-9  # singular values below this fraction of the largest are zero
_PATTERNS = 729  # sign patterns of six parameters; more parameters use a subset
_SCAN_CHUNK = 400_000  # evaluations of the design at once


@dataclass(frozen=True)
class GlobalOptions:
    """How thoroughly to look for the global minimum.

    Attributes:
        starts: Newton starts per problem.
        distances: changes of the reduced variables at which the design is laid out.
        halton: number of quasi-random design points.
        separation: distance in the reduced variables between two starts.
        sweeps: most neighbour sweeps of an ordered scan.
        anchors: points of a scan of more than twice as many that are searched fully.
        again: times that what only one start reached is searched again, with thrice the starts.
        minimise: options of the Newton minimiser.
    """

    starts: int = 12
    distances: tuple[float, ...] = (0.7, 2.5, 8.0)
    halton: int = 256
    separation: float = 0.7
    sweeps: int = 4
    anchors: int = 96
    again: int = 2
    minimise: MinimiseOptions = field(default_factory=MinimiseOptions)


def reduction(likelihood: MappedLikelihood) -> Array:
    """Return R (r, K): the counts depend on the strengths s (K) only through ``R s``.

    The rank r is found numerically from the templates at eight nuisance points; rows are
    scaled so that ``|R ds|^2`` is about ``sum_b (d lambda_b)^2 / lambda_b``.
    """
    base, outputs = likelihood.base, list(likelihood.polynomial.outputs)
    rng = np.random.default_rng(0)
    points = 8
    spread = np.minimum(0.5, 0.2 * (base.bounds[:, 1] - base.bounds[:, 0]))
    shift = rng.uniform(-1, 1, (points, len(base.init))) * spread
    shift[0] = 0.0
    pars = np.where(base.fixed, base.init, base.init + shift)
    pars = np.clip(pars, base.bounds[:, 0], base.bounds[:, 1])
    columns = [base.index(k) for k in outputs]
    pars[:, columns] = 0.0
    without = base.expected(pars)
    rows = []
    for column in columns:
        pars[:, column] = 1.0
        rows.append(base.expected(pars) - without)
        pars[:, column] = 0.0
    weight = 1 / np.sqrt(np.maximum(np.abs(without), 1e-3))
    matrix = np.stack([(r * weight).ravel() for r in rows]) / np.sqrt(points)
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    rank = int(np.sum(s > _RANK * s[0])) if s[0] > 0 else 0
    return (u[:, :rank] * s[:rank]).T


def _scales(likelihood: MappedLikelihood, reduce: Array, distance: float) -> Array:
    """Return (D, 2): how far below and above zero each theta changes y by ``distance``."""
    d = likelihood.n_theta
    steps = np.logspace(-15, 15, 301)
    out = np.ones((d, 2))
    origin = reduce @ likelihood.polynomial(np.zeros(d))
    for i in range(d):
        for side, sign in enumerate((-1.0, 1.0)):
            theta = np.zeros((len(steps), d))
            theta[:, i] = sign * steps
            with np.errstate(over="ignore", invalid="ignore"):
                moved = likelihood.polynomial(theta) @ reduce.T - origin
                far = np.linalg.norm(moved, axis=1)
            beyond = np.flatnonzero(~(far < distance))
            if len(beyond) and beyond[0] > 0:
                out[i, side] = steps[beyond[0]]
    return out


def design(likelihood: MappedLikelihood, reduce: Array, options: GlobalOptions) -> Array:
    """Return the deterministic design points, shape (M, D), inside the bounds."""
    d = likelihood.n_theta
    patterns = np.array(list(itertools.islice(itertools.product((0, 1, -1), repeat=d), 20_000)))
    if len(patterns) > _PATTERNS:
        patterns = patterns[np.argsort(np.abs(patterns).sum(axis=1), kind="stable")[:_PATTERNS]]
    layers = []
    for distance in options.distances:
        scale = _scales(likelihood, reduce, distance)
        length = np.sqrt(np.maximum(np.abs(patterns).sum(axis=1, keepdims=True), 1))
        layers.append(patterns * np.where(patterns < 0, scale[:, 0], scale[:, 1]) / length)
    unit = 2 * halton(options.halton, d) - 1
    layers.append(unit * np.where(unit < 0, scale[:, 0], scale[:, 1]))
    lower, upper = likelihood.bounds[:d].T
    points = np.clip(np.concatenate(layers), lower, upper)
    return np.unique(points, axis=0)


def _plan(likelihood: MappedLikelihood, options: GlobalOptions) -> tuple[Array, Array]:
    """Reduction and design, kept with the likelihood: no data or fixed values change them."""
    known = vars(likelihood).setdefault("_plans", {})
    key = (options.distances, options.halton)
    if key not in known:
        reduce = next(iter(known.values()))[0] if known else reduction(likelihood)
        known[key] = reduce, design(likelihood, reduce, options)
    found: tuple[Array, Array] = known[key]
    return found


def global_minimise(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    options: GlobalOptions | None = None,
    ordered: bool = False,
) -> BatchFit:
    """Return the global minima of P problems (see the module's description).

    Args:
        likelihood: a polynomial model.
        observed: data, one set or one per problem.
        problems: starts (always used in addition to the design) and fixed parameters.
        options: thoroughness.
        ordered: neighbouring problems are neighbours in a scan; sweep between them.
    """
    options = options or GlobalOptions()
    quick = relaxed_fits(likelihood, observed, problems, options.minimise)
    if quick is None:
        return _search_all(likelihood, observed, problems, options, ordered)
    fit, attained = quick
    left = np.flatnonzero(~attained)
    if len(left):
        part, data = problems.select(left), observed.select(left)
        fit.put(left, _search_all(likelihood, data, part, options, ordered, fit.select(left)))
        if ordered and len(fit) > len(left):
            fit = _sweep(likelihood, observed, problems, fit, options)
    return fit


def _search_all(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    options: GlobalOptions,
    ordered: bool,
    known: BatchFit | None = None,
) -> BatchFit:
    """Return the minima that the search finds; ``known`` are some that one start has reached."""
    reduce, points = _plan(likelihood, options)
    count = problems.start.shape[1]
    if ordered and count > 2 * options.anchors:
        fit = _anchored(likelihood, observed, problems, (reduce, points), options)
    else:
        fit = _search(likelihood, observed, problems, (reduce, points), options)
    if ordered and count > 1:
        fit = _sweep(likelihood, observed, problems, fit, options)
    fit = _finish(likelihood, observed, problems, fit, options)
    if known is not None:
        every = np.flatnonzero(known.converged)
        _enter(fit, every, known.select(every))
    return _search_again(likelihood, observed, problems, fit, options)


def _enter(fit: BatchFit, where: Index, found: BatchFit) -> NDArray[np.bool_]:
    """Take what is lower of further minima (M,), count those that agree; return which are lower."""
    held = fit.twice_nll[where]
    lower = ~(held <= found.twice_nll + 1e-8) & np.isfinite(found.twice_nll)
    with np.errstate(invalid="ignore"):
        same = np.abs(found.twice_nll - held) <= AGREE
    agreeing = found.agreeing + np.where(same, fit.agreeing[where], 0)
    fit.put(where[lower], found.select(lower))
    fit.agreeing[where[same | lower]] = agreeing[same | lower]
    return np.asarray(lower)


def _search_again(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    fit: BatchFit,
    options: GlobalOptions,
) -> BatchFit:
    """Search what only one start reached with more and nearer starts of a larger design."""
    for _ in range(options.again):
        left = np.flatnonzero(~fit.certified & np.isfinite(fit.twice_nll))
        if not len(left):
            break
        options = replace(
            options,
            starts=3 * options.starts,
            halton=3 * options.halton,
            separation=options.separation / 2,
        )
        plan = _plan(likelihood, options)
        data, part = observed.select(left), problems.select(left)
        _enter(fit, left, _search(likelihood, data, part, plan, options))
    return fit


def nearby_minima(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    hints: Sequence[Array],
    options: GlobalOptions | None = None,
) -> BatchFit:
    """Return minima of problems between two whose global minima are known.

    Where the two lead to different minima, or to none, the whole search follows.

    Args:
        likelihood: a polynomial model. observed: one data set.
        problems: starts and fixed parameters. hints: the two known minima, each (n, P).
        options: thoroughness.
    """
    options = options or GlobalOptions()
    starts = np.stack([np.where(problems.fixed, problems.start, hint) for hint in hints])
    fit = _best_of(likelihood, observed, problems, starts, options.minimise)
    left = np.flatnonzero(~fit.certified)
    if len(left):
        again = global_minimise(likelihood, observed, problems.select(left), options)
        lower = again.certified | (again.twice_nll < fit.twice_nll[left])
        fit.put(left[lower], again.select(lower))
    return fit


def _search(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    plan: tuple[Array, Array],
    options: GlobalOptions,
) -> BatchFit:
    """Scan the design and minimise from the separated starts of every problem."""
    count = problems.start.shape[1]
    per_chunk = max(1, _SCAN_CHUNK // len(plan[1]))
    fits = []
    for first in range(0, count, per_chunk):
        which = slice(first, min(first + per_chunk, count))
        part, data = problems.select(which), observed.select(which)
        starts = separated_starts(likelihood, data, part, plan, options)
        fits.append(_best_of(likelihood, data, part, starts, options.minimise))
    return BatchFit.join(fits)


def _anchored(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    plan: tuple[Array, Array],
    options: GlobalOptions,
) -> BatchFit:
    """Search fully at evenly spread anchors of a long scan, lightly at the points between.

    A point between starts from the minima of both its anchors and from three separated
    points of a thinned design.
    """
    count = problems.start.shape[1]
    anchors = np.unique(np.linspace(0, count - 1, options.anchors).round().astype(np.intp))
    data = observed.select(anchors)
    full = _search(likelihood, data, problems.select(anchors), plan, options)
    after = np.clip(np.searchsorted(anchors, np.arange(count)), 1, len(anchors) - 1)
    light = replace(options, starts=3)
    thin = (plan[0], plan[1][:: max(1, len(plan[1]) // 150)])
    fits = []
    per_chunk = max(1, _SCAN_CHUNK // len(thin[1]))
    for first in range(0, count, per_chunk):
        which = slice(first, min(first + per_chunk, count))
        part, data = problems.select(which), observed.select(which)
        near = [full.parameters[after[which] - side].T for side in (0, 1)]
        near = [np.where(part.fixed, part.start, x) for x in near]
        starts = separated_starts(likelihood, data, part, thin, light)
        starts = np.concatenate([np.stack(near), starts[1:]])
        fits.append(_best_of(likelihood, data, part, starts, options.minimise))
    return BatchFit.join(fits)


def separated_starts(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    plan: tuple[Array, Array],
    options: GlobalOptions,
) -> Array:
    """Return start values (S, n, P): the given one and the best separated design points."""
    reduce, points = plan
    d, (n, count), m = likelihood.n_theta, problems.start.shape, len(points)
    candidates = np.repeat(problems.start, m, axis=1)
    theta = np.tile(points.T, (1, count))
    held = np.repeat(problems.fixed[:d], m, axis=1)
    candidates[:d] = np.where(held, candidates[:d], theta)
    data = observed if observed.size is None else observed.select(np.repeat(np.arange(count), m))
    value = np.concatenate(
        [
            likelihood.value(candidates[:, a : a + 4096], _slice(data, a, a + 4096))
            for a in range(0, m * count, 4096)
        ]
    ).reshape(count, m)
    y = (likelihood.strengths(candidates.T) @ reduce.T).reshape(count, m, -1)
    out = [problems.start]
    rows = np.arange(count)
    candidates = candidates.reshape(n, count, m)
    for _ in range(options.starts):
        best = np.argmin(value, axis=1)
        found = np.isfinite(value[rows, best])
        if not found.any():
            break
        out.append(np.where(found, candidates[:, rows, best], problems.start))
        near = np.square(y - y[rows, best][:, None]).sum(axis=2) < options.separation**2
        value[near] = np.inf
        value[rows, best] = np.inf
    return np.stack(out)


def _slice(observed: Observed, first: int, last: int) -> Observed:
    return observed if observed.size is None else observed.select(slice(first, last))


def _best_of(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    starts: Array,
    options: MinimiseOptions,
) -> BatchFit:
    """Minimise from every start (S, n, P) and keep the best of each problem."""
    s, n, count = starts.shape
    many = Problems(
        np.ascontiguousarray(np.moveaxis(starts, 0, 1)).reshape(n, s * count),
        np.tile(problems.fixed, (1, s)),
    )
    data = observed if observed.size is None else observed.select(np.tile(np.arange(count), s))
    fit = minimise(likelihood, data, many, replace(options, migrad=False))
    return lowest(fit, count)


def _sweep(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    fit: BatchFit,
    options: GlobalOptions,
) -> BatchFit:
    """Start every point of a scan from the minima of its two neighbours until none improves."""
    changed = np.ones(len(fit), dtype=bool)
    for _ in range(options.sweeps):
        touched = changed | np.roll(changed, 1) | np.roll(changed, -1)
        todo = np.flatnonzero(touched)
        if not len(todo):
            break
        around = np.stack(
            [
                np.where(problems.fixed, problems.start, np.roll(fit.parameters, shift, 0).T)
                for shift in (1, -1)
            ]
        )[:, :, todo]
        again = _best_of(
            likelihood, observed.select(todo), problems.select(todo), around, options.minimise
        )
        changed = np.zeros(len(fit), dtype=bool)
        changed[todo[_enter(fit, todo, again)]] = True
    return fit


def _finish(
    likelihood: MappedLikelihood,
    observed: Observed,
    problems: Problems,
    fit: BatchFit,
    options: GlobalOptions,
) -> BatchFit:
    """Give unconverged best candidates more Newton iterations, then MIGRAD.

    Curved flat valleys, which are walked in many short steps, are what needs them.
    """
    left = np.flatnonzero(~fit.converged)
    if len(left):
        start = fit.parameters[left].T[None]
        longer = replace(options.minimise, max_iterations=5 * options.minimise.max_iterations)
        again = _best_of(likelihood, observed.select(left), problems.select(left), start, longer)
        better = again.twice_nll <= fit.twice_nll[left]
        fit.put(left[better], again.select(better))
    if not options.minimise.migrad or fit.converged.all():
        return fit
    return finish_with_migrad(likelihood, observed, problems, fit)


def relaxed_minimum(
    likelihood: MappedLikelihood, data: ArrayLike, auxdata: ArrayLike | None = None
) -> float:
    """Return a lower bound of -2 log L: its minimum with the reduced variables free.

    The strengths are linear functions ``pinv(R) y`` of free reduced variables y, which every
    theta can be expressed in, so that no theta is below the minimum over y.

    Args:
        likelihood: a polynomial model.
        data: (B,) counts. auxdata: (A,) or None.

    Returns:
        The bound. If it equals the minimum over theta, that minimum is certainly global; it
        is not reached where the best strengths are outside the image of the polynomial map.

    Raises:
        FitError: the minimum over y was not found.
    """
    inverse = np.linalg.pinv(reduction(likelihood), rcond=_RANK)
    names = tuple(f"reduced_{j}" for j in range(inverse.shape[1]))
    terms = tuple(
        tuple((float(c), {name: 1}) for c, name in zip(row, names, strict=True)) for row in inverse
    )
    linear = PolynomialMap(names, likelihood.polynomial.outputs, terms)
    free = MappedLikelihood(likelihood.base, linear)
    starts = Problems.make(free, 5)
    starts.start[: len(names)] = 0.0
    for j, size in enumerate((-1.0, -0.1, 0.1, 1.0)):
        starts.start[: len(names), j + 1] = size
    options = MinimiseOptions(max_iterations=300)
    found = minimise(free, free.observe(data, auxdata), starts, options)
    value = np.where(np.isfinite(found.twice_nll), found.twice_nll, np.inf)
    best = int(np.argmin(value))
    if not found.converged[best]:
        raise FitError("the minimum over free strengths was not found; there is no lower bound")
    return float(value[best])
