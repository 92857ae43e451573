"""The example package, installed beside histnu in an environment of its own."""

from __future__ import annotations

import ast
import json
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hatchling", reason="builds the example package without network")

NAME = "heavy_photon_example"
COMMANDS = """
import contextlib, io, json, sys
from histnu.cli.main import main
answer = sys.stdout
for line in sys.stdin:
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(json.loads(line))
        except SystemExit as stop:
            status = stop.code
    print(json.dumps([status or 0, out.getvalue(), err.getvalue()]), file=answer, flush=True)
"""
"""Runs one command line after the other: the imports are made once."""


@pytest.fixture(scope="module")
def example(project_root) -> Path:
    return project_root / "examples" / "histnu-example"


@pytest.fixture(scope="module")
def run(tmp_path_factory, example):
    """The command line of an environment in which the example is installed."""
    folder = tmp_path_factory.mktemp("third_party")
    shutil.copytree(example, folder / "source")
    venv.create(folder / "venv")
    python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    where = "import site; print(site.getsitepackages()[0])"
    theirs = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    ours = "; ".join(f"site.addsitedir({p!r})" for p in site.getsitepackages())
    (Path(theirs.stdout.strip()) / "project.pth").write_text(f"import site; {ours}\n")
    install = ("install", "-q", "--no-deps", "--no-build-isolation", "--no-index")
    pip = [sys.executable, "-m", "pip", "--python", python]
    subprocess.run([*pip, *install, folder / "source"], check=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([python, "-c", COMMANDS], cwd=folder, **pipes) as process:

        def call(*arguments) -> str:
            print(json.dumps(list(map(str, arguments))), file=process.stdin, flush=True)
            status, out, err = json.loads(process.stdout.readline())
            assert status == 0, err
            return out

        yield call
        process.stdin.close()


@pytest.fixture(scope="module")
def built(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    run("build", NAME, "--set", "m_a=3", "-o", folder)
    return folder


def test_less_than_forty_lines(example):
    text = (example / "histnu_example" / "__init__.py").read_text()
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            documented |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), 1)
    assert sum(bool(line.strip()) and i not in documented for i, line in lines) < 40


@pytest.mark.slow
def test_list(run):
    found = json.loads(run("list", "--json"))
    named = {kind: {row["name"]: row for row in rows} for kind, rows in found.items()}
    assert named["models"]["heavy_photon"]["held"] == ["m_a [MeV]"]
    assert named["experiments"]["example_detector"]["recoil"] == "nuclear, electron"
    assert named["analyses"][NAME]["needs"] == []


@pytest.mark.slow
def test_build_has_both_recoils_and_the_background_of_the_root_file(built):
    document = json.loads((built / "workspace.json").read_text())
    samples = {
        c["name"]: {s["name"]: s["data"] for s in c["samples"]} for c in document["channels"]
    }
    assert samples["example_nr"]["neutron"] == [6.0, 4.0, 3.0, 4.0]
    assert {"cevns", "kappa_linear", "kappa_squared"} <= set(samples["example_nr"])
    assert {"eves_pp", "kappa_linear_pp", "kappa_squared_b8"} <= set(samples["example_er"])
    # destructive interference for a positive charge, on nuclei
    assert max(samples["example_nr"]["kappa_linear"]) < 0
    assert json.loads((built / "manifest.json").read_text())["options"]["held"] == {"m_a": 3.0}


@pytest.mark.slow
def test_limit(run, built):
    found = json.loads(run("limit", built, "--poi", "kappa", "--json"))
    assert found["lower"] < 0 < found["upper"]
    assert found["unit"] == "1e-8 e" and found["provenance"] == "reconstructed"


def test_massless_boson_is_a_universal_millicharge():
    """At m_a = 0 the spectra are those of three equal diagonal charges, summed over flavours."""
    import importlib.util

    from histnu.physics.models.millicharge import Millicharge
    from histnu.physics.nuclei import XENON
    from histnu.physics.scattering import Scattering
    from histnu.sources.solar import solar_source

    path = Path(__file__).parents[2] / "examples/histnu-example/histnu_example/__init__.py"
    spec = importlib.util.spec_from_file_location("histnu_example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    t = np.array([0.6, 1.0, 3.0])
    for recoil in ("nuclear", "electron"):
        scattering = Scattering(recoil, solar_source("b8"), XENON)
        charges = Millicharge().basis_spectra(scattering, t)
        massless = module.HeavyPhoton().basis_spectra(scattering, t)
        for mine, theirs in (("kappa_linear", "q_lin"), ("kappa_squared", "q_sq")):
            total = sum(charges[f"{theirs}_{f}"] for f in ("e", "mu", "tau"))
            assert massless[mine] == pytest.approx(total, rel=1e-12)


@pytest.mark.slow
def test_contour_in_the_mass(run):
    arguments = ("contour", NAME, "--x", "m_a", "--y", "kappa", "--x-range", "1", "100")
    found = json.loads(run(*arguments, "--points", "5", "--json"))
    assert found["x"] == {"name": "m_a", "unit": "MeV"}
    lower, upper = found["lower"], found["upper"]
    assert lower[-1] < lower[0] < 0 < upper[0] < upper[-1]
    # beyond sqrt(2 m T) = 16 to 27 MeV the propagator falls like 1/m_a^2; the interference
    # dominates there, so that the bound rises like m_a^2: (100/31.6)^2 = 10, over 20 % of shape
    # (at 100 MeV the upper end is that of a second solution, an amplitude of the other sign)
    ratio = lower[-1] / lower[-2]
    assert 5.0 < ratio < 11.0


@pytest.mark.slow
def test_grid(run, tmp_path):
    run("build", NAME, "--grid", "m_a_kappa", "-o", tmp_path)
    patchset = json.loads((tmp_path / "patchset.json").read_text())
    assert patchset["metadata"]["labels"] == ["m_a", "kappa"]
    assert len(patchset["patches"]) == 9 * 21
    assert "0 errors" in run("validate", tmp_path / "patchset.json")


@pytest.mark.slow
def test_joint_with_real_data(run, tmp_path):
    run("build", "heavy_photon_all", "--set", "m_a=0.1", "-o", tmp_path)
    document = json.loads((tmp_path / "workspace.json").read_text())
    names = [c["name"] for c in document["channels"]]
    assert names == ["example_nr", "example_er", "xenonnt_sr01", "lz_er_ws2024"]


@pytest.mark.slow
def test_hepdata(run, built, tmp_path):
    pytest.importorskip("hepdata_lib")
    run("export", built, "--to", "hepdata", "-o", tmp_path)
    assert (tmp_path / "submission.tar.gz").stat().st_size > 1000
