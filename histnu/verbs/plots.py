"""The kinds of ``histnu plot``: each computes what its figure shows and draws it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu import verbs
from histnu.analysis.mass_scan import values_to_add
from histnu.analysis.target import (
    ParameterOfInterest,
    Setting,
    Target,
    load_target,
    parameter_of_interest,
    split,
)
from histnu.core.errors import ConfigError, FitError
from histnu.inference.engine.fit import FitOptions
from histnu.plotting.canvas import Header, quantity, unit_of
from histnu.plotting.planes import PlaneFigure, Region, draw_plane, end_lines, excluded
from histnu.verbs.options import Options
from histnu.workspace.selection import Selection

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
Targets = tuple[str, ...]


@dataclass(frozen=True)
class PlotOptions:
    """Options of ``histnu plot`` as given; see its help."""

    poi: str | None = None
    x_name: str | None = None
    y_name: str | None = None
    low: float | None = None
    high: float | None = None
    y_range: tuple[float, float] | None = None
    points: int | None = None
    along: str | None = None
    overlay: tuple[str, ...] = ()
    n_toys: int = 2000
    top: int = 20
    dof: int | None = None
    cl: float = 0.9
    seed: int = 0
    settings: Mapping[str, Setting] = field(default_factory=dict)
    engine: str = "batched"
    allow_uncertified: bool = False
    measurement: str | None = None
    patches: tuple[str, ...] = ()
    patch_name: str | None = None

    @property
    def selection(self) -> Selection:
        """Measurement and patches."""
        return Selection(self.measurement, self.patches, self.patch_name)

    def no_selection(self, kind: str) -> None:
        """Raise ConfigError if a likelihood is chosen for a figure that shows none."""
        if self.selection != Selection():
            mend = "leave out --measurement and --patch"
            raise ConfigError(f"histnu plot {kind} shows no likelihood; {mend}")

    def fit(self, interest: ParameterOfInterest) -> FitOptions:
        """How to fit the likelihood of a parameter: engine, held parameters."""
        return FitOptions(
            engine=self.engine, fixed=interest.fixed, allow_uncertified=self.allow_uncertified
        )

    @property
    def values(self) -> Array | None:
        """Values on the x axis where both ends are given.

        Raises:
            ConfigError: for one end without the other, or a first end that is not smaller.
        """
        if self.low is None and self.high is None:
            return None
        low, high = self.range("--from and --to")
        return np.linspace(low, high, self.points or 121)

    def range(self, what: str) -> tuple[float, float]:
        """Both ends of the x axis; ConfigError unless they are given and increase."""
        if self.low is None or self.high is None or not self.low < self.high:
            raise ConfigError(f"give {what}, the first smaller than the second")
        return self.low, self.high

    def load(self, target: str) -> tuple[Target, ParameterOfInterest]:
        """A target and the parameter that is asked of it."""
        loaded = load_target(target, self.settings, self.selection)
        return loaded, parameter_of_interest(loaded, self.poi)

    def verb(self, held: Mapping[str, float], method: str = "profile", dof: int = 1) -> Options:
        """Options of the verb that a figure shows."""
        return Options(
            method=method,
            cl=self.cl,
            dof=self.dof or dof,
            engine=self.engine,
            held=held,
            n_toys=self.n_toys,
            seed=self.seed,
            allow_uncertified=self.allow_uncertified,
        )


def _one(targets: Targets, kind: str) -> str:
    if len(targets) != 1:
        raise ConfigError(f"histnu plot {kind} takes one TARGET, not {len(targets)}")
    return targets[0]


def draw_fit(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Data against prediction, with the signal at its limit where there is an upper one."""
    from histnu.analysis.axes import channel_axes
    from histnu.plotting.prediction import draw_prediction
    from histnu.verbs.estimation import summary_of
    from histnu.verbs.figures import prediction_figure

    name = _one(targets, "fit")
    target, interest = options.load(name)
    summary, _ = summary_of(target, interest, options.verb(interest.fixed), profile=False)
    found = verbs.find_interval(interest, options.verb(interest.fixed))
    limit = None if found.upper is None or found.lower is not None else (found.upper, options.cl)
    figure = prediction_figure(target, interest, summary, channel_axes(name), limit)
    return draw_prediction(figure, path)


