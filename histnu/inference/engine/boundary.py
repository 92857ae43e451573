"""Minima at which the expected count of an empty bin is zero.

A Poisson term is defined for expected counts ``lambda_b >= 0``. In a bin without events it is
``2 lambda_b``, finite and sloping at zero, so that a sample which can become negative may pull
the minimum onto the boundary ``lambda_b = 0`` of the allowed parameters, where Newton's method
stalls. A logarithmic barrier (A. V. Fiacco, G. P. McCormick, Nonlinear Programming, 1968)

    -2 log L - 2 t sum_(b empty) log lambda_b

is the likelihood itself with ``t`` events in the empty bins. Its minima for falling ``t`` tend
to the minimum inside the allowed rates; the last is at most ``2 t`` per empty bin above it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.allowed import allowed_point, rate_slopes
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.newton import newton
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_EVENTS = (1.0, 0.1, 1e-2, 1e-4, 1e-6, 1e-9)  # of the barrier in an empty bin
_BEGINNINGS = ((0, False), (3, True))
"""Of the events, and whether where Newton's method stalled is the start: with few events a minimum
is left only at the end, but further inside can be the basin of a higher one."""
_ROUGH = 1e-3  # of the events: edm of the minima on the way
_MOST = 40  # points from which a point inside is looked for by linear programs
_LARGEST = 100_000  # parameters times bins whose derivatives of rates are held for many points
_ACTIVE = 1e-5  # rate below which an empty bin is at the boundary
_INWARDS = 0.05  # share of the way back to the suggested start from where Newton stalled


def on_the_boundary(
    likelihood: Likelihood,
    observed: Observed,
    problems: Problems,
    done: tuple[BatchFit, MinimiseOptions],
) -> BatchFit:
    """Return the fits with those that stalled at the rates of empty bins finished.

    Args:
        likelihood: what is minimised. observed: its data.
        problems: starts and fixed parameters. done: fits of Newton's method and its options.
    """
    fit, options = done
    empty = np.broadcast_to((observed.main == 0).any(axis=0), (len(fit),))
    left = np.flatnonzero(~fit.converged & empty & np.isfinite(fit.twice_nll))
    if not len(left):
        return fit
    data, part = observed.select(left), problems.select(left)
    at = fit.parameters[left].T
    inwards = at + _INWARDS * (likelihood.init[:, None] - at)
    inwards = np.where(part.fixed, at, inwards)
    dead = _dead(likelihood, data, at, part.fixed)
    allowed = np.isfinite(likelihood.value(inwards, with_events(likelihood, data, 1.0, dead)))
    start = np.where(allowed, inwards, part.start)
    little = np.flatnonzero(~allowed)
    start[:, little] = _inside(
        likelihood, data.select(little), at[:, little], part.fixed[:, little]
    )
    out = fit.copy()
    for first, stalled in _BEGINNINGS:
        wanted = ~out.converged[left]
        if stalled:
            wanted &= np.isfinite(likelihood.value(at, with_events(likelihood, data, 1.0, dead)))
        now = np.flatnonzero(wanted)
        if not len(now):
            break
        inside = Problems(at if stalled else start, part.fixed, part.refuge)
        some, problems = data.select(now), inside.select(now)
        falling = {t: with_events(likelihood, some, t, dead[:, now]) for t in _EVENTS[first:]}
        found = _follow(likelihood, falling, problems, options)
        value = likelihood.value(np.ascontiguousarray(found.parameters.T), some)
        excess = 2 * _EVENTS[-1] * (some.main == 0).sum(axis=0)  # what the barrier leaves
        better = found.converged & (value <= fit.twice_nll[left[now]] + options.edm + excess)
        found.twice_nll[:] = value
        found.gradient[:] = np.nan  # that of the barrier
        out.put(left[now[better]], found.select(better))
    return out


def _inside(likelihood: Likelihood, observed: Observed, at: Array, fixed: Mask) -> Array:
    """Return points (n, P) well inside the allowed rates, found from points at their boundary.

    Equal points are looked at once; where nothing is found the point stays.
    """
    out = at.copy()
    known: dict[bytes, Array | None] = {}
    for k in range(at.shape[1]):
        place = at[:, k].round(6).tobytes()
        if place not in known and len(known) < _MOST:
            counts = observed.main[:, k if observed.size is not None else 0]
            start = (at[:, k], fixed[:, k])
            known[place] = allowed_point(likelihood, counts, start, np.ones(len(at)))
        found = known.get(place)
        if found is not None:
            out[:, k] = np.where(fixed[:, k], at[:, k], found)
    return out


def _dead(likelihood: Likelihood, observed: Observed, at: Array, fixed: Mask) -> Mask:
    """Return (B, P) which empty bins expect nothing, whatever the free parameters: they need none.

    One at the boundary expects nothing either, but its rate has a slope.
    """
    dead = np.asarray((observed.main == 0) & (likelihood.expected(at.T).T == 0))
    k = np.flatnonzero(dead.any(axis=0))
    if len(k):
        slopes = rate_slopes(likelihood, at[:, k])
        dead[:, k] &= ~(slopes.astype(bool) & ~fixed[:, None, k]).any(axis=0)
    return dead


def _follow(
    likelihood: Likelihood,
    falling: dict[float, Observed],
    problems: Problems,
    options: MinimiseOptions,
) -> BatchFit:
    """Return the minima for the last of the falling events, each started from those before.

    The minima depend smoothly on the events, so that they are extrapolated along a line.

    Args:
        falling: events in the empty bins and the data with them.
    """
    start = ahead = problems.start
    curved = len(start) * len(next(iter(falling.values())).main) <= _LARGEST
    inner = replace(options, boundary=False, curved=curved, max_iterations=40)
    before = np.inf  # the first move is no part of the line
    low, high = likelihood.bounds.T[:, :, None]
    for (events, data), after in zip(falling.items(), (*list(falling)[1:], 0.0), strict=True):
        allowed = np.isfinite(likelihood.value(np.ascontiguousarray(ahead), data))
        first = np.where(allowed, ahead, start)
        rough = replace(inner, edm=inner.edm + (_ROUGH * events if after else 0.0))
        found = newton(likelihood, data, Problems(first, problems.fixed, problems.refuge), rough)
        moved = found.parameters.T - start
        start = found.parameters.T
        ahead = np.clip(start + (after - events) / (events - before) * moved, low, high)
        ahead = np.where(problems.fixed, start, ahead)
        before = events
    return found


def with_events(likelihood: Likelihood, observed: Observed, events: float, dead: Mask) -> Observed:
    """Return the data with ``events`` in every empty bin that is not dead (B, P)."""
    main = np.where((observed.main == 0) & ~dead, events, observed.main).T
    if observed.templates is None:
        return likelihood.observe(main, observed.aux.T)
    return likelihood.observe(main, observed.aux.T, observed.templates.T)  # type: ignore[call-arg]


def boundary_pull(
    likelihood: Likelihood, of: tuple[Mask, int], pars: Array, gradient: Array
) -> Array:
    """Return what empty bins at a rate of zero add to the slope of a profile, (P,).

    At a minimum with ``lambda_b = 0`` the gradient of -2 log L in the free parameters is
    ``sum_b nu_b dlambda_b/dtheta`` with multipliers ``nu_b >= 0``; in the parameter that is held
    at x the same sum is what the constraints add: ``dDelta/dx = g_x - sum_b nu_b dlambda_b/dx``.

    Args:
        of: mask (B,) of the empty bins and index of the parameter that is held.
        pars: (n, P) minima. gradient: (n, P) of -2 log L at them.
    """
    empty, index = of
    from scipy.optimize import nnls

    rates = likelihood.expected(pars.T)
    out = np.zeros(pars.shape[1])
    with np.errstate(invalid="ignore"):
        active = empty & (np.abs(rates) < _ACTIVE)
    low, high = likelihood.bounds.T
    for p in np.flatnonzero(active.any(axis=1)):
        x = pars[:, p]
        free = ~likelihood.fixed & (x > low) & (x < high)
        free[index] = False
        slopes = rate_slopes(likelihood, x[:, None])[:, active[p], 0]
        multipliers = nnls(slopes[free], gradient[free, p])[0]
        out[p] = -slopes[index] @ multipliers
    return out
