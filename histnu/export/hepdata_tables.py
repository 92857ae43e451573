"""Tables of a HEPData submission, independent of ``hepdata_lib``: plain frozen data.

Every limit, profile and contour of a ``results.json`` and the binned yields of every workspace
become tables with independent and dependent variables, units, qualifiers and uncertainties.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from histnu.core.errors import ExportError
from histnu.core.installed import MODELS, instantiate, registered
from histnu.core.units import column_name, held_parts
from histnu.export.bins import Binning, binnings

Row = Mapping[str, Any]
Errors = tuple[tuple[float, float] | None, ...]

UNITS: Mapping[str, str] = {"1e-9 mu_B": r"$10^{-9}\,\mu_B$", "1e-8 e": r"$10^{-8}\,e$"}

GROUPED = ("id", "method", "cl", "dof", "interpolation", "correction", "engine")
"""Limits that agree in these are rows of one table, one per data set."""

USUAL = ("None", "none", "normsys", "batched", "profile likelihood")
"""Choices that a table's name leaves out."""


@dataclass(frozen=True)
class Variable:
    """A column.

    Attributes:
        name: header, may hold LaTeX.
        values: numbers, text, or (low, high) pairs of bin edges.
        units: units of the values.
        qualifiers: (name, value) pairs; only dependent variables have them.
        uncertainties: label -> (minus, plus) per value, minus <= 0; None where there is none.
    """

    name: str
    values: tuple[Any, ...]
    units: str = ""
    qualifiers: tuple[tuple[str, str], ...] = ()
    uncertainties: Mapping[str, Errors] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """A table.

    Attributes:
        name: at most 64 characters.
        description: what it shows and how it was made.
        location: figure or table of the publication, or how it was made.
        independent, dependent: the columns.
        figure: stem of the figure that shows it (``fig1``), or empty.
    """

    name: str
    description: str
    location: str
    independent: tuple[Variable, ...]
    dependent: tuple[Variable, ...]
    figure: str = ""

    def __post_init__(self) -> None:
        sizes = {v.name: len(v.values) for v in (*self.independent, *self.dependent)}
        if len(set(sizes.values())) != 1 or not self.dependent:
            raise ExportError(f"table {self.name}: columns have different lengths: {sizes}")
        if len(self.name) > 64:
            raise ExportError(f"table {self.name}: names are limited to 64 characters")


@cache
def _symbols() -> dict[str, str]:
    """LaTeX symbols of the parameters of all installed models, by name."""
    models = [instantiate(MODELS, name, {}) for name in registered(MODELS)]
    return {p.name: f"${p.symbol}$" for m in models for p in (*m.parameters, *m.held)}


def symbol(parameter: str) -> str:
    """LaTeX symbol of a parameter of a model, or the name of another."""
    return _symbols().get(parameter, parameter)


def unit(text: str) -> str:
    """LaTeX of a unit, or the unit."""
    return UNITS.get(text, text)


def qualifiers(row: Row) -> tuple[tuple[str, str], ...]:
    """Qualifiers of a result: method, confidence level, degrees of freedom, provenance."""
    names = {
        "model": "MODEL",
        "method": "METHOD",
        "cl": "CONFIDENCE LEVEL",
        "dof": "DEGREES OF FREEDOM",
        "interpolation": "INTERPOLATION",
        "correction": "CORRECTION",
        "provenance": "PROVENANCE OF INPUTS",
    }
    found = [(label, f"{row[key]}") for key, label in names.items() if key in row]
    found += [("HELD", part) for part in held_parts(row.get("held") or {})]
    return tuple(found)


def table_name(*parts: str) -> str:
    """A table name without characters that files do not like.

    >>> table_name("Limits on", "mu_e (90%)")
    'Limits on mu_e 90'
    """
    text = re.sub(r"[^A-Za-z0-9_.+ -]", "", " ".join(parts))
    return " ".join(text.split())[:64]


def _number(value: Any) -> float | str:
    """A number, or a dash where there is none."""
    finite = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if finite else "-"


