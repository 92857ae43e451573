"""``histnu list``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from histnu.cli.common import console

if TYPE_CHECKING:
    from histnu.analysis.schema import Needs

Rows = list[dict[str, Any]]


def models() -> Rows:
    """Hypotheses with their parameters."""
    from histnu.analysis.hypothesis import load_model, model_names

    return [
        {
            "name": m.name,
            "parameters": [f"{p.name} [{p.unit}]" for p in m.parameters],
            "held": [f"{h.name} [{h.unit}]" for h in m.held],
            "recoil": list(m.processes),
            "reference": m.reference,
        }
        for m in map(load_model, model_names())
    ]


def experiments() -> Rows:
    """Experiments with the weakest provenance of their inputs."""
    from histnu.experiments.builders import built_names
    from histnu.experiments.loader import available, load_experiment

    return [
        {"name": e.name, "title": e.title, "provenance": e.provenance, "recoil": e.recoil}
        for e in map(load_experiment, available())
    ] + [_built_row(n) for n in built_names()]


def analyses() -> Rows:
    """Analyses with what they need."""
    from histnu.analysis.schema import builtin, needs

    return [
        {"name": a.name, "title": a.title, "needs": _needed(needs(a))} for a in builtin().values()
    ]


def _needed(needs: Needs) -> list[str]:
    """What an analysis needs: commands for what is missing, else names."""
    rows = [f"histnu fetch {r}" if r in needs.missing else r for r in needs.releases]
    return rows + [f"histnu[{e}]" for e in needs.extras]


def _built_row(name: str) -> dict[str, Any]:
    """An experiment that is read from its releases when it is used, here only looked for."""
    from histnu.experiments.builders import BUILDERS
    from histnu.releases import found

    releases = BUILDERS[name].releases
    missing = [r for r in releases if not found().get(r)]
    title = (
        f"full likelihood, needs histnu fetch {' '.join(missing)}"
        if missing
        else f"full likelihood from {', '.join(releases)}"
    )
    return {"name": name, "title": title, "provenance": "derived", "recoil": "nuclear"}


def releases() -> Rows:
    """Public releases known to histnu and where they were found."""
    from histnu.releases import found

    return [{"name": name, "path": path} for name, path in found().items()]


def published() -> Rows:
    """Published limits that figures take as ``--overlay NAME``."""
    from histnu.plotting.overlays import load_published, published_names

    rows = []
    for name in published_names():
        limit = load_published(name)
        number = f"{limit.points[0, 0]:g} {limit.units[0]}" if limit.is_number else "curve"
        source = limit.source or {}
        rows.append({"name": name, "limit": number, "cl": source.get("cl"),
                     "of": source.get("quantity"), "source": source.get("source")})  # fmt: skip
    return rows


SECTIONS: Mapping[str, Callable[[], Rows]] = {
    "models": models,
    "experiments": experiments,
    "analyses": analyses,
    "releases": releases,
    "published": published,
}

LONG = ("reference", "source")
"""Columns that only --json gives: they would fill the screen."""


@click.command(name="list")
@click.argument("section", type=click.Choice(list(SECTIONS)), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(section: str | None, as_json: bool) -> None:
    """Models, experiments, analyses, releases and published limits found here.

    List names, all or those of one SECTION. References and sources are in the JSON.

    \b
    Examples:
      histnu list analyses
      histnu list --json
    """
    from histnu.core.serialize import dumps

    chosen = SECTIONS if section is None else {section: SECTIONS[section]}
    names = {title: rows() for title, rows in chosen.items()}
    if as_json:
        click.echo(dumps(names), nl=False)
        return
    out = console(80)
    for title, rows in names.items():
        out.print(_table(title, rows))
        out.print()


def _table(title: str, rows: Rows) -> Any:
    """Rows with names in one piece; the other columns share what is left of the line."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1))
    columns = [c for c in (rows[0] if rows else ["(none)"]) if c not in LONG]
    for k, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=k == 0)
    for row in rows:
        table.add_row(*(_cell(row[c]) for c in columns))
    return table


def _cell(value: Any) -> str:
    """A value as text; a unit that all entries of a list share is written once.

    >>> _cell(["mu_e [1e-9 mu_B]", "mu_mu [1e-9 mu_B]"]), _cell(None)
    ('mu_e, mu_mu [1e-9 mu_B]', '-')
    """
    if not isinstance(value, list):
        return str(value or "-")
    units = {v.partition(" ")[2] for v in value}
    if len(value) > 1 and len(units) == 1:
        return ", ".join(v.partition(" ")[0] for v in value) + f" {units.pop()}".rstrip()
    return ", ".join(value)
