"""Physical constants and default inputs, each with value, unit and source.

Natural units (MeV) are used inside ``histnu.physics``; ``histnu.core.units`` converts at borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Constant:
    """A number with its unit, one-standard-deviation uncertainty (or None) and source."""

    value: float
    unit: str
    source: str
    uncertainty: float | None = None

    def __float__(self) -> float:
        return self.value


CODATA = "CODATA 2018, Rev. Mod. Phys. 93 (2021) 025010"
PDG = "PDG 2024, Phys. Rev. D 110 (2024) 030001"
PAPER = "De Romeri et al. 2024 (CEvNS electromagnetic properties, XENONnT + PandaX-4T)"
VALENCIA2020 = "de Salas et al., JHEP 02 (2021) 071, arXiv:2006.11237 (normal ordering)"
B16 = "B16-GS98 standard solar model, Vinyoles et al., ApJ 835 (2017) 202, arXiv:1611.09867"

FERMI_CONSTANT: Final = Constant(1.1663788e-11, "MeV^-2", PDG, 0.0000006e-11)
FINE_STRUCTURE: Final = Constant(1.0 / 137.035999084, "1", CODATA)
ELECTRON_MASS: Final = Constant(0.51099895000, "MeV", CODATA)
MUON_MASS: Final = Constant(105.6583755, "MeV", PDG, 0.0000023)
TAU_MASS: Final = Constant(1776.93, "MeV", PDG, 0.09)
PION_MASS: Final = Constant(139.57039, "MeV", PDG, 0.00018)
MUON_LIFETIME: Final = Constant(2.1969811, "us", PDG, 0.0000022)
PION_LIFETIME: Final = Constant(0.026033, "us", PDG, 0.000005)
PROTON_MASS: Final = Constant(938.27208816, "MeV", CODATA)
NEUTRON_MASS: Final = Constant(939.56542052, "MeV", CODATA)
ATOMIC_MASS_UNIT: Final = Constant(931.49410242, "MeV", CODATA)
HBAR_C: Final = Constant(197.3269804, "MeV fm", CODATA)
AVOGADRO: Final = Constant(6.02214076e23, "mol^-1", CODATA, 0.0)
YEAR_SECONDS: Final = Constant(365.25 * 86400.0, "s", "Julian year (IAU)", 0.0)

SIN2_THETA_W: Final = Constant(
    0.23857, "1", f"low-energy MS-bar value, {PDG}; used by the {PAPER}, below Eq. 2", 0.00005
)

SIN2_THETA12: Final = Constant(0.318, "1", VALENCIA2020, 0.016)
SIN2_THETA13: Final = Constant(0.0220, "1", VALENCIA2020, 0.00069)
SIN2_THETA23: Final = Constant(
    0.5, "1", f"maximal, as assumed by the {PAPER}, above Eq. 11; allowed by {VALENCIA2020}"
)
DM2_31: Final = Constant(2.55e-3, "eV^2", VALENCIA2020, 0.03e-3)
DM2_21: Final = Constant(7.50e-5, "eV^2", VALENCIA2020, 0.22e-5)

B8_FLUX: Final = Constant(
    5.46e6, "cm^-2 s^-1", f"{B16}; 12 % uncertainty as in the {PAPER}", 0.6552e6
)
B8_FLUX_XENONNT: Final = Constant(
    5.25e6,
    "cm^-2 s^-1",
    "normalisation of the XENONnT 2024 templates; SNO, Phys. Rev. C 88 (2013) 025501",
    0.20e6,
)
HEP_FLUX: Final = Constant(7.98e3, "cm^-2 s^-1", B16, 2.39e3)
PP_FLUX: Final = Constant(5.98e10, "cm^-2 s^-1", B16, 0.006 * 5.98e10)
PEP_FLUX: Final = Constant(1.44e8, "cm^-2 s^-1", B16, 0.01 * 1.44e8)
BE7_FLUX: Final = Constant(4.93e9, "cm^-2 s^-1", B16, 0.06 * 4.93e9)
N13_FLUX: Final = Constant(2.78e8, "cm^-2 s^-1", B16, 0.15 * 2.78e8)
O15_FLUX: Final = Constant(2.05e8, "cm^-2 s^-1", B16, 0.17 * 2.05e8)
F17_FLUX: Final = Constant(5.29e6, "cm^-2 s^-1", B16, 0.20 * 5.29e6)
BE7_EXCITED_FRACTION: Final = Constant(
    0.1044,
    "1",
    "7Be electron capture to 478 keV 7Li, Tilley et al., Nucl. Phys. A 708 (2002) 3",
    0.0004,
)
