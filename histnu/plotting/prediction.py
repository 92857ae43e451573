"""Data against prediction: stacked samples, post-fit band, pulls; one column per channel."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histnu.plotting.canvas import COLORS, Header, finish, typeset, write_figure
from histnu.plotting.style import figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

_LOG_SPAN = 300.0  # a linear axis shows less than this ratio of the largest to the smallest bin
_SHOWN = 1e-3  # samples below this share of the total in every bin are left out of the stack
_PER_ROW = 3
_WIDEST = 44  # characters of an axis title on one line


@dataclass(frozen=True)
class Panel:
    """One channel, or one of its projections (S samples, B bins).

    Attributes:
        title: of the channel. x: title of the axis. edges: (B + 1,) or None for numbered bins.
        samples: names in the order of the stack. yields: (S, B) after the fit.
        total_error: (B,) of the sum after the fit. prefit: (B,) total before it.
        observed: (B,) counts.
        overlay: (B,) a further total to show (a signal at its limit), or None.
    """

    title: str
    x: str
    edges: Array | None
    samples: tuple[str, ...]
    yields: Array
    total_error: Array
    prefit: Array
    observed: Array
    overlay: Array | None = None

    @property
    def bin_edges(self) -> Array:
        """(B + 1,) edges, numbers of the bins where the likelihood has none."""
        if self.edges is None:
            return np.asarray(np.arange(len(self.observed) + 1) + 0.5)
        return self.edges


@dataclass(frozen=True)
class PredictionFigure:
    """All panels of a fit.

    Attributes:
        panels: what to draw. header: title and marks. overlay: what the overlays are.
        order: samples drawn on top of the stack (signals), last on top.
    """

    panels: tuple[Panel, ...]
    header: Header = Header()
    overlay: str = ""
    order: Sequence[str] = field(default_factory=tuple)


def poisson_interval(counts: Array) -> tuple[Array, Array]:
    """Return the central 68.3 % interval of Poisson means (Garwood 1936) for counts (B,).

    >>> low, high = poisson_interval(np.array([0.0, 4.0]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.0, 2.086], [1.841, 7.163])
    """
    from scipy.special import gammaincinv, ndtr

    tail = float(ndtr(-1.0))
    n = np.asarray(counts, dtype=float)
    low = np.where(n > 0, gammaincinv(np.maximum(n, 1e-300), tail), 0.0)
    return low, gammaincinv(n + 1, 1 - tail)


def pulls(observed: Array, total: Array, error: Array) -> Array:
    """Return (data - prediction) / sqrt(prediction + error^2); NaN where nothing is expected."""
    scale = np.sqrt(total + error**2)
    return np.where(scale > 0, (observed - total) / np.where(scale > 0, scale, 1.0), np.nan)


def draw_prediction(spec: PredictionFigure, path: Path) -> list[Path]:
    """Draw the panels, write figure and numbers, return the files."""
    names = _shown(spec)
    colors = _colors(names, spec.order)
    count, columns = len(spec.panels), _per_row(spec.panels)
    blocks = -(-count // columns)
    with figure_style() as plt:
        figure = plt.figure(figsize=(5.4 * columns + 0.4, 5.6 * blocks + 0.9), layout="constrained")
        grid = figure.add_gridspec(2 * blocks, columns, height_ratios=[3, 1] * blocks)
        first = None
        for k, panel in enumerate(spec.panels):
            row, column = divmod(k, columns)
            main = figure.add_subplot(grid[2 * row, column])
            below = figure.add_subplot(grid[2 * row + 1, column], sharex=main)
            _main(main, panel, colors, spec.overlay)
            _pulls(below, panel)
            main.set_title(panel.title, fontsize=11, loc="right")
            if column == 0:
                main.set_ylabel("events / bin", loc="center")
                below.set_ylabel("pull", loc="center")
            first = first or main
        assert first is not None
        handles, labels = first.get_legend_handles_labels()
        handles, labels = [handles[-1], *handles[:-1]], [labels[-1], *labels[:-1]]  # data first
        figure.legend(
            handles, labels, loc="outside upper center", ncols=min(4, 2 * columns), frameon=False,
            title=_title(spec.header), title_fontsize=12,
        )  # fmt: skip
        finish(figure, first, Header(provenance=spec.header.provenance, note=spec.header.note))
        return write_figure(figure, _columns(spec), path)


def _colors(names: Sequence[str], signals: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and hatch of every sample; red and its neighbours are kept for signals.

    Where there are more samples than colours, the next round is hatched: no two look the same.
    """
    kept = [COLORS[2], COLORS[6], COLORS[5]]
    front = [n for n in names if n in signals]
    others = [c for c in COLORS if c not in kept] + kept[len(front) :]
    kept = kept if len(front) <= len(kept) else [*kept, *others]

    def looks(group: Sequence[str], colors: Sequence[str]) -> dict[str, tuple[str, str]]:
        return {
            n: (colors[k % len(colors)], HATCHES[k // len(colors) % len(HATCHES)])
            for k, n in enumerate(group)
        }

    return looks([n for n in names if n not in signals], others) | looks(front, kept)


HATCHES = ("", "....", "xxxx", "\\\\\\\\")
"""Hatches of samples beyond the first round of colours."""


def _per_row(panels: Sequence[Panel]) -> int:
    """Panels side by side: the projections of one channel in a row, else three channels."""
    axes = max(Counter(p.title for p in panels).values())
    if axes > 1:
        return min(axes, 4)
    return 2 if len(panels) == 4 else min(len(panels), _PER_ROW)


def _title(header: Header) -> str:
    return header.title + ("*" if header.provenance == "reconstructed" else "")


def _shown(spec: PredictionFigure) -> list[str]:
    """Samples that are seen somewhere, signals last."""
    seen: dict[str, bool] = {}
    for panel in spec.panels:
        total = np.maximum(panel.yields.sum(axis=0), 1e-300)
        for name, row in zip(panel.samples, panel.yields, strict=True):
            seen[name] = seen.get(name, False) or bool(np.any(np.abs(row) > _SHOWN * total))
    plain = [n for n in seen if seen[n] and n not in spec.order]
    return plain + [n for n in spec.order if seen.get(n)]


def _main(axes: Axes, panel: Panel, colors: Mapping[str, tuple[str, str]], overlay: str) -> None:
    """Stack, band, data."""
    edges, total = panel.bin_edges, panel.yields.sum(axis=0)
    base = np.zeros_like(total)
    rows = dict(zip(panel.samples, panel.yields, strict=True))
    for name, (color, hatch) in colors.items():
        row = rows.get(name, np.zeros_like(total))
        top = base + row
        axes.stairs(top, edges, baseline=base, fill=True, facecolor=color, hatch=hatch or None,
                    edgecolor="white", label=name, linewidth=0)  # fmt: skip
        base = top
    axes.stairs(total, edges, color="black", linewidth=1.2, label="post-fit total")
    axes.stairs(
        total + panel.total_error, edges, baseline=np.maximum(total - panel.total_error, 0.0),
        fill=True, facecolor="none", edgecolor="0.25", hatch="////", linewidth=0,
        label="post-fit uncertainty",
    )  # fmt: skip
    axes.stairs(panel.prefit, edges, color="0.35", linestyle=":", linewidth=1.6, label="pre-fit")
    if panel.overlay is not None:
        axes.stairs(
            panel.overlay, edges, color="black", linestyle="--", linewidth=1.6, label=overlay
        )
    _data(axes, panel)
    _scale(axes, panel)


def _data(axes: Axes, panel: Panel) -> None:
    edges, n = panel.bin_edges, panel.observed
    middle = 0.5 * (edges[1:] + edges[:-1])
    low, high = poisson_interval(n)
    many = len(n) > 60
    axes.errorbar(
        middle, n, yerr=[n - low, high - n], fmt="ko", markersize=2.5 if many else 4.5,
        linewidth=0.6 if many else 1.2, label="data", zorder=5,
    )  # fmt: skip


def _scale(axes: Axes, panel: Panel) -> None:
    """Linear, or logarithmic where the bins differ by more than a linear axis can show."""
    edges, total = panel.bin_edges, panel.yields.sum(axis=0)
    top = max(float(poisson_interval(panel.observed)[1].max()), float(total.max()))
    if panel.overlay is not None:
        top = max(top, float(panel.overlay.max()))
    smallest = float(total[total > 0].min(initial=top))
    axes.set_xlim(edges[0], edges[-1])
    if top > _LOG_SPAN * smallest and top > 20:
        axes.set_yscale("log")
        axes.set_ylim(max(0.3 * smallest, 1e-3 * min(1.0, top)), 3 * top)
    else:
        axes.set_ylim(0, 1.12 * top)
    axes.tick_params(axis="x", labelbottom=False)
    if panel.edges is None and len(panel.observed) <= 12:
        axes.set_xticks(np.arange(1, len(panel.observed) + 1))
        axes.minorticks_off()


def _pulls(axes: Axes, panel: Panel) -> None:
    edges = panel.bin_edges
    total = panel.yields.sum(axis=0)
    pull = pulls(panel.observed, total, panel.total_error)
    axes.axhspan(-1, 1, color="0.9", zorder=0)
    axes.axhline(0, color="0.4", linewidth=0.9, zorder=1)
    axes.stairs(pull, edges, baseline=0.0, fill=True, color="#3f90da", zorder=2)
    reach = max(2.4, 1.15 * float(np.nanmax(np.abs(pull), initial=0.0)))
    axes.set_ylim(-reach, reach)
    axes.set_xlabel(textwrap.fill(typeset(panel.x), _WIDEST), loc="center")
    axes.tick_params(axis="x", labelbottom=True)


def _columns(spec: PredictionFigure) -> dict[str, list[Any]]:
    """One row per bin and sample of every panel."""
    out: dict[str, list[Any]] = {
        k: []
        for k in ("panel", "low", "high", "observed", "prefit", "postfit", "postfit_error", "pull")
    }
    samples = list(dict.fromkeys(s for p in spec.panels for s in p.samples))
    out |= {f"postfit_{s}": [] for s in samples}
    if any(p.overlay is not None for p in spec.panels):
        out["overlay"] = []
    for p in spec.panels:
        edges, total = p.bin_edges, p.yields.sum(axis=0)
        rows = dict(zip(p.samples, p.yields, strict=True))
        bins = len(p.observed)
        values: dict[str, Any] = {
            "panel": [p.title] * bins, "low": edges[:-1], "high": edges[1:],
            "observed": p.observed, "prefit": p.prefit, "postfit": total,
            "postfit_error": p.total_error, "pull": pulls(p.observed, total, p.total_error),
            "overlay": [None] * bins if p.overlay is None else p.overlay,
        }  # fmt: skip
        values |= {f"postfit_{s}": rows.get(s, [None] * bins) for s in samples}
        for key, column in out.items():
            column.extend(list(values[key]))
    return out
