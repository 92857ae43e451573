"""Figures 1 to 4 of the paper from a results document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histnu.plotting.style import (
    curve_style,
    figure_style,
    provenance_note,
    save,
    threshold_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = Mapping[str, Any]

LABELS = {
    "mu_e": r"$|\mu_{\nu_e}|\;[10^{-9}\,\mu_B]$",
    "mu_mu": r"$|\mu_{\nu_{\mu/\tau}}|\;[10^{-9}\,\mu_B]$",
    "mu_tau": r"$|\mu_{\nu_\tau}|\;[10^{-9}\,\mu_B]$",
    "mu_universal": r"$|\mu_\nu|\;[10^{-9}\,\mu_B]$",
    "q_ee": r"$Q_{\nu_{ee}}\;[10^{-8}\,e]$",
    "q_mumu": r"$Q_{\nu_{\mu\mu/\tau\tau}}\;[10^{-8}\,e]$",
    "q_emu": r"$Q_{\nu_{e\mu/e\tau}}\;[10^{-8}\,e]$",
    "q_mutau": r"$Q_{\nu_{\mu\tau}}\;[10^{-8}\,e]$",
}
DELTA = r"$\Delta\chi^2$"
CUT_1DOF = 2.7055


def _rows(results: Results, kind: str, name: str) -> list[Mapping[str, Any]]:
    return [row for row in results.get(kind, []) if row["id"] == name]


def _profile_panel(axes: Axes, results: Results, name: str) -> set[str]:
    """Draw the profiles of one parameter; return the provenances used."""
    used = set()
    for row in _rows(results, "profiles", name):
        axes.plot(
            row["values"], row["delta_chi2"], **curve_style(row["experiment"], row["provenance"])
        )
        used.add(row["provenance"])
    published = next(
        (b["published"] for b in results["bounds"] if b["id"] == name and b["published"]), None
    )
    if published is not None:
        ends = [e for e in (published["lower"], published["upper"]) if e is not None]
        axes.plot(
            ends,
            [CUT_1DOF] * len(ends),
            "k|",
            markersize=13,
            markeredgewidth=1.6,
            linestyle="none",
            label="published, combined",
        )
    threshold_line(axes, CUT_1DOF, "90 % CL", 0.55 if name.startswith("q_") else 0.985)
    axes.set_ylim(0, 8)
    axes.set_xlabel(LABELS[name], loc="center")
    axes.set_ylabel(DELTA, loc="center")
    return used


def _panels(
    results: Results,
    stem: Path,
    names: Sequence[str],
    shape: tuple[int, int],
    limits: Mapping[str, tuple[float, float]],
) -> list[Path]:
    """A grid of profile panels with one legend."""
    with figure_style() as plt:
        size = (4.3 * shape[1], 3.9 * shape[0])
        figure, grid = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
        used: set[str] = set()
        for axes, name in zip(grid.ravel(), names, strict=True):
            used |= _profile_panel(axes, results, name)
            axes.set_xlim(*limits[name])
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
        provenance_note(figure, used)
        return save(figure, stem)


def figure_1(results: Results, folder: Path) -> list[Path]:
    """Profiles of the magnetic moments (Fig. 1)."""
    limits = {"mu_e": (0.0, 4.0), "mu_mu": (0.0, 4.0), "mu_universal": (0.0, 2.5)}
    return _panels(results, folder / "fig1", list(limits), (1, 3), limits)


def figure_2(results: Results, folder: Path) -> list[Path]:
    """Profiles of the millicharges, the others profiled (Fig. 2)."""
    limits = dict.fromkeys(("q_ee", "q_mumu"), (-8.0, 14.0))
    limits |= dict.fromkeys(("q_emu", "q_mutau"), (-8.0, 8.0))
    return _panels(results, folder / "fig2", list(limits), (2, 2), limits)


def _region(axes: Axes, row: Mapping[str, Any], label: bool) -> None:
    style = curve_style(row["experiment"], row["provenance"])
    name = style.pop("label")
    for i, line in enumerate(row["polylines"]):
        xy = np.asarray(line)
        axes.plot(xy[:, 0], xy[:, 1], **style, label=name if label and i == 0 else None)
    axes.plot(*row["best_fit"], marker="*", markersize=9, color=style["color"], linestyle="none")


def figure_3(results: Results, folder: Path) -> list[Path]:
    """Regions of two charges at 90 % CL, 2 dof (Fig. 3)."""
    planes = ("q_ee-q_mumu", "q_ee-q_emu", "q_ee-q_mutau")
    with figure_style() as plt:
        figure, grid = plt.subplots(1, 3, figsize=(13.5, 4.6), layout="constrained")
        used = set()
        for axes, plane in zip(grid, planes, strict=True):
            for row in _rows(results, "contours", plane):
                _region(axes, row, label=True)
                used.add(row["provenance"])
            x, y = plane.split("-")
            axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
            axes.axvline(0, color="0.8", linewidth=0.8, zorder=0)
            axes.set_xlabel(LABELS[x], loc="center")
            axes.set_ylabel(LABELS[y], loc="center")
        handles, labels = grid[0].get_legend_handles_labels()
        labels = [f"{label}, 90 % CL (2 dof)" for label in labels]
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        provenance_note(figure, used)
        return save(figure, folder / "fig3")


def figure_4(results: Results, folder: Path) -> list[Path]:
    """Exclusion in sterile mass and dipole at 90 % CL, 2 dof (Fig. 4)."""
    titles = {"dipole_e": r"$\nu_e$", "dipole_mu": r"$\nu_\mu$", "dipole_tau": r"$\nu_\tau$"}
    with figure_style() as plt:
        figure, grid = plt.subplots(1, 3, figsize=(13.5, 4.6), layout="constrained", sharey=True)
        used = set()
        for axes, (name, title) in zip(grid, titles.items(), strict=True):
            for row in _rows(results, "bounds", name):
                upper = np.array([np.nan if u is None else u for u in row["upper"]])
                axes.plot(
                    row["m4_mev"], upper * 1e-9, **curve_style(row["experiment"], row["provenance"])
                )
                used.add(row["provenance"])
            axes.set(xscale="log", yscale="log", ylim=(5e-12, 2e-7), xlim=(0.001, 30.0))
            axes.set_title(title)
            axes.set_xlabel(r"$m_4$ [MeV]", loc="center")
        grid[0].set_ylabel(r"$|\mu_{\nu_\ell}|\;[\mu_B]$", loc="center")
        handles, labels = grid[0].get_legend_handles_labels()
        labels = [t if t.startswith("EvES") else f"{t}, CE$\\nu$NS" for t in labels]
        title = "90 % CL (2 dof)"
        figure.legend(
            handles, labels, title=title, loc="outside upper center", ncols=4, frameon=False
        )
        provenance_note(figure, used)
        return save(figure, folder / "fig4")


FIGURES: Mapping[str, Callable[[Results, Path], list[Path]]] = {
    "fig1": figure_1,
    "fig2": figure_2,
    "fig3": figure_3,
    "fig4": figure_4,
}


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw every figure into a folder and return the paths."""
    return [path for draw in FIGURES.values() for path in draw(results, folder)]
