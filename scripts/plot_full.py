"""Figures of docs/full_likelihoods.md.

    python scripts/plot_full.py [-o docs/figures]

Draws ``full_interpolation.png`` (what HistFactory's interpolation costs) and ``full_wimp.png``
(published limits, ours), with their numbers as CSV beside them. The third figure of the page,
``full_dipole.png``, is one of ``histnu reproduce full_likelihoods``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from anchor_likelihood import blueice_events
from full_validation import (
    B8,
    STRENGTHS,
    cevns_signals,
    flux_reference,
    published_limits,
    templates_from,
    wimp_limit,
)

from histnu.core.errors import DataError
from histnu.experiments.builders import build_experiment, built_names
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.profile import profile
from histnu.plotting.canvas import COLORS, DASHES, label_axes, write_figure
from histnu.plotting.style import figure_style, threshold_line
from histnu.workspace.build import Poi, build_workspace

LABELS = {
    "xenonnt_4d_2024": "XENONnT 4-D 2024",
    "xenonnt_4d_2026": "XENONnT 4-D 2026",
    "xenonnt_s2only_2026": "XENONnT ionization only",
    "combined_full": "XENONnT 4-D 2026 + PandaX-4T",
}
LOOKS = dict(zip(LABELS, zip(COLORS, DASHES, strict=False), strict=False))
STYLES = {
    "normsys + histosys": (COLORS[0], "--"),
    "histosys only": (COLORS[2], ":"),
}


def likelihoods() -> dict[str, BatchedLikelihood]:
    """The 2024 flux workspace in two representations."""
    full = build_experiment("xenonnt_4d_2024")
    split = templates_from(full, cevns_signals(full), {"cevns": B8}, None)
    plain = []
    for t in split:
        rates = tuple(replace(r, interpolation="linear") for r in t.channel.signal_rates)
        plain.append(replace(t, channel=replace(t.channel, split_shapes=(), signal_rates=rates)))
    return {
        name: BatchedLikelihood.from_workspace(build_workspace(t, STRENGTHS, [Poi(B8, B8)]))
        for name, t in zip(STYLES, (split, plain), strict=True)
    }


def totals(likelihood: BatchedLikelihood, points: list[dict[str, float]]) -> np.ndarray:
    """CEvNS events at shape parameters: expectation with strength one minus that with zero."""
    rows = []
    for strength in (1.0, 0.0):
        for p in points:
            pars = np.array(likelihood.init)
            for k, v in ({B8: strength} | p).items():
                pars[likelihood.index(k)] = v
            rows.append(pars)
    total = likelihood.expected(np.array(rows)).sum(axis=1)
    return total[: len(points)] - total[len(points) :]


def interpolation(folder: Path) -> None:
    """Rate against the yields, and the profile of the 8B flux."""
    full = build_experiment("xenonnt_4d_2024")
    made = likelihoods()
    t = np.linspace(-3.0, 3.0, 121)
    columns = {"yield": t}
    with figure_style() as plt:
        figure, axes = plt.subplots(1, 3, figsize=(13.0, 4.2), layout="constrained")
        for axis, (name, title) in zip(axes[:2], YIELDS.items(), strict=True):
            points = [{name: float(v)} for v in t]
            grids = [c["cevns"] for c in cevns_signals(full).values()]
            reference = np.array([sum(blueice_events(g, p).sum() for g in grids) for p in points])
            axis.plot(t, reference, color="black", label="all anchors (blueice)")
            columns[f"{name}_blueice"] = reference
            for label, like in made.items():
                columns[f"{name}_{label}"] = totals(like, points)
                axis.plot(t, columns[f"{name}_{label}"], **_look(label))
            axis.plot(np.arange(-3, 4), np.interp(np.arange(-3, 4), t, reference), "ko", ms=4)
            label_axes(axis, f"{title} [standard deviations]", "CEvNS events, SR0 + SR1")
        columns |= flux_profiles(axes[2], made)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3,
                      frameon=False)  # fmt: skip
        write_figure(figure, columns, folder / "full_interpolation.png")


YIELDS = {"t_ly": "light yield", "t_qy": "charge yield"}


def _look(label: str) -> dict[str, str]:
    color, style = STYLES[label]
    return {"color": color, "linestyle": style, "label": label}


def flux_profiles(axis: Any, made: dict[str, BatchedLikelihood]) -> dict[str, np.ndarray]:
    """Profiles of the 8B flux, all anchors and HistFactory; returns what is drawn."""
    values, coarse = np.linspace(0.0, 3.2, 33), np.linspace(0.0, 3.2, 25)
    exact = flux_reference("xenonnt_4d_2024").profile(B8, list(coarse))
    axis.plot(coarse * 5.25, exact, color="black", label="all anchors (blueice)")
    columns = {"flux_blueice": coarse * 5.25, "delta_blueice": exact, "flux": values * 5.25}
    for label, like in made.items():
        columns[f"delta_{label}"] = profile(like, None, B8, values).delta_twice_nll
        axis.plot(values * 5.25, columns[f"delta_{label}"], **_look(label))
    threshold_line(axis, 2.706, "90 % CL", 0.5)
    axis.set(xlim=(0, 16.8), ylim=(0, 7.5))
    label_axes(axis, r"$^8$B flux [$10^6$ cm$^{-2}$ s$^{-1}$]", r"$\Delta(-2\,\log L)$")
    return columns


def wimps(folder: Path) -> None:
    """Published spin-independent limits and ours."""
    columns: dict[str, np.ndarray] = {}
    with figure_style() as plt:
        figure, axes = plt.subplots(
            2, 1, figsize=(6.8, 7.0), sharex=True, height_ratios=(2.2, 1.0), layout="constrained"
        )
        for name in built_names():
            published, rows = published_limits(name), []
            for mass in sorted(published):
                try:
                    rows.append(wimp_limit(name, mass))
                except DataError:
                    continue  # the release has no spectrum for this mass
            x = np.array([r["mass_gev"] for r in rows])
            y = np.array([r["limit"] for r in rows])
            reference = np.array([published[m] for m in x])
            color, dash = LOOKS[name]
            every = sorted(published)
            axes[0].plot(every, [published[m] for m in every], "o", mfc="none", color=color,
                         label=f"{LABELS[name]}, published")  # fmt: skip
            axes[0].plot(x, y, color=color, ls=dash, label=f"{LABELS[name]}, this work")
            axes[1].plot(x, y / reference, "o", ls=dash, ms=4, color=color)
            columns |= {f"{name}_mass_gev": x, f"{name}_limit": y, f"{name}_published": reference}
        axes[0].set(yscale="log")
        label_axes(axes[0], "", r"90 % CL limit on $\sigma_{\rm SI}$ [cm$^2$]")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2,
                      frameon=False)  # fmt: skip
        axes[1].axhline(1.0, color="0.5", lw=0.8)
        axes[1].set(ylim=(0.7, 1.9))
        label_axes(axes[1], "dark matter mass [GeV]", "this work / published")
        write_figure(figure, columns, folder / "full_wimp.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    wimps(options.output)
    interpolation(options.output)


if __name__ == "__main__":
    main()
