"""Standard Model elastic neutrino-electron scattering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.constants import SIN2_THETA_W
from histnu.errors import PhysicsError
from histnu.physics.electron_scattering import (
    couplings,
    electron_recoil_spectrum,
    eves_coefficients,
)
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.rates import NeutrinoSource
from histnu.polynomial import PolynomialMap

EVES = PolynomialMap((), ("eves",), (((1.0, {}),),))
"""One basis spectrum of strength one."""


@dataclass(frozen=True)
class ManyBodyCorrection:
    """Ratio of a many-body atomic rate to the stepping approximation against energy.

    Attributes:
        e_recoil_kev: energy deposits in keV, increasing, shape (N,).
        ratio: rate divided by that of the stepping approximation, shape (N,).
        source: where it comes from.
    """

    e_recoil_kev: NDArray[np.float64]
    ratio: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        e, r = self.e_recoil_kev, self.ratio
        if e.ndim != 1 or e.shape != r.shape or e.size < 2 or np.any(np.diff(e) <= 0):
            raise PhysicsError("many-body correction: energies must increase, one ratio for each")
        if np.any(~(r > 0)) or not np.all(np.isfinite(r)):
            raise PhysicsError("many-body correction: ratios must be positive and finite")

    def __call__(self, e_recoil_kev: ArrayLike) -> NDArray[np.float64]:
        """Return the ratio, linear between the nodes and one outside them."""
        t = np.asarray(e_recoil_kev, dtype=float)
        return np.interp(t, self.e_recoil_kev, self.ratio, left=1.0, right=1.0)


@dataclass(frozen=True)
class ElectronStandardModel:
    """EvES of all flavours of one component; one basis spectrum of strength one.

    Attributes:
        sin2_theta_w: weak mixing angle at low momentum transfer.
        many_body: correction of the stepping approximation, or None.
    """

    sin2_theta_w: float = float(SIN2_THETA_W)
    many_body: ManyBodyCorrection | None = None
    name: str = "electron_standard_model"
    recoil: str = "electron"
    parameters: tuple[Parameter, ...] = ()
    polynomial: PolynomialMap = EVES
    reference: str = "Vogel and Engel, Phys. Rev. D 39 (1989) 3378; stepping arXiv:1610.04177"

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return ``{"eves": dR/dT}`` in events/(t yr keV), summed over flavours, shape (N,)."""
        spectra = [
            electron_recoil_spectrum(
                lambda t, f=flavour: eves_coefficients(  # type: ignore[misc]
                    t, couplings(f, self.sin2_theta_w)
                ),
                source,
                flavour,
                target,
                e_recoil_kev,
            )
            for flavour in source.flavours
        ]
        total = np.sum(spectra, axis=0)
        return {"eves": total if self.many_body is None else total * self.many_body(e_recoil_kev)}
