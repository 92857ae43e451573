"""Goodness of fit of binned counts.

Reference: S. Baker, R. D. Cousins, Nucl. Instrum. Meth. 221 (1984) 437.
"""

from __future__ import annotations

import numpy as np

from histnu.core.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.results import BestFit


def goodness_of_fit(likelihood: AnyLikelihood, found: BestFit) -> float:
    """Poisson deviance of the counts plus squared pulls of the nuisances at a fit.

    ``chi2 = 2 sum_b [mu_b - n_b + n_b log(n_b / mu_b)] + sum_a (a - a_0)^2``, for Gaussian
    constraints of width one.

    Raises:
        FitError: for a likelihood of physical parameters, or one without data.
    """
    if not isinstance(likelihood, BatchedLikelihood) or likelihood.observation is None:
        raise FitError("the goodness of fit needs the likelihood of a workspace with data")
    pars = np.array([[found.parameters[k] for k in likelihood.parameter_names]])
    expected, n = likelihood.expected(pars)[0], np.asarray(likelihood.observation)
    ratio = np.where(n > 0, n, 1.0) / np.where(n > 0, expected, 1.0)
    deviance = 2.0 * float(np.sum(expected - n + n * np.log(ratio)))
    aux, measured = likelihood.expected_auxdata(pars)[0], np.asarray(likelihood.auxdata)
    return deviance + float(np.sum((aux - measured) ** 2))
