"""A boson of held mass that couples to neutrinos and, through mixing, to electric charge.

Its exchange is that of a photon with a charge of the neutrino, kappa, times the ratio of the
propagators ``2 m T / (2 m T + m_a^2)``: a universal millicharge for m_a -> 0.
"""

from dataclasses import dataclass

from histnu.physics.models.millicharge import Millicharge
from histnu.physics.models.protocol import (
    HeldParameter,
    Model,
    Parameter,
    Term,
    linear,
    logarithmic,
)

MASSES = logarithmic(0.01, 100.0, 9)


@dataclass(frozen=True)
class HeavyPhoton(Model):
    m_a_mev: float = 0.0
    name = "heavy_photon"
    title = "boson that mixes with the photon"
    reference = "an example, docs/third_party.md"
    parameters = (
        Parameter("kappa", r"\kappa", "1e-8 e", (-1e3, 1e3), "charge", linear(-10.0, 10.0, 21)),
    )
    held = (HeldParameter("m_a", "m_a", "MeV", (0.0, 1e6), "mass", MASSES, "m_a_mev"),)
    terms = (
        Term("kappa_linear", ((1.0, {"kappa": 1}),), (-50.0, 50.0), alone=False),
        Term("kappa_squared", ((1.0, {"kappa": 2}),), (0.0, 2500.0)),
    )

    def basis_spectra(self, scattering, e_recoil_kev):
        charge, anti = Millicharge(), scattering.source.anti

        def ratio(t, particle):
            q2 = 2.0 * particle.mass_mev * t
            return q2 / (q2 + self.m_a_mev**2)

        def interference(flavour):
            return lambda t, p: ratio(t, p) * charge.interference(t, p, flavour, anti)

        def rate(coefficients):
            return sum(scattering.spectrum(coefficients(f), f, e_recoil_kev) for f in flavours)

        flavours = scattering.flavours
        square = rate(lambda flavour: lambda t, p: ratio(t, p) ** 2 * charge.square(t, p))
        return {"kappa_linear": rate(interference), "kappa_squared": square}
