"""Figures of a study, drawn from its results document alone; each is declared by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histnu.core.errors import DataError, located
from histnu.core.executor import Executor, Local
from histnu.core.units import column_name, unit_ratio
from histnu.plotting.canvas import (
    COLORS,
    DASHES,
    Column,
    columns_of,
    quantity,
    typeset,
    write_figure,
)
from histnu.plotting.overlays import Published, load_published
from histnu.plotting.planes import draw_number, end_lines
from histnu.plotting.prediction import poisson_interval, pulls
from histnu.plotting.style import PROVENANCE_MARK, figure_style, provenance_note, threshold_line

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
        overlays: published limits, drawn in grey on mass curves.
    """

    results: Results
    section: Json
    overlays: Sequence[Published] = ()

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
        if data.get("linewidth"):  # a broad line lies below the narrow ones that would hide it
            style |= {"linewidth": data["linewidth"], "zorder": 2 - 0.01 * data["linewidth"]}
        return style

    def axis(self, name: str, unit: str = "") -> str:
        """Label of a parameter's axis."""
        known = self.results["study"]["parameters"].get(name, {})
        return str(known.get("latex") or typeset(quantity(name, unit)))

    def columns(self, fields: Mapping[str, str]) -> dict[str, Column]:
        """Numbers of all panels: ``panel``, ``data`` and, by title, lists of the rows."""
        cells = (
            (panel["id"], row["experiment"], *values)
            for panel in self.section["panels"]
            for row in self.rows(panel["id"])
            for values in zip(*(row[name] for name in fields.values()), strict=True)
        )
        return dict(columns_of(("panel", "data", *fields), cells))

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


_ENTRY_INCH = 2.6  # width of a legend's entry


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
            ncols=max(1, min(4, len(entries), int(figure.get_figwidth() / _ENTRY_INCH))),
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
        numbers = d.columns({"value": "values", "delta_chi2": "delta_chi2"})
        return write_figure(figure, numbers, stem)


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
    numbers: list[tuple[Any, ...]] = []
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
                    place = (panel["id"], row["experiment"], i)
                    numbers += [(*place, x, y) for x, y in xy.tolist()]
                _best_fit(axes, row["best_fit"], style.get("color"), name)
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
        return write_figure(figure, columns_of(("panel", "data", "line", "x", "y"), numbers), stem)


def _best_fit(axes: Axes, at: Sequence[float], color: Any, name: str) -> None:
    """A star with an edge, so that it is seen on any line."""
    axes.plot(*at, marker="*", markersize=11, linestyle="none", color=color, zorder=6,
              markeredgecolor="black", markeredgewidth=0.6, label=f"best fit, {name}")  # fmt: skip


def mass_curves(d: Drawing, stem: Path) -> list[Path]:
    """Exclusion curves against a held parameter, logarithmic, without powers of ten in units.

    Where a set comes in pieces every positive end is drawn, the uppermost one first.
    """
    limits = [*map(load_published, d.section.get("published", ())), *d.overlays]
    numbers: list[tuple[Any, ...]] = []
    with d.panels(sharey=True) as (figure, drawn):
        used, level = set(), ""
        for axes, panel in drawn:
            axes.set(xscale="log", yscale="log", ylim=d.section["ylim"], title=panel["title"])
            for row in d.rows(panel["id"]):
                x = row["x"]
                power, style = float(row["unit"].partition(" ")[0]), d.style(row)
                for k, line in enumerate(_curves(row)):
                    values, ends = line[:, 0], power * line[:, 1]
                    axes.plot(values, ends, **style)
                    place = (panel["id"], row["experiment"])
                    points = zip(values.tolist(), ends.tolist(), strict=True)
                    numbers += [(*place, x, upper, k) for x, upper in points]
                level = f"{100 * row['cl']:g} % CL ({row['dof']} dof)"
                axes.set_xlabel(f"{d.axis(x['name'])} [{x['unit']}]", loc="center")
                used.add(row["provenance"])
            if panel["xlim"]:
                axes.set_xlim(*panel["xlim"])
            _published(axes, limits)
        drawn[0][0].set_ylabel(d.section["ylabel"], loc="center")
        _legend(figure, drawn, title=level)
        provenance_note(figure, used)
        columns = columns_of(("panel", "data", "x", "upper", "line"), numbers)
        return write_figure(figure, columns, stem)


def _curves(row: Json) -> list[np.ndarray]:
    """Lines (N, 2) of a mass curve: upper ends, and where it comes in pieces all positive ends."""
    values = row[column_name(row["x"]["name"], row["x"]["unit"])]
    upper = np.column_stack([values, np.array(row["upper"], dtype=float)])
    allowed = row.get("allowed") or ()
    if not any(a and len(a) > 1 for a in allowed):
        return [upper]
    inner = (line for line in end_lines(values, allowed) if np.all(line[:, 1] > 0))
    return [upper, *(line for line in inner if not np.isin(line[:, 1], upper[:, 1]).all())]


def _published(axes: Axes, limits: Sequence[Published]) -> None:
    """Published limits in grey."""
    shades = np.linspace(0.1, 0.65, max(2, len(limits)))
    for k, (limit, shade) in enumerate(zip(limits, shades, strict=False)):
        style: dict[str, Any] = {"color": str(shade), "linestyle": DASHES[k % len(DASHES)]}
        xy = limit.points
        if limit.is_number:
            draw_number(axes, limit.label, float(xy[0, 0]), style)
        else:
            axes.plot(xy[:, 0], xy[:, 1], linewidth=1.4, label=limit.label, **style)


