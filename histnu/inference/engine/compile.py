"""Turn a pyhf model into the arrays that the batched likelihood evaluates.

Each (channel, sample) is a *row*; each row is a sum of *terms*, the nominal histogram and
one or two difference histograms per histosys; the strength of a term is a product of
functions of one parameter (:class:`~histnu.inference.engine.interpolation.Effect`).
Modifiers with one parameter per bin multiply the rows of a *shape group*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.errors import FitError
from histnu.inference.engine.interpolation import HISTOSYS_CODES, NORMSYS_CODES, Effect

Array = NDArray[np.float64]
Index = NDArray[np.intp]

SUPPORTED = ("normfactor", "normsys", "histosys", "lumi", "shapesys", "staterror", "shapefactor")
_SHAPES = ("shapesys", "staterror", "shapefactor")


@dataclass(frozen=True)
class Constraints:
    """Auxiliary measurements in pyhf's order (A of them).

    Attributes:
        parameters: (A,) index of the constrained parameter.
        normal: (A,) True for a Gaussian, False for a Poisson.
        scale: (A,) sigma of a Gaussian, rate factor of a Poisson.
        auxdata: (A,) observed values.
    """

    parameters: Index
    normal: NDArray[np.bool_]
    scale: Array
    auxdata: Array


@dataclass(frozen=True)
class Term:
    """A histogram over all bins, its effects, its shape group and where it comes from."""

    histogram: Array
    effects: tuple[Effect, ...]
    group: int
    channel: str
    sample: str
    nominal: bool


@dataclass(frozen=True)
class Compiled:
    """All that a batched likelihood needs to know of a model (n parameters, B bins).

    Attributes:
        parameter_names: flat names, as ``model.config.par_names``.
        init: (n,) suggested start; bounds: (n, 2); fixed: (n,) suggested mask.
        poi_index: index of the parameter of interest or None.
        channels: channel name -> slice of the bins.
        terms: the terms.
        groups: per shape group its layers, each (B,) parameter indices, -1 for none.
        constraints: auxiliary measurements.
        normfactors: names of the normfactor parameters.
    """

    parameter_names: tuple[str, ...]
    init: Array
    bounds: Array
    fixed: NDArray[np.bool_]
    poi_index: int | None
    channels: dict[str, slice]
    terms: tuple[Term, ...]
    groups: tuple[tuple[Index, ...], ...]
    constraints: Constraints
    normfactors: frozenset[str] = field(default_factory=frozenset)

    @property
    def n_bins(self) -> int:
        """Number of bins of all channels."""
        return max(s.stop for s in self.channels.values())


def compile_model(model: Any) -> Compiled:
    """Return the arrays of a ``pyhf.Model``.

    Raises:
        FitError: a modifier type, interpolation code or option that is not supported.
    """
    _refuse(model)
    config = model.config
    channels = {name: config.channel_slices[name] for name in config.channels}
    groups: dict[tuple[tuple[int, ...], ...], int] = {}
    terms: list[Term] = []
    shape_bins = _shape_bins(model, channels)
    for channel in model.spec["channels"]:
        for sample in channel["samples"]:
            row = _Row(config, channels[channel["name"]], sample, shape_bins)
            layers = tuple(tuple(int(i) for i in layer) for layer in row.layers())
            group = groups.setdefault(layers, len(groups))
            where = (channel["name"], sample["name"])
            terms += [Term(h, e, group, *where, nom) for h, e, nom in row.terms()]
    return Compiled(
        parameter_names=tuple(config.par_names),
        init=np.array(config.suggested_init(), dtype=float),
        bounds=np.array(config.suggested_bounds(), dtype=float).reshape(-1, 2),
        fixed=np.array(config.suggested_fixed(), dtype=bool),
        poi_index=config.poi_index,
        channels=channels,
        terms=tuple(terms),
        groups=tuple(tuple(np.array(x, dtype=np.intp) for x in key) for key in groups),
        constraints=_constraints(config),
        normfactors=frozenset(n for n, kind in config.modifiers if kind == "normfactor"),
    )


def _refuse(model: Any) -> None:
    """Raise a FitError naming what the engine does not support."""
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
    for kind, codes in (("normsys", NORMSYS_CODES), ("histosys", HISTOSYS_CODES)):
        code = _code(model.config, kind)
        if kind in kinds and code not in codes:
            raise FitError(f"interpolation {code!r} of {kind} is unknown; use {', '.join(codes)}")


def _code(config: Any, kind: str) -> str:
    """Return the interpolation code in use, with pyhf's defaults."""
    default = {"normsys": "code1", "histosys": "code0"}[kind]
    return str(config.modifier_settings.get(kind, {}).get("interpcode", default))


