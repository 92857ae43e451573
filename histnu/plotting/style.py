"""One look for all figures: mplhep's style with sizes for papers, and saving as PNG and PDF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = {
    "font.size": 12.0,
    "axes.labelsize": 13.0,
    "axes.titlesize": 13.0,
    "xtick.labelsize": 11.0,
    "ytick.labelsize": 11.0,
    "legend.fontsize": 10.5,
    "lines.linewidth": 1.8,
    "figure.dpi": 150,
    "axes.linewidth": 1.0,
    "xtick.major.size": 6.0,
    "ytick.major.size": 6.0,
    "xtick.minor.size": 3.0,
    "ytick.minor.size": 3.0,
    "pdf.fonttype": 42,
}
PROVENANCE_MARK = {"published": "", "derived": "", "reconstructed": "*"}
PROVENANCE_NOTE = "* uses reconstructed (assumed) inputs"


@contextmanager
def figure_style() -> Iterator[Any]:
    """Give ``matplotlib.pyplot`` (Agg) with the project's style, and restore the style after."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    import matplotlib.pyplot as plt
    import mplhep

    with plt.style.context([mplhep.style.ROOT, SIZES]):
        yield plt


def provenance_note(figure: Figure, provenances: set[str]) -> None:
    """Write the meaning of the star below the panels where it is used.

    A legend without entries: constrained layout keeps room for it, so it covers no label.
    """
    if "reconstructed" in provenances:
        figure.legend(
            [],
            [],
            title=PROVENANCE_NOTE,
            loc="outside lower right",
            frameon=False,
            title_fontsize=8.5,
        )


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.pdf`` (whole or not at all) and close the figure."""
    import matplotlib.pyplot as plt

    from histnu.core.serialize import write_with

    paths = [stem.with_suffix(".png"), stem.with_suffix(".pdf")]
    for path in paths:
        metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
        write_with(path, lambda p, m=metadata: figure.savefig(p, metadata=m))  # type: ignore[misc]
    plt.close(figure)
    return paths


def threshold_line(axes: Axes, level: float, text: str, x: float = 0.985) -> None:
    """Horizontal line at a Delta chi^2; its confidence level ends at the axes fraction ``x``."""
    axes.axhline(level, color="0.45", linewidth=1.0, linestyle=":")
    axes.annotate(
        text,
        xy=(x, level),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=9.5,
        color="0.35",
    )
