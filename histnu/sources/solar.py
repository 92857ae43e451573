"""The Sun: its fluxes, where they are produced, and their flavours at Earth (package tables)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.constants import (
    B8_FLUX,
    BE7_EXCITED_FRACTION,
    BE7_FLUX,
    F17_FLUX,
    HEP_FLUX,
    N13_FLUX,
    O15_FLUX,
    PEP_FLUX,
    PP_FLUX,
    Constant,
)
from histnu.core.errors import named
from histnu.core.tables import load_table
from histnu.physics.flavour_density import (
    MixingParameters,
    averaged_fractions,
    density_matrix,
    flavour_pairs,
)
from histnu.physics.flux import Flux
from histnu.physics.oscillation import (
    FLAVOURS,
    OscillationParameters,
    ProductionProfile,
    flavour_probabilities,
    survival_probability,
)
from histnu.physics.rates import NeutrinoSource
from histnu.sources.protocol import Component, FluxUncertainty

Array = NDArray[np.float64]

TOTALS: dict[str, Constant] = {
    "pp": PP_FLUX,
    "be7_384": BE7_FLUX,
    "be7_862": BE7_FLUX,
    "pep": PEP_FLUX,
    "b8": B8_FLUX,
    "hep": HEP_FLUX,
    "n13": N13_FLUX,
    "o15": O15_FLUX,
    "f17": F17_FLUX,
}
ROUNDING = 1e-15
"""Interpolated spectra below this fraction of their maximum are rounding errors of zero."""
COMPONENTS: tuple[str, ...] = tuple(TOTALS)
"""All solar components; the two lines of 7Be are two components of one flux."""
BRANCHING: dict[str, float] = {
    "be7_384": BE7_EXCITED_FRACTION.value,
    "be7_862": 1.0 - BE7_EXCITED_FRACTION.value,
}
"""Fraction of the flux of ``TOTALS`` that a component carries; 1 where it is not listed."""
SHARED_FLUX: dict[str, str] = {"be7_384": "be7", "be7_862": "be7"}
"""Components that share one flux (and its uncertainty) and one production profile."""
SPECTRUM_STEP_MEV = 0.02
"""The spectrum is used linearly between nodes this far apart (the spacing of Bahcall's table)."""


def flux_parameter(component: str) -> str:
    """Name of the nuisance parameter of a component's flux, shared by all experiments.

    >>> flux_parameter("be7_862"), flux_parameter("b8")
    ('be7_flux', 'b8_flux')
    """
    named(TOTALS, component, "solar component")
    return f"{SHARED_FLUX.get(component, component)}_flux"


def _pchip(x: Array, y: Array) -> Callable[[Array], Array]:
    """Monotone cubic through y (N, ...) at x (N,); scipy's import is a sixth of a start."""
    from scipy.interpolate import PchipInterpolator

    found: Callable[[Array], Array] = PchipInterpolator(x, y)
    return found


@lru_cache(maxsize=16)
def load_flux(component: str) -> Flux:
    """Load the spectrum of a solar component with its standard-solar-model total.

    Args:
        component: one of ``COMPONENTS``; the total of a 7Be line includes its branching.

    Raises:
        ConfigError: for an unknown component.
    """
    named(TOTALS, component, "solar component")
    table = load_table(f"flux/{component}.csv")
    energy, shape = table["e_nu_mev"], table["shape_per_mev"]
    constant = TOTALS[component]
    total = constant.value * BRANCHING.get(component, 1.0)
    relative = (constant.uncertainty or 0.0) / constant.value
    source = f"spectrum: {table.source['source']}; total: {constant.source}"
    if energy.size == 1:
        return Flux(component, energy, np.ones(1), total, relative, source)
    fine = np.append(np.arange(energy[0], energy[-1], SPECTRUM_STEP_MEV), energy[-1])
    fine = np.unique(np.round(np.union1d(fine, energy), 9))
    values = _pchip(energy, shape)(fine)
    values[np.abs(values) < ROUNDING * shape.max()] = 0.0  # -4e-20 at the end point of hep
    normalised = values / np.trapezoid(values, fine)
    return Flux(component, fine, normalised, total, relative, source)


@lru_cache(maxsize=16)
def load_production(component: str) -> ProductionProfile:
    """Load the production profile of a component with the electron density at its nodes."""
    named(TOTALS, component, "solar component")
    profile = load_table(f"sun/production_{SHARED_FLUX.get(component, component)}.csv")
    sun = load_table("sun/electron_density.csv")
    log_density = _pchip(sun["radius"], sun["log10_ne_mol_cm3"])
    radius = np.clip(profile["radius"], sun["radius"][0], sun["radius"][-1])
    return ProductionProfile(
        profile["radius"],
        profile["density"],
        10.0 ** log_density(radius),
        f"{profile.source['source']}; {sun.source['source']}",
    )


def solar_source(
    component: str = "b8",
    total_cm2_s: float | None = None,
    parameters: OscillationParameters | None = None,
) -> NeutrinoSource:
    """Return a solar component as it arrives at Earth (day), with its three flavours.

    Args:
        component: one of ``COMPONENTS``.
        total_cm2_s: total flux in cm^-2 s^-1; the standard solar model's if None.
        parameters: oscillation parameters; the 2020 global fit if None.

    >>> source = solar_source("b8")
    >>> source.flux.total_cm2_s
    5460000.0
    """
    flux = load_flux(component)
    if total_cm2_s is not None:
        flux = flux.scaled(total_cm2_s)
    profile = load_production(component)
    p_ee = survival_probability(flux.e_nu_mev, profile, parameters)
    off = coherences(flux.e_nu_mev, profile, parameters)
    return NeutrinoSource(flux, flavour_probabilities(p_ee), off)


COHERENCE_NODES = 48
"""Energies at which the density matrix is computed; between them it is monotone cubic."""


def coherences(
    e_nu_mev: ArrayLike, profile: ProductionProfile, parameters: OscillationParameters | None = None
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Real parts of the off-diagonal density matrix at Earth, pair of flavours -> (N,).

    Solar neutrinos arrive as mass states (see :mod:`histnu.physics.flavour_density`).

    Args:
        e_nu_mev: energies in MeV, increasing, shape (N,).
        profile: production profile of the component.
        parameters: oscillation parameters; the 2020 global fit if None.
    """
    e = np.asarray(e_nu_mev, dtype=float)
    mixing = MixingParameters(parameters or OscillationParameters())
    nodes = e if e.size <= COHERENCE_NODES else np.linspace(e[0], e[-1], COHERENCE_NODES)
    rho = density_matrix(averaged_fractions(nodes, profile, mixing), mixing).real
    if e.size > nodes.size:
        rho = _pchip(nodes, rho)(e)
    position = {f: i for i, f in enumerate(FLAVOURS)}
    return {(a, b): rho[:, position[a], position[b]] for a, b in flavour_pairs() if a != b}


def solar_sources(
    components: tuple[str, ...] = COMPONENTS, parameters: OscillationParameters | None = None
) -> dict[str, NeutrinoSource]:
    """Return several components at Earth, name -> source (see :func:`solar_source`)."""
    return {name: solar_source(name, parameters=parameters) for name in components}


@lru_cache(maxsize=32)
def solar_component(name: str) -> Component:
    """A component at Earth with its flux nuisance (see :func:`flux_parameter`)."""
    source = solar_source(name)
    flux = source.flux
    nuisance = FluxUncertainty(flux_parameter(name), flux.relative_uncertainty, flux.source)
    return Component(name, source, nuisance)


@dataclass(frozen=True)
class Solar:
    """The Sun. 8B dominates nuclear recoils; all components count for electron recoils.

    Attributes:
        hep: also hep neutrinos in nuclear recoils (0.1 % of the 8B flux, twice the energy).

    >>> [c.flux.name for c in Solar().components("nuclear")]
    ['b8_flux']
    """

    hep: bool = False
    name = "solar"
    references = (
        "oscillation: de Salas et al., JHEP 02 (2021) 071, arXiv:2006.11237",
        "production: Lopes and Turck-Chieze, ApJ 765 (2013) 14, arXiv:1302.2791",
        "electron density: Bahcall, Serenelli and Basu, ApJ 621 (2005) L85, arXiv:astro-ph/0412440",
    )

    def components(self, recoil: str) -> tuple[Component, ...]:
        """Fluxes for a kind of recoil."""
        nuclear = ("b8", "hep") if self.hep else ("b8",)
        return tuple(map(solar_component, nuclear if recoil == "nuclear" else COMPONENTS))
