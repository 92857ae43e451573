"""Maps of toys: critical values, the region by the toys and the asymptotic one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histnu.plotting.canvas import (
    COLORS,
    Column,
    Header,
    finish,
    label_axes,
    quantity,
    write_figure,
)
from histnu.plotting.style import figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


def draw_map(found: Mapping[str, Any], path: Path) -> list[Path]:
    """Draw a map of one or two axes; a coverage map (nominal nuisances) shows the coverage.

    Args:
        found: the JSON of a ``toy_map`` result.

    Returns:
        The files written: the figure, and its numbers as CSV.
    """
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.8, 5.4), layout="constrained")
        coverage = found["nuisances"] == "nominal"
        if len(found["axes"]) == 1:
            label = _line(axes, found, coverage)
        else:
            label = _plane(figure, axes, found, coverage)
        if found["axes"][0]["log"]:
            axes.set_xscale("log")
        label_axes(axes, quantity(found["axes"][0]["name"], found["axes"][0]["unit"]), label)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper center", ncols=2, frameon=False)
        note = f"{100 * found['cl']:g} % CL, up to {max(found['toys'])} toys per point"
        if 0 in found["toys"]:
            note += ", none where it is white"
        finish(figure, axes, Header("", found["provenance"], f"{found['target']}: {note}"))
        return write_figure(figure, _columns(found), path)


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if v is None else v for v in values])


def _line(axes: Axes, found: Mapping[str, Any], coverage: bool) -> str:
    """The statistic of the data against its critical values, or the coverage."""
    x = np.array(found["axes"][0]["values"])
    shown = "coverage" if coverage else "critical"
    middle, error = _numbers(found[shown]), _numbers(found[f"{shown}_error"])
    name = "coverage of the profile interval" if coverage else "critical value (toys)"
    axes.errorbar(x, middle, yerr=error, fmt="o", markersize=4, color=COLORS[0], label=name)
    if coverage:
        axes.axhline(found["cl"], color=COLORS[2], linestyle="--", label=f"{100 * found['cl']:g} %")
        return "coverage"
    axes.plot(x, _numbers(found["delta_twice_nll"]), color="black", label="data")
    axes.axhline(found["threshold"], color=COLORS[2], linestyle="--", label="asymptotic")
    for s in found["intervals"]:
        for end in (e for e in ("lower", "upper") if s[f"{e}_end"] == "crossing"):
            axes.axvline(s[end], color=COLORS[0], linewidth=0.9, linestyle=":")
    axes.set_ylim(0, 2.2 * max(found["threshold"], float(np.nanmax(middle))))
    return r"$\Delta(-2\,\log L)$"


def _plane(figure: Any, axes: Axes, found: Mapping[str, Any], coverage: bool) -> str:
    """Both contours over the critical values, or the coverage."""
    x, y = (np.array(a["values"]) for a in found["axes"])
    shown = _numbers(found["coverage"] if coverage else found["critical"]).reshape(len(x), len(y)).T
    mesh = axes.pcolormesh(x, y, shown, shading="nearest", cmap="cividis", alpha=0.55,
                           rasterized=True)  # fmt: skip
    title = "coverage of the profile region" if coverage else "critical value"
    figure.colorbar(mesh, ax=axes, label=title, pad=0.01)
    if not coverage:
        for lines, color, dash, name in (
            (found["polylines"], "black", "-", "Feldman-Cousins"),
            (found["asymptotic_polylines"], COLORS[2], "--", f"asymptotic, {found['dof']} dof"),
        ):
            for k, line in enumerate(lines):
                axes.plot(*np.array(line).T, color=color, linestyle=dash,
                          label=name if k == 0 else None)  # fmt: skip
        axes.plot(*found["best_fit"], "*", color=COLORS[1], markersize=11, linestyle="none",
                  markeredgecolor="black", label="best fit", zorder=6)  # fmt: skip
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
    axes.set_yscale("log" if found["axes"][1]["log"] else "linear")
    return quantity(found["axes"][1]["name"], found["axes"][1]["unit"])


def _columns(found: Mapping[str, Any]) -> dict[str, Column]:
    mesh = np.meshgrid(*(np.array(a["values"]) for a in found["axes"]), indexing="ij")
    columns: dict[str, Column] = {
        a["name"]: m.ravel() for a, m in zip(found["axes"], mesh, strict=True)
    }
    for name in ("delta_twice_nll", "critical", "critical_error", "p_value", "error", "coverage"):
        columns[name] = _numbers(found[name])
    return {**columns, "toys": list(found["toys"])}
