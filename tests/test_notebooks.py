"""The notebooks run from top to bottom, and are stored without outputs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, monkeypatch, tmp_path):
    """Execute the code cells in one namespace; figures go nowhere."""
    import matplotlib

    matplotlib.use("Agg", force=True)
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "__main__"}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), namespace)
    plt.close("all")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_without_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_is_a_lesson(path):
    """Text between the steps, figures, and exercises whose solution (hidden) is executed, too."""
    cells = json.loads(path.read_text())["cells"]
    assert any("## Exercises" in "".join(c["source"]) for c in cells)
    assert "hide-cell" in cells[-1]["metadata"]["tags"]
    assert "assert" in "".join(cells[-1]["source"])
    assert any("plt.subplots" in "".join(c["source"]) for c in cells)
    assert sum(c["cell_type"] == "markdown" for c in cells) >= 5


def test_there_are_five():
    assert len(NOTEBOOKS) == 5


BROWSER = """
import json, subprocess, sys, threading

def refuse(*a, **k):
    raise RuntimeError("no threads, no processes")

threading.Thread.start = subprocess.Popen.__init__ = refuse
for name in ("_multiprocessing", "uproot", "awkward", "cramjam"):
    sys.modules[name] = None
import matplotlib
matplotlib.use("Agg")
import sysconfig; sysconfig.get_config_vars()  # read on Linux before the name changes
import IPython.display
sys.platform = "emscripten"
for cell in json.load(open(sys.argv[1]))["cells"]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "code" and "piplite" not in source:
        exec(compile(source, "compute.ipynb", "exec"), globals())
print(json.dumps([profile.upper, cls.upper, list(scan.delta_twice_nll)]))
"""


@pytest.mark.slow
def test_notebook_of_the_browser_runs_without_processes_and_threads(tmp_path):
    """Its cells, where no process and no thread can be started and uproot is not there."""
    pytest.importorskip("IPython")
    shutil.copytree(ROOT / "workspaces" / "magnetic_moment_xenonnt", tmp_path / "likelihood")
    script = tmp_path / "browser.py"
    script.write_text(BROWSER)
    done = subprocess.run(
        [sys.executable, script, ROOT / "notebooks" / "browser" / "compute.ipynb"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    profile, cls, delta = json.loads(done.stdout.splitlines()[-1])
    # the same questions on the command line: docs/plain_statistics.md
    assert (profile, cls) == pytest.approx((1.03256, 1.05408), abs=1e-5)
    assert delta[0] == pytest.approx(0.0, abs=1e-6)  # the best fit is at the bound 0
    assert (tmp_path / "scan.png").stat().st_size > 10_000
