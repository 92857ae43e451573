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

from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.newton import newton
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems

Mask = NDArray[np.bool_]

LAST = 1e-9  # events of the barrier in an empty bin at the end
_EVENTS = (0.1, 1e-3, 1e-6, LAST)
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
    allowed = np.isfinite(likelihood.value(inwards, with_events(likelihood, data, 1.0)))
    start = np.where(allowed, inwards, part.start)
    inner = replace(options, boundary=False, max_iterations=40)
    for events in _EVENTS:
        found = newton(
            likelihood,
            with_events(likelihood, data, events),
            Problems(start, part.fixed, part.refuge),
            inner,
        )
        start = found.parameters.T
    value = likelihood.value(np.ascontiguousarray(start), data)
    better = found.converged & (value <= fit.twice_nll[left] + options.edm)
    out = fit.copy()
    found.twice_nll[:] = value
    out.put(left[better], found.select(better))
    return out


def with_events(likelihood: Likelihood, observed: Observed, events: float) -> Observed:
    """Return the data with ``events`` in every empty bin."""
    main = np.where(observed.main == 0, events, observed.main).T
    if observed.templates is None:
        return likelihood.observe(main, observed.aux.T)
    return likelihood.observe(main, observed.aux.T, observed.templates.T)  # type: ignore[call-arg]
