"""How far the assumptions of the electron-recoil data sets move a bound.

Every variation changes one declared assumption, rebuilds the response or the backgrounds from the
package's tables, and repeats the fit. Nothing is chosen by its effect on the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histnu.experiments.model import Background, Channel, Experiment
from histnu.experiments.response import Response
from histnu.experiments.smearing import (
    Efficiency,
    Resolution,
    declared_detector,
    smeared_response,
)
from histnu.physics.electrons import XENON_SHELLS
from histnu.physics.models.standard_model import ManyBodyCorrection, StandardModel
from histnu.report.electron_likelihoods import electron_templates
from histnu.report.electron_recoils import experiments_of, moment_limit
from histnu.tables import load_table

Row = dict[str, Any]
Change = Callable[[Experiment], Experiment]

XENONNT_FIRST_BIN = 1.76
"""Digitised background of XENONnT's first bin (events), replaced in the nominal tables."""


def _single(experiment: Experiment, change: Callable[[Channel], Channel]) -> Experiment:
    return experiment.with_channels(tuple(change(c) for c in experiment.channels))


def rebuilt(
    experiment: Experiment,
    detector: Callable[[Efficiency, Resolution], tuple[Efficiency, Resolution]],
) -> Experiment:
    """The experiment with the response of a changed efficiency or resolution."""
    efficiency, resolution = detector(*declared_detector(experiment.name))

    def change(c: Channel) -> Channel:
        edges = np.asarray(c.observable.edges)
        response = smeared_response(edges, efficiency, resolution, XENON_SHELLS.steps_kev())
        return replace(c, response=response)

    return _single(experiment, change)


def resolution_scaled(factor: float) -> Change:
    """Energy resolution multiplied by a factor."""
    return lambda e: rebuilt(e, lambda eff, res: (eff, Resolution(res.terms, factor)))


def efficiency_shifted(shift_kev: float) -> Change:
    """Efficiency curve moved to higher energies."""

    def detector(eff: Efficiency, res: Resolution) -> tuple[Efficiency, Resolution]:
        moved = eff.e_kev + shift_kev
        keep = moved > 0
        return replace(eff, e_kev=moved[keep], value=eff.value[keep]), res

    return lambda e: rebuilt(e, detector)


def other_convention(experiment: Experiment) -> Experiment:
    """Efficiency as a function of reconstructed instead of true energy, or the reverse."""

    def detector(eff: Efficiency, res: Resolution) -> tuple[Efficiency, Resolution]:
        return replace(eff, of_reconstructed=not eff.of_reconstructed), res

    return rebuilt(experiment, detector)


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

    return _single(experiment, change)


def background_uncertainties_scaled(factor: float) -> Change:
    """All background rate uncertainties multiplied by a factor (at most 90 %)."""

    def background(b: Background) -> Background:
        rates = tuple(replace(r, relative=min(0.9, factor * r.relative)) for r in b.rates)
        return replace(b, rates=rates)

    def change(c: Channel) -> Channel:
        return replace(c, backgrounds=tuple(background(b) for b in c.backgrounds))

    return lambda e: _single(e, change)


def digitised_first_bin(experiment: Experiment) -> Experiment:
    """XENONnT's first bin with the background as digitised; other experiments as they are."""
    if experiment.name != "xenonnt_er_2022":
        return experiment

    def change(c: Channel) -> Channel:
        expected = c.backgrounds[0].expected.copy()
        expected[0] = XENONNT_FIRST_BIN
        return replace(c, backgrounds=(replace(c.backgrounds[0], expected=expected),))

    return _single(experiment, change)


def load_many_body() -> ManyBodyCorrection:
    """The package's many-body table (its unit is inferred, see its source file)."""
    table = load_table("electrons/xenon_rrpa.csv")
    return ManyBodyCorrection(table["e_recoil_kev"], table["ratio"], str(table.source["source"]))


def with_published_total(other: StandardModel) -> Change:
    """Backgrounds for another Standard Model rate, the published total kept.

    Where the collaboration's background fit contained the neutrinos, the other backgrounds take up
    the difference; XENONnT's table has none, so there only the neutrinos change.
    """

    def change_experiment(e: Experiment) -> Experiment:
        if e.name == "xenonnt_er_2022":
            return e
        nominal = electron_templates([e], None)[0].standard_model()
        share = nominal - electron_templates([e], None, other)[0].standard_model()

        def change(c: Channel) -> Channel:
            first = replace(c.backgrounds[0], expected=c.backgrounds[0].expected + share)
            return replace(c, backgrounds=(first, *c.backgrounds[1:]))

        return _single(e, change)

    return change_experiment


def constant_correction(ratio: float) -> ManyBodyCorrection:
    """A constant ratio at all energies below 100 keV."""
    return ManyBodyCorrection(np.array([0.01, 100.0]), np.full(2, ratio), "constant")


@dataclass(frozen=True)
class Variation:
    """A changed assumption.

    Attributes:
        description: what is changed.
        change: applied to every experiment.
        standard_model: Standard Model with other options, or None.
    """

    description: str
    change: Change
    standard_model: StandardModel | None = None


def neutrino_variation(description: str, correction: ManyBodyCorrection) -> Variation:
    """Another rate of solar neutrinos."""
    model = StandardModel(many_body=correction)
    return Variation(description, with_published_total(model), model)


def variations() -> Mapping[str, Variation]:
    """All variations by name."""
    lz = "neutrino rate x 0.86 (LZ's many-body expectation)"
    return {
        "resolution_minus_25": Variation("energy resolution x 0.75", resolution_scaled(0.75)),
        "resolution_plus_25": Variation("energy resolution x 1.25", resolution_scaled(1.25)),
        "efficiency_plus_50ev": Variation("efficiency moved up by 50 eV", efficiency_shifted(0.05)),
        "efficiency_minus_50ev": Variation(
            "efficiency moved down by 50 eV", efficiency_shifted(-0.05)
        ),
        "efficiency_convention": Variation(
            "efficiency of the true instead of the reconstructed energy, or the reverse",
            other_convention,
        ),
        "no_first_bin": Variation("without the bin at threshold", without_first_bin),
        "xenonnt_first_bin": Variation("XENONnT first bin as digitised", digitised_first_bin),
        "background_x2": Variation(
            "background rate uncertainties x 2", background_uncertainties_scaled(2.0)
        ),
        "background_x05": Variation(
            "background rate uncertainties x 0.5", background_uncertainties_scaled(0.5)
        ),
        "many_body": neutrino_variation("many-body table", load_many_body()),
        "neutrinos_x086": neutrino_variation(lz, constant_correction(0.86)),
    }


def variation_rows(name: str, parameter: str = "mu_universal") -> list[Row]:
    """The limit on a moment under every variation, relative to the nominal one.

    Args:
        name: electron-recoil data set.
        parameter: magnetic moment.
    """
    data = experiments_of(name)
    nominal = float(moment_limit(data, name, parameter)["upper"])
    rows = []
    for key, v in variations().items():
        varied = tuple(v.change(e) for e in data)
        row = moment_limit(varied, name, parameter, standard_model=v.standard_model)
        upper = float(row["upper"])
        rows.append(
            {
                "variation": key,
                "description": v.description,
                "experiment": name,
                "parameter": parameter,
                "upper": upper,
                "nominal": nominal,
                "shift": upper / nominal - 1.0,
            }
        )
    return rows
