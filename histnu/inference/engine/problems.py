"""What is minimised and what comes out: problems, options and fits of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import FitError
from histnu.inference.engine.likelihood import Likelihood

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


AGREE = 1e-5
"""Difference in -2 log L of two starts that agree."""


@dataclass(frozen=True)
class MinimiseOptions:
    """How to minimise.

    Attributes:
        max_iterations: Newton iterations before a problem is left as unconverged.
        edm: expected distance to the minimum of -2 log L at convergence.
        boundary: look for minima on the boundary of the allowed rates of empty bins.
        curved: follow curved valleys, at a higher cost of each step (:mod:`.bends`).
        migrad: finish unconverged problems with MIGRAD, at most ``most`` of them.
        most: problems that MIGRAD is given; the others stay unconverged.
        chunk: problems per chunk; chosen from the size of the model if None.
        memory_mb: most megabytes that the temporaries of a chunk of a large model take; one
            problem is always held, however large it is.
        compiled: use compiled loops where numba is installed and the model is small; loading them
            takes half a second, which pays for thousands of fits.
    """

    max_iterations: int = 80
    edm: float = 1e-9
    boundary: bool = True
    curved: bool = False
    migrad: bool = True
    most: int = 20
    chunk: int | None = None
    memory_mb: float = 64.0
    compiled: bool = False


@dataclass(frozen=True)
class BatchFit:
    """Minima of P problems.

    Attributes:
        parameters: (P, n). twice_nll: (P,) values of -2 log L.
        converged: (P,) whether the expected distance to the minimum is below the tolerance.
        iterations: (P,) Newton iterations used.
        migrad: (P,) whether MIGRAD had to finish.
        agreeing: (P,) how many different starts reached the minimum.
        gradient: (P, n) of -2 log L there, NaN where it is not known.
    """

    parameters: Array
    twice_nll: Array
    converged: Mask
    iterations: Index
    migrad: Mask
    agreeing: Index
    gradient: Array

    def __len__(self) -> int:
        return len(self.twice_nll)

    @property
    def certified(self) -> Mask:
        """(P,) whether the fit converged and two different starts agree on its minimum."""
        return self.converged & (self.agreeing >= 2)

    def select(self, which: slice | Mask | Index) -> BatchFit:
        """Return a subset of the problems."""
        return BatchFit(*(getattr(self, f.name)[which] for f in fields(self)))

    def put(self, which: Mask | Index, part: BatchFit) -> None:
        """Overwrite some problems of a fit that nobody else holds."""
        for f in fields(self):
            getattr(self, f.name)[which] = getattr(part, f.name)

    def copy(self) -> BatchFit:
        """Return a fit that nobody else holds."""
        return BatchFit(*(getattr(self, f.name).copy() for f in fields(self)))

    @classmethod
    def join(cls, parts: list[BatchFit]) -> BatchFit:
        """Return several fits, at least one, as one."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    @classmethod
    def of(
        cls,
        parameters: Array,
        twice_nll: Array,
        converged: Mask,
        iterations: Index | None = None,
        migrad: Mask | None = None,
        gradient: Array | None = None,
    ) -> BatchFit:
        """Return fits from one start each."""
        points = len(twice_nll)
        return cls(
            parameters,
            twice_nll,
            converged,
            np.zeros(points, dtype=np.intp) if iterations is None else iterations,
            np.zeros(points, dtype=bool) if migrad is None else migrad,
            converged.astype(np.intp),
            np.full(parameters.shape, np.nan) if gradient is None else gradient,
        )


