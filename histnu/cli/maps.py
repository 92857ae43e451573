"""Maps of toys, for ``histnu toys`` and ``histnu coverage``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histnu.cli.answers import UNCERTIFIED
from histnu.cli.common import toy_progress
from histnu.cli.contour import checked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histnu.analysis.target import ParameterOfInterest, Target
    from histnu.inference.maps import MapOptions
    from histnu.verbs import Options
    from histnu.verbs.results import ToyMap


@dataclass(frozen=True)
class Asked:
    """What a map was asked for: target, held values, axes as (name, range, points)."""

    target: str
    settings: dict[str, float]
    axes: tuple[tuple[str, tuple[float, float] | None, int], ...]


@dataclass(frozen=True)
class Where:
    """Processes, Dask address, folder of chunks, and whether progress is shown."""

    jobs: int
    dask: str | None
    chunks: Path | None
    quiet: bool


def asked(
    target: str, settings: dict[str, float], names: tuple[str | None, str | None],
    ranges: tuple[tuple[float, float] | None, tuple[float, float] | None], points: int,
) -> Asked:  # fmt: skip
    """The axes that were given.

    Raises:
        ConfigError: ``--y`` without ``--x``.
    """
    from histnu.core.errors import ConfigError

    if names[0] is None:
        raise ConfigError("--y needs --x: a map has its first axis there")
    axes = tuple((n, r, points) for n, r in zip(names, ranges, strict=True) if n is not None)
    return Asked(target, settings, axes)


def run(question: Asked, options: Options, how: MapOptions, where: Where) -> ToyMap:
    """Compute a map with a progress bar."""
    from histnu.core.executor import executor
    from histnu.verbs.maps import Running, map_of, toy_map

    with (
        toy_progress(where.quiet) as progress,
        executor(where.jobs, where.dask) as processes,
    ):
        axes = values_of(question)
        prepared = map_of(question.target, axes, options, question.settings, processes)
        return toy_map(prepared, options, how, Running(processes, where.chunks, progress))


@contextmanager
def running(
    target: Target, interest: ParameterOfInterest, options: Options, where: Where
) -> Iterator[Options]:
    """Options whose toys are computed and kept where that was asked, with a progress bar."""
    from histnu.core.executor import executor
    from histnu.verbs.maps import Running, family_of

    options = replace(options, held=interest.fixed)
    with (
        toy_progress(where.quiet) as progress,
        executor(where.jobs, where.dask) as processes,
    ):
        family = family_of(target, interest, options.fit)
        runner = Running(processes, where.chunks, progress).runner(family)
        yield replace(options, run=runner)


def values_of(question: Asked) -> list[tuple[str, NDArray[np.float64]]]:
    """Values of the axes: of a held parameter and a coupling beside it by equal factors."""
    import numpy as np

    from histnu.analysis.hypothesis import signal_model
    from histnu.analysis.mass_scan import is_held
    from histnu.analysis.schema import load_analysis

    (x, x_range, points), *rest = question.axes
    if not is_held(question.target, x):
        return [(n, np.linspace(*_range(n, r), k)) for n, r, k in question.axes]
    model = signal_model(load_analysis(question.target).model)
    scan = next(h.scan for h in model.held if h.name == x)
    first = np.geomspace(*_range(x, x_range or (min(scan), max(scan)), positive=True), points)
    return [(x, first), *((n, _spaced(_range(n, r), k)) for n, r, k in rest)]


def _spaced(limits: tuple[float, float], points: int) -> NDArray[np.float64]:
    """Values of a coupling beside a mass: by equal factors where all are positive."""
    import numpy as np

    return np.geomspace(*limits, points) if limits[0] > 0 else np.linspace(*limits, points)


def _range(
    name: str, limits: tuple[float, float] | None, positive: bool = False
) -> tuple[float, float]:
    from histnu.core.errors import ConfigError

    if limits is None:
        raise ConfigError(f"{name}: give its range (--x-range, --y-range LOW HIGH)")
    if positive and not limits[0] > 0:
        raise ConfigError(f"{name}: its values must be positive, not {limits[0]:g}")
    return checked(f"range of {name}", limits)


def show(found: ToyMap, plot: Path | None, as_json: bool) -> None:
    """Print a map, and draw it."""
    from histnu.core.serialize import dumps

    if plot is not None:
        from histnu.plotting.maps import draw_map

        draw_map(found.to_json(), plot)
    if as_json:
        click.echo(dumps(found.to_json()), nl=False)
        return
    held = "".join(f", {k} = {v:g}" for k, v in found.held.items())
    drawn = sum(found.toys)
    undecided = sum(n > 0 and not d for n, d in zip(found.toys, found.decided, strict=True))
    warning = "" if found.certified else f" [{UNCERTIFIED}]"
    click.echo(
        f"# {' '.join(a.name for a in found.axes)}: {100 * found.cl:g} % CL{held}; {drawn} toys at "
        f"{len(found.toys)} points, seed {found.seed}; {undecided} points within three errors of "
        f"the contour{warning}"
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
    from histnu.verbs.results import region_text

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
