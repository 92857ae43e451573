"""Effective neutrino magnetic moments in electron scattering."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.errors import PhysicsError
from histnu.physics.electron_scattering import (
    electron_recoil_spectrum,
    magnetic_moment_coefficients,
)
from histnu.physics.models.magnetic_moment import MagneticMoment, moment_parameters
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.oscillation import FLAVOURS
from histnu.physics.rates import NeutrinoSource
from histnu.polynomial import PolynomialMap

ELECTRON_MOMENT_UNIT = 1e-11
"""Default unit of magnetic moments in electron-recoil analyses, in Bohr magnetons."""


def check_unit(value: float, what: str) -> None:
    """Raise a PhysicsError unless a unit is positive and finite."""
    if not (np.isfinite(value) and value > 0):
        raise PhysicsError(f"{what} = {value} must be positive and finite")


def in_unit(parameters: tuple[Parameter, ...], unit: str) -> tuple[Parameter, ...]:
    """Return parameters with another unit; names, symbols and bounds stay."""
    return tuple(replace(p, unit=unit) for p in parameters)


@dataclass(frozen=True)
class ElectronMagneticMoment:
    """Magnetic moments of each flavour and a universal one; strengths ``mu2_l = mu_l^2``.

    Parameters and outputs have the names of :class:`MagneticMoment`, so that a nuclear- and an
    electron-recoil channel can share them; for that both must be given in one unit.

    Attributes:
        unit_mu_b: unit of the moments in Bohr magnetons.
    """

    unit_mu_b: float = ELECTRON_MOMENT_UNIT
    name: str = "electron_magnetic_moment"
    recoil: str = "electron"
    polynomial: PolynomialMap = MagneticMoment.polynomial
    reference: str = "Vogel and Engel, Phys. Rev. D 39 (1989) 3378"

    def __post_init__(self) -> None:
        check_unit(self.unit_mu_b, "unit_mu_b")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``mu_e``, ``mu_mu``, ``mu_tau``, ``mu_universal`` in units of ``unit_mu_b``."""
        return in_unit(moment_parameters(extra=("universal",)), f"{self.unit_mu_b:g} mu_B")

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return dR/dT for a moment of one unit of each kind, events/(t yr keV), shape (N,)."""
        spectra = {
            f"mu2_{flavour}": electron_recoil_spectrum(
                lambda t: magnetic_moment_coefficients(t, self.unit_mu_b),
                source,
                flavour,
                target,
                e_recoil_kev,
            )
            for flavour in FLAVOURS
        }
        return {**spectra, "mu2_universal": np.sum(list(spectra.values()), axis=0)}
