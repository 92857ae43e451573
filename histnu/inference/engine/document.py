"""Read a HistFactory JSON workspace without pyhf: strictly, and in one pass.

The checks are those of pyhf's JSON schema 1.0.0 and of its model, so that a document that passes
here passes there; channels and samples that appear twice, and truth values in the place of
numbers, are refused as well. One pass over a document of two megabytes takes a tenth of a second.

References: HistFactory, CERN-OPEN-2012-016; pyhf 0.7 (``pyhf/schemas/1.0.0/defs.json``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import FitError, WorkspaceError

Array = NDArray[np.float64]
Key = tuple[str, str]

SUPPORTED = ("normfactor", "normsys", "histosys", "lumi", "shapesys", "staterror", "shapefactor")
_LISTS = ("shapesys", "staterror")
_PARAMETER_LISTS = ("inits", "auxdata", "factors", "sigmas")


@dataclass(frozen=True)
class SampleSpec:
    """A sample of one channel: nominal yields (bins,) and modifiers by (type, name)."""

    name: str
    data: Array
    modifiers: dict[Key, Any]


@dataclass(frozen=True)
class ChannelSpec:
    """A channel: its bins among those of all channels, and its samples in the order of pyhf."""

    name: str
    bins: slice
    samples: tuple[SampleSpec, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A model: channels in the order of pyhf, settings of parameters, name of the POI or None."""

    channels: tuple[ChannelSpec, ...]
    parameters: dict[str, Mapping[str, Any]]
    poi: str | None

    @property
    def n_bins(self) -> int:
        """Number of bins of all channels."""
        return self.channels[-1].bins.stop


def read_workspace(
    document: Mapping[str, Any], measurement: str | None = None
) -> tuple[ModelSpec, Array]:
    """Return the model of one measurement (the first if None) and the observation (B,).

    Raises:
        WorkspaceError: the document is no valid workspace.
        FitError: a modifier type is not supported.
    """
    _keys(document, "the document", ("channels", "measurements", "observations", "version"))
    if document["version"] != "1.0.0":
        raise WorkspaceError(f"version is {document['version']!r}; give '1.0.0'")
    config = _measurement(document["measurements"], measurement)
    model = read_model(document["channels"], config["parameters"], config["poi"] or None)
    return model, _observation(document["observations"], model)


def read_model(channels: Any, parameters: Any, poi: str | None) -> ModelSpec:
    """Return a model from its channels and settings of parameters, as in a ``pyhf.Model``."""
    spec = {}
    for channel in _array(channels, "channels"):
        where = f"channel {_name(channel, 'a channel')!r}"
        _keys(channel, where, ("name", "samples"))
        if channel["name"] in spec:
            raise WorkspaceError(f"{where} appears twice; give every channel its own name")
        spec[channel["name"]] = _samples(channel["samples"], where)
    out, start = [], 0
    for name in sorted(spec):
        stop = start + len(spec[name][0].data)
        out.append(ChannelSpec(name, slice(start, stop), spec[name]))
        start = stop
    return ModelSpec(tuple(out), _settings(parameters), poi)


def _samples(samples: Any, where: str) -> tuple[SampleSpec, ...]:
    """Return the samples of a channel, sorted by name; all have the bins of the first."""
    out = {}
    size = None
    for sample in _array(samples, f"samples of {where}"):
        at = f"sample {_name(sample, where)!r} of {where}"
        _keys(sample, at, ("name", "data", "modifiers"))
        data = _numbers(sample["data"], f"data of {at}", size)
        size = len(data)
        if sample["name"] in out:
            raise WorkspaceError(f"{at} appears twice; give every sample its own name")
        modifiers = _modifiers(sample["modifiers"], at, size)
        out[sample["name"]] = SampleSpec(sample["name"], data, modifiers)
    return tuple(out[name] for name in sorted(out))


def _modifiers(modifiers: Any, where: str, size: int) -> dict[Key, Any]:
    """Return the contents of modifiers; of two with one type and name the last one counts."""
    if not isinstance(modifiers, list | tuple):
        raise WorkspaceError(f"modifiers of {where} is no array")
    out: dict[Key, Any] = {}
    for modifier in modifiers:
        at = f"modifier {_name(modifier, where)!r} of {where}"
        _keys(modifier, at, ("name", "type", "data"))
        kind, key = modifier["type"], (modifier["type"], modifier["name"])
        if kind not in SUPPORTED:
            raise FitError(
                f"the batched engine does not support the modifier type {kind!r}; "
                f"supported: {', '.join(SUPPORTED)}; use the pyhf engine"
            )
        if kind == "shapesys" and key in out:
            raise WorkspaceError(f"{at} appears twice; a shapesys belongs to one sample")
        out[key] = _content(kind, modifier, (at, size))
    return out


