"""What every figure shares: colours, marks of provenance, axis titles, files with their numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import ConfigError, located
from histnu.core.serialize import write_text, write_with
from histnu.plotting.style import PROVENANCE_NOTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Column = Sequence[Any] | NDArray[Any]
"""One column of the table beside a figure."""
COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Ten colours that stay apart for the colour-blind and in grey: M. A. Petroff, arXiv:2107.02270."""
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2)))
"""Line styles beside the colours, so that no curve is told apart by colour alone."""
BANDS = ("#ffdf7f", "#85d5f8")
"""Fill of the two and one standard deviation bands: apart in lightness, not only in hue."""
FORMATS = (".png", ".pdf", ".svg")
METADATA: Mapping[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}


@dataclass(frozen=True)
class Header:
    """What a figure says of itself.

    Attributes:
        title: what was asked of what. provenance: weakest of any input, or None.
        note: one line below the panels (assumptions, scaled signals).
    """

    title: str = ""
    provenance: str | None = None
    note: str = ""

    @property
    def footer(self) -> str:
        """The note, and that reconstructed inputs were used where they were."""
        marks = [self.note] if self.note else []
        if self.provenance == "reconstructed":
            marks.append(PROVENANCE_NOTE)
        return "; ".join(marks)


def quantity(name: str, unit: str = "") -> str:
    """Axis title of a quantity: ``name [unit]``.

    >>> quantity("mu_e", "1e-9 mu_B"), quantity("b8_strength")
    ('mu_e [1e-9 mu_B]', 'b8_strength')
    """
    return f"{name} [{unit}]" if unit else name


def unit_of(title: str) -> str:
    """The unit in an axis title of :func:`quantity`; ``1`` where there is none.

    >>> unit_of("mu_e [1e-9 mu_B]"), unit_of("b8_strength")
    ('1e-9 mu_B', '1')
    """
    return title.rpartition("[")[2].rstrip("]") if title.endswith("]") else "1"


def typeset(title: str) -> str:
    """An axis title with its unit as physicists write it.

    >>> typeset("recoil energy [keV]")
    'recoil energy [keV]'
    >>> print(typeset("mu_e [1e-9 mu_B]"), typeset("r2_ee [1e-32 cm^2]"))
    mu_e [$10^{-9}\\,\\mu_B$] r2_ee [$10^{-32}\\,\\mathrm{cm}^2$]
    """
    unit = unit_of(title)
    found = re.fullmatch(r"(\(?)1e([-+]?\d+)(?: (\w+)(?:\^(\d+))?)?(\)\^2)?", unit)
    if found is None:
        return title
    opened, power, base, square, closed = found.groups()
    word = {None: "", "mu_B": r"\,\mu_B", "e": r"\,e"}.get(base, rf"\,\mathrm{{{base}}}")
    text = f"10^{{{int(power)}}}{word}" + (f"^{square}" if square else "")
    return title.removesuffix(f"[{unit}]") + f"[${opened and '('}{text}{closed or ''}$]"


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Titles in the middle of both axes."""
    axes.set_xlabel(typeset(x), loc="center")
    axes.set_ylabel(typeset(y), loc="center")


_SHORT = 1.5  # decades: a logarithmic axis that spans less has its ticks written as plain numbers


def plain_ticks(axes: Axes) -> None:
    """Plain numbers on a logarithmic x axis that spans little more than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    if axes.get_xscale() != "log" or not high < low * 10**_SHORT:
        return
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def finish(figure: Figure, axes: Axes, header: Header) -> None:
    """Write title and footer; the footer keeps a line of its own below all labels."""
    if header.title:
        star = "*" if header.provenance == "reconstructed" else ""
        axes.set_title(f"{header.title}{star}", fontsize=11, loc="left")
    if header.footer:
        figure.legend(
            [], [], title=header.footer, loc="outside lower right", frameon=False,
            title_fontsize=8.5, borderpad=0.0,
        )  # fmt: skip


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """Columns by name of rows of cells, for the table beside a figure.

    >>> columns_of(("x", "y"), [(1, 2), (3, 4)]), columns_of(("x",), [])
    ({'x': [1, 3], 'y': [2, 4]}, {'x': []})
    """
    cells = list(rows)
    return {name: [row[k] for row in cells] for k, name in enumerate(names)}


def targets_of(path: Path) -> list[Path]:
    """The files a figure is written to: one for a path with a suffix, else PNG, PDF and SVG.

    Raises:
        ConfigError: for a suffix that is no format.
    """
    if not path.suffix:
        return [path.with_suffix(s) for s in FORMATS]
    if path.suffix not in FORMATS:
        mend = f"use one of {', '.join(FORMATS)}, or none for all of them"
        raise ConfigError(located(path, "--plot", f"unknown format {path.suffix!r}", mend))
    return [path]


def table_text(columns: Mapping[str, Column]) -> str:
    """Columns as CSV, numbers with 10 digits; shorter columns end in empty cells.

    >>> table_text({"x": [1.0, 2.0], "name": ["a"]})
    'x,name\\n1,a\\n2,\\n'
    """

    def cell(values: Column, k: int) -> str:
        if k >= len(values) or values[k] is None:
            return ""
        value = values[k]
        if isinstance(value, (float, np.floating)):
            return "" if np.isnan(value) else f"{value:.10g}"
        return str(value)

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    length = max((len(v) for v in columns.values()), default=0)
    for k in range(length):
        writer.writerow([cell(v, k) for v in columns.values()])
    return stream.getvalue()


def write_figure(figure: Figure, columns: Mapping[str, Column], path: Path) -> list[Path]:
    """Write a figure, and its numbers as CSV beside it; whole or not at all.

    Args:
        figure: closed afterwards. columns: what is drawn. path: see :func:`targets_of`.

    Returns:
        The files written.
    """
    import matplotlib.pyplot as plt

    files = targets_of(path)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)  # found once, for all files
    figure.set_layout_engine(None)  # any other, "none" too, makes savefig draw twice
    for file in files:
        metadata = METADATA[file.suffix]
        write_with(file, lambda p, m=metadata: figure.savefig(p, metadata=m))  # type: ignore[misc]
    plt.close(figure)
    table = path.with_suffix(".csv")
    write_text(table, table_text(columns))
    return [*files, table]
