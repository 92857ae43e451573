"""Fits with everything one asks of them: summary, impacts, significance, as results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.analysis.target import ParameterOfInterest, Target
from histnu.core.serialize import jsonable
from histnu.inference import impacts as ranking
from histnu.inference import significance as discovery
from histnu.inference import summary as summaries
from histnu.verbs.fit_results import FitSummary, Goodness, Impacts, Significance
from histnu.verbs.options import Options, common_fields, required, shared_fields

Array = NDArray[np.float64]


def summary_of(
    target: Target, interest: ParameterOfInterest, options: Options, profile: bool = True
) -> tuple[FitSummary, Array | None]:
    """Best fit with uncertainties, correlations, goodness of fit and yields.

    Args:
        target: what was loaded. interest: names the measurement.
        options: ``method="toys"``: the goodness of fit from toys too.
        profile: look for the profile ends of every parameter.

    Returns:
        The result, and the saturated chi2 of the toys if there are any.
    """
    toys = options.toy_options if options.method == "toys" else None
    how = summaries.SummaryOptions(options.fit, profile, toys)
    found = summaries.summarise(interest.likelihood, options.counts(interest), how)
    result = FitSummary(
        **_asked(target, interest, options, found.goodness.n_toys),
        method="maximum likelihood",
        unit=interest.unit,
        goodness=Goodness(**shared_fields(found.goodness, Goodness)),
        prefit=jsonable(found.prefit.channels, exact=True),
        postfit=jsonable(found.postfit.channels, exact=True),
        **shared_fields(found, FitSummary, "engine", "goodness", "prefit", "postfit"),
    )
    return result, found.goodness.toys


def impacts_of(target: Target, interest: ParameterOfInterest, options: Options) -> Impacts:
    """Impacts of all other parameters on one, largest first."""
    data = options.counts(interest)
    found = ranking.impacts(interest.likelihood, data, interest.parameter, options.fit)
    return Impacts(
        **_asked(target, interest, options),
        method="impacts",
        unit="" if interest.squared else interest.unit,
        parameter=interest.name,
        ranked=found.parameter,
        **shared_fields(found, Impacts, "parameter", "engine"),
    )


def significance_of(
    target: Target, interest: ParameterOfInterest, options: Options, signal: float | None = None
) -> tuple[Significance, Array | None]:
    """Significance of a signal, asymptotic; with ``method="toys"`` also from toys.

    Args:
        target, interest: the likelihood and the parameter of the signal. options: how.
        signal: value whose expected significance is wanted, in the unit asked.

    Returns:
        The result, and q0 of the toys if there are any.
    """
    how = discovery.SignificanceOptions(
        signal=None if signal is None else interest.inverse(signal),
        toys=options.toy_options if options.method == "toys" else None,
        fit=options.fit,
    )
    data = options.counts(interest)
    found = discovery.significance(interest.likelihood, data, interest.parameter, how)
    own = ("parameter", "best_fit", "signal", "n_toys", "engine")
    result = Significance(
        **_asked(target, interest, options, found.n_toys),
        method="q0",
        unit=interest.unit,
        parameter=interest.name,
        best_fit=required(interest.value(found.best_fit)),
        signal=interest.value(found.signal),
        **shared_fields(found, Significance, *own),
    )
    return result, found.toys


def _asked(
    target: Target, interest: ParameterOfInterest, options: Options, n_toys: int = 0
) -> dict[str, Any]:
    """The fields of the envelope; a seed only where there are toys."""
    fields = common_fields(target, interest, options)
    return fields | ({"n_toys": n_toys, "seed": options.seed} if n_toys else {})
