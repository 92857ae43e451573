"""Documentation that can be wrong: links, and the README's example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_readme_example(capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})
    printed = float(capsys.readouterr().out)
    stated = float(re.search(r"# ([0-9.]+), in", blocks[0]).group(1))
    assert printed == pytest.approx(stated, abs=5e-4)  # three decimals are stated


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
    import yaml

    from histnu.experiments.schema import ExperimentSection

    page = (ROOT / "docs" / "experiments.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    section = ExperimentSection.model_validate(yaml.safe_load(blocks[0]))
    assert section.channels[0].backgrounds[0].shapes[0].up == [3.3, 1.1]


def test_tables_of_coherent_are_those_of_the_numbers():
    """docs/coherent.md shows what its JSON files say."""
    import json

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
