"""Detector response: probability per bin against true recoil energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import DataError
from histnu.experiments.anchors import AnchorGrid


@dataclass(frozen=True, eq=False)
class Response:
    """Detection probability ``R_b(T)``.

    Equality is identity: what is prepared for a response can be kept with it.

    Attributes:
        e_recoil_kev: nodes in keV, increasing, shape (N,).
        probability: probability that a recoil of that energy is found in bin b, shape (B, N).
        interpolation: ``linear`` or ``pchip`` (monotone cubic) between the nodes.
        anchors: the probability at every anchor of its shape parameters, (..., B, N), where it is
            known there; ``probability`` is that at zero.

    Outside the nodes the response is zero: no recoil below the first node is counted.
    """

    e_recoil_kev: NDArray[np.float64]
    probability: NDArray[np.float64]
    interpolation: str = "pchip"
    anchors: AnchorGrid | None = None

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

    @classmethod
    def at_anchors(cls, e_recoil_kev: NDArray[np.float64], anchors: AnchorGrid) -> Response:
        """A response tabulated at the anchors of shape parameters, monotone between energies."""
        return cls(e_recoil_kev, anchors.at(), "pchip", anchors)

    @property
    def variations(self) -> dict[str, tuple[Response, Response]]:
        """Responses at -1 and +1 deviation of every shape parameter of the anchors."""
        if self.anchors is None:
            return {}
        pairs = self.anchors.pairs()
        make = [
            (k, Response(self.e_recoil_kev, p[0]), Response(self.e_recoil_kev, p[1]))
            for k, p in pairs.items()
        ]
        return {k: (down, up) for k, down, up in make}

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
