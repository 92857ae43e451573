"""A single confidence region as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histnu.plotting.canvas import Header, quantity
from histnu.plotting.planes import PlaneFigure, Region, draw_plane


def draw_region(document: Mapping[str, Any], path: Path) -> list[Path]:
    """Draw what ``histnu contour`` found; ``log`` of the document says which axes are logarithmic.

    Returns:
        The files written: the figure, and its numbers as CSV.
    """
    log = tuple(document.get("log", (False, False)))
    star = "*" if document.get("provenance") == "reconstructed" else ""
    lines = tuple(np.asarray(line) for line in document["polylines"])
    best = document["best_fit"]
    region = Region(
        f"{document['target']}{star}", lines, (best[0], best[1]), excluded_above=bool(log[1])
    )
    x, y = (quantity(document[k]["name"], document[k]["unit"]) for k in ("x", "y"))
    note = f"{100 * document['cl']:g} % CL ({document['dof']} dof)"
    head = Header("", document.get("provenance"), note)
    return draw_plane(PlaneFigure(x, y, (region,), (log[0], log[1]), head), path)
