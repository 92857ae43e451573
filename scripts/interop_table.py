"""Ask every tool for the same numbers and write the table of ``docs/interoperability.md``.

The likelihood is the combined XENONnT and PandaX-4T one with the universal magnetic moment,
parameter of interest ``mu2_universal`` (the moment squared in units of 1e-18 mu_B^2)::

    python scripts/interop_table.py                          # what is installed here
    HISTNU_ROOT_PYTHON=/path/to/python python scripts/interop_table.py

``HISTNU_<TOOL>_PYTHON`` (PYHF, CABINETRY, SPEY, PYHS3, ROOT) names the interpreter of another
environment that has the tool.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
PAGE = SCRIPTS.parent / "docs" / "interoperability.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MODULES = {"pyhf": "pyhf", "cabinetry": "cabinetry", "spey": "spey_pyhf", "pyhs3": "pyhs3"}
MODULES |= {"root": "ROOT"}
ANALYSIS, MEASUREMENT = "magnetic_moment_combined", "mu2_universal"
POINTS = (0.5, 1.0, 2.0)
COLUMNS = ("cls_90", "cls_95", "profile_90")


def write_inputs(folder: Path) -> None:
    """Write workspace, HS3 document and PatchSet of the compared likelihood."""
    from histnu.analysis.assemble import assemble
    from histnu.analysis.schema import load_analysis
    from histnu.core.serialize import write_json
    from histnu.export.hs3 import write_hs3
    from histnu.physics.models.protocol import linear
    from histnu.workspace.grids import make_grid
    from histnu.workspace.patchset import Basis, PatchSetInfo, build_patchset, reference_for

    assembly = assemble(load_analysis(ANALYSIS))
    chosen = [m for m in assembly.workspace["measurements"] if m["name"] == MEASUREMENT]
    workspace = {**assembly.workspace, "measurements": chosen}
    write_json(folder / "workspace.json", workspace)
    write_hs3(workspace, folder / "hs3.json")
    info = PatchSetInfo(
        "moments", "universal moment", reference_for([e.inspire for e in assembly.experiments])
    )
    basis = Basis(assembly.workspace, assembly.polynomial)
    build_patchset(
        folder / "grid",
        make_grid(assembly.model, "mu_universal", [("mu_universal", linear(0.0, 2.0, 5))]),
        basis,
        info,
    )
    os.replace(folder / "grid" / "workspace.json", folder / "background.json")
    os.replace(folder / "grid" / "patchset.json", folder / "patchset.json")


def ours(folder: Path) -> dict[str, object]:
    """histnu's numbers, from its batched engine."""
    import histnu
    from histnu.core.serialize import read_json
    from histnu.inference.cls import cls_limit
    from histnu.inference.engine import BatchedLikelihood
    from histnu.inference.limits import interval
    from histnu.inference.profile import profile

    document = read_json(folder / "workspace.json")
    likelihood = BatchedLikelihood.from_workspace(document, measurement=MEASUREMENT)
    return {
        "tool": "histnu",
        "version": histnu.__version__,
        "q": profile(likelihood, None, MEASUREMENT, POINTS).delta_twice_nll.tolist(),
        "profile_90": interval(likelihood, None, MEASUREMENT, 0.9).upper,
        "cls_90": cls_limit(likelihood, None, MEASUREMENT, 0.90).upper,
        "cls_95": cls_limit(likelihood, None, MEASUREMENT, 0.95).upper,
    }


def interpreter(tool: str) -> str | None:
    """The Python that has a tool: ``HISTNU_<TOOL>_PYTHON``, else this one, else None."""
    chosen = os.environ.get(f"HISTNU_{tool.upper()}_PYTHON")
    if chosen:
        return chosen
    return sys.executable if importlib.util.find_spec(MODULES[tool]) else None


def ask(tool: str, folder: Path) -> dict[str, object]:
    """The numbers of one tool."""
    python = interpreter(tool)
    assert python is not None
    if tool == "root":
        command = [python, str(SCRIPTS / "interop_root.py"), str(folder / "workspace.json")]
        command += ["--measurement", MEASUREMENT, "--hs3", str(folder / "hs3.json")]
    else:
        command = [python, str(SCRIPTS / "interop_tools.py"), tool, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"{tool}: no result; {done.stderr.strip()[-2000:]}")
    return dict(json.loads(lines[-1].removeprefix("RESULT ")))


def row(result: dict[str, object], reference: dict[str, object]) -> str:
    """One row: numbers, and their largest relative difference from ours."""
    cells = [f"{result['tool']} {result['version']}"]
    differences = []
    for key in COLUMNS:
        value, known = result.get(key), reference[key]
        cells.append("-" if value is None else f"{value:.5f}")
        if value is not None:
            differences.append(abs(value / known - 1.0))
    q = result.get("q")
    cells.append("-" if q is None else ", ".join(f"{v:.5f}" for v in q))
    cells.append(f"{max(differences):.1e}" if differences else "-")
    worst = None if q is None else max(abs(a - b) for a, b in zip(q, reference["q"], strict=True))
    cells.append("-" if worst is None else f"{worst:.1e}")
    return "| " + " | ".join(cells) + " |"


def table(results: list[dict[str, object]]) -> str:
    """The table; the first result is ours."""
    head = ("tool", "CLs 90 %", "CLs 95 %", "profile 90 %", "q(0.5), q(1), q(2)")
    head += ("largest relative difference of a limit", "largest difference of q")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + [row(r, results[0]) for r in results])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--print", action="store_true", help="print instead of writing the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        results = [ours(folder)]
        for tool in MODULES:
            if interpreter(tool) is None:
                print(f"{tool} is not installed: left out", file=sys.stderr)
                continue
            results.append(ask(tool, folder))
    text = table(results)
    if options.print:
        print(text)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
