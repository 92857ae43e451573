"""Templates and data of a workspace as histograms (``hist`` objects) with axes and units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from histnu.export.bins import Binning, binnings


def templates(workspace: Mapping[str, Any]) -> dict[str, tuple[str, list[float]]]:
    """All templates: ``channel/sample/nominal`` (and ``/<modifier>_up``, ``_down``), and data.

    Returns:
        Path -> (channel, events per bin). Observed counts are ``channel/data``; relative
        uncertainties of a ``staterror`` or ``shapesys`` are ``channel/sample/<modifier>_sigma``.
    """
    found: dict[str, tuple[str, list[float]]] = {}
    observed = {o["name"]: o["data"] for o in workspace["observations"]}
    for channel in workspace["channels"]:
        name = channel["name"]
        found[f"{name}/data"] = (name, observed[name])
        for sample in channel["samples"]:
            base = f"{name}/{sample['name']}"
            found[f"{base}/nominal"] = (name, sample["data"])
            for m in sample["modifiers"]:
                for suffix, values in _variations(m, sample["data"]):
                    found[f"{base}/{m['name']}_{suffix}"] = (name, values)
    return found


def _variations(modifier: Mapping[str, Any], nominal: list[float]) -> list[tuple[str, list[float]]]:
    """Templates at one standard deviation of a modifier."""
    data, kind = modifier["data"], modifier["type"]
    if kind == "histosys":
        return [("up", data["hi_data"]), ("down", data["lo_data"])]
    if kind == "normsys":
        up, down = (np.asarray(nominal) * data[k] for k in ("hi", "lo"))
        return [("norm_up", up.tolist()), ("norm_down", down.tolist())]
    if kind in {"staterror", "shapesys"}:
        return [("sigma", list(data))]
    return []


def histograms(
    workspace: Mapping[str, Any], manifest: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Every template as a ``hist.Hist`` whose axis has the channel's edges, name and label.

    Args:
        workspace: HistFactory JSON.
        manifest: source of edges and units; without it the axes are bin numbers.

    Raises:
        ExportError: if ``hist`` is not installed, or the manifest does not fit.
    """
    axes = binnings(workspace, manifest)
    return {
        path: _histogram(axes[channel], values, path)
        for path, (channel, values) in templates(workspace).items()
    }


def _histogram(binning: Binning, values: list[float], path: str) -> Any:
    """One histogram with ``Double`` storage; its name is its path."""
    import hist

    axis = hist.axis.Variable(
        list(binning.edges), name=binning.name, label=binning.label, overflow=False, underflow=False
    )
    histogram = hist.Hist(axis, storage=hist.storage.Double(), name=path, label="events")
    histogram.view()[:] = values
    return histogram
