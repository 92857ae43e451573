"""Pages that the build writes from the package itself: data sets, models, analyses, lessons.

They go to ``docs/_generated`` (not kept in git), so that no page can fall behind the code.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parents[1]
GENERATED = HERE / "_generated"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join(lines)


def dataset_page(name: str) -> str:
    """One page of a data set: what it is, every number's origin, the figure of its data."""
    from histnu.experiments.loader import load_experiment

    experiment = load_experiment(name)
    parts = [f"# {name}", "", f"{experiment.title}.", ""]
    facts = [["provenance", f"`{experiment.provenance}`"]]
    facts += [["references", "; ".join(experiment.references)]]
    parts += [table(["", ""], facts), ""]
    for assumption in experiment.assumptions:
        parts.append(f"- assumed: {assumption}")
    for channel in experiment.channels:
        parts += ["", f"## Channel `{channel.name}`", ""]
        counts = f"{channel.observed.sum():g} events observed in {channel.n_bins} bins"
        parts += [f"{counts}, {channel.exposure_tonne_year:g} t yr.", ""]
        axes = ", ".join(f"{a.title} [{a.unit}]" for a in channel.observable.axes)
        parts += [f"{channel.recoil} recoils on {channel.target}, binned in {axes}.", ""]
        rows = [
            [b.name, f"{b.expected.sum():.4g}", f"`{b.origin.provenance}`", b.origin.source]
            for b in channel.backgrounds
        ]
        parts += [table(["background", "events", "provenance", "source"], rows), ""]
        rows = [[k, f"`{o.provenance}`", o.source] for k, o in channel.origins.items()]
        parts += [table(["number", "provenance", "source"], rows), ""]
    return "\n".join(parts) + "\n"


def write(path: Path, text: str) -> None:
    """Write a page only if it changed, so that the build stays incremental."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def data_sets() -> list[str]:
    """Names of the data sets that ship with the package."""
    from histnu.experiments.loader import available

    return sorted(available())


def generate(app: Sphinx) -> None:
    """Write all generated pages."""
    for name in data_sets():
        write(GENERATED / "data" / f"{name}.md", dataset_page(name))
    lessons = GENERATED / "lessons"
    lessons.mkdir(parents=True, exist_ok=True)
    for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        copy = lessons / notebook.name
        if not copy.exists() or copy.read_bytes() != notebook.read_bytes():
            shutil.copyfile(notebook, copy)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the generator."""
    app.connect("builder-inited", generate)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
