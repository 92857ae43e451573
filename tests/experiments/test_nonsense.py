"""Numbers that are none, in experiment, analysis and table files: refused by loading, by
``validate`` and by ``build`` with the field and the mend."""

from __future__ import annotations

import shutil

import pytest

from histnu.analysis.spectrum_table import read_spectra
from histnu.analysis.validation import check_file
from histnu.core.errors import DataError, HistnuError
from histnu.core.tables import data_path, read_csv
from histnu.experiments.loader import load_experiment


@pytest.fixture
def folder(tmp_path):
    """An editable copy of ``xenonnt_sr01``."""
    shutil.copytree(data_path("experiments/xenonnt_sr01"), tmp_path / "mine")
    return tmp_path / "mine"


EXPOSURE, RELATIVE, EDGES = "value: 3.516991", "relative: 0.048", "edges: [0, 1, 2, 3]"
COUNTS = "counts: rates.csv:observed"

TEXTS = {
    "base 60": (EXPOSURE, "value: 1:30", "exposure.value: Input should be a valid number"),
    "base 8": (EXPOSURE, "value: 017", "exposure.value: Input should be a valid number"),
    "true": (EXPOSURE, "value: true", "exposure.value: Input should be a valid number"),
    "underscore": (EXPOSURE, "value: 3_5", "exposure.value: Input should be a valid number"),
    "text": (EXPOSURE, "value: '3.5'", "exposure.value: Input should be a valid number"),
    "huge exposure": (EXPOSURE, "value: 1e300", "exposure.value: Input should be less than"),
    "twice": (EXPOSURE, f"value: 1.0\n      {EXPOSURE}", "the key 'value' appears twice"),
    "sigma zero": (RELATIVE, "relative: 0", "relative: Input should be greater than 0"),
    "sigma negative": (RELATIVE, "relative: -0.1", "relative: Input should be greater than 0"),
    "edges backwards": (EDGES, "edges: [0, 2, 1, 3]", "must increase"),
    "edge nan": (EDGES, "edges: [0, 1, .nan, 3]", "observable.edges.2: Input should be a finite"),
    "boolean count": (COUNTS, "counts: [true, 14, 7]", "observed.counts.list"),
    "fractional count": (COUNTS, "counts: [16, 14.5, 7]", "counts.1: 14.5 is no count of events"),
    "negative count": (COUNTS, "counts: [16, -1, 7]", "counts.1: -1 is no count of events"),
    "huge count": (COUNTS, "counts: [1e300, 14, 7]", "observed.counts.list"),
    "target": ("target: xenon", "target: unobtainium", "target: unknown target 'unobtainium'"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_experiment(folder, case):
    old, new, message = TEXTS[case]
    file = folder / "experiment.yaml"
    text = file.read_text()
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(HistnuError) as caught:
        load_experiment(file)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)
    (finding,) = check_file(file)
    assert finding.severity == "error"
    assert message in finding.problem


def test_energies_in_ev(folder):
    file = folder / "response.csv"
    head, *rows = file.read_text().splitlines()
    cells = [row.split(",") for row in rows if not row.startswith("#")]
    lines = [",".join([f"{1e3 * float(c[0]):g}", *c[1:]]) for c in cells]
    file.write_text("\n".join([head, *lines]))
    with pytest.raises(DataError) as caught:
        load_experiment(folder / "experiment.yaml")
    # 2 E^2 / (m + 2 E) of 52.83 MeV on Xe124, the lightest isotope
    assert "neutrinos give up to 48.3 keV; give e_recoil_kev in keV" in str(caught.value)
    assert check_file(folder / "experiment.yaml")[0].severity == "error"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,8_4\n", "row 2, column b: '8_4' is not a finite number"),  # Python reads 84
        ("a,b\n1,٣\n", "is not a finite number"),  # and 3
        ("a,b\n1,1e999\n", "'1e999' is not a finite number"),
        ("a,b\n1,inf\n", "'inf' is not a finite number"),
        ("a,b\n1," + "9" * 5000 + "\n", "is not a finite number"),
        ("a,b\n1," + "x" * 200_000 + "\n", "field larger than field limit"),
        ("a,b\n1,2\n3\n", "row 3: has 1 values, the header 2"),
    ],
)
def test_table(tmp_path, text, message):
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_csv(file)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e_recoil_kev,s\n1,2\n2,-1\n", "s at 2 keV: -1 is no rate"),
        ("e_recoil_kev,s\n1,2\n2,1e300\n", "s at 2 keV: 1e+300 is no rate"),
        ("e_recoil_kev,s\n1,0\n2,0\n", "s: is zero everywhere"),
        ("e_recoil_kev,\n1,2\n2,1\n", "header: '' is no name of column 2"),
        ("e_recoil_kev,a b\n1,2\n2,1\n", "header: 'a b' is no name of column 2"),
        ("1,2\n2,1\n", "e_recoil_kev: missing column"),
    ],
)
def test_spectra(tmp_path, text, message):
    file = tmp_path / "s.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_spectra(file)
    assert message in str(caught.value)


