"""One search: minimisations of P problems from several starts, and what they found.

:class:`Memory` is what all searches of one likelihood share, :class:`Search` one call. The
strategies (:mod:`.scans`, :mod:`.divides`, :mod:`.settle`) are functions of a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled
from histnu.inference.engine.convexity import convexity
from histnu.inference.engine.ledger import Counts, Ledger, distinct
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import BatchFit, Met, MinimiseOptions, Problems
from histnu.inference.engine.starts import Spread, StartOptions
from histnu.inference.engine.structure import folds

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_LOOSE = 3e-5  # edm of a start that only has to confirm a minimum
_NEW = 0.1  # widths between minima that are remembered


class Memory:
    """What the searches of one likelihood share.

    Attributes:
        likelihood, options: what to minimise and how to start. first: of every minimisation.
        finish: whether MIGRAD gets what does not converge.
        spread: start points. basins: minima to start from. last: the lowest so far, at lowest.
        free: the certified minimum in which nothing is held. response: parameters inside their
            bounds there, and the second derivatives.
        plain: nothing in the document makes several minima likely. second: two were met.
        spent: spread starts made in scans. scanned: points of scans that may still be released.
        unit: sizes (n,) of the parameters, to tell starts apart.
        many: spread starts per problem after a second minimum was met.
        convex: how minima are proven, if they may be. folds: see :meth:`Search.folds`.
        rng: chooses the data sets that are checked.
    """

    def __init__(
        self, likelihood: Likelihood, options: MinimiseOptions | None, starts: StartOptions | None
    ) -> None:
        self.likelihood = likelihood
        self.options = starts or StartOptions()
        self.first = replace(options or MinimiseOptions(), migrad=False)
        self.finish = (options or MinimiseOptions()).migrad
        self.counts = Counts()
        self.spread: Spread | None = None
        self.basins: list[Array] = []
        self.last: Array | None = None
        self.lowest = np.inf
        self.free: BatchFit | None = None
        self.response: tuple[Index, Array] | None = None
        self.plain = False
        self.second = False
        self.spent = 0
        self.scanned = self.options.scanned
        size = len(likelihood.init)
        self.many = int(np.clip(self.options.total // max(size, 1), 1, self.options.many))
        self.convex = convexity(likelihood)
        self.unit = np.minimum(np.where(likelihood.init == 0, 1.0, np.abs(likelihood.init)), 1.0)
        self.folds: Array | None = None
        self.rng = np.random.default_rng(0)

    def note(self, problems: Problems, fit: BatchFit) -> None:
        """Keep the lowest minimum, and one in which nothing is held but what the document holds."""
        fixed = self.likelihood.fixed
        nothing_held = len(fit) == 1 and np.array_equal(problems.fixed[:, 0], fixed)
        if nothing_held and fit.certified[0] and not fixed.all():
            self.free, self.response = fit.copy(), None
        best = int(np.argmin(fit.twice_nll))
        if fit.twice_nll[best] < self.lowest:
            self.last, self.lowest = fit.parameters[best], float(fit.twice_nll[best])


class Search:
    """Problems of one likelihood, with one data set or one each, and their ledger."""

    def __init__(self, memory: Memory, observed: Observed, problems: Problems) -> None:
        self.memory = memory
        self.observed = observed
        self.problems = problems
        self.ledger = Ledger(problems, memory.options.agreement)
        self.reflected = np.full(len(self), np.nan)  # minima whose other sides were started

    def __len__(self) -> int:
        return self.problems.start.shape[1]

    @property
    def every(self) -> Index:
        """All problems."""
        return np.arange(len(self))

    @property
    def compiled(self) -> Compiled | None:
        """The document, of a likelihood of one document with one data set."""
        compiled: Compiled | None = getattr(self.memory.likelihood, "compiled", None)
        return compiled if self.observed.size is None else None

    @property
    def folds(self) -> Array:
        """Of the document, see :func:`.structure.folds`."""
        if self.memory.folds is None:
            assert self.compiled is not None
            self.memory.folds = folds(self.compiled)
        return self.memory.folds

    def part(self, where: Index | slice) -> Search:
        """Return a search of some problems with a ledger of its own."""
        return Search(self.memory, self.observed, self.problems.select(where))

    # ------------------------------------------------------------------ fits
    def run(
        self,
        where: Index,
        layers: Sequence[Array],
        loose: bool = False,
        patient: bool = False,
    ) -> Mask:
        """Minimise some problems from several layers of starts (n, M) in one batch.

        Returns (P,) which minima became lower.

        Args:
            loose: only confirm minima. patient: take more iterations, for long curved valleys.
        """
        memory, ledger = self.memory, self.ledger
        lower = np.zeros(len(self), dtype=bool)
        if not len(where) or not len(layers):
            return lower
        part = self.problems.select(where)
        starts = self.inside(np.stack(layers), part)
        known = np.isfinite(ledger.fit.twice_nll[where])
        held = np.where(known, ledger.fit.parameters[where].T, np.nan)
        new = distinct(starts, held, part.fixed, memory.unit)
        count, n, size = starts.shape
        refuge = np.where(known, ledger.fit.parameters[where].T, memory.likelihood.init[:, None])
        inside = ledger.inside[:, where]
        refuge = np.where(np.isnan(inside), refuge, inside)
        many = Problems(
            np.ascontiguousarray(np.moveaxis(starts, 0, 1)).reshape(n, count * size),
            np.tile(part.fixed, (1, count)),
            np.tile(refuge, (1, count)),
            Met.of(ledger.fit.select(where), count),
        )
        data = self.observed
        if data.size is not None:
            data = data.select(np.tile(where, count))
        found = minimise(memory.likelihood, data, many, self._how(loose, patient))
        memory.counts.starts += count * size
        if not loose and not patient:
            self._go_on(data, many, found)
        lower[where] = ledger.enter(where, found, new, loose)
        return lower

    def _go_on(self, data: Observed, many: Problems, found: BatchFit) -> None:
        """Walk on, in place, where most starts have not arrived: they would be no evidence."""
        left = np.flatnonzero(~found.converged & np.isfinite(found.twice_nll))
        if 2 * len(left) > len(found):
            start = np.ascontiguousarray(found.parameters[left].T)
            part = replace(many.select(left), start=start)
            options = self._how(loose=False, patient=True)
            found.put(left, minimise(self.memory.likelihood, data.select(left), part, options))

    def _how(self, loose: bool, patient: bool) -> MinimiseOptions:
        options = self.memory.first
        if loose:
            options = replace(options, edm=max(_LOOSE, options.edm))
        if patient:
            longer = self.memory.options.patience * options.max_iterations
            options = replace(options, max_iterations=longer)
        return options

    def inside(self, starts: Array, part: Problems) -> Array:
        """Return starts (S, n, M) inside the bounds, fixed parameters at their values."""
        low, high = self.memory.likelihood.bounds.T[:, :, None]
        return np.where(part.fixed, part.start, np.minimum(np.maximum(starts, low), high))

    def tolerance(self, fit: BatchFit) -> Array:
        """Return the largest difference (P,) of -2 log L of minima that agree."""
        value = np.where(np.isfinite(fit.twice_nll), fit.twice_nll, 0.0)
        return np.asarray(self.memory.options.agreement + 1e-11 * np.abs(value))

    # ------------------------------------------------------------------ starts
    def _spread(self) -> Spread:
        if self.memory.spread is None:
            self.memory.spread = Spread(self.memory.likelihood, self.observed)
        return self.memory.spread

    def width(self) -> Array:
        """Return a width (n,) of every parameter."""
        return self._spread().width

    def spread(self, count: int, points: int) -> list[Array]:
        """Return ``count`` layers (n, points) of spread starts, different at every point."""
        if not count or not points:
            return []
        if points > 64 or self.memory.second:  # in turn, not to exhaust the sequence
            table = self._spread().take(count)
            turn = (np.arange(count)[:, None] + np.arange(points)) % max(count, 1)
            return [table[row].T for row in turn]
        table = self._spread().take(count * points).reshape(count, points, -1)
        return list(np.moveaxis(table, 1, 2))

    def known(self, points: int) -> list[Array]:
        """Return layers (n, points) of the suggested start and of minima met before."""
        memory = self.memory
        known = (memory.likelihood.init, *memory.basins[: max(memory.many, 2)])
        return [np.broadcast_to(b[:, None], (len(b), points)) for b in known]

    def learn(self) -> None:
        """Remember minima that differ from those already known."""
        memory = self.memory
        scale = memory.spread.width if memory.spread is not None else np.ones(1)
        for x in self.ledger.met:
            new = all(np.max(np.abs(x - b) / scale) > _NEW for b in memory.basins)
            if new and len(memory.basins) < memory.options.basins:
                memory.basins.append(x)
        self.ledger.met.clear()

    def aside(self, starts: Array) -> list[Array]:
        """Return starts (n, P) a width away from others, each in a direction of its own.

        A parameter that is at a bound moves away from it.
        """
        width = self.width()[:, None]
        low, high = self.memory.likelihood.bounds.T[:, :, None]
        turn = np.arange(starts.shape[1])
        sign = np.where((np.arange(len(starts))[:, None] * (turn + 1) + turn) % 3 == 1, 1.0, -1.0)
        sign = np.where(starts >= high, -1.0, np.where(starts <= low, 1.0, sign))
        return [starts + sign * width]

    def moved(self, where: Index | slice = slice(None)) -> Array:
        """Return where (n, M) the free minimum moves with the fixed parameters, to first order.

        ``theta_f = theta_f^ - H_ff^-1 H_fm (x_m - x_m^)`` with the second derivatives there.
        """
        memory, problems = self.memory, self.problems.select(where)
        likelihood = memory.likelihood
        assert memory.free is not None
        best = memory.free.parameters[0]
        low, high = likelihood.bounds.T
        if memory.response is None:
            hessian = likelihood.derivatives(best[:, None], self.observed).hessian[:, :, 0]
            inside = np.flatnonzero(~likelihood.fixed & (best > low) & (best < high))
            memory.response = inside, hessian
        inside, hessian = memory.response
        held = np.flatnonzero(problems.fixed.any(axis=1) & ~likelihood.fixed)
        free = np.setdiff1d(inside, held)
        out = np.repeat(best[:, None], problems.start.shape[1], axis=1)
        try:
            factor = np.linalg.solve(hessian[np.ix_(free, free)], hessian[np.ix_(free, held)])
        except np.linalg.LinAlgError:
            return out
        out[free] -= factor @ (problems.start[held] - best[held, None])
        return np.asarray(np.clip(out, low[:, None], high[:, None]))
