"""One entry to all fits: global for polynomial models, from several starts for the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.engine.global_min import global_minimise, nearby_minima
from histnu.inference.engine.ledger import Counts
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.multistart import MultiStart
from histnu.inference.engine.options import ENGINES, AnyLikelihood, FitOptions
from histnu.inference.engine.problems import BatchFit, Problems
from histnu.inference.engine.reference import reference_fit
from histnu.inference.engine.threads import one_blas_thread

__all__ = ["ENGINES", "AnyLikelihood", "FitOptions", "Solver", "fit", "observe"]

Array = NDArray[np.float64]


class Solver:
    """Fits of one likelihood that share what they learned of its minima.

    Attributes:
        counts: what was solved, started and certified so far.
    """

    def __init__(self, likelihood: AnyLikelihood, options: FitOptions | None = None) -> None:
        self.likelihood = likelihood
        self.options = options or FitOptions()
        self._starts: MultiStart | None = None
        self.counts = Counts()
        if self.options.engine == "batched" and not isinstance(likelihood, MappedLikelihood):
            self._starts = MultiStart(likelihood, self.options.minimise, self.options.starts)
            self.counts = self._starts.counts

    @property
    def second(self) -> bool:
        """Whether any fit met a second minimum."""
        return self._starts is not None and self._starts.second

    @property
    def searches(self) -> bool:
        """Whether fits are certified by several starts."""
        return self._starts is not None

    @property
    def divided(self) -> bool:
        """Whether the document, after its free fit, may have minima that one start misses."""
        return self._starts is not None and (self.second or not self._starts.plain)

    @one_blas_thread
    def fit(
        self,
        observed: Observed,
        fixed: Mapping[str, ArrayLike] | None = None,
        start: ArrayLike | None = None,
        hints: Sequence[Array] = (),
        near: tuple[BatchFit, ...] = (),
    ) -> BatchFit:
        """Return the minima of -2 log L for every fixed value or data set.

        Args:
            observed: data from ``likelihood.observe``: one set, or one per problem.
            fixed: parameter -> value, or one value per problem. Problems with one data set and
                several values are a scan, in this order.
            start: (n,) or (P, n) start values. hints: further starts, (n,) or (n, P).
            near: minima of near problems, one or two for each; of polynomial models two.
        """
        likelihood, options = self.likelihood, self.options
        held = {**options.fixed, **(fixed or {})}
        sizes = {np.size(v) for v in held.values() if np.ndim(v)}
        points = observed.size or max(sizes, default=1)
        problems = Problems.make(likelihood, points, held, start)
        if self._starts is not None:
            if observed.size is None:
                return self._starts.scan(observed, problems, hints, near)
            return self._starts.sets(observed, problems, hints)
        if options.engine != "batched":
            found = reference_fit(likelihood, observed, problems, options)
        else:
            assert isinstance(likelihood, MappedLikelihood)
            ordered = observed.size is None and points > 1
            if near:
                known = [n.parameters.T for n in near]
                found = nearby_minima(likelihood, observed, problems, known, options.search)
            else:
                found = global_minimise(likelihood, observed, problems, options.search, ordered)
        self.counts.fits += points
        self.counts.certified += int(found.certified.sum())
        self.counts.checked += points
        return found

    @one_blas_thread
    def profile(
        self, observed: Observed, fixed: Mapping[str, ArrayLike]
    ) -> tuple[BatchFit, BatchFit]:
        """Return the unconditional minimum, and those of a scan started from it.

        Args:
            observed: one set of data. fixed: parameter -> value or (P,) values.
        """
        if self._starts is None:
            first = self.fit(observed)
            return first, self.fit(observed, fixed, first.parameters[0])
        held = {**self.options.fixed, **fixed}
        points = max((np.size(v) for v in held.values()), default=1)
        free = Problems.make(self.likelihood, 1, self.options.fixed)
        return self._starts.profile(observed, free, Problems.make(self.likelihood, points, held))


def fit(
    likelihood: AnyLikelihood,
    observed: Observed,
    fixed: Mapping[str, ArrayLike] | None = None,
    start: ArrayLike | None = None,
    options: FitOptions | None = None,
) -> BatchFit:
    """Return the minima of -2 log L for every fixed value or data set.

    Args:
        likelihood: a batched or a mapped likelihood.
        observed: data from ``likelihood.observe``: one set, or one per problem.
        fixed: parameter -> value, or one value per problem.
        start: (n,) or (P, n) start values.
        options: see :class:`FitOptions`.

    A mapped likelihood is minimised globally, another from several starts; problems with one
    data set and several fixed values are a scan, whose points also start from their
    neighbours' minima. ``certified`` of the result says where two starts agree.
    """
    return Solver(likelihood, options).fit(observed, fixed, start)


def observe(
    likelihood: AnyLikelihood, data: ArrayLike | None, auxdata: ArrayLike | None = None
) -> Observed:
    """Return checked data; the observation of the workspace if ``data`` is None.

    Raises:
        FitError: there is no observation, or the data are wrong.
    """
    if data is None:
        if likelihood.observation is None:
            raise FitError("the likelihood was made without observed data; give data")
        data = likelihood.observation
    return likelihood.observe(data, auxdata)
