"""Tables of a results document: Markdown for ``results.md``, rich for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Results = Mapping[str, Any]

EXPERIMENT_NAMES = {"xenonnt": "XENONnT", "pandax4t": "PandaX-4T", "combined": "combined"}
FULL_NAMES = {
    "xenonnt_4d_2024": "XENONnT 4-D 2024",
    "xenonnt_4d_2026": "XENONnT 4-D 2026",
    "xenonnt_s2only_2026": "XENONnT ionization-only 2026",
    "combined_full": "XENONnT 4-D 2026 + PandaX-4T",
}
EVES_NAME = "EvES (XENONnT, LZ, PandaX-4T)"
MARK = {"published": "", "derived": "†", "reconstructed": "‡"}
LEGEND = (
    "† derived from a public release by a script of the repository; "
    "‡ uses reconstructed inputs: PandaX-4T US2 from published totals; for the 4-D data of "
    "2026 and for electron recoils, assumed rate uncertainties."
)
SYMBOLS = {
    "mu_e": "|μ(ν_e)|",
    "mu_mu": "|μ(ν_μ/τ)|",
    "mu_universal": "|μ(ν)|",
    "q_ee": "Q(ν_ee)",
    "q_mumu": "Q(ν_μμ/ττ)",
    "q_emu": "|Q(ν_eμ/eτ)|",
    "q_mutau": "|Q(ν_μτ)|",
}
ONE_SIDED = {"mu_e", "mu_mu", "mu_universal", "q_emu", "q_mutau"}


def interval_text(identifier: str, lower: float | None, upper: float | None) -> str:
    """``< 1.89`` or ``[-3.9, 7.0]``.

    >>> interval_text("mu_e", None, 1.8897), interval_text("q_ee", -3.9, 7.0)
    ('< 1.89', '[-3.90, 7.00]')
    """
    if upper is None:
        return "no bound"
    if identifier in ONE_SIDED:
        return f"< {upper:.2f}"
    return f"[{'-inf' if lower is None else format(lower, '.2f')}, {upper:.2f}]"


def ratio_text(row: Mapping[str, Any]) -> str:
    """Ratio of the upper ends, and of the lower ends of two-sided intervals."""
    published = row["published"]
    if published is None or row["ratio"] is None:
        return "-"
    text = f"{row['ratio']:.3f}"
    if row["id"] not in ONE_SIDED and published["lower"] and row["lower"] is not None:
        text = f"{row['lower'] / published['lower']:.3f}, {text}"
    return text


def bound_rows(results: Results, dof: int = 1) -> list[list[str]]:
    """Cells: parameter, unit, experiment, ours, best fit, published, ratio, equation."""
    rows = []
    for row in results["bounds"]:
        wanted = row["experiment"] in EXPERIMENT_NAMES and row["dof"] == dof
        if row["id"].startswith("dipole") or not wanted:
            continue
        published = row["published"]
        rows.append(
            [
                SYMBOLS[row["id"]],
                row["unit"],
                EXPERIMENT_NAMES[row["experiment"]] + MARK[row["provenance"]],
                interval_text(row["id"], row["lower"], row["upper"]),
                f"{round(row['best_fit'], 2) + 0.0:.2f}",  # no minus zero
                interval_text(row["id"], published["lower"], published["upper"])
                if published
                else "-",
                ratio_text(row),
                f"Eq. {published['eq']}" if published else "-",
            ]
        )
    return rows


BOUND_HEADER = ["", "unit", "data", "ours, 90 % CL", "best fit", "published", "ratio", "paper"]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), "|" + "---|" * len(header), *map(line, rows)])


def rich_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The same for the terminal."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for name in header:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def alternative_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Bounds under the default and the alternative statistical choices."""
    default = {(r["id"], r["experiment"]): r for r in results["bounds"] if r["dof"] == 1}
    choices: dict[str, dict[tuple[str, str], Any]] = {}
    for row in results["alternatives"]:
        label = f"{row['interpolation']}, correction {row['correction']}"
        choices.setdefault(label, {})[(row["id"], row["experiment"])] = row
    header = ["", "data", "default", *choices]
    rows = []
    for key in next(iter(choices.values()), {}):
        cells = [SYMBOLS[key[0]], EXPERIMENT_NAMES[key[1]] + MARK[default[key]["provenance"]]]
        for table in (default, *choices.values()):
            row = table[key]
            cells.append(interval_text(key[0], row["lower"], row["upper"]))
        rows.append(cells)
    return header, rows


