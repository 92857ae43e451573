"""Pions and muons that decay at rest in the target of a pulsed proton beam.

Three components of one normalisation: a prompt line of nu_mu, and delayed nu_e and anti-nu_mu with
Michel spectra. ``flux = N_p r/(4 pi L^2)`` per flavour is spread over ``exposure_year``, so that
flux times exposure (mass times that time) is the fluence times the mass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError
from histnu.core.units import SECONDS_PER_YEAR
from histnu.physics.pion_decay import EMISSION, BeamProfile, decay_at_rest_flux, fluence_cm2
from histnu.physics.rates import NeutrinoSource
from histnu.sources.protocol import Arrival, Component, FluxUncertainty

Array = NDArray[np.float64]

FLUX_PARAMETER = "sns_flux"
"""Neutrinos per proton at the Spallation Neutron Source: one parameter for all its detectors."""
FLUX_RELATIVE = 0.10
FLUX_SOURCE = (
    "neutrinos per proton, COHERENT, arXiv:2109.11049; 10 % in arXiv:2003.10630, 2110.07730"
)


@dataclass(frozen=True)
class Arriving:
    """Arrival times of the neutrinos of one decay (see :class:`BeamProfile`)."""

    beam: BeamProfile
    decay: str

    def cumulative(self, time_us: ArrayLike) -> Array:
        """Fraction that has arrived by a time in us, any shape."""
        return self.beam.arrived(time_us, self.decay)


@dataclass(frozen=True)
class PionDecayAtRest:
    """A stopped-pion source as one detector sees it.

    Attributes:
        protons: protons on target during the exposure, in 1e23.
        neutrinos_per_proton: of each flavour.
        distance_m: from the target in m.
        beam_mean_us, beam_width_us: Gaussian arrival of the protons in the detector's clock.
        beam_mean_sigma_us: uncertainty of the mean; a shape nuisance where a channel has a time
            axis, none if zero.
        detector: number of the detector's clock: detectors of one number share that nuisance.
        exposure_year: time over which the fluence is spread.

    >>> [c.name for c in PionDecayAtRest(1.38, 0.09, 27.5).components("nuclear")]
    ['numu', 'nue', 'numubar']
    """

    protons: float
    neutrinos_per_proton: float
    distance_m: float
    beam_mean_us: float = 0.0
    beam_width_us: float = 0.15
    beam_mean_sigma_us: float = 0.0
    detector: float = 0.0
    exposure_year: float = 1.0
    name = "pion_decay_at_rest"

    def __post_init__(self) -> None:
        for name in ("exposure_year", "beam_width_us"):
            if not getattr(self, name) > 0:
                raise PhysicsError(f"{name} = {getattr(self, name)} must be > 0")
        if not self.beam_mean_sigma_us >= 0:
            raise PhysicsError(f"beam_mean_sigma_us = {self.beam_mean_sigma_us} must be >= 0")

    @property
    def flux_cm2_s(self) -> float:
        """Flux of each flavour, averaged over the exposure, in cm^-2 s^-1."""
        fluence = fluence_cm2(self.protons * 1e23, self.neutrinos_per_proton, self.distance_m)
        return fluence / (self.exposure_year * SECONDS_PER_YEAR)

    def _arriving(self, decay: str, deviations: float = 0.0) -> Arriving:
        mean = self.beam_mean_us + deviations * self.beam_mean_sigma_us
        return Arriving(BeamProfile(mean, self.beam_width_us), decay)

    def _variations(self, decay: str) -> Mapping[str, tuple[Arrival, Arrival]]:
        if self.beam_mean_sigma_us == 0.0:
            return {}
        name = f"beam_arrival_{self.detector:.0f}"
        return {name: (self._arriving(decay, -1.0), self._arriving(decay, 1.0))}

    def components(self, recoil: str) -> tuple[Component, ...]:
        """The three components; the same for every kind of recoil."""
        norm = FluxUncertainty(FLUX_PARAMETER, FLUX_RELATIVE, FLUX_SOURCE)
        made = []
        for name, (flavour, decay) in EMISSION.items():
            flux = decay_at_rest_flux(name, self.flux_cm2_s, FLUX_RELATIVE, FLUX_SOURCE)
            present = {flavour: np.ones(flux.e_nu_mev.size)}
            source = NeutrinoSource(flux, present, anti=name.endswith("bar"))
            varied = self._variations(decay)
            made.append(Component(name, source, norm, self._arriving(decay), varied))
        return tuple(made)
