"""Checks of the full likelihoods against what the collaboration published. Nothing is tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from anchor_likelihood import AnchorLikelihood
from numpy.typing import NDArray

from histnu.core.constants import B8_FLUX_XENONNT
from histnu.core.errors import DataError, located
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import read_json
from histnu.core.tables import read_csv
from histnu.core.types import Workspace
from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.builders import build_experiment
from histnu.experiments.model import Channel, Experiment, Origin, RateNuisance
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.limits import interval
from histnu.inference.profile import best_fit, profile
from histnu.inference.toys import ToyOptions, toy_statistics
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.models.tabulated import TabulatedSignal
from histnu.physics.rates import NeutrinoSource
from histnu.releases.locate import find_release
from histnu.releases.readers import read_curve
from histnu.sources.solar import solar_source
from histnu.templates.basis import ChannelTemplates, SignalTemplate, anchor_templates
from histnu.workspace.build import Poi, Strength, build_workspace

Array = NDArray[np.float64]
Signals = Mapping[str, Mapping[str, AnchorGrid]]

FLUX = float(B8_FLUX_XENONNT)
FLUX_RELATIVE = 0.0381
"""XENONnT's own 8B flux and its uncertainty (SNO), from its statistical models."""
B8, WIMP = "b8_strength", "wimp"
STRENGTHS = (Strength(B8, (0.0, 20.0), 1.0), Strength(WIMP, (0.0, 1e7)))
WIMP_CROSS_SECTION_CM2 = 1e-45
"""The releases' WIMP spectra are for this cross section."""
LIMITS = {
    "xenonnt_4d_2024": (
        "xenonnt_light_wimp_2024",
        "limits/XENONnT_2024_SI.csv",
        "dm_mass_gev",
        "unconstrained_upper_limit_cm2",
    ),
    "xenonnt_4d_2026": (
        "xenonnt_cevns_2026",
        "limits/sr2/xenonnt_2026_wimp_si.csv",
        "mass",
        "upper_limit",
    ),
    "xenonnt_s2only_2026": (
        "xenonnt_s2only_2026",
        "limits/XENONnT_SR012_s2_only_wimp_si_after_pcl_limit.csv",
        "mass_gev",
        "limit_cm2",
    ),
}
"""Published limits: release, file, column of the mass (GeV), column of the limit (cm^2)."""
SPECTRA = {
    "xenonnt_4d_2024": ("xenonnt_light_wimp_2024", "signal"),
    "xenonnt_4d_2026": ("xenonnt_light_wimp_2024", "signal"),
    "xenonnt_s2only_2026": ("xenonnt_s2only_2026", "data/signal"),
}


def published_cevns(channel: Channel) -> AnchorGrid | None:
    """The release's own CEvNS template at all anchors."""
    return None if channel.published_signal is None else channel.published_signal.anchors


def cevns_signals(full: Experiment) -> Signals:
    """The release's own CEvNS templates at 5.25e6 cm^-2 s^-1; folded ones where it has none."""
    published = {c.name: published_cevns(c) for c in full.channels}
    found = {k: {"cevns": grid} for k, grid in published.items() if grid is not None}
    if len(found) == len(published):
        return found
    return folded_signals(full, solar_source("b8", FLUX), StandardModel())


def folded_signals(full: Experiment, source: NeutrinoSource, model: SignalModel) -> Signals:
    """Templates of a model at all anchors, channel -> sample -> grid."""
    return {c.name: anchor_templates(c, source, [model]) for c in full.channels}


def templates_from(
    full: Experiment, signals: Signals, strengths: Mapping[str, str], flux: RateNuisance | None
) -> tuple[ChannelTemplates, ...]:
    """Channel templates from grids of events, with the strengths of some samples."""
    result = []
    for channel in full.channels:
        samples = []
        for name, grid in signals[channel.name].items():
            shapes = grid.pairs()
            nuisance = flux if name == "cevns" else None
            samples.append(SignalTemplate(name, grid.at(), strengths.get(name), nuisance, shapes))
        result.append(ChannelTemplates(channel, tuple(samples)))
    return tuple(result)


def flux_workspace(full: Experiment) -> Workspace:
    """Workspace with a free 8B strength (one at 5.25e6 cm^-2 s^-1) and no flux constraint."""
    templates = templates_from(full, cevns_signals(full), {"cevns": B8}, None)
    return build_workspace(templates, STRENGTHS, [Poi(B8, B8)])