@dataclass
class Met:
    """Minima of G problems that are started from several points each; more are added as they come.

    Attributes:
        problem: (P,) which of them each start belongs to.
        parameters: (n, G) of the lowest minimum so far. twice_nll: (G,), infinite where none is.
        gradient: (n, G) of -2 log L there.
    """

    problem: Index
    parameters: Array
    twice_nll: Array
    gradient: Array

    @classmethod
    def of(cls, fit: BatchFit, starts: int) -> Met:
        """Return the converged of G minima, for ``starts`` starts of each, start by start."""
        value = np.where(fit.converged, fit.twice_nll, np.inf)
        problem = np.tile(np.arange(len(fit)), starts)
        return cls(problem, fit.parameters.T.copy(), value, fit.gradient.T.copy())

    def select(self, which: slice | Mask | Index) -> Met:
        """Return the same minima for some of the starts."""
        return Met(self.problem[which], self.parameters, self.twice_nll, self.gradient)

    def enter(self, starts: Index, x: Array, value: Array, gradient: Array) -> None:
        """Note minima: x (n, M), -2 log L (M,) and gradient (n, M) that some starts reached."""
        order = np.argsort(-value, kind="stable")  # of one problem the lowest comes last
        problem = self.problem[starts[order]]
        lower = value[order] < self.twice_nll[problem]
        problem, order = problem[lower], order[lower]
        self.parameters[:, problem], self.twice_nll[problem] = x[:, order], value[order]
        self.gradient[:, problem] = gradient[:, order]


@dataclass(frozen=True)
class Problems:
    """Start values (n, P) and the mask (n, P) of parameters held at them.

    Attributes:
        refuge: (n, P) points to which an undefined start is moved back; the suggested start
            where None.
        met: minima of problems that have several starts here; a start that comes to one of them
            need not walk the rest of the way.
    """

    start: Array
    fixed: Mask
    refuge: Array | None = None
    met: Met | None = None

    @classmethod
    def make(
        cls,
        likelihood: Likelihood,
        points: int,
        fixed: Mapping[str, ArrayLike] | None = None,
        start: ArrayLike | None = None,
    ) -> Problems:
        """Return P problems with some parameters fixed.

        Args:
            likelihood: gives names, suggested start and suggested fixed mask.
            points: P.
            fixed: parameter -> value or (P,) values at which it is held.
            start: (n,) or (P, n) start values; the suggested ones if None.

        Raises:
            FitError: a wrong shape, an unknown name, or a value outside its bounds.
        """
        n = len(likelihood.init)
        first = np.asarray(likelihood.init if start is None else start, dtype=float)
        if first.shape not in ((n,), (points, n)):
            raise FitError(f"start has shape {first.shape}; give ({n},) or ({points}, {n})")
        x = np.array(np.broadcast_to(first, (points, n)).T, order="C")
        mask = np.array(np.broadcast_to(likelihood.fixed[:, None], (n, points)))
        lower, upper = likelihood.bounds[:, :1], likelihood.bounds[:, 1:]
        x = np.where(mask, likelihood.init[:, None], np.clip(x, lower, upper))
        for name, values in (fixed or {}).items():
            i = likelihood.index(name)
            given = np.asarray(values, dtype=float)
            if given.shape not in ((), (points,)) or not np.all(np.isfinite(given)):
                raise FitError(
                    f"{name}: give one finite value or {points}, not shape {given.shape}"
                )
            x[i] = given
            mask[i] = True
        return cls(x, mask)

    def select(self, which: slice | Mask | Index) -> Problems:
        """Return a subset of the problems."""
        refuge = None if self.refuge is None else self.refuge[:, which]
        met = None if self.met is None else self.met.select(which)
        return Problems(self.start[:, which], self.fixed[:, which], refuge, met)


def lowest(fit: BatchFit, count: int) -> BatchFit:
    """Return the best start of each of ``count`` problems and how many starts reached it."""
    value = np.where(np.isnan(fit.twice_nll), np.inf, fit.twice_nll).reshape(-1, count)
    best = np.argmin(value, axis=0)
    least = value[best, np.arange(count)]
    out = fit.select(best * count + np.arange(count))
    with np.errstate(invalid="ignore"):
        same = (value - least <= AGREE) & fit.converged.reshape(-1, count)
    out.agreeing[:] = same.sum(axis=0)
    return out
