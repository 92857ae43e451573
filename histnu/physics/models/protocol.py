"""What a hypothesis is; third parties register theirs under the entry point ``histnu.models``.

The rate of a hypothesis is a polynomial in its parameters theta over a few basis spectra,

    dR/dT = sum_k s_k(theta) dR_k/dT,

for every process it knows (nuclear, electron recoils). A model declares all that generic code needs
to build likelihoods, grids and scans of it, so that no generic code knows its name:

* ``parameters``: the physical parameters theta, each with unit, bounds and default scan;
* ``terms``: the strengths s_k, each with its monomials, bounds, and whether it can stand alone;
* ``held``: parameters that the basis spectra themselves depend on (a mass): given or scanned;
* ``companions``: whether the other parameters are profiled when one is asked, or zero;
* ``grids``: default grids beyond those that follow from the scans;
* ``basis_spectra``: dR_k/dT of one :class:`~histnu.physics.scattering.Scattering`.

:class:`Model` has a default for everything but ``name``, ``parameters``, ``terms`` and
``basis_spectra``. A model with interference has a term whose spectrum may be negative; a model that
shifts the Standard Model (a mixing angle, a charge radius) has terms linear and quadratic in the
shift, to be added to the Standard Model's spectrum::

    @dataclass(frozen=True)
    class ChargeRadius(Model):
        name = "charge_radius"
        parameters = (Parameter("r2", r"\\langle r^2\\rangle", "1e-32 cm^2", (-50.0, 50.0)),)
        terms = (
            Term("r2_linear", ((1.0, {"r2": 1}),), (-50.0, 50.0), alone=False),
            Term("r2_squared", ((1.0, {"r2": 2}),), (0.0, 2500.0)),
        )

        def basis_spectra(self, scattering, e_recoil_kev):
            ...  # {"r2_linear": dR/dT, "r2_squared": dR/dT}, for r2 = one unit
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError
from histnu.core.polynomial import Monomial, PolynomialMap
from histnu.core.units import split_unit
from histnu.physics.scattering import RECOILS, Scattering

Array = NDArray[np.float64]
Axis = tuple[str, tuple[float, ...]]
"""A parameter and its values, one axis of a grid."""
Companions = Literal["profiled", "zero"]
"""What becomes of the other parameters of a model when one is asked."""


@dataclass(frozen=True)
class Parameter:
    """A physical parameter of a model.

    Attributes:
        name: identifier, ``[a-zA-Z0-9_]+``.
        symbol: LaTeX symbol for figures.
        unit: unit of the values, a number and what it multiplies (``1e-9 mu_B``). An analysis may
            choose another number: bounds, scans and grids then count in that unit.
        bounds: allowed values in that unit.
        description: what it is, one line.
        scan: values of a default scan and grid, increasing.
    """

    name: str
    symbol: str
    unit: str
    bounds: tuple[float, float]
    description: str = ""
    scan: tuple[float, ...] = ()


@dataclass(frozen=True)
class HeldParameter(Parameter):
    """A parameter that is never fitted: it is given, or scanned, and echoed in every result.

    Attributes:
        attribute: attribute of the model that holds its value; ``name`` if empty.
    """

    attribute: str = ""


@dataclass(frozen=True)
class Term:
    """One basis spectrum and its strength, a ``normfactor`` of a workspace.

    Attributes:
        name: name of the spectrum and of its strength.
        monomials: the strength ``s_k(theta)`` as ``(coefficient, {parameter: power})``. All must
            have the same degree in parameters of one unit, so that the unit can be changed.
        bounds: allowed strengths, in the unit of the analysis; an upper bound None is chosen from
            the data.
        alone: whether it can be the only strength that floats, and so have a measurement of its
            own (an interference cannot).
    """

    name: str
    monomials: tuple[Monomial, ...]
    bounds: tuple[float, float | None] = (0.0, None)
    alone: bool = True


@runtime_checkable
class SignalModel(Protocol):
    """A signal hypothesis (see the module for the meaning of each attribute).

    Attributes:
        name: name used in analyses.
        title: what it is, a few words for titles of analyses and figures.
        reference: equation or paper.
        processes: recoils it makes, of ``nuclear`` and ``electron``.
        uses_source: whether spectra depend on the neutrino source (a table of dR/dT does not, and
            then no flux uncertainty applies).
        companions: the other parameters when one is asked: ``profiled``, or held at ``zero`` unless
            the user sets them free.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def processes(self) -> tuple[str, ...]: ...
    @property
    def uses_source(self) -> bool: ...
    @property
    def companions(self) -> Companions: ...
    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    @property
    def held(self) -> tuple[HeldParameter, ...]: ...
    @property
    def terms(self) -> tuple[Term, ...]: ...
    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]: ...
    @property
    def polynomial(self) -> PolynomialMap: ...

    def holding(self, values: Mapping[str, float]) -> Self:
        """The model at other values of its held parameters."""
        ...

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return dR_k/dT in events/(t yr keV), (N,), for every term that the source can make.

        Spectra are those of parameters of one unit; the Standard Model's are its rate. A term may
        be left out where the source has none of the flavours it needs.
        """
        ...


class Model:
    """Defaults of the protocol; a model is a frozen dataclass derived from it."""

    name: str = ""
    title: str = ""
    reference: str = ""
    processes: tuple[str, ...] = RECOILS
    uses_source: bool = True
    companions: Companions = "profiled"
    parameters: tuple[Parameter, ...] = ()
    held: tuple[HeldParameter, ...] = ()
    terms: tuple[Term, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values of held parameters that are outside their bounds."""
        values = {h.name: getattr(self, h.attribute or h.name) for h in self.held}
        _held_attributes(self.name, self.held, values)

    @property
    def polynomial(self) -> PolynomialMap:
        """Map from the parameters to the strengths of the terms."""
        return PolynomialMap(
            tuple(p.name for p in self.parameters),
            tuple(t.name for t in self.terms),
            tuple(t.monomials for t in self.terms),
        )

    @property
    def grids(self) -> Mapping[str, tuple[Axis, ...]]:
        """One grid per parameter with a scan; with held parameters, planes of both."""
        inner = [(p.name, p.scan) for p in self.parameters if p.scan]
        outer = [(h.name, h.scan) for h in self.held if h.scan]
        if len(outer) < len(self.held):
            return {}
        return {"_".join((*(o[0] for o in outer), p[0])): (*outer, p) for p in inner}

    def holding(self, values: Mapping[str, float]) -> Self:
        """The model at other values of its held parameters.

        Raises:
            PhysicsError: for an unknown parameter, or a value outside its bounds.
        """
        return replace(self, **_held_attributes(self.name, self.held, values))  # type: ignore[type-var]