def read_recoil_spectrum(path: Path) -> tuple[Array, Array]:
    """Read a recoil spectrum stored as inverse cumulative distribution and total rate.

    ``dR/dT = rate d(cdf)/dT`` between neighbouring points.

    Returns:
        Recoil energies (keV) and dR/dT in events/(t yr keV), each of shape (N,).

    Raises:
        DataError: as :func:`read_curve`, or if the total rate is missing.
    """
    cdf, energy = read_curve(path)
    rate = read_json(path).get("rate")
    if not isinstance(rate, (int, float)) or not np.isfinite(rate) or rate <= 0:
        problem = f"{rate!r} is not a positive rate"
        raise DataError(located(path, "rate", problem, "fetch the release again"))
    if np.any(np.diff(energy) <= 0):
        raise DataError(located(path, "map", "energies must increase", "fetch the release again"))
    return energy, np.gradient(cdf, energy) * float(rate)


@dataclass(frozen=True)
class FluxResult:
    """A measurement of the 8B flux.

    Attributes:
        expected: CEvNS events at 5.25e6. flux, lower, upper: 1e6 cm^-2 s^-1, 68 % (Delta = 1).
        significance: of rejecting no CEvNS, ``sqrt(q_0)``.
        toys: the same from toys, with its error; None if not asked.
    """

    expected: float
    flux: float
    lower: float | None
    upper: float | None
    significance: float
    toys: tuple[float, float] | None = None


def measure_flux(name: str, n_toys: int = 0, seed: int = 1) -> FluxResult:
    """Fit the 8B flux in a full likelihood.

    Args:
        name: of a full likelihood.
        n_toys: background-only toys for the significance.
        seed: of the toys.
    """
    full = build_experiment(name)
    likelihood = BatchedLikelihood.from_workspace(flux_workspace(full))
    found = interval(likelihood, None, B8, math.erf(1.0 / math.sqrt(2.0)))
    null = profile(likelihood, None, B8, [0.0])
    q0 = float(null.delta_twice_nll[0])
    unit = FLUX / 1e6
    expected = sum(g["cevns"].at().sum() for g in cevns_signals(full).values())
    result = FluxResult(
        float(expected),
        found.best_fit.parameters[B8] * unit,
        None if found.lower is None else found.lower * unit,
        None if found.upper is None else found.upper * unit,
        math.sqrt(max(q0, 0.0)),
    )
    if n_toys == 0:
        return result
    toys = _toy_significance(likelihood, null.parameters[0], q0, (n_toys, seed))
    return replace(result, toys=toys)


def _toy_significance(
    likelihood: BatchedLikelihood, truth: Array, q0: float, toys: tuple[int, int]
) -> tuple[float, float]:
    """Significance from background-only toys at the fitted nuisances, with its binomial error."""
    from scipy.stats import norm

    drawn = toy_statistics(likelihood, truth, (B8, 0.0), ToyOptions(toys[0], toys[1]))
    beyond = int(np.sum((drawn.delta >= q0) & drawn.converged))
    n = int(drawn.converged.sum())
    p = max(beyond, 1) / n
    z = float(norm.isf(p))
    return z, float(math.sqrt(p * (1.0 - p) / n) / norm.pdf(z))


def wimp_signals(name: str, mass_gev: float) -> Signals:
    """CEvNS templates and the WIMP of a mass at 1e-45 cm^2, per channel.

    Raises:
        DataError: if the release has no spectrum for the mass.
    """
    full = build_experiment(name)
    release, folder = SPECTRA[name]
    path = find_release(release) / folder / f"wimp_si_spectrum_{mass_gev:g}.json"
    energy, rate = read_recoil_spectrum(path)
    model = TabulatedSignal(energy, {WIMP: rate}, {WIMP: "1e-45 cm^2"})
    folded = folded_signals(full, solar_source(), model)
    return {k: {**v, WIMP: folded[k][WIMP]} for k, v in cevns_signals(full).items()}


def published_limits(name: str) -> dict[float, float]:
    """Published 90 % CL limits on the spin-independent cross section: GeV -> cm^2."""
    release, file, mass, limit = LIMITS[name]
    path = find_release(release) / file
    columns = read_csv(path)
    if mass not in columns or limit not in columns:
        raise DataError(f"{path}: no columns {mass}, {limit}; fetch the release again")
    return dict(zip(columns[mass].tolist(), columns[limit].tolist(), strict=True))


