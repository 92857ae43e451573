"""Minimise -2 log L of P problems together: damped Newton with bounds and active sets.

Each problem keeps its own active set, damping and step length; all problems still at work
are evaluated in one call. Variables at a bound whose gradient points outwards are held
(D. P. Bertsekas, SIAM J. Control Optim. 20 (1982) 221); the others take a Newton step with
the full second derivatives, or one with absolute eigenvalues where those are not positive
definite. A trial point at which an expected count is not positive has an infinite value and
its step is shortened; where this happens again and again in a likelihood with empty bins the
minimum may lie on the boundary of the allowed rates, which :mod:`.boundary` finds.

Interpolation codes 0 and 1 have a kink at zero. Each side of the kink is treated as a domain
of its own; a fit ends on the kink when the one-sided slopes point towards it from both sides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.bends import Valley
from histnu.inference.engine.compiled import compiled_newton
from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.likelihood import Derivatives, Likelihood, Observed
from histnu.inference.engine.linalg import NewtonStep, newton_step
from histnu.inference.engine.plateau import Resting, idle, way_off
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_SIDE = 1e-300  # a kink seen from one side: a value that is zero but has a sign
_FAR = 1.0  # expected decrease above which the expected information replaces the Hessian
_CUT = 0.3  # length of a step below which its matrix was wrong: the other is taken next
_ROUNDING = 1e-14  # of -2 log L, relative: no fit can come closer to its minimum
_RETREAT = (0.6, 0.3, 0.1, 0.0)  # shares of the way from the suggested start to an undefined one
_MIDDLE = 3e-2  # widths, or relative, from a minimum within which a start has come to it
_PROMISE = 0.1  # share of the expected decrease by which it may miss the minimum's value
_AGREES = 1e-5  # and in -2 log L
_PATIENCE = 8  # steps into undefined rates after which a problem with empty bins is left
_STRAIGHT = 5  # straight steps that cost less than a curved one
_FEW_HELD = 0.05  # share of parameters held in every problem up to which they are not left out
_CHUNK_BYTES = 4e6  # temporaries of one chunk; about the size of a second-level cache


def newton(
    likelihood: Likelihood, observed: Observed, problems: Problems, options: MinimiseOptions
) -> BatchFit:
    """Return the minima of -2 log L of all problems as far as Newton's method finds them.

    Args:
        likelihood: what to minimise.
        observed: data, see ``likelihood.observe``; one set or one per problem.
        problems: start values and fixed parameters.
        options: tolerances and sizes.
    """
    quick = _quickly(likelihood, observed, problems, options)
    if quick is None:
        return _vectorised(likelihood, observed, problems, options)
    fit, left = quick
    if left.any():
        data, part = observed.select(left), problems.select(left)
        fit.put(left, _vectorised(likelihood, data, part, options))
    return fit


def _quickly(
    likelihood: Likelihood, observed: Observed, problems: Problems, options: MinimiseOptions
) -> tuple[BatchFit, Mask] | None:
    """Return compiled fits and the (P,) mask of those that are left, see :mod:`.compiled`.

    Those have no curved steps: they take more, and what does not converge is left.
    """
    if options.curved:
        options = replace(options, max_iterations=_STRAIGHT * options.max_iterations)
    quick = compiled_newton(likelihood, observed, problems, options)
    if quick is None:
        return None
    fit, left = quick
    if left.any():
        lost = np.flatnonzero(left)
        data, part = observed.select(lost), problems.select(lost)
        undefined = ~np.isfinite(likelihood.value(np.ascontiguousarray(part.start), data))
        if undefined.any():
            part = _defined(likelihood, data.select(undefined), part.select(undefined))
            again = compiled_newton(likelihood, data.select(undefined), part, options)
            assert again is not None
            fit.put(lost[undefined], again[0])
            left[lost[undefined]] = again[1]
    if options.curved:
        left = left | ~fit.converged
    return fit, left


def _defined(likelihood: Likelihood, observed: Observed, problems: Problems) -> Problems:
    """Return problems with starts moved back to the refuge until -2 log L is defined there."""
    start = problems.start.copy()
    safe = likelihood.init[:, None] if problems.refuge is None else problems.refuge
    origin = np.where(problems.fixed, start, safe)
    left = np.arange(start.shape[1])
    for share in _RETREAT:
        x = origin[:, left] + share * (problems.start - origin)[:, left]
        start[:, left] = x
        left = left[~np.isfinite(likelihood.value(x, observed.select(left)))]
        if not len(left):
            break
    return replace(problems, start=start)


def _vectorised(
    likelihood: Likelihood, observed: Observed, problems: Problems, options: MinimiseOptions
) -> BatchFit:
    """Return the minima of all problems, found side by side."""
    points = problems.start.shape[1]
    chunk = options.chunk or _chunk_size(likelihood, options.memory_mb)
    parts = []
    for first in range(0, points, chunk):
        which = slice(first, min(first + chunk, points))
        run = _Run(likelihood, observed.select(which), problems.select(which), options)
        parts.append(run.solve())
    if not parts:
        return BatchFit.of(problems.start.T, np.zeros(0), np.zeros(0, dtype=bool))
    return BatchFit.join(parts)


def _chunk_size(likelihood: Likelihood, memory_mb: float) -> int:
    """Return how many problems fit the cache, at least 64 if they fit the memory."""
    floats = getattr(likelihood, "floats_per_point", 1000)
    fewest = np.clip(memory_mb * 1e6 / 8 / (2 * floats), 1, 64)  # the steps hold as much again
    return int(np.clip(_CHUNK_BYTES / 8 / floats, fewest, 2000))


@dataclass
class _State:
    """Problems still at work: everything with the problems on the last axis."""

    number: Index  # position in the chunk
    observed: Observed
    fixed: Mask
    x: Array
    at: Derivatives
    step: Array
    slope: Array
    length: Array
    ridge: Array
    fresh: Mask  # a new direction is needed
    far: Mask  # far from the minimum: evaluate the expected information next
    bent: Mask  # it misled: evaluate the second derivatives although far
    walls: Index  # how many steps led to undefined rates

    def keep(self, which: Mask) -> None:
        """Drop the other problems."""
        self.number = self.number[which]
        self.observed = self.observed.select(which)
        self.at = self.at.select(which)
        names = ("fixed", "x", "step", "slope", "length", "ridge", "fresh", "far", "bent", "walls")
        for name in names:
            setattr(self, name, getattr(self, name)[..., which])


class _Run:
    """Minimisation of one chunk."""

    def __init__(
        self,
        likelihood: Likelihood,
        observed: Observed,
        problems: Problems,
        options: MinimiseOptions,
    ) -> None:
        self._likelihood = likelihood
        self._options = options
        self._observed = observed
        self._problems = problems
        self._kinks: Index = getattr(likelihood, "kinks", np.zeros(0, dtype=np.intp))
        empty = bool(np.any(observed.main == 0))
        self._patience = _PATIENCE if empty and options.boundary else np.inf
        points = problems.start.shape[1]
        self._bounds = (likelihood.bounds[:, :1].copy(), likelihood.bounds[:, 1:].copy())
        held: Mask = np.asarray(problems.fixed.all(axis=1))
        whole = len(getattr(likelihood, "local", ())) or held.sum() <= _FEW_HELD * len(held)
        self._live = np.arange(len(held)) if whole else np.flatnonzero(~held)
        self._result = problems.start.copy()
        self._value = np.full(points, np.inf)
        self._converged = np.zeros(points, dtype=bool)
        self._iterations = np.zeros(points, dtype=np.intp)
        self._gradient = np.full(problems.start.shape, np.nan)

    def solve(self) -> BatchFit:
        """Iterate until every problem has converged or has failed."""
        state = self._begin()
        for iteration in range(1, self._options.max_iterations + 1):
            done = self._directions(state) | (state.walls > self._patience)
            if done.any():
                self._store(state, done)
                state.keep(~done)
            if not len(state.number):
                break
            self._iterations[state.number] = iteration
            self._advance(state)
        self._store(state, np.ones(len(state.number), dtype=bool))
        return BatchFit.of(
            self._result.T.copy(), self._value, self._converged, self._iterations,
            gradient=self._gradient.T.copy(),
        )  # fmt: skip

    def _store(self, s: _State, which: Mask) -> None:
        """Keep where the problems that leave without having converged are."""
        left = which & ~self._converged[s.number]
        self._result[:, s.number[left]] = s.x[:, left]
        self._value[s.number[left]] = s.at.value[left]

    def _begin(self) -> _State:
        """Evaluate the start; where it is undefined go back towards the suggested start."""
        x = self._problems.start.copy()
        far = np.ones(x.shape[1], dtype=bool)
        at = self._evaluate(x, self._observed, self._problems.fixed, far)
        lost = ~np.isfinite(at.value)
        if lost.any():
            part = self._problems.select(lost)
            x[:, lost] = _defined(self._likelihood, self._observed.select(lost), part).start
            at = self._evaluate(x, self._observed, self._problems.fixed, far)
        points = x.shape[1]
        state = _State(
            np.arange(points),
            self._observed,
            self._problems.fixed,
            x,
            at,
            np.zeros_like(x),
            np.zeros(points),
            np.ones(points),
            np.full(points, 1e-10),
            np.ones(points, dtype=bool),
            far,
            np.zeros(points, dtype=bool),
            np.zeros(points, dtype=np.intp),
        )
        lost = ~np.isfinite(at.value)
        if lost.any():
            self._result[:, lost] = x[:, lost]
            state.keep(~lost)
        return state

    # ------------------------------------------------------------------ bounds
    def _limits(self, x: Array, fixed: Mask) -> tuple[Array, Array]:
        """Return bounds, (n, 1) or (n, P), with each side of a kink a domain of its own."""
        lower, upper = self._bounds
        if len(self._kinks):
            lower, upper = (np.array(np.broadcast_to(b, x.shape)) for b in (lower, upper))
            k = self._kinks
            lower[k] = np.where(x[k] > 0, np.maximum(lower[k], _SIDE), lower[k])
            upper[k] = np.where(x[k] > 0, upper[k], np.minimum(upper[k], -_SIDE))
        return lower, upper

    def _evaluate(
        self, x: Array, observed: Observed, fixed: Mask, information: Mask
    ) -> Derivatives:
        """Return the derivatives at ``x``; put parameters on the right side of their kinks."""
        k = self._kinks
        if not len(k):
            return self._likelihood.derivatives(x, observed, information)
        on = (np.abs(x[k]) <= _SIDE) & ~fixed[k]
        if not on.any():
            return self._likelihood.derivatives(x, observed, information)
        above, below = x.copy(), x.copy()
        above[k] = np.where(on, _SIDE, x[k])
        below[k] = np.where(on, -_SIDE, x[k])
        up = self._likelihood.derivatives(above, observed)
        down = self._likelihood.derivatives(below, observed)
        falls_up = up.gradient[k] < 0
        # held on the kink: either side will do, the outward gradient keeps it there
        x[k] = np.where(on, np.where(falls_up | (down.gradient[k] <= 0), _SIDE, -_SIDE), x[k])
        return self._likelihood.derivatives(x, observed, information)

    # ------------------------------------------------------------------ directions
    def _directions(self, s: _State) -> Mask:
        """Give a new direction to those that need one; return which have converged."""
        done = np.zeros(len(s.number), dtype=bool)
        if not s.fresh.any():
            return done
        every = bool(s.fresh.all())
        which = slice(None) if every else s.fresh
        x, g = s.x[:, which], s.at.gradient[:, which]
        newton, move = self._newton(s, which)
        step = np.zeros_like(x)
        step[self._live] = newton.step
        edm = newton.edm
        small = edm < self._options.edm + _ROUNDING * np.abs(s.at.value[which])
        saddle = newton.indefinite & small & (newton.lowest < -1e-7)
        if saddle.any():
            size = np.sqrt(0.2 / np.abs(newton.lowest[saddle]))
            step[np.ix_(self._live, np.flatnonzero(saddle))] = newton.valley[:, saddle] * size
        finished = small & ~saddle
        lower, upper = self._limits(x, s.fixed[:, which])
        moved = np.where(move, np.minimum(np.maximum(x + step, lower), upper), x)
        slope = (g * (moved - x)).sum(axis=0)
        climbs = (slope >= 0) & ~finished & ~saddle
        if climbs.any():
            safe = np.abs(s.at.second.diagonal()[:, which])
            step = np.where(climbs, -np.where(move, g, 0.0) / np.maximum(safe, 1e-12), step)
        finished &= ~self._leave_plateaus(s, (which, finished), move, step)
        s.step[:, which], s.length[which] = step, 1.0
        s.far[which] = (edm > _FAR) & ~s.bent[which]
        if self._options.curved:
            s.far[which] |= newton.indefinite & ~saddle
        self._finish(s, (which, finished), moved, edm)
        done[which] = finished | self._arrive(s, (which, finished), moved, newton)
        s.fresh[:] = False
        return done

    def _leave_plateaus(
        self, s: _State, which: tuple[slice | Mask, Mask], move: Mask, step: Array
    ) -> Mask:
        """Give finished problems that rest on a plateau a step to its edge; return which."""
        chosen, finished = which
        out = np.zeros(len(finished), dtype=bool)
        x = s.x[:, chosen]
        lower, upper = self._limits(x, s.fixed[:, chosen])
        held = ~s.fixed[:, chosen] & ~move & ((x <= lower) | (x >= upper))
        k = np.flatnonzero(finished & held.any(axis=0))
        if not len(k):
            return out
        low, high = (np.broadcast_to(b, x.shape)[:, k] for b in (lower, upper))
        at = Resting(x[:, k], (low, high), held[:, k], move[:, k])
        there = s.at.select(chosen).select(k)
        still = idle(at, there.gradient, there.hessian)
        if not still.any():
            return out
        observed = s.observed.select(chosen).select(k)
        way, out[k] = way_off(self._likelihood, observed, at, still)
        step[:, k] = np.where(out[k], way, step[:, k])
        return out

    def _newton(self, s: _State, which: slice | Mask) -> tuple[NewtonStep, Mask]:
        """Return Newton steps of the live variables and the (n, P) mask of moving ones."""
        x, g, fixed = s.x[:, which], s.at.gradient[:, which], s.fixed[:, which]
        lower, upper = self._limits(x, fixed)
        move = ~fixed & ~(((x <= lower) & (g > 0)) | ((x >= upper) & (g < 0)))
        live = self._live
        hessian = s.at.second.select(which)
        if len(live) < len(x):
            hessian = Hessian(hessian.core[np.ix_(live, live)])
        ridge = s.ridge[which]
        out = newton_step(hessian, g[live], move[live], ridge)
        at_bound = move & ((x <= lower) | (x >= upper))
        for _ in range(2 if at_bound.any() else 0):
            outward = np.zeros_like(move)
            outward[live] = np.where(out.step < 0, x[live] <= lower[live], x[live] >= upper[live])
            outward &= at_bound & move
            again: Mask = np.asarray(outward.any(axis=0))
            if not again.any():
                break
            move &= ~outward
            part = newton_step(
                hessian.select(again), g[live][:, again], move[live][:, again], ridge[again]
            )
            for name in ("step", "edm", "indefinite", "lowest", "valley"):
                getattr(out, name)[..., again] = getattr(part, name)
        return out, move

    def _finish(
        self, s: _State, which: tuple[slice | Mask, Mask], moved: Array, edm: Array
    ) -> None:
        """Store the converged problems, after their last Newton step.

        The step changes -2 log L by less than the tolerance. It is not taken where a bound cuts it
        (a long one along a valley, say) so that -2 log L would rise.
        """
        chosen, finished = which
        if not finished.any():
            return
        number = s.number[chosen][finished]
        x, gradient = s.x[:, chosen][:, finished], s.at.gradient[:, chosen][:, finished]
        step = moved[:, finished] - x
        bend = s.at.second.select(chosen).select(finished).times(step)
        falls = (step * (gradient + 0.5 * bend)).sum(axis=0) <= 0
        self._result[:, number] = np.where(falls, moved[:, finished], x)
        self._value[number] = s.at.value[chosen][finished] - np.where(falls, edm[finished], 0.0)
        self._gradient[:, number] = gradient + np.where(falls, bend, 0.0)
        self._converged[number] = True
        if self._problems.met is not None:
            self._problems.met.enter(
                number, self._result[:, number], self._value[number], self._gradient[:, number]
            )

    def _arrive(
        self, s: _State, which: tuple[slice | Mask, Mask], moved: Array, newton: NewtonStep
    ) -> Mask:
        """Store the problems whose next point is a minimum that another start has reached.

        Every coordinate is within 3 % of its conditional width of it, the second derivatives
        are positive definite here, and the decrease that they promise leads to its value: from
        there Newton's method converges to it.
        """
        chosen, finished = which
        met = self._problems.met
        none = np.zeros(len(finished), dtype=bool)
        if met is None:
            return none
        problem = met.problem[s.number[chosen]]
        value, there = met.twice_nll[problem], met.parameters[:, problem]
        left = s.at.value[chosen] - newton.edm - value
        with np.errstate(invalid="ignore"):
            here = np.abs(left) <= _PROMISE * newton.edm + _AGREES
        here &= ~finished & ~newton.indefinite
        if not here.any():
            return none
        k = np.flatnonzero(here)
        width = np.sqrt(np.abs(s.at.second.diagonal()[:, chosen][:, k]))
        off, size = np.abs(moved[:, k] - there[:, k]), 1 + np.abs(there[:, k])
        here[k] = ((off * width <= _MIDDLE) & (off <= size * _MIDDLE)).all(axis=0)
        number = s.number[chosen][here]
        self._result[:, number], self._value[number] = there[:, here], value[here]
        self._gradient[:, number] = met.gradient[:, problem[here]]
        self._converged[number] = True
        return here

    # ------------------------------------------------------------------ steps
    def _lowest(self, s: _State, bounds: tuple[Array, Array]) -> Array:
        """Return the lowest points along the curved steps, and keep their lengths."""
        valley = Valley(
            self._likelihood, s.observed, s.x, s.step, s.length, s.at.second, bounds, s.fixed
        )
        trial, s.length = valley.lowest()
        return trial

    def _advance(self, s: _State) -> None:
        """Try the current step of every problem; take it or shorten it."""
        lower, upper = self._limits(s.x, s.fixed)
        if not self._options.curved:
            trial = np.minimum(np.maximum(s.x + s.length * s.step, lower), upper)
            trial = np.where(s.fixed, s.x, trial)
        else:
            trial = self._lowest(s, (lower, upper))
        at = self._evaluate(trial, s.observed, s.fixed, s.far)
        if self._patience < np.inf:
            s.walls = s.walls + ~np.isfinite(at.value)
        slope = (s.at.gradient * (trial - s.x)).sum(axis=0)
        noise = 1e-13 * (1 + np.abs(s.at.value))
        taken = at.value <= s.at.value + 1e-4 * np.minimum(slope, 0) + noise
        ridge = np.where(s.length < _CUT, np.maximum(s.ridge, 1e-8) * 100, s.ridge * 0.01)
        s.ridge = np.where(taken, np.minimum(np.maximum(ridge, 1e-10), 1.0), s.ridge)
        s.bent ^= taken & (s.length < _CUT)
        if taken.all():
            s.x, s.at = trial, at
        else:
            rise = at.value - s.at.value - slope
            with np.errstate(invalid="ignore", divide="ignore"):
                best = np.where(np.isfinite(rise), -0.5 * slope / rise, 0.25)
            factor = np.clip(np.nan_to_num(best, nan=0.25), 0.1, 0.5)
            s.length = np.where(taken, s.length, s.length * factor)
            s.x = np.where(taken, trial, s.x)
            s.at = at.where(taken, s.at)
        s.fresh = taken