def spectra(d: Drawing, stem: Path) -> list[Path]:
    """Data, stacked prediction and a signal at its limit, one panel per data set, with pulls."""
    panels = d.section["panels"]
    columns = min(d.section["columns"], len(panels))
    blocks = -(-len(panels) // columns)
    width, height = d.section["size"]
    numbers: dict[str, list[Any]] = {}
    with figure_style() as plt:
        figure = plt.figure(figsize=(width * columns, 1.25 * height * blocks), layout="constrained")
        grid = figure.add_gridspec(2 * blocks, columns, height_ratios=[3, 1] * blocks)
        used, drawn = set(), []
        for k, panel in enumerate(panels):
            line, column = divmod(k, columns)
            main = figure.add_subplot(grid[2 * line, column])
            below = figure.add_subplot(grid[2 * line + 1, column], sharex=main)
            drawn.append((main, panel))
            for row in d.rows(panel["id"]):
                for channel, signal in zip(row["channels"], row["signal"], strict=True):
                    table = _spectrum(main, below, channel, np.asarray(signal))
                    for key, values in {"panel": [panel["id"]] * len(signal), **table}.items():
                        numbers.setdefault(key, []).extend(values)
                used.add(row["provenance"])
                data = d.results["study"]["data"].get(row["experiment"], {})
                mark = PROVENANCE_MARK.get(row["provenance"], "")
                main.set_title(f"{data.get('title', row['experiment'])}{mark}")
        _legend(figure, drawn)
        provenance_note(figure, used)
        return write_figure(figure, dict(numbers), stem)


def _spectrum(axes: Axes, below: Axes, channel: Json, signal: np.ndarray) -> dict[str, Column]:
    """Stacked expectations and data of one channel per unit of its observable, and its pulls."""
    edges = np.asarray(channel["edges"])
    width, middle = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    other, model, n = (np.asarray(channel[k], float) for k in ("background", "signal", "observed"))
    total = other + model
    axes.stairs(other / width, edges, fill=True, color=COLORS[3], alpha=0.55, label="background")
    axes.stairs(total / width, edges, baseline=other / width, fill=True, color=COLORS[0],
                label="solar $\\nu$, Standard Model")  # fmt: skip
    axes.stairs((total + signal) / width, edges, color=COLORS[2], linestyle="--", linewidth=1.6,
                label="+ signal at its 90 % CL limit")  # fmt: skip
    low, high = poisson_interval(n)
    axes.errorbar(middle, n / width, yerr=[(n - low) / width, (high - n) / width], fmt="ko",
                  markersize=3.5, linewidth=1, label="data")  # fmt: skip
    axes.set_ylabel("events / keV", loc="center")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.12 * float(np.max(high / width)))
    axes.tick_params(axis="x", labelbottom=False)
    pull = pulls(n, total, np.zeros_like(total))
    below.axhspan(-1, 1, color="0.9", zorder=0)
    below.axhline(0, color="0.4", linewidth=0.9, zorder=1)
    below.stairs(pull, edges, baseline=0.0, fill=True, color=COLORS[0], zorder=2)
    reach = max(2.4, 1.15 * float(np.nanmax(np.abs(pull), initial=0.0)))
    below.set(ylim=(-reach, reach))
    below.set_ylabel("pull (stat.)", loc="center")
    below.set_xlabel("reconstructed energy [keV]", loc="center")
    return {"low": edges[:-1], "high": edges[1:], "observed": n, "background": other,
            "standard_model": model, "signal_at_limit": signal, "pull": pull}  # fmt: skip


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
        return write_figure(figure, _set_columns(d, level), stem)


def _set_columns(d: Drawing, level: Json) -> dict[str, Column]:
    """Pieces of allowed sets, in the unit of their rows; held values where there are any."""
    pieces = [
        (panel["id"], row["experiment"], row["unit"], row["best_fit"], s["lower"], s["upper"],
         *(f"{k}={v:g}" for k, v in row.get("held", {}).items()))
        for panel in d.section["panels"]
        for row in d.rows(panel["id"])
        if _at_level(row, level)
        for s in row["intervals"]
    ]  # fmt: skip
    names = ("panel", "data", "unit", "best_fit", "lower", "upper", "held")
    return {n: [p[k] if k < len(p) else None for p in pieces] for k, n in enumerate(names)}


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
        return write_figure(figure, _set_columns(d, level), stem)


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
    results: Results,
    folder: Path,
    overlays: Sequence[Published] = (),
    run: Executor | None = None,
) -> list[Path]:
    """Draw every figure that the study declares, as PNG, PDF, SVG and CSV; return the paths.

    Args:
        results: a results document. folder: where to. overlays: drawn on mass curves.
        run: processes of this machine that share the figures; this process if None.

    Raises:
        DataError: if the document does not say what its study draws.
    """
    figures = results.get("study", {}).get("figures")
    if figures is None:
        mend = "make it again with histnu reproduce"
        raise DataError(located("results.json", "study", "the figures are not declared", mend))
    items = [(section, folder / name) for name, section in figures.items()]
    local = Local() if run is None or run.remote else run
    labels = [f"figure {name}" for name in figures]
    drawn = local.map(_draw, items, shared=(results, overlays), labels=labels)
    return [path for paths in drawn for path in paths]


def _draw(shared: tuple[Results, Sequence[Published]], item: tuple[Json, Path]) -> list[Path]:
    """Draw one figure; return the paths."""
    (results, overlays), (section, path) = shared, item
    return KINDS[section["kind"]](Drawing(results, section, overlays), path)
