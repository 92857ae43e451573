"""Tables of a results document by kind: Markdown for the report, rich for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histnu.core.errors import ConfigError
from histnu.core.units import column_name, held_parts, unit_ratio
from histnu.studies.paths import rows_where

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Results = Mapping[str, Any]
Json = Mapping[str, Any]
Options = Mapping[str, str]

MARK = {"published": "", "derived": "†", "reconstructed": "‡"}
LEGEND = (
    "† derived from a public release by a script of the repository; "
    "‡ uses reconstructed (assumed) inputs, see the inputs."
)
ENGINES = {"batched": "histnu", "pyhf": "pyhf, minuit", "pyhf-scipy": "pyhf, SLSQP"}


@dataclass(frozen=True)
class Table:
    """A header and rows of text."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in Markdown; empty if it has no rows."""
        if not self.rows:
            return ""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        rule = "|" + "---|" * len(self.header)
        return "\n".join([line(self.header), rule, *map(line, self.rows)])

    def rich(self, title: str) -> RichTable:
        """The table for the terminal."""
        from rich.table import Table as RichTable

        table = RichTable(title=title, title_justify="left", title_style="bold")
        for name in self.header:
            table.add_column(name, no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table


def number(value: float | None, form: str = ".2f") -> str:
    """A number for people; no minus zero.

    >>> number(-0.001), number(None)
    ('0.00', '-')
    """
    if value is None:
        return "-"
    text = format(value, form)
    return text[1:] if text.startswith("-") and float(text) == 0.0 else text


class Writer:
    """Writes cells of a results document the way its study wants them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.data: Mapping[str, Json] = results["study"]["data"]
        self.parameters: Mapping[str, Json] = results["study"]["parameters"]

    def rows(self, options: Options) -> list[Json]:
        """Rows of ``section`` that fit ``where`` and are of ``data`` and ``parameters``."""
        found = rows_where(self.results.get(options["section"], []), options.get("where", ""))
        for key, field in (("data", "experiment"), ("parameters", "id")):
            if key in options:
                order = options[key].split(",")
                found = [r for r in found if r[field] in order]
        return found

    def symbol(self, name: str) -> str:
        """How a parameter is written."""
        return str(self.parameters.get(name, {}).get("symbol", name))

    def title(self, row: Json) -> str:
        """Name of a row's data set with the mark of its provenance."""
        return self.name(row["experiment"]) + MARK[row["provenance"]]

    def held(self, row: Json) -> dict[str, float]:
        """What is held in a row, without companions of the parameter at zero."""
        return {k: v for k, v in row.get("held", {}).items() if v != 0.0}

    def name(self, label: str) -> str:
        """Name of a data set."""
        return str(self.data.get(label, {}).get("title", label))

    def one_sided(self, name: str) -> bool:
        """Whether only the size of a parameter is bounded."""
        return self.parameters.get(name, {}).get("sides") == "one"

    def interval(self, name: str, lower: float | None, upper: float | None, form: str) -> str:
        """``< 1.89`` or ``[-3.90, 7.00]``."""
        if upper is None:
            return "no bound"
        if self.one_sided(name):
            return f"< {number(upper, form)}"
        return f"[{'-inf' if lower is None else number(lower, form)}, {number(upper, form)}]"

    def bound(self, row: Json, form: str = ".2f") -> str:
        """The interval of a row, its Asimov sensitivity in brackets where it has one."""
        text = self.interval(row["id"], row["lower"], row["upper"], form)
        expected = row.get("expected")
        if not expected:
            return text
        return f"{text} ({self.interval(row['id'], expected['lower'], expected['upper'], form)})"

    def published(self, row: Json, form: str = ".2f") -> str:
        """The published interval beside a row."""
        entry = row.get("published")
        return "-" if not entry else self.interval(row["id"], entry["lower"], entry["upper"], form)

    def ratio(self, row: Json) -> str:
        """Ratio of the upper ends, and of the lower ends of two-sided intervals."""
        entry = row.get("published")
        if not entry or row["ratio"] is None:
            return "-"
        text = number(row["ratio"], ".3f")
        if not self.one_sided(row["id"]) and entry["lower"] and row["lower"] is not None:
            text = f"{number(row['lower'] / entry['lower'], '.3f')}, {text}"
        return text


def bounds(w: Writer, options: Options) -> Table:
    """Bounds beside published ones: section, where, data, parameters, form."""
    form = options.get("form", ".2f")
    rows = []
    for r in w.rows(options):
        entry = r.get("published") or {}
        where = f"Eq. {entry['eq']}" if entry.get("eq") else entry.get("source", "-")
        best, shown = number(r["best_fit"], form), w.published(r, form)
        cells = (w.symbol(r["id"]), r["unit"], w.title(r), w.bound(r, form), best, shown)
        rows.append((*cells, w.ratio(r), where))
    levels = {f"{100 * r['cl']:g} % CL" for r in w.rows(options)}
    ours = ", ".join(["ours", *sorted(levels)])
    header = ("", "unit", "data", ours, "best fit", "published", "ratio", "where")
    if all(row[5] == "-" for row in rows):
        return Table(header[:5], tuple(row[:5] for row in rows))
    return Table(header, tuple(rows))


def compare(w: Writer, options: Options) -> Table:
    """One row per parameter, one column per data set; ``published=yes`` puts them first."""
    found = {(r["id"], r["experiment"]): r for r in w.rows(options)}
    names = list(dict.fromkeys(name for name, _ in found))
    labels = list(dict.fromkeys(label for _, label in found))
    labels.sort(key=options.get("data", ",".join(labels)).split(",").index)
    form = options.get("form", ".2f")
    rows = []
    for name in names:
        own = [found.get((name, label)) for label in labels]
        first = next(r for r in own if r is not None)
        cells = ["-" if r is None else w.bound(r, form) for r in own]
        shown = next((r for r in own if r is not None and r.get("published")), first)
        rows.append((w.symbol(name), first["unit"], w.published(shown, form), *cells))
    titles = [next(w.title(r) for (_, e), r in found.items() if e == label) for label in labels]
    header = ("", "unit", "published", *titles)
    if "published" not in options:
        rows, header = [(*r[:2], *r[3:]) for r in rows], (*header[:2], *header[3:])
    return Table(header, tuple(rows))


def alternatives(w: Writer, options: Options) -> Table:
    """Bounds under other settings: section, and ``default`` the section of the usual ones."""
    usual = {(r["id"], r["experiment"]): r for r in w.results[options["default"]] if r["dof"] == 1}
    choices: dict[str, dict[tuple[str, str], Json]] = {}
    for r in w.rows(options):
        label = f"{r['interpolation']}, correction {r['correction']}"
        choices.setdefault(label, {})[r["id"], r["experiment"]] = r
    keys = dict.fromkeys(key for table in choices.values() for key in table)
    rows = [
        (
            w.symbol(key[0]),
            w.title(usual[key]),
            *(w.bound(table[key]) if key in table else "-" for table in (usual, *choices.values())),
        )
        for key in keys
        if key in usual
    ]
    return Table(("", "data", "default", *choices), tuple(rows))


def engines(w: Writer, options: Options) -> Table:
    """Upper ends by engine: section, and ``default`` the section of the usual ones."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for r in [*w.results[options["default"]], *w.rows(options)]:
        if r["dof"] == 1 and "engine" in r:
            found.setdefault((r["id"], r["experiment"]), {})[r["engine"]] = r["upper"]
    rows = [
        (w.symbol(name), w.name(label), *(number(ends[e], ".6f") for e in ENGINES))
        for (name, label), ends in found.items()
        if set(ENGINES) <= set(ends)
    ]
    return Table(("", "data", *ENGINES.values()), tuple(rows))


def variations(w: Writer, options: Options) -> Table:
    """Bounds under the alternatives of each assumption; one data set."""
    found = w.rows(options)
    names = list(dict.fromkeys(name for r in found for name in r["upper"]))
    grouped: dict[str, list[Json]] = {}
    for r in found:
        grouped.setdefault(r["assumption"], []).append(r)
    rows = [("(default)", *(_default(w, options, found, name) for name in names))] if found else []
    for label, group in grouped.items():
        cells = []
        for name in names:
            own = [r for r in group if name in r["upper"]]
            ends = (w.interval(name, r["lower"][name], r["upper"][name], ".2f") for r in own)
            cells.append(" to ".join(ends))
        rows.append((label, *cells))
    return Table(("assumption varied", *map(w.symbol, names)), tuple(rows))


def _default(w: Writer, options: Options, found: Sequence[Json], name: str) -> str:
    """The bound without a variation."""
    label, dof = found[0]["experiment"], found[0]["dof"]
    usual = w.results.get(options.get("default", "bounds"), [])
    wanted = (name, label, dof)
    row = next((r for r in usual if (r["id"], r["experiment"], r["dof"]) == wanted), None)
    return "-" if row is None else w.bound(row)


def shifts(w: Writer, options: Options) -> Table:
    """Shift of the upper end of one ``parameter`` under each assumption, by data set."""
    found, name = w.rows(options), options["parameter"]
    labels = list(dict.fromkeys(r["experiment"] for r in found))
    cells: dict[str, dict[str, list[str]]] = {}
    for r in found:
        shift = r["shift"].get(name)
        text = "-" if shift is None else f"{100 * shift:+.1f} %"
        cells.setdefault(r["assumption"], {}).setdefault(r["experiment"], []).append(text)
    rows = [
        (label, *(" / ".join(own.get(data, ["-"])) for data in labels))
        for label, own in cells.items()
    ]
    return Table(("changed", *map(w.name, labels)), tuple(rows))


def rates(w: Writer, options: Options) -> Table:
    """Observed and expected events per bin of each channel."""
    rows = []
    for entry in w.rows(options):
        for c in entry["channels"]:
            bins = zip(c["observed"], c["signal"], c["background"], strict=True)
            for i, (n, signal, background) in enumerate(bins):
                total = signal + background
                cells = (number(n, ".0f"), *map(number, (signal, background, total)))
                name = c["channel"] + MARK[c["provenance"]]
                rows.append((name, str(i + 1), *cells, f"{(n - total) / total**0.5:+.1f}"))
    header = ("channel", "bin", "observed", "signal", "background", "sum", "pull")
    return Table(header, tuple(rows))


def agreement(w: Writer, options: Options) -> Table:
    """Agreement of background and Standard Model with the data."""
    rows = []
    for r in w.rows(options):
        s = r["strength"]
        low = "-" if s["lower"] is None else number(s["lower"], ".2g")
        strength = f"{number(s['best_fit'])} [{low}, {number(s['upper'], '.2g')}]"
        counts = (number(r[k], ".0f") for k in ("observed", "expected_background"))
        signal = number(r["expected_signal"], ".1f")
        chi2 = f"{number(r['chi2'], '.1f')} / {r['bins']} = {number(r['chi2_per_bin'])}"
        rows.append((w.title(r), str(r["bins"]), *counts, signal, chi2, strength))
    header = ("data", "bins", "observed", "background", "signal", "chi2 / bin", "strength")
    return Table(header, tuple(rows))


def curves(w: Writer, options: Options) -> Table:
    """Curves at some values of the held parameter: ``at=0.01,1,5``, nearest ones are shown.

    Upper ends; the whole set where it comes in pieces.
    """
    found = w.rows(options)
    if not found:
        return Table((), ())
    name, unit = found[0]["x"]["name"], found[0]["x"]["unit"]
    axis = column_name(name, unit)
    wanted = [float(v) for v in options["at"].split(",")]
    rows = []
    for r in found:
        cells = []
        for value in wanted:
            i = min(range(len(r[axis])), key=lambda k: abs(r[axis][k] - value))
            expected = (r.get("expected") or {}).get("upper")
            text = "closed" if r["upper"][i] is None else number(r["upper"][i])
            pieces = (r.get("allowed") or {i: None})[i]
            if pieces and len(pieces) > 1:
                text = region({"unit": r["unit"], "intervals": pieces}, ".2f")
            cells.append(text if not expected else f"{text} ({number(expected[i])})")
        rows.append((r["id"], r["unit"], w.title(r), *cells))
    shown = [min(found[0][axis], key=lambda m: abs(m - v)) for v in wanted]
    heads = (f"{name} = {m:g} {unit}" for m in shown)
    return Table(("", "unit", "data", *heads), tuple(rows))


def region(row: Json, form: str = ".3g", unit: str | None = None, size: bool = False) -> str:
    """An allowed set in words: in another unit, and of the size alone, where that is wanted.

    >>> ends = {"lower": 0.0, "upper": 2.0, "lower_end": "bound", "upper_end": "crossing"}
    >>> region({"unit": "1e-9 e", "intervals": [ends]}, unit="1e-8 e")
    '< 0.2'
    """
    factor = 1.0 if unit in (None, row["unit"]) else unit_ratio(row["unit"], unit or "")

    def text(segment: Json, side: str) -> str:
        value = segment[side]
        closed = segment[f"{side}_end"] in ("crossing", "edge")
        return number(factor * value, form) if closed and value is not None else "open"

    pieces = []
    for s in row["intervals"]:
        upper = s["upper"]
        if size and upper is not None and upper <= 0.0:
            continue  # the mirror image of another piece
        from_zero = s["lower"] == 0.0 or (size and (s["lower"] is None or s["lower"] < 0.0))
        if from_zero and text(s, "upper") == "open":
            pieces.append("no bound")
        elif from_zero:
            pieces.append(f"< {text(s, 'upper')}")
        else:
            pieces.append(f"[{text(s, 'lower')}, {text(s, 'upper')}]")
    return " ∪ ".join(pieces)


def sets(w: Writer, options: Options) -> Table:
    """Allowed sets, one row per parameter and held values, one column per data set.

    Options: section, where, parameters, ``data`` (order of the columns), form. All cells of a row
    are in the unit of its first data set; published numbers and ratios of upper ends come last.
    """
    found = w.rows(options)
    held = {h for r in found for h in w.held(r)}
    labels = list(dict.fromkeys(r["experiment"] for r in found))
    labels.sort(key=options.get("data", ",".join(labels)).split(",").index)
    rows: dict[tuple[str, str], dict[str, Json]] = {}
    for r in found:
        at = ", ".join(held_parts(w.held(r)))
        rows.setdefault((r["id"], at), {})[r["experiment"]] = r
    form, lines = options.get("form", ".3g"), []
    for (name, at), own in rows.items():
        unit = next(own[k]["unit"] for k in labels if k in own)
        size = w.one_sided(name)
        cells = [region(own[k], form, unit, size) if k in own else "-" for k in labels]
        compared = next((r for r in own.values() if r.get("published")), None)
        published = "-" if compared is None else w.published(compared, form)
        ratio = (
            "-" if compared is None else f"{w.ratio(compared)} ({w.name(compared['experiment'])})"
        )
        lines.append((w.symbol(name), *([at] if held else []), unit, *cells, published, ratio))
    titles = [next(w.title(r) for r in found if r["experiment"] == k) for k in labels]
    header = ("", *(["held"] if held else []), "unit", *titles, "published", "ratio")
    if all(line[-1] == "-" for line in lines):
        return Table(header[:-2], tuple(line[:-2] for line in lines))
    return Table(header, tuple(lines))


def combinations(w: Writer, options: Options) -> Table:
    """What may be combined with what: every pair of described experiments.

    ``no``: they share events, by the data sets that they declare. Otherwise the nuisance
    parameters that a combination shares, or ``yes``.
    """
    data = w.results["inputs"]["experiments"]
    if "only" in options:
        data = [e for e in data if e["name"] in options["only"].split(",")]

    def cell(first: Json, second: Json) -> str:
        if first is second:
            return "·"
        if set(first["data_sets"]) & set(second["data_sets"]):
            return "**no**"
        return ", ".join(p for p in first["parameters"] if p in second["parameters"]) or "yes"

    rows = [
        (f"{i + 1}. {first['name']}", *(cell(first, second) for second in data))
        for i, first in enumerate(data)
    ]
    return Table(("", *(str(i + 1) for i in range(len(data)))), tuple(rows))


def overlaps(w: Writer, options: Options) -> Table:
    """Pairs of described experiments with events in common, and the data sets they share."""
    data = w.results["inputs"]["experiments"]
    rows = [
        (first["name"], second["name"], ", ".join(shared))
        for i, first in enumerate(data)
        for second in data[i + 1 :]
        if (shared := [d for d in first["data_sets"] if d in second["data_sets"]])
    ]
    return Table(("", "and", "share the data sets"), tuple(rows))


def no_answer(w: Writer, options: Options) -> Table:
    """Questions without an answer, and why."""
    rows = [
        (", ".join([r["question"], *held_parts(r["held"])]), f"no answer: {r['problem']}")
        for r in w.results.get("no_answer", [])
    ]
    return Table(("question", ""), tuple(rows))


KINDS: Mapping[str, Callable[[Writer, Options], Table]] = {
    f.__name__: f
    for f in (
        bounds,
        compare,
        alternatives,
        engines,
        variations,
        shifts,
        rates,
        agreement,
        curves,
        sets,
        combinations,
        overlaps,
        no_answer,
    )
}
"""Tables by kind."""


def make_table(results: Results, kind: str, options: Options) -> Table:
    """A table of a results document.

    Raises:
        ConfigError: for an unknown kind or a missing option.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown table {kind!r}; known: {', '.join(KINDS)}")
    try:
        return KINDS[kind](Writer(results), options)
    except KeyError as error:
        raise ConfigError(
            f"table {kind}: missing {error}; give section=NAME and what it needs"
        ) from None
