"""What a verb works on: a workspace file (with its manifest, if there is one) or an analysis."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histnu.core.errors import ConfigError, HistnuError, WorkspaceError, located
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import read_json
from histnu.export.hepdata import archived_likelihood
from histnu.inference.engine.fit import AnyLikelihood
from histnu.workspace.manifest_reader import checked_manifest, manifest_beside, polynomial_of
from histnu.workspace.selection import PATCHSET, Selected, Selection, require_measurement, select

if TYPE_CHECKING:
    from histnu.analysis.schema import Analysis
    from histnu.inference.engine.likelihood import BatchedLikelihood

log = logging.getLogger(__name__)


FREE, ALL = "free", "all"
Setting = float | Literal["free"]
"""A value at which a parameter is held, or ``free``: profiled although its model holds it."""


@dataclass(frozen=True)
class Target:
    """A likelihood to work on.

    Attributes:
        name: file or analysis.
        document: HistFactory JSON workspace.
        polynomial: physical parameters -> strengths, where a manifest or an analysis says so.
        units: physical parameter -> unit.
        provenance: weakest provenance of the inputs, or None where nothing says.
        held: held parameters of the model (a mass) -> value.
        fixed: parameters of the likelihood that are to be held -> value.
        companions: the other physical parameters when one is asked: ``profiled`` or ``zero``.
        free: those of them that are profiled even so; ``all`` stands for every one.
        measurement: that was chosen, None where the parameter that is asked decides.
        patches: that were applied to the document. inputs: digests of it and of them.
    """

    name: str
    document: dict[str, Any] = field(repr=False)
    polynomial: PolynomialMap | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    provenance: str | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    companions: str = "profiled"
    free: tuple[str, ...] = ()
    measurement: str | None = None
    patches: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Short name for figures: of the file, the patches and the chosen measurement."""
        name = self.name.removesuffix("/workspace.json").rsplit("/", 1)[-1]
        patches = (p.rpartition("::")[2].rsplit("/", 1)[-1] for p in self.patches)
        return ", ".join((name, *patches, *filter(None, [self.measurement])))

    def held_companions(self, asked: Collection[str]) -> dict[str, float]:
        """Physical parameters that are zero because others are asked.

        Raises:
            ConfigError: for a parameter that is set free and is none.
        """
        physical = () if self.polynomial is None else self.polynomial.parameters
        for name in self.free:
            if name not in (*physical, ALL):
                known = ", ".join((*physical, ALL))
                problem = f"{name} is no physical parameter to set free"
                raise ConfigError(located(self.name, "--set", problem, f"use one of {known}"))
        if self.companions != "zero" or ALL in self.free:
            return {}
        kept = {*asked, *self.free, *self.fixed}
        return {p: 0.0 for p in physical if p not in kept}

    @property
    def pois(self) -> tuple[str, ...]:
        """Parameters of interest of the measurements, in their order; the chosen one first."""
        ordered = sorted(self.document["measurements"], key=lambda m: m["name"] != self.measurement)
        return tuple(dict.fromkeys(m["config"]["poi"] for m in ordered))


@dataclass(frozen=True)
class ParameterOfInterest:
    """One parameter of a target, with the likelihood that answers for it.

    Attributes:
        likelihood: in strengths, or in physical parameters.
        parameter: its name in the likelihood.
        name: the name the user gave.
        squared: True where the likelihood's parameter is the square of what was asked.
        unit: unit of what was asked.
        measurement: name of the measurement whose settings hold.
        taken: True where it is the first of several because none was chosen.
        fixed: parameters of the likelihood that are held -> value.
        at: held parameters of the model -> value, built into the likelihood.
    """

    likelihood: AnyLikelihood
    parameter: str
    name: str
    squared: bool
    unit: str
    measurement: str = ""
    taken: bool = False
    fixed: Mapping[str, float] = field(default_factory=dict)
    at: Mapping[str, float] = field(default_factory=dict)

    def value(self, x: float | None) -> float | None:
        """Convert a value of the likelihood's parameter to what was asked."""
        if x is None or not self.squared:
            return x
        return max(x, 0.0) ** 0.5

    def inverse(self, x: float) -> float:
        """Convert a value of what was asked to the likelihood's parameter."""
        return x * x if self.squared else x


