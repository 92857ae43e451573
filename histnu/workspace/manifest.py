"""Manifests: what a built document was made of, for whoever receives it.

HistFactory JSON holds neither bin edges nor units nor the interpolation code nor the formula of
the parameter of interest. The manifest beside a document states all of them, with the digests of
inputs and outputs.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import histnu
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import file_digest, read_json, write_json
from histnu.experiments.model import Axis, Channel, Experiment, weakest
from histnu.workspace.digests import document_digests
from histnu.workspace.patchset import INTERPOLATION_CODES

SCHEMA = "histnu-manifest/1"
ENVIRONMENT = ("numpy", "scipy", "pyhf")


def channel_description(channel: Channel) -> dict[str, Any]:
    """Bin edges, units, exposure and provenance of a channel."""
    observable = channel.observable
    several = len(observable.axes) > 1
    return {
        **({"axes": [_axis(a) for a in observable.axes]} if several else {}),
        "title": channel.title,
        "observable": observable.name,
        "observable_title": observable.title,
        "unit": observable.unit,
        "edges": [float(e) for e in observable.edges],
        "exposure": {"value": channel.exposure_tonne_year, "unit": "t yr"},
        "provenance": channel.provenance,
        "yields_unit": "events per bin",
    }


def _axis(axis: Axis) -> dict[str, Any]:
    """One axis of an observable; bins are flattened with the last axis running fastest."""
    edges = [float(e) for e in axis.edges]
    return {"name": axis.name, "title": axis.title, "unit": axis.unit, "edges": edges}


def experiment_description(experiment: Experiment) -> dict[str, Any]:
    """References, assumptions, inputs and channels of an experiment."""
    return {
        "title": experiment.title,
        "target": experiment.target,
        "recoil": experiment.recoil,
        "references": list(experiment.references),
        "assumptions": list(experiment.assumptions),
        "data_sets": list(experiment.data_sets),
        "provenance": experiment.provenance,
        "inputs": {path.name: digest for path, digest in _inputs(experiment)},
        "channels": {c.name: channel_description(c) for c in experiment.channels},
    }


def _inputs(experiment: Experiment) -> list[tuple[Path, str]]:
    """Input files of an experiment with their SHA-256, sorted by name."""
    return sorted((Path(p), d) for p, d in experiment.files.items())


def bin_edges(experiments: Sequence[Experiment]) -> dict[str, dict[str, Any]]:
    """Channel name -> bin edges and units, for metadata that travel with a PatchSet."""
    keep = ("observable", "unit", "edges")
    channels = [c for e in experiments for c in e.channels]
    described = {c.name: channel_description(c) for c in channels}
    return {name: {k: d[k] for k in keep} for name, d in described.items()}


def versions() -> dict[str, str]:
    """Versions that fix the bytes of a document."""
    return {"histnu": histnu.__version__, "histfactory_schema": "1.0.0"}


def environment() -> dict[str, str]:
    """Versions of the machine a document was built on, left out of comparisons."""
    found = {name: packages.version(name) for name in ENVIRONMENT}
    return {"python": platform.python_version(), **found}


@dataclass(frozen=True)
class Manifest:
    """Description of built documents.

    Attributes:
        analysis: name of the analysis.
        description: what it is, one or two sentences.
        experiments: the data sets.
        model: name of the signal model, and its reference.
        interpolation: ``normsys`` or ``linear``.
        polynomial: physical parameters -> strengths (``normfactor`` parameters).
        units: physical parameter -> unit.
        options: further settings of the build, JSON-ready.
    """

    analysis: str
    description: str
    experiments: tuple[Experiment, ...]
    model: tuple[str, str]
    interpolation: str
    polynomial: PolynomialMap | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(
        self, files: Sequence[str | Path] = (), with_environment: bool = True
    ) -> dict[str, Any]:
        """The manifest of some built files.

        Args:
            files: JSON documents; each is listed with its SHA-256 and, for workspaces, with the
                digests pyhf computes.
            with_environment: add the versions of this machine. Two manifests of the same build
                differ only there.

        Raises:
            DataError: if a file cannot be read.
        """
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "analysis": self.analysis,
            "description": self.description,
            "documents": {Path(f).name: _document(Path(f)) for f in files},
            "experiments": {e.name: experiment_description(e) for e in self.experiments},
            "model": {"name": self.model[0], "reference": self.model[1]},
            "interpolation": {"mode": self.interpolation, "codes": INTERPOLATION_CODES},
            "polynomial": None if self.polynomial is None else self.polynomial.to_json(),
            "units": dict(self.units),
            "options": dict(self.options),
            "provenance": weakest([e.provenance for e in self.experiments]),
            "versions": versions(),
        }
        if with_environment:
            document["environment"] = environment()
        return document

    def write(
        self, folder: str | Path, files: Sequence[str], with_environment: bool = True
    ) -> Path:
        """Write ``manifest.json`` for files in a folder and return its path."""
        path = Path(folder) / "manifest.json"
        write_json(path, self.to_json([Path(folder) / f for f in files], with_environment))
        return path


def _document(path: Path) -> dict[str, Any]:
    """Digests of one file; of workspaces also those of the document."""
    entry: dict[str, Any] = {"file_sha256": file_digest(path)}
    if path.suffix == ".json":
        content = read_json(path)
        if isinstance(content, dict) and "channels" in content and "measurements" in content:
            entry["kind"] = "workspace"
            entry["digests"] = document_digests(content)
        elif isinstance(content, dict) and "patches" in content:
            entry["kind"] = "patchset"
            entry["points"] = len(content["patches"])
    return entry
