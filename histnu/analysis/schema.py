"""The file of an analysis: which experiments, which hypothesis, which statistical choices.

An analysis is a YAML file of schema ``histnu-analysis/1``; those of the package (``histnu list``)
are known by name::

    schema: histnu-analysis/1
    name: my_search
    title: Sterile dipole with my experiment and LZ
    experiments: [lz_er_ws2024, path/to/my_experiment.yaml]
    model: {name: sterile_dipole, held: {m4: 0.5}, unit: 1e-11 mu_B}
    fluxes:
      b8: {total_cm2_s: 5.46e+6, relative: 0.12, source: "my reference"}
    interpolation: normsys
    correction: none

Every channel declares what recoils, in which material, and which source the neutrinos come from;
the Standard Model, the fluxes and the response that apply follow from that, so any experiments can
be mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from histnu.core import installed
from histnu.core.errors import ConfigError, known_names
from histnu.core.forms import read_form
from histnu.experiments.builders import BUILDERS
from histnu.experiments.schema import Finite, Positive
from histnu.releases import found

ANALYSIS_SCHEMA = "histnu-analysis/1"


PATTERN = "analyses/*.yaml"


class Strict(BaseModel):
    """A section of an analysis file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ModelSection(Strict):
    """The hypothesis.

    Attributes:
        name: a registered model (``histnu list``), or ``tabulated``.
        held: values of its held parameters, in their units (``{m4: 5.0}``).
        unit: unit of the parameters, ``1e-11 mu_B``; the model's own if None.
        options: further options of the model.
        table: of the model ``tabulated``: a CSV file with ``e_recoil_kev`` and columns of dR/dT in
            events/(t yr keV); each column has a strength of its own name.
    """

    name: str
    held: dict[str, Finite] = Field(default_factory=dict)
    unit: str | None = None
    options: dict[str, Finite] = Field(default_factory=dict)
    table: str | None = None


class FluxSection(Strict):
    """Total flux of a component and its Gaussian uncertainty.

    With ``relative: null`` the flux is free: ``<component>_strength`` multiplies its samples.
    """

    total_cm2_s: Positive
    relative: float | None = Field(gt=0, lt=1, strict=True)
    source: str


class Analysis(Strict):
    """What is analysed, and how.

    Attributes:
        fluxes: component (``b8``) -> flux, instead of that of the source.
        flux: the same where only one component matters.
    """

    schema_: Literal["histnu-analysis/1"] = Field(default="histnu-analysis/1", alias="schema")
    name: str = Field(pattern=r"^[a-zA-Z0-9_]+$")
    title: str
    experiments: tuple[str, ...] = Field(min_length=1)
    model: ModelSection
    flux: FluxSection | None = None
    fluxes: dict[str, FluxSection] = Field(default_factory=dict)
    interpolation: Literal["normsys", "linear"] = "normsys"
    correction: Literal["none", "published_sm"] = "none"

    def holding(self, values: Mapping[str, float]) -> Analysis:
        """The analysis at other values of held parameters of its model.

        Raises:
            ConfigError: for a parameter that the model does not hold, or a value it refuses.
        """
        from histnu.analysis.hypothesis import signal_model

        model = self.model.model_copy(update={"held": {**self.model.held, **values}})
        signal_model(model)
        return self.model_copy(update={"model": model})


def analysis_names() -> tuple[str, ...]:
    """Names of the analyses of this package and of others that are installed."""
    return tuple(installed.installed_files(PATTERN))


def builtin() -> dict[str, Analysis]:
    """All installed analyses by name.

    >>> "magnetic_moment_combined" in builtin()
    True
    """
    return {name: _installed(name) for name in analysis_names()}


@lru_cache(maxsize=256)
def _installed(name: str) -> Analysis:
    return _read(installed.installed_files(PATTERN)[name])


def load_analysis(name_or_path: str | Path) -> Analysis:
    """Return an installed analysis by name, or read an analysis file.

    Raises:
        ConfigError: for an unknown name, or a file that breaks the schema.
    """
    text = str(name_or_path)
    if text in analysis_names():
        return _installed(text)
    path = Path(text)
    if path.suffix not in {".yaml", ".yml"}:
        known = known_names(text, analysis_names())
        mend = "or give the path of a workspace.json, its folder or an analysis file"
        raise ConfigError(f"unknown analysis {text!r}; {known} (histnu list analyses); {mend}")
    return _read(path)


def _read(path: Path) -> Analysis:
    """Read an analysis file; files it names are relative to it."""
    analysis = read_form(Analysis, path, ANALYSIS_SCHEMA)
    if analysis.model.table is not None:
        table = str(path.parent / analysis.model.table)
        model = analysis.model.model_copy(update={"table": table})
        analysis = analysis.model_copy(update={"model": model})
    near = [
        str(path.parent / e) if e.endswith((".yaml", ".yml")) else e for e in analysis.experiments
    ]
    return analysis.model_copy(update={"experiments": tuple(near)})


@dataclass(frozen=True)
class Needs:
    """What an analysis needs beyond the core of the package.

    Attributes:
        releases: public releases it reads at run time.
        missing: those that are not here.
        extras: optional dependencies (``releases``) of its inputs.
    """

    releases: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


def needs(analysis: Analysis) -> Needs:
    """Releases and optional dependencies of the experiments of an analysis."""
    releases: list[str] = []
    extras: list[str] = []
    for name in analysis.experiments:
        if name in BUILDERS:
            releases += BUILDERS[name].releases
            extras.append("releases")
    here = found() if releases else {}
    unique = tuple(dict.fromkeys(releases))
    missing = tuple(r for r in unique if not here.get(r))
    return Needs(unique, missing, tuple(dict.fromkeys(extras)))
