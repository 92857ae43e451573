"""Detector response: probability per bin against true recoil energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import DataError


@dataclass(frozen=True)
class Response:
    """Detection probability ``R_b(T)``.

    Attributes:
        e_recoil_kev: nodes in keV, increasing, shape (N,).
        probability: probability that a recoil of that energy is found in bin b, shape (B, N).
        interpolation: ``linear`` or ``pchip`` (monotone cubic) between the nodes.

    Outside the nodes the response is zero: no recoil below the first node is counted.
    """

    e_recoil_kev: NDArray[np.float64]
    probability: NDArray[np.float64]
    interpolation: str = "pchip"

    def __post_init__(self) -> None:
        e, p = self.e_recoil_kev, self.probability
        if e.ndim != 1 or e.size < 2 or np.any(np.diff(e) <= 0) or e[0] < 0:
            raise DataError("response energies must be >= 0 and increase (two or more)")
        if p.ndim != 2 or p.shape[1] != e.size:
            raise DataError(f"response has shape {p.shape}, expected (bins, {e.size})")
        if not np.all(np.isfinite(p)) or np.any(p < 0):
            raise DataError("response probabilities must be finite and >= 0")
        if np.any(p.sum(axis=0) > 1.0 + 1e-6):
            raise DataError("response probabilities add up to more than one; give efficiencies")

    @property
    def n_bins(self) -> int:
        """Number of bins B."""
        return int(self.probability.shape[0])

    def __call__(self, e_recoil_kev: ArrayLike) -> NDArray[np.float64]:
        """Return R_b(T), shape (B, M), at recoil energies in keV, shape (M,)."""
        t = np.asarray(e_recoil_kev, dtype=float)
        inside = (t >= self.e_recoil_kev[0]) & (t <= self.e_recoil_kev[-1])
        if self.interpolation == "linear":
            values = np.stack([np.interp(t, self.e_recoil_kev, p) for p in self.probability])
        else:
            from scipy.interpolate import PchipInterpolator

            values = PchipInterpolator(self.e_recoil_kev, self.probability, axis=1)(t)
        return np.where(inside, values, 0.0)
