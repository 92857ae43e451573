"""Compile the fits beforehand, once per installation: ``python -m histnu.inference.compile_fits``.

Otherwise the first of a process that needs them does (the extra ``fast``), for about a minute. They
are kept beside the package, or in ``NUMBA_CACHE_DIR``, which the nodes of a cluster may share.
"""

from __future__ import annotations

from histnu.core.polynomial import PolynomialMap
from histnu.core.pool import Job, run_jobs
from histnu.inference.engine.compiled import available
from histnu.inference.engine.likelihood import BatchedLikelihood, Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.problems import MinimiseOptions, Problems
from histnu.inference.engine.relaxation import relaxation, relaxed_minima

DOCUMENT = {
    "channels": [{"name": "c", "samples": [
        {"name": "signal", "data": [1.0], "modifiers": [
            {"name": "strength", "type": "normfactor", "data": None}]},
        {"name": "background", "data": [3.0], "modifiers": [
            {"name": "rate", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}]},
    ]}],
    "observations": [{"name": "c", "data": [4.0]}],
    "measurements": [{"name": "m", "config": {"poi": "strength", "parameters": []}}],
    "version": "1.0.0",
}  # fmt: skip


def _problem() -> tuple[MappedLikelihood, Observed, Problems]:
    polynomial = PolynomialMap(("q",), ("strength",), (((1.0, {"q": 1}), (1.0, {"q": 2})),))
    likelihood = MappedLikelihood(BatchedLikelihood.from_workspace(DOCUMENT), polynomial)
    return likelihood, likelihood.observe([4.0]), Problems.make(likelihood, 1)


def fits() -> None:
    """Compile the fits of all models."""
    minimise(*_problem(), MinimiseOptions(compiled=True))


def relaxations() -> None:
    """Compile the lower bounds of models with charges."""
    likelihood, observed, problems = _problem()
    found = relaxation(likelihood)
    assert found is not None
    relaxed_minima(found, observed, problems)


def main() -> None:
    """Compile both side by side, where numba is installed."""
    if available():
        run_jobs([Job("fits", fits), Job("relaxations", relaxations)], 2)


if __name__ == "__main__":
    main()
