"""Standard Model: CEvNS (Eqs. 1-3) and elastic neutrino-electron scattering."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError
from histnu.physics.cross_sections import Electroweak, Particle, cevns_coefficients
from histnu.physics.electron_scattering import couplings, eves_coefficients
from histnu.physics.models.protocol import Model, Term
from histnu.physics.nuclei import Isotope
from histnu.physics.scattering import NUCLEAR, Scattering

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ManyBodyCorrection:
    """Ratio of a many-body atomic rate to the stepping approximation against energy.

    Attributes:
        e_recoil_kev: energy deposits in keV, increasing, shape (N,).
        ratio: rate divided by that of the stepping approximation, shape (N,).
        source: where it comes from.
    """

    e_recoil_kev: Array
    ratio: Array
    source: str

    def __post_init__(self) -> None:
        e, r = self.e_recoil_kev, self.ratio
        if e.ndim != 1 or e.shape != r.shape or e.size < 2 or np.any(np.diff(e) <= 0):
            raise PhysicsError("many-body correction: energies must increase, one ratio for each")
        if np.any(~(r > 0)) or not np.all(np.isfinite(r)):
            raise PhysicsError("many-body correction: ratios must be positive and finite")

    def __call__(self, e_recoil_kev: ArrayLike) -> Array:
        """Return the ratio, linear between the nodes and one outside them."""
        t = np.asarray(e_recoil_kev, dtype=float)
        return np.interp(t, self.e_recoil_kev, self.ratio, left=1.0, right=1.0)


@dataclass(frozen=True)
class StandardModel(Model):
    """Scattering of all flavours: one basis spectrum per process, no parameter.

    Attributes:
        weak: weak mixing angle and form factor.
        many_body: correction of the stepping approximation for electrons, or None.
    """

    weak: Electroweak = field(default_factory=Electroweak)
    many_body: ManyBodyCorrection | None = None
    name = "standard_model"
    title = "Standard Model rate"
    terms = (Term("cevns", ((1.0, {}),)), Term("eves", ((1.0, {}),)))
    reference = (
        "Eqs. 1-3; Freedman, Phys. Rev. D 9 (1974) 1389; electrons: Vogel and Engel, "
        "Phys. Rev. D 39 (1989) 3378, stepping arXiv:1610.04177"
    )

    def basis_spectra(self, scattering: Scattering, e_recoil_kev: ArrayLike) -> dict[str, Array]:
        """Return ``cevns`` or ``eves``, dR/dT in events/(t yr keV) of all flavours, (N,)."""

        def coefficients(t: Array, particle: Particle, flavour: str) -> Array:
            if isinstance(particle, Isotope):
                return cevns_coefficients(t, particle, self.weak)
            anti = scattering.source.anti
            return eves_coefficients(t, couplings(flavour, self.weak.sin2_theta_w, anti))

        spectra = [
            scattering.spectrum(lambda t, p, f=f: coefficients(t, p, f), f, e_recoil_kev)  # type: ignore[misc]
            for f in scattering.flavours
        ]
        total = np.sum(spectra, axis=0)
        if scattering.recoil == NUCLEAR:
            return {"cevns": total}
        return {"eves": total if self.many_body is None else total * self.many_body(e_recoil_kev)}
