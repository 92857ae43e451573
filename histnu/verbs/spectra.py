"""Recoil spectra of a hypothesis and responses of an analysis, ready to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.analysis.axes import Axis
from histnu.analysis.flux import components_of
from histnu.analysis.hypothesis import signal_model
from histnu.analysis.schema import load_analysis
from histnu.analysis.target import with_held
from histnu.core.errors import ConfigError
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Channel, Experiment, weakest
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import material
from histnu.physics.scattering import Scattering
from histnu.plotting.canvas import Header
from histnu.plotting.spectra import ResponseFigure, ResponsePanel, SpectraFigure, Spectrum
from histnu.sources.protocol import Component

Array = NDArray[np.float64]

_NODES = 400


def experiments_of(name: str | Path) -> tuple[Experiment, ...]:
    """The experiments of an analysis.

    Raises:
        ConfigError: for an unknown analysis. DataError: where a release is absent.
    """
    return tuple(map(load_experiment, load_analysis(name).experiments))


def spectra_figure(
    name: str | Path, e_range_kev: tuple[float, float], settings: Mapping[str, float] | None = None
) -> SpectraFigure:
    """Basis spectra of the hypothesis of an analysis beside the Standard Model.

    Each basis spectrum is that of a strength of one (``mu_e = 1`` in the unit of the parameter),
    summed over the fluxes of the source. Channels that differ in recoil, material or source have
    spectra of their own.

    Args:
        name: an analysis. e_range_kev: lowest and highest recoil energy in keV.
        settings: values of held parameters.

    Raises:
        ConfigError: for an unknown analysis or an empty range.
    """
    low, high = e_range_kev
    if not 0 < low < high:
        raise ConfigError(f"--from {low:g} --to {high:g}: recoil energies in keV must increase")
    analysis, _ = with_held(load_analysis(str(name)), dict(settings or {}))
    channels = {
        (c.recoil, c.target, c.source.name): c for e in experiments_of(name) for c in e.channels
    }
    model = signal_model(analysis.model, [recoil for recoil, _, _ in channels])
    energies = np.geomspace(low, high, _NODES)
    spectra = []
    tags = _tags(list(channels))
    for key, channel in channels.items():
        tag = tags[key]
        components = components_of(analysis, channel)
        reference = _summed(StandardModel(), channel, components, energies)
        total = np.sum(list(reference.values()), axis=0)
        spectra.append(Spectrum(f"Standard Model{tag}", total, True))
        if model.parameters:
            found = _distinct(_summed(model, channel, components, energies))
            spectra += [Spectrum(f"{k}{tag}", v) for k, v in found.items()]
    units = ", ".join(sorted({p.unit for p in model.parameters}))
    note = f"strengths of 1, unit {units}" if units else ""
    return SpectraFigure(
        energies, tuple(spectra), Header(f"{analysis.name}: recoil spectra", None, note)
    )


def _tags(kinds: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """What tells apart recoils, materials and sources; nothing where there is one of each."""
    words = ("{} recoils", "{}", "{} neutrinos")
    apart = [len(set(column)) > 1 for column in zip(*kinds, strict=True)]
    return {
        kind: "".join(
            f", {word.format(part)}"
            for word, part, differs in zip(words, kind, apart, strict=True)
            if differs
        )
        for kind in kinds
    }


def _summed(
    model: SignalModel, channel: Channel, components: Sequence[Component], energies: Array
) -> dict[str, Array]:
    """Basis spectra of a model (N,), summed over the fluxes of a channel."""
    total: dict[str, Array] = {}
    for component in components:
        scattering = Scattering(channel.recoil, component.source, material(channel.target))
        for key, rate in model.basis_spectra(scattering, energies).items():
            total[key] = total.get(key, 0.0) + rate
    return total


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
