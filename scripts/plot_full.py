"""Figures of docs/full_likelihoods.md.

    python scripts/plot_full.py RESULTS [-o docs/figures]

RESULTS is ``results.json`` of ``histnu reproduce full_likelihoods``. Draws
``full_interpolation.png`` (what HistFactory's interpolation costs), ``full_wimp.png`` (published
limits, ours) and ``full_dipole.png`` (the dipole portal).
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
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
from histnu.templates.morphing import blueice_events
from histnu.workspace.build import Poi, build_workspace

LABELS = {
    "xenonnt_4d_2024": "XENONnT 4-D 2024",
    "xenonnt_4d_2026": "XENONnT 4-D 2026",
    "xenonnt_s2only_2026": "XENONnT ionization only",
    "combined_full": "XENONnT 4-D 2026 + PandaX-4T",
}
COLORS = dict(zip(LABELS, ("#0072b2", "#009e73", "#d55e00", "#000000"), strict=True))
STYLES = {
    "normsys + histosys": ("#009e73", "--"),
    "histosys only": ("#d55e00", ":"),
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
    figure, axes = plt.subplots(1, 3, figsize=(12.0, 3.8), layout="constrained")
    panels = (("t_ly", "light yield"), ("t_qy", "charge yield"), (None, "both"))
    for axis, (name, title) in zip(axes[:2], panels[:2], strict=True):
        points = [{name: float(v)} for v in t]
        grids = [c["cevns"] for c in cevns_signals(full).values()]
        reference = np.array([sum(blueice_events(g, p).sum() for g in grids) for p in points])
        axis.plot(t, reference, color="black", label="all anchors (blueice)")
        for label, like in made.items():
            color, style = STYLES[label]
            axis.plot(t, totals(like, points), color=color, ls=style, label=label)
        axis.plot(np.arange(-3, 4), np.interp(np.arange(-3, 4), t, reference), "ko", ms=4)
        axis.set(xlabel=f"{title} [standard deviations]", ylabel="CEvNS events, SR0 + SR1")
        axis.legend(frameon=False, fontsize=8)
    values = np.linspace(0.0, 3.2, 33)
    coarse = np.linspace(0.0, 3.2, 25)
    axis = axes[2]
    exact = flux_reference("xenonnt_4d_2024").profile(B8, list(coarse))
    axis.plot(coarse * 5.25, exact, color="black", label="all anchors (blueice)")
    for label, like in made.items():
        color, style = STYLES[label]
        delta = profile(like, None, B8, values).delta_twice_nll
        axis.plot(values * 5.25, delta, color=color, ls=style, label=label)
    axis.axhline(2.706, color="grey", lw=0.8)
    axis.text(5.0, 2.8, "90 %", color="grey", fontsize=8, ha="center")
    axis.set(xlabel=r"$^8$B flux [$10^6$ cm$^{-2}$ s$^{-1}$]", ylabel=r"$-2\,\Delta\log L$")
    axis.set(xlim=(0, 16.8), ylim=(0, 7.5))
    axis.legend(frameon=False, fontsize=8)
    save(figure, folder / "full_interpolation.png")


def wimps(folder: Path) -> None:
    """Published spin-independent limits and ours."""
    figure, axes = plt.subplots(
        2, 1, figsize=(6.0, 6.2), sharex=True, height_ratios=(2.2, 1.0), layout="constrained"
    )
    for name in built_names():
        published = published_limits(name)
        rows = []
        for mass in sorted(published):
            try:
                rows.append(wimp_limit(name, mass))
            except DataError:
                continue  # the release has no spectrum for this mass
        x = np.array([r["mass_gev"] for r in rows])
        y = np.array([r["limit"] for r in rows])
        reference = np.array([published[m] for m in x])
        style = {"color": COLORS[name]}
        every = sorted(published)
        label = f"{LABELS[name]}, published"
        axes[0].plot(every, [published[m] for m in every], "o", mfc="none", label=label, **style)
        axes[0].plot(x, y, label=f"{LABELS[name]}, this work", **style)
        axes[1].plot(x, y / reference, "o-", ms=4, color=COLORS[name])
    axes[0].set(yscale="log", ylabel=r"90 % limit on $\sigma_{\rm SI}$ [cm$^2$]")
    axes[0].legend(frameon=False, fontsize=8)
    axes[1].axhline(1.0, color="grey", lw=0.8)
    axes[1].set(xlabel=r"dark matter mass [GeV]", ylabel="this work / published", ylim=(0.7, 1.9))
    save(figure, folder / "full_wimp.png")


def dipole(results: dict, folder: Path) -> None:
    """Upper ends of the dipole against the sterile mass."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), sharey=True, layout="constrained")
    for axis, flavour, symbol in zip(axes, ("e", "mu"), ("e", r"\mu"), strict=True):
        for row in results["bounds"]:
            if row["id"] != f"dipole_{flavour}":
                continue
            x = np.array(row["m4_mev"])
            y, expected = (clean(v) for v in (row["upper"], row["expected"]["upper"]))
            color = COLORS[row["experiment"]]
            axis.plot(x, y * 1e-9, color=color, label=LABELS[row["experiment"]])
            axis.plot(x, expected * 1e-9, color=color, ls="--", lw=0.9)
        axis.set(
            yscale="log",
            xlabel=r"$m_4$ [MeV]",
            title=rf"$\nu_{symbol}$: solid observed, dashed expected (90 % CL, 2 dof)",
        )
        axis.title.set_fontsize(9)
    axes[0].set(ylabel=r"dipole $\mu$ [$\mu_{\rm B}$]", xlim=(0, 15), ylim=(1e-9, 3e-7))
    axes[0].legend(frameon=False, fontsize=8)
    save(figure, folder / "full_dipole.png")


def clean(values: list[float | None]) -> np.ndarray:
    """None becomes NaN, which is not drawn."""
    return np.array([math.nan if v is None else v for v in values])


def save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    dipole(json.loads(options.results.read_text()), options.output)
    wimps(options.output)
    interpolation(options.output)


if __name__ == "__main__":
    main()
