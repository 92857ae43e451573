"""The report of a study: its prose with tables and numbers in their places.

Places are written in double braces::

    {{ table bounds section=bounds where="dof=1" }}     a table, see histnu.studies.tables
    {{ value bounds[id=q_ee,experiment=xenonnt].best_fit .1f }}   a number at a path
    {{ list skipped }}   {{ list inputs }}   {{ legend }}   {{ versions }}
    {{ if variations }} ... {{ end }}                    kept only if the path has something

``value`` understands a Python format; ``+`` between two paths adds their values.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histnu.core.errors import ConfigError, DataError, located
from histnu.studies.paths import look_up
from histnu.studies.tables import LEGEND, MARK, make_table, number

Results = Mapping[str, Any]

_PLACE = re.compile(r"\{\{\s*(.+?)\s*\}\}", re.DOTALL)
_BLOCK = re.compile(
    r"^\{\{\s*if\s+(?P<path>.+?)\s*\}\}\n(?P<body>.*?)^\{\{\s*end\s*\}\}\n?",
    re.DOTALL | re.MULTILINE,
)


def report_text(results: Results, template: Path) -> str:
    """The report: the template with every place filled, and what has no answer at its end.

    Raises:
        DataError: if the template cannot be read.
        ConfigError: for a place that is not understood.
    """
    try:
        text = template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read ({error})"
        raise DataError(located(template, "", problem, "check the study's folder")) from None
    text = _BLOCK.sub(lambda m: m["body"] if look_up(results, m["path"]) else "", text)

    def fill(match: re.Match[str]) -> str:
        try:
            return _place(results, match[1])
        except (ConfigError, ValueError) as error:
            mend = "see histnu.studies.text"
            raise ConfigError(located(template, match[0], str(error), mend)) from None

    filled = _PLACE.sub(fill, text)
    if results.get("no_answer"):
        filled += f"\n\n## Without an answer\n\n{make_table(results, 'no_answer', {}).markdown()}"
    return re.sub(r"\n{3,}", "\n\n", filled).strip() + "\n"


def _place(results: Results, text: str) -> str:
    """The text of one place."""
    words = shlex.split(text)
    if words[0] not in PLACES:
        raise ConfigError(f"unknown place {words[0]!r}; known: if, {', '.join(PLACES)}")
    return PLACES[words[0]](results, words[1:])


def _table(results: Results, words: list[str]) -> str:
    if not words:
        raise ConfigError("which table? write {{ table KIND section=NAME }}")
    return make_table(results, words[0], options_of(words[1:])).markdown()


def options_of(words: list[str]) -> dict[str, str]:
    """``name=value`` words.

    Raises:
        ConfigError: for a word of another form.
    """
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals:
            raise ConfigError(f"{name!r} is not of the form name=value")
    return {name: value for name, _, value in pairs}


def _value(results: Results, words: list[str]) -> str:
    """A number at a path, or the sum of several, in a format."""
    if not words:
        raise ConfigError("which value? write {{ value PATH FORMAT }}")
    paths = words[0].split("+")
    found = [look_up(results, path) for path in paths]
    if any(value is None for value in found):
        return "-"
    if any(isinstance(value, (dict, list)) for value in found):
        raise ConfigError(f"{words[0]!r} is not one value")
    if isinstance(found[0], str):
        return found[0]
    return number(sum(found), words[1] if len(words) > 1 else ".4g")


def _parameters(results: Results, words: list[str]) -> str:
    """A mapping at a path as ``name value, name value``."""
    found = look_up(results, words[0]) or {}
    return ", ".join(f"{name} {number(v, '.1f')}" for name, v in found.items())


def _list(results: Results, words: list[str]) -> str:
    """A list: ``inputs``, ``skipped`` or ``overlaps``."""
    name = words[0] if words else ""
    if name == "inputs":
        return "\n".join(_inputs(results))
    if name == "skipped":
        return "\n".join(f"- {data}: {why}" for data, why in results["skipped"].items())
    if name == "overlaps":
        return "\n".join(f"- {line}" for line in results["study"]["overlaps"])
    raise ConfigError(f"unknown list {name!r}; known: inputs, skipped, overlaps")


def _inputs(results: Results) -> list[str]:
    """Experiments with provenance, references and assumptions."""
    lines = []
    for e in results["inputs"]["experiments"]:
        lines.append(f"- **{e['name']}** ({e['provenance']}): {'; '.join(e['references'])}")
        lines += [f"  - {a}" for a in e["assumptions"]]
    return lines


def _fluxes(results: Results, words: list[str]) -> str:
    """The fitted flux of every rates row, in 1e6 cm^-2 s^-1."""
    texts = []
    for r in results.get(words[0] if words else "rates", []):
        s, unit = r["strength"], r["flux_cm2_s"] / 1e6
        low = 0.0 if s["lower"] is None else s["lower"]
        up, down = (s["upper"] - s["best_fit"]) * unit, (s["best_fit"] - low) * unit
        title = results["study"]["data"].get(r["experiment"], {}).get("title", r["experiment"])
        name = title + MARK[r["provenance"]]
        texts.append(f"{name}: {s['best_fit'] * unit:.1f} (+{up:.1f} -{down:.1f})")
    return "; ".join(texts)


def _versions(results: Results, words: list[str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in results["versions"].items())


PLACES: Mapping[str, Callable[[Results, list[str]], str]] = {
    "table": _table,
    "value": _value,
    "values": _parameters,
    "list": _list,
    "fluxes": _fluxes,
    "legend": lambda results, words: LEGEND,
    "versions": _versions,
}
"""What can stand in double braces."""
