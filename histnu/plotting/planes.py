"""Two-dimensional regions: several data sets, published curves, coupling against mass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histnu.plotting.canvas import (
    COLORS,
    DASHES,
    Header,
    columns_of,
    finish,
    label_axes,
    plain_ticks,
    write_figure,
)
from histnu.plotting.style import figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Region:
    """Boundary of one allowed region.

    Attributes:
        label: of the data set. lines: polylines, each (N, 2); NaN splits a line.
        best_fit: (x, y) or None. published: drawn in grey, thin, as somebody else's.
        excluded: what is ruled out above the first piece, shaded: (x, low, high) each (N,).
    """

    label: str
    lines: tuple[Array, ...]
    best_fit: tuple[float, float] | None = None
    published: bool = False
    excluded: tuple[tuple[Array, Array, Array], ...] = ()


@dataclass(frozen=True)
class PlaneFigure:
    """Regions in one plane; ``log`` says which axes (x, y) are logarithmic.

    ``limits`` are published upper limits of y that are one number: (label, value).
    """

    x: str
    y: str
    regions: tuple[Region, ...]
    log: tuple[bool, bool] = (False, False)
    header: Header = Header()
    zero: bool = True
    limits: tuple[tuple[str, float], ...] = ()


Segments = Sequence[Mapping[str, Any]]
SIDES = ("lower", "upper")


def _closed(segment: Mapping[str, Any], side: str) -> bool:
    """Whether a segment ends there, and not at a bound or nowhere."""
    return segment[side] is not None and segment[f"{side}_end"] in ("crossing", "edge")


def end_lines(
    values: Sequence[float] | Array, allowed: Sequence[Segments | None]
) -> tuple[Array, ...]:
    """Lines (N, 2) through the ends of allowed sets at ascending values.

    Sets of neighbouring values with equally many segments are joined in order, others where
    segments overlap; a line ends where its segment vanishes or grows together with another one.

    Args:
        values: (N,). allowed: segments of each as in results; None or empty where there are none.
    """
    lines: list[list[tuple[float, float]]] = []
    last: Segments = ()
    drawn: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for value, found in zip(values, allowed, strict=True):
        now, before = found or (), _followed(last, found or ())
        ends = [(k, side) for k, s in enumerate(now) for side in SIDES if _closed(s, side)]
        following = {}
        for end in ends:
            line = drawn.get(before.get(end, (-1, "")))
            if line is None:
                line = []
                lines.append(line)
            line.append((value, now[end[0]][end[1]]))
            following[end] = line
        last, drawn = now, following
    return tuple(map(np.array, lines))


def _followed(last: Segments, now: Segments) -> dict[tuple[int, str], tuple[int, str]]:
    """Which end of the last set an end of this one follows: (segment, side) -> (segment, side)."""
    if len(last) == len(now):
        return {(k, side): (k, side) for k in range(len(now)) for side in SIDES}
    spans = sorted(
        (-np.inf if s["lower"] is None else s["lower"],
         np.inf if s["upper"] is None else s["upper"], which, k)
        for which, segments in enumerate((last, now)) for k, s in enumerate(segments)
    )  # fmt: skip
    groups: list[tuple[list[int], list[int]]] = []
    reach = -np.inf
    for low, high, which, k in spans:
        if not groups or low > reach:
            groups.append(([], []))
        groups[-1][which].append(k)
        reach = max(reach, high)
    found: dict[tuple[int, str], tuple[int, str]] = {}
    for a, b in groups:
        if len(a) == len(b):
            found |= {(m, side): (k, side) for k, m in zip(a, b, strict=True) for side in SIDES}
        elif a and b:
            found |= {(b[0], "lower"): (a[0], "lower"), (b[-1], "upper"): (a[-1], "upper")}
    return found


def excluded(
    values: Sequence[float] | Array, allowed: Sequence[Segments | None]
) -> tuple[tuple[Array, Array, Array], ...]:
    """What is ruled out above the lowest positive segment: (values, low, high), each (N,).

    The first is everything above the uppermost end, the others are gaps between segments; NaN
    where there is none.
    """
    positive = [[s for s in a or () if s["upper"] is None or s["upper"] > 0] for a in allowed]
    top = [s[-1]["upper"] if s and _closed(s[-1], "upper") else np.nan for s in positive]
    gaps = [(np.array(top, dtype=float), np.full(len(top), np.inf))]
    for k in range(max((len(s) for s in positive), default=0) - 1):
        pairs = [
            (s[k]["upper"], s[k + 1]["lower"]) if len(s) > k + 1 else (np.nan, np.nan)
            for s in positive
        ]
        low, high = np.array(pairs, dtype=float).T
        gaps.append((low, high))
    return tuple((np.array(values, dtype=float), *gap) for gap in gaps)


def draw_plane(spec: PlaneFigure, path: Path) -> list[Path]:
    """Draw all regions, write figure and numbers, return the files."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
        axes.set_xscale("log" if spec.log[0] else "linear")
        axes.set_yscale("log" if spec.log[1] else "linear")
        ours = [r for r in spec.regions if not r.published]
        theirs = [r for r in spec.regions if r.published]
        greys = iter(np.linspace(0.15, 0.65, max(len(theirs) + len(spec.limits), 1)))
        for k, region in enumerate(ours):
            _region(axes, region, COLORS[k % len(COLORS)], DASHES[k % len(DASHES)])
        for k, region in enumerate(theirs):
            _region(axes, region, str(next(greys)), DASHES[k % len(DASHES)])
        if spec.log[0]:
            _fit_x(axes, spec.regions)
        for k, (label, value) in enumerate(spec.limits, len(theirs)):
            style = {"color": str(next(greys)), "linestyle": DASHES[k % len(DASHES)]}
            draw_number(axes, label, value, style)
        if spec.zero and not any(spec.log):
            axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
            axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        _shade(axes, ours)
        label_axes(axes, spec.x, spec.y)
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
        finish(figure, axes, spec.header)
        return write_figure(figure, _columns(spec), path)


