"""Recoil spectra of a hypothesis and responses of an analysis, ready to draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.analyses import component, load_analysis, signal_model
from histnu.axes import Axis
from histnu.errors import ConfigError
from histnu.experiments.full import full_names, load_full
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, weakest
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import target as material
from histnu.plotting.canvas import Header
from histnu.plotting.spectra import (
    ResponseFigure,
    ResponsePanel,
    SpectraFigure,
    Spectrum,
)

Array = NDArray[np.float64]

_NODES = 400


def experiments_of(name: str | Path) -> tuple[Experiment, ...]:
    """The experiments of an analysis.

    Raises:
        ConfigError: for an unknown analysis. DataError: where a release is absent.
    """
    names = load_analysis(name).experiments
    return tuple(load_full(n) if n in full_names() else load_experiment(n) for n in names)


def spectra_figure(name: str | Path, e_range_kev: tuple[float, float]) -> SpectraFigure:
    """Basis spectra of the hypothesis of an analysis beside the Standard Model.

    Each basis spectrum is that of a strength of one (``mu_e = 1`` in the unit of the parameter).

    Args:
        name: an analysis. e_range_kev: lowest and highest recoil energy in keV.

    Raises:
        ConfigError: for an unknown analysis or an empty range.
    """
    low, high = e_range_kev
    if not 0 < low < high:
        raise ConfigError(f"--from {low:g} --to {high:g}: recoil energies in keV must increase")
    analysis = load_analysis(name)
    model = signal_model(analysis.model)
    flux = component(analysis.flux)
    xenon = material(experiments_of(name)[0].target)
    energies = np.geomspace(low, high, _NODES)
    reference = StandardModel().basis_spectra(flux.source, xenon, energies)
    spectra = [Spectrum("Standard Model", np.sum(list(reference.values()), axis=0), True)]
    if model.parameters:
        units = {p.unit for p in model.parameters}
        unit = f"strengths of 1, unit {', '.join(sorted(units))}"
        found = model.basis_spectra(flux.source, xenon, energies)
        spectra += [Spectrum(k, v) for k, v in _distinct(found).items()]
    else:
        unit = ""
    title = f"{analysis.name}: recoil spectra"
    return SpectraFigure(energies, tuple(spectra), Header(title, None, unit))


def _distinct(spectra: dict[str, Array]) -> dict[str, Array]:
    """Spectra that differ, each under the names of all that are the same curve."""
    names: list[list[str]] = []
    for name, rate in spectra.items():
        same = next((n for n in names if np.allclose(spectra[n[0]], rate, rtol=1e-6)), None)
        if same is not None:
            same.append(name)
        elif np.any(rate != 0):
            names.append([name])
    return {", ".join(n): spectra[n[0]] for n in names}


def response_figure(name: str | Path) -> ResponseFigure:
    """Detection probabilities of every channel of an analysis against the recoil energy."""
    analysis = load_analysis(name)
    experiments = experiments_of(name)
    panels = []
    for experiment in experiments:
        for channel in experiment.channels:
            nodes = channel.response.e_recoil_kev
            energies = np.linspace(nodes[0], nodes[-1], _NODES)
            probability = channel.response(energies)
            total = probability.sum(axis=0)
            seen = np.flatnonzero(total > 2e-3 * total.max())
            last = min(int(seen[-1]) + 1 if len(seen) else len(energies), len(energies))
            o = channel.observable
            bins = Axis(o.title, o.unit, o.edges).bins
            panels.append(
                ResponsePanel(channel.title, energies[:last], probability[:, :last], bins)
            )
    provenance = weakest([e.provenance for e in experiments])
    return ResponseFigure(tuple(panels), Header(f"{analysis.name}: response", provenance))
