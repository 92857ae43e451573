"""Rate uncertainties and fit limits as the releases of XENONnT state them."""

from __future__ import annotations

import numpy as np

from histnu.experiments.model import Origin, RateNuisance
from histnu.releases.readers import RateParameter


def nuisance(name: str, parameter: RateParameter, origin: Origin) -> RateNuisance:
    """A rate nuisance of a relative uncertainty.

    The release constrains the multiplier itself, ``N (1 + sigma alpha)``. Backgrounds are written
    so: the ionization-only data pull a rate by more than two deviations, where the exponential of
    a ``normsys`` is 1 % off. The signal efficiency is a factor (``normsys``) by default, because
    in HistFactory linear terms add while efficiency and yields multiply.
    """
    style = "default" if name.startswith("signal_efficiency") else "linear"
    return RateNuisance(name, float(parameter.uncertainty or 0.0), style, origin)


def rate_bounds(
    relative: float, limits: tuple[float, float] | None, widest: float = 5.0
) -> tuple[float, float]:
    """Fit limits of a rate multiplier, in standard deviations of it.

    >>> rate_bounds(0.25, (0.5, 1.5))
    (-2.0, 2.0)
    """
    low, high = limits if limits is not None else (0.0, np.inf)
    return max((low - 1.0) / relative, -widest), min((high - 1.0) / relative, widest)
