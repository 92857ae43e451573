"""Every new hypothesis with every data set: profiles, allowed sets, combination.

    python scripts/global_view.py [-o docs/global_view.json] [--only MODEL] [--fresh]

One parameter at a time, all other parameters of the model zero. A profile of -2 ln L on a grid
gives the allowed set at 90 % (Delta = 2.71), in pieces where it comes in pieces. The combination
adds the profiles of disjoint groups of data: COHERENT shares no nuisance with the others, and
electron recoils and solar CEvNS share the 8B flux, which makes 0.1 % of the former; a test compares
with a joint document. Results are written after every question; a run that was interrupted goes on
where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from histnu.analysis.assemble import Assembly, assemble
from histnu.analysis.schema import load_analysis
from histnu.core.serialize import write_json
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.limits import threshold
from histnu.inference.profile import profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger("global_view")

GROUPS = ("coherent", "solar_b8", "er_combined")
LEVEL = 0.9


@dataclass(frozen=True)
class Question:
    """One parameter of one hypothesis at one held value.

    Attributes:
        model, parameter, unit: what is asked.
        held: held parameter and its value, or None.
        low, high: grid; logarithmic where low > 0.
        points: of the grid.
    """

    model: str
    parameter: str
    unit: str
    low: float
    high: float
    held: tuple[str, float] | None = None
    points: int = 121

    @property
    def name(self) -> str:
        """``model:parameter`` or ``model:parameter@held=value``."""
        at = "" if self.held is None else f"@{self.held[0]}={self.held[1]:g}"
        return f"{self.model}:{self.parameter}{at}"

    @property
    def grid(self) -> np.ndarray:
        """Values of the parameter; zero is always one of them."""
        if self.low > 0:
            return np.append(0.0, np.geomspace(self.low, self.high, self.points - 1))
        return np.union1d(np.linspace(self.low, self.high, self.points), [0.0])


def questions() -> Iterator[Question]:
    """All questions, the quick ones first."""
    yield Question("weak_mixing_angle", "delta_s2w", "1", -0.35, 0.35)
    for p in ("r2_ee", "r2_mumu", "r2_tautau"):
        yield Question("charge_radius", p, "1e-32 cm^2", -110.0, 70.0, points=181)
    for p in ("r2_emu", "r2_etau", "r2_mutau"):
        yield Question("charge_radius", p, "1e-32 cm^2", 0.1, 200.0)
    for mass in (0.1, 1.0, 10.0, 100.0, 1040.0):
        scale = np.hypot(1.0, mass / 10.0)
        yield Question("light_vector", "g_bl", "1e-5", 1e-3, 8.0 * scale, ("m_v", mass), points=161)
    for mass in (0.1, 10.0, 100.0):
        scale, held = np.hypot(1.0, mass / 10.0), ("m_v", mass)
        yield Question("universal_vector", "g_universal", "1e-5", 1e-3, 8 * scale, held, 161)
        yield Question("lmutau_vector", "g_lmutau", "1e-5", 1e-2, 300 * scale, held, 161)
        yield Question("light_scalar", "g_s", "1e-5", 1e-3, 4.0 * scale, ("m_s", mass), points=161)
    for quark in ("u", "d"):
        for pair in ("ee", "mumu", "tautau", "emu", "etau", "mutau"):
            yield Question("vector_nsi", f"eps_{quark}_{pair}", "1", -0.8, 0.8, points=121)
    for p in ("mu_e", "mu_mu", "mu_tau"):
        yield Question("magnetic_moment", p, "1e-9 mu_B", 1e-3, 30.0)
    for p in ("q_ee", "q_mumu", "q_tautau"):
        yield Question("millicharge", p, "1e-8 e", -60.0, 60.0, points=201)


def likelihood(assembly: Assembly) -> MappedLikelihood:
    """Likelihood in the parameters of the hypothesis."""
    document = dict(assembly.workspace)
    measurement = document["measurements"][0]["name"]
    base = BatchedLikelihood.from_workspace(document, measurement=measurement)
    return MappedLikelihood(base, assembly.polynomial)


def answer(question: Question, group: str) -> dict | None:
    """Profile of a question in a group of data; None where these cannot see the parameter."""
    analysis = load_analysis(f"{question.model}_{group}")
    analysis = analysis.holding({} if question.held is None else dict([question.held]))
    if analysis.model.unit is not None:  # one unit for all groups
        model = analysis.model.model_copy(update={"unit": question.unit})
        analysis = analysis.model_copy(update={"model": model})
    assembly = assemble(analysis)
    polynomial = assembly.polynomial
    if question.parameter not in polynomial.parameters:
        return None
    others = {p: 0.0 for p in polynomial.parameters if p != question.parameter}
    options = FitOptions(fixed=others)
    found = profile(likelihood(assembly), None, question.parameter, question.grid, options)
    return {
        "delta": [float(f"{x:.6g}") for x in found.delta_twice_nll],
        "converged": bool(np.all(found.converged)),
        "provenance": assembly.provenance,
    }


def allowed(values: np.ndarray, delta: np.ndarray, level: float = LEVEL) -> list[list[float]]:
    """Intervals where the profile is below the level's threshold, from a cubic through the grid.

    An end at the edge of the grid is the edge.
    """
    curve = CubicSpline(values, delta - delta.min() - threshold(level, 1))
    roots = [float(r) for r in curve.roots(extrapolate=False)]
    ends = [float(values[0]), *roots, float(values[-1])]
    pieces = [(a, b) for a, b in pairwise(ends) if b > a]
    return [[a, b] for a, b in pieces if curve(0.5 * (a + b)) < 0.0]


def combined(question: Question, found: dict[str, dict]) -> dict | None:
    """Sum of the profiles of the disjoint groups."""
    used = [g for g in GROUPS if g in found]
    if len(used) < 2:
        return None
    total = np.sum([found[g]["delta"] for g in used], axis=0)
    return {"delta": (total - total.min()).tolist(), "groups": used}


def add_sets(question: Question, found: dict[str, dict]) -> None:
    """Write the allowed set of every profile beside it."""
    for entry in found.values():
        delta = np.array(entry["delta"])
        entry["allowed_90"] = allowed(question.grid, delta)
        entry["best"] = float(question.grid[int(np.argmin(delta))])


def has_group(question: Question, group: str) -> bool:
    """Whether there is an analysis of the model with the group."""
    from histnu.analysis.schema import analysis_names

    return f"{question.model}_{group}" in analysis_names()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/global_view.json"))
    parser.add_argument("--only", help="questions whose name starts with this")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--draw", type=Path, help="draw earlier results into a folder")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    path = options.output
    if options.draw:
        document = json.loads(path.read_text())
        draw(document, options.draw)
        print(markdown(document))
        return
    document = {} if options.fresh or not path.exists() else json.loads(path.read_text())
    for question in questions():
        if options.only and not question.name.startswith(options.only):
            continue
        if question.name in document and document[question.name]["asked"] == _asked(question):
            continue
        found = {}
        for group in GROUPS:
            if has_group(question, group):
                result = answer(question, group)
                found |= {} if result is None else {group: result}
        total = combined(question, found)
        found |= {} if total is None else {"combined": total}
        add_sets(question, found)
        document[question.name] = {"asked": _asked(question), "found": found}
        write_json(path, document)
        log.info("%s", summary(question, found))


def _asked(question: Question) -> dict:
    return json.loads(json.dumps(asdict(question)))


LABELS = {
    "coherent": "COHERENT",
    "solar_b8": "solar CEvNS*",
    "er_combined": "electron recoils",
    "combined": "combined*",
}


def pieces(entry: dict) -> str:
    """An allowed set as text; only its end where it starts at zero."""
    found = entry["allowed_90"]
    if len(found) == 1 and found[0][0] == 0.0:
        return f"< {found[0][1]:.3g}"
    return " ∪ ".join(f"[{a:.3g}, {b:.3g}]" for a, b in found)


def markdown(document: dict) -> str:
    """The table of docs/hypotheses.md."""
    lines = ["| | unit | " + " | ".join(LABELS.values()) + " |", "|---" * 6 + "|"]
    for name, entry in document.items():
        cells = [pieces(entry["found"][k]) if k in entry["found"] else "-" for k in LABELS]
        model, _, rest = name.partition(":")
        shown = rest.replace("@", ", ").replace("=", " = ")
        unit = "" if entry["asked"]["unit"] == "1" else entry["asked"]["unit"]
        lines.append(f"| `{model}` {shown} | {unit} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(document: dict, folder: Path) -> None:
    """One figure per hypothesis: the profiles of all data sets."""
    from histnu.plotting.style import figure_style

    by_name = {q.name: q for q in questions()}
    models = dict.fromkeys(name.partition(":")[0] for name in document)
    for model in models:
        names = [n for n in document if n.startswith(f"{model}:")]
        rows = -(-len(names) // 3)
        with figure_style() as plt:
            figure, axes = plt.subplots(
                rows, min(3, len(names)), figsize=(13, 3.6 * rows), squeeze=False,
                layout="constrained",
            )  # fmt: skip
            for ax, name in zip(axes.flat, names, strict=False):
                _panel(ax, by_name[name], document[name]["found"])
            for ax in axes.flat[len(names) :]:
                ax.set_axis_off()
            axes[0, 0].legend(fontsize=9)
            figure.savefig(folder / f"global_{model}.png")
            plt.close(figure)


def _panel(ax: Axes, question: Question, found: dict) -> None:
    """Profiles of one question."""
    for number, (group, label) in enumerate(LABELS.items()):
        if group in found:
            ax.plot(question.grid, found[group]["delta"], f"C{number}", label=label)
    ax.axhline(threshold(LEVEL, 1), color="0.6", linewidth=1.0, linestyle=":")
    ends = [x for g in found.values() for piece in g["allowed_90"] for x in piece]
    low, high = min(ends), max(ends)
    ax.set_xlim(low - 0.1 * (high - low), high + 0.2 * (high - low))
    ax.set_ylim(0.0, 10.0)
    ax.set_xlabel(f"{question.name.partition(':')[2]} [{question.unit}]", fontsize=10)
    ax.set_ylabel(r"$\Delta\chi^2$")


def summary(question: Question, found: dict[str, dict]) -> str:
    """One line: allowed sets of all groups."""
    parts = []
    for group, entry in found.items():
        pieces = " u ".join(f"[{a:.3g}, {b:.3g}]" for a, b in entry["allowed_90"])
        parts.append(f"{group} {pieces}")
    return f"{question.name} ({question.unit}): " + "; ".join(parts)


if __name__ == "__main__":
    main()
