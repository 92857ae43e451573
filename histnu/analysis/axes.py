"""Titles and bin edges of the channels of a target, and projections on one axis of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.serialize import read_json
from histnu.export.hepdata import archived_likelihood

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """One observable: its title, unit and (B + 1,) edges, or None for numbered bins."""

    title: str
    unit: str = ""
    edges: Array | None = None

    @property
    def label(self) -> str:
        """``title [unit]``."""
        return (
            self.title if self.numbered or self.unit in ("", "1") else f"{self.title} [{self.unit}]"
        )

    @property
    def numbered(self) -> bool:
        """Whether the bins have numbers rather than values."""
        if self.edges is None or self.unit == "bin":
            return True
        return self.unit == "1" and np.array_equal(self.edges, np.arange(len(self.edges)))

    @property
    def bins(self) -> tuple[str, ...]:
        """What to call each bin; none without edges."""
        if self.edges is None:
            return ()
        if self.numbered:
            return tuple(f"bin {k}" for k in range(1, len(self.edges)))
        return tuple(f"{a:g} to {b:g} {self.unit}".rstrip() for a, b in pairwise(self.edges))


@dataclass(frozen=True)
class ChannelAxes:
    """Title and observables of a channel; bins are flattened, the last axis fastest."""

    title: str
    axes: tuple[Axis, ...]

    def projection(self, k: int, n_bins: int) -> Array:
        """Return the matrix (B_k, B) that adds all bins with the same place on axis ``k``.

        >>> edges = np.array([0.0, 1.0, 2.0])
        >>> two = ChannelAxes("run", (Axis("x", edges=edges), Axis("y", edges=edges)))
        >>> two.projection(0, 4).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
        """
        edges = [a.edges for a in self.axes]
        if len(self.axes) == 1 or any(e is None for e in edges):
            return np.eye(n_bins)
        shape = tuple(len(e) - 1 for e in edges if e is not None)
        place = np.indices(shape)[k].ravel()
        return np.asarray((place[None] == np.arange(shape[k])[:, None]).astype(float))


def channel_axes(text: str | Path) -> dict[str, ChannelAxes]:
    """Return channel -> axes of a target as :func:`histnu.analysis.target.load_target` takes it.

    Empty for a workspace without a manifest: its bins have numbers only.

    Raises:
        HistnuError: for an unknown analysis, or a file that cannot be read.
    """
    archived = archived_likelihood(str(text))
    if archived is not None:
        return _of_manifest(archived.manifest or {})
    path = Path(text)
    if path.suffix == ".json" or path.is_dir():
        folder = path if path.is_dir() else path.parent
        manifest = folder / "manifest.json"
        return _of_manifest(read_json(manifest)) if manifest.exists() else {}
    return _of_analysis(str(text))


def _of_manifest(manifest: Mapping[str, Any]) -> dict[str, ChannelAxes]:
    """The channels that a manifest describes."""
    found = {}
    for experiment in manifest.get("experiments", {}).values():
        for name, c in experiment.get("channels", {}).items():
            single = {"title": c["observable_title"], "unit": c["unit"], "edges": c["edges"]}
            axes = tuple(
                Axis(a["title"], a["unit"], np.asarray(a["edges"], dtype=float))
                for a in c.get("axes", [single])
            )
            found[name] = ChannelAxes(c["title"], axes)
    return found


def _of_analysis(name: str) -> dict[str, ChannelAxes]:
    """The channels of the experiments of an analysis."""
    from histnu.analysis.schema import load_analysis
    from histnu.experiments.loader import load_experiment

    return {
        c.name: ChannelAxes(
            c.title, tuple(Axis(a.title, a.unit, a.edges) for a in c.observable.axes)
        )
        for experiment in load_analysis(name).experiments
        for c in load_experiment(experiment).channels
    }
