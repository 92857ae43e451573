"""What ``histnu toys`` and ``histnu coverage`` share: their options, maps, text and figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.common import chunks_option, cl_option, dask_option, jobs_option, seed_option
from histnu.cli.given import UNCERTIFIED, Given, plot_option, poi_option, say_written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histnu.analysis.target import ParameterOfInterest, Target
    from histnu.inference.maps import MapOptions
    from histnu.verbs import Options
    from histnu.verbs.results import ToyMap

Range = tuple[float, float]


@dataclass(frozen=True)
class Asked:
    """What is asked of toys, and where they are computed and kept.

    Attributes:
        poi: of one question. n_toys, cl, seed: of the toys.
        x, y, x_range, y_range, points, dof, precision: of a map; no map without an axis.
        plot: file of the figure. jobs, dask, chunks: processes, scheduler, folder of chunks.
    """

    poi: str | None
    n_toys: int
    cl: float
    seed: int
    x: str | None
    y: str | None
    x_range: Range | None
    y_range: Range | None
    points: int
    dof: int | None
    precision: float | None
    plot: Path | None
    jobs: int
    dask: str | None
    chunks: Path | None

    @property
    def places(self) -> Places:
        """Where toys are computed and kept."""
        return Places(self.jobs, self.dask, self.chunks)

    @property
    def is_map(self) -> bool:
        """Whether an axis was given.

        Raises:
            ConfigError: ``--y`` or ``--plot`` without ``--x``.
        """
        from histnu.core.errors import ConfigError

        if self.x is None and (self.y is not None or self.plot is not None):
            raise ConfigError("a map has its first axis in --x")
        return self.x is not None

    def axes(self, given: Given, options: Options) -> list[tuple[str, NDArray[np.float64]]]:
        """Values of the axes: of a held parameter and a coupling beside it by equal factors."""
        import numpy as np

        from histnu.analysis.hypothesis import signal_model
        from histnu.analysis.schema import load_analysis
        from histnu.core.errors import ConfigError
        from histnu.verbs.planes import default_range, is_held

        asked = ((self.x, self.x_range), (self.y, self.y_range))
        held = self.x is not None and is_held(given.target, self.x)
        found = []
        for name, limits in ((n, r) for n, r in asked if n is not None):
            if limits is None and held and name == self.x:
                model = signal_model(load_analysis(given.target).model)
                scan = next(h.scan for h in model.held if h.name == name)
                limits = min(scan), max(scan)
            elif limits is None and held:
                raise ConfigError(f"{name}: give its range (--y-range LOW HIGH)")
            elif limits is None:
                loaded, interest = given.load(name)
                ends = default_range(interest, replace(options, held=loaded.fixed))
                limits = interest.value(ends[0]) or 0.0, interest.value(ends[1]) or 0.0
            if not limits[0] < limits[1]:
                raise ConfigError(f"range of {name}, {limits[0]:g} {limits[1]:g}: is empty")
            if held and name == self.x and not limits[0] > 0:
                raise ConfigError(f"{name} from {limits[0]:g}: values must be positive")
            space = np.geomspace if held and limits[0] > 0 else np.linspace
            found.append((name, np.asarray(space(*limits, self.points))))
        return found

    def options(self, given: Given, **more: Any) -> Options:
        """Options of the toys."""
        from histnu.verbs import Options

        return Options(
            cl=self.cl, engine=given.engine, n_toys=self.n_toys, seed=self.seed,
            allow_uncertified=given.allow_uncertified, **more,
        )  # fmt: skip

    def show_map(self, given: Given, options: Options, how: MapOptions) -> None:
        """Compute the map with a progress bar, print it, and draw it."""
        from histnu.core.executor import executor
        from histnu.verbs.maps import Running, map_of, toy_map

        how = replace(how, precision=self.precision)
        options = replace(options, dof=self.dof or (1 if self.y is None else 2))
        axes = self.axes(given, options)
        with given.toys(options) as shown, executor(self.jobs, self.dask) as processes:
            target = given.on_axes(self.x, self.y)
            question = map_of(target, axes, options, given.settings, processes)
            running = Running(processes, self.chunks, shown.progress or Running().progress)
            found = toy_map(question, options, how, running)
        show(given, found, self.plot)

    @contextmanager
    def question(
        self, given: Given, **more: Any
    ) -> Iterator[tuple[Target, ParameterOfInterest, Options]]:
        """Target, parameter and options of one question.

        Its toys are computed and kept where that was asked.
        """
        target, interest = given.load(self.poi)
        options = replace(self.options(given, **more), held=interest.fixed, at=interest.at)
        with computed((target, interest), options, given, self.places) as shown:
            yield target, interest, shown


@dataclass(frozen=True)
class Places:
    """Where toys are computed and kept: processes, scheduler, folder of chunks."""

    jobs: int
    dask: str | None
    chunks: Path | None


@contextmanager
def computed(
    asked: tuple[Target, ParameterOfInterest], options: Options, given: Given, places: Places
) -> Iterator[Options]:
    """The options of one question with its toys computed and kept in their places."""
    from histnu.core.executor import executor
    from histnu.inference.chunks import Family
    from histnu.verbs.maps import Running

    (target, interest), fit = asked, options.fit
    with given.toys(options) as shown, executor(places.jobs, places.dask) as processes:
        running = Running(processes, places.chunks, shown.progress or Running().progress)
        family = Family.of(target.document, interest.likelihood, interest.measurement, fit)
        yield replace(shown, run=running.runner(family))


def toy_options(n_toys: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of :class:`Asked`, which it takes as one argument.

    Args:
        n_toys: default number of toys.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def command(*args: Any, **options: Any) -> None:
            shared = {f.name: options.pop(f.name) for f in fields(Asked)}
            function(*args, asked=Asked(**shared), **options)

        for option in reversed((*made, cl_option, seed_option)):
            command = option(command)
        return command

    number = types.ANY_NUMBER
    made = (
        poi_option,
        click.option("--x", default=None, help="Map: parameter on the x axis, or a held one (m4)."),
        click.option("--x-range", nargs=2, type=number, default=None, help="Default: as contour."),
        click.option("--y", default=None, help="Map: parameter on the y axis."),
        click.option("--y-range", nargs=2, type=number, default=None, help="Default: as contour."),
        click.option("--points", type=types.Integer(2, 1001), default=21, show_default=True,
                     help="Per axis of a map."),
        click.option("--dof", type=types.DEGREES, default=None,
                     help="Of the asymptotic threshold of a map. Default: the number of axes."),
        click.option("--precision", type=types.Number(1e-5, 0.5), default=None,
                     help="Error of a p-value near the contour at which no more toys are drawn."),
        plot_option, jobs_option, dask_option, chunks_option,
        click.option("--n-toys", type=types.TOYS, default=n_toys, show_default=True),
    )  # fmt: skip
    return decorate


def show(given: Given, found: ToyMap, plot: Path | None) -> None:
    """Print a map, and draw it."""
    from histnu.core.serialize import dumps

    if plot is not None:
        from histnu.plotting.maps import draw_map

        say_written(draw_map(found.to_json(), plot))
    if given.as_json:
        click.echo(dumps(found.to_json()), nl=False)
        return
    held = "".join(f", {part}" for part in given.parts(found))
    undecided = sum(n > 0 and not d for n, d in zip(found.toys, found.decided, strict=True))
    warning = "" if found.certified else f" [{UNCERTIFIED}]"
    click.echo(
        f"# {' '.join(a.name for a in found.axes)}: {100 * found.cl:g} % CL{held}; "
        f"{sum(found.toys)} toys at {len(found.toys)} points, seed {found.seed}; {undecided} "
        f"points within three errors of the contour{warning}"
    )
    if len(found.axes) == 1:
        _show_table(found)
        return
    for title, lines in (
        ("Feldman-Cousins", found.polylines),
        (f"asymptotic, {found.dof} dof", found.asymptotic_polylines),
    ):
        click.echo(f"# {title}: {len(lines)} polylines")
        for line in lines:
            click.echo("\n".join(f"{x:.6g} {y:.6g}" for x, y in line))
            click.echo()


def _show_table(found: ToyMap) -> None:
    from histnu.verbs.envelope import region_text

    unit = found.axes[0].unit
    click.echo(f"# Feldman-Cousins: {region_text(found.intervals, unit)}")
    click.echo(f"# asymptotic: {region_text(found.asymptotic_intervals, unit)}")
    click.echo("# value delta critical error p_value error coverage error toys")
    columns = (
        found.delta_twice_nll, found.critical, found.critical_error, found.p_value, found.error,
        found.coverage, found.coverage_error, found.toys,
    )  # fmt: skip
    for value, *row in zip(found.axes[0].values, *columns, strict=True):
        cells = ("-" if x is None else f"{x:.4g}" if isinstance(x, float) else str(x) for x in row)
        click.echo(f"{value:.6g} {' '.join(cells)}")
