"""The kinds of ``histnu plot``: each computes what its figure shows and draws it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.errors import ConfigError, FitError
from histnu.inference.engine.fit import FitOptions
from histnu.inference.toys import ToyOptions
from histnu.plotting.canvas import Header, quantity
from histnu.targets import Question, Target, ask, load_target

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
Targets = tuple[str, ...]

_STEEP = 0.2  # change of the logarithm of a limit between neighbours


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
    settings: Mapping[str, float] = field(default_factory=dict)
    engine: str = "batched"
    allow_uncertified: bool = False

    def fit(self, question: Question) -> FitOptions:
        """How to fit a question: engine, held parameters."""
        return FitOptions(
            engine=self.engine, fixed=question.fixed, allow_uncertified=self.allow_uncertified
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

    def toys(self, question: Question) -> ToyOptions:
        """Number, seed and fits of toys."""
        return ToyOptions(n_toys=self.n_toys, seed=self.seed, fit=self.fit(question))


def _one(targets: Targets, kind: str) -> str:
    if len(targets) != 1:
        raise ConfigError(f"histnu plot {kind} takes one TARGET, not {len(targets)}")
    return targets[0]


def draw_fit(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Data against prediction, with the signal at its limit where there is an upper one."""
    from histnu.axes import channel_axes
    from histnu.figures import prediction_figure
    from histnu.inference.limits import IntervalOptions, interval
    from histnu.inference.summary import SummaryOptions, summarise
    from histnu.plotting.prediction import draw_prediction

    name = _one(targets, "fit")
    target = load_target(name, options.settings)
    question = ask(target, options.poi)
    fit = options.fit(question)
    summary = summarise(question.likelihood, None, SummaryOptions(fit, profile=False))
    found = interval(
        question.likelihood, None, question.parameter, options.cl, 1, IntervalOptions(fit=fit)
    )
    limit = None if found.upper is None or found.lower is not None else (found.upper, options.cl)
    figure = prediction_figure(target, question, summary, channel_axes(name), limit)
    return draw_prediction(figure, path)


