"""Folding of recoil spectra with detector responses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from histnu.errors import TemplateError
from histnu.experiments.response import Response

Array = NDArray[np.float64]

PANELS_PER_INTERVAL = 4
NODES_PER_PANEL = 6


def quadrature(
    edges: Array, panels: int = PANELS_PER_INTERVAL, nodes: int = NODES_PER_PANEL
) -> tuple[Array, Array]:
    """Composite Gauss-Legendre rule whose panels never cross an edge.

    Args:
        edges: increasing break points (here the nodes of the response, in keV), shape (N,).
        panels: panels between two break points.
        nodes: Gauss-Legendre nodes per panel.

    Returns:
        Nodes and weights, each of shape ((N - 1) * panels * nodes,).

    >>> x, w = quadrature(np.array([0.0, 1.0, 3.0]))
    >>> float(np.round(w @ x**3, 12))
    20.25
    """
    x, w = np.polynomial.legendre.leggauss(nodes)
    steps = np.linspace(0.0, 1.0, panels + 1)
    fine = np.append((edges[:-1, None] + np.diff(edges)[:, None] * steps[:-1]).ravel(), edges[-1])
    half = 0.5 * np.diff(fine)
    middle = 0.5 * (fine[1:] + fine[:-1])
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def response_nodes(response: Response) -> tuple[Array, Array]:
    """Quadrature nodes (keV) and weights ``w R_b(T)``, shapes (M,) and (B, M).

    A response that starts at T = 0 is integrated from its first positive panel on; the nodes
    never include T = 0 itself.
    """
    nodes, weights = quadrature(response.e_recoil_kev)
    return nodes, response(nodes) * weights


def fold(
    response: Response, spectrum: Callable[[Array], Array], exposure_tonne_year: float
) -> Array:
    """Expected events per bin, ``N_b = exposure integral R_b(T) dR/dT dT`` (Eq. 14).

    Args:
        response: detection probability per bin.
        spectrum: dR/dT in events/(t yr keV) at recoil energies in keV.
        exposure_tonne_year: exposure in t yr.

    Returns:
        Events per bin, shape (B,).
    """
    nodes, weights = response_nodes(response)
    return checked(exposure_tonne_year * weights @ spectrum(nodes), "folded spectrum")


def checked(values: Array, what: str) -> Array:
    """Return finite values.

    Raises:
        TemplateError: for NaN or infinity.
    """
    if not np.all(np.isfinite(values)):
        raise TemplateError(f"{what}: NaN or infinity in a template")
    return values
