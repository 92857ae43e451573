"""Grids as PatchSets: a background-only workspace and one JSON patch per grid point.

The signal of a point theta is the contraction of basis samples with their strengths,
``N_b(theta) = sum_k s_k(theta) T_kb``. Every modifier of a basis sample is either common to all
of them (``normsys``) or linear in the template (``histosys``), so the contraction is exact: the
patched workspace predicts what a workspace built directly at theta predicts. Basis samples with
different ``normsys`` factors are not added up but scaled one by one, which is exact as well.

A patch adds one sample per channel and flux component (or more, see above), multiplied by the
free normalisation ``mu_sig``: ``mu_sig = 1`` is the hypothesis theta, ``mu_sig = 0`` the
background-only one (with the Standard Model signal). As in likelihoods on HEPData the
background-only document already names ``mu_sig`` as its parameter of interest, which exists once
a patch is applied.

With templates of :func:`histnu.templates.basis.channel_templates`::

    basis = basis_of(templates, model.polynomial)
    build_patchset("out", model_grids(model)["q_ee_q_mumu"], basis, PatchSetInfo("q", "..."))

and, where templates depend on a held parameter, with a function that is called once per value::

    def at(held):                                       # {"m4": 0.001} in MeV
        chosen = model.holding(held)
        return basis_of(make_templates(chosen), chosen.polynomial)

    build_patchset("out", model_grids(model)["dipole_e"], at, info)
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import histnu
from histnu.core.errors import DataError, PatchSetError, located
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import atomic_open, dumps, file_digest, write_json
from histnu.core.types import ChannelSpec, Modifier, ParameterConfig, Sample, Workspace
from histnu.templates.basis import ChannelTemplates
from histnu.workspace.build import Poi, Strength, exact_workspace, float_document
from histnu.workspace.digests import document_digests
from histnu.workspace.grids import Grid, point_name

Array = NDArray[np.float64]

SIGNAL_STRENGTH = "mu_sig"
"""Parameter of interest of every patched workspace; 1 is the physical hypothesis."""

MAXIMUM_STRENGTH = 10.0
"""Default upper bound of ``mu_sig`` (pyhf's default for a normfactor)."""

REMAINDER = 0.01
"""Where the signal is negative (interference), ``mu_sig`` is bounded so that at least this
fraction of the Standard Model signal remains in every bin: the total rate stays positive."""

INTERPOLATION_CODES = {"normsys": "code4", "histosys": "code4p"}
"""pyhf's default interpolations. The JSON does not store them; metadata and manifest do."""

NO_REFERENCE = "ins0000000"
"""Placeholder where no seven-digit record is known: the schema demands one."""


@dataclass(frozen=True)
class Basis:
    """Basis samples and the polynomial of their strengths.

    Attributes:
        workspace: document in which every basis sample carries a ``normfactor`` named like an
            output of the polynomial; samples without one are background (and SM signal).
        polynomial: strengths as functions of the physical parameters.
    """

    workspace: Workspace
    polynomial: PolynomialMap


def basis_of(
    templates: Sequence[ChannelTemplates], polynomial: PolynomialMap, interpolation: str = "normsys"
) -> Basis:
    """The basis of some templates, through :func:`histnu.workspace.build.exact_workspace`.

    Its numbers are not rounded: a patch is contracted first and rounded once, when it is written.

    Args:
        templates: channels whose signals have the polynomial's outputs as strengths.
        polynomial: strengths of the model (``model.polynomial``).
        interpolation: ``normsys`` or ``linear``.

    Raises:
        WorkspaceError: if no sample has a strength of the polynomial.
    """
    strengths = [Strength(k, (-1e6, 1e6)) for k in polynomial.outputs]
    poi = Poi("basis", polynomial.outputs[0])
    return Basis(exact_workspace(templates, strengths, [poi], interpolation), polynomial)


@dataclass(frozen=True)
class PatchSetInfo:
    """What the metadata of a PatchSet say.

    Attributes:
        name: short name, used in messages and metadata.
        description: one or two sentences for the reader.
        hepdata: INSPIRE record, ``ins`` and seven digits.
        provenance: weakest provenance of the inputs.
        bibliography: publications of data and model.
        extra: further metadata (assumptions, bin edges, ...), JSON-ready.
    """

    name: str
    description: str
    hepdata: str = NO_REFERENCE
    provenance: str = "published"
    bibliography: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def reference_for(records: Sequence[str | None]) -> str:
    """The first INSPIRE record of the experiments that have one, else the placeholder.

    >>> reference_for([None, "ins2807699"])
    'ins2807699'
    """
    return next((r for r in records if r), NO_REFERENCE)


@dataclass(frozen=True)
class PatchSetSummary:
    """What was written.

    Attributes:
        workspace: path of the background-only workspace.
        patchset: path of the PatchSet.
        points: number of patches.
        digests: digests of the background-only workspace.
        strength_bounds: bounds of ``mu_sig``.
        files: file name -> SHA-256 of the file.
    """

    workspace: Path
    patchset: Path
    points: int
    digests: dict[str, str]
    strength_bounds: tuple[float, float]
    files: dict[str, str]


def split_workspace(basis: Basis) -> tuple[Workspace, list[dict[str, list[Sample]]]]:
    """Separate backgrounds from basis samples.

    Returns:
        The channels, observations and nuisance settings without any basis sample (the parameter
        of interest is ``mu_sig``, without settings yet); and for every channel the basis samples
        grouped by the name of the signal sample they become, ``signal`` plus the suffix of
        their flux component.

    Raises:
        PatchSetError: if there is no basis sample, or a channel would have no background.
    """
    outputs = set(basis.polynomial.outputs)
    split = [_split_channel(c, outputs) for c in basis.workspace["channels"]]
    groups = [grouped for _, grouped in split]
    if not any(groups):
        raise PatchSetError(f"no sample has a strength named {', '.join(sorted(outputs))}")
    settings = basis.workspace["measurements"][0]["config"]["parameters"]
    nuisances = [p for p in settings if p["name"] not in outputs]
    background: Workspace = {
        "channels": [channel for channel, _ in split],
        "observations": basis.workspace["observations"],
        "measurements": [
            {"name": "signal", "config": {"poi": SIGNAL_STRENGTH, "parameters": nuisances}}
        ],
        "version": "1.0.0",
    }
    return background, groups


def _split_channel(
    channel: ChannelSpec, outputs: set[str]
) -> tuple[ChannelSpec, dict[str, list[Sample]]]:
    """A channel without its basis samples, and these by the signal sample they become."""
    kept: list[Sample] = []
    alike: dict[tuple[str, str], list[Sample]] = {}
    for sample in channel["samples"]:
        strength = _strength(sample, outputs)
        if strength is None:
            kept.append(sample)
        else:
            suffix = sample["name"].removeprefix(strength)
            alike.setdefault((suffix, _signature(sample, outputs)), []).append(sample)
    if not kept:
        raise PatchSetError(f"channel {channel['name']} has no background; nothing to patch")
    suffixes = [suffix for suffix, _ in alike]
    grouped = {}
    for (suffix, _), parts in alike.items():
        one = suffixes.count(suffix) == 1
        grouped[f"signal{suffix}" if one else f"signal_{parts[0]['name']}"] = parts
    return {"name": channel["name"], "samples": kept}, grouped


def _signature(sample: Sample, outputs: set[str]) -> str:
    """What basis samples must have in common to be contracted into one sample.

    A ``histosys`` is linear in the template, so only its name counts; samples with different
    ``normsys`` factors become samples of their own, each scaled by its strength.
    """
    rest = [m for m in sample["modifiers"] if m["name"] not in outputs]
    described = [[m["name"], m["type"], m["type"] != "histosys" and m["data"]] for m in rest]
    return json.dumps(sorted(described, key=str), sort_keys=True)


def _strength(sample: Sample, outputs: set[str]) -> str | None:
    """The strength a sample is multiplied by, if any."""
    for modifier in sample["modifiers"]:
        if modifier["type"] == "normfactor" and modifier["name"] in outputs:
            return modifier["name"]
    return None


class _Contraction:
    """Basis samples of one signal sample as arrays: rows (K, ...) in the order of the outputs."""

    def __init__(self, name: str, path: str, parts: list[Sample], basis: Basis) -> None:
        self.name = name
        self.path = path
        outputs = basis.polynomial.outputs
        rows = {_strength(p, set(outputs)): p for p in parts}
        if len(rows) != len(parts):
            raise PatchSetError(f"two basis samples of {name} have the same strength")
        self.order = [outputs.index(k) for k in rows if k is not None]
        self.data = np.array([p["data"] for p in rows.values()])
        self.common, self.linear = self._modifiers(list(rows.values()), set(outputs))

    def _modifiers(
        self, parts: list[Sample], outputs: set[str]
    ) -> tuple[list[Modifier], dict[str, tuple[Array, Array]]]:
        """Modifiers common to the basis, and templates (K, B) at -1 and +1 sigma."""
        common: list[list[Modifier]] = []
        linear: list[dict[str, Any]] = []
        for part in parts:
            rest = [m for m in part["modifiers"] if m["name"] not in outputs]
            common.append([m for m in rest if m["type"] != "histosys"])
            linear.append({m["name"]: m["data"] for m in rest if m["type"] == "histosys"})
        for modifier in common[0]:
            if modifier["type"] not in {"normsys", "lumi"}:
                raise PatchSetError(
                    f"basis sample {parts[0]['name']} has a {modifier['type']}, which does not "
                    "scale with its strength; use normsys and histosys"
                )
        stacked = {
            name: (
                np.array([q[name]["lo_data"] for q in linear]),
                np.array([q[name]["hi_data"] for q in linear]),
            )
            for name in sorted(linear[0])
        }
        return common[0], stacked

    def sample(self, strengths: Array) -> Sample:
        """The signal sample at strengths s_k, shape (K,)."""
        s = strengths[self.order]
        modifiers: list[Modifier] = [{"name": SIGNAL_STRENGTH, "type": "normfactor", "data": None}]
        modifiers += self.common
        for name, (low, high) in self.linear.items():
            data = {"hi_data": _sum(s, high).tolist(), "lo_data": _sum(s, low).tolist()}
            modifiers.append({"name": name, "type": "histosys", "data": data})
        return {"name": self.name, "data": _sum(s, self.data).tolist(), "modifiers": modifiers}


def _sum(strengths: Array, rows: Array) -> Array:
    """``sum_k s_k T_kb`` in the order of k, shape (B,).

    A matrix product adds in an order that depends on the processor.
    """
    return np.asarray(np.add.reduce(strengths[:, None] * rows, axis=0))


def _nuisances(sample: Sample) -> frozenset[str]:
    """Names of the nuisance parameters of a sample."""
    return frozenset(m["name"] for m in sample["modifiers"] if m["type"] != "normfactor")


def _moving_together(samples: list[Sample], wanted: frozenset[str]) -> Array:
    """Rate per bin of the background samples with certain nuisances, shape (B,).

    Sharing all nuisance parameters with a signal, a sum that is positive at nominal values stays
    positive at any value of them.
    """
    total = np.zeros(len(samples[0]["data"]))
    for sample in samples:
        if _nuisances(sample) == wanted:
            total += np.array(sample["data"])
    return total


class GridPoints:
    """Patches of a grid, one at a time, and what must be known of all of them at the end.

    Attributes:
        background: the background-only workspace without the settings of ``mu_sig``.
        highest_strength: largest ``mu_sig`` that leaves a positive rate at every point so far.
    """

    def __init__(self, grid: Grid, basis: Basis | Callable[[dict[str, float]], Basis]) -> None:
        self.grid = grid
        self._make = basis if callable(basis) else None
        if grid.n_outer and self._make is None:
            raise PatchSetError(f"grid {grid.name} has outer axes: give a function of them")
        self._outer: tuple[float, ...] | None = None
        self.highest_strength = MAXIMUM_STRENGTH
        self.background: Workspace | None = None
        self.basis: Basis | None = None
        if not callable(basis):
            self._use(basis)

    def _use(self, basis: Basis) -> None:
        """Prepare the contraction of a basis; its backgrounds must be those of the first one."""
        background, groups = split_workspace(basis)
        if self.background is not None and background != self.background:
            raise PatchSetError(
                f"grid {self.grid.name}: the background changes along an outer axis; "
                "only the signal may depend on it"
            )
        self.background, self.basis = background, basis
        self._positions = self._order(basis)
        self._signal: list[tuple[_Contraction, tuple[int, frozenset[str]]]] = []
        self._remaining: dict[tuple[int, frozenset[str]], Array] = {}
        for i, grouped in enumerate(groups):
            samples = background["channels"][i]["samples"]
            for j, (name, parts) in enumerate(grouped.items()):
                path = f"/channels/{i}/samples/{len(samples) + j}"
                key = (i, _nuisances(parts[0]))
                self._signal.append((_Contraction(name, path, parts, basis), key))
                self._remaining[key] = _moving_together(samples, key[1])

    def _order(self, basis: Basis) -> list[int | None]:
        """For each parameter of the polynomial its axis among the inner ones, or None (zero)."""
        inner = list(self.grid.labels[self.grid.n_outer :])
        unknown = [p for p in inner if p not in basis.polynomial.parameters]
        if unknown:
            known = ", ".join(basis.polynomial.parameters)
            raise PatchSetError(f"axis {unknown[0]} is no parameter of the model; known: {known}")
        return [inner.index(p) if p in inner else None for p in basis.polynomial.parameters]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield one patch with metadata per grid point, in the order of the grid."""
        n = self.grid.n_outer
        for values in self.grid:
            if self._make is not None and values[:n] != self._outer:
                self._outer = values[:n]
                self._use(self._make(dict(zip(self.grid.labels, values[:n], strict=False))))
            name = point_name(self.grid.labels, values)
            yield {
                "metadata": {"name": name, "values": list(values)},
                "patch": self._operations(name, values[n:]),
            }

    def _operations(self, name: str, inner: tuple[float, ...]) -> list[dict[str, Any]]:
        """JSON-patch operations that add the signal of one point."""
        assert self.basis is not None
        theta = [0.0 if i is None else inner[i] for i in self._positions]
        strengths = self.basis.polynomial(theta)
        operations = []
        signals: dict[tuple[int, frozenset[str]], Array] = {}
        for contraction, key in self._signal:
            sample = contraction.sample(strengths)
            signals[key] = signals.get(key, 0.0) + np.array(sample["data"])
            operations.append({"op": "add", "path": contraction.path, "value": sample})
        for key, signal in signals.items():
            self._bound(name, signal, self._remaining[key])
        return operations

    def _bound(self, name: str, signal: Array, remaining: Array) -> None:
        """Lower the highest allowed ``mu_sig`` where the signal is negative."""
        if not np.all(np.isfinite(signal)):
            raise PatchSetError(f"{name}: NaN or infinity in the signal; correct the templates")
        negative = signal < 0
        if not np.any(negative):
            return
        highest = float(np.min((1.0 - REMAINDER) * remaining[negative] / -signal[negative]))
        if highest < 1.0:
            raise PatchSetError(
                f"{name}: interference exceeds the Standard Model signal, so a rate is negative; "
                "check the sign of the interference"
            )
        self.highest_strength = min(self.highest_strength, highest)


def with_strength(background: Workspace, highest: float) -> Workspace:
    """Add the settings of ``mu_sig``: start at 1, bounds (0, ``highest``)."""
    measurement = background["measurements"][0]
    setting: ParameterConfig = {
        "name": SIGNAL_STRENGTH,
        "inits": [1.0],
        "bounds": [[0.0, _floor(highest)]],
    }
    parameters = [setting, *measurement["config"]["parameters"]]
    config = {"poi": SIGNAL_STRENGTH, "parameters": parameters}
    document = {**background, "measurements": [{"name": measurement["name"], "config": config}]}
    return float_document(document)  # type: ignore[arg-type]


def _floor(value: float, digits: int = 4) -> float:
    """Round down to some decimals, so that a bound never grows by rounding."""
    scale = 10.0**digits
    return float(np.floor(value * scale) / scale)


def build_patchset(
    folder: str | Path,
    grid: Grid,
    basis: Basis | Callable[[dict[str, float]], Basis],
    info: PatchSetInfo,
) -> PatchSetSummary:
    """Write ``workspace.json`` (background only) and ``patchset.json`` for a grid.

    Points are computed, rounded and written one by one: memory does not grow with the grid. Both
    files appear whole or not at all, and equal input gives equal bytes. The module's
    documentation has examples.

    Args:
        folder: where to write.
        grid: axes with units (:mod:`histnu.workspace.grids`); parameters of the model that are no
            axis are zero.
        basis: basis samples and polynomial, or a function of the outer coordinates.
        info: metadata.

    Raises:
        PatchSetError: for an axis the model does not know, a NaN, a negative total rate, or a
            background that depends on an outer axis.
    """
    folder = _make_folder(Path(folder))
    points = GridPoints(grid, basis)
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder) as body:
        count = _write_body(body, points)
        assert points.background is not None
        background = with_strength(points.background, points.highest_strength)
        digests = document_digests(background)
        write_json(folder / "workspace.json", background)
        _assemble(folder / "patchset.json", metadata(grid, info, points, digests), body)
    bounds = background["measurements"][0]["config"]["parameters"][0]["bounds"][0]
    paths = (folder / "workspace.json", folder / "patchset.json")
    files = {path.name: file_digest(path) for path in paths}
    return PatchSetSummary(*paths, count, digests, (bounds[0], bounds[1]), files)


def _assemble(path: Path, header: dict[str, Any], body: IO[str]) -> None:
    """Write metadata and patches as one document."""
    body.seek(0)
    with atomic_open(path) as stream:
        stream.write('{"metadata":' + dumps(header, indent=None).rstrip("\n") + ',\n"patches":[\n')
        shutil.copyfileobj(body, stream, 1 << 20)
        stream.write('],\n"version":"1.0.0"}\n')


def _make_folder(folder: Path) -> Path:
    """Make the folder, or say why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"cannot be made ({error.strerror})"
        raise DataError(located(folder, "", problem, "choose another folder with -o")) from None
    return folder


def _write_body(body: IO[str], points: GridPoints) -> int:
    """Write the patches, one per line, and return how many there were."""
    count = 0
    for patch in points:
        body.write((",\n" if count else "") + dumps(patch, indent=None).rstrip("\n"))
        count += 1
    body.write("\n")
    return count


def metadata(
    grid: Grid, info: PatchSetInfo, points: GridPoints, digests: dict[str, str]
) -> dict[str, Any]:
    """Metadata of a PatchSet: the schema's keys, and units, grid, polynomial and provenance."""
    assert points.basis is not None
    note = "" if info.hepdata != NO_REFERENCE else "placeholder: no record is known for these data"
    return {
        **dict(info.extra),
        "name": info.name,
        "description": info.description,
        "references": {"hepdata": info.hepdata},
        "digests": digests,
        "labels": list(grid.labels),
        "units": {a.label: a.unit for a in grid.axes},
        "grid": grid.to_json(),
        "poi": {
            "name": SIGNAL_STRENGTH,
            "meaning": "normalisation of the signal; 1 is the labelled hypothesis, 0 is none",
        },
        "polynomial": points.basis.polynomial.to_json(),
        "interpolation_codes": INTERPOLATION_CODES,
        "provenance": info.provenance,
        "bibliography": list(info.bibliography),
        "reference_note": note,
        "versions": {"histnu": histnu.__version__, "histfactory_schema": "1.0.0"},
    }
