"""Pages that the build writes from the package itself: data sets, the gallery, lessons.

They go to ``docs/_generated`` (not kept in git), so that no page can fall behind the code.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import browser_needs
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parents[1]
GENERATED = HERE / "_generated"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join(lines)


def channel_part(name: str, channel: Any) -> list[str]:
    """What is known of a channel: counts, figures, every number's origin."""
    counts = f"{channel.observed.sum():g} events observed in {channel.n_bins} bins"
    axes = ", ".join(f"{a.title} [{a.unit}]" for a in channel.observable.axes)
    stem = f"{name}_{channel.name}"
    seen = f"Probability that a recoil in {channel.name} is found, against its energy"
    expected = f"Events of {channel.name} over the backgrounds before any fit"
    parts = ["", f"## Channel `{channel.name}`", ""]
    parts += [f"{channel.title}: {counts}, {channel.exposure_tonne_year:g} t yr.", ""]
    parts += [f"{channel.recoil} recoils on {channel.target}, binned in {axes}.", ""]
    parts += [f"![{expected}](figures/{stem}_counts.png)", "", f"*{expected}.*", ""]
    parts += [f"![{seen}](figures/{stem}_response.png)", "", f"*{seen}.*", ""]
    rows = [
        [b.title, f"{b.expected.sum():.4g}", f"`{b.origin.provenance}`", b.origin.source]
        for b in channel.backgrounds
    ]
    parts += [table(["background", "events", "provenance", "source"], rows), ""]
    rows = [
        [
            f"`{u.name}`",
            what,
            f"{100 * u.relative:.3g} %",
            f"`{u.origin.provenance}`",
            u.origin.source,
        ]
        for what, rates in [("signal", channel.signal_rates)]
        + [(b.title, b.rates) for b in channel.backgrounds]
        for u in rates
    ]
    if rows:
        parts += [table(["nuisance", "scales", "size", "provenance", "source"], rows), ""]
    rows = [[k, f"`{o.provenance}`", o.source] for k, o in channel.origins.items()]
    return [*parts, table(["number", "provenance", "source"], rows), ""]


def dataset_page(name: str) -> str:
    """One page of a data set: what it is, every number's origin, figures of its data."""
    from histnu.experiments.loader import load_experiment

    experiment = load_experiment(name)
    parts = [f"# {name}", "", f"{experiment.title}.", ""]
    facts = [["provenance", f"`{experiment.provenance}`"]]
    facts += [["references", "; ".join(experiment.references)]]
    facts += [["used by", f"{len(users(name))} analyses: {', '.join(users(name))}"]]
    parts += [table(["data set", f"`{name}`"], facts), ""]
    for assumption in experiment.assumptions:
        parts.append(f"- assumed: {assumption}")
    for channel in experiment.channels:
        parts += channel_part(name, channel)
    return "\n".join(parts) + "\n"


def users(name: str) -> list[str]:
    """Analyses of the package that use a data set."""
    from histnu.analysis.schema import builtin

    return [f"`{a.name}`" for a in builtin().values() if name in a.experiments]


def dataset_figures(name: str) -> None:
    """Draw the figures of a data set, one pair for each channel."""
    from dataset_figures import draw_counts, draw_seen

    from histnu.experiments.loader import load_experiment

    folder = GENERATED / "data" / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for channel in load_experiment(name).channels:
        draw_counts(channel, folder / f"{name}_{channel.name}_counts.png")
        draw_seen(channel, folder / f"{name}_{channel.name}_response.png")


def gallery_page() -> str:
    """One figure for each kind of ``histnu plot``, with the command that draws it.

    Raises:
        KeyError: for a kind without an entry in gallery.yaml, or an entry of no kind.
    """
    import yaml

    from histnu.cli.plot import KINDS

    entries = yaml.safe_load((HERE / "gallery.yaml").read_text())
    if set(entries) != set(KINDS):
        raise KeyError(f"gallery.yaml and the kinds of histnu plot: {set(entries) ^ set(KINDS)}")
    parts = [GALLERY_HEAD]
    for kind, entry in entries.items():
        figure = f"/_generated/run/_generated/gallery/{kind}"
        parts += [f"## {kind}", "", f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}.", ""]
        parts += [f"```{{run}}\n$ {entry['command']}\n```", ""]
        parts += [f"![{KINDS[kind]}]({figure}.png)", "", entry["text"], ""]
        parts += [f"Its numbers: {{download}}`{kind}.csv <{figure}.csv>`.", ""]
    return "\n".join(parts)


GALLERY_HEAD = """# Gallery

Every kind of figure that `histnu plot KIND TARGET` draws, with the command that made it; the
build of this site ran it. `-o name` without a suffix writes PNG, PDF and SVG; the numbers are
always beside the figure as CSV. A star marks results with reconstructed inputs. `limit`, `fit`,
`scan` and others take `--plot` and draw what they compute.
"""


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
        dataset_figures(name)
    write(GENERATED / "gallery.md", gallery_page())
    write(GENERATED / "browser_needs.md", browser_needs.table())
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