ANALYSIS = """schema: histnu-analysis/1
name: mine
title: t
experiments: [{experiment}]
model: {model}
"""


@pytest.mark.parametrize(
    ("experiment", "model", "message"),
    [
        ("lz_er_ws2022", "{name: sterile_dipole}", "m4"),
        ("xenonnt_sr01", "{name: nothing}", "unknown model 'nothing'"),
        ("nothing", "{name: millicharge}", "unknown experiment 'nothing'"),
        ("xenonnt_sr01", "{name: magnetic_moment, options: {m4_mev: 1.0}}", "check its options"),
        ("xenonnt_sr01", "{name: sterile_dipole, options: {m4_mev: true}}", "valid number"),
        ("xenonnt_sr01", "{name: sterile_dipole, options: {m4_mev: 1e300}}", "m4_mev"),
        # heavier than what 8B neutrinos make on xenon: no signal at all
        ("xenonnt_sr01", "{name: sterile_dipole, options: {m4_mev: 50.0}}", "zero in every bin"),
        ("xenonnt_sr01", "{name: tabulated, table: none.csv}", "none.csv: cannot be read"),
    ],
)
def test_validate_does_what_build_does(tmp_path, experiment, model, message):
    from histnu.analysis.build import write_workspace
    from histnu.analysis.schema import load_analysis

    file = tmp_path / "mine.yaml"
    file.write_text(ANALYSIS.format(experiment=experiment, model=model))
    errors = [f for f in check_file(file) if f.severity == "error"]
    assert errors
    assert message in errors[0].problem
    with pytest.raises(HistnuError) as caught:
        write_workspace(load_analysis(file), tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_analysis_that_builds_passes(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(ANALYSIS.format(experiment="xenonnt_sr01", model="{name: millicharge}"))
    assert [f for f in check_file(file) if f.severity == "error"] == []


def test_every_mistake_of_a_file_is_named_at_once(folder, tmp_path):
    """Tables, counts and the response are looked at even where another part is wrong."""
    file = folder / "experiment.yaml"
    text = file.read_text().replace(COUNTS, "counts: [16, -1, 7]")
    text = text.replace("expected: rates.csv:ac", "expected: rates.csv:nothing", 1)
    file.write_text(text.replace("file: response.csv", "file: absent.csv", 1))
    with pytest.raises(HistnuError) as caught:
        load_experiment(file)
    message = str(caught.value)
    for part in ("absent.csv", "backgrounds.0.expected: rates.csv has no column 'nothing'",
                 "channels.0.observed.counts.1: -1 is no count of events"):  # fmt: skip
        assert part in message
    assert "\n" not in message


def test_every_mistake_of_an_analysis_is_named_at_once(tmp_path):
    file = tmp_path / "analysis.yaml"
    file.write_text(
        "schema: histnu-analysis/1\nname: a\ntitle: a\nexperiments: [nowhere, absent.yaml]\n"
        "model: {name: sterile_dipole, held: {m5: 1.0}}\n"
    )
    found = {f.path: f.problem for f in check_file(file)}
    assert set(found) == {"/model", "/experiments/0", "/experiments/1"}
    assert "m5" in found["/model"] and "unknown experiment 'nowhere'" in found["/experiments/0"]
