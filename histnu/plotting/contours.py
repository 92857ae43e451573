"""A single confidence region as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histnu.plotting.style import figure_style
from histnu.serialize import write_with


def draw_region(document: Mapping[str, Any], path: Path) -> None:
    """Draw the polylines of ``histnu contour`` into a file; its suffix chooses the format."""
    with figure_style() as plt:
        figure, axes = plt.subplots(figsize=(5.6, 5.0), layout="constrained")
        label = f"{100 * document['cl']:g} % CL ({document['dof']} dof)"
        for i, line in enumerate(document["polylines"]):
            xy = np.asarray(line)
            axes.plot(xy[:, 0], xy[:, 1], color="#c2188b", label=label if i == 0 else None)
        axes.plot(*document["best_fit"], "*", color="#c2188b", markersize=10, label="best fit")
        axes.set_xlabel(f"{document['x']['name']} [{document['x']['unit']}]", loc="center")
        axes.set_ylabel(f"{document['y']['name']} [{document['y']['unit']}]", loc="center")
        axes.set_title(document["target"], fontsize=10)
        axes.legend(frameon=False)
        write_with(path, lambda p: figure.savefig(p))
        plt.close(figure)
