"""The parameters of a HistFactory model in pyhf's order, with start, bounds and constraints.

pyhf orders parameters by the type of their modifier (histosys, lumi, normfactor, normsys,
shapefactor, shapesys, staterror) and within a type by where they first appear: channels and
samples sorted by name, then modifiers sorted by name; staterrors by name alone. A name that
two types share is one parameter, if both want the same of it.

References: pyhf 0.7, ``pyhf.pdf`` and ``pyhf.parameters``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import WorkspaceError
from histnu.inference.engine.document import ChannelSpec, ModelSpec, SampleSpec

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_ORDER = ("histosys", "lumi", "normfactor", "normsys", "shapefactor", "shapesys", "staterror")
_PER_BIN_BOUNDS = (1e-10, 10.0)


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
class Layout:
    """Parameters of a model (n of them).

    Attributes:
        names: flat names. first: name of a parameter set -> its first index.
        init: (n,) suggested start; bounds: (n, 2); fixed: (n,) suggested mask.
        poi_index: index of the parameter of interest or None.
        constraints: auxiliary measurements.
    """

    names: tuple[str, ...]
    first: dict[str, int]
    init: Array
    bounds: Array
    fixed: NDArray[np.bool_]
    poi_index: int | None
    constraints: Constraints


@dataclass(frozen=True)
class _Set:
    """What modifiers want of a parameter set; None where its user must say (lumi).

    Attributes:
        kind: free, normal or poisson. size: number of parameters. scalar: one, without index.
        inits, bounds, auxdata, scale: one entry per parameter. fixed: one per parameter.
    """

    kind: str
    size: int
    scalar: bool
    inits: tuple[float, ...] | None
    bounds: tuple[tuple[float, float], ...] | None
    fixed: tuple[bool, ...]
    auxdata: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None


def layout(spec: ModelSpec) -> Layout:
    """Return the parameters of a model as pyhf lays them out.

    Raises:
        WorkspaceError: two modifiers of one name do not agree, or a setting does not fit.
    """
    wanted = _wanted(spec)
    if not wanted:
        raise WorkspaceError("the model has no parameter")
    names: list[str] = []
    first: dict[str, int] = {}
    sets = {name: _configured(name, s, spec.parameters.get(name, {})) for name, s in wanted.items()}
    for name, s in sets.items():
        first[name] = len(names)
        names += [name] if s.scalar else [f"{name}[{k}]" for k in range(s.size)]
    return Layout(
        tuple(names),
        first,
        np.array([x for s in sets.values() for x in s.inits or ()], dtype=float),
        np.array([x for s in sets.values() for x in s.bounds or ()], dtype=float).reshape(-1, 2),
        np.array([x for s in sets.values() for x in s.fixed], dtype=bool),
        _poi(spec.poi, sets, first),
        _constraints(sets, first),
    )


def _poi(poi: str | None, sets: dict[str, _Set], first: dict[str, int]) -> int | None:
    """Return the index of the parameter of interest."""
    if poi is None:
        return None
    if poi not in sets:
        mend = 'apply a signal patch (--patch, --patch-name), or set "poi" to "" or to a parameter'
        problem = f"the parameter of interest {poi!r} is no parameter of the model"
        raise WorkspaceError(f"{problem}; {mend}")
    if sets[poi].size > 1:
        raise WorkspaceError(f"the parameter of interest {poi!r} has several components")
    return first[poi]


def _constraints(sets: dict[str, _Set], first: dict[str, int]) -> Constraints:
    """Return the auxiliary measurements."""
    constrained = [(first[name], s) for name, s in sets.items() if s.kind != "free"]
    return Constraints(
        np.array([i + k for i, s in constrained for k in range(s.size)], dtype=np.intp),
        np.array([s.kind == "normal" for _, s in constrained for _ in range(s.size)], dtype=bool),
        np.array([x for _, s in constrained for x in s.scale or ()], dtype=float),
        np.array([x for _, s in constrained for x in s.auxdata or ()], dtype=float),
    )


def _wanted(spec: ModelSpec) -> dict[str, _Set]:
    """Return the parameter sets that the modifiers want, in pyhf's order."""
    uses: dict[str, dict[str, list[tuple[ChannelSpec, SampleSpec]]]] = {k: {} for k in _ORDER}
    for channel in spec.channels:
        for sample in channel.samples:
            for kind, name in sorted(sample.modifiers, key=lambda key: key[::-1]):
                uses[kind].setdefault(name, []).append((channel, sample))
    out: dict[str, _Set] = {}
    for kind in _ORDER:
        names = sorted(uses[kind]) if kind == "staterror" else list(uses[kind])
        for name in names:
            new = _of(kind, name, uses[kind][name])
            if out.setdefault(name, new) != new:
                raise WorkspaceError(
                    f"modifiers of different types share the name {name!r} but not its meaning; "
                    "use unique names"
                )
    return out