def wimp_limit(name: str, mass_gev: float, cl: float = 0.9) -> dict[str, float]:
    """Upper limit on the spin-independent cross section, 1 dof profile likelihood, in cm^2.

    The 8B background has XENONnT's own flux, 5.25e6 with 3.81 %.

    Returns:
        ``mass_gev``, ``limit``, ``sensitivity`` (Asimov), ``best_fit``.
    """
    full = build_experiment(name)
    flux = RateNuisance("b8_flux", FLUX_RELATIVE, "default", Origin("published", "SNO"))
    templates = templates_from(full, wimp_signals(name, mass_gev), {WIMP: WIMP}, flux)
    document = build_workspace(templates, STRENGTHS, [Poi(WIMP, WIMP)])
    likelihood = BatchedLikelihood.from_workspace(document)
    found = interval(likelihood, None, WIMP, cl)
    pars = np.array(likelihood.init)
    pars[likelihood.index(WIMP)] = 0.0
    sensitivity = interval(likelihood, likelihood.expected(pars)[0], WIMP, cl)
    scale = WIMP_CROSS_SECTION_CM2
    return {
        "mass_gev": mass_gev,
        "limit": (found.upper or math.nan) * scale,
        "sensitivity": (sensitivity.upper or math.nan) * scale,
        "best_fit": found.best_fit.parameters[WIMP] * scale,
    }


def flux_reference(name: str) -> AnchorLikelihood:
    """The 8B strength with the release's seven-anchor interpolation."""
    full = build_experiment(name)
    identity = PolynomialMap((B8,), ("cevns",), (((1.0, {B8: 1}),),))
    return AnchorLikelihood(full, cevns_signals(full), identity, None, {B8: (0.0, 20.0)})


ALEA_NAMES = {
    "b8_rate_multiplier": (B8, None),
    "signal_efficiency": ("signal_efficiency", 0.25),
    "ac_sr0_rate_multiplier": ("ac_sr0_rate", 0.0904),
    "ac_sr1_rate_multiplier": ("ac_sr1_rate", 0.0576),
    "er_rate_multiplier": ("er_rate", 1.0),
    "nr_rate_multiplier": ("neutron_rate", 0.58),
    "t_ly": ("t_ly", None),
    "t_qy": ("t_qy", None),
}
"""alea's parameter -> ours, and the standard deviation that turns ours into a multiplier."""


def _our_point(reference: AnchorLikelihood, point: Mapping[str, float]) -> dict[str, float]:
    """alea's parameters in our names: multipliers become standard deviations."""
    values = dict.fromkeys(reference.names, 0.0) | {B8: 1.0}
    for name, value in point.items():
        ours, sigma = ALEA_NAMES[name]
        values[ours] = value if sigma is None else (value - 1.0) / sigma
    return values


def alea_table(result: Mapping[str, Any]) -> str:
    """Markdown tables: best fit and profile of alea, our seven-anchor model and our workspace.

    Args:
        result: JSON written by ``scripts/compare_alea.py run``.
    """
    reference = flux_reference("xenonnt_4d_2024")
    document = flux_workspace(build_experiment("xenonnt_4d_2024"))
    likelihood = BatchedLikelihood.from_workspace(document)
    ours, pyhf = reference.fit(), best_fit(likelihood)
    lines = ["| parameter | alea | anchors | pyhf |", "|---|---|---|---|"]
    for theirs, (name, sigma) in ALEA_NAMES.items():
        values = [p[name] for p in (ours.parameters, pyhf.parameters)]
        shown = values if sigma is None else [1.0 + sigma * v for v in values]
        cells = " | ".join(f"{v:.4f}" for v in (result["best_fit"][theirs], *shown))
        lines.append(f"| {theirs} | {cells} |")
    lines += ["", "| point | alea | anchors | difference |", "|---|---|---|---|"]
    at = [reference.twice_nll(_our_point(reference, p)) for p in result["points"]]
    theirs_at = result["twice_nll_at_points"]
    for i, (a, b) in enumerate(zip(theirs_at, at, strict=True)):
        a, b = a - theirs_at[0], b - at[0]
        lines.append(f"| {i} | {a:.6f} | {b:.6f} | {b - a:.1e} |")
    profiles: Sequence[Array] = (
        np.asarray(result["delta_twice_nll"], dtype=float),
        reference.profile(B8, result["values"]),
        profile(likelihood, None, B8, result["values"]).delta_twice_nll,
    )
    lines += ["", "| 8B rate / 5.25e6 | alea | anchors | pyhf |", "|---|---|---|---|"]
    for i, value in enumerate(result["values"]):
        lines.append(f"| {value:g} | " + " | ".join(f"{p[i]:.4f}" for p in profiles) + " |")
    return "\n".join(lines)
