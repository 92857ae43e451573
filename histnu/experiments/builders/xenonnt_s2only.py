"""XENONnT's ionization-only likelihood (2026): seven cS2 bins in each of SR0, SR1 and SR2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError, located
from histnu.core.tables import read_csv
from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.builders.channels import anchored_channel
from histnu.experiments.builders.digest import FileLog
from histnu.experiments.builders.rates import nuisance, rate_bounds
from histnu.experiments.model import Axis, Background, Channel, Experiment, Observable, Origin
from histnu.experiments.response import Response
from histnu.releases.locate import find_release
from histnu.releases.readers import RateParameter, count_events, read_matching, read_parameters

Array = NDArray[np.float64]

RUNS = ("sr0", "sr1", "sr2")
ANCHORS = np.arange(-3.0, 4.0)
EDGES_PE = np.linspace(80.0, 500.0, 8)
OBSERVABLE = "cs2_wo_elifecorr"
TITLE = "cS2 without correction for the electron lifetime"
SOURCE = "XENONnT S2-only data release (arXiv:2601.11296)"
ORIGIN = Origin("published", SOURCE)
TITLES = {"cathode": "cathode electrode", "de": "delayed electrons", "ae": "accidental electrons"}
FLOOR = 1e-9
"""Probabilities in the release are floored at 1e-10, which means zero."""


class S2OnlyReader:
    """Reads the files of one run.

    Args:
        folder: folder of the release.
        run: ``sr0``, ``sr1`` or ``sr2``.
        log: collects the files read.
    """

    def __init__(self, folder: Path, run: str, log: FileLog) -> None:
        self.folder, self.run, self.log = folder, run, log

    def template(self, name: str) -> Array:
        """A background template, events/(t yr), shape (7,)."""
        file = f"data/templates/science_roi_background_{self.run}_template_{name}_1d.h5"
        return read_matching(self.log.add(self.folder / file), (7,), (EDGES_PE,))

    def anchored(self, name: str, parameter: str, tag: str) -> AnchorGrid:
        """A background on seven anchors, shape (7, 7)."""
        rows = np.stack([self.template(f"{name}_{tag}_{int(t)}") for t in ANCHORS])
        return AnchorGrid((parameter,), (ANCHORS,), rows)

    def response(self) -> tuple[Array, AnchorGrid]:
        """Energies (N,) and detection probability on the anchors of ``t_qy``, shape (7, 7, N).

        Raises:
            DataError: if the tables have other columns or energies than the first one.
        """
        layers: list[Array] = []
        energies = np.zeros(0)
        for t in ANCHORS:
            path = self.log.add(self.folder / f"response/response_nr_tqy_{int(t)}_{self.run}.csv")
            columns = read_csv(path)
            names = [f"s2_bin_{i}" for i in range(7)]
            if list(columns) != ["energy_kev", *names]:
                problem = f"has columns {', '.join(columns)}"
                raise DataError(located(path, "header", problem, "fetch the release again"))
            energies = columns["energy_kev"] if not layers else energies
            if not np.array_equal(columns["energy_kev"], energies):
                problem = "energies differ from those of the other tables"
                raise DataError(located(path, "energy_kev", problem, "fetch the release again"))
            layers.append(np.stack([columns[n] for n in names]))
        values = np.stack(layers)
        return energies, AnchorGrid(("t_qy",), (ANCHORS,), np.where(values < FLOOR, 0.0, values))


def _backgrounds(
    reader: S2OnlyReader, livetime: float, table: dict[str, RateParameter]
) -> tuple[Background, ...]:
    run = reader.run
    grids = {"cathode": reader.anchored("cathode", f"t_sys_{run}", "tsys")}
    for kind in ("de", "ae"):
        if f"{kind}_{run}_rate_multiplier" in table:  # SR2 has no accidental electrons
            grids[kind] = AnchorGrid((), (), reader.template(kind))
    return tuple(
        Background.at_anchors(
            kind,
            TITLES[kind],
            grid.scaled(livetime),
            (nuisance(f"{kind}_{run}_rate", table[f"{kind}_{run}_rate_multiplier"], ORIGIN),),
            ORIGIN,
        )
        for kind, grid in grids.items()
    )


def _channel(reader: S2OnlyReader, table: dict[str, RateParameter]) -> Channel:
    run, livetime = reader.run, table[f"livetime_{reader.run}"].nominal
    energies, response = reader.response()
    edges = {OBSERVABLE: EDGES_PE}
    events = reader.log.add(reader.folder / f"data/events_{run}.csv")
    efficiency = f"signal_efficiency_{run}"
    return anchored_channel(
        name=f"xenonnt_s2only_{run}",
        title=f"XENONnT {run.upper()} ionization only",
        exposure_tonne_year=livetime,
        observable=Observable((Axis(OBSERVABLE, TITLE, "PE", EDGES_PE),)),
        response=Response.at_anchors(energies, response),
        backgrounds=_backgrounds(reader, livetime, table),
        observed=count_events(events, edges),
        signal_rates=(nuisance(efficiency, table[efficiency], ORIGIN),),
        origins=dict.fromkeys(("exposure", "response", "observed"), ORIGIN),
        nuisance_bounds=_bounds(table),
        published=reader.anchored("cevns", "t_qy", "tqy").scaled(livetime),
    )


def _bounds(table: dict[str, RateParameter]) -> dict[str, tuple[float, float]]:
    bounds: dict[str, tuple[float, float]] = {}
    for name, p in table.items():
        if name.startswith("t_"):
            bounds[name] = p.limits or (-3.0, 3.0)
        elif name.startswith(("de_", "ae_", "cathode_", "signal_efficiency_")):
            key = name.replace("_rate_multiplier", "_rate")
            bounds[key] = rate_bounds(float(p.uncertainty or 1.0), p.limits)
    return bounds


def build_s2only() -> Experiment:
    """XENONnT ionization-only 2026: 21 bins.

    Raises:
        DataError: if ``xenonnt_s2only_2026`` is absent, incomplete or damaged.
    """
    folder, log = find_release("xenonnt_s2only_2026"), FileLog()
    table = read_parameters(log.add(folder / "s2_only_statistical_model.yaml"))
    channels = tuple(_channel(S2OnlyReader(folder, run, log), table) for run in RUNS)
    return Experiment(
        "xenonnt_s2only_2026",
        "XENONnT ionization-only search, SR0 + SR1 + SR2",
        channels,
        (SOURCE,),
        ("recoils below 0.5 keV, where the response starts, are not counted",),
        log.digests(),
        # the release does not say which of its events have an S1
        data_sets=tuple(f"xenonnt_{run}_{kind}" for run in RUNS for kind in ("s2only", "paired")),
    )
