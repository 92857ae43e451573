"""Recoil spectra: the flux integral of Eq. 10 without the detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError
from histnu.core.units import CM2_PER_INVERSE_MEV2, MEV_PER_KEV, SECONDS_PER_YEAR
from histnu.physics.flux import Flux, FluxMoments
from histnu.physics.kinematics import e_nu_min_mev
from histnu.physics.nuclei import Isotope, Material

Array = NDArray[np.float64]
Coefficients = Callable[[Array, Isotope], Array]


@dataclass(frozen=True)
class NeutrinoSource:
    """A flux as it arrives at the detector, with its flavour content.

    The content is a density matrix ``rho_ab(E)`` in flavour space: ``probabilities`` is its
    diagonal, ``coherences`` what is off it. Scattering that conserves flavour needs the diagonal
    only; amplitudes that change it (flavour-changing interactions) interfere through the rest,
    ``dR/dT = sum_ab integral phi rho_ab dsigma_ba/dT``.

    Attributes:
        flux: spectrum and total at production.
        probabilities: ``rho_ll`` at the nodes of the flux, one array (N,) per flavour. A flavour
            that is not listed is absent.
        coherences: ``(a, b) -> Re rho_ab`` at the nodes, (N,), for a < b in the order of
            ``probabilities``; zero where not listed.
        anti: whether these are antineutrinos (their axial couplings have the other sign).
    """

    flux: Flux
    probabilities: Mapping[str, Array]
    coherences: Mapping[tuple[str, str], Array] = field(default_factory=dict)
    anti: bool = False

    @cached_property
    def _moments(self) -> dict[str | tuple[str, str], FluxMoments]:
        moments: dict[str | tuple[str, str], FluxMoments] = {}
        for flavour, p in self.probabilities.items():
            moments[flavour] = FluxMoments.of(self.flux, p)
        for pair, rho in self.coherences.items():
            moments[pair] = FluxMoments.of(self.flux, rho)
        return moments

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
        return replace(self, flux=self.flux.scaled(total_cm2_s))


def recoil_spectrum(
    coefficients: Coefficients,
    source: NeutrinoSource,
    flavour: str,
    target: Material,
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
