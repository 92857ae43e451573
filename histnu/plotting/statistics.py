"""Figures of fits and tests: scans, bands, impacts, correlations, toys, nuisances along a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histnu.plotting.canvas import (
    BANDS,
    COLORS,
    DASHES,
    Column,
    Header,
    finish,
    label_axes,
    plain_ticks,
    typeset,
    write_figure,
)
from histnu.plotting.style import figure_style, threshold_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
DELTA = r"$\Delta(-2\,\log L)$"


@dataclass(frozen=True)
class Curve:
    """One profile: values (P,), Delta (P,), where it crosses the levels, and its best fit."""

    label: str
    values: Array
    delta: Array
    crossings: tuple[tuple[float, float], ...] = ()
    best_fit: float | None = None


@dataclass(frozen=True)
class ScanFigure:
    """Profiles of one parameter; levels: text -> Delta; marks: text -> value of the parameter."""

    x: str
    curves: tuple[Curve, ...]
    levels: Mapping[str, float]
    header: Header = Header()
    marks: Mapping[str, float] = field(default_factory=dict)


def draw_scan(spec: ScanFigure, path: Path) -> list[Path]:
    """Profiles with their levels, every crossing marked and listed in the legend."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        for k, curve in enumerate(spec.curves):
            style = {"color": COLORS[k % len(COLORS)], "linestyle": DASHES[k % len(DASHES)]}
            _scan_curve(axes, curve, style, first=k == 0)
        low = min(c.values.min() for c in spec.curves)
        high = max(c.values.max() for c in spec.curves)
        axes.set_xlim(low, high)
        for text, level in spec.levels.items():
            threshold_line(axes, level, text, _free_place(spec.curves, (low, high), level))
        for k, (text, value) in enumerate(spec.marks.items()):
            axes.axvline(value, color="0.3", linewidth=1.2, linestyle=DASHES[1 + k], label=text)
        highest = max(spec.levels.values(), default=4.0)
        tallest = max(float(np.max(c.delta[np.isfinite(c.delta)])) for c in spec.curves)
        axes.set_ylim(0, min(max(1.25 * tallest, 1.5), 2.2 * highest))
        label_axes(axes, spec.x, DELTA)
        figure.legend(loc="outside upper center", ncols=1, frameon=False)
        finish(figure, axes, spec.header)
        return write_figure(figure, _scan_columns(spec), path)


def _scan_curve(axes: Axes, curve: Curve, style: Mapping[str, Any], first: bool) -> None:
    """One profile, dots at its crossings, a star at its best fit."""
    text = curve.label
    if curve.crossings:
        x, y = np.array(curve.crossings).T
        axes.plot(x, y, "o", color=style["color"], markersize=6)
        text += f": crosses at {', '.join(f'{v:.4g}' for v in sorted(x))}"
    axes.plot(curve.values, curve.delta, label=text, **style)
    if curve.best_fit is not None:
        axes.plot([curve.best_fit], [0.0], "*", color=style["color"], markersize=11,
                  markeredgecolor="black", markeredgewidth=0.6, clip_on=False, zorder=5,
                  label="best fit" if first else None)  # fmt: skip


def _free_place(curves: Sequence[Curve], reach: tuple[float, float], level: float) -> float:
    """Right end (fraction of the axis) of a text on a level, away from all curves."""
    places = (0.985, 0.62, 0.33)

    def gap(place: float) -> float:
        at = reach[0] + (place - np.linspace(0.02, 0.24, 8)) * (reach[1] - reach[0])
        tall = [np.interp(at, c.values, np.minimum(c.delta, 1e6)) - level for c in curves]
        return float(np.min([np.abs(t - 0.12 * level) for t in tall]))

    return max(places, key=gap)


def _scan_columns(spec: ScanFigure) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for k, curve in enumerate(spec.curves):
        tag = f"_{k}" if len(spec.curves) > 1 else ""
        columns |= {f"value{tag}": curve.values, f"delta_twice_nll{tag}": curve.delta}
        columns[f"crossing{tag}"] = [x for x, _ in curve.crossings]
    if spec.marks:
        columns |= {"mark": list(spec.marks), "mark_value": list(spec.marks.values())}
    return columns


