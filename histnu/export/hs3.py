"""HS3 (HEP Statistics Serialization Standard) documents of HistFactory workspaces.

One ``histfactory_dist`` per channel, one likelihood, one analysis per measurement; parameters
keep their HistFactory names (those per bin get the suffix ``_bin_<i>``). Interpolations are
stated (code4 and code4p, pyhf's defaults), which HistFactory JSON cannot do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import histnu
from histnu.core.errors import ExportError, located
from histnu.core.serialize import write_json
from histnu.export.bins import Binning, binnings
from histnu.workspace.patchset import INTERPOLATION_CODES
from histnu.workspace.rates import DEFAULT_RANGES

VERSION = "0.2"
PER_BIN = ("shapefactor", "shapesys", "staterror")


def hs3_document(
    workspace: Mapping[str, Any], manifest: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The HS3 document of a workspace.

    Args:
        workspace: HistFactory JSON; its parameters of interest must exist.
        manifest: source of edges; without it the axes are bin numbers.

    Raises:
        ExportError: for a ``lumi`` modifier, which HS3 does not know.
    """
    axes = binnings(workspace, manifest)
    measurements = workspace["measurements"]
    domains = [_domain(workspace, m) for m in measurements]
    points = [_point(workspace, m) for m in measurements]
    return {
        "metadata": {
            "hs3_version": VERSION,
            "packages": [{"name": "histnu", "version": histnu.__version__}],
        },
        "distributions": [_channel(c, axes[c["name"]]) for c in workspace["channels"]],
        "data": [_data(o, axes[o["name"]]) for o in workspace["observations"]],
        "likelihoods": [_likelihood([c["name"] for c in workspace["channels"]])],
        "domains": _with_default(domains, "default_domain"),
        "parameter_points": _with_default(points, "default_values"),
        "analyses": [_analysis(m) for m in measurements],
    }


def _data(observation: Mapping[str, Any], binning: Binning) -> dict[str, Any]:
    """Observed counts of a channel."""
    name = observation["name"]
    axes = [_axis(name, binning)]
    return {"name": f"data_{name}", "type": "binned", "axes": axes, "contents": observation["data"]}


def _likelihood(channels: list[str]) -> dict[str, Any]:
    """The likelihood of all channels."""
    return {
        "name": "likelihood",
        "distributions": [f"model_{n}" for n in channels],
        "data": [f"data_{n}" for n in channels],
    }


def _with_default(entries: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Repeat the first entry under the name that ROOT looks for."""
    return [{**entries[0], "name": name}, *entries]


def write_hs3(
    workspace: Mapping[str, Any], path: str | Path, manifest: Mapping[str, Any] | None = None
) -> Path:
    """Write the HS3 document of a workspace and return its path (see :func:`hs3_document`)."""
    write_json(path, hs3_document(workspace, manifest))
    return Path(path)


def _axis(channel: str, binning: Binning) -> dict[str, Any]:
    """Axis of a channel; its name is unique in the likelihood."""
    return {"name": f"obs_{channel}", "edges": list(binning.edges)}


def _channel(channel: Mapping[str, Any], binning: Binning) -> dict[str, Any]:
    """The ``histfactory_dist`` of a channel."""
    name = channel["name"]
    return {
        "name": f"model_{name}",
        "type": "histfactory_dist",
        "axes": [_axis(name, binning)],
        "samples": [_sample(s, name) for s in channel["samples"]],
    }


def _sample(sample: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """A sample; absolute errors of a staterror go with its contents."""
    data: dict[str, Any] = {"contents": sample["data"]}
    modifiers = []
    for m in sample["modifiers"]:
        if m["type"] == "staterror":
            data["errors"] = m["data"]
        modifiers.append(_modifier(m, len(sample["data"]), f"{channel}/{sample['name']}"))
    return {"name": sample["name"], "data": data, "modifiers": modifiers}


def bin_parameters(name: str, n_bins: int) -> list[str]:
    """Names of the parameters of a modifier with one per bin.

    >>> bin_parameters("mc", 2)
    ['mc_bin_0', 'mc_bin_1']
    """
    return [f"{name}_bin_{i}" for i in range(n_bins)]


def _modifier(modifier: Mapping[str, Any], n_bins: int, where: str) -> dict[str, Any]:
    """One modifier in HS3's words."""
    name, kind, data = modifier["name"], modifier["type"], modifier["data"]
    entry: dict[str, Any] = {"name": name, "type": kind}
    if kind in PER_BIN:
        entry["parameters"] = bin_parameters(name, n_bins)
        if kind == "shapesys":
            entry |= {"constraint": "Poisson", "data": {"vals": data}}
        elif kind == "staterror":
            entry["constraint"] = "Gauss"
        return entry
    if kind == "normfactor":
        return {**entry, "parameter": name}
    if kind not in INTERPOLATION_CODES:
        mend = "write it as a normsys and export again"
        raise ExportError(located(None, where, f"HS3 has no {kind} modifier", mend))
    body: dict[str, Any] = {"interpolation": INTERPOLATION_CODES[kind]}
    if kind == "normsys":
        body |= {"hi": data["hi"], "lo": data["lo"]}
    else:
        body |= {"hi": {"contents": data["hi_data"]}, "lo": {"contents": data["lo_data"]}}
    return {**entry, "parameter": name, "constraint": "Gauss", "data": body}


def _parameters(
    workspace: Mapping[str, Any], measurement: Mapping[str, Any]
) -> Iterator[tuple[str, float, float, float, bool]]:
    """Name, start, bounds and constness of every parameter, those per bin one by one."""
    settings = {p["name"]: p for p in measurement["config"]["parameters"]}
    seen: set[str] = set()
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            for m in sample["modifiers"]:
                if m["name"] in seen:
                    continue
                seen.add(m["name"])
                per_bin = m["type"] in PER_BIN
                names = bin_parameters(m["name"], len(sample["data"])) if per_bin else [m["name"]]
                setting = settings.get(m["name"], {})
                for i, name in enumerate(names):
                    start, low, high = DEFAULT_RANGES[m["type"]]
                    start = float((setting.get("inits") or [start] * len(names))[i])
                    low, high = (setting.get("bounds") or [[low, high]] * len(names))[i]
                    yield name, start, float(low), float(high), bool(setting.get("fixed"))


def _domain(workspace: Mapping[str, Any], measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds of all parameters in a measurement."""
    axes = [
        {"name": name, "min": low, "max": high}
        for name, _, low, high, _ in _parameters(workspace, measurement)
    ]
    return {"name": f"domain_{measurement['name']}", "type": "product_domain", "axes": axes}


def _point(workspace: Mapping[str, Any], measurement: Mapping[str, Any]) -> dict[str, Any]:
    """Start values of all parameters in a measurement; fixed ones are constant."""
    parameters = [
        {"name": name, "value": start, "const": fixed}
        for name, start, _, _, fixed in _parameters(workspace, measurement)
    ]
    return {"name": f"start_{measurement['name']}", "parameters": parameters}


def _analysis(measurement: Mapping[str, Any]) -> dict[str, Any]:
    """One analysis: likelihood, parameter of interest, domain and start."""
    name = measurement["name"]
    return {
        "name": name,
        "likelihood": "likelihood",
        "parameters_of_interest": [measurement["config"]["poi"]],
        "domains": [f"domain_{name}"],
        "init": f"start_{name}",
    }