def draw_impact_ranking(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Pulls and impacts."""
    from histnu.figures import impacts_figure
    from histnu.inference.impacts import impacts
    from histnu.plotting.statistics import draw_impacts

    target = load_target(_one(targets, "impacts"), options.settings)
    question = ask(target, options.poi)
    fit = options.fit(question)
    found = impacts(question.likelihood, None, question.parameter, fit)
    return draw_impacts(impacts_figure(target, question, found, options.top), path)


def draw_correlations(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Post-fit correlations; of large documents those of the parameters with the largest ones."""
    from histnu.figures import correlation_figure
    from histnu.inference.summary import SummaryOptions, summarise
    from histnu.plotting.statistics import draw_correlation

    target = load_target(_one(targets, "correlation"), options.settings)
    question = ask(target, options.poi)
    fit = options.fit(question)
    summary = summarise(question.likelihood, None, SummaryOptions(fit, profile=False))
    off = np.abs(summary.correlation - np.eye(len(summary.names))).max(axis=0)
    chosen = np.sort(np.argsort(-off, kind="stable")[: max(options.top, 2)])
    names = [summary.names[i] for i in chosen]
    return draw_correlation(correlation_figure(target, summary, names), path)


def draw_scans(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Profiles of one parameter in every target."""
    from histnu.figures import scan_figure
    from histnu.plotting.statistics import draw_scan

    loaded = [load_target(t, options.settings) for t in targets]
    asked = [(t, ask(t, options.poi)) for t in loaded]
    level = (options.cl, options.dof or 1)
    return draw_scan(scan_figure(asked, options.values, level, options.fit), path)


def draw_nuisance_paths(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Nuisance parameters along a scan."""
    from histnu.figures import nuisances_figure
    from histnu.plotting.statistics import draw_nuisances

    target = load_target(_one(targets, "nuisances"), options.settings)
    question = ask(target, options.poi)
    level = (options.cl, options.dof or 1)
    top = min(options.top, 8)
    return draw_nuisances(
        nuisances_figure(target, question, options.values, level, options.fit(question), top), path
    )


def draw_significance(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Background-only toys."""
    from histnu.figures import significance_figure
    from histnu.inference.significance import SignificanceOptions, significance
    from histnu.plotting.statistics import draw_toys

    target = load_target(_one(targets, "toys"), options.settings)
    question = ask(target, options.poi)
    settings = SignificanceOptions(toys=options.toys(question), fit=options.fit(question))
    found = significance(question.likelihood, None, question.parameter, settings)
    return draw_toys(significance_figure(target, found), path)


def draw_goodness(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Toys of the goodness of fit."""
    from histnu.figures import goodness_figure
    from histnu.inference.summary import SummaryOptions, summarise
    from histnu.plotting.statistics import draw_toys

    target = load_target(_one(targets, "goodness"), options.settings)
    question = ask(target, options.poi)
    settings = SummaryOptions(options.fit(question), False, options.toys(question))
    summary = summarise(question.likelihood, None, settings)
    return draw_toys(goodness_figure(target, summary), path)


def draw_regions(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Regions of two parameters, one per target."""
    from histnu.figures import header
    from histnu.inference.contours import RegionOptions, region
    from histnu.plotting.planes import PlaneFigure, Region, draw_plane

    if options.x_name is None or options.y_name is None:
        raise ConfigError("histnu plot contour needs --x and --y: two parameters")
    names = (options.x_name, options.y_name)
    low, high = options.range("--from and --to (the range of --x)")
    y_low, y_high = options.y_range or (low, high)
    points = options.points or 41
    grid = (np.linspace(low, high, points), np.linspace(y_low, y_high, points))
    cl, dof = options.cl, options.dof or 2
    regions, marked, units = [], None, ("", "")
    for text in targets:
        target = load_target(text, options.settings)
        question = ask(target, names[0], names[1:])
        if question.squared:
            raise ConfigError(f"{names[0]} enters squared; give its strength {question.parameter}")
        settings = RegionOptions(cl, dof, fit=options.fit(question))
        found = region(question.likelihood, None, names, grid, settings)
        best = (found.best_fit.parameters[names[0]], found.best_fit.parameters[names[1]])
        star = "*" if target.provenance == "reconstructed" else ""
        regions.append(Region(header(target).title + star, found.contours, best))
        marked = target.provenance if star else marked
        units = (target.units.get(names[0], ""), target.units.get(names[1], ""))
    regions += published(options.overlay)
    note = f"{100 * cl:g} % CL ({dof} dof), all other parameters profiled"
    x, y = (quantity(n, u) for n, u in zip(names, units, strict=True))
    return draw_plane(PlaneFigure(x, y, tuple(regions), header=Header("", marked, note)), path)


def published(overlays: tuple[str, ...]) -> list[Any]:
    """Curves of ``NAME=FILE.csv`` options: the first two columns of each file.

    Raises:
        ConfigError: for an option of another form, or a file with fewer than two columns.
    """
    from histnu.plotting.planes import Region
    from histnu.tables import read_csv

    found = []
    for option in overlays:
        name, separator, file = option.partition("=")
        if not (separator and name and file):
            raise ConfigError(f"--overlay {option!r} must be of the form NAME=FILE.csv")
        columns = list(read_csv(file).values())
        if len(columns) < 2:
            raise ConfigError(f"{file}: a curve needs two columns, x and y")
        found.append(Region(name, (np.column_stack(columns[:2]),), published=True))
    return found


@dataclass(frozen=True)
class HeldScan:
    """A target at any value of a held parameter, and what is asked of it."""

    text: str
    along: str
    options: PlotOptions

    def target(self, value: float) -> Target:
        """The target with the held parameter at a value."""
        return load_target(self.text, {**self.options.settings, self.along: value})

    @property
    def label(self) -> str:
        """Title of the axis: the held parameter with its unit."""
        from histnu.analyses import load_analysis, signal_model

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

    Between two values of which one is open, or whose last columns differ by more than a fifth, the
    geometric mean is added, ``rounds`` times at most.
    """
    rows = {float(v): np.atleast_1d(curve(float(v))) for v in values}
    for _ in range(rounds):
        order = sorted(rows)
        more = []
        for a, b in pairwise(order):
            y, z = rows[a][-1], rows[b][-1]
            open_ends = np.isnan(y) + np.isnan(z)
            steep = not open_ends and abs(np.log(z / y)) > _STEEP
            if open_ends == 1 or steep:
                more.append(float(np.sqrt(a * b)))
        if not more:
            break
        rows |= {v: np.atleast_1d(curve(v)) for v in more}
    order = sorted(rows)
    return np.array(order), np.array([rows[v] for v in order])


def produced(question: Any) -> bool:
    """Whether the parameter changes any expected count: a heavy state may be out of reach."""
    likelihood = question.likelihood
    start = likelihood.init.copy()
    at = start.copy()
    at[likelihood.index(question.parameter)] = 1.0
    start[likelihood.index(question.parameter)] = 0.0
    return bool(np.any(likelihood.expected(at) != likelihood.expected(start)))


def observed_upper(question: Any, options: PlotOptions) -> float:
    """Upper end of the interval in the unit asked; NaN where it is open."""
    from histnu.inference.limits import IntervalOptions, interval

    found = interval(
        question.likelihood, None, question.parameter, options.cl, options.dof or 1,
        IntervalOptions(fit=options.fit(question)),
    )  # fmt: skip
    upper = question.value(found.upper)
    return np.nan if upper is None else float(upper)


def draw_expected_band(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Expected and observed upper limits along a held parameter."""
    from histnu.figures import header
    from histnu.inference.expected import ExpectedOptions, expected_limit
    from histnu.plotting.statistics import BandFigure, draw_band

    scan = held_scan(_one(targets, "band"), options, "band")

    def limits(value: float) -> Array:
        question = ask(scan.target(value), options.poi)
        if not produced(question):
            return np.full(6, np.nan)
        fit = options.fit(question)
        settings = ExpectedOptions("profile", options.cl, options.dof or 1, fit=fit)
        bands = expected_limit(question.likelihood, None, question.parameter, settings)
        upper = [np.nan if u is None else question.value(u) for u in bands.upper]
        return np.array([*upper, observed_upper(question, options)])

    missing: list[float] = []
    values, rows = refined(scan.values(), left_out(limits, 6, missing))
    target = scan.target(values[0])
    question = ask(target, options.poi)
    title = f"{100 * options.cl:g} % CL upper limits"
    figure = BandFigure(
        scan.label, quantity(question.asked, question.unit), values, rows[:, :5], rows[:, 5],
        (True, True), header(target, title, missing_note(missing).lstrip("; ")),
    )  # fmt: skip
    return draw_band(figure, path)


def draw_mass_plane(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Upper ends of a coupling against a held mass, one curve per target."""
    from histnu.plotting.planes import PlaneFigure, Region, draw_plane

    regions, marked, x, y = [], None, "", ""
    missing: list[float] = []
    for text in targets:
        scan = held_scan(text, options, "mass")

        def upper(value: float, scan: HeldScan = scan) -> Array:
            question = ask(scan.target(value), options.poi)
            end = observed_upper(question, options) if produced(question) else np.nan
            return np.array([end])

        values, ends = refined(scan.values(), left_out(upper, 1, missing))
        target = scan.target(values[0])
        question = ask(target, options.poi)
        x, y = scan.label, quantity(question.asked, question.unit)
        star = "*" if target.provenance == "reconstructed" else ""
        marked = target.provenance if star else marked
        line = np.column_stack([values, ends[:, 0]])
        regions.append(Region(f"{text}{star}", (line,), excluded_above=True))
    note = f"{100 * options.cl:g} % CL ({options.dof or 1} dof) at each {x}{missing_note(missing)}"
    figure = PlaneFigure(x, y, (*regions, *published(options.overlay)), (True, True),
                         Header("", marked, note))  # fmt: skip
    return draw_plane(figure, path)


def draw_recoil_spectra(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Recoil spectra of the hypothesis of an analysis."""
    from histnu.plotting.spectra import draw_spectra
    from histnu.spectra import spectra_figure

    reach = (options.low or 0.05, options.high or 5.0)
    return draw_spectra(spectra_figure(_one(targets, "spectra"), reach, options.settings), path)


def draw_responses(targets: Targets, path: Path, options: PlotOptions) -> list[Path]:
    """Responses of an analysis."""
    from histnu.plotting.spectra import draw_response
    from histnu.spectra import response_figure

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