def _described(
    chosen: Selected, manifest: Mapping[str, Any] | None, settings: Mapping[str, Setting]
) -> Target:
    """The target of a document and what its manifest says; settings hold its parameters."""
    name, document = chosen.name, chosen.document
    fixed, free = split(settings)
    made = Target(
        name, document, fixed=fixed, free=free,
        measurement=chosen.measurement, patches=chosen.patches, inputs=chosen.inputs,
    )  # fmt: skip
    if manifest is None:
        return made
    held = manifest.get("options", {}).get("held", {})
    for name_held in held:
        if name_held in fixed:
            mend = "build a document with another value, or give the analysis"
            problem = f"{name_held} = {held[name_held]:g} is built in"
            raise ConfigError(located(name, "--set", problem, mend))
    return replace(
        made,
        polynomial=polynomial_of(manifest, document, f"{name} (manifest)"),
        units=manifest.get("units", {}),
        provenance=manifest.get("provenance"),
        held=held,
        companions=manifest.get("options", {}).get("companions", "profiled"),
    )


def split(settings: Mapping[str, Setting]) -> tuple[dict[str, float], tuple[str, ...]]:
    """What is held at a value, and what is set free."""
    fixed = {k: float(v) for k, v in settings.items() if v != FREE}
    return fixed, tuple(k for k, v in settings.items() if v == FREE)


def with_held(
    analysis: Analysis, settings: Mapping[str, float]
) -> tuple[Analysis, dict[str, float]]:
    """The analysis with the held parameters of its model set, and the settings that are left."""
    from histnu.analysis.hypothesis import signal_model

    names = {h.name for h in signal_model(analysis.model).held}
    values = {k: v for k, v in settings.items() if k in names}
    return analysis.holding(values), {k: v for k, v in settings.items() if k not in names}


def load_target(
    text: str | Path,
    settings: Mapping[str, Setting] | None = None,
    selection: Selection | None = None,
) -> Target:
    """Load a workspace file, or assemble an analysis.

    Args:
        text: path of a workspace (``.json``), a HEPData submission or likelihood archive
            (``ARCHIVE`` or ``ARCHIVE::NAME``), an analysis file or the name of an analysis.
        settings: values of held parameters of the model, and of parameters of the likelihood
            that are to be fixed; ``free`` for those that are to be profiled although their model
            asks one at a time.
        selection: measurement, and patches of a workspace.

    Raises:
        HistnuError: for anything that cannot be read, and for a held parameter without a value.
    """
    settings, selection = dict(settings or {}), selection or Selection()
    archived = archived_likelihood(str(text))
    if archived is not None:
        name, manifest = archived.name, archived.manifest
        chosen = select(name, archived.document, selection, archived.patchset)
        if manifest is not None:
            manifest = checked_manifest(manifest, f"{name} (manifest)")
        return _described(chosen, manifest, settings)
    path = Path(text)
    if path.suffix == ".json" or path.is_dir():
        path = path / "workspace.json" if path.is_dir() else path
        log.info("likelihood %s", path)
        beside = path.with_name(PATCHSET)
        found = beside if selection.patched and beside.is_file() else None
        chosen = select(str(path), read_json(path), selection, found)
        return _described(chosen, manifest_beside(path), settings)
    return _assembled(str(text), settings, selection)


def _assembled(text: str, settings: Mapping[str, Setting], selection: Selection) -> Target:
    """The target of an analysis."""
    from histnu.analysis.assemble import assemble
    from histnu.analysis.schema import load_analysis

    fixed, free = split(settings)
    analysis, rest = with_held(load_analysis(text), fixed)
    if selection.patched:
        mend = "build its workspace first (histnu build)"
        raise ConfigError(located(text, "--patch", "an analysis takes no patch", mend))
    assembly = assemble(analysis)
    document = dict(assembly.workspace)
    if selection.measurement is not None:
        require_measurement(document, selection.measurement, text)
    return Target(
        analysis.name,
        document,
        assembly.polynomial if assembly.model.parameters else None,
        {p.name: p.unit for p in assembly.model.parameters},
        assembly.provenance,
        assembly.held,
        rest,
        assembly.model.companions,
        free,
        selection.measurement,
    )


