"""Isotopes and target materials."""

from __future__ import annotations

from dataclasses import dataclass

from histnu.core.constants import ATOMIC_MASS_UNIT, ELECTRON_MASS
from histnu.core.errors import PhysicsError, named
from histnu.core.units import targets_per_tonne

AME2020 = "AME2020, Chinese Phys. C 45 (2021) 030003"
CIAAW = "IUPAC/CIAAW isotopic compositions, Pure Appl. Chem. 88 (2016) 293"


@dataclass(frozen=True)
class Isotope:
    """A nuclide: proton and nucleon number, atomic mass in u, mole fraction."""

    symbol: str
    protons: int
    nucleons: int
    atomic_mass_u: float
    abundance: float = 1.0

    @property
    def neutrons(self) -> int:
        """Neutron number N = A - Z."""
        return self.nucleons - self.protons

    @property
    def mass_mev(self) -> float:
        """Nuclear mass in MeV: atomic mass minus Z electron masses (binding neglected, < 1e-5)."""
        return self.atomic_mass_u * float(ATOMIC_MASS_UNIT) - self.protons * float(ELECTRON_MASS)


@dataclass(frozen=True)
class Material:
    """A detector material as a mixture of isotopes.

    Attributes:
        name: name used in experiment files.
        isotopes: nuclides with mole fractions that add up to one.
        source: where masses and abundances come from.
    """

    name: str
    isotopes: tuple[Isotope, ...]
    source: str

    def __post_init__(self) -> None:
        total = sum(i.abundance for i in self.isotopes)
        if not abs(total - 1.0) < 1e-3:
            raise PhysicsError(f"{self.name}: abundances add up to {total}, not 1")

    @property
    def molar_mass_g(self) -> float:
        """Mean molar mass in g/mol."""
        weight = sum(i.abundance for i in self.isotopes)
        return sum(i.abundance * i.atomic_mass_u for i in self.isotopes) / weight

    @property
    def atoms_per_tonne(self) -> float:
        """Number of atoms in a tonne."""
        return targets_per_tonne(self.molar_mass_g)


XENON = Material(
    "xenon",
    (
        Isotope("Xe124", 54, 124, 123.9058852, 0.000952),
        Isotope("Xe126", 54, 126, 125.904297422, 0.000890),
        Isotope("Xe128", 54, 128, 127.90353075341, 0.019102),
        Isotope("Xe129", 54, 129, 128.90478085742, 0.264006),
        Isotope("Xe130", 54, 130, 129.903509346, 0.040710),
        Isotope("Xe131", 54, 131, 130.90508412808, 0.212324),
        Isotope("Xe132", 54, 132, 131.90415508346, 0.269086),
        Isotope("Xe134", 54, 134, 133.905393030, 0.104357),
        Isotope("Xe136", 54, 136, 135.907214474, 0.088573),
    ),
    f"{AME2020}; {CIAAW}",
)

CESIUM_IODIDE = Material(
    "cesium_iodide",
    (Isotope("I127", 53, 127, 126.904471853, 0.5), Isotope("Cs133", 55, 133, 132.905451961, 0.5)),
    f"{AME2020}; CsI, both elements monoisotopic; sodium doping (1e-4) neglected",
)
"""Cesium iodide: an "atom" of this target is half of a CsI pair."""

ARGON = Material(
    "argon",
    (
        Isotope("Ar36", 18, 36, 35.967545105, 0.003336),
        Isotope("Ar38", 18, 38, 37.96273211, 0.000629),
        Isotope("Ar40", 18, 40, 39.9623831237, 0.996035),
    ),
    f"{AME2020}; {CIAAW}",
)

MATERIALS = {t.name: t for t in (XENON, CESIUM_IODIDE, ARGON)}


def material(name: str) -> Material:
    """Return the target material called ``name``.

    Raises:
        PhysicsError: for an unknown name.

    >>> round(material("xenon").molar_mass_g, 2)
    131.29
    """
    return named(MATERIALS, name, "target", PhysicsError)
