"""What the COHERENT releases leave open, varied: prediction, fitted events and significance.

    python scripts/coherent_variations.py [-o docs/coherent.json]

Every row changes one thing. The fit frees the rate of the signal; the events are those of the
signal samples at the best fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from histnu.analysis.assemble import measured_rate
from histnu.analysis.flux import components_of
from histnu.analysis.schema import Analysis, load_analysis
from histnu.core.serialize import write_json
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Channel, Experiment
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.limits import IntervalOptions, interval
from histnu.inference.profile import best_fit
from histnu.physics.cross_sections import Electroweak
from histnu.physics.form_factors import helm, helm_charge
from histnu.physics.models.standard_model import StandardModel
from histnu.templates.basis import channel_templates, correct_to_published
from histnu.workspace.build import Poi, build_workspace

Change = Callable[[Channel], Channel]


def with_options(**options: float) -> Change:
    """Another source: beam, protons, distance."""

    def change(channel: Channel) -> Channel:
        made = {**channel.source.options, **options}
        return replace(channel, source=replace(channel.source, options=made))

    return change


def scaled_background(names: tuple[str, ...], factor: float) -> Change:
    """Backgrounds of another size."""

    def change(channel: Channel) -> Channel:
        made = tuple(
            replace(b, expected=b.expected * factor) if b.name in names else b
            for b in channel.backgrounds
        )
        return replace(channel, backgrounds=made)

    return change


def without_shapes(*starts: str) -> Change:
    """No shape nuisance of backgrounds and response whose name starts with one of these."""

    def dropped(name: str) -> bool:
        return any(name.startswith(s) for s in starts)

    def change(channel: Channel) -> Channel:
        backgrounds = tuple(
            replace(b, shapes=tuple(s for s in b.shapes if not dropped(s.name)))
            for b in channel.backgrounds
        )
        kept = {k: v for k, v in channel.response_variations.items() if not dropped(k)}
        return replace(channel, backgrounds=backgrounds, response_variations=kept)

    return change


def flat_in_time(channel: Channel) -> Channel:
    """Efficiency one at all times."""
    assert channel.beam is not None
    return replace(
        channel, beam=replace(channel.beam, efficiency=np.ones_like(channel.beam.time_us))
    )


def nothing(channel: Channel) -> Channel:
    """The channel as it is."""
    return channel


def fitted(
    analysis: Analysis, experiment: Experiment, weak: Electroweak, published: bool = False
) -> dict[str, float]:
    """Prediction, events and error of the fit, significance."""
    (channel,) = experiment.channels
    components = components_of(analysis, channel)
    made = channel_templates(channel, components, [StandardModel(weak)])
    if published:
        made = correct_to_published(made, sum(c.source.flux.total_cm2_s for c in components))
    predicted = float(made.standard_model().sum())
    free, strength = measured_rate([made], [experiment])
    # the flux multiplies the rate that is measured: events do not know it
    free = tuple(
        replace(
            t,
            signals=tuple(replace(s, flux=None) for s in t.signals),
            channel=replace(t.channel, signal_rates=()),
        )
        for t in free
    )
    document = build_workspace(free, [strength], [Poi(strength.name, strength.name)])
    likelihood = BatchedLikelihood.from_workspace(dict(document))
    best = best_fit(likelihood)
    none = best_fit(likelihood, options=FitOptions(fixed={strength.name: 0.0}))
    found = interval(likelihood, None, strength.name, 0.682689, 1, IntervalOptions())
    point = np.array([[best.parameters[k] for k in likelihood.parameter_names]])
    empty = point.copy()
    empty[:, likelihood.index(strength.name)] = 0.0
    counts = likelihood.expected(np.vstack([point, empty]))
    events = float((counts[0] - counts[1]).sum())
    scale = events / best.parameters[strength.name]
    assert found.lower is not None and found.upper is not None
    return {
        "predicted": predicted,
        "events": events,
        "down": events - scale * found.lower,
        "up": scale * found.upper - events,
        "sigma": float(np.sqrt(none.twice_nll - best.twice_nll)),
        "twice_nll": best.twice_nll,
    }


CSI: dict[str, Change] = {
    "nominal": nothing,
    "Helm form factor": nothing,
    "Helm, measured charge radius": nothing,
    "neutrons x 1.5": scaled_background(("brn", "nin"), 1.5),
    "no neutrons": scaled_background(("brn", "nin"), 1e-6),
    "protons at 0.44 us (as argon)": with_options(beam_mean_us=0.44),
    "protons at 0.70 us": with_options(beam_mean_us=0.70),
    "beam mean known": with_options(beam_mean_sigma_us=0.0),
    "beam width 0.25 us": with_options(beam_width_us=0.25),
    "efficiency flat in time": flat_in_time,
    "steady state known": without_shapes("coherent_csi_steady_state"),
    "response known": without_shapes("coherent_csi_quenching", "coherent_csi_efficiency"),
    "all shapes known": without_shapes("coherent_csi"),
}
LAR: dict[str, Change] = {
    "nominal": nothing,
    "Helm form factor": nothing,
    "Helm, measured charge radius": nothing,
    "release's CEvNS distribution": nothing,
    "release's CEvNS distribution, no shapes": without_shapes("coherent_lar"),
    "no shapes": without_shapes("coherent_lar"),
    "beam mean known": with_options(beam_mean_sigma_us=0.0),
    "F90 known": without_shapes("coherent_lar_f90"),
    "neutron shapes known": without_shapes("coherent_lar_brn"),
}
FORM_FACTORS = {
    "Helm form factor": Electroweak(form_factor=helm),
    "Helm, measured charge radius": Electroweak(form_factor=helm_charge),
}


def rows(name: str, changes: dict[str, Change]) -> dict[str, dict[str, float]]:
    """All variations of an experiment."""
    experiment = load_experiment(name)
    (channel,) = experiment.channels
    analysis = load_analysis(f"standard_model_{name.rsplit('_', 1)[0]}")
    result = {}
    for label, change in changes.items():
        changed = change(channel)
        if label.endswith("no shapes") or label == "all shapes known":
            changed = with_options(beam_mean_sigma_us=0.0)(changed)
        weak = FORM_FACTORS.get(label, Electroweak())
        published = label.startswith("release")
        varied = experiment.with_channels((changed,))
        result[label] = fitted(analysis, varied, weak, published)
        print(name, label, json.dumps({k: round(v, 2) for k, v in result[label].items()}))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/coherent.json"))
    options = parser.parse_args()
    document = {
        "coherent_csi_2021": rows("coherent_csi_2021", CSI),
        "coherent_lar_2020": rows("coherent_lar_2020", LAR),
    }
    write_json(options.output, document)


if __name__ == "__main__":
    main()
