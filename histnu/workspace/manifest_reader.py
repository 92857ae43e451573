"""Read the manifest beside a document, of ours or of anybody who writes ``histnu-manifest/1``."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from histnu.core.errors import DataError, located
from histnu.core.forms import Finite, Form, require
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import read_json

log = logging.getLogger(__name__)

SCHEMA = "histnu-manifest/1"
MEND = "use the manifest that was written with the document, or remove it"
HIGHEST_POWER = 8


class ChannelForm(Form):
    """Binning of a channel."""

    edges: list[Finite] = Field(min_length=2)
    observable: str
    unit: str
    observable_title: str = ""

    @field_validator("edges")
    @classmethod
    def _increasing(cls, edges: list[float]) -> list[float]:
        if any(b <= a for a, b in itertools.pairwise(edges)):
            raise ValueError("edges must increase")
        return edges


class ExperimentForm(Form):
    """Channels of an experiment."""

    channels: dict[str, ChannelForm]


class MonomialForm(Form):
    """A monomial of a strength."""

    coefficient: Finite
    powers: dict[str, Annotated[int, Field(strict=True, ge=0, le=HIGHEST_POWER)]]


class PolynomialForm(Form):
    """Physical parameters -> strengths."""

    parameters: list[str]
    outputs: list[str]
    terms: list[list[MonomialForm]]

    @model_validator(mode="after")
    def _consistent(self) -> PolynomialForm:
        if len(self.terms) != len(self.outputs):
            raise ValueError(f"{len(self.outputs)} outputs but {len(self.terms)} term lists")
        for names in (self.parameters, self.outputs):
            if len(set(names)) != len(names):
                raise ValueError("a name is repeated")
        used = {name for monomials in self.terms for m in monomials for name in m.powers}
        unknown = sorted(used - set(self.parameters))
        if unknown:
            raise ValueError(f"unknown parameter {unknown[0]!r} in the terms")
        return self


class ModelOptions(Form):
    """Held parameters of the model."""

    options: dict[str, Finite] = Field(default_factory=dict)


class BuildOptions(Form):
    """How the document was built."""

    model: ModelOptions = ModelOptions()


class ManifestForm(Form):
    """What verbs and exports read of a manifest."""

    experiments: dict[str, ExperimentForm] = Field(default_factory=dict)
    polynomial: PolynomialForm | None = None
    units: dict[str, str] = Field(default_factory=dict)
    provenance: Literal["published", "derived", "reconstructed"] | None = None
    options: BuildOptions = BuildOptions()


def manifest_beside(path: str | Path) -> dict[str, Any] | None:
    """The ``manifest.json`` in the folder of a file; None if there is none, or one of other tools.

    Raises:
        DataError: if it is not JSON, or damaged.
    """
    file = Path(path).with_name("manifest.json")
    if not file.exists():
        return None
    document = read_json(file)
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        log.warning("%s: is no %s and is not used", file, SCHEMA)
        return None
    return checked_manifest(document, str(file))


def checked_manifest(document: Any, path: str) -> dict[str, Any]:
    """The manifest, if it has its form.

    Raises:
        DataError: otherwise.
    """
    return require(ManifestForm, document, path, MEND)


def polynomial_of(
    manifest: Mapping[str, Any], workspace: Mapping[str, Any], path: str
) -> PolynomialMap | None:
    """The polynomial of a manifest, if all its strengths are parameters of the workspace.

    A background-only workspace has none of them until a patch is applied: then there is none.

    Raises:
        DataError: if the workspace has some of them only.
    """
    described = manifest.get("polynomial")
    if described is None:
        return None
    polynomial = PolynomialMap.from_json(described)
    names = {m["name"] for c in workspace["channels"] for s in c["samples"] for m in s["modifiers"]}
    missing = [name for name in polynomial.outputs if name not in names]
    if missing and len(missing) < len(polynomial.outputs):
        problem = f"the document has no parameter {missing[0]!r}"
        raise DataError(located(path, "polynomial.outputs", problem, MEND))
    return None if missing else polynomial
