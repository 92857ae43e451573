"""Figures of a data set's page: what was counted over what was expected, and what is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.analysis.axes import Axis
from histnu.experiments.model import Channel
from histnu.plotting.canvas import COLORS, label_axes
from histnu.plotting.prediction import poisson_interval
from histnu.plotting.spectra import ResponseFigure, ResponsePanel, draw_response
from histnu.plotting.style import figure_style

_NODES = 400


def projections(channel: Channel, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Bins (B,) summed over all axes but one, for each axis."""
    shape = channel.observable.shape
    cube = values.reshape(shape)
    axes = range(len(shape))
    return [cube.sum(axis=tuple(j for j in axes if j != k)) for k in axes]


def draw_counts(channel: Channel, path: Path) -> Path:
    """Stacked backgrounds as declared (before any fit) and the observed events, axis by axis."""
    axes = channel.observable.axes
    observed = projections(channel, channel.observed)
    stacks = [projections(channel, b.expected) for b in channel.backgrounds]
    with figure_style() as plt:
        import mplhep

        figure, row = plt.subplots(
            1, len(axes), figsize=(6.4 * len(axes), 4.4), layout="constrained", squeeze=False
        )
        for k, (axis, area) in enumerate(zip(axes, row[0], strict=True)):
            names = [b.title for b in channel.backgrounds]
            colors = [COLORS[j % len(COLORS)] for j in range(len(names))]
            heights = [s[k] for s in stacks]
            mplhep.histplot(
                heights, axis.edges, stack=True, histtype="fill", label=names, color=colors, ax=area
            )
            low, high = poisson_interval(observed[k])
            centres = 0.5 * (axis.edges[1:] + axis.edges[:-1])
            bars = [observed[k] - low, high - observed[k]]
            area.errorbar(centres, observed[k], bars, fmt="ko", markersize=4, label="observed")
            area.set_xlim(axis.edges[0], axis.edges[-1])
            area.set_ylim(0, 1.35 * high.max())
            label_axes(area, Axis(axis.title, axis.unit, axis.edges).label, "events / bin")
        row[0, 0].legend(frameon=False)
        figure.savefig(path)
        plt.close(figure)
    return path


def draw_seen(channel: Channel, path: Path) -> Path:
    """Probability that a recoil is found, against its energy."""
    nodes = channel.response.e_recoil_kev
    energies = np.linspace(nodes[0], nodes[-1], _NODES)
    probability = channel.response(energies)
    total = probability.sum(axis=0)
    last = int(np.flatnonzero(total > 2e-3 * total.max())[-1]) + 1
    o = channel.observable
    bins = Axis(o.title, o.unit, o.edges).bins
    if len(bins) != len(probability):  # a pulsed beam: the response fills all axes but time
        bins = tuple(f"bin {k + 1}" for k in range(len(probability)))
    panel = ResponsePanel("", energies[:last], probability[:, :last], bins)
    draw_response(ResponseFigure((panel,)), path)
    return path
