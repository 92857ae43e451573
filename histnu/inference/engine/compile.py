"""Turn a HistFactory model into the arrays that the batched likelihood evaluates.

Each (channel, sample) is a :class:`Row`: nominal yields, functions of one parameter that multiply
the whole row (:class:`~histnu.inference.engine.interpolation.Effect`), histosys differences that
are added to the nominal yields, and layers of parameters that multiply single bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import FitError
from histnu.inference.engine.document import (
    SUPPORTED,
    ChannelSpec,
    ModelSpec,
    SampleSpec,
    read_model,
)
from histnu.inference.engine.interpolation import HISTOSYS_CODES, NORMSYS_CODES, Effect
from histnu.inference.engine.layout import Constraints, Layout, layout

Array = NDArray[np.float64]
Index = NDArray[np.intp]

PYHF_DEFAULTS = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
_WITHOUT_SETTINGS = {"normsys": "code1", "histosys": "code0"}  # pyhf's, of an empty setting
_SHAPES = ("shapefactor", "shapesys", "staterror")


@dataclass(frozen=True)
class Difference:
    """A histosys: its parameter and ``up = hi - nominal``, ``down = nominal - lo`` (bins,)."""

    parameter: int
    up: Array
    down: Array


@dataclass(frozen=True)
class Row:
    """One sample of one channel.

    Attributes:
        channel, sample: names. bins: its bins among those of all channels.
        nominal: (bins,) yields. factors: what multiplies all its bins.
        differences: its histosys. layers: per modifier with one parameter per bin, their indices.
    """

    channel: str
    sample: str
    bins: slice
    nominal: Array
    factors: tuple[Effect, ...]
    differences: tuple[Difference, ...]
    layers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Compiled:
    """All that a batched likelihood needs to know of a model (n parameters, B bins).

    Attributes:
        parameter_names: flat names, as ``model.config.par_names``.
        init: (n,) suggested start; bounds: (n, 2); fixed: (n,) suggested mask.
        poi_index: index of the parameter of interest or None.
        channels: channel name -> slice of the bins.
        rows: the samples of all channels. histosys_code: how their differences interpolate.
        constraints: auxiliary measurements.
        normfactors: names of the normfactor parameters.
    """

    parameter_names: tuple[str, ...]
    init: Array
    bounds: Array
    fixed: NDArray[np.bool_]
    poi_index: int | None
    channels: dict[str, slice]
    rows: tuple[Row, ...]
    histosys_code: str
    constraints: Constraints
    normfactors: frozenset[str] = field(default_factory=frozenset)

    @property
    def n_bins(self) -> int:
        """Number of bins of all channels."""
        return max(s.stop for s in self.channels.values())

    @property
    def per_bin(self) -> bool:
        """Whether any modifier has one parameter per bin."""
        return any(row.layers for row in self.rows)


def compile_model(model: Any) -> Compiled:
    """Return the arrays of a ``pyhf.Model``.

    Raises:
        FitError: a modifier type, interpolation code or option that is not supported.
    """
    kinds = {kind for _, kind in model.config.modifiers}
    unknown = sorted(kinds - set(SUPPORTED))
    if unknown:
        raise FitError(
            f"the batched engine does not support the modifier type {unknown[0]!r}; "
            f"supported: {', '.join(SUPPORTED)}; use the pyhf engine"
        )
    for option in ("clip_sample_data", "clip_bin_data"):
        if getattr(model.main_model, option, None) is not None:
            raise FitError(f"the batched engine does not support {option}; use the pyhf engine")
    if model.batch_size is not None:
        raise FitError("give a pyhf model without batch_size: the engine makes its own batches")
    parameters = model.spec.get("parameters", [])
    config = model.config
    spec = read_model(model.spec["channels"], parameters, config.poi_name)
    return replace(
        compile_spec(spec, config.modifier_settings),
        init=np.array(config.suggested_init(), dtype=float),
        bounds=np.array(config.suggested_bounds(), dtype=float).reshape(-1, 2),
        fixed=np.array(config.suggested_fixed(), dtype=bool),
    )


def compile_spec(spec: ModelSpec, settings: Mapping[str, Any] | None = None) -> Compiled:
    """Return the arrays of a model.

    Args:
        spec: see :func:`~histnu.inference.engine.document.read_workspace`.
        settings: pyhf's ``modifier_settings``; its default codes (4 and 4p) if None.

    Raises:
        FitError: an interpolation code is not supported.
        WorkspaceError: the parameters contradict each other.
    """
    codes = _codes(PYHF_DEFAULTS if settings is None else settings)
    parameters = layout(spec)
    ranks = _ranks(spec)
    rows = []
    for channel in spec.channels:
        maker = _RowMaker(channel, parameters, codes["normsys"], ranks)
        rows += [maker.row(sample) for sample in channel.samples]
    modifiers = {key for channel in spec.channels for s in channel.samples for key in s.modifiers}
    return Compiled(
        parameter_names=parameters.names,
        init=parameters.init,
        bounds=parameters.bounds,
        fixed=parameters.fixed,
        poi_index=parameters.poi_index,
        channels={channel.name: channel.bins for channel in spec.channels},
        rows=tuple(rows),
        histosys_code=codes["histosys"],
        constraints=parameters.constraints,
        normfactors=frozenset(name for kind, name in modifiers if kind == "normfactor"),
    )


def kinks(compiled: Compiled) -> Index:
    """Return the parameters at whose zero an interpolation is not smooth."""
    code = compiled.histosys_code
    out = {e.parameter for row in compiled.rows for e in row.factors if not e.smooth}
    for row in compiled.rows:
        for d in row.differences:
            down = 1.0 if np.array_equal(d.up, d.down) else 0.0
            if not Effect(code, d.parameter, 1.0, down).smooth:
                out.add(d.parameter)
    return np.array(sorted(out), dtype=np.intp)


def _codes(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the interpolation codes in use."""
    out = {}
    for kind, known in (("normsys", NORMSYS_CODES), ("histosys", HISTOSYS_CODES)):
        code = str(settings.get(kind, {}).get("interpcode", _WITHOUT_SETTINGS[kind]))
        if code not in known:
            raise FitError(f"interpolation {code!r} of {kind} is unknown; use {', '.join(known)}")
        out[kind] = code
    return out


