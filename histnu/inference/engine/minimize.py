"""Minimise -2 log L of P problems, each from one start.

Newton's method first (:mod:`.newton`); then minima on the boundary of the allowed rates
(:mod:`.boundary`); what is left goes to MIGRAD (:mod:`.unconverged`). Several starts and the
certification of minima are in :mod:`.multistart`.
"""

from __future__ import annotations

from histnu.core.errors import FitError
from histnu.inference.engine.boundary import on_the_boundary
from histnu.inference.engine.likelihood import Likelihood, Observed
from histnu.inference.engine.newton import newton
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems
from histnu.inference.engine.threads import one_blas_thread
from histnu.inference.engine.unconverged import finish_with_migrad


@one_blas_thread
def minimise(
    likelihood: Likelihood,
    observed: Observed,
    problems: Problems,
    options: MinimiseOptions | None = None,
) -> BatchFit:
    """Return the minima of -2 log L of all problems.

    Args:
        likelihood: what to minimise.
        observed: data, see ``likelihood.observe``; one set or one per problem.
        problems: start values and fixed parameters.
        options: tolerances and sizes.

    >>> data = textbook.observe(textbook.observation)
    >>> fit = minimise(textbook, data, Problems.make(textbook, 2, fixed={"mu": [0.0, 1.0]}))
    >>> fit.twice_nll.round(5).tolist()
    [24.98394, 28.92218]
    """
    options = options or MinimiseOptions()
    points = problems.start.shape[1]
    if observed.size not in (None, points):
        raise FitError(f"{observed.size} data sets but {points} problems")
    fit = newton(likelihood, observed, problems, options)
    if options.boundary and not fit.converged.all():
        fit = on_the_boundary(likelihood, observed, problems, (fit, options))
    if options.migrad and not fit.converged.all():
        fit = finish_with_migrad(likelihood, observed, problems, fit, options.most)
    return fit
