"""Binning of channels: HistFactory JSON has none, the manifest beside a document does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from histnu.core.errors import ExportError, located
from histnu.core.serialize import shortened


@dataclass(frozen=True)
class Binning:
    """Observable of a channel.

    Attributes:
        name: identifier of the observable.
        title: what it is, for people.
        unit: unit of the edges.
        edges: B + 1 increasing edges.
    """

    name: str
    title: str
    unit: str
    edges: tuple[float, ...]

    @property
    def label(self) -> str:
        """Title with unit, for axes."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


def binnings(
    workspace: Mapping[str, Any], manifest: Mapping[str, Any] | None = None
) -> dict[str, Binning]:
    """Binning of every channel: from the manifest, else bin numbers.

    Args:
        workspace: HistFactory JSON.
        manifest: the manifest (``histnu-manifest/1``) written with it.

    Raises:
        ExportError: if the manifest has another number of bins, or edges that do not increase.
    """
    described: dict[str, Any] = {}
    for experiment in (manifest or {}).get("experiments", {}).values():
        described |= experiment["channels"]
    result = {}
    for channel in workspace["channels"]:
        name, n_bins = channel["name"], len(channel["samples"][0]["data"])
        if name not in described:
            edges = tuple(float(i) for i in range(n_bins + 1))
            result[name] = Binning(f"bin_{name}", "bin number", "", edges)
            continue
        entry = described[name]
        edges = tuple(float(e) for e in entry["edges"])
        if not np.all(np.diff(edges) > 0) or not np.all(np.isfinite(edges)):
            problem = f"edges {shortened(str(list(edges)))} do not increase"
            raise ExportError(located(None, f"channel {name}", problem, "mend the manifest"))
        if len(edges) != n_bins + 1:
            problem = f"the manifest has {len(edges) - 1} bins, the workspace {n_bins}"
            raise ExportError(located(None, f"channel {name}", problem, "use its own manifest"))
        title = entry.get("observable_title", entry["observable"])
        result[name] = Binning(entry["observable"], title, entry["unit"], edges)
    return result
