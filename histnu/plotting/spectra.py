"""Recoil spectra of a hypothesis beside the Standard Model, and detector responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.plotting.canvas import (
    COLORS,
    DASHES,
    Column,
    Header,
    columns_of,
    finish,
    label_axes,
    plain_ticks,
    write_figure,
)
from histnu.plotting.style import figure_style

Array = NDArray[np.float64]

_DECADES = 6.0  # a logarithmic axis shows no more than this many


@dataclass(frozen=True)
class Spectrum:
    """A spectrum (N,) in events/(t yr keV); ``reference`` marks the Standard Model."""

    label: str
    rate: Array
    reference: bool = False


@dataclass(frozen=True)
class SpectraFigure:
    """Spectra at the same recoil energies (N,) in keV; thresholds: text -> keV."""

    e_recoil_kev: Array
    spectra: tuple[Spectrum, ...]
    header: Header = Header()


def draw_spectra(spec: SpectraFigure, path: Path) -> list[Path]:
    """Rates on logarithmic axes; negative interference is drawn by its size, and said so."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(6.8, 5.0), layout="constrained")
        e = spec.e_recoil_kev
        others = references = 0
        for s in spec.spectra:
            dash = DASHES[references % len(DASHES)]
            style: dict[str, Any] = {"color": "black", "linewidth": 2.2, "linestyle": dash}
            if s.reference:
                references += 1
            else:
                style = {"color": COLORS[others % len(COLORS)],
                         "linestyle": DASHES[(1 + others) % len(DASHES)]}  # fmt: skip
                others += 1
            sign = " (negative)" if np.any(s.rate < 0) else ""
            size = np.abs(s.rate)
            axes.plot(e, np.where(size > 0, size, np.nan), label=s.label + sign, **style)
        axes.set(xscale="log", yscale="log", xlim=(e[0], e[-1]))
        top = max(float(np.abs(s.rate).max()) for s in spec.spectra)
        low = min(float(np.abs(s.rate[s.rate != 0]).min(initial=top)) for s in spec.spectra)
        axes.set_ylim(max(0.5 * low, top * 10**-_DECADES), 3 * top)
        plain_ticks(axes)
        label_axes(axes, "recoil energy [keV]", r"$dR/dE_R$ [events / (t yr keV)]")
        widest = max(len(s.label) for s in spec.spectra)
        figure.legend(loc="outside upper center", ncols=2 if widest < 34 else 1, frameon=False)
        finish(figure, axes, spec.header)
        columns: dict[str, Column] = {"e_recoil_kev": e}
        columns |= {s.label: s.rate for s in spec.spectra}
        return write_figure(figure, columns, path)


@dataclass(frozen=True)
class ResponsePanel:
    """Probabilities (B, N) that a recoil of energy (N,) keV is found in a bin of a channel."""

    title: str
    e_recoil_kev: Array
    probability: Array
    bins: tuple[str, ...]


@dataclass(frozen=True)
class ResponseFigure:
    """Responses of several channels."""

    panels: tuple[ResponsePanel, ...]
    header: Header = Header()


def draw_response(spec: ResponseFigure, path: Path) -> list[Path]:
    """Total efficiency of each channel, and of its bins where they are few."""
    count = len(spec.panels)
    columns = min(count, 3)
    rows = -(-count // columns)
    with figure_style() as plt:
        figure, grid = plt.subplots(
            rows, columns, figsize=(5.2 * columns, 4.6 * rows), layout="constrained", squeeze=False
        )
        for axes in grid.ravel()[count:]:
            axes.set_axis_off()
        for axes, panel in zip(grid.ravel(), spec.panels, strict=False):
            e = panel.e_recoil_kev
            axes.plot(e, panel.probability.sum(axis=0), color="black", linewidth=2.2,
                      label="all bins")  # fmt: skip
            if len(panel.bins) <= 8:
                for k, (name, row) in enumerate(zip(panel.bins, panel.probability, strict=True)):
                    axes.plot(e, row, color=COLORS[k % len(COLORS)],
                              linestyle=DASHES[(1 + k) % len(DASHES)], label=name)  # fmt: skip
            axes.set_xlim(e[0], e[-1])
            axes.set_ylim(0, None)
            axes.set_title(panel.title, fontsize=11, loc="right")
            axes.legend(frameon=False, fontsize=9.5)
            label_axes(axes, "recoil energy [keV]", "probability")
        title = spec.header.title + ("*" if spec.header.provenance == "reconstructed" else "")
        figure.suptitle(title, fontsize=12)
        note = Header(provenance=spec.header.provenance, note=spec.header.note)
        finish(figure, grid[0, 0], note)
        return write_figure(figure, _response_columns(spec.panels), path)


def _response_columns(panels: Sequence[ResponsePanel]) -> dict[str, list[Any]]:
    rows = (
        (p.title, float(e), name, float(value))
        for p in panels
        for name, row in zip(p.bins, p.probability, strict=True)
        for e, value in zip(p.e_recoil_kev, row, strict=True)
    )
    return columns_of(("channel", "e_recoil_kev", "bin", "probability"), rows)
