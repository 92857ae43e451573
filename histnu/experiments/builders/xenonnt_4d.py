"""XENONnT's four-dimensional likelihoods of solar 8B neutrinos: 2024 (SR0 + SR1), 2026 (+ SR2).

Bins are 3 x 3 x 3 x 3 in (cS2, S2-shadow quantile, S1 BDT, S2 BDT), flattened to 81 per run.
Backgrounds are templates in events/(t yr) times the livetime in t yr.

* 2024: the response is the monoenergetic basis, tabulated against light and charge yield, at the
  YBe-calibrated yields ``y(E; t) = median + t (upper - median)`` for t > 0, ``median + t (median -
  lower)`` for t < 0. This reproduces the release's own CEvNS templates at all 49 anchors.
* 2026: the response is tabulated on the 49 anchors themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.builders.channels import anchored_channel
from histnu.experiments.builders.digest import FileLog
from histnu.experiments.builders.rates import nuisance, rate_bounds
from histnu.experiments.model import Axis, Background, Channel, Experiment, Observable, Origin
from histnu.experiments.response import Response
from histnu.releases.locate import find_release
from histnu.releases.readers import (
    RateParameter,
    count_events,
    read_binning,
    read_curve,
    read_matching,
    read_parameters,
)

Array = NDArray[np.float64]

Rates = dict[str, tuple[RateParameter, Origin]]

SHAPE = (3, 3, 3, 3)
AXIS_UNITS = {"cs2": "PE"}
YIELD_ANCHORS = np.arange(-3.0, 4.0)
SHAPE_PARAMETERS = ("t_ly", "t_qy")
BASIS_YIELDS = np.arange(1.0, 11.0)
BASIS_ENERGIES_KEV = (
    0.51, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0,
)  # fmt: skip
MONO_ENERGIES_KEV = np.round(np.arange(0.5, 5.01, 0.1), 1)
RELEASE_2024 = "Zenodo 10.5281/zenodo.14522706 (arXiv:2409.17868, arXiv:2408.02877)"
RELEASE_2026 = "Zenodo 10.5281/zenodo.20576156 (arXiv:2604.06002)"
LIVETIMES_2026 = {"sr0": 1.174398, "sr1": 2.342593, "sr2": 3.249665}
"""t yr, from the example notebook of the 2026 release."""
RATES_2024 = {
    "signal_efficiency": RateParameter(1.0, 0.25, (0.5, 1.5)),
    "ac_sr0": RateParameter(1.0, 0.0904, (0.0, 100.0)),
    "ac_sr1": RateParameter(1.0, 0.0576, (0.0, 100.0)),
    "er": RateParameter(1.0, 1.0, (0.0, 100.0)),
    "neutron": RateParameter(1.0, 0.58, (0.0, 100.0)),
}
"""Rate uncertainties of the 2024 statistical model, which the 2026 release does not repeat."""
ASSUMED_AC_SR2 = RateParameter(1.0, 0.0576, (0.0, 100.0))
"""The 2026 release gives no uncertainty of the SR2 accidental rate: that of SR1 is assumed."""
TITLES = {"ac": "accidental coincidences", "er": "electronic recoils", "neutron": "neutrons"}
THRESHOLD_NOTE = (
    "recoils below the first energy of the response (0.51 keV in 2024, 0.5 keV in 2026) "
    "are not counted"
)


class RunReader:
    """Reads the templates of one science run, checking the edges of every file.

    Args:
        folder: folder that holds ``ac``, ``er`` and ``rg`` (and ``b8`` or ``mono``).
        run: ``sr0``, ``sr1`` or ``sr2``.
        binning: edges that every template must have.
        log: collects the files read.
    """

    def __init__(self, folder: Path, run: str, binning: dict[str, Array], log: FileLog) -> None:
        self.folder, self.run, self.binning, self.log = folder, run, binning, log

    def one(self, relative: str) -> Array:
        """One template, flattened, shape (81,)."""
        path = self.log.add(self.folder / relative)
        return read_matching(path, SHAPE, tuple(self.binning.values()))

    def component(self, kind: str) -> Array:
        """A component without shape parameters, events/(t yr)."""
        return self.one(f"{kind}/template_XENONnT_{self.run}_{kind}_cevns.h5")

    def anchored(self, stem: str) -> AnchorGrid:
        """A component on the 7 x 7 anchors of the yields, shape (7, 7, 81)."""
        rows = [
            [self.one(f"{stem}_cevns_tly_{ly:.1f}_tqy_{qy:.1f}.h5") for qy in YIELD_ANCHORS]
            for ly in YIELD_ANCHORS
        ]
        return AnchorGrid(SHAPE_PARAMETERS, (YIELD_ANCHORS, YIELD_ANCHORS), np.array(rows))

    def mono(self) -> AnchorGrid:
        """The 2026 response, shape (7, 7, 81, 46)."""
        layers = [
            self.anchored(f"mono/template_XENONnT_{self.run}_mono_{e:.3f}").values
            for e in MONO_ENERGIES_KEV
        ]
        return AnchorGrid(
            SHAPE_PARAMETERS, (YIELD_ANCHORS, YIELD_ANCHORS), np.stack(layers, axis=-1)
        )

    def basis(self, energy_kev: float) -> Array:
        """The 2024 basis at one energy, shape (10 light yields, 10 charge yields, 81)."""
        whole = float(energy_kev).is_integer()
        text = (f"{energy_kev:.1f}" if whole else f"{energy_kev:g}").replace(".", "_")
        stem = f"orthonormal_basis/template_XENONnT_{self.run}_recasting_mono_{text}_cevns"
        rows = [
            [self.one(f"{stem}_tly_{int(a)}_tqy_{int(b)}.h5") for b in BASIS_YIELDS]
            for a in BASIS_YIELDS
        ]
        return np.array(rows)


def yields_at(folder: Path, quantity: str, energies_kev: Array, t: float, log: FileLog) -> Array:
    """Light or charge yield in quanta/keV, t standard deviations from the YBe median.

    Args:
        quantity: ``ly`` or ``qy``.
        energies_kev: recoil energies, shape (N,).
        t: standard deviations.
    """
    curves = {}
    for kind in ("lower", "median", "upper"):
        x, y = read_curve(log.add(folder / "signal" / f"{quantity}_ybe_model_{kind}.json"))
        curves[kind] = np.interp(energies_kev, x, y)
    up, down = curves["upper"] - curves["median"], curves["median"] - curves["lower"]
    return np.asarray(curves["median"] + t * (up if t >= 0 else down))


def basis_response(reader: RunReader, folder: Path) -> AnchorGrid:
    """The 2024 response on the 7 x 7 yield anchors, shape (7, 7, 81, 16).

    Bicubic interpolation of the basis in the two yields; yields beyond its borders (only the
    -3 deviation of the charge yield at 0.51 keV) are held at the border.
    """
    from scipy.interpolate import make_interp_spline

    energies = np.array(BASIS_ENERGIES_KEV)
    table = [
        np.stack([yields_at(folder, q, energies, t, reader.log) for t in YIELD_ANCHORS])
        for q in ("ly", "qy")
    ]
    ly, qy = (np.clip(y, BASIS_YIELDS[0], BASIS_YIELDS[-1]) for y in table)
    out = np.empty((YIELD_ANCHORS.size, YIELD_ANCHORS.size, 81, energies.size))
    for k, energy in enumerate(BASIS_ENERGIES_KEV):
        rows = make_interp_spline(BASIS_YIELDS, reader.basis(energy))(ly[:, k])
        out[..., k] = make_interp_spline(BASIS_YIELDS, rows, axis=1)(qy[:, k])
    # a cubic may undershoot zero by 1e-7 where the probability vanishes
    return AnchorGrid(SHAPE_PARAMETERS, (YIELD_ANCHORS, YIELD_ANCHORS), np.maximum(out, 0.0))


def _backgrounds(
    reader: RunReader, livetime: float, rates: Rates, origin: Origin
) -> tuple[Background, ...]:
    run = reader.run
    grids = {
        "ac": AnchorGrid((), (), reader.component("ac")),
        "er": AnchorGrid((), (), reader.component("er")),
        "neutron": reader.anchored(f"rg/template_XENONnT_{run}_rg"),
    }
    names = {"ac": f"ac_{run}", "er": "er", "neutron": "neutron"}
    return tuple(
        Background.at_anchors(
            kind,
            TITLES[kind],
            grid.scaled(livetime),
            (nuisance(f"{names[kind]}_rate", *rates[names[kind]]),),
            origin,
        )
        for kind, grid in grids.items()
    )


def _bounds(rates: Rates) -> dict[str, tuple[float, float]]:
    bounds = dict.fromkeys(SHAPE_PARAMETERS, (-3.0, 3.0))
    for name, (rate, _) in rates.items():
        key = name if name == "signal_efficiency" else f"{name}_rate"
        bounds[key] = rate_bounds(float(rate.uncertainty or 1.0), rate.limits)
    return bounds


def _observable(binning: dict[str, Array]) -> Observable:
    """The axes of a run, in the order in which its templates are flattened."""
    return Observable(tuple(Axis(n, n, AXIS_UNITS.get(n, "1"), e) for n, e in binning.items()))


def _statistical_model(path: Path) -> tuple[dict[str, float], dict[str, RateParameter]]:
    """Livetimes and rate parameters of the 2024 statistical model."""
    table = read_parameters(path)
    livetimes = {run: table[f"livetime_{run}"].nominal for run in ("sr0", "sr1")}
    rates = {
        "signal_efficiency": table["signal_efficiency"],
        "ac_sr0": table["ac_sr0_rate_multiplier"],
        "ac_sr1": table["ac_sr1_rate_multiplier"],
        "er": table["er_rate_multiplier"],
        "neutron": table["nr_rate_multiplier"],
    }
    return livetimes, rates


def _origins(response: str, events: str, livetime: str) -> dict[str, Origin]:
    return {
        "exposure": Origin("published", livetime),
        "response": Origin("derived" if "2024" in response else "published", response),
        "observed": Origin("published", events),
    }


def build_2024() -> Experiment:
    """XENONnT 2024: SR0 + SR1, 37 events, 162 bins.

    Raises:
        DataError: if ``xenonnt_light_wimp_2024`` or ``xenonnt_cevns_2026`` (for the events) is
            absent, incomplete or damaged.
    """
    folder, events = find_release("xenonnt_light_wimp_2024"), find_release("xenonnt_cevns_2026")
    log = FileLog()
    livetimes, table = _statistical_model(log.add(folder / "statistical_model_base.yaml"))
    origin = Origin("published", RELEASE_2024)
    rates = {k: (v, origin) for k, v in table.items()}
    channels = []
    for run, livetime in livetimes.items():
        binning = read_binning(log.add(events / "binning" / f"{run}.yaml"))
        reader = RunReader(folder, run, binning, log)
        channels.append(
            anchored_channel(
                name=f"xenonnt_2024_{run}",
                title=f"XENONnT {run.upper()} (2024)",
                exposure_tonne_year=livetime,
                observable=_observable(binning),
                response=Response.at_anchors(
                    np.array(BASIS_ENERGIES_KEV), basis_response(reader, folder)
                ),
                backgrounds=_backgrounds(reader, livetime, rates, origin),
                observed=count_events(log.add(events / "data" / f"{run}.csv"), binning),
                signal_rates=(nuisance("signal_efficiency", *rates["signal_efficiency"]),),
                origins=_origins(
                    f"2024 basis at the YBe yields, {RELEASE_2024}", RELEASE_2026, RELEASE_2024
                ),
                nuisance_bounds=_bounds(rates),
                published=reader.anchored(f"b8/template_XENONnT_{run}_b8").scaled(livetime),
            )
        )
    title = "XENONnT SR0 + SR1, four dimensions"
    return _experiment("xenonnt_4d_2024", title, channels, log)


def build_2026() -> Experiment:
    """XENONnT 2026: SR0 + SR1 + SR2, 62 events in 243 bins.

    Raises:
        DataError: if ``xenonnt_cevns_2026`` is absent, incomplete or damaged.
    """
    folder = find_release("xenonnt_cevns_2026")
    log = FileLog()
    origin = Origin("published", RELEASE_2026)
    earlier = Origin("reconstructed", f"assumed as in 2024, {RELEASE_2024}")
    rates = {k: (v, earlier) for k, v in (RATES_2024 | {"ac_sr2": ASSUMED_AC_SR2}).items()}
    channels = []
    for run, livetime in LIVETIMES_2026.items():
        binning = read_binning(log.add(folder / "binning" / f"{run}.yaml"))
        reader = RunReader(folder / "templates" / run, run, binning, log)
        channels.append(
            anchored_channel(
                name=f"xenonnt_2026_{run}",
                title=f"XENONnT {run.upper()} (2026)",
                exposure_tonne_year=livetime,
                observable=_observable(binning),
                response=Response.at_anchors(MONO_ENERGIES_KEV, reader.mono()),
                backgrounds=_backgrounds(reader, livetime, rates, origin),
                observed=count_events(log.add(folder / "data" / f"{run}.csv"), binning),
                signal_rates=(nuisance("signal_efficiency", *rates["signal_efficiency"]),),
                origins=_origins(RELEASE_2026, RELEASE_2026, f"example notebook of {RELEASE_2026}"),
                nuisance_bounds=_bounds(rates),
            )
        )
    title = "XENONnT SR0 + SR1 + SR2, four dimensions"
    return _experiment("xenonnt_4d_2026", title, channels, log)


def _experiment(name: str, title: str, channels: Sequence[Channel], log: FileLog) -> Experiment:
    assumptions = [THRESHOLD_NOTE]
    references = [RELEASE_2026]
    if name == "xenonnt_4d_2024":
        references = [RELEASE_2024, f"events: {RELEASE_2026}"]
    else:
        assumptions.append(
            "rate uncertainties and the 25 % signal efficiency are those of the 2024 statistical "
            "model; the accidental rate of SR2 has the relative uncertainty of SR1 (5.76 %)"
        )
    return Experiment(
        name,
        title,
        tuple(channels),
        tuple(references),
        tuple(assumptions),
        log.digests(),
        data_sets=tuple(f"xenonnt_{c.name[-3:]}_paired" for c in channels),
    )
