"""What differs between two HistFactory documents: channels, samples, modifiers, numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Json = Mapping[str, Any]

ONLY_FIRST, ONLY_SECOND, CHANGED = "only in the first", "only in the second", "changed"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        where: path inside the document, by names (``channel/sample/modifier``).
        kind: ``only in the first``, ``only in the second`` or ``changed``.
        first, second: short values, or None where there is nothing to show.
        largest_relative: largest relative difference of the numbers, where they can be compared.
    """

    where: str
    kind: str
    first: str | None = None
    second: str | None = None
    largest_relative: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as plain Python."""
        return asdict(self)


def compare_documents(first: Json, second: Json, relative: float = 1e-9) -> list[Difference]:
    """Return all differences of two workspaces, in the order of the first.

    Args:
        first, second: HistFactory JSON documents.
        relative: numbers closer than this are the same.

    The order of channels, samples, modifiers and measurements does not matter.
    """
    found: list[Difference] = []
    for name, a, b in _pairs(first["channels"], second["channels"], found, "channel"):
        samples = _pairs(a["samples"], b["samples"], found, f"{name}", "sample")
        for sample, x, y in samples:
            found += _values(f"{name}/{sample}", x["data"], y["data"], relative)
            found += _modifiers(f"{name}/{sample}", x, y, relative)
    counts = _pairs(first["observations"], second["observations"], found, "observation")
    for name, a, b in counts:
        found += _values(f"{name}/observed", a["data"], b["data"], relative)
    for name, a, b in _pairs(first["measurements"], second["measurements"], found, "measurement"):
        found += _configs(f"measurement {name}", a["config"], b["config"], relative)
    return found


def _pairs(
    first: list[Json], second: list[Json], found: list[Difference], *where: str
) -> Iterator[tuple[str, Json, Json]]:
    """Give what both have by name; note what only one has."""
    a, b = ({x["name"]: x for x in items} for items in (first, second))
    place = "/".join(where[:-1])
    kind = where[-1]
    for name in [*a, *(n for n in b if n not in a)]:
        path = f"{place}/{name}" if place else name
        if name not in b:
            found.append(Difference(f"{kind} {path}", ONLY_FIRST))
        elif name not in a:
            found.append(Difference(f"{kind} {path}", ONLY_SECOND))
        else:
            yield name, a[name], b[name]


def _values(where: str, a: Any, b: Any, relative: float) -> list[Difference]:
    """Compare numbers or lists of numbers."""
    x, y = (np.asarray(v, dtype=float).ravel() for v in (a, b))
    if x.shape != y.shape:
        return [Difference(where, CHANGED, f"{x.size} numbers", f"{y.size} numbers")]
    scale = np.maximum(np.abs(x), np.abs(y))
    apart = np.abs(x - y) / np.where(scale > 0, scale, 1.0)
    largest = float(apart.max(initial=0.0))
    if largest <= relative:
        return []
    one, other = (_short(v) for v in (x, y))
    return [Difference(where, CHANGED, one, other, largest)]


def _short(values: Any) -> str:
    """Up to three numbers, or how many there are and their sum."""
    if len(values) <= 3:
        return ", ".join(f"{v:.6g}" for v in values)
    return f"{len(values)} numbers, sum {values.sum():.6g}"


def _modifiers(where: str, a: Json, b: Json, relative: float) -> list[Difference]:
    """Compare the modifiers of one sample, by type and name."""
    x, y = ({(m["type"], m["name"]): m for m in s["modifiers"]} for s in (a, b))
    found = []
    for key in [*x, *(k for k in y if k not in x)]:
        path = f"{where}/{key[1]} ({key[0]})"
        if key not in y:
            found.append(Difference(path, ONLY_FIRST))
        elif key not in x:
            found.append(Difference(path, ONLY_SECOND))
        else:
            found += _data(path, x[key]["data"], y[key]["data"], relative)
    return found


def _data(where: str, a: Any, b: Any, relative: float) -> list[Difference]:
    """Compare the data of a modifier or a setting: nothing, a number, a list, or a mapping."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = [*a, *(k for k in b if k not in a)]
        return [
            d for k in keys for d in _data(f"{where}/{k}", a.get(k), b.get(k), relative)
        ]  # fmt: skip
    numeric = (int, float, list, tuple)
    if isinstance(a, numeric) and isinstance(b, numeric) and not isinstance(a, bool):
        return _values(where, a, b, relative)
    return [] if a == b else [Difference(where, CHANGED, str(a), str(b))]


def _configs(where: str, a: Json, b: Json, relative: float) -> list[Difference]:
    """Compare parameter of interest and parameter settings of one measurement."""
    found = _data(f"{where}/poi", a["poi"], b["poi"], relative)
    x, y = ({p["name"]: p for p in c.get("parameters", [])} for c in (a, b))
    for name in [*x, *(n for n in y if n not in x)]:
        one, other = dict(x.get(name, {})), dict(y.get(name, {}))
        for settings in (one, other):
            settings.pop("name", None)
        found += _data(f"{where}/{name}", one, other, relative)
    return found