def _held_attributes(
    model: str, held: tuple[HeldParameter, ...], values: Mapping[str, float]
) -> dict[str, Any]:
    """Attributes of a model that hold the values, after checking these."""
    known = {h.name: h for h in held}
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            names = ", ".join(known) or "none"
            raise PhysicsError(f"model {model} holds no parameter {name!r}; held: {names}")
        low, high = known[name].bounds
        if not (np.isfinite(value) and low <= value <= high):
            unit = known[name].unit
            raise PhysicsError(
                f"{name} = {value} {unit} must be finite and in [{low:g}, {high:g}] {unit}"
            )
        result[known[name].attribute or name] = float(value)
    return result


def linear(low: float, high: float, points: int) -> tuple[float, ...]:
    """Equally spaced values of a scan, both ends included."""
    return tuple(np.linspace(low, high, points).tolist())


def logarithmic(low: float, high: float, points: int) -> tuple[float, ...]:
    """Logarithmically spaced values of a scan, both ends included."""
    return tuple(np.geomspace(low, high, points).tolist())


def planes(pairs: tuple[tuple[str, str], ...], values: tuple[float, ...]) -> dict[str, Any]:
    """Grids of planes of two parameters that have the same values."""
    return {f"{x}_{y}": ((x, values), (y, values)) for x, y in pairs}


@dataclass(frozen=True)
class InUnit:
    """A model whose parameters count in another unit; the same physics, exactly.

    Only the number of the unit may change (``1e-9 mu_B`` to ``1e-11 mu_B``). A spectrum whose
    strength has degree n is multiplied by ``ratio**n``.

    Attributes:
        model: the model in its own unit.
        unit: unit of all its parameters with the same dimension.
    """

    model: SignalModel
    unit: str

    def __post_init__(self) -> None:
        wanted, base = split_unit(self.unit)
        known = {split_unit(p.unit)[1] for p in self.model.parameters}
        if base not in known:
            names = ", ".join(sorted(known)) or "nothing"
            raise PhysicsError(
                f"unit {self.unit!r}: model {self.model.name} counts in {names}; give a number "
                "and one of these"
            )
        if not (np.isfinite(wanted) and wanted > 0):
            raise PhysicsError(f"unit {self.unit!r} must be positive and finite")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in {"model", "unit"}:
            raise AttributeError(name)
        return getattr(self.model, name)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters; names, symbols, bounds and scans stay."""
        base = split_unit(self.unit)[1]
        return tuple(
            replace(p, unit=self.unit) if split_unit(p.unit)[1] == base else p
            for p in self.model.parameters
        )

    def holding(self, values: Mapping[str, float]) -> InUnit:
        """The model at other values of its held parameters."""
        return InUnit(self.model.holding(values), self.unit)

    @property
    def factors(self) -> dict[str, float]:
        """Factor of the spectrum of every term.

        Raises:
            PhysicsError: if a strength has no single degree in the parameters.
        """
        wanted, base = split_unit(self.unit)
        units = {p.name: split_unit(p.unit) for p in self.model.parameters}
        ratio = {k: wanted / scale if b == base else 1.0 for k, (scale, b) in units.items()}
        result = {}
        for term in self.model.terms:
            found = [np.prod([ratio[k] ** n for k, n in m.items()]) for _, m in term.monomials]
            if any(not np.isclose(a, b, rtol=1e-12) for a, b in itertools.pairwise(found)):
                raise PhysicsError(
                    f"model {self.model.name}: {term.name} mixes powers of its parameters; its "
                    "unit cannot change"
                )
            result[term.name] = float(found[0]) if found else 1.0
        return result

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Spectra of parameters of one new unit."""
        factors = self.factors
        spectra = self.model.basis_spectra(scattering, e_recoil_kev)
        return {k: np.asarray(factors[k] * v) for k, v in spectra.items()}
