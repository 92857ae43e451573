"""Documentation that can be wrong: links, and the README's example."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("[!_]*.md"))]
PAGES += sorted((ROOT / "docs").glob("tutorials/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        # what the build generates, scripts/check_site.py checks in the built site
        if not target.startswith(("http", "/_generated", "_generated")):
            assert (page.parent / target).exists(), target


def helper(name):
    """A module of docs/_ext."""
    path = ROOT / "docs" / "_ext" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_kind_of_figure_is_in_the_gallery():
    from histnu.cli.plot import KINDS

    entries = yaml.safe_load((ROOT / "docs" / "gallery.yaml").read_text())
    assert set(entries) == set(KINDS)
    for kind, entry in entries.items():
        words = entry["command"].split()
        assert words[:3] == ["histnu", "plot", kind]
        assert words[-2:] == ["-o", f"{kind}.png"]


def test_errors_of_the_faq_are_errors():
    """Every session of the page has to end with exit status 2; the build runs them."""
    page = (ROOT / "docs" / "faq.md").read_text()
    sessions = re.findall(r"```\{run\}\n(.*?)```", page, flags=re.S)
    assert len(sessions) > 8
    assert all(s.startswith(":exit: 2\n") for s in sessions)


def test_packages_of_the_browser_are_shipped_or_pure():
    """All that histnu needs in Pyodide is shipped by it or pure Python, in versions that fit."""
    needs = helper("browser_needs")
    assert set(needs.needed().values()) == {"Pyodide", "pure Python"}
    shipped, pinned = needs.lock()["packages"], needs.lock()["pinned"]
    wanted = {name: list(needs.requirements(name, frozenset())) for name in needs.pure()}
    # a newer version of a pinned package needs what this Pyodide has not
    for text, requires in pinned.items():
        wanted[Requirement(text).name] = [Requirement(r) for r in requires]
    for name, requires in {**wanted, "histnu": needs.requirements("histnu", frozenset())}.items():
        for r in requires:
            if r.name in shipped:
                assert r.specifier.contains(shipped[r.name]), (name, str(r), shipped[r.name])
    # the one that is left out is left out for a reason: what it needs is neither
    assert {"awkward-cpp", "cramjam"}.isdisjoint(shipped)


def test_notebook_of_the_browser_installs_what_histnu_needs():
    needs = helper("browser_needs")
    cells = json.loads((ROOT / "notebooks" / "browser" / "compute.ipynb").read_text())["cells"]
    source = "".join(cells[1]["source"])
    words = set(re.findall(r'"([a-z=.0-9-]+)"', source)) - {"histnu"}
    assert {w for w in words if "=" in w} == set(needs.lock()["pinned"])
    installed = {Requirement(w).name for w in words}
    wanted = {r.name for r in needs.requirements("histnu", frozenset())} - {needs.LEFT_OUT}
    assert installed == wanted
    assert '"histnu", deps=False' in source


@pytest.mark.skipif("HISTNU_SITE" not in os.environ, reason="needs the built site (make site)")
def test_site_has_the_notebook_of_the_browser_and_its_wheel():
    """JupyterLite fails in silence where its content is missing (pyhf issue 2745)."""
    lite = ROOT / os.environ["HISTNU_SITE"] / "lite"
    files = json.loads((lite / "api" / "contents" / "all.json").read_text())["content"]
    assert {"compute.ipynb", "likelihood"} <= {f["name"] for f in files}
    notebook = json.loads((lite / "files" / "compute.ipynb").read_text())
    assert "histnu.load" in "".join("".join(c["source"]) for c in notebook["cells"])
    document = json.loads((lite / "files" / "likelihood" / "workspace.json").read_text())
    assert document["channels"][0]["name"] == "xenonnt_sr01"
    index = json.loads(
        next(lite.glob("static/pypi/all.json"), lite / "pypi" / "all.json").read_text()
    )
    (release,) = index["histnu"]["releases"].values()
    wheel = next(lite.rglob(release[0]["filename"]))
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == release[0]["digests"]["sha256"]
    assert (lite / "notebooks" / "index.html").is_file()
    assert "piplite" in (lite / "jupyter-lite.json").read_text()


def test_readme_example(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})
    printed = float(capsys.readouterr().out)
    stated = float(re.search(r"# ([0-9.]+), in", blocks[0]).group(1))
    assert printed == pytest.approx(stated, abs=5e-4)  # three decimals are stated


def test_commands_of_the_readme_are_commands():
    """Every command that the README shows exists and takes the options shown."""
    from histnu.cli.main import cli

    text = (ROOT / "README.md").read_text()
    shown = re.findall(r"^    histnu (.*?)(?:  .*)?$", text, flags=re.M)
    assert len(shown) > 10
    for line in shown:
        name, *words = line.split()
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        options = {o for p in command.params for o in p.opts}
        assert {w for w in words if w.startswith("-")} <= options, line
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"(?:^    |`)make (\w+)", text, flags=re.M)) <= targets


def test_readme_table_is_current():
    """The README's table holds the numbers that the code gives today."""
    from histnu.analysis.target import load_target
    from histnu.studies.schema import load_study
    from histnu.studies.tables import Writer
    from histnu.verbs import limit

    study = load_study("deromeri2024").study
    written = Writer({"study": study.model_dump(mode="json")})
    text = (ROOT / "README.md").read_text()
    for parameter, experiment, label in (
        ("mu_e", "combined", "combined‡"),
        ("mu_universal", "xenonnt", "XENONnT†"),
        ("q_ee", "xenonnt", "XENONnT†"),
    ):
        model = "millicharge" if parameter.startswith("q_") else "magnetic_moment"
        bound = limit(load_target(f"{model}_{experiment}"), parameter)
        symbol = written.symbol(parameter).replace("|", "\\|")
        ours = written.interval(parameter, bound.lower, bound.upper, ".2f")
        pattern = rf"\| {re.escape(symbol)} \| [^|]* \| {label} \| {re.escape(ours)} \|"
        assert re.search(pattern, text), (symbol, ours)


def test_experiment_page_shows_a_valid_file(tmp_path):
    """The YAML of docs/experiments.md obeys the schema (its tables are not there)."""
    from histnu.experiments.schema import ExperimentSection

    page = (ROOT / "docs" / "experiments.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    section = ExperimentSection.model_validate(yaml.safe_load(blocks[0]))
    assert section.channels[0].backgrounds[0].shapes[0].up == [3.3, 1.1]


def test_tables_of_coherent_are_those_of_the_numbers():
    """docs/coherent.md shows what its JSON files say."""
    page = (ROOT / "docs" / "coherent.md").read_text()
    numbers = json.loads((ROOT / "docs" / "coherent_dipole.json").read_text())
    for kind in ("ratio", "ratio_with_lz"):
        for parameter in ("mu_e", "mu_mu"):
            cells = [f"{numbers[kind][parameter][m]:.2f}" for m in ("0.01", "1", "5", "10")]
            row = re.compile(r"\| " + r".*\| ".join(map(re.escape, cells)) + r" \|")
            assert row.search(page), (kind, parameter)
    for name, rows in json.loads((ROOT / "docs" / "coherent.json").read_text()).items():
        assert f"{rows['nominal']['predicted']:.1f}" in page, name
        assert f"{rows['nominal']['events']:.1f}" in page, name
