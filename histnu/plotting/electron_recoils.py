"""Figures of electron recoils: spectra, and dipole contours with nuclear recoils (Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histnu.errors import DataError, located
from histnu.plotting.style import figure_style, save
from histnu.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = Mapping[str, Any]
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

CONTOUR_STYLE: dict[str, dict[str, Any]] = {
    "xenonnt_er": {"color": "#1f5fbf", "linestyle": "-.", "label": "XENONnT E$\\nu$ES"},
    "lz_er": {"color": "#e08214", "linestyle": ":", "label": "LZ E$\\nu$ES"},
    "pandax4t_er": {"color": "#2a9d4a", "linestyle": "--", "label": "PandaX-4T E$\\nu$ES*"},
    "combined_er": {"color": "#f0624d", "linestyle": "-", "label": "E$\\nu$ES combined*"},
    "cevns": {"color": "#c2188b", "linestyle": "-", "label": "CE$\\nu$NS combined*"},
    "combined_all": {
        "color": "black",
        "linestyle": (0, (1, 1)),
        "label": "E$\\nu$ES + CE$\\nu$NS*",
    },
}
FLAVOUR_TITLES = {"dipole_e": r"$\nu_e$", "dipole_mu": r"$\nu_\mu$", "dipole_tau": r"$\nu_\tau$"}
TITLES = {
    "xenonnt_er_2022": "XENONnT SR0",
    "lz_er_ws2022": "LZ WS2022",
    "lz_er_ws2024": "LZ WS2024",
    "pandax4t_er_run1": "PandaX-4T Run1*",
}
NOTE = "* uses reconstructed inputs (PandaX-4T)"


def read_overlay(path: str | Path) -> Curve:
    """Read a published curve: CSV columns ``m4_mev`` and ``mu_b`` (Bohr magnetons).

    Raises:
        DataError: for a missing column, a bad number, or values that are not positive.
    """
    columns = read_csv(path)
    for name in ("m4_mev", "mu_b"):
        if name not in columns:
            known = ", ".join(columns)
            mend = f"name the columns m4_mev and mu_b (here: {known})"
            raise DataError(located(path, name, "missing column", mend))
        if np.any(columns[name] <= 0):
            raise DataError(located(path, name, "values must be positive", "correct the table"))
    return columns["m4_mev"], columns["mu_b"]


def parse_overlays(options: Sequence[str]) -> dict[str, Curve]:
    """Read ``name=file.csv`` options.

    Raises:
        DataError: for an option of another form, or a bad file.
    """
    result = {}
    for option in options:
        name, separator, path = option.partition("=")
        if not (separator and name and path):
            raise DataError(f"--overlay {option!r} must be of the form name=file.csv")
        result[name] = read_overlay(path)
    return result


def _dipole_panel(
    axes: Axes, rows: Sequence[Mapping[str, Any]], overlays: Mapping[str, Curve]
) -> None:
    for row in rows:
        style = CONTOUR_STYLE.get(row["experiment"], {"label": row["experiment"]})
        upper = np.array([np.nan if u is None else u for u in row["upper_mu_b"]])
        axes.plot(row["m4_mev"], upper, **style)
    for (name, (m4, mu)), shade in zip(overlays.items(), np.linspace(0.35, 0.7, 9), strict=False):
        axes.plot(m4, mu, color=str(shade), linewidth=1.2, label=name)
    axes.set(xscale="log", yscale="log", xlim=(1e-3, 20.0), ylim=(5e-12, 1e-7))
    axes.set_xlabel(r"$m_4$ [MeV]", loc="center")


def dipole_figure(
    results: Results, stem: Path, overlays: Mapping[str, Curve] | None = None
) -> list[Path]:
    """Exclusion in sterile mass and dipole at 90 % CL, 2 dof, both kinds of recoils (Fig. 4).

    Args:
        results: document with ``contours`` rows.
        stem: path without suffix.
        overlays: published curves by name, from :func:`parse_overlays`.
    """
    with figure_style() as plt:
        figure, grid = plt.subplots(1, 3, figsize=(13.5, 5.0), layout="constrained", sharey=True)
        for axes, (name, title) in zip(grid, FLAVOUR_TITLES.items(), strict=True):
            order = [*CONTOUR_STYLE]
            rows = [r for r in results["contours"] if r["id"] == name]
            rows.sort(key=lambda r: order.index(r["experiment"]) if r["experiment"] in order else 0)
            _dipole_panel(axes, rows, overlays or {})
            axes.set_title(title)
        grid[0].set_ylabel(r"$|\mu_{\nu_\ell}|\;[\mu_B]$", loc="center")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
        figure.text(0.995, 0.995, NOTE, ha="right", va="top", fontsize=8.5)
        return save(figure, stem)


def _spectrum_panel(axes: Axes, row: Mapping[str, Any]) -> None:
    edges = np.asarray(row["edges_kev"])
    width, middle = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    other, solar, signal, n = (
        np.asarray(row[k])
        for k in ("expected_other", "expected_solar", "expected_signal", "observed")
    )
    axes.stairs((other + solar) / width, edges, color="#1f5fbf", label="background + solar $\\nu$")
    axes.stairs(solar / width, edges, color="#2a9d4a", label="solar $\\nu$, Standard Model")
    axes.stairs(
        (other + solar + signal) / width,
        edges,
        color="#c2188b",
        linestyle="--",
        label="+ magnetic moment at its 90 % CL limit",
    )
    axes.errorbar(
        middle,
        n / width,
        yerr=np.sqrt(np.maximum(n, 1.0)) / width,
        fmt="ko",
        markersize=4,
        linewidth=1,
        label="data",
    )
    axes.set_title(f"{TITLES.get(row['experiment'], row['experiment'])}")
    axes.set_xlabel("Reconstructed energy [keV]", loc="center")
    axes.set_ylabel("Events / keV", loc="center")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.35 * float(np.max(n / width)))


def spectra_figure(results: Results, stem: Path) -> list[Path]:
    """Data, prediction and the magnetic-moment signal at its limit, one panel per data set."""
    with figure_style() as plt:
        figure, grid = plt.subplots(2, 2, figsize=(11.0, 8.2), layout="constrained")
        for axes, row in zip(grid.ravel(), results["spectra"], strict=True):
            _spectrum_panel(axes, row)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
        figure.text(0.995, 0.995, NOTE, ha="right", va="top", fontsize=8.5)
        return save(figure, stem)
