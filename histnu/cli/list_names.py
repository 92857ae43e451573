"""``histnu list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from histnu.cli.common import console

if TYPE_CHECKING:
    from histnu.analysis.schema import Needs


def collect() -> dict[str, Any]:
    """Names of everything that other verbs take, with provenance where there is data."""
    from histnu.analysis.hypothesis import load_model, model_names
    from histnu.analysis.schema import builtin, needs
    from histnu.experiments.builders import built_names
    from histnu.experiments.loader import available, load_experiment

    experiments = [load_experiment(n) for n in available()]
    models = [load_model(n) for n in model_names()]
    return {
        "models": [
            {
                "name": m.name,
                "parameters": [f"{p.name} [{p.unit}]" for p in m.parameters],
                "held": [f"{h.name} [{h.unit}]" for h in m.held],
                "recoil": list(m.processes),
                "reference": m.reference,
            }
            for m in models
        ],
        "experiments": [
            {"name": e.name, "title": e.title, "provenance": e.provenance, "recoil": e.recoil}
            for e in experiments
        ]
        + [_built_row(n) for n in built_names()],
        "analyses": [
            {"name": a.name, "title": a.title, "needs": _needed(needs(a))}
            for a in builtin().values()
        ],
        "releases": releases(),
    }


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


def releases() -> list[dict[str, Any]]:
    """Public releases known to histnu and where they were found."""
    from histnu.releases import found

    return [{"name": name, "path": path} for name, path in found().items()]


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Models, experiments, analyses and releases found here.

    List names.

    \b
    Example:
      histnu list --json
    """
    from histnu.core.serialize import dumps

    names = collect()
    if as_json:
        click.echo(dumps(names), nl=False)
        return
    from rich.table import Table

    out = console()
    for title, rows in names.items():
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        for column in rows[0] if rows else ["(none)"]:
            table.add_column(column, overflow="fold")
        for row in rows:
            cells = [", ".join(v) if isinstance(v, list) else str(v or "-") for v in row.values()]
            table.add_row(*cells)
        out.print(table)
        out.print()
