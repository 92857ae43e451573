"""What all results have in common: frozen models, the envelope, and how numbers are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from histnu.core.units import in_unit

SCHEMA = "histnu-result/1"


PACKAGES = ("numpy", "scipy", "pyhf", "iminuit")


Numbers = tuple[float, ...]


class Model(BaseModel):
    """A frozen part of a result; NaN and unknown fields are mistakes."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        allow_inf_nan=False,
        defer_build=True,
    )

    def to_json(self) -> dict[str, Any]:
        """The fields as plain Python, named as in the JSON Schema."""
        return self.model_dump(mode="json", by_alias=True)


class Axis(Model):
    """A quantity on an axis: its name and unit."""

    name: str
    unit: str = ""


class Segment(Model):
    """One connected part of an allowed region.

    Attributes:
        lower, upper: its ends; None where it is open.
        lower_end, upper_end: ``crossing`` of the level, ``edge`` (an expected count is negative
            beyond), ``bound`` of the parameter, or ``open``.
    """

    lower: float | None
    upper: float | None
    lower_end: str = "crossing"
    upper_end: str = "crossing"


class Envelope(Model):
    """What all results have in common.

    Attributes:
        target: file or analysis that was asked. patches: that were applied to it before, as
            ``FILE`` or ``FILE::NAME``. measurement: whose settings of the parameters hold; empty
            where there are several documents.
        method: ``profile likelihood``, ``cls``, ``cls_toys``, ``feldman_cousins``, ...
        engine: ``batched``, ``pyhf`` or ``pyhf-scipy``.
        held: values at which parameters were held: of the model (a mass), and of the likelihood.
        data: the observed counts, or the Asimov data set without a signal.
        seed: of random numbers, None where there are none. n_toys: per value, 0 without toys.
        unit: of the answer. provenance: weakest of any input, None where nothing says.
        inputs: SHA-256 by name (of a patch: of its operations).
        versions: of histnu, Python and the numerical packages.
    """

    schema_: Literal["histnu-result/1"] = Field(default="histnu-result/1", alias="schema")
    target: str
    patches: tuple[str, ...] = ()
    measurement: str = ""
    method: str = "profile likelihood"
    engine: str = "batched"
    held: dict[str, float] = Field(default_factory=dict)
    data: Literal["observed", "asimov"] = "observed"
    seed: int | None = None
    n_toys: int = 0
    unit: str = ""
    provenance: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    def __str__(self) -> str:
        held = "".join(f", {k} = {v:g}" for k, v in self.held.items())
        name = " with ".join((self.target, *self.patches))
        return f"<{type(self).__name__} of {name}: {self.method}, {self.engine}{held}>"

    def __repr__(self) -> str:
        return str(self)


def number_text(value: float | None) -> str:
    """A number for people, ``open`` where an interval has no end."""
    return "open" if value is None else f"{value:.6g}"


def region_text(segments: Sequence[Segment], unit: str = "") -> str:
    """A region in words: ``[0.2, 1.1]``, ``< 1.086``, or several segments joined by ``or``.

    >>> region_text([Segment(lower=0.0, upper=1.086, lower_end="bound")], "mu_B")
    '< 1.086 mu_B (down to its bound 0)'
    """
    unit = in_unit("", unit)
    if not segments:
        return "no value is allowed"
    if len(segments) > 1:
        return " or ".join(f"[{_end(s, 'lower')}, {_end(s, 'upper')}]" for s in segments) + unit
    one = segments[0]
    lower, upper = (end in ("crossing", "edge") for end in (one.lower_end, one.upper_end))
    if lower and upper:
        return f"[{_end(one, 'lower')}, {_end(one, 'upper')}]{unit}"
    if upper:
        return f"< {number_text(one.upper)}{unit}{_at_bound(one, 'lower', 'down')}"
    if lower:
        return f"> {number_text(one.lower)}{unit}{_at_bound(one, 'upper', 'up')}"
    return f"[{_end(one, 'lower')}, {_end(one, 'upper')}]{unit}: no value is excluded"


def _at_bound(segment: Segment, side: str, direction: str) -> str:
    if getattr(segment, f"{side}_end") != "bound":
        return ""
    return f" ({direction} to its bound {number_text(getattr(segment, side))})"


def _end(segment: Segment, side: str) -> str:
    value, kind = number_text(getattr(segment, side)), getattr(segment, f"{side}_end")
    if kind == "edge":
        return f"{value} (a rate is negative beyond)"
    return f"its bound {value}" if kind == "bound" else value


R = TypeVar("R", bound=Envelope)


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
