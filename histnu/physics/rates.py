"""Recoil spectra: the flux integral of Eq. 10 without the detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import PhysicsError
from histnu.physics.flux import Flux, FluxMoments
from histnu.physics.kinematics import e_nu_min_mev
from histnu.physics.nuclei import Isotope, Target
from histnu.units import CM2_PER_INVERSE_MEV2, MEV_PER_KEV, SECONDS_PER_YEAR

Array = NDArray[np.float64]
Coefficients = Callable[[Array, Isotope], Array]


@dataclass(frozen=True)
class NeutrinoSource:
    """A solar flux as it arrives at Earth.

    Attributes:
        flux: spectrum and total at production.
        probabilities: P(nu_e -> nu_l) at the nodes of the flux, one array (N,) per flavour.
    """

    flux: Flux
    probabilities: Mapping[str, Array]

    @cached_property
    def _moments(self) -> dict[str, FluxMoments]:
        return {name: FluxMoments.of(self.flux, p) for name, p in self.probabilities.items()}

    @property
    def flavours(self) -> tuple[str, ...]:
        """Flavours that the source holds."""
        return tuple(self.probabilities)

    def moments(self, flavour: str) -> FluxMoments:
        """Moments of the flux of one flavour.

        Raises:
            PhysicsError: for a flavour the source does not hold.
        """
        if flavour not in self.probabilities:
            known = ", ".join(self.probabilities)
            raise PhysicsError(f"unknown flavour {flavour!r}; the source has {known}")
        return self._moments[flavour]

    def scaled(self, total_cm2_s: float) -> NeutrinoSource:
        """The same source with another total flux (cm^-2 s^-1)."""
        return NeutrinoSource(self.flux.scaled(total_cm2_s), self.probabilities)


def recoil_spectrum(
    coefficients: Coefficients,
    source: NeutrinoSource,
    flavour: str,
    target: Target,
    e_recoil_kev: ArrayLike,
    m4_mev: float = 0.0,
) -> Array:
    """Rate per tonne, year and keV of true recoil energy.

    ``dR/dT = sum_i x_i N_t integral_{E_min}^inf dE (dphi/dE) P(nu_e -> nu_l) dsigma_i/dT``.

    Args:
        coefficients: ``c_k(T)`` of one isotope in MeV^(k-3), called with (T in MeV, isotope).
        source: neutrino source.
        flavour: flavour l at Earth.
        target: detector material.
        e_recoil_kev: recoil energies in keV, > 0, shape (N,).
        m4_mev: mass of the outgoing lepton in MeV.

    Returns:
        dR/dT in events/(t yr keV), shape (N,).
    """
    t = np.atleast_1d(np.asarray(e_recoil_kev, dtype=float)) * MEV_PER_KEV
    moments = source.moments(flavour)
    weight = sum(isotope.abundance for isotope in target.isotopes)
    total = np.zeros_like(t)
    for isotope in target.isotopes:
        e_min = e_nu_min_mev(t, isotope.mass_mev, m4_mev)
        integral = np.einsum("kn,kn->n", coefficients(t, isotope), moments(e_min))
        total += isotope.abundance / weight * integral
    return np.asarray(total * rate_unit(target.atoms_per_tonne))


def rate_unit(targets_per_tonne: float) -> float:
    """Factor from ``MeV^-3 cm^-2 s^-1`` to events/(t yr keV) for that many targets per tonne."""
    return CM2_PER_INVERSE_MEV2 * MEV_PER_KEV * SECONDS_PER_YEAR * targets_per_tonne
