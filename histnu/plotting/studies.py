"""Figures of a study, drawn from its results document alone; each is declared by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histnu.core.errors import DataError, located
from histnu.core.units import unit_ratio
from histnu.plotting.overlays import Curve
from histnu.plotting.style import (
    PROVENANCE_MARK,
    figure_style,
    provenance_note,
    save,
    threshold_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]
Json = Mapping[str, Any]
DELTA = r"$\Delta\chi^2$"


@dataclass(frozen=True)
class Drawing:
    """A declared figure of a results document.

    Attributes:
        results: the document. section: the figure as the study declares it.
        overlays: published curves by name, drawn in grey on curves.
    """

    results: Results
    section: Json
    overlays: Mapping[str, Curve]

    def rows(self, identifier: str) -> list[Json]:
        """Rows of a panel, in the order of the data sets."""
        order = list(self.section["data"] or self.results["study"]["data"])
        found = [r for r in self.results.get(self.section["section"], []) if r["id"] == identifier]
        known = [r for r in found if r["experiment"] in order]
        return sorted(known, key=lambda r: order.index(r["experiment"]))

    def style(self, row: Json) -> dict[str, Any]:
        """Colour, dashes and label of a row; reconstructed inputs are marked with a star."""
        data = self.results["study"]["data"].get(row["experiment"], {})
        label = data.get("legend") or data.get("title") or row["experiment"]
        line = data.get("linestyle", "-")
        style: dict[str, Any] = {"label": f"{label}{PROVENANCE_MARK.get(row['provenance'], '')}"}
        style["linestyle"] = line if isinstance(line, str) else (line[0], tuple(line[1]))
        if data.get("color"):
            style["color"] = data["color"]
        return style

    def axis(self, name: str, unit: str = "") -> str:
        """Label of a parameter's axis."""
        known = self.results["study"]["parameters"].get(name, {})
        return str(known.get("latex") or (f"{name} [{unit}]" if unit else name))

    @contextmanager
    def panels(self, **options: Any) -> Iterator[tuple[Figure, list[tuple[Axes, Json]]]]:
        """The axes of all panels with what is declared of each."""
        panels = self.section["panels"]
        columns = min(self.section["columns"], len(panels))
        lines = -(-len(panels) // columns)
        width, height = self.section["size"]
        with figure_style() as plt:
            figure, grid = plt.subplots(
                lines,
                columns,
                figsize=(width * columns, height * lines),
                layout="constrained",
                squeeze=False,
                **options,
            )
            axes = grid.ravel()
            for unused in axes[len(panels) :]:
                unused.set_axis_off()
            yield figure, list(zip(axes, panels, strict=False))


def _legend(figure: Figure, drawn: Sequence[tuple[Axes, Json]], **options: Any) -> None:
    """One legend above all panels, each label once."""
    entries: dict[str, Any] = {}
    for axes, _ in drawn:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside upper center",
            ncols=min(4, len(entries)),
            frameon=False,
            **options,
        )


def _threshold(cl: float, dof: int) -> float:
    from scipy.special import gammaincinv

    return float(2 * gammaincinv(dof / 2, cl))


def profiles(d: Drawing, stem: Path) -> list[Path]:
    """Profiles with the threshold and the published ends."""
    level = d.section["level"]
    cut = _threshold(level["cl"], level["dof"])
    with d.panels() as (figure, drawn):
        used: set[str] = set()
        for axes, panel in drawn:
            rows = d.rows(panel["id"])
            for row in rows:
                axes.plot(row["values"], row["delta_chi2"], **d.style(row))
                used.add(row["provenance"])
            _published_ends(axes, d, panel["id"], cut)
            signed = any(min(row["values"]) < 0 for row in rows)
            threshold_line(axes, cut, f"{100 * level['cl']:g} % CL", 0.55 if signed else 0.985)
            axes.set_ylim(0, d.section["ymax"])
            axes.set_xlabel(d.axis(panel["id"], rows[0]["unit"] if rows else ""), loc="center")
            axes.set_ylabel(DELTA, loc="center")
            if panel["xlim"]:
                axes.set_xlim(*panel["xlim"])
        _legend(figure, drawn)
        provenance_note(figure, used)
        return save(figure, stem)


def _published_ends(axes: Axes, d: Drawing, name: str, cut: float) -> None:
    """Ticks at the published ends of a bound."""
    bounds = d.results.get("bounds", [])
    published = next((b["published"] for b in bounds if b["id"] == name and b["published"]), None)
    if published is None:
        return
    ends = [e for e in (published["lower"], published["upper"]) if e is not None]
    title = d.results["study"]["data"].get(published["experiment"], {}).get("title")
    axes.plot(
        ends,
        [cut] * len(ends),
        "k|",
        markersize=13,
        markeredgewidth=1.6,
        linestyle="none",
        label=f"published, {title or published['experiment']}",
    )


