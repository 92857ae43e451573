"""How to fit: the options that every verb of the statistics takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from histnu.core.errors import FitError
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.problems import MinimiseOptions
from histnu.inference.engine.starts import StartOptions

ENGINES = ("batched", "pyhf", "pyhf-scipy")
AnyLikelihood = BatchedLikelihood | MappedLikelihood


@dataclass(frozen=True)
class FitOptions:
    """How to fit.

    Attributes:
        minimise: options of the Newton minimiser.
        search: options of the global search, used for polynomial models only.
        engine: ``batched``, or for the reference ``pyhf`` (minuit) or ``pyhf-scipy``.
        fixed: parameters held at a value in every fit.
        starts: how many starts, and when two of them agree.
        allow_uncertified: give a result, marked as such, where a fit did not converge or was
            not certified, instead of an error.
    """

    minimise: MinimiseOptions = field(default_factory=MinimiseOptions)
    search: GlobalOptions = field(default_factory=GlobalOptions)
    engine: str = "batched"
    fixed: Mapping[str, float] = field(default_factory=dict)
    starts: StartOptions = field(default_factory=StartOptions)
    allow_uncertified: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise FitError(f"unknown engine {self.engine!r}; choose from {', '.join(ENGINES)}")
