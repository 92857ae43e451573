"""Several starts per fit, and the certification of minima.

A minimum is *certified* when two different starts converge to it, their values of -2 log L
within ``StartOptions.agreement``, or it is joined to certified neighbours, or proven
(:mod:`.convexity`), and no start found a lower one. How many starts are made depends on what they
meet:

* A fit of one data set starts from what the caller knows, from the suggested start and from a few
  points spread over the widths of the constraints and the bounds (:mod:`.starts`); from more
  where they disagree or the document is not plain (:mod:`.structure`).
* In a scan each point has a spread start of its own beside what the caller knows; the points of
  the first scan together have at least 32. A long scan does so at every twelfth point; the points
  between are interpolated and joined to both sides by the integral of the slope
  (:mod:`.branches`). A scan of a plain document is fitted once and joined to its best fit.
* Parameters whose bounds or signs separate minima are held, released, reflected (:mod:`.divides`).
* Of many data sets (toys) the first few and a random share of the others are started from
  spread points too.

As soon as any start of the same search meets a second minimum, lower or higher, everything
is started from many spread points, from all minima met so far, and in a scan from the minima
of the neighbours on both sides until nothing changes (:mod:`.settle`): the lower branch is
carried along.

With ``n`` checked data sets and no disagreement the share of data sets whose minimum was
missed is below ``3 / n`` at 95 % confidence; :class:`.ledger.Counts` carries both numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.divides import confirm, fold, reach
from histnu.inference.engine.ledger import Counts
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems
from histnu.inference.engine.scans import (
    anchored,
    at_ends,
    interpolate,
    near_minima,
    strategy,
    through,
)
from histnu.inference.engine.search import Memory, Search
from histnu.inference.engine.settle import settle
from histnu.inference.engine.starts import StartOptions
from histnu.inference.engine.structure import jumping

Array = NDArray[np.float64]

_FIRST = np.zeros(1, dtype=np.intp)


class MultiStart:
    """Certified minima of one likelihood; remembers what it met from call to call."""

    def __init__(
        self,
        likelihood: Likelihood,
        options: MinimiseOptions | None = None,
        starts: StartOptions | None = None,
    ) -> None:
        self._memory = Memory(likelihood, options, starts)

    @property
    def counts(self) -> Counts:
        """What was done so far."""
        return self._memory.counts

    @property
    def second(self) -> bool:
        """Whether any fit met a second minimum."""
        return self._memory.second

    @property
    def plain(self) -> bool:
        """Whether nothing in the document makes several minima likely."""
        return self._memory.plain

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
        search = Search(self._memory, observed, problems)
        if not len(search):
            return search.ledger.fit
        ordered = len(search) > 1
        layers = _layers(problems, hints)
        if near:
            near_minima(search, near)
        elif not _prove(search, layers):
            if ordered and self._memory.plain and not self._memory.second:
                at_ends(search)
            strategy(search)(search, layers)
        reach(search)
        for _ in range(2):
            lower = not near and fold(search)
            settle(search, ordered, every=not near)
            if not lower:
                break
        confirm(search, search.every)
        if near:
            self._search_again(search)
        return _close(search)

    def _search_again(self, search: Search) -> None:
        """Search for minima that those of the neighbours do not certify as any others."""
        fit = search.ledger.fit
        left = np.flatnonzero(~fit.certified & np.isfinite(fit.twice_nll))
        if len(left):
            known = [fit.parameters[left].T]
            found = self.scan(search.observed, search.problems.select(left), known)
            fit.put(left, found)

    def profile(
        self, observed: Observed, free: Problems, held: Problems
    ) -> tuple[BatchFit, BatchFit]:
        """Return the one minimum with nothing held, and certified minima of a scan.

        Where minima of the scan are proven they need not be started at the free minimum: the starts
        of both are one batch.
        """
        both = _together(Search(self._memory, observed, free), held)
        if both is not None:
            return both
        first = self.scan(observed, free, [])
        start = np.where(held.fixed, held.start, first.parameters[:1].T)
        return first, self.scan(observed, Problems(start, held.fixed), [])

    def sets(self, observed: Observed, problems: Problems, hints: Sequence[Array]) -> BatchFit:
        """Return minima of P problems with a data set each, all or a share of them checked."""
        search = Search(self._memory, observed, problems)
        search.run(search.every, _layers(problems, hints))
        _note_proven(search)
        if not self._memory.second and not search.ledger.closed.all():
            _check_share(search)
        settle(search, ordered=False, toys=True)
        return _close(search)


def _layers(problems: Problems, hints: Sequence[Array]) -> list[Array]:
    """Return the starts of the problems and the hints."""
    shape = problems.start.shape
    rest = [np.broadcast_to(h if h.ndim == 2 else h[:, None], shape) for h in hints]
    return [problems.start, *rest]


def _together(first: Search, held: Problems) -> tuple[BatchFit, BatchFit] | None:
    """Fit the only problem of a search together with a scan whose minima are proven.

    Its minimum is then between two of those, so that one spread start confirms it. None where the
    proof fails, a second minimum is met, or the minimum is not inside the scan.
    """
    memory = first.memory
    search = Search(memory, first.observed, held)
    long = len(search) > 4 * memory.options.stride
    if memory.free is not None or not long or not _provable(search):
        return None
    path, parts = anchored(search)
    anchors = np.concatenate(parts)
    layers = [memory.likelihood.init[:, None], *first.spread(1, 1)]
    count = len(layers)
    starts = [*first.inside(np.stack(layers), first.problems), held.start[:, anchors]]
    fixed = [*[first.problems.fixed] * count, held.fixed[:, anchors]]
    problems = Problems(np.concatenate(starts, axis=1), np.concatenate(fixed, axis=1))
    both = Search(memory, first.observed, problems)
    both.run(both.every, [problems.start])
    found = both.ledger.fit
    first.ledger.enter(_FIRST, found.select(slice(count)), np.ones((count, 1), dtype=bool))
    search.ledger.enter(anchors, found.select(slice(count, None)), np.ones((1, len(anchors)), bool))
    interpolate(search, path, parts)
    best, low, high = first.ledger.fit, held.start.min(axis=1), held.start.max(axis=1)
    inside = (best.parameters[0] >= low) & (best.parameters[0] <= high)
    inside |= ~held.fixed.any(axis=1)
    if not (inside.all() and best.certified.all() and _confirm(search)):
        return None
    certain = search.ledger.fit.certified.all() and not search.ledger.second.any()
    return (_close(first), _close(search)) if certain else None


def _prove(search: Search, layers: list[Array]) -> bool:
    """Fit once where a proof may be had; return whether most minima are proven.

    The others are started a second time, from a spread point.
    """
    memory = search.memory
    if not _provable(search):
        return False
    if len(search) > 4 * memory.options.stride:
        through(search, *anchored(search))
    else:
        search.run(search.every, [layers[0] if memory.free is None else search.moved()])
    return _confirm(search)


def _confirm(search: Search) -> bool:
    """Prove minima, start those again that are not; return False where most are not."""
    _note_proven(search)
    left = np.flatnonzero(~search.ledger.closed)
    if 2 * len(left) > len(search):
        search.memory.convex = None  # where the proof does not reach, it is not tried again
        return False
    search.run(left, search.spread(1, len(left)))
    return True


def _provable(search: Search) -> bool:
    """Whether all problems hold the same parameters, of which :mod:`.convexity` has proofs."""
    convex, held = search.memory.convex, search.problems.fixed
    return (
        convex is not None
        and search.observed.templates is None
        and bool((held == held[:, :1]).all())
        and convex.covers(held[:, 0])
    )


def _note_proven(search: Search) -> None:
    """Note the minima that are proven: nothing more is looked for there."""
    memory, ledger = search.memory, search.ledger
    if memory.convex is None or not _provable(search):
        return
    held = search.problems.fixed[:, 0]
    proven = memory.convex.proven(memory.likelihood, search.observed, ledger.fit, held)
    ledger.join(proven)
    ledger.closed |= proven
    memory.counts.proven += int(proven.sum())


def _check_share(search: Search) -> None:
    """Start some data sets, of those without a proof, from spread points."""
    memory, options = search.memory, search.memory.options
    unproven = np.flatnonzero(~search.ledger.closed)
    if memory.counts.checked < options.probed:
        chosen = unproven[: options.probed]
        search.run(chosen, search.spread(options.spread, len(chosen)))
    size = int(np.ceil(options.share * len(unproven)))
    chosen = np.sort(memory.rng.choice(unproven, size, replace=False))
    search.run(chosen, search.spread(1, len(chosen)), loose=True)


def _close(search: Search) -> BatchFit:
    """Give MIGRAD what did not converge, count, and return the fits."""
    memory, ledger, problems = search.memory, search.ledger, search.problems
    fit = ledger.fit
    if search.compiled is not None:  # a jump hides what is behind it from every start
        loose = ~problems.fixed[jumping(search.compiled)].all(axis=0)
        fit.agreeing[loose] = np.minimum(fit.agreeing[loose], 1)
    fit.agreeing[problems.fixed.all(axis=0)] = 2  # nothing to minimise
    left = np.flatnonzero(~fit.converged & np.isfinite(fit.twice_nll))
    if memory.finish and len(left):
        again = problems.select(left)
        again = Problems(np.ascontiguousarray(fit.parameters[left].T), again.fixed)
        longer = replace(memory.first, migrad=True, max_iterations=300)
        found = minimise(memory.likelihood, search.observed.select(left), again, longer)
        ledger.enter(left, found, np.ones((1, len(left)), dtype=bool))
    if search.observed.size is None:
        memory.note(problems, fit)
    counts = memory.counts
    counts.fits += len(fit)
    counts.certified += int(fit.certified.sum())
    counts.checked += int((ledger.tries >= 2).sum())
    counts.second += int(ledger.second.sum())
    return fit
