"""Shape modifiers of a built workspace: split off their normalisation; set parameter bounds.

A ``histosys`` is linear in its parameter beyond -1 and +1 and adds to other ``histosys``; a
``normsys`` is exponential and multiplies. A yield changes the rate by a factor, so its
normalisation belongs into a ``normsys`` and only the change of shape into a ``histosys`` of the
same parameter. Both are plain HistFactory. Samples whose strength is zero can be left out.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from histnu.core.errors import WorkspaceError
from histnu.core.types import ChannelSpec, Modifier, ParameterConfig, Sample, Workspace


def split_shapes(document: Workspace, parameters: Collection[str]) -> Workspace:
    """Write the shape modifiers of some parameters as ``normsys`` (total) and ``histosys`` (rest).

    ``f = sum(up)/sum(nominal)`` becomes the factor and ``up/f`` the shape, likewise down. Samples
    whose total is zero or changes sign keep their ``histosys``.

    Args:
        document: a workspace; it is not changed.
        parameters: names of nuisance parameters.

    Returns:
        A workspace that shares with the given one what is the same in both.
    """
    if not parameters:
        return document
    channels: list[ChannelSpec] = [
        {**c, "samples": [{**s, "modifiers": _split_sample(s, parameters)} for s in c["samples"]]}
        for c in document["channels"]
    ]
    return {**document, "channels": channels}


def _split_sample(sample: Sample, parameters: Collection[str]) -> list[Modifier]:
    total = float(np.sum(sample["data"]))
    modifiers: list[Modifier] = []
    for m in sample["modifiers"]:
        if m["type"] != "histosys" or m["name"] not in parameters or total == 0.0:
            modifiers.append(m)
            continue
        high, low = np.asarray(m["data"]["hi_data"]), np.asarray(m["data"]["lo_data"])
        up, down = float(high.sum()) / total, float(low.sum()) / total
        if up <= 0.0 or down <= 0.0:
            modifiers.append(m)
            continue
        shape = {"hi_data": (high / up).tolist(), "lo_data": (low / down).tolist()}
        modifiers.append({"name": m["name"], "type": "histosys", "data": shape})
        modifiers.append({"name": m["name"], "type": "normsys", "data": {"hi": up, "lo": down}})
    return modifiers


def with_bounds(document: Workspace, bounds: Mapping[str, tuple[float, float]]) -> Workspace:
    """Set the allowed range of nuisance parameters in every measurement.

    Parameters that no sample uses are ignored.

    Args:
        document: a workspace; it is not changed, and its channels are shared with the result.
        bounds: parameter -> (lower, upper).

    Raises:
        WorkspaceError: if a range is empty or not finite.
    """
    used = {m["name"] for c in document["channels"] for s in c["samples"] for m in s["modifiers"]}
    for name, (low, high) in bounds.items():
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise WorkspaceError(f"bounds of {name} are ({low}, {high}); give lower < upper")
    names = sorted(set(bounds) & used)
    measurements = copy.deepcopy(document["measurements"])
    for measurement in measurements:
        entries = {p["name"]: p for p in measurement["config"]["parameters"]}
        for name in names:
            entry: ParameterConfig = entries.get(name, {"name": name})
            entry["bounds"] = [[float(b) for b in bounds[name]]]
            if name not in entries:
                measurement["config"]["parameters"].append(entry)
    return {**document, "measurements": measurements}


def without_strengths(document: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The document without the samples of some strengths: exactly that with them at zero.

    Measurements of these strengths go, too; where none is left, the first one is that of a
    remaining strength.

    Raises:
        WorkspaceError: if no strength is left.
    """

    def strengths(sample: Sample) -> set[str]:
        return {m["name"] for m in sample["modifiers"] if m["type"] == "normfactor"}

    channels = [
        {**c, "samples": [s for s in c["samples"] if not strengths(s) & set(names)]}
        for c in document["channels"]
    ]
    left = [k for c in channels for s in c["samples"] for k in sorted(strengths(s))]
    if not left:
        raise WorkspaceError(f"no strength is left without {', '.join(sorted(names))}")
    measured = [m for m in document["measurements"] if m["config"]["poi"] not in names]
    if not measured:
        first = document["measurements"][0]
        measured = [{**first, "config": {**first["config"], "poi": left[0]}}]
    kept = [
        {**m, "config": {**m["config"], "parameters": [
            p for p in m["config"]["parameters"] if p["name"] not in names
        ]}}
        for m in measured
    ]  # fmt: skip
    return {**document, "channels": channels, "measurements": kept}
