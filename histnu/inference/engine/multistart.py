"""Several starts per fit, and the certification of minima.

A minimum is *certified* when two different starts converge to it, their values of -2 log L
within ``StartOptions.agreement``, or it is joined to certified neighbours, and no start found a
lower one. How many starts are
made depends on what they meet:

* A fit of one data set starts from what the caller knows, from the suggested start and from a few
  points spread over the widths of the constraints and the bounds (:mod:`.starts`); from more
  where they disagree or the document is not plain (:mod:`.structure`).
* In a scan each point has a spread start of its own beside what the caller knows; the points of
  the first scan together have at least 32. A long scan does so at every twelfth point; the points
  between are interpolated and joined to both sides by the integral of the slope
  (:mod:`.branches`). A scan of a plain document is fitted once and joined to its best fit.
* Parameters whose bounds separate minima are held in turn and released.
* Of many data sets (toys) the first few and a random share of the others are started from
  spread points too.

As soon as any start of the same search meets a second minimum, lower or higher, everything
is started from many spread points, from all minima met so far, and in a scan from the minima
of the neighbours on both sides until nothing changes: the lower branch is carried along.

With ``n`` checked data sets and no disagreement the share of data sets whose minimum was
missed is below ``3 / n`` at 95 % confidence; :class:`Counts` carries both numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.allowed import allowed_point
from histnu.inference.engine.branches import (
    between,
    integrates,
    lagrange,
    one_branch,
    straight_runs,
)
from histnu.inference.engine.convexity import convexity
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import BatchFit, Met, MinimiseOptions, Problems
from histnu.inference.engine.starts import Spread
from histnu.inference.engine.structure import folding, folds, is_plain, switches

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_LOOSE = 3e-5  # edm of a start that only has to confirm a minimum
_SAME = 1e-6  # relative distance below which two start points are one
_FIRST: Index = np.zeros(1, dtype=np.intp)
_LARGE = 24  # parameters from which a fit is cheaper in turn than all of its starts together
_FOLDING = 10  # most folding parameters that change sides, and pairs of them
_WEAK = 0.1  # share of the constraint's curvature that such a parameter can take away
_NEARBY = 0.3  # widths from a minimum, to start a second time on the same side of all folds
_NODES = 6  # anchors through which minima are interpolated
_NONE: Index = np.zeros((_NODES, 0), dtype=np.intp)


@dataclass(frozen=True)
class StartOptions:
    """How many starts, and when two of them agree.

    Attributes:
        few: spread starts of one fit; spread: where the document is not plain, or they disagree.
        first: spread starts of the first scan, at least one per point.
        many: spread starts per problem after a second minimum was met; fewer where their
            number times that of the parameters exceeds ``total``.
        agreement: largest difference in -2 log L of two starts that agree.
        stride: points of a long scan per point that gets a spread start.
        long: points of a scan of a plain document that is fitted once.
        rounds: most sweeps between neighbours.
        released: most rounds in which parameters that separate minima are held and released.
        scanned: points of scans at which they are. folded: points of a scan at which folding
            parameters change sides.
        basins: most minima that are remembered as starts.
        patience: times as many iterations take the last starts, where no two agreed before.
        probed: data sets that are started from ``spread`` points; share: of the others.
    """

    few: int = 4
    spread: int = 14
    first: int = 32
    many: int = 8
    total: int = 320
    agreement: float = 1e-5
    stride: int = 12
    long: int = 24
    rounds: int = 12
    released: int = 3
    scanned: int = 12
    folded: int = 8
    basins: int = 8
    patience: int = 4
    probed: int = 16
    share: float = 0.03


@dataclass
class Counts:
    """What a search did.

    Attributes:
        fits: problems solved. starts: minimisations. certified: minima two starts agree on.
        checked: problems started at least twice. second: problems that met a second minimum.
        proven: minima that are the lowest because -2 log L is convex (:mod:`.convexity`).
    """

    fits: int = 0
    starts: int = 0
    certified: int = 0
    checked: int = 0
    second: int = 0
    proven: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return dict(vars(self))


class Ledger:
    """The lowest minima of P problems and how many different starts reached each."""

    def __init__(self, problems: Problems, agreement: float) -> None:
        points = problems.start.shape[1]
        none = np.zeros(points, dtype=bool)
        self.fit = BatchFit.of(problems.start.T.copy(), np.full(points, np.inf), none.copy())
        self.tries = np.zeros(points, dtype=np.intp)
        self.second = none.copy()
        self.closed = none.copy()  # no rates are allowed, or none can be lower
        self.inside = np.full(problems.start.shape, np.nan)  # points well inside, where looked for
        self.met: list[Array] = []
        self._agreement = agreement

    def enter(self, where: Index, found: BatchFit, distinct: Mask, loose: bool = False) -> Mask:
        """Enter S fits of each of M problems; return (M,) which minima became lower.

        Args:
            where: (M,) problems. found: (S M) fits, start by start. distinct: (S, M) whether the
                start differs from those before it. loose: the fits confirm minima but do not
                replace them.
        """
        held, size = self.fit.select(where), len(where)
        value = np.where(np.isnan(found.twice_nll), np.inf, found.twice_nll).reshape(-1, size)
        converged = found.converged.reshape(-1, size)
        lowest = np.minimum(value.min(axis=0), held.twice_nll)
        tolerance = self._agreement + 1e-11 * np.abs(np.where(np.isfinite(lowest), lowest, 0.0))
        with np.errstate(invalid="ignore"):
            same, stays = value - lowest <= tolerance, held.twice_nll - lowest <= tolerance
            lower = lowest - held.twice_nll < -tolerance
        good = same & converged
        known = stays & held.converged
        second = (converged & ~same & np.isfinite(value)).any(axis=0)
        second |= held.converged & ~stays
        second &= good.any(axis=0) | known
        self._remember(found, held, second)
        self.second[where] |= second
        self.tries[where] += distinct.sum(axis=0)
        # the lowest of those that converged, if any did, else the lowest
        rank = np.where(good.any(axis=0), np.where(good, value, np.inf), value)
        best = rank.argmin(axis=0)
        chosen = found.select(best * size + np.arange(size))
        closer = ~known | ((chosen.twice_nll < held.twice_nll) & (not loose))
        take = np.isfinite(chosen.twice_nll) & (~stays | (good.any(axis=0) & closer))
        agreeing = np.where(known, held.agreeing, 0) + (good & distinct).sum(axis=0)
        agreeing = np.maximum(agreeing, np.where(take, chosen.converged, 0))
        self.fit.put(where[take], chosen.select(take))
        change = take | known
        self.fit.agreeing[where[change]] = agreeing[change]
        return np.asarray(lower)

    def join(self, joined: Mask) -> None:
        """Note that minima are on the branch of certified neighbours: as good as a start more."""
        self.fit.agreeing[joined] += 1
        self.tries[joined] += 1

    def _remember(self, found: BatchFit, held: BatchFit, second: Mask) -> None:
        """Keep the minima of the first few problems that met two."""
        for k in np.flatnonzero(second)[:4]:
            mine = np.arange(k, len(found), len(second))
            mine = mine[found.converged[mine]]
            some = mine[np.unique(found.twice_nll[mine].round(3), return_index=True)[1]]
            self.met += [*found.parameters[some[:4]], held.parameters[k]]


class MultiStart:
    """Certified minima of one likelihood; remembers what it met from call to call."""

    def __init__(
        self,
        likelihood: Likelihood,
        options: MinimiseOptions | None = None,
        starts: StartOptions | None = None,
    ) -> None:
        self._likelihood = likelihood
        self._starts = starts or StartOptions()
        self._first = replace(options or MinimiseOptions(), migrad=False)
        self._finish = (options or MinimiseOptions()).migrad
        self._spread: Spread | None = None
        self._basins: list[Array] = []
        self._rng = np.random.default_rng(0)
        self._last: Array | None = None  # the lowest minimum so far
        self._free: BatchFit | None = None  # the certified free minimum
        self._response: tuple[Index, Array] | None = None  # of the free parameters there
        self.plain = False  # nothing in the document makes several minima likely
        self._lowest = np.inf
        self._spent = 0  # spread starts made in scans so far
        self._scanned = self._starts.scanned
        size = len(likelihood.init)
        self._many = int(np.clip(self._starts.total // max(size, 1), 1, self._starts.many))
        self._convex = convexity(likelihood)
        self._folds: Array | None = None
        self.second = False
        self.counts = Counts()

    # ------------------------------------------------------------------ public
    def scan(
        self,
        observed: Observed,
        problems: Problems,
        hints: Sequence[Array],
        near: tuple[BatchFit, ...] = (),
    ) -> BatchFit:
        """Return certified minima of P problems with one data set, neighbours in a scan.

        Args:
            observed: the data. problems: start values and fixed parameters.
            hints: further starts, each (n,) or (n, P).
            near: minima of near problems: where they are certified, a minimum on the same branch
                as they are, or that both lead to, is enough.
        """
        points = problems.start.shape[1]
        ledger = Ledger(problems, self._starts.agreement)
        if not points:
            return ledger.fit
        ordered = points > 1
        layers = self._layers(problems, hints)
        if near:
            self._near(observed, problems, ledger, near)
        elif not self._prove(observed, problems, (ledger, layers)):
            if ordered and self.plain and not self.second:
                self._at_ends(observed, problems, ledger)
            self._strategy(problems)(observed, problems, (ledger, layers))
        self._reach(observed, problems, ledger)
        for _ in range(2):
            lower = not near and self._fold(observed, problems, ledger)
            self._settle(observed, problems, ledger, ordered, every=not near)
            if not lower:
                break
        return self._close(observed, problems, ledger)

    def sets(self, observed: Observed, problems: Problems, hints: Sequence[Array]) -> BatchFit:
        """Return minima of P problems with a data set each, all or a share of them checked."""
        points = problems.start.shape[1]
        ledger = Ledger(problems, self._starts.agreement)
        every = np.arange(points)
        self._run(observed, problems, ledger, (every, self._layers(problems, hints)))
        self._note_proven(observed, problems, ledger)
        if not self.second and not ledger.closed.all():
            self._check_share(observed, problems, ledger)
        self._settle(observed, problems, ledger, ordered=False, toys=True)
        return self._close(observed, problems, ledger)

    # ------------------------------------------------------------------ strategies
    def _prove(
        self, observed: Observed, problems: Problems, task: tuple[Ledger, list[Array]]
    ) -> bool:
        """Fit once where a proof may be had; return whether most minima are proven.

        The others are started a second time, from a spread point.
        """
        ledger, layers = task
        if not self._provable(observed, problems):
            return False
        if problems.start.shape[1] > 4 * self._starts.stride:
            path, runs = _path(problems)
            self._through(observed, problems, ledger, (path, [self._anchors(*r) for r in runs]))
        else:
            every = np.arange(problems.start.shape[1])
            self._run(
                observed, problems, ledger, (every, [self._beginning(observed, problems, layers)])
            )
        self._note_proven(observed, problems, ledger)
        left = np.flatnonzero(~ledger.closed)
        if 2 * len(left) > len(ledger.closed):
            self._convex = None  # where the proof does not reach, it is not tried again
            return False
        self._run(observed, problems, ledger, (left, self._spread_starts(observed, 1, len(left))))
        return True

    def _through(
        self,
        observed: Observed,
        problems: Problems,
        ledger: Ledger,
        line: tuple[Array, list[Index]],
    ) -> None:
        """Fit the anchors of a scan, and the points between from the polynomial through them."""
        path, parts = line
        anchors = np.concatenate(parts)
        some = problems.select(anchors)
        self._run(
            observed, problems, ledger, (anchors, [self._beginning(observed, some, [some.start])])
        )
        rest = np.setdiff1d(np.arange(problems.start.shape[1]), anchors)
        nodes = np.concatenate([_nodes(part, rest) for part in parts], axis=1)
        start = lagrange(path[nodes], path[rest], ledger.fit.parameters[nodes]).T
        self._run(observed, problems, ledger, (rest, [start]))

    def _beginning(self, observed: Observed, problems: Problems, layers: list[Array]) -> Array:
        """Return first starts (n, P): where the free minimum moves, or what the caller knows."""
        return layers[0] if self._free is None else self._moved(observed, problems)

    def _provable(self, observed: Observed, problems: Problems) -> bool:
        """Whether all problems hold the same parameters, of which :mod:`.convexity` has proofs."""
        fixed = problems.fixed[:, 0]
        return (
            self._convex is not None
            and observed.templates is None
            and bool((problems.fixed == fixed[:, None]).all())
            and self._convex.covers(fixed)
        )

    def _note_proven(self, observed: Observed, problems: Problems, ledger: Ledger) -> None:
        """Note the minima that are proven: nothing more is looked for there."""
        if self._convex is None or not self._provable(observed, problems):
            return
        proven = self._convex.proven(self._likelihood, observed, ledger.fit, problems.fixed[:, 0])
        ledger.join(proven)
        ledger.closed |= proven
        self.counts.proven += int(proven.sum())

    def _check_share(self, observed: Observed, problems: Problems, ledger: Ledger) -> None:
        """Start some data sets, of those without a proof, from spread points."""
        unproven = np.flatnonzero(~ledger.closed)
        if self.counts.checked < self._starts.probed:
            chosen = unproven[: self._starts.probed]
            self._run(observed, problems, ledger, (chosen, self._spread_starts(
                observed, self._starts.spread, len(chosen)
            )))  # fmt: skip
        size = int(np.ceil(self._starts.share * len(unproven)))
        chosen = np.sort(self._rng.choice(unproven, size, replace=False))
        self._run(
            observed, problems, ledger, (chosen, self._spread_starts(observed, 1, len(chosen))),
            loose=True,
        )  # fmt: skip

    def _densely(
        self, observed: Observed, problems: Problems, task: tuple[Ledger, list[Array]]
    ) -> None:
        """Start every point of a scan from what is known and from one spread point."""
        ledger, layers = task
        points = problems.start.shape[1]
        every = np.arange(points)
        if points == 1:
            self._alone(observed, problems, task)
        elif self.plain and self._free is not None:
            moved = self._moved(observed, problems)
            self._run(observed, problems, ledger, (every, [moved, *self._aside(observed, moved)]))
        else:
            wanted = max(self._starts.first - self._spent, 0)
            count = min(max(wanted // points, int(len(layers) < 3)), self._many)
            self._spent += count * points
            layers = [*layers, *self._spread_starts(observed, count, points)]
            self._run(observed, problems, ledger, (every, layers))
        self._release(observed, problems, ledger)

    def _strategy(self, problems: Problems) -> Callable[..., None]:
        """Return how to go through a scan."""
        points = problems.start.shape[1]
        if points > self._starts.long and self._one_line(problems):
            return self._along
        if points > 4 * self._starts.stride and not self.second:
            return self._in_between
        return self._densely

    def _at_ends(self, observed: Observed, problems: Problems, ledger: Ledger) -> None:
        """Fit both ends of a scan as if each were the only problem.

        What is plain at the free minimum may have a lower basin far from it; one that is met at an
        end is looked for everywhere.
        """
        for k in (0, problems.start.shape[1] - 1):
            end = problems.select(slice(k, k + 1))
            alone = Ledger(end, self._starts.agreement)
            self._alone(observed, end, (alone, [end.start]))
            self._release(observed, end, alone)
            ledger.fit.put(np.array([k]), alone.fit)
            ledger.tries[k], ledger.second[k] = alone.tries[0], alone.second[0]
            ledger.met += alone.met
            ledger.closed[k] = alone.closed[0]
            self.second |= bool(alone.second[0])

    def _alone(
        self, observed: Observed, problems: Problems, task: tuple[Ledger, list[Array]]
    ) -> None:
        """Start one problem from what is known and a few spread points, or from many.

        A large document is started once before: the others may end as soon as they come near.
        """
        ledger, layers = task
        known = self._inside(np.stack([*layers, self._likelihood.init[:, None]]), problems)
        new = _distinct(known, np.full(known.shape[1:], np.nan), problems.fixed)[:, 0]
        layers, count = list(known[new]), self._starts.few
        large = len(problems.start) > _LARGE
        if large:
            self._run(observed, problems, ledger, (_FIRST, layers[:1]), patient=True)
            if self._is_least(observed, ledger):
                ledger.join(ledger.fit.converged)
                ledger.closed |= ledger.fit.converged
                return
            self.plain = self._is_plain(observed, ledger)
            layers, count = layers[1:], count if self.plain else self._starts.spread
        layers += self._spread_starts(observed, count, 1)
        self._run(observed, problems, ledger, (_FIRST, layers), patient=large)
        if not large:
            self.plain = self._is_plain(observed, ledger)
        if count < self._starts.spread and (not self.plain or ledger.second.any()):
            more = self._spread_starts(observed, self._starts.spread - count, 1)
            self._run(observed, problems, ledger, (_FIRST, more), patient=large)

    def _is_least(self, observed: Observed, ledger: Ledger) -> bool:
        """Whether the minimum of the only problem expects all that was observed: none is lower."""
        least = self._likelihood.least(observed)[0] + self._starts.agreement
        return bool(ledger.fit.twice_nll[0] <= least)

    def _is_plain(self, observed: Observed, ledger: Ledger) -> bool:
        """Return whether a document is plain at the minimum of its only problem."""
        compiled = getattr(self._likelihood, "compiled", None)
        if compiled is None or observed.size is not None or self.second:
            return False
        rates = self._likelihood.expected(ledger.fit.parameters)[0]
        return bool(ledger.fit.converged[0]) and is_plain(compiled, observed.main[:, 0], rates)

    def _aside(self, observed: Observed, starts: Array) -> list[Array]:
        """Return starts (n, P) a width away from others, each in a direction of its own.

        A parameter that is at a bound moves away from it.
        """
        width = self._scale(observed)[:, None]
        low, high = self._likelihood.bounds.T[:, :, None]
        turn = np.arange(starts.shape[1])
        sign = np.where((np.arange(len(starts))[:, None] * (turn + 1) + turn) % 3 == 1, 1.0, -1.0)
        sign = np.where(starts >= high, -1.0, np.where(starts <= low, 1.0, sign))
        return [starts + sign * width]

    def _moved(self, observed: Observed, problems: Problems) -> Array:
        """Return where (n, P) the free minimum moves with the fixed parameters, to first order.

        ``theta_f = theta_f^ - H_ff^-1 H_fm (x_m - x_m^)`` with the second derivatives there.
        """
        assert self._free is not None
        best = self._free.parameters[0]
        low, high = self._likelihood.bounds.T
        if self._response is None:
            hessian = self._likelihood.derivatives(best[:, None], observed).hessian[:, :, 0]
            inside = np.flatnonzero(~self._likelihood.fixed & (best > low) & (best < high))
            self._response = inside, hessian
        inside, hessian = self._response
        held = np.flatnonzero(problems.fixed.any(axis=1) & ~self._likelihood.fixed)
        free = np.setdiff1d(inside, held)
        out = np.repeat(best[:, None], problems.start.shape[1], axis=1)
        try:
            factor = np.linalg.solve(hessian[np.ix_(free, free)], hessian[np.ix_(free, held)])
        except np.linalg.LinAlgError:
            return out
        out[free] -= factor @ (problems.start[held] - best[held, None])
        return np.asarray(np.clip(out, low[:, None], high[:, None]))

    def _fold(self, observed: Observed, problems: Problems, ledger: Ledger) -> bool:
        """Start from minima with one folding parameter after the other on its other side.

        Where a second minimum was met, also with two of them. Of a scan some points are tried; the
        others get what is lower from their neighbours. Returns whether anything became lower.
        """
        compiled = getattr(self._likelihood, "compiled", None)
        if compiled is None or observed.size is not None or (self.plain and not self.second):
            return False
        if self._folds is None:
            self._folds = folds(compiled)
        todo = np.flatnonzero(np.isfinite(ledger.fit.twice_nll) & ~ledger.closed)
        share = np.linspace(0, len(todo) - 1, min(len(todo), self._starts.folded)).round()
        tried = todo = todo[np.unique(share.astype(np.intp))]
        counts, before = observed.main[:, 0], ledger.fit.twice_nll.copy()
        for _ in range(self._starts.rounds if len(todo) else 0):
            highest = ledger.fit.parameters[todo[np.argmax(ledger.fit.twice_nll[todo])]]
            rates = self._likelihood.expected(highest)[0]
            names = folding(self._folds, counts, rates, _WEAK) if np.all(rates > 0) else _FIRST[:0]
            names = names[~compiled.fixed[names]][:_FOLDING]
            met = self.second or bool(ledger.second.any())
            sides = [*combinations(names, 1), *(combinations(names, 2) if met else ())]
            minima = ledger.fit.parameters[todo].T
            layers = [_reflected(minima, np.array(k), compiled.init) for k in sides]
            todo = todo[self._run(observed, problems, ledger, (todo, layers))[todo]]
            if not len(todo):
                break
        lower = ledger.fit.twice_nll < before - self._starts.agreement
        alone = tried[~ledger.fit.certified[tried]]
        best = ledger.fit.parameters[alone].T
        near = [best + _NEARBY * (x - best) for x in self._aside(observed, best)]
        self._run(observed, problems, ledger, (alone, near))
        return bool(lower.any())

    def _release(self, observed: Observed, problems: Problems, ledger: Ledger) -> None:
        """Hold every parameter that separates minima, fit, and start from there with it free.

        Again from every minimum that became lower: two such parameters are found in turn.
        """
        todo = np.flatnonzero(np.isfinite(ledger.fit.twice_nll))
        held = self._held(observed, ledger.fit.parameters[todo].T)
        if problems.start.shape[1] > 1:  # some of a scan: a lower minimum is carried along it
            if self._free is not None and not self.second:
                return
            share = np.linspace(0, len(todo) - 1, min(len(todo), self._scanned)).round()
            todo = todo[np.unique(share.astype(np.intp))]
            self._scanned -= len(todo)
        for _ in range(self._starts.released if held else 0):
            part, count = problems.select(todo), len(held)
            if not len(todo):
                return
            starts = np.repeat(ledger.fit.parameters[todo].T[:, None], count, axis=1)
            fixed = np.repeat(part.fixed[:, None], count, axis=1)
            for layer, (k, value) in enumerate(held):
                starts[k, layer] = np.where(part.fixed[k], starts[k, layer], value)
                fixed[k, layer] = True
            refuge = np.where(
                np.isnan(ledger.inside[:, todo]), starts[:, 0], ledger.inside[:, todo]
            )
            many = Problems(
                starts.reshape(len(starts), -1),
                fixed.reshape(len(fixed), -1),
                np.tile(refuge, (1, count)),
            )
            found = minimise(self._likelihood, observed, many, self._first)
            self.counts.starts += len(found)
            layers = np.moveaxis(found.parameters.T.reshape(starts.shape), 1, 0)
            there = np.isfinite(found.twice_nll).reshape(count, -1).any(axis=1)
            lower = self._run(observed, problems, ledger, (todo, list(layers[there])))
            todo = np.flatnonzero(lower)

    def _held(self, observed: Observed, x: Array) -> list[tuple[int, float]]:
        """Return parameters that separate minima and values to hold them at, other than ``x``.

        Those of a large document that are zero nowhere in x (n, M) are not held at their
        suggested start.
        """
        compiled = getattr(self._likelihood, "compiled", None)
        if compiled is None or observed.size is not None or not x.size:
            return []
        init, low = compiled.init, compiled.bounds[:, 0]
        small = self._many == self._starts.many
        at_zero = (x <= np.maximum(low, 0.0)[:, None] + 1e-3).any(axis=1)
        return [
            (k, value)
            for k, value in switches(compiled, observed.main[:, 0])
            if np.any(np.abs(x[k] - value) > 1e-3) and (value != init[k] or at_zero[k] or small)
        ]

    def _one_line(self, problems: Problems) -> bool:
        """Return whether a scan of a plain document goes along one line, in one direction."""
        if not self.plain or self.second or self._free is None:
            return False
        moved = problems.fixed.any(axis=1) & (np.ptp(problems.start, axis=1) > 0)
        return int(moved.sum()) == 1 and bool(np.all(np.diff(problems.start[moved][0]) > 0))

    def _along(
        self, observed: Observed, problems: Problems, task: tuple[Ledger, list[Array]]
    ) -> None:
        """Fit a scan of one parameter once and join it to the certified free minimum.

        What the slopes do not join to it is started from elsewhere too.
        """
        ledger, layers = task
        assert self._free is not None
        points = problems.start.shape[1]
        path = problems.start[problems.fixed.any(axis=1)]
        path = path[np.ptp(path, axis=1).argmax()]
        self._through(observed, problems, ledger, (path, [self._anchors(0, points - 1)]))
        k = int(np.flatnonzero(np.ptp(problems.start, axis=1) > 0)[0])
        both = BatchFit.join([ledger.fit, self._free])
        order = np.argsort(both.parameters[:, k], kind="stable")
        x, fit = both.parameters[order, k], both.select(order)
        new = np.concatenate([[True], np.diff(x) > 0])  # the free minimum may be one of the points
        good = np.ones(len(x), dtype=bool)
        chain = fit.select(new)
        joins = integrates(x[new], chain.twice_nll, chain.gradient[:, k], self._tolerance(chain))
        good[new] = np.concatenate([[True], joins])
        origin = int(np.flatnonzero(order == points)[0])
        broken = np.cumsum(~good)
        joined = np.zeros(points, dtype=bool)
        inside = order[broken == broken[origin]]
        joined[inside[inside < points]] = True
        ledger.join(joined & ledger.fit.converged)
        left = np.flatnonzero(~ledger.fit.certified)
        if len(left):
            part = [layer[:, left] for layer in layers]
            spread = self._spread_starts(observed, int(len(part) < 2), len(left))
            self._run(observed, problems, ledger, (left, [*part, *spread]))

    def _in_between(
        self, observed: Observed, problems: Problems, task: tuple[Ledger, list[Array]]
    ) -> None:
        """Scan anchors densely and join the points between to them by the slopes' integral."""
        ledger, layers = task
        path, runs = _path(problems)
        parts = [self._anchors(*run) for run in runs]
        anchors = np.concatenate(parts)
        coarse = Ledger(problems.select(anchors), self._starts.agreement)
        some = [layer[:, anchors] for layer in layers[:1]]
        self._densely(observed, problems.select(anchors), (coarse, some))
        self._settle(observed, problems.select(anchors), coarse, ordered=True)
        ledger.fit.put(anchors, coarse.fit)
        ledger.tries[anchors], ledger.second[anchors] = coarse.tries, coarse.second
        rest = np.setdiff1d(np.arange(problems.start.shape[1]), anchors)
        nodes = np.concatenate([_nodes(part, rest) for part in parts], axis=1)
        start = lagrange(path[nodes], path[rest], ledger.fit.parameters[nodes]).T
        self._run(observed, problems, ledger, (rest, [start]))
        joined = np.zeros(problems.start.shape[1], dtype=bool)
        for (first, last), part in zip(runs, parts, strict=True):
            joined[first : last + 1] = self._joined(problems, ledger, path, part)
        ledger.join(joined)
        left = rest[~joined[rest]]
        if len(left):
            after = np.searchsorted(anchors, left)
            sides = [ledger.fit.parameters[anchors[after - k]].T for k in (1, 0)]
            self._run(observed, problems, ledger, (left, sides), loose=True)

    def _anchors(self, first: int, last: int) -> Index:
        """Return the anchors of a straight run of points, at least four where there are as many."""
        count = min(max((last - first) // self._starts.stride + 2, _NODES), last - first + 1)
        return np.unique(np.linspace(first, last, count).round().astype(np.intp))

    def _joined(self, problems: Problems, ledger: Ledger, path: Array, anchors: Index) -> Mask:
        """Return which points of a straight run lie between two certified anchors they join."""
        first, last = int(anchors[0]), int(anchors[-1])
        out = np.zeros(last - first + 1, dtype=bool)
        if len(anchors) < 2 or len(anchors) == len(out):
            return out
        part, at = slice(first, last + 1), path[first : last + 1]
        x = np.where(problems.fixed[:, part], problems.start[:, part], 0.0)
        way = (x[:, -1] - x[:, 0]) / (at[-1] - at[0])
        fit = ledger.fit.select(part)
        known = np.where(problems.fixed[:, part].T, fit.gradient, 0.0)
        good = integrates(at, fit.twice_nll, known @ way, self._tolerance(fit))
        good &= fit.converged[1:] & fit.converged[:-1]
        whole = np.logical_and.reduceat(good, anchors[:-1] - first)
        whole &= ledger.fit.certified[anchors[1:]] & ledger.fit.certified[anchors[:-1]]
        out[:-1] = np.repeat(whole, np.diff(anchors))
        return out

    def _tolerance(self, fit: BatchFit) -> Array:
        """Return the largest difference (P,) of -2 log L of minima that agree."""
        value = np.where(np.isfinite(fit.twice_nll), fit.twice_nll, 0.0)
        return np.asarray(self._starts.agreement + 1e-11 * np.abs(value))

    def _near(
        self,
        observed: Observed,
        problems: Problems,
        ledger: Ledger,
        near: tuple[BatchFit, ...],
    ) -> None:
        """Start between certified neighbours; from each where the slopes do not join them."""
        todo = np.arange(problems.start.shape[1])
        if not self.second:
            start = near[0].parameters.T
            if len(near) == 2:
                t, inside = between(problems, (near[0], near[1]))
                step = near[1].parameters.T - start
                start = start + np.where(inside & np.isfinite(step), t, 0.0) * step
            self._run(observed, problems, ledger, (todo, [start]))
            joined = one_branch(problems, ledger.fit, near, self._tolerance(ledger.fit))
            ledger.join(joined)
            todo = np.flatnonzero(~joined)
        self._run(observed, problems, ledger, (todo, [n.parameters[todo].T for n in near]))

    def _settle(
        self,
        observed: Observed,
        problems: Problems,
        ledger: Ledger,
        ordered: bool,
        every: bool = True,
        toys: bool = False,
    ) -> None:
        """Add starts until every minimum is certified, or nothing more helps.

        Args:
            ordered: neighbours are neighbours in a scan. every: where a second minimum was met,
                all problems get more starts, not only those that are not certified.
            toys: without a second minimum it is enough that a fit converged.
        """
        points = problems.start.shape[1]
        met = bool(ledger.second.any()) and not self.second
        self.second = self.second or met
        self._learn(ledger)
        if self.second and (every or met):
            todo = np.arange(points)
        elif toys and not self.second:
            todo = np.flatnonzero(~ledger.fit.converged)
        else:  # what is undefined between two known minima stays so
            todo = np.flatnonzero(
                ~ledger.fit.certified & (every | np.isfinite(ledger.fit.twice_nll))
            )
        for effort in (1, 2):
            todo = todo[~ledger.closed[todo]]
            if not len(todo):
                return
            many = 1 if self.plain else self._many
            spread = (many if self.second else self._starts.spread) * effort
            layers = [*self._known(len(todo)), *self._spread_starts(observed, spread, len(todo))]
            self._run(observed, problems, ledger, (todo, layers), patient=effort > 1)
            if not self.second and ledger.second.any():
                self._settle(observed, problems, ledger, ordered, every, toys)
                return
            if ordered and points > 1 and self.second:
                self._sweep(observed, problems, ledger)
            self._learn(ledger)
            if not every:
                break
            enough = toys and not self.second
            todo = np.flatnonzero(~(ledger.fit.converged if enough else ledger.fit.certified))

    def _reach(self, observed: Observed, problems: Problems, ledger: Ledger) -> None:
        """Look for allowed rates where every start is undefined, and start there.

        What stays undefined then is taken to be so: it is given no further starts.
        """
        lost = np.flatnonzero(~np.isfinite(ledger.fit.twice_nll))
        if not len(lost):
            return
        counts, width = observed.main[:, 0], self._scale(observed)
        starts = np.empty((2, len(problems.start), len(lost)))
        near: Array = self._likelihood.init if self._last is None else self._last
        origins = [self._likelihood.init, near]
        for m, p in enumerate(lost):
            held, target = problems.fixed[:, p], problems.start[:, p]
            for k, origin in enumerate(origins):
                start = np.where(held, target, origin)
                found = allowed_point(self._likelihood, counts, (start, held), width)
                if found is None:
                    ledger.closed[p] = True
                    starts[:, :, m] = target
                    break
                starts[k, :, m] = found
            else:
                ledger.inside[:, p] = starts[0, :, m]
                origins[1] = starts[1, :, m]
        self._run(observed, problems, ledger, (lost, list(starts)))

    def _scale(self, observed: Observed) -> Array:
        """Return a width (n,) of every parameter."""
        if self._spread is None:
            self._spread = Spread(self._likelihood, observed)
        return self._spread.width

    def _sweep(self, observed: Observed, problems: Problems, ledger: Ledger) -> None:
        """Carry every minimum to both neighbours until none becomes lower."""
        points = problems.start.shape[1]
        changed = np.ones(points, dtype=bool)
        for _ in range(self._starts.rounds):
            better = np.zeros(points, dtype=bool)
            for shift in (1, -1):
                near = np.arange(points) - shift
                inside = (near >= 0) & (near < points)
                todo = np.flatnonzero(inside & changed[np.clip(near, 0, points - 1)])
                if len(todo):
                    start = ledger.fit.parameters[near[todo]].T
                    lower = self._run(observed, problems, ledger, (todo, [start]))
                    better |= lower
            if not better.any():
                return
            changed = better

    # ------------------------------------------------------------------ pieces
    def _layers(self, problems: Problems, hints: Sequence[Array]) -> list[Array]:
        """Return the starts of the problems and the hints."""
        shape = problems.start.shape
        out = [problems.start]
        for hint in hints:
            out.append(np.broadcast_to(hint if hint.ndim == 2 else hint[:, None], shape))
        return out

    def _spread_starts(self, observed: Observed, count: int, points: int) -> list[Array]:
        """Return ``count`` layers (n, points) of spread starts, different at every point."""
        if not count or not points:
            return []
        self._scale(observed)
        assert self._spread is not None
        if points > 64 or self.second:  # in turn, not to exhaust the sequence
            table = self._spread.take(count)
            turn = (np.arange(count)[:, None] + np.arange(points)) % max(count, 1)
            return [table[row].T for row in turn]
        return list(np.moveaxis(self._spread.take(count * points).reshape(count, points, -1), 1, 2))

    def _known(self, points: int) -> list[Array]:
        known = (self._likelihood.init, *self._basins[: max(self._many, 2)])
        return [np.broadcast_to(b[:, None], (len(b), points)) for b in known]

    def _learn(self, ledger: Ledger) -> None:
        """Remember minima that differ from those already known."""
        scale = self._spread.width if self._spread is not None else np.ones(1)
        for x in ledger.met:
            new = all(np.max(np.abs(x - b) / scale) > 0.1 for b in self._basins)
            if new and len(self._basins) < self._starts.basins:
                self._basins.append(x)
        ledger.met.clear()

    def _run(
        self,
        observed: Observed,
        problems: Problems,
        ledger: Ledger,
        task: tuple[Index, Sequence[Array]],
        loose: bool = False,
        patient: bool = False,
    ) -> Mask:
        """Minimise some problems from several layers of starts (n, M) in one batch.

        Args:
            loose: only confirm minima. patient: take more iterations, for long curved valleys.
        """
        where, layers = task
        lower = np.zeros(problems.start.shape[1], dtype=bool)
        if not len(where) or not len(layers):
            return lower
        part = problems.select(where)
        starts = self._inside(np.stack(layers), part)
        known = np.isfinite(ledger.fit.twice_nll[where])
        held = np.where(known, ledger.fit.parameters[where].T, np.nan)
        distinct = _distinct(starts, held, part.fixed)
        count, n, size = starts.shape
        refuge = np.where(known, ledger.fit.parameters[where].T, self._likelihood.init[:, None])
        inside = ledger.inside[:, where]
        refuge = np.where(np.isnan(inside), refuge, inside)
        many = Problems(
            np.ascontiguousarray(np.moveaxis(starts, 0, 1)).reshape(n, count * size),
            np.tile(part.fixed, (1, count)),
            np.tile(refuge, (1, count)),
            Met.of(ledger.fit.select(where), count),
        )
        data = observed
        if observed.size is not None:
            data = observed.select(np.tile(where, count))
        options = replace(self._first, edm=max(_LOOSE, self._first.edm)) if loose else self._first
        if patient:
            options = replace(
                options, max_iterations=self._starts.patience * options.max_iterations
            )
        found = minimise(self._likelihood, data, many, options)
        self.counts.starts += count * size
        lower[where] = ledger.enter(where, found, distinct, loose)
        return lower

    def _inside(self, starts: Array, part: Problems) -> Array:
        """Return starts (S, n, M) inside the bounds, fixed parameters at their values."""
        low, high = self._likelihood.bounds.T[:, :, None]
        return np.where(part.fixed, part.start, np.minimum(np.maximum(starts, low), high))

    def _note_free(self, problems: Problems, fit: BatchFit) -> None:
        """Keep a certified minimum in which nothing is held but what the document holds."""
        if np.array_equal(problems.fixed[:, 0], self._likelihood.fixed):
            self._free, self._response = fit.copy(), None

    def _close(self, observed: Observed, problems: Problems, ledger: Ledger) -> BatchFit:
        """Give MIGRAD what did not converge, count, and return the fits."""
        fit = ledger.fit
        fit.agreeing[problems.fixed.all(axis=0)] = 2  # nothing to minimise
        left = np.flatnonzero(~fit.converged & np.isfinite(fit.twice_nll))
        if self._finish and len(left):
            again = problems.select(left)
            again = Problems(np.ascontiguousarray(fit.parameters[left].T), again.fixed)
            longer = replace(self._first, migrad=True, max_iterations=300)
            found = minimise(self._likelihood, observed.select(left), again, longer)
            ledger.enter(left, found, np.ones((1, len(left)), dtype=bool))
        if observed.size is None:
            if len(fit) == 1 and fit.certified[0] and not self._likelihood.fixed.all():
                self._note_free(problems, fit)
            best = int(np.argmin(fit.twice_nll))
            if fit.twice_nll[best] < self._lowest:
                self._last, self._lowest = fit.parameters[best], float(fit.twice_nll[best])
        counts = self.counts
        counts.fits += len(fit)
        counts.certified += int(fit.certified.sum())
        counts.checked += int((ledger.tries >= 2).sum())
        counts.second += int(ledger.second.sum())
        return fit


def _reflected(x: Array, which: Index, center: Array) -> Array:
    """Return points (n, M) with some parameters on the other side of their center."""
    out = x.copy()
    out[which] = 2 * center[which, None] - out[which]
    return out


def _distinct(starts: Array, held: Array, fixed: Mask) -> Mask:
    """Return (S, M): whether a start differs from those before it and from the minimum held."""
    count = len(starts)
    out = np.ones((count, starts.shape[2]), dtype=bool)
    size = _SAME * (1 + np.abs(starts))
    known = bool(np.isfinite(held).any())
    for k in range(count):
        for other in (*starts[:k], *([held] if known else [])):
            out[k] &= ~((np.abs(other - starts[k]) <= size[k]) | fixed).all(axis=0)
    return out


def _path(problems: Problems) -> tuple[Array, list[tuple[int, int]]]:
    """Return the distance travelled by the fixed parameters (P,), scaled, and straight runs."""
    moved = problems.start[np.any(problems.fixed, axis=1)]
    size = np.ptp(moved, axis=1, keepdims=True)
    moved = moved[size[:, 0] > 0] / size[size[:, 0] > 0]
    steps = np.abs(np.diff(moved, axis=1)).sum(axis=0)
    return np.concatenate([[0.0], np.cumsum(steps)]), straight_runs(moved)


def _nodes(anchors: Index, rest: Index) -> Index:
    """Return the nearest anchors (6, R) of the points that lie between the anchors of a run."""
    inside = rest[(rest > anchors[0]) & (rest < anchors[-1])]
    first = np.clip(np.searchsorted(anchors, inside) - 2, 0, max(len(anchors) - _NODES, 0))
    return np.asarray(anchors[first + np.arange(_NODES)[:, None]]) if len(inside) else _NONE
