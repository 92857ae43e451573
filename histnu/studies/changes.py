"""Changes of experiments by name: how a study varies what is assumed.

Each function takes an experiment and options and returns the changed experiment; the response or
the backgrounds are rebuilt from the tables beside the experiment. Those of ``SETUP_CHANGES`` take
the whole setup, because they change the Standard Model beside the hypothesis. Other packages add
functions under the entry point ``histnu.changes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histnu.analysis.assemble import templates_for
from histnu.analysis.schema import Analysis
from histnu.core.errors import ConfigError, named
from histnu.core.installed import entries
from histnu.core.tables import load_table
from histnu.experiments.model import Background, Channel, Experiment
from histnu.experiments.response import Response
from histnu.experiments.smearing import Efficiency, Resolution, declared_detector, smeared_response
from histnu.experiments.us2 import Us2Assumptions
from histnu.physics.electrons import XENON_SHELLS
from histnu.physics.models.standard_model import ManyBodyCorrection, StandardModel
from histnu.sources.solar import solar_source
from histnu.studies.schema import Change
from histnu.templates.us2 import reconstruct

Function = Callable[..., Experiment]


@dataclass(frozen=True)
class Setup:
    """What is analysed: an analysis, its data, and another Standard Model than the usual one."""

    analysis: Analysis
    experiments: tuple[Experiment, ...]
    standard_model: StandardModel | None = None


def changed(setup: Setup, changes: Sequence[Change]) -> Setup:
    """The setup with all changes made, in their order.

    Raises:
        ConfigError: for an unknown change, option or experiment.
    """
    for change in changes:
        names = [e.name for e in setup.experiments]
        if change.experiment is not None and change.experiment not in names:
            raise ConfigError(
                f"change {change.name}: no experiment {change.experiment!r} here; "
                f"there are {', '.join(names)}"
            )
        function = function_of(change.name)
        try:
            if change.name in SETUP_CHANGES:
                setup = function(setup, **change.options)
            else:
                data = (_apply(e, change, function) for e in setup.experiments)
                setup = replace(setup, experiments=tuple(data))
        except TypeError as error:
            raise ConfigError(f"change {change.name}: {error}; check its options") from None
    return setup


def _apply(experiment: Experiment, change: Change, function: Function) -> Experiment:
    if change.experiment not in (None, experiment.name):
        return experiment
    return function(experiment, **change.options)


def function_of(name: str) -> Callable[..., Any]:
    """The function of a change.

    Raises:
        ConfigError: for an unknown name.
    """
    known: dict[str, Any] = {**entries("histnu.changes"), **SETUP_CHANGES, **CHANGES}
    found = named(known, name, "change")
    function: Callable[..., Any] = found if callable(found) else found.load()
    return function


def _each(experiment: Experiment, change: Callable[[Channel], Channel]) -> Experiment:
    return experiment.with_channels(tuple(change(c) for c in experiment.channels))


def _rebuilt(
    experiment: Experiment,
    detector: Callable[[Efficiency, Resolution], tuple[Efficiency, Resolution]],
) -> Experiment:
    """The experiment with the response of a changed efficiency or resolution."""
    efficiency, resolution = detector(*declared_detector(experiment.name))

    def change(c: Channel) -> Channel:
        edges = np.asarray(c.observable.edges)
        response = smeared_response(edges, efficiency, resolution, XENON_SHELLS.steps_kev())
        return replace(c, response=response)

    return _each(experiment, change)


def resolution_scaled(experiment: Experiment, factor: float) -> Experiment:
    """Energy resolution multiplied by a factor."""
    return _rebuilt(experiment, lambda eff, res: (eff, Resolution(res.terms, factor)))


def efficiency_shifted(experiment: Experiment, shift_kev: float) -> Experiment:
    """Efficiency curve moved to higher energies."""

    def detector(eff: Efficiency, res: Resolution) -> tuple[Efficiency, Resolution]:
        moved = eff.e_kev + shift_kev
        keep = moved > 0
        return replace(eff, e_kev=moved[keep], value=eff.value[keep]), res

    return _rebuilt(experiment, detector)


def efficiency_convention(experiment: Experiment) -> Experiment:
    """Efficiency as a function of reconstructed instead of true energy, or the reverse."""

    def detector(eff: Efficiency, res: Resolution) -> tuple[Efficiency, Resolution]:
        return replace(eff, of_reconstructed=not eff.of_reconstructed), res

    return _rebuilt(experiment, detector)


def without_first_bin(experiment: Experiment) -> Experiment:
    """The experiment without its lowest bin, which the threshold cuts."""

    def background(b: Background) -> Background:
        return replace(b, expected=b.expected[1:])

    def change(c: Channel) -> Channel:
        r = c.response
        return replace(
            c,
            observable=c.observable.with_edges(c.observable.edges[1:]),
            response=Response(r.e_recoil_kev, r.probability[1:], r.interpolation),
            backgrounds=tuple(background(b) for b in c.backgrounds),
            observed=c.observed[1:],
        )

    return _each(experiment, change)


def background_uncertainties_scaled(experiment: Experiment, factor: float) -> Experiment:
    """All background rate uncertainties multiplied by a factor (at most 90 %)."""

    def background(b: Background) -> Background:
        rates = tuple(replace(r, relative=min(0.9, factor * r.relative)) for r in b.rates)
        return replace(b, rates=rates)

    def change(c: Channel) -> Channel:
        return replace(c, backgrounds=tuple(background(b) for b in c.backgrounds))

    return _each(experiment, change)


def background_in_bin(experiment: Experiment, bin: int, events: float) -> Experiment:
    """The first background of every channel with other events in one bin."""

    def change(c: Channel) -> Channel:
        expected = c.backgrounds[0].expected.copy()
        expected[bin] = events
        return replace(
            c, backgrounds=(replace(c.backgrounds[0], expected=expected), *c.backgrounds[1:])
        )

    return _each(experiment, change)


def us2_assumptions(experiment: Experiment, **assumptions: Any) -> Experiment:
    """A channel reconstructed from published totals, under other assumptions.

    Options are the fields of :class:`histnu.experiments.us2.Us2Assumptions`.
    """
    if "edges" in assumptions:
        assumptions["edges"] = tuple(assumptions["edges"])
    chosen = Us2Assumptions(**assumptions)
    source, model = solar_source("b8"), StandardModel()
    return _each(experiment, lambda c: reconstruct(c, chosen, source, model))


def electron_rate_table(setup: Setup, table: str, keep_total: Sequence[str] = ()) -> Setup:
    """Standard Model electron recoils times a table of ratios to the stepping approximation.

    Args:
        table: file of the package with ``e_recoil_kev`` and ``ratio``.
        keep_total: see :func:`electron_rate_scaled`.
    """
    found = load_table(table)
    source = str(found.source["source"])
    correction = ManyBodyCorrection(found["e_recoil_kev"], found["ratio"], source)
    return _with_correction(setup, correction, keep_total)


def electron_rate_scaled(setup: Setup, factor: float, keep_total: Sequence[str] = ()) -> Setup:
    """Standard Model electron recoils below 100 keV times a factor.

    Args:
        keep_total: experiments whose published background contains the neutrinos: their first
            background takes up the difference, so that the published total stays.
    """
    correction = ManyBodyCorrection(np.array([0.01, 100.0]), np.full(2, factor), "constant")
    return _with_correction(setup, correction, keep_total)


def _with_correction(
    setup: Setup, correction: ManyBodyCorrection, keep_total: Sequence[str]
) -> Setup:
    other = StandardModel(many_body=correction)
    data = tuple(
        _kept_total(setup.analysis, e, other) if e.name in keep_total else e
        for e in setup.experiments
    )
    return replace(setup, experiments=data, standard_model=other)


def _kept_total(analysis: Analysis, experiment: Experiment, other: StandardModel) -> Experiment:
    """Backgrounds that take up the difference to another Standard Model rate."""

    def share(channel: Channel) -> Channel:
        alone = [experiment.with_channels((channel,))]
        rates = [
            templates_for(analysis, alone, [m])[0].standard_model()
            for m in (StandardModel(), other)
        ]
        first = channel.backgrounds[0]
        first = replace(first, expected=first.expected + rates[0] - rates[1])
        return replace(channel, backgrounds=(first, *channel.backgrounds[1:]))

    return _each(experiment, share)


SETUP_CHANGES: Mapping[str, Callable[..., Setup]] = {
    f.__name__: f for f in (electron_rate_table, electron_rate_scaled)
}
"""Changes of the package that change the Standard Model as well."""
CHANGES: Mapping[str, Function] = {
    f.__name__: f
    for f in (
        resolution_scaled,
        efficiency_shifted,
        efficiency_convention,
        without_first_bin,
        background_uncertainties_scaled,
        background_in_bin,
        us2_assumptions,
    )
}
"""Changes of the package by name."""
