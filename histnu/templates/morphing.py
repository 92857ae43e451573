"""Interpolation between the anchors of shape parameters.

XENONnT's own likelihoods tabulate each template at seven anchors per shape parameter and
interpolate linearly between neighbours (blueice). HistFactory knows -1 and +1 only. Both are made
from the same templates (:func:`histnu.templates.basis.anchor_templates`), so that they can be
compared.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histnu.experiments.anchors import AnchorGrid

Array = NDArray[np.float64]


def multilinear(grid: AnchorGrid, point: Mapping[str, float]) -> Array:
    """Linear interpolation between neighbouring anchors in every shape parameter.

    Parameters that are not given are at zero; beyond the outer anchors the value at the anchor
    is used.

    >>> grid = AnchorGrid(("t",), (np.array([-1.0, 0.0, 1.0]),), np.array([[1.0], [2.0], [4.0]]))
    >>> multilinear(grid, {"t": 0.5}).tolist()
    [3.0]
    """
    values = grid.values
    for name, anchors in zip(grid.parameters, grid.anchors, strict=True):
        t = float(np.clip(point.get(name, 0.0), anchors[0], anchors[-1]))
        i = int(np.clip(np.searchsorted(anchors, t, side="right") - 1, 0, anchors.size - 2))
        share = (t - anchors[i]) / (anchors[i + 1] - anchors[i])
        values = (1.0 - share) * values[i] + share * values[i + 1]
    return np.asarray(values)


def blueice_events(grid: AnchorGrid, point: Mapping[str, float]) -> Array:
    """Events per bin as blueice interpolates them: total times normalised shape.

    Total and shape ``G_b / sum_b G_b`` are each linear between anchors, so the product is
    quadratic between them. At the anchors it is the anchor. Grids whose total vanishes at an
    anchor are interpolated bin by bin.

    Args:
        grid: events (..., B). point: shape parameters in standard deviations.
    """
    if not grid.parameters:
        return grid.values
    total = grid.values.sum(axis=-1, keepdims=True)
    if np.any(total == 0.0):
        return multilinear(grid, point)
    shape = AnchorGrid(grid.parameters, grid.anchors, grid.values / total)
    rate = AnchorGrid(grid.parameters, grid.anchors, total)
    return np.asarray(multilinear(rate, point) * multilinear(shape, point))
