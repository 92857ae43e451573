"""Typed, frozen results of every verb, in one JSON envelope.

Every result says what was asked (target, parameter, method, level, held values, data, seed), what
the answer is, in which unit, from inputs of which provenance, by which engine, and, once it is
:func:`stamped`, the digests of the inputs and the versions that made it. The JSON Schema of all
kinds is in the package (``data/schemas/result.json``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from histnu.core.units import in_unit
from histnu.verbs.envelope import (
    SCHEMA,
    Axis,
    Envelope,
    Model,
    Numbers,
    Segment,
    number_text,
    region_text,
)
from histnu.verbs.fit_results import FitSummary, Impacts, Significance


class Expected(Model):
    """Upper ends expected without a signal.

    Attributes:
        ensemble: ``asimov`` or ``toys``. nuisances: ``fitted`` to the data, or ``nominal``.
        sigmas: quantiles in standard deviations, -2 to 2. upper: ends there, None where open.
        open_fraction: of the toys, how many have no upper end.
    """

    method: str
    ensemble: str
    cl: float
    dof: int | None
    sigmas: Numbers
    upper: tuple[float | None, ...]
    n_toys: int = 0
    open_fraction: float = 0.0
    nuisances: str = "fitted"


class Estimate(Model):
    """A best fit and the ends of its interval at a confidence level."""

    best_fit: float
    lower: float | None
    upper: float | None
    cl: float


class Bound(Envelope):
    """A confidence interval of one parameter, the others profiled.

    Attributes:
        cl, dof: confidence level and degrees of freedom of the threshold on -2 log L.
        lower, upper: outermost ends, None where the region is open or ends at a bound.
        intervals: the allowed set, a union of segments.
        search: counts of fits and starts.
        boundary: where the rate of an empty bin is zero, and because of which sample.
        best_fit: of the parameter. parameters: of everything. twice_nll: -2 log L there.
        converged: whether the fits did. certified: whether the minimum was found more than once
            from different starts; None where that was not examined.
    """

    kind: Literal["bound"] = "bound"
    parameter: str
    cl: float
    dof: int | None
    lower: float | None
    upper: float | None
    intervals: tuple[Segment, ...]
    best_fit: float
    parameters: dict[str, float]
    twice_nll: float
    converged: bool
    certified: bool | None = None
    boundary: tuple[str, ...] = ()
    search: dict[str, int] = Field(default_factory=dict)
    expected: Expected | None = None

    def __str__(self) -> str:
        how = f"{self.method}, {self.engine}"
        how += f", {self.n_toys} toys, seed {self.seed}" if self.n_toys else ""
        return (
            f"{self.parameter}: {region_text(self.intervals, self.unit)} at {100 * self.cl:g} % CL "
            f"({how}); best fit {number_text(self.best_fit)}"
        )


class Profile(Envelope):
    """``Delta = -2 log [L(x, others profiled) / L(best fit)]`` at values of one parameter.

    Attributes:
        delta_twice_nll: None where the likelihood is undefined.
        certified: all of them, and ``certified_points`` one by one. search: counts of fits.
    """

    kind: Literal["profile"] = "profile"
    parameter: str
    values: Numbers
    delta_twice_nll: tuple[float | None, ...]
    best_fit: float
    twice_nll: float
    converged: bool
    certified: bool | None = None
    certified_points: tuple[bool, ...] = ()
    search: dict[str, int] = Field(default_factory=dict)


class Region(Envelope):
    """A region of two parameters: polylines on which Delta is the threshold."""

    kind: Literal["region"] = "region"
    x: Axis
    y: Axis
    cl: float
    dof: int
    threshold: float
    best_fit: tuple[float, float]
    polylines: tuple[tuple[tuple[float, float], ...], ...]
    converged: bool = True
    certified: bool | None = None
    search: dict[str, int] = Field(default_factory=dict)


class MassCurve(Envelope):
    """The allowed set of a parameter against a held one: the contour of -2 log L in both.

    Attributes:
        x: the held parameter. values: where it was held.
        allowed: set of ``parameter`` there, a union of segments, empty where the minimum at this
            value is above the level; None where the process is closed.
        lower, upper: outermost ends, None where there is none.
        best_fit: of ``parameter`` at the global minimum, and ``best_fit_x`` where that is.
    """

    kind: Literal["mass_curve"] = "mass_curve"
    parameter: str
    x: Axis
    values: Numbers
    cl: float
    dof: int
    allowed: tuple[tuple[Segment, ...] | None, ...] = ()
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    best_fit: float
    best_fit_x: float
    threshold: float | None = None
    certified: bool | None = None


class Fit(Envelope):
    """The global minimum of -2 log L."""

    kind: Literal["fit"] = "fit"
    parameters: dict[str, float]
    twice_nll: float
    converged: bool
    certified: bool | None = None


class Test(Envelope):
    """CLs of one value of a parameter, without a signal ``expected`` at -2 to 2 sigma.

    Attributes:
        statistic: ``q_tilde`` or ``q``. test_statistic: its value.
        errors: binomial, of (CL_s+b, CL_b, CLs); of toys only.
    """

    __test__ = False  # no test of pytest
    kind: Literal["test"] = "test"
    parameter: str
    value: float
    cls: float
    cl_b: float
    cl_sb: float
    expected: Numbers
    statistic: str = "q_tilde"
    test_statistic: float
    errors: Numbers = ()
    best_fit: float | None = None
    twice_nll: float | None = None
    certified: bool | None = None
    search: dict[str, int] = Field(default_factory=dict)

    def __str__(self) -> str:
        toys = f", {self.n_toys} toys per hypothesis, seed {self.seed}" if self.n_toys else ""
        value = in_unit(f"{self.parameter} = {self.value:g}", self.unit)
        return (
            f"{value}: CLs = {self.cls:.4g} (CLs+b = {self.cl_sb:.4g}, CLb = {self.cl_b:.4g}; "
            f"{self.statistic} = {self.test_statistic:.4g}, {self.method}, {self.engine}{toys}); "
            f"best fit {number_text(self.best_fit)}"
        )


class Toys(Envelope):
    """Acceptance of values of one parameter from toys (Neyman, Feldman-Cousins).

    Attributes:
        critical: quantile of Delta in toys at each value; p_value with its binomial error.
    """

    kind: Literal["toys"] = "toys"
    parameter: str
    cl: float
    values: Numbers
    delta_twice_nll: Numbers
    critical: Numbers
    p_value: Numbers
    error: Numbers


class Coverage(Envelope):
    """How often the interval of a toy covers the truth.

    Attributes:
        n_toys: toys that count. failed: toys left out. error: binomial, of ``coverage``.
        coverage_interval: 68.3 % Clopper-Pearson interval of it.
        best_fit: of the parameter, to the data.
    """

    kind: Literal["coverage"] = "coverage"
    parameter: str
    truth: dict[str, float]
    cl: float
    covered: int
    coverage: float
    coverage_interval: tuple[float, float]
    error: float
    failed: int
    best_fit: float
    certified: bool | None = None
    search: dict[str, int] = Field(default_factory=dict)


class MapAxis(Axis):
    """An axis of a map: values, and whether they are spaced by factors."""

    values: Numbers
    log: bool = False


class ToyMap(Envelope):
    """Acceptance and coverage of points on one or two axes, from toys (Feldman-Cousins).

    Arrays have one entry per point, the last axis fastest, None where nothing can be asked.

    Attributes:
        axes: parameters, the first may be held by the model (a mass). cl: confidence level.
        threshold: asymptotic, for ``dof`` degrees of freedom. best_fit: coordinates.
        delta_twice_nll: of the data. critical: quantile of the toys, with its error.
        p_value: fraction of toys at least as large as the data, with its error.
        coverage: fraction of toys within the asymptotic threshold, with its error.
        toys: number at each point; ``n_toys`` is the largest allowed.
        inside: accepted. decided: by three standard errors of the p-value.
        intervals, polylines: of the region of one or two parameters; ``asymptotic_`` with the
            threshold instead of the critical values.
        nuisances: of the toys: ``profiled`` on the data, or ``nominal``.
        precision: error of the p-value at which no more toys were drawn. rounds: of toys.
    """

    kind: Literal["toy_map"] = "toy_map"
    axes: tuple[MapAxis, ...]
    cl: float
    dof: int
    threshold: float
    best_fit: Numbers
    delta_twice_nll: tuple[float | None, ...]
    critical: tuple[float | None, ...]
    critical_error: tuple[float | None, ...]
    p_value: tuple[float | None, ...]
    error: tuple[float | None, ...]
    coverage: tuple[float | None, ...]
    coverage_error: tuple[float | None, ...]
    toys: tuple[int, ...]
    inside: tuple[bool, ...]
    decided: tuple[bool, ...]
    intervals: tuple[Segment, ...] = ()
    asymptotic_intervals: tuple[Segment, ...] = ()
    polylines: tuple[tuple[tuple[float, float], ...], ...] = ()
    asymptotic_polylines: tuple[tuple[tuple[float, float], ...], ...] = ()
    nuisances: Literal["profiled", "nominal"] = "profiled"
    precision: float | None = None
    everywhere: bool = False
    rounds: int
    failed: int
    certified: bool | None = None
    search: dict[str, int] = Field(default_factory=dict)


class ChannelCounts(Model):
    """Events per bin of one channel: observed, and expected before any fit."""

    channel: str
    edges: Numbers
    observed: Numbers
    signal: Numbers
    background: Numbers
    provenance: str


class Difference(Model):
    """One difference of two documents, see :class:`histnu.workspace.compare.Difference`."""

    where: str
    kind: str
    first: str | None = None
    second: str | None = None
    largest_relative: float | None = None


class NoAnswer(Model):
    """Why a target has no answer."""

    kind: Literal["no_answer"] = "no_answer"
    target: str
    parameter: str
    problem: str


class Comparison(Model):
    """What differs between two targets or results, and the limit on one parameter of both."""

    schema_: Literal["histnu-result/1"] = Field(default="histnu-result/1", alias="schema")
    kind: Literal["comparison"] = "comparison"
    first: str
    second: str
    differences: tuple[Difference, ...]
    answers: tuple[Bound | NoAnswer, ...] = ()


class Rates(Envelope):
    """Expected and observed events, and the fitted strength of the Standard Model signal.

    Attributes:
        flux_cm2_s: neutrino flux at strength one, None where there are several.
    """

    kind: Literal["rates"] = "rates"
    channels: tuple[ChannelCounts, ...]
    strength: Estimate
    flux_cm2_s: float | None = None


class Agreement(Envelope):
    """Agreement of background and Standard Model with the data.

    Attributes:
        chi2: Poisson deviance plus squared pulls, nuisances profiled at strength one.
        strength: of the Standard Model signal, left free.
    """

    kind: Literal["agreement"] = "agreement"
    bins: int
    observed: float
    expected_signal: float
    expected_background: float
    chi2: float
    chi2_per_bin: float
    nuisances: dict[str, float]
    strength: Estimate


class Spectrum(Envelope):
    """Counts and expectations per bin, and the signal of a parameter at its own limit.

    Attributes:
        value: limit of the parameter. signal: its events per channel and bin.
    """

    kind: Literal["spectrum"] = "spectrum"
    parameter: str
    value: float
    channels: tuple[ChannelCounts, ...]
    signal: tuple[Numbers, ...]


AnyResult = (
    Bound
    | Profile
    | Region
    | MassCurve
    | Fit
    | FitSummary
    | Impacts
    | Significance
    | Test
    | Toys
    | Comparison
    | Coverage
    | ToyMap
    | Rates
    | Agreement
    | Spectrum
)
"""A result of any verb that asks one likelihood."""
_ADAPTER: TypeAdapter[AnyResult] = TypeAdapter(Annotated[AnyResult, Field(discriminator="kind")])


def parse_result(document: Mapping[str, Any]) -> AnyResult:
    """The typed result of a JSON document.

    Raises:
        pydantic.ValidationError: if it breaks the schema.
    """
    return _ADAPTER.validate_python(document)


def result_schema() -> dict[str, Any]:
    """JSON Schema of every kind of result."""
    schema = _ADAPTER.json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}