def _of(kind: str, name: str, uses: list[tuple[ChannelSpec, SampleSpec]]) -> _Set:
    """Return the parameter set of the modifiers of one type and name."""
    if kind in ("histosys", "normsys"):
        return _Set("normal", 1, True, (0.0,), ((-5.0, 5.0),), (False,), (0.0,), (1.0,))
    if kind == "lumi":
        return _Set("normal", 1, True, None, None, (False,))
    if kind == "normfactor":
        return _Set("free", 1, True, (1.0,), ((0.0, 10.0),), (False,))
    if kind == "shapefactor":
        return _shapefactor(name, uses)
    if kind == "shapesys":
        return _shapesys(name, uses)
    return _staterror(name, uses)


def _shapefactor(name: str, uses: list[tuple[ChannelSpec, SampleSpec]]) -> _Set:
    """Return one free parameter per bin."""
    sizes = {len(sample.data) for _, sample in uses}
    if len(sizes) > 1:
        raise WorkspaceError(f"shapefactor {name!r} has channels of {sorted(sizes)} bins")
    n = sizes.pop()
    return _Set("free", n, False, (1.0,) * n, ((0.0, 10.0),) * n, (False,) * n)


def _shapesys(name: str, uses: list[tuple[ChannelSpec, SampleSpec]]) -> _Set:
    """Return one Poisson parameter per bin with ``factor = (nominal / uncertainty)^2``."""
    if len(uses) > 1:
        raise WorkspaceError(f"shapesys {name!r} is on several samples; give each its own name")
    sample = uses[0][1]
    error = sample.modifiers[("shapesys", name)]
    valid = (sample.data > 0) & (error > 0)
    factor = np.ones(len(error))
    factor[valid] = sample.data[valid] ** 2 / error[valid] ** 2
    n, factors = len(error), tuple(factor.tolist())
    fixed = tuple((~valid).tolist())
    return _Set(
        "poisson", n, False, (1.0,) * n, (_PER_BIN_BOUNDS,) * n, fixed, factors, factors
    )  # fmt: skip


def _staterror(name: str, uses: list[tuple[ChannelSpec, SampleSpec]]) -> _Set:
    """Return one Gaussian parameter per bin, its sigma the relative error of all samples."""
    channels = {c.name: c for c, _ in uses}
    at = {(c.name, s.name): s for c, s in uses}
    samples = sorted({s.name for _, s in uses})
    sigmas: list[float] = []
    for channel in sorted(channels):
        rows = [at.get((channel, s)) for s in samples]
        if any(row is None for row in rows):
            raise WorkspaceError(f"staterror {name!r} is not on the same samples in every channel")
        found = [row for row in rows if row is not None]
        total = np.sum([row.data for row in found], axis=0)
        error = np.array([row.modifiers[("staterror", name)] for row in found])
        safe = np.where(total > 0, total, 1.0)
        relative = np.where(total > 0, error / safe, 0.0) ** 2
        sigmas += np.sqrt(np.sum(relative, axis=0)).tolist()
    n = len(sigmas)
    return _Set(
        "normal", n, False, (1.0,) * n, (_PER_BIN_BOUNDS,) * n, tuple(s == 0 for s in sigmas),
        (1.0,) * n, tuple(s if s else 1.0 for s in sigmas),
    )  # fmt: skip


def _configured(name: str, wanted: _Set, setting: Any) -> _Set:
    """Return a parameter set with the settings of the measurement."""
    scale_key = "factors" if wanted.kind == "poisson" else "sigmas"
    takes = {"inits", "bounds", "fixed"} | ({"auxdata"} if wanted.kind != "free" else set())
    if wanted.kind == "poisson" or not wanted.scalar or wanted.inits is None:
        takes |= {scale_key} if wanted.kind != "free" else set()
    for key in sorted(set(setting) - {"name"} - takes):
        raise WorkspaceError(f"parameter {name!r} does not use {key!r}")
    values: dict[str, Any] = {}
    default = {
        "inits": wanted.inits,
        "bounds": wanted.bounds,
        "auxdata": wanted.auxdata,
        scale_key: wanted.scale,
    }
    for key, standard in default.items():
        given = setting.get(key, standard)
        if given is None and (wanted.kind != "free" or key in ("inits", "bounds")):
            raise WorkspaceError(f"parameter {name!r} needs {key} in the measurement")
        if given is not None and len(given) != wanted.size:
            raise WorkspaceError(f"{key} of {name!r} has {len(given)} values; give {wanted.size}")
        values[key] = given
    fixed = (bool(setting["fixed"]),) * wanted.size if "fixed" in setting else wanted.fixed
    return _Set(
        wanted.kind, wanted.size, wanted.scalar, values["inits"], values["bounds"], fixed,
        values["auxdata"], values[scale_key],
    )  # fmt: skip


__all__ = ["Constraints", "Layout", "layout"]
