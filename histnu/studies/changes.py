"""Changes of experiments by name: how a study varies what is assumed.

Each function takes an experiment and options and returns the changed experiment; the response or
the backgrounds are rebuilt from the tables beside the experiment. Other packages add functions
under the entry point ``histnu.changes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from histnu.errors import ConfigError
from histnu.experiments.model import Background, Channel, Experiment, Observable
from histnu.experiments.response import Response
from histnu.experiments.smearing import (
    Efficiency,
    Resolution,
    declared_detector,
    smeared_response,
)
from histnu.physics.electrons import XENON_SHELLS
from histnu.studies.schema import Change

Function = Callable[..., Experiment]


def changed(data: Sequence[Experiment], changes: Sequence[Change]) -> list[Experiment]:
    """The experiments with all changes made, in their order.

    Raises:
        ConfigError: for an unknown change, option or experiment.
    """
    result = list(data)
    for change in changes:
        names = [e.name for e in result]
        if change.experiment is not None and change.experiment not in names:
            raise ConfigError(
                f"change {change.name}: no experiment {change.experiment!r} here; "
                f"there are {', '.join(names)}"
            )
        result = [_apply(e, change) for e in result]
    return result


def _apply(experiment: Experiment, change: Change) -> Experiment:
    if change.experiment not in (None, experiment.name):
        return experiment
    try:
        return function_of(change.name)(experiment, **change.options)
    except TypeError as error:
        raise ConfigError(f"change {change.name}: {error}; check its options") from None


def function_of(name: str) -> Function:
    """The function of a change.

    Raises:
        ConfigError: for an unknown name.
    """
    if name in CHANGES:
        return CHANGES[name]
    found = {e.name: e for e in entry_points(group="histnu.changes")}
    if name not in found:
        known = ", ".join(sorted({*CHANGES, *found}))
        raise ConfigError(f"unknown change {name!r}; known: {known}")
    function: Function = found[name].load()
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
        old, r = c.observable, c.response
        return replace(
            c,
            observable=Observable(old.name, old.title, old.unit, old.edges[1:]),
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
    from histnu.experiments.us2 import Us2Assumptions
    from histnu.physics.models.standard_model import StandardModel
    from histnu.solar import solar_source
    from histnu.templates.us2 import reconstruct

    if "edges" in assumptions:
        assumptions["edges"] = tuple(assumptions["edges"])
    chosen = Us2Assumptions(**assumptions)
    source, model = solar_source("b8"), StandardModel()
    return _each(experiment, lambda c: reconstruct(c, chosen, source, model))


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