def target_of(
    document: dict[str, Any],
    settings: Mapping[str, Setting] | None = None,
    selection: Selection | None = None,
) -> Target:
    """The target of a workspace that is there already.

    Raises:
        WorkspaceError: if it is no valid HistFactory JSON workspace.
    """
    return _described(select("workspace", document, selection or Selection()), None, settings or {})


def parameters_of(target: Target) -> tuple[str, ...]:
    """What can be asked: physical parameters, parameters of interest, all others of the document.

    Names of parameters per bin are those of their sets.
    """
    modifiers = (
        modifier["name"]
        for channel in target.document["channels"]
        for sample in channel["samples"]
        for modifier in sample["modifiers"]
    )
    physical = () if target.polynomial is None else target.polynomial.parameters
    return tuple(dict.fromkeys((*physical, *target.pois, *modifiers)))


def parameter_names(text: str) -> tuple[str, ...]:
    """What can be asked of a target, without fits: of an analysis the parameters of its model.

    Nothing where the target cannot be read: this is for a shell that completes words.
    """
    from histnu.analysis.hypothesis import signal_model
    from histnu.analysis.schema import analysis_names, load_analysis

    try:
        if text in analysis_names():
            model = signal_model(load_analysis(text).model)
            return tuple(p.name for p in model.parameters)
        return parameters_of(load_target(text))
    except HistnuError:
        return ()


def is_lone_square(polynomial: PolynomialMap, parameter: str) -> str | None:
    """The strength that is the square of the parameter and of nothing else, if there is one."""
    users = [
        (output, monomials)
        for output, monomials in zip(polynomial.outputs, polynomial.terms, strict=True)
        if any(parameter in powers for _, powers in monomials)
    ]
    if len(users) == 1 and list(users[0][1]) == [(1.0, {parameter: 2})]:
        return users[0][0]
    return None


def parameter_of_interest(
    target: Target, poi: str | None, beside: Collection[str] = (), needed: bool = True
) -> ParameterOfInterest:
    """Prepare the likelihood for one parameter, or for one and those asked ``beside`` it.

    A parameter of interest of the document is used as it is. A physical parameter that enters as
    the square of one strength (a magnetic moment) is asked through that strength, the other
    strengths held as the measurement says. Any other physical parameter (a charge) is asked with
    its companions profiled, or held at zero, as its model says. Any other parameter of the
    document is asked in its first measurement. The measurement that was chosen for the target
    goes before all of these. Where a parameter is not ``needed`` (a fit) a document without a
    parameter of interest has none: its name is empty.

    Raises:
        ConfigError: for a name that is none of these, or no name where one is needed.
        WorkspaceError: for a document that is not valid.
    """
    measurements = _by_parameter(target)
    asked = poi or target.pois[0]
    parameter, unit = _asked_through(target, asked, measurements)
    measurement, taken = _measurement(target, poi, parameter, measurements)
    base = _likelihood(target, measurement)
    names = {p for p in (parameter, *beside) if p not in measurements}
    mapped = parameter not in measurements and not names.isdisjoint(_physical(target))
    likelihood = _mapped(target, base) if mapped else base
    if parameter or needed:
        _require_known(target, likelihood, parameter, asked)
    if needed:
        _require_free(target, likelihood, {parameter, asked, *beside}, measurement)
    zeros = target.held_companions((asked, *beside)) if mapped else {}
    fixed = {**zeros, **target.fixed}
    for name in fixed:
        likelihood.index(name)
    return ParameterOfInterest(
        likelihood, parameter, asked, parameter != asked, unit, measurement, taken, fixed,
        dict(target.held),
    )  # fmt: skip