def _shape_bins(model: Any, channels: Mapping[str, slice]) -> dict[tuple[str, str], Index]:
    """Return, for shapesys and staterror, the bins of all channels one modifier covers."""
    covered: dict[tuple[str, str], set[int]] = {}
    for channel in model.spec["channels"]:
        bins = channels[channel["name"]]
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                if modifier["type"] in ("shapesys", "staterror"):
                    key = (modifier["type"], modifier["name"])
                    covered.setdefault(key, set()).update(range(bins.start, bins.stop))
    return {key: np.array(sorted(bins), dtype=np.intp) for key, bins in covered.items()}


class _Row:
    """One sample of one channel while its terms are collected."""

    def __init__(
        self, config: Any, bins: slice, sample: Mapping[str, Any], shape_bins: Mapping[Any, Index]
    ) -> None:
        self._config = config
        self._bins = bins
        self._sample = sample
        self._shape_bins = shape_bins
        # as pyhf: of two modifiers with one type and name the last one counts
        self._modifiers = {(m["type"], m["name"]): m for m in sample["modifiers"]}

    def _first(self, name: str) -> int:
        return int(self._config.par_slice(name).start)

    def _full(self, values: Any) -> Array:
        histogram = np.zeros(self._config.nmaindata)
        histogram[self._bins] = np.asarray(values, dtype=float)
        return histogram

    def _factors(self) -> tuple[Effect, ...]:
        """Return the multiplicative effects of the whole row."""
        code = _code(self._config, "normsys")
        out = []
        for (kind, name), modifier in self._modifiers.items():
            if kind in ("normfactor", "lumi"):
                out.append(Effect("identity", self._first(name)))
            elif kind == "normsys":
                lo, hi = float(modifier["data"]["lo"]), float(modifier["data"]["hi"])
                if lo <= 0 or hi <= 0:
                    raise FitError(
                        f"normsys {name!r} of sample {self._sample['name']!r} has lo={lo}, "
                        f"hi={hi}; both must be > 0; use a histosys"
                    )
                out.append(Effect(code, self._first(name), lo, hi))
        return tuple(out)

    def terms(self) -> list[tuple[Array, tuple[Effect, ...], bool]]:
        """Return (histogram, effects, is nominal) of every term of the row."""
        factors = self._factors()
        nominal = self._full(self._sample["data"])
        out = [(nominal, factors, True)]
        code = _code(self._config, "histosys")
        for (kind, name), modifier in self._modifiers.items():
            if kind != "histosys":
                continue
            up = self._full(modifier["data"]["hi_data"]) - nominal
            down = nominal - self._full(modifier["data"]["lo_data"])
            index = self._first(name)
            if np.array_equal(up, down):
                out.append((up, (*factors, Effect(code, index, 1.0, 1.0)), False))
                continue
            for histogram, weights in ((up, (1.0, 0.0)), (down, (0.0, 1.0))):
                out.append((histogram, (*factors, Effect(code, index, *weights)), False))
        return [term for term in out if np.any(term[0]) or term[2]]

    def layers(self) -> list[Index]:
        """Return the per-bin modifiers as (B,) parameter indices, -1 where there is none."""
        out = []
        for kind, name in sorted(k for k in self._modifiers if k[0] in _SHAPES):
            layer = np.full(self._config.nmaindata, -1, dtype=np.intp)
            bins = np.arange(self._bins.start, self._bins.stop)
            if kind == "shapefactor":
                layer[bins] = self._first(name) + np.arange(len(bins))
            else:
                rank = np.searchsorted(self._shape_bins[(kind, name)], bins)
                layer[bins] = self._first(name) + rank
            out.append(layer)
        return out


def _constraints(config: Any) -> Constraints:
    """Return the auxiliary measurements of a pyhf configuration, in its order."""
    parameters: list[int] = []
    normal: list[bool] = []
    scale: list[float] = []
    for name in config.auxdata_order:
        parset = config.param_set(name)
        where = config.par_slice(name)
        is_normal = parset.pdf_type == "normal"
        parameters += list(range(where.start, where.stop))
        normal += [is_normal] * parset.n_parameters
        widths = getattr(parset, "sigmas", [1.0] * parset.n_parameters)
        scale += list(widths if is_normal else parset.factors)
    return Constraints(
        np.array(parameters, dtype=np.intp),
        np.array(normal, dtype=bool),
        np.array(scale, dtype=float),
        np.array(config.auxdata, dtype=float),
    )
