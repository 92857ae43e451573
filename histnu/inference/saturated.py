"""Goodness of fit with the saturated model, asymptotic and with toys.

    chi2 = -2 log [L(best fit) / L(saturated)],

the saturated model having ``lambda_b = d_b`` in every bin and every constrained parameter at the
maximum of its constraint. Asymptotically it follows chi-squared with (bins - free unconstrained
parameters) degrees of freedom; with few events it does not, and toys are needed.

References: S. Baker, R. D. Cousins, Nucl. Instrum. Meth. 221 (1984) 437; R. D. Cousins,
"Generalization of chisquare goodness-of-fit test for binned data using saturated models" (2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln, xlogy

from histnu.core.errors import FitError
from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.results import Result
from histnu.inference.toys import ToyOptions, constraints_of, sample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GoodnessOfFit(Result):
    """The saturated test.

    Attributes:
        chi2: -2 log of the likelihood ratio. dof: degrees of freedom.
        p_value: asymptotic, None where there are no degrees of freedom.
        p_value_toys: fraction of toys with at least this chi2, None without toys.
        p_value_toys_error: its binomial standard error. n_toys: toys whose fits converged.
        toys: (N,) chi2 of the toys.
    """

    chi2: float
    dof: int
    p_value: float | None
    p_value_toys: float | None = None
    p_value_toys_error: float | None = None
    n_toys: int = 0
    toys: Array | None = None


def saturated_twice_nll(likelihood: AnyLikelihood, main: Array, aux: Array) -> Array:
    """Return -2 log L (P,) of the saturated model for counts (P, B) and auxiliary data (P, A)."""
    c = constraints_of(likelihood)

    def poisson(n: Array) -> Array:
        return np.asarray(2 * (n - xlogy(n, n) + gammaln(n + 1)).sum(axis=-1))

    gauss = 2 * np.log(c.scale[c.normal]) + np.log(2 * np.pi)
    return poisson(main) + poisson(aux[..., ~c.normal]) + gauss.sum()


def degrees_of_freedom(likelihood: AnyLikelihood, options: FitOptions) -> int:
    """Return bins minus unconstrained parameters that are free."""
    constrained = set(constraints_of(likelihood).parameters.tolist())
    names = likelihood.parameter_names
    if isinstance(likelihood, MappedLikelihood):
        base = likelihood.base
        held = {base.parameter_names[i] for i in constrained}
    else:
        held = {names[i] for i in constrained}
    held |= {n for n, fixed in zip(names, likelihood.fixed, strict=True) if fixed}
    held |= set(options.fixed)
    return likelihood.n_bins - sum(n not in held for n in names)


def goodness_of_fit(
    likelihood: AnyLikelihood,
    data: Array,
    best: tuple[Array, float],
    toys: ToyOptions | None = None,
    options: FitOptions | None = None,
) -> GoodnessOfFit:
    """Return the saturated goodness of fit of a best fit.

    Args:
        likelihood: the model. data: (B,) counts.
        best: (n,) parameters and -2 log L at the best fit.
        toys: draw toys at the best fit and fit each; asymptotic only if None.
        options: how the fit was made.

    Raises:
        FitError: no toy converged.
    """
    options = options or FitOptions()
    statistic = best[1] - float(saturated_twice_nll(likelihood, data, likelihood.auxdata))
    dof = degrees_of_freedom(likelihood, options)
    p_value = float(chdtrc(dof, max(statistic, 0.0))) if dof > 0 else None
    if toys is None:
        return GoodnessOfFit(statistic, dof, p_value)
    sampled = _toys(likelihood, best[0], toys)
    # rounding of the fits must not decide between equal discrete outcomes
    p = float(np.mean(sampled >= statistic - 1e-7))
    error = float(np.sqrt(p * (1 - p) / len(sampled)))
    return GoodnessOfFit(statistic, dof, p_value, p, error, len(sampled), sampled)


def _toys(likelihood: AnyLikelihood, truth: Array, toys: ToyOptions) -> Array:
    """The statistic of toys drawn at the best fit."""
    rng = np.random.default_rng(toys.seed)
    parts, done = [], 0
    for main, aux in sample(likelihood, truth, toys.n_toys, rng, toys.chunk):
        found = fit(likelihood, likelihood.observe(main, aux), None, truth, toys.fit)
        statistic = found.twice_nll - saturated_twice_nll(likelihood, main, aux)
        parts.append(statistic[found.converged & np.isfinite(statistic)])
        done += len(main)
        if toys.progress is not None:
            toys.progress(done, toys.n_toys)
    sampled = np.concatenate(parts)
    if not len(sampled):
        raise FitError("no toy of the goodness of fit converged")
    return sampled