def reference_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Upper ends from the batched engine and from pyhf with minuit and SLSQP."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in [*results["bounds"], *results["reference"]]:
        if row["dof"] == 1 and "engine" in row:
            found.setdefault((row["id"], row["experiment"]), {})[row["engine"]] = row["upper"]
    engines = ("batched", "pyhf", "pyhf-scipy")
    rows = [
        [SYMBOLS[name], EXPERIMENT_NAMES[experiment], *(f"{ends[e]:.6f}" for e in engines)]
        for (name, experiment), ends in found.items()
        if set(engines) <= set(ends)
    ]
    return ["", "data", "histnu", "pyhf, minuit", "pyhf, SLSQP"], rows


def variation_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Range of every combined bound over the alternatives of each PandaX-4T assumption."""
    names = [n for n in SYMBOLS if any(b["id"] == n for b in results["bounds"])]
    header = ["assumption varied", *(SYMBOLS[n] for n in names)]
    grouped: dict[str, list[Any]] = {}
    for row in results["variations"]:
        grouped.setdefault(row["assumption"], []).append(row)
    rows = [["(default)", *(_default_text(results, n) for n in names)]]
    for label, group in grouped.items():
        rows.append([label, *(" to ".join(_distinct(group, n)) for n in names)])
    return header, rows


def _default_text(results: Results, name: str) -> str:
    row = next(
        b
        for b in results["bounds"]
        if b["id"] == name and b["experiment"] == "combined" and b["dof"] == 1
    )
    return interval_text(name, row["lower"], row["upper"])


def _distinct(group: Sequence[Any], name: str) -> list[str]:
    return [interval_text(name, v["lower"].get(name), v["upper"][name]) for v in group]


def rate_rows(results: Results) -> list[list[str]]:
    """Observed and expected events per bin of each channel."""
    rows = []
    for entry in results["rates"]:
        if entry["experiment"] == "combined":
            continue
        for c in entry["channels"]:
            for i, n in enumerate(c["observed"]):
                total = c["signal"][i] + c["background"][i]
                rows.append(
                    [
                        c["channel"] + MARK[c["provenance"]],
                        str(i + 1),
                        f"{n:.0f}",
                        f"{c['signal'][i]:.2f}",
                        f"{c['background'][i]:.2f}",
                        f"{total:.2f}",
                        f"{(n - total) / total**0.5:+.1f}",
                    ]
                )
    return rows


def full_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Bounds of the full likelihoods beside the three-bin ones; expected ones in brackets."""
    found = {(r["id"], r["experiment"]): r for r in results["bounds"] if r["dof"] == 1}
    names = [e for e in FULL_NAMES if any(e == key[1] for key in found)]
    if not names:
        return [], []
    rows = []
    for name, symbol in SYMBOLS.items():
        row = found[name, "combined"]
        published = row["published"]
        cells = [interval_text(name, published["lower"], published["upper"])]
        cells += [interval_text(name, row["lower"], row["upper"])]
        cells += [_with_expected(name, found[name, e]) for e in names]
        rows.append([symbol, row["unit"], *cells])
    marks = [FULL_NAMES[e] + MARK[found["mu_e", e]["provenance"]] for e in names]
    return ["", "unit", "paper", "three bins + PandaX-4T‡", *marks], rows


def _with_expected(name: str, row: Mapping[str, Any]) -> str:
    text = interval_text(name, row["lower"], row["upper"])
    expected = row.get("expected")
    if not expected:
        return text
    return f"{text} ({interval_text(name, expected['lower'], expected['upper'])})"


def electron_rows(results: Results) -> list[list[str]]:
    """Magnetic-moment bounds of electron recoils."""
    return [
        [
            SYMBOLS[row["id"]],
            row["unit"],
            EVES_NAME + MARK[row["provenance"]],
            interval_text(row["id"], row["lower"], row["upper"]),
        ]
        for row in results["bounds"]
        if row["experiment"] == "eves" and not row["id"].startswith("dipole")
    ]


RATE_HEADER = ["channel", "bin", "observed", "SM 8B", "background", "sum", "pull"]
