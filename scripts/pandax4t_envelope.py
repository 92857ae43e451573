"""Charge bounds under every reading of the PandaX-4T US2 totals that gives back the flux.

    python scripts/pandax4t_envelope.py

Rows: the members of the envelope of scripts/us2_flux.py (each gives 8.4e6 cm^-2 s^-1 at
2.64 standard deviations), the nominal one with the 22 % signal uncertainty of De Romeri et al., and
the paper's reading (pandax4t_us2). Columns: allowed q_ee in 1e-8 e at 90 %, all other charges
profiled, alone and with XENONnT.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import us2_flux

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import Analysis, load_analysis
from histnu.experiments import us2
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, Origin, RateNuisance
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import interval
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.solar import solar_source
from histnu.templates.us2 import bare_signal

EXPOSURE_TONNE_YEAR = 1.04


def member(assumptions: us2.Us2Assumptions) -> Experiment:
    """The experiment of one member of the envelope."""
    experiment = load_experiment("pandax4t_us2_flux")
    (channel,) = experiment.channels
    source = solar_source("b8")
    signal = bare_signal(assumptions, source, StandardModel(), EXPOSURE_TONNE_YEAR)
    matched = us2_flux.matched(assumptions, signal)
    total = us2.published_signal_total(source.flux.total_cm2_s)
    expected = us2.backgrounds(matched)
    changed = replace(
        channel,
        response=us2.response(matched, signal, total),
        backgrounds=tuple(replace(b, expected=expected[b.name]) for b in channel.backgrounds),
        observed=us2_flux.whole_events(us2_flux.flux_fit(matched, signal)).observed,
    )
    return experiment.with_channels((changed,))


def with_signal_uncertainty(experiment: Experiment) -> Experiment:
    """22 % on the signal, as in De Romeri et al. 2024."""
    (channel,) = experiment.channels
    origin = Origin("published", "De Romeri et al. 2024, below Eq. 15")
    rate = RateNuisance("pandax4t_signal", 0.22, "default", origin)
    return experiment.with_channels((replace(channel, signal_rates=(rate,)),))


def bound(analysis: Analysis, experiments: list[Experiment]) -> tuple[float, float]:
    """Allowed q_ee in 1e-8 e."""
    assembly = assemble(analysis, experiments)
    document = dict(assembly.workspace)
    base = BatchedLikelihood.from_workspace(
        document, measurement=document["measurements"][0]["name"]
    )
    found = interval(MappedLikelihood(base, assembly.polynomial), None, "q_ee", 0.9)
    assert found.lower is not None and found.upper is not None
    return found.lower, found.upper


def main() -> None:
    readings = {name: member(a) for name, a in us2_flux.ENVELOPE.items()}
    nominal = next(iter(readings.values()))
    readings["nominal with 22 % of the signal"] = with_signal_uncertainty(nominal)
    readings["`pandax4t_us2` (paper's uncertainties)"] = load_experiment("pandax4t_us2")
    analysis, xenon = load_analysis("millicharge_pandax4t"), load_experiment("xenonnt_sr01")
    print("| reading | PandaX-4T | with XENONnT |")
    print("|---|---|---|")
    rows = []
    for name, experiment in readings.items():
        pair = [bound(analysis, [experiment]), bound(analysis, [xenon, experiment])]
        rows.append(np.ravel(pair))
        cells = " | ".join(f"[{a:.2f}, {b:.2f}]" for a, b in pair)
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