@dataclass(frozen=True)
class BandFigure:
    """Expected limits with their bands along an axis, observed beside them.

    Attributes:
        x, y: titles of the axes. values: (P,) on the x axis.
        expected: (P, 5) quantiles at -2 to 2 standard deviations, NaN where there is none.
        observed: (P,) or None. log: logarithmic axes (x, y).
    """

    x: str
    y: str
    values: Array
    expected: Array
    observed: Array | None = None
    log: tuple[bool, bool] = (False, False)
    header: Header = Header()


def draw_band(spec: BandFigure, path: Path) -> list[Path]:
    """The Brazil band, in colours that the colour-blind can tell apart."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        x, q = spec.values, spec.expected
        axes.fill_between(x, q[:, 0], q[:, 4], color=BANDS[0], linewidth=0,
                          label=r"expected $\pm 2\,\sigma$")  # fmt: skip
        axes.fill_between(x, q[:, 1], q[:, 3], color=BANDS[1], linewidth=0,
                          label=r"expected $\pm 1\,\sigma$")  # fmt: skip
        axes.plot(x, q[:, 2], "k--", label="expected, median")
        if spec.observed is not None:
            axes.plot(x, spec.observed, "k-", label="observed")
        axes.set_xscale("log" if spec.log[0] else "linear")
        axes.set_yscale("log" if spec.log[1] else "linear")
        axes.set_xlim(x.min(), x.max())
        plain_ticks(axes)
        if not spec.log[1]:
            axes.set_ylim(bottom=0)
        label_axes(axes, spec.x, spec.y)
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
        finish(figure, axes, spec.header)
        names = ("minus_2", "minus_1", "median", "plus_1", "plus_2")
        columns: dict[str, Column] = {"x": x}
        columns |= {f"expected_{n}": q[:, k] for k, n in enumerate(names)}
        if spec.observed is not None:
            columns["observed"] = spec.observed
        return write_figure(figure, columns, path)


@dataclass(frozen=True)
class ImpactRow:
    """One line of a ranking; None where a number does not exist."""

    name: str
    pull: float | None
    constraint: float | None
    prefit: tuple[float | None, float | None]
    postfit: tuple[float | None, float | None]


@dataclass(frozen=True)
class ImpactsFigure:
    """Ranking of ``rows``, largest first, on a parameter of interest."""

    parameter: str
    rows: tuple[ImpactRow, ...]
    header: Header = Header()


def draw_impacts(spec: ImpactsFigure, path: Path) -> list[Path]:
    """Pulls with constraints on the left, impacts on the right."""
    with figure_style() as plt:
        height = 1.9 + 0.34 * len(spec.rows)
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(9.6, height), sharey=True, layout="constrained", width_ratios=[1, 1.25]
        )
        places = np.arange(len(spec.rows))[::-1]
        _pull_panel(left, spec.rows, places)
        _impact_panel(right, spec, places)
        left.set_yticks(places, [r.name for r in spec.rows], fontsize=9.5)
        left.tick_params(axis="y", which="both", length=0)
        left.minorticks_off()
        left.set_ylim(-0.7, len(spec.rows) - 0.3)
        right.tick_params(axis="y", which="both", length=0, labelleft=False)
        figure.legend(
            *right.get_legend_handles_labels(), loc="outside upper center", ncols=4,
            frameon=False, fontsize=9.5,
        )  # fmt: skip
        finish(figure, left, spec.header)
        return write_figure(figure, _impact_columns(spec), path)


def _pull_panel(axes: Axes, rows: Sequence[ImpactRow], places: Array | NDArray[np.intp]) -> None:
    axes.axvspan(-2, 2, color=BANDS[0], alpha=0.55, zorder=0, linewidth=0)
    axes.axvspan(-1, 1, color=BANDS[1], alpha=0.75, zorder=0, linewidth=0)
    axes.axvline(0, color="0.4", linewidth=0.9)
    for place, row in zip(places, rows, strict=True):
        if row.pull is not None:
            axes.errorbar(row.pull, place, xerr=row.constraint, fmt="ko", markersize=4,
                          linewidth=1.3)  # fmt: skip
    sizes = [abs(r.pull) + (r.constraint or 0.0) for r in rows if r.pull is not None]
    reach = max(2.3, 1.1 * max(sizes, default=0.0))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(r"$(\hat\theta - \theta_0)\,/\,\Delta\theta$", loc="center")


def _impact_panel(axes: Axes, spec: ImpactsFigure, places: Array | NDArray[np.intp]) -> None:
    """Bars from zero: filled after the fit, open before it; colour and hatch for the direction."""
    for side, (color, hatch, word) in enumerate(
        ((COLORS[0], "", "up"), (COLORS[1], "///", "down"))
    ):
        after = [row.postfit[side] or 0.0 for row in spec.rows]
        before = [row.prefit[side] or 0.0 for row in spec.rows]
        axes.barh(places, before, height=0.72, facecolor="none", edgecolor=color, linewidth=1.2,
                  label=f"pre-fit {word}")  # fmt: skip
        axes.barh(places, after, height=0.5, color=color, hatch=hatch, edgecolor="white",
                  linewidth=0, label=f"post-fit {word}")  # fmt: skip
    axes.axvline(0, color="0.3", linewidth=0.9)
    reach = max((abs(v) for r in spec.rows for v in (*r.prefit, *r.postfit) if v), default=1.0)
    axes.set_xlim(-1.12 * reach, 1.12 * reach)
    axes.set_xlabel(f"impact on {typeset(spec.parameter)}", loc="center")


def _impact_columns(spec: ImpactsFigure) -> dict[str, list[Any]]:
    rows = spec.rows
    return {
        "parameter": [r.name for r in rows],
        "pull": [r.pull for r in rows],
        "constraint": [r.constraint for r in rows],
        "prefit_up": [r.prefit[0] for r in rows],
        "prefit_down": [r.prefit[1] for r in rows],
        "postfit_up": [r.postfit[0] for r in rows],
        "postfit_down": [r.postfit[1] for r in rows],
    }


@dataclass(frozen=True)
class CorrelationFigure:
    """A correlation matrix (n, n) of named parameters."""

    names: tuple[str, ...]
    matrix: Array
    header: Header = Header()


def draw_correlation(spec: CorrelationFigure, path: Path) -> list[Path]:
    """The matrix, with numbers where there is room for them."""
    n = len(spec.names)
    with figure_style() as plt:
        size = min(max(4.6, 0.55 * n + 2.2), 14.0)
        figure, axes = plt.subplots(figsize=(size + 0.9, size), layout="constrained")
        image = axes.imshow(spec.matrix, vmin=-1, vmax=1, cmap="RdBu_r")
        figure.colorbar(image, ax=axes, label="correlation", shrink=0.85)
        small = max(4.0, min(9.5, 260.0 / max(n, 1)))
        axes.set_xticks(np.arange(n), spec.names, rotation=90, fontsize=small)
        axes.set_yticks(np.arange(n), spec.names, fontsize=small)
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        if n <= 16:
            for i in range(n):
                for j in range(n):
                    value = spec.matrix[i, j]
                    color = "white" if abs(value) > 0.55 else "black"
                    text = f"{round(value, 2) + 0.0:.2f}"
                    axes.text(j, i, text, ha="center", va="center", fontsize=8, color=color)
        finish(figure, axes, spec.header)
        columns: dict[str, Column] = {"parameter": spec.names}
        columns |= {name: spec.matrix[:, k] for k, name in enumerate(spec.names)}
        return write_figure(figure, columns, path)


@dataclass(frozen=True)
class ToysFigure:
    """Distribution of a test statistic.

    Attributes:
        x: title of the axis. toys: (N,). observed: value of the data.
        asymptotic: ``chi2`` (one degree of freedom, ``dof``), or ``half_chi2``: half at zero, half
            chi-squared with one degree of freedom (q0).
        dof: degrees of freedom. p_values: lines for the legend.
    """

    x: str
    toys: Array
    observed: float
    asymptotic: str = "half_chi2"
    dof: int = 1
    p_values: tuple[str, ...] = ()
    header: Header = Header()


def asymptotic_tail(spec: ToysFigure, values: Array) -> Array:
    """P(statistic >= value) of the asymptotic distribution, for values > 0."""
    from scipy.stats import chi2

    share = 0.5 if spec.asymptotic == "half_chi2" else 1.0
    return np.asarray(share * chi2.sf(values, spec.dof))


def draw_toys(spec: ToysFigure, path: Path) -> list[Path]:
    """Histogram of toys with binomial errors and, in the same bins, the asymptotic distribution."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        top = max(float(np.max(spec.toys)), 1.1 * spec.observed, 1.0)
        edges = np.linspace(0.0, top * 1.0001, 41)
        counts, _ = np.histogram(spec.toys, edges)
        density = counts / len(spec.toys)
        error = np.sqrt(density * (1 - density) / len(spec.toys))
        expected = -np.diff(asymptotic_tail(spec, edges))
        if spec.asymptotic == "half_chi2":
            expected[0] += 0.5
        axes.stairs(density, edges, fill=True, color=COLORS[0], alpha=0.45,
                    label=f"{len(spec.toys)} toys")  # fmt: skip
        middle = 0.5 * (edges[1:] + edges[:-1])
        axes.errorbar(middle, density, yerr=error, fmt="none", ecolor=COLORS[0], linewidth=1.1)
        name = r"asymptotic: $\frac{1}{2}\delta(0)+\frac{1}{2}\chi^2_1$"
        if spec.asymptotic == "chi2":
            name = rf"asymptotic: $\chi^2$, {spec.dof} dof"
        axes.stairs(expected, edges, color=COLORS[2], linewidth=1.8, label=name)
        axes.axvline(spec.observed, color="black", linestyle="--",
                     label=f"observed {spec.observed:.3g}")  # fmt: skip
        for line in spec.p_values:
            axes.plot([], [], " ", label=line)
        if spec.asymptotic == "half_chi2":
            axes.set_yscale("log")
            axes.set_ylim(0.3 / len(spec.toys), 2.0)
        else:
            axes.set_ylim(0, 1.25 * max(float(density.max()), float(expected.max())))
        axes.set_xlim(0, edges[-1])
        label_axes(axes, spec.x, "fraction of toys / bin")
        axes.legend(frameon=False)
        finish(figure, axes, spec.header)
        columns: dict[str, Column] = {"low": edges[:-1], "high": edges[1:], "fraction": density,
                   "error": error, "asymptotic": expected}  # fmt: skip
        return write_figure(figure, columns, path)