def draw_impact_ranking(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Pulls and impacts."""
    from histnu.plotting.statistics import draw_impacts
    from histnu.verbs.estimation import impacts_of
    from histnu.verbs.figures import impacts_figure

    target, interest = options.load(_one(targets, "impacts"))
    found = impacts_of(target, interest, options.verb(interest.fixed))
    return draw_impacts(impacts_figure(target, found, options.top), path)


def draw_correlations(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Post-fit correlations; of large documents those of the parameters with the largest ones."""
    from histnu.plotting.statistics import draw_correlation
    from histnu.verbs.estimation import summary_of
    from histnu.verbs.figures import correlation_figure

    target, interest = options.load(_one(targets, "correlation"))
    summary, _ = summary_of(target, interest, options.verb(interest.fixed), profile=False)
    off = np.abs(np.array(summary.correlation) - np.eye(len(summary.names))).max(axis=0)
    chosen = np.sort(np.argsort(-off, kind="stable")[: max(options.top, 2)])
    names = [summary.names[i] for i in chosen]
    return draw_correlation(correlation_figure(target, summary, names), path)


def draw_scans(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Profiles of one parameter in every target."""
    from histnu.plotting.statistics import draw_scan
    from histnu.verbs.figures import scan_figure

    asked = [options.load(t) for t in targets]
    figure = scan_figure(asked, options.values, (options.cl, options.dof or 1), options.fit)
    limits = with_published(PlaneFigure("", figure.x, ()), options.overlay)
    if limits.regions:
        raise ConfigError("histnu plot scan: --overlay takes published limits that are one number")
    return draw_scan(replace(figure, marks=dict(limits.limits)), path)


def draw_nuisance_paths(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Nuisance parameters along a scan."""
    from histnu.plotting.statistics import draw_nuisances
    from histnu.verbs.figures import nuisances_figure

    target, interest = options.load(_one(targets, "nuisances"))
    level = (options.cl, options.dof or 1)
    top = min(options.top, 8)
    return draw_nuisances(
        nuisances_figure(target, interest, options.values, level, options.fit(interest), top), path
    )


def draw_significance(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Background-only toys."""
    from histnu.plotting.statistics import draw_toys
    from histnu.verbs.estimation import significance_of
    from histnu.verbs.figures import significance_figure

    target, interest = options.load(_one(targets, "toys"))
    found = significance_of(target, interest, options.verb(interest.fixed, "toys"))
    return draw_toys(significance_figure(target, *found), path)


def draw_goodness(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Toys of the goodness of fit."""
    from histnu.plotting.statistics import draw_toys
    from histnu.verbs.estimation import summary_of
    from histnu.verbs.figures import goodness_figure

    target, interest = options.load(_one(targets, "goodness"))
    found = summary_of(target, interest, options.verb(interest.fixed, "toys"), profile=False)
    return draw_toys(goodness_figure(target, *found), path)


def draw_regions(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Regions of two parameters, or of one against a held one, one per target."""
    from histnu.verbs.planes import Plane, plane_figure, plane_result, target_of_axes

    if options.x_name is None or options.y_name is None:
        raise ConfigError("histnu plot contour needs --x and --y: two parameters")
    x_range = None
    if options.low is not None or options.high is not None:
        x_range = options.range("--from and --to (the range of --x)")
    points = options.points or 41
    plane = Plane(options.x_name, options.y_name, x_range, options.y_range, points, refine=2)
    how = replace(options.verb({}), dof=options.dof or 2)
    texts = (target_of_axes(t, (plane.x,), options.settings, options.selection) for t in targets)
    found = [plane_result(t, plane, how, options.settings) for t in texts]
    return draw_plane(with_published(plane_figure(found), options.overlay), path)


def with_published(figure: PlaneFigure, overlays: Sequence[str]) -> PlaneFigure:
    """A figure with the published limits of ``NAME`` and ``LABEL=FILE.csv`` options over it.

    Raises:
        ConfigError: for an unknown name or a limit on another quantity. DataError: for a bad file.
    """
    from histnu.plotting.overlays import parse_overlays

    units = (unit_of(figure.x), unit_of(figure.y))
    found = [(o.label, o.is_number, o.columns(*units)) for o in parse_overlays(overlays)]
    curves = [Region(label, (xy,), published=True) for label, number, xy in found if not number]
    limits = tuple((label, float(y[0, 0])) for label, number, y in found if number)
    return replace(figure, regions=(*figure.regions, *curves), limits=limits)


@dataclass(frozen=True)
class HeldScan:
    """A target at any value of a held parameter, and what is asked of it."""

    text: str
    along: str
    options: PlotOptions

    def target(self, value: float) -> Target:
        """The target with the held parameter at a value."""
        settings = {**self.options.settings, self.along: value}
        return load_target(self.text, settings, self.options.selection)

    @property
    def label(self) -> str:
        """Title of the axis: the held parameter with its unit."""
        from histnu.analysis.hypothesis import signal_model
        from histnu.analysis.schema import load_analysis

        held = {h.name: h.unit for h in signal_model(load_analysis(self.text).model).held}
        return quantity(self.along, held.get(self.along, ""))

    def values(self) -> Array:
        """First values of the held parameter, evenly on a logarithmic axis."""
        low, high = self.options.range("--from and --to (the range of --along)")
        if low <= 0:
            raise ConfigError(f"--from {low:g}: a logarithmic axis starts above zero")
        return np.geomspace(low, high, self.options.points or 12)


def held_scan(text: str, options: PlotOptions, kind: str) -> HeldScan:
    """Prepare a scan of a held parameter; ConfigError without one."""
    if options.along is None:
        raise ConfigError(f"histnu plot {kind} needs --along: a held parameter (m4)")
    return HeldScan(text, options.along, options)


def left_out(curve: Callable[[float], Array], width: int, missing: list[float]) -> Any:
    """The curve with NaN, and the value noted, where a fit is refused."""

    def tried(value: float) -> Array:
        try:
            return curve(value)
        except FitError as error:
            log.warning("%g is left out: %s", value, error)
            missing.append(value)
            return np.full(width, np.nan)

    return tried


def missing_note(missing: list[float]) -> str:
    """What the figure says of values that were left out."""
    return f"; {len(missing)} values left out (no certified fit)" if missing else ""


def refined(values: Array, curve: Callable[[float], Array], rounds: int = 5) -> tuple[Array, Array]:
    """Evaluate a curve (..., one row per value) with more points where it bends or ends.

    The last column decides (:func:`histnu.analysis.mass_scan.values_to_add`); ``rounds`` at most.
    """
    rows = {float(v): np.atleast_1d(curve(float(v))) for v in values}
    for _ in range(rounds):
        order = sorted(rows)
        more = values_to_add(order, [rows[v][-1] for v in order])
        if not more:
            break
        rows |= {v: np.atleast_1d(curve(v)) for v in more}
    order = sorted(rows)
    return np.array(order), np.array([rows[v] for v in order])


def produced(interest: Any) -> bool:
    """Whether the parameter changes any expected count: a heavy state may be out of reach."""
    likelihood = interest.likelihood
    start = likelihood.init.copy()
    at = start.copy()
    at[likelihood.index(interest.parameter)] = 1.0
    start[likelihood.index(interest.parameter)] = 0.0
    return bool(np.any(likelihood.expected(at) != likelihood.expected(start)))


def observed_upper(interest: ParameterOfInterest, options: Options) -> float:
    """Upper end of the interval in the unit asked; NaN where it is open."""
    upper = interest.value(verbs.find_interval(interest, options).upper)
    return np.nan if upper is None else float(upper)


def draw_expected_band(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Expected and observed upper limits along a held parameter."""
    from histnu.plotting.statistics import BandFigure, draw_band
    from histnu.verbs.figures import header

    scan = held_scan(_one(targets, "band"), options, "band")

    def limits(value: float) -> Array:
        target = scan.target(value)
        interest = parameter_of_interest(target, options.poi)
        if not produced(interest):
            return np.full(6, np.nan)
        how = options.verb(interest.fixed)
        upper = [np.nan if u is None else u for u in verbs.expected_of(interest, False, how).upper]
        return np.array([*upper, observed_upper(interest, how)])

    missing: list[float] = []
    values, rows = refined(scan.values(), left_out(limits, 6, missing))
    target = scan.target(values[0])
    interest = parameter_of_interest(target, options.poi)
    title = f"{100 * options.cl:g} % CL upper limits"
    figure = BandFigure(
        scan.label, quantity(interest.name, interest.unit), values, rows[:, :5], rows[:, 5],
        (True, True), header(target, title, missing_note(missing).lstrip("; ")),
    )  # fmt: skip
    return draw_band(figure, path)


def draw_mass_plane(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Ends of a coupling against a held mass, one set of lines per target."""
    regions, marked, x, y = [], None, "", ""
    missing: list[float] = []
    for text in targets:
        scan = held_scan(text, options, "mass")
        sets: dict[float, list[dict[str, Any]]] = {}

        def upper(value: float, scan: HeldScan = scan, sets: dict[float, Any] = sets) -> Array:
            target = scan.target(value)
            interest = parameter_of_interest(target, options.poi)
            if not produced(interest):
                return np.array([np.nan])
            found = verbs.limit_of(target, interest, options.verb(interest.fixed))
            sets[value] = found.to_json()["intervals"]
            return np.array([np.nan if found.upper is None else found.upper])

        values, _ = refined(scan.values(), left_out(upper, 1, missing))
        allowed = [sets.get(v) for v in values.tolist()]
        target = scan.target(values[0])
        interest = parameter_of_interest(target, options.poi)
        x, y = scan.label, quantity(interest.name, interest.unit)
        star = "*" if target.provenance == "reconstructed" else ""
        marked = target.provenance if star else marked
        lines, ruled_out = end_lines(values, allowed), excluded(values, allowed)
        regions.append(Region(f"{text}{star}", lines, excluded=ruled_out))
    note = f"{100 * options.cl:g} % CL ({options.dof or 1} dof) at each {x}{missing_note(missing)}"
    figure = PlaneFigure(x, y, tuple(regions), (True, True), Header("", marked, note))
    return draw_plane(with_published(figure, options.overlay), path)


def draw_recoil_spectra(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Recoil spectra of the hypothesis of an analysis."""
    from histnu.plotting.spectra import draw_spectra
    from histnu.verbs.spectra import spectra_figure

    options.no_selection("spectra")
    reach = (options.low or 0.05, options.high or 5.0)
    held, _ = split(options.settings)
    return draw_spectra(spectra_figure(_one(targets, "spectra"), reach, held), path)


def draw_responses(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Responses of an analysis."""
    from histnu.plotting.spectra import draw_response
    from histnu.verbs.spectra import response_figure

    options.no_selection("response")
    return draw_response(response_figure(_one(targets, "response")), path)


DRAW: Mapping[str, Callable[[Targets, Path, PlotOptions], list[Path]]] = {
    "band": draw_expected_band,
    "contour": draw_regions,
    "correlation": draw_correlations,
    "fit": draw_fit,
    "goodness": draw_goodness,
    "impacts": draw_impact_ranking,
    "mass": draw_mass_plane,
    "nuisances": draw_nuisance_paths,
    "response": draw_responses,
    "scan": draw_scans,
    "spectra": draw_recoil_spectra,
    "toys": draw_significance,
}