def regions(d: Drawing, stem: Path) -> list[Path]:
    """Regions in planes of two parameters, with their best fits."""
    with d.panels() as (figure, drawn):
        used, level = set(), ""
        for axes, panel in drawn:
            rows = d.rows(panel["id"])
            for row in rows:
                style = d.style(row)
                name = style.pop("label")
                level = f"{100 * row['cl']:g} % CL ({row['dof']} dof)"
                for i, line in enumerate(row["polylines"]):
                    xy = np.asarray(line)
                    axes.plot(xy[:, 0], xy[:, 1], **style, label=name if i == 0 else None)
                color = style.get("color")
                axes.plot(*row["best_fit"], marker="*", markersize=9, linestyle="none", color=color)
                used.add(row["provenance"])
            axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
            axes.axvline(0, color="0.8", linewidth=0.8, zorder=0)
            if panel["xlim"]:
                axes.set_xlim(*panel["xlim"])
            if rows:
                x, y = rows[0]["x"], rows[0]["y"]
                axes.set_xlabel(d.axis(x["name"], x["unit"]), loc="center")
                axes.set_ylabel(d.axis(y["name"], y["unit"]), loc="center")
        _legend(figure, drawn, title=level)
        provenance_note(figure, used)
        return save(figure, stem)


def mass_curves(d: Drawing, stem: Path) -> list[Path]:
    """Exclusion curves against a held parameter, logarithmic, without powers of ten in units."""
    with d.panels(sharey=True) as (figure, drawn):
        used, level = set(), ""
        for axes, panel in drawn:
            axes.set(xscale="log", yscale="log", ylim=d.section["ylim"], title=panel["title"])
            for row in d.rows(panel["id"]):
                x = row["x"]
                upper = np.array([np.nan if u is None else u for u in row["upper"]])
                power = float(row["unit"].partition(" ")[0])
                axes.plot(row[f"{x['name']}_{x['unit'].lower()}"], upper * power, **d.style(row))
                level = f"{100 * row['cl']:g} % CL ({row['dof']} dof)"
                axes.set_xlabel(f"{d.axis(x['name'])} [{x['unit']}]", loc="center")
                used.add(row["provenance"])
            shades = np.linspace(0.35, 0.7, max(2, len(d.overlays)))
            for (name, (x_values, y)), shade in zip(d.overlays.items(), shades, strict=False):
                axes.plot(x_values, y, color=str(shade), linewidth=1.2, label=name)
            if panel["xlim"]:
                axes.set_xlim(*panel["xlim"])
        drawn[0][0].set_ylabel(d.section["ylabel"], loc="center")
        _legend(figure, drawn, title=level)
        provenance_note(figure, used)
        return save(figure, stem)


def spectra(d: Drawing, stem: Path) -> list[Path]:
    """Data, prediction and a signal at its limit, one panel per data set."""
    with d.panels() as (figure, drawn):
        used = set()
        for axes, panel in drawn:
            for row in d.rows(panel["id"]):
                for channel, signal in zip(row["channels"], row["signal"], strict=True):
                    _spectrum(axes, channel, np.asarray(signal))
                used.add(row["provenance"])
                data = d.results["study"]["data"].get(row["experiment"], {})
                mark = PROVENANCE_MARK.get(row["provenance"], "")
                axes.set_title(f"{data.get('title', row['experiment'])}{mark}")
        _legend(figure, drawn)
        provenance_note(figure, used)
        return save(figure, stem)


def _spectrum(axes: Axes, channel: Json, signal: np.ndarray) -> None:
    """Counts and expectations per unit of the observable of one channel."""
    edges = np.asarray(channel["edges"])
    width, middle = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    other, model, n = (np.asarray(channel[k]) for k in ("background", "signal", "observed"))
    axes.stairs((other + model) / width, edges, color="#1f5fbf", label="background + solar $\\nu$")
    axes.stairs(model / width, edges, color="#2a9d4a", label="solar $\\nu$, Standard Model")
    label = "+ signal at its 90 % CL limit"
    total = (other + model + signal) / width
    axes.stairs(total, edges, color="#c2188b", linestyle="--", label=label)
    error = np.sqrt(np.maximum(n, 1.0)) / width
    axes.errorbar(middle, n / width, yerr=error, fmt="ko", markersize=4, linewidth=1, label="data")
    axes.set_xlabel("Reconstructed energy [keV]", loc="center")
    axes.set_ylabel("Events / keV", loc="center")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.35 * float(np.max(n / width)))