@dataclass(frozen=True)
class NuisancesFigure:
    """Profiled parameters along a scan: values (P,), pulls (P, K) of the named parameters."""

    x: str
    values: Array
    names: tuple[str, ...]
    pulls: Array
    best_fit: float | None = None
    marks: Mapping[str, float] = field(default_factory=dict)
    header: Header = Header()


def draw_nuisances(spec: NuisancesFigure, path: Path) -> list[Path]:
    """Where the nuisance parameters go while one parameter is scanned."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.8, 4.8), layout="constrained")
        axes.axhspan(-1, 1, color="0.93", zorder=0)
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        for k, name in enumerate(spec.names):
            axes.plot(spec.values, spec.pulls[:, k], color=COLORS[k % len(COLORS)],
                      linestyle=DASHES[k % len(DASHES)], label=name)  # fmt: skip
        if spec.best_fit is not None:
            axes.axvline(spec.best_fit, color="black", linewidth=1.0, linestyle="-",
                         label="best fit")  # fmt: skip
        for text, value in spec.marks.items():
            axes.axvline(value, color="black", linewidth=1.0, linestyle="--", label=text)
        axes.set_xlim(spec.values.min(), spec.values.max())
        label_axes(axes, spec.x, r"$(\hat{\hat\theta} - \theta_0)\,/\,\Delta\theta$")
        figure.legend(loc="outside right upper", frameon=False, fontsize=9.5)
        finish(figure, axes, spec.header)
        columns: dict[str, Column] = {"value": spec.values}
        columns |= {name: spec.pulls[:, k] for k, name in enumerate(spec.names)}
        return write_figure(figure, columns, path)