def _ranks(spec: ModelSpec) -> dict[tuple[str, str, str], int]:
    """Return where the parameters of a (type, name, channel) start in their set.

    A staterror or shapesys on several channels has the bins of all of them in order; a
    shapefactor has the same parameters in each.
    """
    out: dict[tuple[str, str, str], int] = {}
    used: dict[tuple[str, str], int] = {}
    for channel in spec.channels:
        width = channel.bins.stop - channel.bins.start
        for key in {k for s in channel.samples for k in s.modifiers if k[0] in _SHAPES}:
            start = 0 if key[0] == "shapefactor" else used.get(key, 0)
            out[(*key, channel.name)] = start
            used[key] = start + width
    return out


class _RowMaker:
    """Makes the rows of one channel."""

    def __init__(
        self,
        channel: ChannelSpec,
        parameters: Layout,
        code: str,
        ranks: Mapping[tuple[str, str, str], int],
    ) -> None:
        self._channel, self._first, self._code, self._ranks = channel, parameters.first, code, ranks

    def row(self, sample: SampleSpec) -> Row:
        """Return the row of a sample."""
        return Row(
            self._channel.name,
            sample.name,
            self._channel.bins,
            sample.data,
            self._factors(sample),
            tuple(
                Difference(self._first[name], high - sample.data, sample.data - low)
                for (kind, name), (low, high) in _of_kind(sample, "histosys")
                if np.any(high != sample.data) or np.any(low != sample.data)
            ),
            self._layers(sample),
        )

    def _factors(self, sample: SampleSpec) -> tuple[Effect, ...]:
        """Return the multiplicative effects of the whole row."""
        out = []
        for (kind, name), content in sample.modifiers.items():
            if kind in ("normfactor", "lumi"):
                out.append(Effect("identity", self._first[name]))
            elif kind == "normsys":
                out.append(Effect(self._code, self._first[name], *content))
        return tuple(out)

    def _layers(self, sample: SampleSpec) -> tuple[tuple[int, ...], ...]:
        """Return the per-bin modifiers as parameter indices, one per bin."""
        out = []
        for kind, name in sorted(k for k in sample.modifiers if k[0] in _SHAPES):
            start = self._first[name] + self._ranks[(kind, name, self._channel.name)]
            out.append(tuple(range(start, start + len(sample.data))))
        return tuple(out)


def _of_kind(sample: SampleSpec, kind: str) -> list[tuple[tuple[str, str], Any]]:
    return [(key, content) for key, content in sample.modifiers.items() if key[0] == kind]


__all__ = [
    "PYHF_DEFAULTS",
    "Compiled",
    "Constraints",
    "Difference",
    "Row",
    "compile_model",
    "compile_spec",
    "kinks",
]
