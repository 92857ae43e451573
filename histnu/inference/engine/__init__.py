"""The batched profile-likelihood engine (see ``docs/engine.md``)."""

from histnu.inference.engine.fit import AnyLikelihood, FitOptions, fit
from histnu.inference.engine.global_min import GlobalOptions, global_minimise, relaxed_minimum
from histnu.inference.engine.likelihood import BatchedLikelihood, Derivatives, Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.minimize import minimise
from histnu.inference.engine.multistart import MultiStart
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems
from histnu.inference.engine.starts import StartOptions

__all__ = [
    "AnyLikelihood",
    "BatchFit",
    "BatchedLikelihood",
    "Derivatives",
    "FitOptions",
    "GlobalOptions",
    "MappedLikelihood",
    "MinimiseOptions",
    "MultiStart",
    "Observed",
    "Problems",
    "StartOptions",
    "fit",
    "global_minimise",
    "minimise",
    "relaxed_minimum",
]
