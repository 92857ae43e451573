"""Adiabatic LMA-MSW conversion of solar neutrinos, averaged over the production region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import (
    AVOGADRO,
    DM2_21,
    FERMI_CONSTANT,
    HBAR_C,
    SIN2_THETA12,
    SIN2_THETA13,
)
from histnu.core.errors import PhysicsError

FLAVOURS = ("e", "mu", "tau")


@dataclass(frozen=True)
class OscillationParameters:
    """Mixing angles and mass splitting that solar neutrinos depend on.

    ``theta_23`` is maximal, as in the paper: nu_mu and nu_tau arrive in equal numbers (Eq. 11).
    """

    sin2_theta12: float = float(SIN2_THETA12)
    sin2_theta13: float = float(SIN2_THETA13)
    dm2_21_ev2: float = float(DM2_21)

    def __post_init__(self) -> None:
        for name in ("sin2_theta12", "sin2_theta13"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise PhysicsError(f"{name} = {value} must lie in [0, 1]")
        if not self.dm2_21_ev2 > 0:
            raise PhysicsError(f"dm2_21 = {self.dm2_21_ev2} eV^2 must be positive")


@dataclass(frozen=True)
class ProductionProfile:
    """Where a solar component is born.

    Attributes:
        radius: r/R_sun, increasing, shape (N,).
        density: probability density dN/d(r/R_sun), any normalisation, shape (N,).
        electrons_mol_cm3: electron density n_e/N_A at ``radius`` in mol/cm^3, shape (N,).
        source: origin of both tables.
    """

    radius: NDArray[np.float64]
    density: NDArray[np.float64]
    electrons_mol_cm3: NDArray[np.float64]
    source: str

    @property
    def weights(self) -> NDArray[np.float64]:
        """Trapezoidal weights of the nodes, adding up to one, shape (N,)."""
        w = self.density * np.gradient(self.radius)
        return np.asarray(w / w.sum())


def matter_potential_ev(electrons_mol_cm3: ArrayLike) -> NDArray[np.float64]:
    """Charged-current potential ``V = sqrt(2) G_F n_e`` in eV.

    >>> f"{float(matter_potential_ev(1.0)):.2e}"
    '7.63e-14'
    """
    per_cm3 = np.asarray(electrons_mol_cm3, dtype=float) * float(AVOGADRO)
    hbar_c_cm = float(HBAR_C) * 1e-13  # MeV cm
    return np.asarray(np.sqrt(2.0) * float(FERMI_CONSTANT) * per_cm3 * hbar_c_cm**3 * 1e6)


def survival_probability_at(
    e_nu_mev: ArrayLike, electrons_mol_cm3: ArrayLike, parameters: OscillationParameters
) -> NDArray[np.float64]:
    """Daytime P(nu_e -> nu_e) for production at one electron density, adiabatic.

    ``P = c13^4 (1 + cos 2theta12 cos 2theta12^m)/2 + s13^4`` with
    ``cos 2theta12^m = (cos 2theta12 - a)/sqrt((cos 2theta12 - a)^2 + sin^2 2theta12)`` and
    ``a = 2 E c13^2 V / dm2_21``.

    Args:
        e_nu_mev: neutrino energies in MeV, broadcast against the density.
        electrons_mol_cm3: n_e/N_A in mol/cm^3.
        parameters: oscillation parameters.

    References: S.J. Parke, Phys. Rev. Lett. 57 (1986) 1275; PDG 2024 review "Neutrino masses,
    mixing and oscillations", Sec. 14.4.
    """
    e = np.asarray(e_nu_mev, dtype=float) * 1e6  # eV
    c13 = 1.0 - parameters.sin2_theta13
    cos2 = 1.0 - 2.0 * parameters.sin2_theta12
    sin2_squared = 1.0 - cos2**2
    a = 2.0 * e * c13 * matter_potential_ev(electrons_mol_cm3) / parameters.dm2_21_ev2
    cos2_matter = (cos2 - a) / np.sqrt((cos2 - a) ** 2 + sin2_squared)
    two_flavour = 0.5 * (1.0 + cos2 * cos2_matter)
    return np.asarray(c13**2 * two_flavour + parameters.sin2_theta13**2)


def survival_probability(
    e_nu_mev: ArrayLike, profile: ProductionProfile, parameters: OscillationParameters | None = None
) -> NDArray[np.float64]:
    """P(nu_e -> nu_e) averaged over the production region, shape (...).

    Args:
        e_nu_mev: neutrino energies in MeV, shape (...).
        profile: production profile of the component.
        parameters: oscillation parameters (2020 global fit by default).
    """
    e = np.asarray(e_nu_mev, dtype=float)
    p = survival_probability_at(
        e[..., None], profile.electrons_mol_cm3, parameters or OscillationParameters()
    )
    return np.asarray(p @ profile.weights)


def flavour_probabilities(p_ee: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """P(nu_e -> nu_l) for l = e, mu, tau with maximal theta_23, Eq. 11.

    >>> {k: float(v) for k, v in flavour_probabilities(0.5).items()}
    {'e': 0.5, 'mu': 0.25, 'tau': 0.25}
    """
    p = np.asarray(p_ee, dtype=float)
    return {"e": p, "mu": 0.5 * (1.0 - p), "tau": 0.5 * (1.0 - p)}
