"""Typed, frozen results of every verb, in one JSON envelope.

Every result says what was asked (target, parameter, method, level, held values, data, seed), what
the answer is, in which unit, from inputs of which provenance, by which engine, and, once it is
:func:`stamped`, the digests of the inputs and the versions that made it. The JSON Schema of all
kinds is in the package (``data/schemas/result.json``).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SCHEMA = "histnu-result/1"
PACKAGES = ("numpy", "scipy", "pyhf", "iminuit")
Ends = tuple[float | None, float | None]
"""Lower and upper end of an interval; None where it is open or stops at a bound."""
Numbers = tuple[float, ...]


class Model(BaseModel):
    """A frozen part of a result; NaN and unknown fields are mistakes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    def to_json(self) -> dict[str, Any]:
        """The fields as plain Python, named as in the JSON Schema."""
        return self.model_dump(mode="json", by_alias=True)


class Axis(Model):
    """A quantity on an axis: its name and unit."""

    name: str
    unit: str = ""


class Estimate(Model):
    """A best fit and the ends of its interval at a confidence level."""

    best_fit: float
    lower: float | None
    upper: float | None
    cl: float


class Envelope(Model):
    """What all results have in common.

    Attributes:
        target: file or analysis that was asked.
        method: ``profile likelihood``, ``cls``, ``cls_toys``, ``feldman_cousins``, ...
        engine: ``batched``, ``pyhf`` or ``pyhf-scipy``.
        held: values at which parameters were held. data: the observed counts, or the Asimov
            data set without a signal. seed: of random numbers, None where there are none.
        unit: of the answer. provenance: weakest of any input, None where nothing says.
        inputs: SHA-256 by name. versions: of histnu, Python and the numerical packages.
    """

    schema_: Literal["histnu-result/1"] = Field(default="histnu-result/1", alias="schema")
    target: str
    method: str = "profile likelihood"
    engine: str = "batched"
    held: dict[str, float] = Field(default_factory=dict)
    data: Literal["observed", "asimov"] = "observed"
    seed: int | None = None
    unit: str = ""
    provenance: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


class Bound(Envelope):
    """A confidence interval of one parameter, the others profiled.

    Attributes:
        cl, dof: confidence level and degrees of freedom of the threshold on -2 log L.
        lower, upper: outermost ends. intervals: the allowed set, a union of intervals.
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
    intervals: tuple[Ends, ...]
    best_fit: float
    parameters: dict[str, float]
    twice_nll: float
    converged: bool
    certified: bool | None = None


class Profile(Envelope):
    """``Delta = -2 log [L(x, others profiled) / L(best fit)]`` at values of one parameter."""

    kind: Literal["profile"] = "profile"
    parameter: str
    values: Numbers
    delta_twice_nll: Numbers
    best_fit: float
    twice_nll: float
    converged: bool


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


class MassCurve(Envelope):
    """Upper ends of a parameter against a held one: the contour of -2 log L in both.

    Attributes:
        x: the held parameter. values: where it was held. lower, upper: of ``parameter`` there,
            None where there is no end or the process is closed.
        best_fit: of ``parameter`` at the global minimum, and ``best_fit_x`` where that is.
    """

    kind: Literal["mass_curve"] = "mass_curve"
    parameter: str
    x: Axis
    values: Numbers
    cl: float
    dof: int
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    best_fit: float
    best_fit_x: float


class Fit(Envelope):
    """The global minimum of -2 log L."""

    kind: Literal["fit"] = "fit"
    parameters: dict[str, float]
    twice_nll: float
    converged: bool
    certified: bool | None = None


class Test(Envelope):
    """CLs of one value of a parameter; errors are binomial, of (CL_s+b, CL_b, CLs)."""

    __test__ = False  # no test of pytest
    kind: Literal["test"] = "test"
    parameter: str
    value: float
    cls: float
    cl_b: float
    cl_sb: float
    expected: Numbers
    test_statistic: float
    n_toys: int = 0
    errors: Numbers = ()


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
    n_toys: int


class Coverage(Envelope):
    """How often the interval of a toy covers the truth, with its binomial error."""

    kind: Literal["coverage"] = "coverage"
    parameter: str
    truth: dict[str, float]
    cl: float
    n_toys: int
    covered: int
    coverage: float
    error: float
    failed: int


class ChannelCounts(Model):
    """Events per bin of one channel: observed, and expected before any fit."""

    channel: str
    edges: Numbers
    observed: Numbers
    signal: Numbers
    background: Numbers
    provenance: str


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
    | Test
    | Toys
    | Coverage
    | Rates
    | Agreement
    | Spectrum
)
_ADAPTER: TypeAdapter[AnyResult] = TypeAdapter(Annotated[AnyResult, Field(discriminator="kind")])


R = TypeVar("R", bound=Envelope)


def parse_result(document: Mapping[str, Any]) -> AnyResult:
    """The typed result of a JSON document.

    Raises:
        pydantic.ValidationError: if it breaks the schema.
    """
    return _ADAPTER.validate_python(document)


def result_schema() -> dict[str, Any]:
    """JSON Schema of every kind of result."""
    schema = _ADAPTER.json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        **schema,
    }


def versions() -> dict[str, str]:
    """Versions of histnu, Python and the numerical packages."""
    import platform

    import histnu

    found = {"histnu": histnu.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def stamped(result: R, inputs: Mapping[str, str]) -> R:
    """The result with the digests of its inputs and the versions that made it."""
    return result.model_copy(update={"inputs": dict(inputs), "versions": versions()})
