"""New results: neutrino electromagnetic properties from the collaborations' full likelihoods."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.analyses import Analysis, FluxSection, assemble, load_analysis
from histnu.constants import B8_FLUX
from histnu.errors import DataError
from histnu.experiments.builders import built_names
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import weakest
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import interval
from histnu.mass_scan import ScanOptions, mass_scan
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.millicharge import CHARGES, Millicharge
from histnu.physics.models.protocol import SignalModel
from histnu.report.bounds import QUICK, dipole_row, strength_name
from histnu.report.published import PUBLISHED
from histnu.report.roots import root
from histnu.types import Workspace

Array = NDArray[np.float64]
Row = dict[str, Any]
AnyLikelihood = BatchedLikelihood | MappedLikelihood

log = logging.getLogger(__name__)

COMBINED = "combined_full"
COMBINED_OF = ("xenonnt_4d_2026", "pandax4t_us2")
"""The largest set of data that counts no event twice: see ``OVERLAPS``."""
OVERLAPS = (
    "xenonnt_4d_2024 and xenonnt_4d_2026 share the events of SR0 and SR1 (37 of 62): one or the "
    "other, never both",
    "xenonnt_s2only_2026 and the four-dimensional likelihoods share the exposure of SR0 to SR2, "
    "and the release does not say which events have an S1: they are not combined",
    "xenonnt_sr01 is xenonnt_4d_2024 reduced to three bins: never both",
    "pandax4t_us2 is another detector: it combines with any one of the XENONnT likelihoods",
)
TWINS = {"q_tautau": "q_mumu", "q_etau": "q_emu"}
MOMENTS = ("mu_e", "mu_mu", "mu_universal")
M4_MEV = (0.1, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0)


@dataclass(frozen=True)
class FullOptions:
    """What to compute.

    Attributes:
        experiments: names of full likelihoods; ``combined_full`` is the combination.
        flux_cm2_s, flux_relative: total 8B flux and its uncertainty. The paper's treatment is
            5.46e6 with 12 %; XENONnT's own is 5.25e6 with 3.81 %.
        m4_mev: sterile masses in MeV.
        cl: confidence level.
        expected: also the Asimov sensitivities (data equal to the SM expectation).
    """

    experiments: tuple[str, ...] = (*built_names(), COMBINED)
    flux_cm2_s: float = float(B8_FLUX)
    flux_relative: float = 0.12
    m4_mev: tuple[float, ...] = M4_MEV
    cl: float = 0.9
    expected: bool = True

    def analysis(self, model: str, name: str) -> Analysis:
        """The analysis of a model with a full likelihood or the combination."""
        flux = FluxSection(
            total_cm2_s=self.flux_cm2_s, relative=self.flux_relative, source=B8_FLUX.source
        )
        return load_analysis(f"{model}_{name}").model_copy(update={"flux": flux})


def members(name: str) -> tuple[str, ...]:
    """Experiments behind a name: itself, or those of the combination."""
    return COMBINED_OF if name == COMBINED else (name,)


def full_workspace(name: str, model: SignalModel, options: FullOptions) -> Workspace:
    """The pyhf workspace of a full likelihood with a signal model (see ``FullOptions.analysis``).

    Raises:
        DataError: if a release is absent.
    """
    return assemble(options.analysis(model.name, name)).workspace


def provenance(name: str) -> str:
    """Weakest provenance of the inputs of a result."""
    return weakest([load_experiment(m).provenance for m in members(name)])


def asimov(likelihood: AnyLikelihood) -> Array:
    """Expected counts at zero signal and nominal nuisances, shape (B,)."""
    pars = np.array(likelihood.init, dtype=float)
    if isinstance(likelihood, MappedLikelihood):
        pars[: likelihood.n_theta] = 0.0
    elif likelihood.poi_index is not None:
        pars[likelihood.poi_index] = 0.0
    return np.asarray(likelihood.expected(pars)[0])


def _row(name: str, model: SignalModel, parameter: str, cl: float) -> Row:
    units = {p.name: p.unit for p in model.parameters}
    published = next((b for b in PUBLISHED if b.id == parameter), None)
    return {
        "id": parameter,
        "model": model.name,
        "parameter": parameter,
        "experiment": name,
        "method": "profile likelihood",
        "cl": cl,
        "dof": 1,
        "unit": units[parameter],
        "provenance": provenance(name),
        "published": None if published is None else published.to_json(),
    }


def _ratio(row: Row) -> float | None:
    published, upper = row["published"], row["upper"]
    return None if published is None or upper is None else upper / published["upper"]


def moment_row(name: str, parameter: str, options: FullOptions) -> Row:
    """Bound on a magnetic moment in 1e-9 mu_B, with its Asimov sensitivity."""
    model = MagneticMoment()
    strength = strength_name(parameter)
    document = full_workspace(name, model, options)
    likelihood = BatchedLikelihood.from_workspace(document, strength)
    found = interval(likelihood, None, strength, options.cl)
    row = _row(name, model, parameter, options.cl) | {
        "lower": root(found.lower),
        "upper": root(found.upper),
        "best_fit": root(found.best_fit.parameters[strength]),
        "expected": None,
    }
    if options.expected:
        sensitivity = interval(likelihood, asimov(likelihood), strength, options.cl)
        row["expected"] = {"lower": None, "upper": root(sensitivity.upper)}
    return row | {"ratio": _ratio(row)}


def charge_rows(name: str, options: FullOptions) -> list[Row]:
    """Intervals of the six charges in 1e-8 e, each with the other five profiled.

    With maximal theta_23 the rates of nu_mu and nu_tau are equal, so the intervals of
    ``q_tautau`` and ``q_etau`` are those of ``q_mumu`` and ``q_emu``; they are copied.
    """
    model = Millicharge()
    base = BatchedLikelihood.from_workspace(full_workspace(name, model, options), "q_sq_e")
    likelihood = MappedLikelihood(base, model.polynomial)
    data = asimov(likelihood) if options.expected else None
    rows: dict[str, Row] = {}
    for parameter in CHARGES:
        twin = TWINS.get(parameter)
        if twin is None:
            found = interval(likelihood, None, parameter, options.cl, 1, QUICK)
            values: Row = {
                "lower": found.lower,
                "upper": found.upper,
                "best_fit": found.best_fit.parameters[parameter],
            }
            values["expected"] = None
            if data is not None:
                s = interval(likelihood, data, parameter, options.cl, 1, QUICK)
                values["expected"] = {"lower": s.lower, "upper": s.upper}
        else:
            keys = ("lower", "upper", "best_fit", "expected")
            values = {k: rows[twin][k] for k in keys} | {"equal_to": twin}
        row = _row(name, model, parameter, options.cl) | values
        rows[parameter] = row | {"ratio": _ratio(row)}
    return list(rows.values())


def dipole_rows(name: str, flavours: Sequence[str], options: FullOptions) -> list[Row]:
    """Upper ends of the (m4, mu) region of the sterile dipole, 2 degrees of freedom."""
    analysis = options.analysis("sterile_dipole", name)
    parameters = [f"mu_{f}" for f in flavours]
    wanted = (False, True) if options.expected else (False,)
    scans = [
        mass_scan(analysis, "m4", parameters, options.m4_mev, ScanOptions(options.cl, asimov=a))
        for a in wanted
    ]
    rows = []
    for i, flavour in enumerate(flavours):
        median = {"lower": None, "upper": list(scans[1][i].upper)} if options.expected else None
        row = dipole_row(analysis.model.name, flavour, scans[0][i])
        rows.append(row | {"experiment": name, "expected": median})
    return rows


def results_for(name: str, options: FullOptions) -> list[Row]:
    """All rows of one experiment: three moments, six charges, two dipole curves."""
    rows = [moment_row(name, p, options) for p in MOMENTS]
    rows += charge_rows(name, options)
    rows += dipole_rows(name, ("e", "mu"), options)
    log.info("%s: %d results", name, len(rows))
    return rows


def run_full(options: FullOptions | None = None) -> dict[str, Any]:
    """Compute all new results; experiments whose release is absent are listed as skipped.

    Returns:
        ``{"bounds": rows, "skipped": {name: reason}, "overlaps": [...], "flux": {...}}``; the
        rows have the keys of ``results.json`` and ``expected`` (Asimov sensitivity).
    """
    options = options or FullOptions()
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    for name in options.experiments:
        try:
            rows += results_for(name, options)
        except DataError as error:
            skipped[name] = str(error)
            log.info("%s skipped: %s", name, error)
    return {
        "bounds": rows,
        "skipped": skipped,
        "overlaps": list(OVERLAPS),
        "flux": {"total_cm2_s": options.flux_cm2_s, "relative": options.flux_relative},
    }
