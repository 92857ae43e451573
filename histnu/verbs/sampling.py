"""Verbs that draw toys: Feldman-Cousins acceptance and coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from histnu.analysis.target import Target, parameter_of_interest
from histnu.inference.profile import best_fit
from histnu.inference.toys import coverage as find_coverage
from histnu.inference.toys import neyman_scan
from histnu.verbs.options import METHODS, Options, common_fields, required, settled, shared_fields
from histnu.verbs.results import Coverage, Toys


def toys(
    target: Target, parameter: str | None, values: ArrayLike, options: Options | None = None
) -> Toys:
    """Feldman-Cousins acceptance of values of a parameter (in its own unit) from toys."""
    interest = parameter_of_interest(target, parameter)
    options = settled(interest, options or Options(method="toys"))
    points = np.atleast_1d(np.asarray(values, dtype=float))
    inner = np.array([interest.inverse(float(v)) for v in points])
    found = neyman_scan(
        interest.likelihood,
        options.counts(interest),
        interest.parameter,
        inner,
        options.cl,
        options.toy_options,
    )
    return Toys(
        **common_fields(target, interest, options),
        method=METHODS["toys"],
        seed=options.seed,
        unit=interest.unit,
        parameter=interest.name,
        values=tuple(points),
        **shared_fields(found, Toys, "parameter", "values"),
    )


def coverage(
    target: Target, parameter: str | None, truth: float, options: Options | None = None
) -> Coverage:
    """How often profile intervals of toys at a true value of a parameter cover it."""
    interest = parameter_of_interest(target, parameter)
    options = replace(settled(interest, options or Options()), many=True)
    true = {**options.held, interest.parameter: interest.inverse(truth)}
    found = find_coverage(
        interest.likelihood, true, interest.parameter, options.cl, options.dof, options.toy_options
    )
    best = best_fit(interest.likelihood, None, options.fit).parameters[interest.parameter]
    return Coverage(
        **common_fields(target, interest, options),
        method="toys",
        seed=options.seed,
        unit=interest.unit,
        parameter=interest.name,
        truth={**options.held, interest.name: truth},
        best_fit=required(interest.value(best)),
        **shared_fields(found, Coverage, "parameter", "truth"),
    )