def sets(d: Drawing, stem: Path) -> list[Path]:
    """Allowed sets of bounds, one line per data set and a point at its best fit."""
    level = d.section["level"]
    with d.panels() as (figure, drawn):
        used: set[str] = set()
        for axes, panel in drawn:
            rows = [r for r in d.rows(panel["id"]) if _at_level(r, level)]
            unit = d.section["unit"] or (rows[0]["unit"] if rows else "")
            for y, row in enumerate(rows):
                _allowed_set(axes, row, -y, (_ratio(row["unit"], unit), d.style(row)))
                used.add(row["provenance"])
            axes.set_yticks([-y for y in range(len(rows))], [d.style(r)["label"] for r in rows])
            axes.set_ylim(-len(rows) + 0.4, 0.6)
            axes.axvline(0.0, color="0.8", linewidth=0.8, zorder=0)
            if d.section["symlog"]:
                axes.set_xscale("symlog", linthresh=d.section["symlog"])
            if panel["xlim"]:
                axes.set_xlim(*panel["xlim"])
            axes.set_xlabel(d.axis(panel["id"], unit), loc="center")
            axes.set_title(panel["title"])
        figure.suptitle(f"{100 * level['cl']:g} % CL ({level['dof']} dof)", fontsize=11)
        provenance_note(figure, used)
        return save(figure, stem)


def _ratio(unit: str, wanted: str) -> float:
    return 1.0 if unit == wanted else unit_ratio(unit, wanted)


def _at_level(row: Json, level: Json) -> bool:
    return (row["cl"], row["dof"]) == (level["cl"], level["dof"])


def _allowed_set(axes: Axes, row: Json, y: float, how: tuple[float, dict[str, Any]]) -> None:
    """The pieces of a row's set at a height; an open end is an arrow."""
    factor, style = how
    color = style.get("color", "C0")
    for s in row["intervals"]:
        ends = [factor * e for e in (s["lower"], s["upper"]) if e is not None]
        axes.plot(ends, [y] * len(ends), color=color, linewidth=3, solid_capstyle="butt")
        for end, marker in ((s["lower"], "<"), (s["upper"], ">")):
            if end is None and ends:
                axes.plot(ends[0], y, marker=marker, color=color)
    axes.plot(factor * row["best_fit"], y, "o", color=color, markersize=5)


def held(d: Drawing, stem: Path) -> list[Path]:
    """Ends of bounds against a held parameter; further pieces of a set are bars."""
    level, x = d.section["level"], d.section["x"]
    with d.panels() as (figure, drawn):
        used: set[str] = set()
        for axes, panel in drawn:
            axes.set(xscale="log", yscale="log", title=panel["title"])
            rows = [r for r in d.rows(panel["id"]) if x in r["held"] and _at_level(r, level)]
            unit = rows[0]["unit"] if rows else ""
            for label in dict.fromkeys(r["experiment"] for r in rows):
                own = sorted(
                    (r for r in rows if r["experiment"] == label), key=lambda r: float(r["held"][x])
                )
                _against_held(axes, own, x, (unit, d.style(own[0])))
                used |= {r["provenance"] for r in own}
            axes.set_xlabel(d.section["xlabel"], loc="center")
            axes.set_ylabel(d.axis(panel["id"], unit), loc="center")
        _legend(figure, drawn, title=f"{100 * level['cl']:g} % CL ({level['dof']} dof)")
        provenance_note(figure, used)
        return save(figure, stem)


def _against_held(
    axes: Axes, rows: Sequence[Json], x: str, how: tuple[str, dict[str, Any]]
) -> None:
    """Ends of one data set: a line through those of the first pieces, bars for the others."""
    unit, style = how
    at = [row["held"][x] for row in rows]
    factors = [_ratio(row["unit"], unit) for row in rows]
    positive = [
        [s for s in row["intervals"] if s["upper_end"] == "crossing" and s["upper"] > 0.0]
        for row in rows
    ]
    pairs = list(zip(positive, factors, strict=True))
    ends = [f * pieces[0]["upper"] if pieces else np.nan for pieces, f in pairs]
    axes.plot(at, ends, marker="o", markersize=4, **style)
    for value, (pieces, factor) in zip(at, pairs, strict=True):
        for s in pieces[1:]:
            piece = [factor * s["lower"], factor * s["upper"]]
            axes.plot([value, value], piece, color=style.get("color", "C0"), linewidth=3)


KINDS: Mapping[str, Callable[[Drawing, Path], list[Path]]] = {
    "profiles": profiles,
    "regions": regions,
    "mass_curves": mass_curves,
    "spectra": spectra,
    "sets": sets,
    "held": held,
}
"""Figures by kind."""


def draw_all(
    results: Results, folder: Path, overlays: Mapping[str, Curve] | None = None
) -> list[Path]:
    """Draw every figure that the study declares, as PNG and PDF, and return the paths.

    Raises:
        DataError: if the document does not say what its study draws.
    """
    figures = results.get("study", {}).get("figures")
    if figures is None:
        mend = "make it again with histnu reproduce"
        raise DataError(located("results.json", "study", "the figures are not declared", mend))
    paths: list[Path] = []
    for name, section in figures.items():
        paths += KINDS[section["kind"]](Drawing(results, section, overlays or {}), folder / name)
    return paths
