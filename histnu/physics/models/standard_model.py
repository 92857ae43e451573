"""Standard Model CEvNS, Eqs. 1-3."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.physics.cross_sections import Electroweak, cevns_coefficients
from histnu.physics.models.protocol import Parameter
from histnu.physics.nuclei import Target
from histnu.physics.rates import NeutrinoSource, recoil_spectrum
from histnu.polynomial import PolynomialMap


@dataclass(frozen=True)
class StandardModel:
    """CEvNS of all flavours; one basis spectrum of strength one and no parameter."""

    weak: Electroweak = field(default_factory=Electroweak)
    name: str = "standard_model"
    recoil: str = "nuclear"
    parameters: tuple[Parameter, ...] = ()
    polynomial: PolynomialMap = PolynomialMap((), ("cevns",), (((1.0, {}),),))
    reference: str = "Eqs. 1-3; Freedman, Phys. Rev. D 9 (1974) 1389"

    def basis_spectra(
        self, source: NeutrinoSource, target: Target, e_recoil_kev: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """Return ``{"cevns": dR/dT}`` in events/(t yr keV), summed over flavours, shape (N,)."""
        spectra = [
            recoil_spectrum(
                lambda t, i: cevns_coefficients(t, i, self.weak),
                source,
                flavour,
                target,
                e_recoil_kev,
            )
            for flavour in source.flavours
        ]
        return {"cevns": np.sum(spectra, axis=0)}
