"""Neutrino spectra and their exact inverse-energy moments.

Every cross section of this package is a polynomial of degree two in 1/E_nu whose coefficients
depend on the recoil energy only. The flux integral of Eq. 10 is therefore a sum over

    M_k(E_min) = integral_{E_min}^inf dE_nu (dphi/dE_nu) P(E_nu) E_nu^-k,   k = 0, 1, 2,

which are computed once per flux and flavour. For a tabulated spectrum (linear between its
nodes) the integrals over each interval are closed forms, so no grid in E_nu limits the accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError

MAX_POWER = 2
_KEPT = 24  # sets of moments: more than the isotopes of a material


@dataclass(frozen=True)
class Flux:
    """One component of the solar neutrino flux.

    Attributes:
        name: ``b8``, ``hep``, ``pp``, ...
        e_nu_mev: nodes of the spectrum in MeV, increasing, shape (N,); one node for a line.
        shape_per_mev: normalised spectrum at the nodes in 1/MeV, shape (N,); ignored for a line.
        total_cm2_s: integrated flux in cm^-2 s^-1.
        relative_uncertainty: one standard deviation of the total, relative.
        source: where the spectrum and the total come from.
    """

    name: str
    e_nu_mev: NDArray[np.float64]
    shape_per_mev: NDArray[np.float64]
    total_cm2_s: float
    relative_uncertainty: float
    source: str

    def __post_init__(self) -> None:
        e, s = self.e_nu_mev, self.shape_per_mev
        if e.ndim != 1 or e.shape != s.shape:
            raise PhysicsError(f"flux {self.name}: nodes {e.shape} and spectrum {s.shape} differ")
        if not (np.all(np.isfinite(e)) and np.all(np.isfinite(s))):
            raise PhysicsError(f"flux {self.name}: NaN or infinity in the spectrum")
        if np.any(e < 0) or np.any(np.diff(e) <= 0) or np.any(s < 0):
            raise PhysicsError(f"flux {self.name}: energies must increase, the spectrum be >= 0")
        if not self.total_cm2_s >= 0:
            raise PhysicsError(f"flux {self.name}: total {self.total_cm2_s} must be >= 0")

    @property
    def is_line(self) -> bool:
        """True for a monoenergetic component (7Be, pep)."""
        return self.e_nu_mev.size == 1

    @property
    def e_max_mev(self) -> float:
        """Largest neutrino energy in MeV."""
        return float(self.e_nu_mev[-1])

    def scaled(self, total_cm2_s: float) -> Flux:
        """Return the same spectrum with another total flux (cm^-2 s^-1)."""
        return replace(self, total_cm2_s=total_cm2_s)


@dataclass(frozen=True)
class FluxMoments:
    """Moments ``M_k(E_min)`` of a flux times a probability, exact for linear segments.

    Attributes:
        e_nu_mev: nodes in MeV, shape (N,).
        weight: ``dphi/dE P`` at the nodes in cm^-2 s^-1 MeV^-1, shape (N,); for a line its
            total ``phi P`` in cm^-2 s^-1, shape (1,).
        above: integrals from each node to the end, shape (3, N).
    """

    e_nu_mev: NDArray[np.float64]
    weight: NDArray[np.float64]
    above: NDArray[np.float64]

    @classmethod
    def of(cls, flux: Flux, probability: NDArray[np.float64] | float = 1.0) -> FluxMoments:
        """Build the moments of ``flux`` times ``probability`` at its nodes.

        Args:
            flux: the spectrum.
            probability: P(nu_e -> nu_l) at ``flux.e_nu_mev``, shape (N,) or a constant.
        """
        if flux.is_line:
            line = flux.total_cm2_s * np.broadcast_to(np.asarray(probability, dtype=float), (1,))
            return cls(flux.e_nu_mev, line, np.zeros((MAX_POWER + 1, 1)))
        e = flux.e_nu_mev
        weight = flux.total_cm2_s * flux.shape_per_mev * np.asarray(probability, dtype=float)
        above = np.zeros((MAX_POWER + 1, e.size))
        moments = cls(e, weight, above)
        pieces = _segments(*moments._lines, e[:-1], e[1:])
        above[:, :-1] = np.cumsum(pieces[:, ::-1], axis=1)[:, ::-1]
        return moments

    @cached_property
    def _lines(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset and slope (N - 1,) of the segments."""
        slope = np.diff(self.weight) / np.diff(self.e_nu_mev)
        return self.weight[:-1] - slope * self.e_nu_mev[:-1], slope

    def __call__(self, e_min_mev: ArrayLike) -> NDArray[np.float64]:
        """Return ``M_k(E_min)``, shape (3, ...), in cm^-2 s^-1 MeV^-k; not to be written to.

        Args:
            e_min_mev: smallest neutrino energy in MeV, > 0, shape (...).
        """
        e_min = np.asarray(e_min_mev, dtype=float)
        key = (e_min.shape, e_min.tobytes())
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[key] = self._moments(e_min)
            known.flags.writeable = False
        return known

    @cached_property
    def _known(self) -> dict[tuple[tuple[int, ...], bytes], NDArray[np.float64]]:
        """Moments that were asked for: the couplings of a model ask for the same ones."""
        return {}

    def _moments(self, e_min: NDArray[np.float64]) -> NDArray[np.float64]:
        if np.any(~(e_min > 0)):
            raise PhysicsError("E_min must be positive and finite")
        e = self.e_nu_mev
        if e.size == 1:
            powers = e[0] ** -np.arange(MAX_POWER + 1.0)
            open_channel = (e_min <= e[0]).astype(float)
            return np.asarray(self.weight[0] * np.multiply.outer(powers, open_channel))
        lower = np.clip(e_min, e[0], e[-1])
        i = np.clip(np.searchsorted(e, lower, side="right") - 1, 0, e.size - 2)
        offset, slope = (x[i] for x in self._lines)
        start = np.where(lower > 0, lower, e_min)
        return _segments(offset, slope, start, e[i + 1]) + self.above[:, i + 1]


def _segments(
    offset: NDArray[np.float64],
    slope: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """``integral_low^high (offset + slope E) E^-k dE`` for k = 0, 1, 2, (3, ...), in closed form.

    An interval that starts at E = 0 only arises when the spectrum is proportional to E there;
    its divergent pieces are never used (E_min > 0), and are returned as zero.
    """
    out = np.empty((MAX_POWER + 1, *np.shape(low)))
    safe = np.where(low > 0, low, high)
    log, width = np.log(high / safe), high - low
    out[0] = offset * width + 0.5 * slope * (high**2 - low**2)
    out[1] = offset * log + slope * width
    out[2] = offset * (1.0 / safe - 1.0 / high) + slope * log
    return out