def _physical(target: Target) -> tuple[str, ...]:
    """Physical parameters of the model, of which the strengths are polynomials."""
    return () if target.polynomial is None else tuple(target.polynomial.parameters)


def _asked_through(
    target: Target, asked: str, measurements: Mapping[str, Sequence[str]]
) -> tuple[str, str]:
    """The parameter of the likelihood that answers for a name, and the unit of the answer."""
    if asked in measurements:
        return asked, _strength_unit(target, asked)
    unit = target.units.get(asked, "")
    if target.polynomial is not None and asked in target.polynomial.parameters:
        strength = is_lone_square(target.polynomial, asked)
        if strength is not None and strength in measurements:
            return strength, unit
    return asked, unit  # physical, or any parameter of the document, if it has one of this name


def _measurement(
    target: Target, poi: str | None, parameter: str, measurements: Mapping[str, Sequence[str]]
) -> tuple[str, bool]:
    """Name of the measurement, and whether it is the first of several: none was chosen."""
    if target.measurement is not None:
        return target.measurement, False
    every = [name for names in measurements.values() for name in names]
    others = every[:1] if poi in _physical(target) else every
    candidates = every if poi is None else measurements.get(parameter, others)
    return candidates[0], len(candidates) > 1


def _mapped(target: Target, base: BatchedLikelihood) -> AnyLikelihood:
    """The likelihood of the physical parameters of the model."""
    from histnu.inference.engine.mapped import MappedLikelihood

    assert target.polynomial is not None
    return MappedLikelihood(base, target.polynomial)


def _require_known(target: Target, likelihood: AnyLikelihood, parameter: str, asked: str) -> None:
    """Raise unless the likelihood has the parameter."""
    if parameter in likelihood.parameter_names:
        return
    names = (*target.pois, *_physical(target), *likelihood.parameter_names)
    known = ", ".join(dict.fromkeys(n for n in names if n))
    problem = f"unknown {asked!r}" if asked else "the document has no parameter of interest"
    raise ConfigError(located(target.name, "--poi", problem, f"use one of {known}"))


def _by_parameter(target: Target) -> dict[str, list[str]]:
    """Parameter of interest -> names of its measurements, in the order of the document."""
    found: dict[str, list[str]] = {}
    for m in target.document["measurements"]:
        found.setdefault(m["config"]["poi"], []).append(m["name"])
    return found


def _require_free(
    target: Target, likelihood: AnyLikelihood, names: Collection[str], measurement: str
) -> None:
    """Raise if a parameter that is asked is held: its best fit would be where it is held."""
    for name in sorted(names):
        if name in target.fixed:
            problem = f"{name} is held at {target.fixed[name]:g} and asked"
            raise ConfigError(located(target.name, "--set", problem, "do one of both"))
        if name in likelihood.parameter_names and likelihood.fixed[likelihood.index(name)]:
            problem = f"{name} is fixed in measurement {measurement}"
            mend = "take fixed out of its settings, or ask another parameter"
            if target.measurement is not None:
                mend = "choose another measurement or parameter"
            raise ConfigError(located(target.name, "--poi", problem, mend))


def _likelihood(target: Target, measurement: str) -> BatchedLikelihood:
    """The likelihood of a measurement; an error names the file."""
    from histnu.inference.engine.likelihood import BatchedLikelihood

    try:
        return BatchedLikelihood.from_workspace(target.document, measurement=measurement)
    except WorkspaceError as error:
        raise WorkspaceError(f"{target.name}: {error}") from None


def _strength_unit(target: Target, strength: str) -> str:
    """Unit of a strength: the square of a physical unit where it is one."""
    if target.polynomial is None or strength not in target.polynomial.outputs:
        return ""
    k = target.polynomial.outputs.index(strength)
    units = {
        (target.units.get(p, "?"), sum(powers.values()))
        for _, powers in target.polynomial.terms[k]
        for p in powers
    }
    if len(units) != 1:
        return ""
    unit, power = next(iter(units))
    return unit if power == 1 else f"({unit})^{power}"