MARK = 0.07
"""Length of the mark of a massless limit, as a fraction of the mass axis."""


def draw_number(axes: Axes, label: str, value: float, style: Mapping[str, Any]) -> None:
    """A published limit on y that is one number.

    Against a mass it is a mark at the left end: it was found without a heavy state, and says
    nothing of where the mass begins to matter.
    """
    if axes.get_xscale() != "log":
        axes.axhline(value, linewidth=1.4, label=label, **style)
        return
    axes.plot([0.0, MARK], [value, value], transform=axes.get_yaxis_transform(), linewidth=2.2,
              label=f"{label}, massless limit", **style)  # fmt: skip


def _fit_x(axes: Axes, regions: Sequence[Region]) -> None:
    """A mass axis that ends where our curves end."""
    lines = [np.asarray(line) for r in regions if not r.published for line in r.lines]
    x = np.concatenate([line[:, 0] for line in lines]) if lines else np.zeros(0)
    if len(x) and np.nanmin(x) < np.nanmax(x):
        axes.set_xlim(np.nanmin(x), np.nanmax(x))
    plain_ticks(axes)


def _region(axes: Axes, region: Region, color: str, dash: Any) -> None:
    width = 1.3 if region.published else 1.8
    for k, line in enumerate(region.lines):
        xy = np.asarray(line)
        axes.plot(xy[:, 0], xy[:, 1], color=color, linestyle=dash, linewidth=width,
                  label=region.label if k == 0 else None)  # fmt: skip
    if region.best_fit is not None:
        axes.plot(*region.best_fit, "*", color=color, markersize=11, linestyle="none",
                  markeredgecolor="black", markeredgewidth=0.6,
                  label=f"best fit, {region.label}", zorder=6)  # fmt: skip


def _shade(axes: Axes, regions: Sequence[Region]) -> None:
    """Shade what the first exclusion rules out, up to the top of the figure."""
    low, high = axes.get_ylim()
    for k, (x, below, above) in enumerate(regions[0].excluded if regions else ()):
        label = f"excluded, {regions[0].label}" if k == 0 else None
        axes.fill_between(x, below, np.minimum(above, high), color=COLORS[0], alpha=0.12,
                          linewidth=0, label=label)  # fmt: skip
    axes.set_ylim(low, high)


def _columns(spec: PlaneFigure) -> dict[str, list[Any]]:
    rows = [
        (region.label, k, float(x), float(y))
        for region in spec.regions
        for k, line in enumerate(region.lines)
        for x, y in np.asarray(line)
    ]
    rows += [(label, 0, np.nan, value) for label, value in spec.limits]
    return columns_of(("region", "line", "x", "y"), rows)
