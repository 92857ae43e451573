"""Responses built from a published efficiency and a Gaussian energy resolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from histnu.core.errors import DataError
from histnu.core.tables import load_table
from histnu.experiments.response import Response

Array = NDArray[np.float64]

NODES_PER_BIN = 64


@dataclass(frozen=True)
class Resolution:
    """Standard deviation of the reconstructed energy, ``sigma(T) = sum_i a_i T^p_i`` in keV.

    Attributes:
        terms: pairs (a_i in keV^(1 - p_i), p_i).
        scale: factor on sigma, to vary it.

    >>> Resolution(((0.3, 0.5), (0.01, 1.0)))(4.0).item()
    0.64
    """

    terms: tuple[tuple[float, float], ...]
    scale: float = 1.0

    def __call__(self, e_recoil_kev: ArrayLike) -> Array:
        """Return sigma in keV at true energies in keV.

        Raises:
            DataError: if sigma is not positive there.
        """
        t = np.asarray(e_recoil_kev, dtype=float)
        sigma = self.scale * np.asarray(sum(a * t**p for a, p in self.terms))
        if np.any(~(sigma > 0)):
            raise DataError("the energy resolution must be positive; mend its terms or energies")
        return sigma


@dataclass(frozen=True)
class Efficiency:
    """Detection and selection efficiency against energy.

    Attributes:
        e_kev: nodes in keV, increasing, shape (N,).
        value: efficiency, shape (N,).
        beyond: efficiency above the last node; that of the last node if None.
        of_reconstructed: whether the energy is the reconstructed one; else the true one.

    Below the first node the efficiency is zero.
    """

    e_kev: Array
    value: Array
    beyond: float | None = None
    of_reconstructed: bool = False

    def __post_init__(self) -> None:
        if self.e_kev.shape != self.value.shape or np.any(np.diff(self.e_kev) <= 0):
            raise DataError("efficiency: energies must increase, one value for each")
        if np.any((self.value < 0) | (self.value > 1)):
            raise DataError("efficiency: values must lie in [0, 1]")

    def __call__(self, e_kev: ArrayLike) -> Array:
        """Return the efficiency, linear between nodes."""
        energy = np.asarray(e_kev, dtype=float)
        return np.interp(energy, self.e_kev, self.value, left=0.0, right=self.beyond)


def bin_probabilities(
    edges_kev: Array, e_recoil_kev: Array, efficiency: Efficiency, resolution: Resolution
) -> Array:
    """Probability that a recoil of energy T is found in each bin of reconstructed energy E.

    ``R_b(T) = eff(T) integral_b N(E; T, sigma(T)) dE``, or with the efficiency inside the integral
    where it is a function of E.

    Args:
        edges_kev: bin edges in E, shape (B + 1,).
        e_recoil_kev: true energies T > 0, shape (N,).
        efficiency: detection and selection efficiency.
        resolution: Gaussian energy resolution.

    Returns:
        Probabilities, shape (B, N).
    """
    sigma = resolution(e_recoil_kev)
    if not efficiency.of_reconstructed:
        below = ndtr((edges_kev[:, None] - e_recoil_kev) / sigma)
        return np.asarray(np.diff(below, axis=0) * efficiency(e_recoil_kev))
    x, w = np.polynomial.legendre.leggauss(NODES_PER_BIN)
    half, middle = 0.5 * np.diff(edges_kev), 0.5 * (edges_kev[1:] + edges_kev[:-1])
    energy = middle[:, None] + half[:, None] * x  # (B, Q)
    pull = (energy[:, :, None] - e_recoil_kev) / sigma
    density = np.exp(-0.5 * pull**2) / (np.sqrt(2.0 * np.pi) * sigma)
    weight = half[:, None] * w * efficiency(energy)
    return np.asarray(np.einsum("bq,bqn->bn", weight, density))


def energy_nodes(
    edges_kev: Array, efficiency: Efficiency, resolution: Resolution, steps_kev: Array
) -> Array:
    """True energies for a response table in keV, finer where the efficiency rises.

    Args:
        edges_kev: bin edges in reconstructed energy.
        efficiency: its first node limits the table from below.
        resolution: five standard deviations beyond the last edge limit it from above.
        steps_kev: energies where spectra jump (binding energies); they become nodes.
    """
    top = edges_kev[-1]
    high = top + 5.0 * float(resolution(top))
    grid = np.concatenate(
        [np.arange(0.15, 3.0, 0.05), np.arange(3.0, 8.0, 0.1), np.arange(8.0, high, 0.25)]
    )
    nodes = np.union1d(np.round(grid, 4), np.round(steps_kev, 4))
    low = max(0.15, float(efficiency.e_kev[0]) - 4.0 * float(resolution(0.5)))
    return np.asarray(nodes[(nodes >= low) & (nodes <= high)])


def smeared_response(
    edges_kev: Array, efficiency: Efficiency, resolution: Resolution, steps_kev: Array
) -> Response:
    """Response table of a detector, linear between its nodes (see :func:`energy_nodes`)."""
    nodes = energy_nodes(edges_kev, efficiency, resolution, steps_kev)
    probability = bin_probabilities(edges_kev, nodes, efficiency, resolution)
    return Response(nodes, probability, "linear")


def declared_detector(experiment: str) -> tuple[Efficiency, Resolution]:
    """Efficiency and resolution that the response of an experiment of the package is made of.

    Raises:
        DataError: if the experiment has no ``efficiency.csv``.

    >>> efficiency, resolution = declared_detector("lz_er_ws2024")
    >>> efficiency.beyond, round(float(resolution(4.0)), 3)
    (0.96, 0.646)
    """
    table = load_table(f"experiments/{experiment}/efficiency.csv")
    note = table.source
    efficiency = Efficiency(
        table["e_kev"], table["value"], note["beyond"], bool(note["of_reconstructed"])
    )
    return efficiency, Resolution(tuple((float(a), float(p)) for a, p in note["resolution"]))
