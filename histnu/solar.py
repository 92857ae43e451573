"""Solar neutrino sources built from the package's tables: flux, production profile, oscillation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from histnu.constants import B8_FLUX, HEP_FLUX, Constant
from histnu.errors import ConfigError
from histnu.physics.flux import Flux
from histnu.physics.oscillation import (
    OscillationParameters,
    ProductionProfile,
    flavour_probabilities,
    survival_probability,
)
from histnu.physics.rates import NeutrinoSource
from histnu.tables import load_table

TOTALS: dict[str, Constant] = {"b8": B8_FLUX, "hep": HEP_FLUX}
SPECTRUM_STEP_MEV = 0.02
"""The spectrum is used linearly between nodes this far apart (the spacing of Bahcall's table)."""


@lru_cache(maxsize=16)
def load_flux(component: str) -> Flux:
    """Load the spectrum of a solar component with its standard-solar-model total.

    Args:
        component: ``b8`` or ``hep``.

    Raises:
        ConfigError: for an unknown component.
    """
    if component not in TOTALS:
        known = ", ".join(sorted(TOTALS))
        raise ConfigError(f"unknown solar component {component!r}; known: {known}")
    table = load_table(f"flux/{component}.csv")
    energy, shape = table["e_nu_mev"], table["shape_per_mev"]
    fine = np.append(np.arange(energy[0], energy[-1], SPECTRUM_STEP_MEV), energy[-1])
    fine = np.unique(np.round(np.union1d(fine, energy), 9))
    values = PchipInterpolator(energy, shape)(fine)
    total = TOTALS[component]
    relative = (total.uncertainty or 0.0) / total.value
    normalised = values / np.trapezoid(values, fine)
    source = f"spectrum: {table.source['source']}; total: {total.source}"
    return Flux(component, fine, normalised, total.value, relative, source)


@lru_cache(maxsize=16)
def load_production(component: str) -> ProductionProfile:
    """Load the production profile of a component with the electron density at its nodes."""
    profile = load_table(f"sun/production_{component}.csv")
    sun = load_table("sun/electron_density.csv")
    log_density = PchipInterpolator(sun["radius"], sun["log10_ne_mol_cm3"])
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
        component: ``b8`` or ``hep``.
        total_cm2_s: total flux in cm^-2 s^-1; the standard solar model's if None.
        parameters: oscillation parameters; the 2020 global fit if None.

    >>> source = solar_source("b8")
    >>> source.flux.total_cm2_s
    5460000.0
    """
    flux = load_flux(component)
    if total_cm2_s is not None:
        flux = flux.scaled(total_cm2_s)
    p_ee = survival_probability(flux.e_nu_mev, load_production(component), parameters)
    return NeutrinoSource(flux, flavour_probabilities(p_ee))
