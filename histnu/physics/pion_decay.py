"""Neutrinos of pions and muons that decay at rest: spectra and arrival times.

``pi+ -> mu+ nu_mu`` gives a line; ``mu+ -> e+ nu_e anti-nu_mu`` the Michel spectra. With
``x = E/m_mu``, ``E <= m_mu/2`` and the electron mass neglected,

    nu_mu       delta(E - (m_pi^2 - m_mu^2)/(2 m_pi)),
    nu_e        192/m_mu x^2 (1/2 - x),
    anti-nu_mu   64/m_mu x^2 (3/4 - x),

each normalised to one. The beam's protons arrive with a Gaussian profile in time; the pion's
lifetime delays all neutrinos, the muon's those of its decay.

References: L. Michel, Proc. Phys. Soc. A 63 (1950) 514; COHERENT, Science 357 (2017) 1123,
arXiv:1708.01294, supplementary material; COHERENT, Phys. Rev. D 106 (2022) 032003,
arXiv:2109.11049 (fluence at the SNS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from histnu.core.constants import MUON_LIFETIME, MUON_MASS, PION_LIFETIME, PION_MASS
from histnu.core.errors import PhysicsError, named
from histnu.physics.flux import Flux

Array = NDArray[np.float64]

MICHEL_NODES = 4001
"""Nodes of the tabulated Michel spectra: linear between them, moments exact to 1e-7."""

PROMPT, DELAYED = "prompt", "delayed"
EMISSION: dict[str, tuple[str, str]] = {
    "numu": ("mu", PROMPT),
    "nue": ("e", DELAYED),
    "numubar": ("mu", DELAYED),
}
"""Component -> (flavour, arrival). Coherent vector scattering of neutrinos and antineutrinos is
the same; the flavour of anti-nu_mu is therefore ``mu`` (it is not for scattering on electrons)."""


def prompt_energy_mev() -> float:
    """Energy of nu_mu from pion decay at rest, ``(m_pi^2 - m_mu^2)/(2 m_pi)``, in MeV.

    >>> round(prompt_energy_mev(), 2)
    29.79
    """
    pion, muon = float(PION_MASS), float(MUON_MASS)
    return (pion**2 - muon**2) / (2.0 * pion)


def endpoint_mev() -> float:
    """End point ``m_mu/2`` of the Michel spectra in MeV (electron mass neglected: 0.0012 MeV)."""
    return 0.5 * float(MUON_MASS)


def nu_e_spectrum_per_mev(e_nu_mev: ArrayLike) -> Array:
    """Spectrum of nu_e from muon decay at rest, normalised to one, in 1/MeV, any shape.

    >>> float(nu_e_spectrum_per_mev(60.0))
    0.0
    """
    return _michel(e_nu_mev, 192.0, 0.5)


def anti_nu_mu_spectrum_per_mev(e_nu_mev: ArrayLike) -> Array:
    """Spectrum of anti-nu_mu from muon decay at rest, normalised to one, in 1/MeV, any shape."""
    return _michel(e_nu_mev, 64.0, 0.75)


def _michel(e_nu_mev: ArrayLike, scale: float, offset: float) -> Array:
    mass = float(MUON_MASS)
    e = np.asarray(e_nu_mev, dtype=float)
    x = e / mass
    inside = (e >= 0) & (e <= endpoint_mev())
    return np.asarray(np.where(inside, scale / mass * x**2 * (offset - x), 0.0))


def fluence_cm2(protons: float, neutrinos_per_proton: float, distance_m: float) -> float:
    """Neutrinos of one flavour per cm^2, ``N_p r/(4 pi L^2)``.

    Args:
        protons: protons on target.
        neutrinos_per_proton: neutrinos of each flavour per proton.
        distance_m: distance from the target in m.

    Raises:
        PhysicsError: for anything that is not positive.

    >>> f"{fluence_cm2(1e23, 0.09, 20.0):.3e}"
    '1.790e+14'
    """
    for name, value in (
        ("protons", protons),
        ("neutrinos_per_proton", neutrinos_per_proton),
        ("distance_m", distance_m),
    ):
        if not (np.isfinite(value) and value > 0):
            raise PhysicsError(f"{name} = {value} must be finite and > 0")
    return protons * neutrinos_per_proton / (4.0 * np.pi * (100.0 * distance_m) ** 2)


def decay_at_rest_flux(
    component: str, total_cm2_s: float, relative_uncertainty: float, source: str
) -> Flux:
    """Spectrum of one component with a given total.

    Args:
        component: ``numu``, ``nue`` or ``numubar``.
        total_cm2_s: integrated flux in cm^-2 s^-1.
        relative_uncertainty: of the total.
        source: where the total comes from.

    Raises:
        PhysicsError: for an unknown component.
    """
    named(EMISSION, component, "component", PhysicsError)
    if component == "numu":
        line = np.array([prompt_energy_mev()])
        return Flux(component, line, np.ones(1), total_cm2_s, relative_uncertainty, source)
    spectra = {"nue": nu_e_spectrum_per_mev, "numubar": anti_nu_mu_spectrum_per_mev}
    energy = np.linspace(0.0, endpoint_mev(), MICHEL_NODES)
    shape = spectra[component](energy)
    shape = shape / np.trapezoid(shape, energy)
    return Flux(component, energy, shape, total_cm2_s, relative_uncertainty, source)


@dataclass(frozen=True)
class BeamProfile:
    """Arrival of the protons: a Gaussian in time.

    Attributes:
        mean_us: mean arrival in us.
        width_us: standard deviation in us, > 0.
    """

    mean_us: float
    width_us: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean_us) and np.isfinite(self.width_us) and self.width_us > 0):
            raise PhysicsError(
                f"beam profile: mean {self.mean_us} us must be finite, width {self.width_us} us > 0"
            )

    def _decayed(self, time_us: Array, lifetime_us: float) -> Array:
        """Distribution function of beam plus one exponential decay."""
        from scipy.stats import exponnorm  # half a second, for beams with a clock alone

        ratio = lifetime_us / self.width_us
        return np.asarray(exponnorm.cdf(time_us, ratio, loc=self.mean_us, scale=self.width_us))

    def arrived(self, time_us: ArrayLike, arrival: str) -> Array:
        """Fraction of the neutrinos that have arrived by a time.

        Prompt: beam with the pion's decay, ``F_pi``. Delayed: with both decays,
        ``(tau_mu F_mu - tau_pi F_pi)/(tau_mu - tau_pi)``.

        Args:
            time_us: times in us, any shape.
            arrival: ``prompt`` or ``delayed``.

        Raises:
            PhysicsError: for another word.
        """
        t = np.asarray(time_us, dtype=float)
        pion, muon = float(PION_LIFETIME), float(MUON_LIFETIME)
        after_pion = self._decayed(t, pion)
        if arrival == PROMPT:
            return after_pion
        if arrival != DELAYED:
            raise PhysicsError(f"unknown arrival {arrival!r}; known: {PROMPT}, {DELAYED}")
        both = muon * self._decayed(t, muon) - pion * after_pion
        return np.asarray(both / (muon - pion))

    def fractions(self, edges_us: ArrayLike, arrival: str) -> Array:
        """Fraction of the neutrinos that arrive in each bin, shape (B,), edges of shape (B + 1,).

        >>> beam = BeamProfile(0.5, 0.15)
        >>> round(float(beam.fractions([-5.0, 100.0], "delayed")[0]), 9)
        1.0
        """
        return np.diff(self.arrived(edges_us, arrival))

    def protons(self, time_us: ArrayLike) -> Array:
        """Fraction of the protons that have arrived by a time, any shape."""
        return np.asarray(ndtr((np.asarray(time_us) - self.mean_us) / self.width_us))
