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
        excluded_above: the region above the line is excluded; it is shaded.
    """

    label: str
    lines: tuple[Array, ...]
    best_fit: tuple[float, float] | None = None
    published: bool = False
    excluded_above: bool = False


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
    for line in regions[0].lines if regions and regions[0].excluded_above else ():
        xy = np.asarray(line)
        axes.fill_between(xy[:, 0], xy[:, 1], high, color=COLORS[0], alpha=0.12, linewidth=0,
                          label=f"excluded, {regions[0].label}")  # fmt: skip
    axes.set_ylim(low, high)


def _columns(spec: PlaneFigure) -> dict[str, list[Any]]:
    rows = [
        (region.label, k, float(x), float(y))
        for region in spec.regions
        for k, line in enumerate(region.lines)
        for x, y in np.asarray(line)
    ]
    rows += [(label, 0, np.nan, value) for label, value in spec.limits]
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    return dict(zip(("region", "line", "x", "y"), map(list, columns), strict=True))