def _content(kind: str, modifier: Mapping[str, Any], where: tuple[str, int]) -> Any:
    """Return what a modifier holds: arrays (bins,), two numbers, or None."""
    data, (at, size) = modifier["data"], where
    if kind in _LISTS:
        return _numbers(data, f"data of {at}", size)
    if kind == "histosys":
        _keys(data, at, ("lo_data", "hi_data"))
        return tuple(_numbers(data[key], f"{key} of {at}", size) for key in ("lo_data", "hi_data"))
    if kind == "normsys":
        _keys(data, at, ("lo", "hi"))
        low, high = _numbers([data["lo"], data["hi"]], at, 2).tolist()
        if low <= 0 or high <= 0:
            raise FitError(f"normsys: {at} has lo={low}, hi={high}; both must be > 0; use histosys")
        return low, high
    if data is not None:
        raise WorkspaceError(f"data of {at} is not null, which a {kind} needs")
    if kind == "lumi" and modifier["name"] != "lumi":
        raise WorkspaceError(f"{at}: a lumi modifier must have the name 'lumi'")
    return None


def _measurement(measurements: Any, name: str | None) -> Mapping[str, Any]:
    """Return the ``config`` of one measurement."""
    known: dict[str, Mapping[str, Any]] = {}
    for measurement in _array(measurements, "measurements"):
        at = f"measurement {_name(measurement, 'a measurement')!r}"
        _keys(measurement, at, ("name", "config"))
        _keys(measurement["config"], f"config of {at}", ("poi", "parameters"))
        if not isinstance(measurement["config"]["poi"], str):
            raise WorkspaceError(f"poi of {at} is no text; give a name, or '' for none")
        known.setdefault(measurement["name"], measurement["config"])
    chosen: Mapping[str, Any] | None = known.get(next(iter(known)) if name is None else name)
    if chosen is None:
        raise WorkspaceError(f"no measurement {name!r}; choose from {', '.join(known)}")
    return chosen


def _observation(observations: Any, model: ModelSpec) -> Array:
    """Return the observed counts of all channels in the order of the model."""
    found = {}
    for observation in _array(observations, "observations"):
        at = f"observation {_name(observation, 'an observation')!r}"
        _keys(observation, at, ("name", "data"))
        found[observation["name"]] = _numbers(observation["data"], f"data of {at}", None)
    out = np.empty(model.n_bins)
    for channel in model.channels:
        width = channel.bins.stop - channel.bins.start
        if len(found.get(channel.name, ())) != width:
            raise WorkspaceError(f"channel {channel.name!r} has no observation of {width} bins")
        out[channel.bins] = found[channel.name]
    return out


def _settings(parameters: Any) -> dict[str, Mapping[str, Any]]:
    """Return the settings of parameters by name."""
    out: dict[str, Mapping[str, Any]] = {}
    if not isinstance(parameters, list | tuple):
        raise WorkspaceError("parameters of the measurement is no array")
    for setting in parameters:
        name = _name(setting, "parameters")
        where = f"parameter {name!r}"
        _keys(setting, where, ("name",), (*_PARAMETER_LISTS, "bounds", "fixed"))
        for key in _PARAMETER_LISTS:
            if key in setting:
                _numbers(setting[key], f"{key} of {where}", None)
        for pair in _array(setting["bounds"], where) if "bounds" in setting else ():
            _numbers(pair, f"bounds of {where}", 2)
        if not isinstance(setting.get("fixed", False), bool):
            raise WorkspaceError(f"fixed of {where} is neither true nor false")
        if name in out:
            raise WorkspaceError(f"{where} is configured twice")
        out[name] = setting
    return out


def _keys(
    given: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    """Raise unless ``given`` is an object with these keys."""
    if not isinstance(given, Mapping):
        raise WorkspaceError(f"{where} is no object")
    for key in required:
        if key not in given:
            raise WorkspaceError(f"{where} has no {key!r}")
    if len(given) > len(required):
        extra = sorted(set(given) - {*required, *optional})
        if extra:
            raise WorkspaceError(f"{where} has the unknown field {extra[0]!r}")


def _name(given: Any, where: str) -> str:
    """Return the name of an object."""
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise WorkspaceError(f"something in {where} is no object with a name")
    return str(given["name"])


def _array(given: Any, where: str) -> list[Any]:
    """Return an array that is not empty."""
    if not isinstance(given, list | tuple) or not given:
        raise WorkspaceError(f"{where} is no array, or an empty one")
    return list(given)


def _numbers(given: Any, where: str, size: int | None) -> Array:
    """Return numbers (size,); any number of them, but one, if ``size`` is None."""
    kinds = set(map(type, _array(given, where)))
    if not kinds <= {int, float} and not all(
        issubclass(k, int | float | np.number) and k is not bool for k in kinds
    ):
        raise WorkspaceError(f"{where} holds something that is no number")
    out = np.array(given, dtype=float)
    if size is not None and len(out) != size:
        raise WorkspaceError(f"{where} has {len(out)} numbers; give {size}")
    return out
