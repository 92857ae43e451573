"""How to answer: options of every verb, and the fields that all results share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histnu.analysis.target import ParameterOfInterest, Target
from histnu.core.errors import FitError
from histnu.core.executor import Executor, Local
from histnu.core.serialize import digest, jsonable
from histnu.inference.asimov import asimov
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.global_min import GlobalOptions
from histnu.inference.engine.problems import MinimiseOptions
from histnu.inference.limits import IntervalOptions
from histnu.inference.results import Result
from histnu.inference.toys import Chunk, ToyOptions, ToyStatistics
from histnu.verbs.envelope import Model

Array = NDArray[np.float64]


METHODS: Mapping[str, str] = {
    "profile": "profile likelihood",
    "cls": "cls",
    "cls-toys": "cls_toys",
    "toys": "feldman_cousins",
}
"""Methods of an interval, and how results name them."""


@dataclass(frozen=True)
class Search:
    """How hard to look for the global minimum of a likelihood with interference.

    Attributes:
        starts: Newton starts. linear_points: points of the scan for further minima. None: the
            defaults of :mod:`histnu.inference`.
    """

    starts: int | None = None
    linear_points: int | None = None


@dataclass(frozen=True)
class Options:
    """How to answer.

    Attributes:
        method: a key of ``METHODS``, for intervals.
        cl, dof: confidence level and degrees of freedom of the threshold.
        statistic: of the test of a value: ``q_tilde`` or ``q``.
        engine: ``batched``, ``pyhf`` (minuit) or ``pyhf-scipy``.
        held: parameters held at values.
        data: observed counts, or the Asimov data set without a signal.
        n_toys, seed, progress: of methods with toys.
        at: held parameters of the model, which are coordinates of the toys.
        executor: where scans, and templates along a held axis, are computed.
        run: computes chunks of toys somewhere else; in this process if None.
        search: of the global minimum.
        many: thousands of fits follow, so that compiled loops are worth loading.
        allow_uncertified: give a result, marked as such, where a fit is not certified.
    """

    method: str = "profile"
    cl: float = 0.9
    dof: int = 1
    statistic: str = "q_tilde"
    engine: str = "batched"
    held: Mapping[str, float] = field(default_factory=dict)
    data: Literal["observed", "asimov"] = "observed"
    n_toys: int = 1000
    seed: int = 0
    progress: Callable[[int, int], None] | None = None
    at: Mapping[str, float] = field(default_factory=dict)
    executor: Executor = field(default_factory=Local)
    run: Callable[[Sequence[Chunk]], list[ToyStatistics]] | None = None
    search: Search = Search()
    many: bool = False
    allow_uncertified: bool = False

    @property
    def fit(self) -> FitOptions:
        """Options of single fits."""
        minimise = MinimiseOptions(compiled=self.many or "toys" in self.method)
        search = GlobalOptions(minimise=minimise)
        if self.search.starts is not None:
            search = replace(search, starts=self.search.starts)
        return FitOptions(
            minimise=minimise,
            search=search,
            engine=self.engine,
            fixed=dict(self.held),
            allow_uncertified=self.allow_uncertified,
        )

    @property
    def interval(self) -> IntervalOptions:
        """Options of intervals of the profile likelihood."""
        if self.search.linear_points is None:
            return IntervalOptions(fit=self.fit)
        return IntervalOptions(fit=self.fit, linear_points=self.search.linear_points)

    @property
    def toy_options(self) -> ToyOptions:
        """Options of toys."""
        return ToyOptions(
            self.n_toys, self.seed, fit=self.fit, progress=self.progress, held=self.at, run=self.run
        )

    def counts(self, interest: ParameterOfInterest) -> Array | None:
        """The data to use: None means those of the workspace."""
        return asimov(interest.likelihood) if self.data == "asimov" else None


def inputs_of(target: Target) -> dict[str, str]:
    """Digests that identify what was asked: SHA-256 of the likelihood document, and of patches."""
    return dict(target.inputs) or {target.name: digest(target.document)}


def common_fields(
    target: Target, interest: ParameterOfInterest, options: Options
) -> dict[str, Any]:
    """The fields of an envelope that every verb shares."""
    return {
        "target": target.name,
        "patches": target.patches,
        "measurement": interest.measurement,
        "engine": options.engine,
        "held": {**target.held, **options.held},
        "data": options.data,
        "provenance": target.provenance,
    }


def shared_fields(found: Result, kind: type[Model], *without: str) -> dict[str, Any]:
    """The fields of a result of the statistics that a verb's result has as well."""
    names = {f.name for f in fields(found)} & set(kind.model_fields) - set(without)
    return {name: jsonable(getattr(found, name), exact=True) for name in names}


def settled(interest: ParameterOfInterest, options: Options) -> Options:
    """The options with what is held for the parameter, and by the model."""
    return replace(options, held={**interest.fixed, **options.held}, at=dict(interest.at))


def toy_fields(options: Options) -> dict[str, Any]:
    """Seed and number of toys, of methods that have toys."""
    if "toys" not in options.method:
        return {}
    return {"seed": options.seed, "n_toys": options.n_toys}


def required(value: float | None) -> float:
    if value is None:
        raise FitError("the fit gave no value")
    return value
