"""Folding of recoil spectra with detector responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import TemplateError
from histnu.experiments.response import Response

Array = NDArray[np.float64]

PANELS_PER_INTERVAL = 4
NODES_PER_PANEL = 6
ANCHOR_PANELS, ANCHOR_NODES = 2, 4
"""Rule for responses with anchors. These are a monotone cubic between energies, a polynomial: two
panels of four points reproduce :func:`fold` to 1e-6 (smooth spectra) with a third of the memory."""


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


@dataclass(frozen=True)
class FoldingRule:
    """A response at the nodes of a quadrature rule, at every anchor of its shape parameters.

    Attributes:
        nodes: recoil energies in keV, shape (M,).
        weights: ``w_m R_b(T_m)`` in keV, shape (..., B, M): a spectrum in events/(t yr keV) at
            the nodes, contracted with them, gives events per bin and t yr.
        parameters, anchors: shape parameters and their anchors; none for a plain response.
    """

    nodes: Array
    weights: Array
    parameters: tuple[str, ...] = ()
    anchors: tuple[Array, ...] = ()

    def fold(self, spectra: ArrayLike) -> Array:
        """Events per bin and t yr at every anchor, shape (K, ..., B), of spectra (K, M).

        Raises:
            TemplateError: for spectra of another length, NaN or infinity.
        """
        s = np.atleast_2d(np.asarray(spectra, dtype=float))
        if s.shape[1] != self.nodes.size:
            raise TemplateError(f"spectra have {s.shape[1]} energies, the rule {self.nodes.size}")
        flat = self.weights.reshape(-1, self.nodes.size)
        events = checked(s @ flat.T, "folded spectra")
        return np.asarray(events.reshape(len(s), *self.weights.shape[:-1]))


@lru_cache(maxsize=16)
def folding_rule(response: Response) -> FoldingRule:
    """The rule of a response, prepared once; with all anchors where it has them."""
    grid = response.anchors
    if grid is None:
        return FoldingRule(*response_nodes(response))
    from scipy.interpolate import PchipInterpolator

    x, w = quadrature(response.e_recoil_kev, ANCHOR_PANELS, ANCHOR_NODES)
    weights = PchipInterpolator(response.e_recoil_kev, grid.values, axis=-1)(x) * w
    return FoldingRule(x, np.ascontiguousarray(weights), grid.parameters, grid.anchors)
