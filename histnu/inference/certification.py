"""Whether a result may be given: converged, certified fits, or an error that says where.

Also finds the empty bins whose expected count is zero at a minimum: there the boundary of the
allowed rates decides the answer, and the sample that is negative is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import FitError
from histnu.inference.engine.likelihood import Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.options import AnyLikelihood, FitOptions
from histnu.inference.engine.problems import BatchFit
from histnu.inference.engine.reference import numpy_backend
from histnu.inference.engine.structure import jumping

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_EMPTY = 1e-5  # share of a bin's absolute contents below which its expected count is zero


@dataclass(frozen=True)
class Asked:
    """What a fit was asked for, for its error: parameter -> (P,) values, or none."""

    values: dict[str, Array]

    def at(self, k: int) -> str:
        """Return ``mu = 0.3`` for the k-th fit."""
        named = (f"{n} = {float(np.atleast_1d(v)[k]):.6g}" for n, v in self.values.items())
        return ", ".join(named) or "the free fit"


def require(
    likelihood: AnyLikelihood,
    observed: Observed,
    found: BatchFit,
    asked: Asked,
    options: FitOptions,
    matters: Mask | None = None,
) -> bool:
    """Return whether all fits are certified.

    Args:
        likelihood, observed: what was fitted. found: the fits.
        asked: the values at which parameters were held. options: how it was fitted.
        matters: (P,) fits on which the result rests; all if None.

    Raises:
        FitError: a fit did not converge or was not certified, and the options do not allow it.
    """
    bad = ~found.certified
    if matters is not None:
        bad &= matters
    if not bad.any():
        return True
    if options.allow_uncertified:
        return False
    k = int(np.flatnonzero(bad)[0])
    raise FitError(
        f"{asked.at(k)}: {_why(likelihood, observed, found, k)}"
        f" ({int(bad.sum())} of {len(found)} fits); allow_uncertified (--allow-uncertified) gives "
        "the numbers all the same"
    )


def _why(likelihood: AnyLikelihood, observed: Observed, found: BatchFit, k: int) -> str:
    """Return why a fit is no answer."""
    if not np.isfinite(found.twice_nll[k]):
        where = negative_bins(likelihood, found.parameters[k])
        note = f": {where[0]}" if where else ""
        return f"the likelihood is undefined at every start{note}"
    notes = boundary_notes(likelihood, observed.select(np.array([k])), found.parameters[k])
    note = f"; {notes[0]}" if notes else ""
    if not found.converged[k]:
        return f"the fit did not converge{note}"
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    if len(jumping(base.compiled)):
        return "histosys with interpolation code2 jumps at -1 and 1, beyond which it may be lower"
    return f"no two starts agree on the minimum, so a lower one may exist{note}"


def boundary_notes(
    likelihood: AnyLikelihood, observed: Observed, parameters: Array
) -> tuple[str, ...]:
    """Return one line per empty bin whose expected count is zero at ``parameters`` (n,)."""
    empty = observed.main[:, 0] == 0
    if not empty.any() or not np.isfinite(parameters).all():
        return ()
    rates = likelihood.expected(parameters)[0]
    small = empty & (np.abs(rates) < 1e-3)
    if not small.any():
        return ()
    samples = _samples(likelihood, parameters)
    if samples is None:
        return ()
    names, counts = samples
    out = []
    for b in np.flatnonzero(small):
        size = np.abs(counts[:, b]).sum()
        negative = counts[:, b] < -_EMPTY * max(size, 1e-300)
        if negative.any() and abs(rates[b]) < max(_EMPTY * size, 1e-6):
            worst = int(np.argmin(counts[:, b]))
            out.append(
                f"{_place(likelihood, int(b))} is empty and its expected count is 0 there, the "
                f"least allowed: sample {names[worst]} is {counts[worst, b]:.4g}"
            )
    return tuple(out)


def negative_bins(likelihood: AnyLikelihood, parameters: Array) -> tuple[str, ...]:
    """Return one line per bin whose expected count is not positive at ``parameters`` (n,)."""
    rates = likelihood.expected(parameters)[0]
    samples = _samples(likelihood, parameters)
    out = []
    for b in np.flatnonzero(rates <= 0):
        line = f"{_place(likelihood, int(b))} expects {rates[b]:.4g} events"
        if samples is not None and samples[1][:, b].min() < 0:
            worst = int(np.argmin(samples[1][:, b]))
            line += f" because sample {samples[0][worst]} is {samples[1][worst, b]:.4g}"
        out.append(line)
    return tuple(out)


def _place(likelihood: AnyLikelihood, b: int) -> str:
    """Return channel and bin of the b-th bin of a likelihood."""
    model = _model(likelihood)
    if model is None:
        return f"bin {b}"
    for channel, where in model.config.channel_slices.items():
        if where.start <= b < where.stop:
            return f"bin {b - where.start} of channel {channel}"
    return f"bin {b}"


def _model(likelihood: AnyLikelihood) -> Any:
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    return base.model


def _samples(likelihood: AnyLikelihood, parameters: Array) -> tuple[list[str], Array] | None:
    """Return names (S,) and expected counts (S, B) of the samples; None without a pyhf model."""
    model = _model(likelihood)
    if model is None:
        return None
    if isinstance(likelihood, MappedLikelihood):
        parameters = likelihood.base_parameters(parameters)[0]
    with numpy_backend():
        counts = model.main_model.expected_data(parameters, return_by_sample=True)
    return list(model.config.samples), np.asarray(counts, dtype=float)