def limit_tables(bounds: Iterable[Row]) -> list[TableSpec]:
    """One table per parameter: lower and upper ends and best fits, one row per data set."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    curves: list[TableSpec] = []
    for row in bounds:
        if isinstance(row.get("upper"), list):
            curves.append(curve_table(row))
        else:
            key = (*(str(row.get(k)) for k in GROUPED), *held_words(row))
            groups.setdefault(key, []).append(row)
    tables = [_limits(rows) for rows in groups.values()]
    return _unique([*tables, *curves])


def held_words(row: Row) -> tuple[str, ...]:
    """What a limit holds, in words: held values, and whether the other parameters are zero.

    >>> held_words({"held": {"m4": 5.0, "mu_e": 0.0}}), held_words({})
    (('m4 = 5', 'others zero'), ())
    """
    held = row.get("held") or {}
    at = held_parts({k: v for k, v in held.items() if v != 0})
    return (*at, *(["others zero"] if 0 in held.values() else []))


def _limits(rows: Sequence[Row]) -> TableSpec:
    """Limits on one parameter."""
    first = rows[0]
    name, units = first["parameter"], unit(first["unit"])
    mixed = len({r["provenance"] for r in rows}) > 1
    notes = qualifiers({k: v for k, v in first.items() if not mixed or k != "provenance"})
    columns = [
        Variable(f"{symbol(name)} lower limit", _column(rows, "lower"), units, notes),
        Variable(f"{symbol(name)} upper limit", _column(rows, "upper"), units, notes),
        _best_fit(rows, units, notes),
    ]
    published = [_published(r) for r in rows]
    if any(p != "-" for p in published):
        columns.append(Variable("published upper limit", tuple(published), units, notes))
    sets = Variable("data set", tuple(str(r["experiment"]) for r in rows))
    origin = Variable("provenance of inputs", tuple(str(r["provenance"]) for r in rows))
    percent = f"{100 * first['cl']:g}"
    choices = [str(first.get(k)) for k in ("interpolation", "correction", "engine", "method")]
    choices = [c for c in choices if c not in USUAL] + list(held_words(first))
    others = "zero" if "others zero" in choices else "profiled"
    return TableSpec(
        table_name("Limits on", first["id"], f"{percent} percent CL {first['dof']} dof", *choices),
        f"Confidence intervals of {name} at {percent}% CL ({first['method']}), the other "
        f"parameters of the hypothesis {others}. "
        "A dash is an open end. 'reconstructed' inputs are assumptions of the analysis.",
        "computed from the attached likelihoods",
        (sets, origin),
        tuple(columns),
        "fig1" if name.startswith("mu") else "fig2",
    )


def _published(row: Row) -> float | str:
    """The published upper limit of the same data set, or a dash."""
    published = row.get("published") or {}
    same = published.get("experiment", row["experiment"]) == row["experiment"]
    return _number(published.get("upper")) if same else "-"


def _column(rows: Sequence[Row], key: str) -> tuple[float | str, ...]:
    return tuple(_number(r.get(key)) for r in rows)


def _best_fit(rows: Sequence[Row], units: str, notes: tuple[tuple[str, str], ...]) -> Variable:
    """Best fits with the interval as uncertainty where it has two ends."""
    errors: list[tuple[float, float] | None] = []
    for r in rows:
        ends = [r.get("lower"), r.get("best_fit"), r.get("upper")]
        low, best, high = ends
        known = all(isinstance(v, (int, float)) for v in ends)
        errors.append((low - best, high - best) if known else None)  # type: ignore[operator]
    label = f"{100 * rows[0]['cl']:g}% interval"
    values = _column(rows, "best_fit")
    return Variable("best fit", values, units, notes, {label: tuple(errors)})


def curve_table(row: Row) -> TableSpec:
    """A limit against a held parameter; values without a limit are left out."""
    x, values = row["x"], row[column_name(row["x"]["name"], row["x"]["unit"])]
    sets = row.get("allowed") or [None] * len(values)
    points = [p for p in zip(values, row["upper"], sets, strict=True) if p[1] is not None]
    name = row["parameter"]
    where = row.get("experiment", "combined")
    columns = [
        Variable(
            f"{symbol(name)} upper limit",
            tuple(_number(u) for _, u, _ in points),
            unit(row["unit"]),
            qualifiers(row),
        )
    ]
    if any(s and len(s) > 1 for _, _, s in points):
        texts = tuple(_set_text(s or ()) for _, _, s in points)
        columns.append(Variable("allowed set", texts, unit(row["unit"]), qualifiers(row)))
    return TableSpec(
        table_name("Limit on", row["id"], str(where), f"{100 * row['cl']:g} percent CL"),
        f"Upper limit on {name} against {x['name']}. Values without a limit (a state that the "
        "neutrinos cannot produce) are left out.",
        "computed from the attached likelihoods",
        (Variable(symbol(x["name"]), tuple(v for v, _, _ in points), x["unit"]),),
        tuple(columns),
        "fig4",
    )


def _set_text(segments: Sequence[Row]) -> str:
    """An allowed set: ``[-3.5, -3.1] u [-0.88, 0.88]``; a dash is an open end."""
    ends = [[_number(s[k]) for k in ("lower", "upper")] for s in segments]
    return " u ".join(
        "[" + ", ".join(v if isinstance(v, str) else f"{v:.6g}" for v in pair) + "]"
        for pair in ends
    )


def profile_tables(profiles: Iterable[Row]) -> list[TableSpec]:
    """One table per profile likelihood."""
    tables = []
    for row in profiles:
        name = row["parameter"]
        x = Variable(symbol(name), tuple(map(float, row["values"])), unit(row["unit"]))
        values = tuple(_number(v) for v in row["delta_chi2"])
        y = Variable(r"$\Delta\chi^2$", values, "", qualifiers(row))
        tables.append(
            TableSpec(
                table_name("Profile of", row["id"], str(row["experiment"])),
                f"Profile likelihood of {name}, all other parameters at their best values.",
                "computed from the attached likelihoods",
                (x,),
                (y,),
                "fig1" if name.startswith("mu") else "fig2",
            )
        )
    return _unique(tables)


def contour_tables(contours: Iterable[Row]) -> list[TableSpec]:
    """One table per contour: the points of all its closed lines, numbered."""
    return _unique([_contour(row) for row in contours if any(row["polylines"])])


def _contour(row: Row) -> TableSpec:
    """The table of one contour."""
    points = [(i, p) for i, line in enumerate(row["polylines"], 1) for p in line]
    x, y = row["x"], row["y"]
    percent = f"{100 * row['cl']:g}"
    first = Variable(symbol(x["name"]), tuple(float(p[0]) for _, p in points), unit(x["unit"]))
    second = tuple(float(p[1]) for _, p in points)
    return TableSpec(
        table_name("Contour", row["id"], str(row["experiment"]), f"{percent} percent CL"),
        f"Boundary of the {percent}% confidence region ({row['dof']} degrees of freedom) of "
        f"{x['name']} and {y['name']}. Points of one line are joined in order.",
        "computed from the attached likelihoods",
        (Variable("line", tuple(float(i) for i, _ in points)), first),
        (Variable(symbol(y["name"]), second, unit(y["unit"]), qualifiers(row)),),
        "fig3",
    )


def yield_tables(
    name: str, workspace: Mapping[str, Any], manifest: Mapping[str, Any] | None
) -> list[TableSpec]:
    """One table per channel: observed and expected events per bin with uncertainties."""
    axes = binnings(workspace, manifest)
    observed = {o["name"]: o["data"] for o in workspace["observations"]}
    tables = []
    for channel in workspace["channels"]:
        columns = [_observed(observed[channel["name"]])]
        columns += [_expected(s) for s in channel["samples"]]
        tables.append(
            TableSpec(
                table_name("Yields", name, channel["name"]),
                "Observed and expected events per bin before the fit. Samples with a free strength "
                "are given at strength one.",
                "from the attached likelihood",
                (_bins(axes[channel["name"]]),),
                tuple(columns),
            )
        )
    return _unique(tables)


def _bins(binning: Binning) -> Variable:
    """Bin edges as an independent variable."""
    pairs = zip(binning.edges[:-1], binning.edges[1:], strict=True)
    return Variable(binning.title, tuple(pairs), binning.unit)


def _observed(counts: Sequence[float]) -> Variable:
    """Counts with their Poisson standard deviation."""
    errors = tuple((-math.sqrt(n), math.sqrt(n)) if n > 0 else None for n in counts)
    values = tuple(map(float, counts))
    return Variable("observed", values, "events", (), {"stat": errors})


def _expected(sample: Mapping[str, Any]) -> Variable:
    """Expected events; every constrained modifier is an uncertainty."""
    nominal = sample["data"]
    uncertainties: dict[str, Errors] = {}
    strengths = [m["name"] for m in sample["modifiers"] if m["type"] == "normfactor"]
    for m in sample["modifiers"]:
        if m["type"] in {"normsys", "histosys"}:
            uncertainties[f"sys,{m['name']}"] = tuple(_shifts(m, nominal))
        elif m["type"] in {"staterror", "shapesys"}:
            uncertainties[f"stat,{m['name']}"] = tuple((-s, s) if s else None for s in m["data"])
    notes = tuple(("STRENGTH", s) for s in strengths)
    return Variable(sample["name"], tuple(map(float, nominal)), "events", notes, uncertainties)


def _shifts(modifier: Row, nominal: Sequence[float]) -> list[tuple[float, float] | None]:
    """Shifts at -1 and +1 standard deviation per bin, as (minus, plus)."""
    data = modifier["data"]
    found: list[tuple[float, float] | None] = []
    for b, n in enumerate(nominal):
        if modifier["type"] == "normsys":
            low, high = n * (data["lo"] - 1.0), n * (data["hi"] - 1.0)
        else:
            low, high = data["lo_data"][b] - n, data["hi_data"][b] - n
        found.append((low, high) if low or high else None)
    return found


def _unique(tables: list[TableSpec]) -> list[TableSpec]:
    """Number tables whose names coincide."""
    seen: dict[str, int] = {}
    result = []
    for t in tables:
        seen[t.name.lower()] = seen.get(t.name.lower(), 0) + 1
        n = seen[t.name.lower()]
        result.append(t if n == 1 else replace(t, name=f"{t.name[:58]} no {n}"))
    return result
