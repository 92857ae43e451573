"""Reports and tables from a document alone: places, paths, kinds of tables."""

from __future__ import annotations

import pytest

from histnu.core.errors import ConfigError
from histnu.studies.paths import look_up, rows_where
from histnu.studies.tables import make_table
from histnu.studies.text import report_text


def row(name, data, upper, **more):
    """A row of bounds."""
    base = {
        "id": name, "experiment": data, "provenance": "derived", "unit": "1e-9 mu_B", "dof": 1,
        "cl": 0.9, "lower": None, "upper": upper, "best_fit": -1e-9, "published": None,
        "ratio": None, "interpolation": "normsys", "correction": "none",
    }  # fmt: skip
    return {**base, **more}


@pytest.fixture
def results():
    """A small document."""
    published = {"lower": None, "upper": 2.0, "eq": "7", "experiment": "a", "source": "them"}
    return {
        "study": {
            "data": {"a": {"title": "A"}, "b": {"title": "B"}},
            "parameters": {"mu": {"symbol": "|mu|", "sides": "one"}, "q": {"symbol": "Q"}},
            "overlaps": ["a and b share events"],
        },
        "bounds": [
            row("mu", "a", 1.0, published=published, ratio=0.5),
            row("mu", "b", 3.0, provenance="reconstructed"),
            row("q", "a", 7.0, lower=-4.0, expected={"lower": -5.0, "upper": None}),
        ],
        "other": [row("mu", "a", 1.1, interpolation="linear")],
        "skipped": {},
        "rates": [],
        "versions": {"histnu": "1"},
        "inputs": {"experiments": []},
    }


def write(tmp_path, text):
    path = tmp_path / "report.md"
    path.write_text(text)
    return path


def test_bounds_say_who_published_what(results):
    table = make_table(results, "bounds", {"section": "bounds"})
    assert table.rows[0] == (
        "|mu|", "1e-9 mu_B", "A†", "< 1.00", "0.00", "< 2.00", "0.500", "Eq. 7"
    )  # fmt: skip
    assert table.rows[1][2:4] == ("B‡", "< 3.00")
    assert table.rows[2][3] == "[-4.00, 7.00] (no bound)"
    assert "\\|mu\\|" in table.markdown()  # a bar inside a cell is escaped


def test_columns_without_content_are_left_out(results):
    table = make_table(results, "bounds", {"section": "bounds", "data": "b"})
    assert len(table.header) == 5


def test_data_sets_side_by_side(results):
    table = make_table(results, "compare", {"section": "bounds", "data": "b,a", "published": "yes"})
    assert table.header == ("", "unit", "published", "B‡", "A†")
    assert table.rows[0][2:] == ("< 2.00", "< 3.00", "< 1.00")
    assert table.rows[1][3] == "-"


def test_alternatives_stand_beside_the_default(results):
    table = make_table(results, "alternatives", {"section": "other", "default": "bounds"})
    assert table.header[2:] == ("default", "linear, correction none")
    assert table.rows == (("|mu|", "A†", "< 1.00", "< 1.10"),)


def test_an_empty_table_is_no_table(results):
    assert make_table(results, "rates", {"section": "rates"}).markdown() == ""


def test_report(results, tmp_path):
    text = (
        "# T\n\n{{ value bounds[id=mu,experiment=b].upper .1f }} and "
        "{{ value bounds[id=mu,experiment=a].upper+bounds[id=q].upper .0f }}, "
        "{{ value bounds[id=nothing].upper }}\n\n{{ if skipped }}\nnever\n{{ end }}\n"
        "{{ if bounds }}\nalways\n{{ end }}\n{{ list overlaps }}\n"
    )
    found = report_text(results, write(tmp_path, text))
    assert found == "# T\n\n3.0 and 8, -\n\nalways\n- a and b share events\n"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{{ magic }}", "unknown place 'magic'; known: if, table"),
        ("{{ table bound section=bounds }}", "unknown table 'bound'; known: bounds"),
        ("{{ table bounds }}", "missing 'section'"),
        ("{{ table bounds bounds }}", "'bounds' is not of the form name=value"),
        ("{{ value bounds }}", "'bounds' is not one value"),
        ("{{ value bounds[0].upper %d }}", "Invalid format specifier"),
        ("{{ value a b c d ]] }}", "-"),
        ("{{ list everything }}", "unknown list 'everything'"),
        ('{{ table "bounds }}', "No closing quotation"),
    ],
)
def test_a_place_that_is_not_understood_is_named(results, tmp_path, place, message):
    path = write(tmp_path, f"{place}\n")
    if message == "-":
        assert report_text(results, path) == "-\n"
        return
    with pytest.raises(ConfigError) as error:
        report_text(results, path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_paths():
    document = {"a": [{"k": 1, "x": {"y": [5.0, None]}}, {"k": 2.0, "x": None, "on": True}]}
    assert look_up(document, "a[k=1].x.y[0]") == 5.0
    assert look_up(document, "a[1].k") == 2.0
    for absent in ("a[k=3].x", "a[k=2].x.y", "a[7]", "b.c", "a[0].x.y[1]", "a.k"):
        assert look_up(document, absent) is None
    assert rows_where(document["a"], "k=2,on=true") == [document["a"][1]]
    assert rows_where(document["a"], "k=word") == []
    with pytest.raises(ConfigError, match="is no path"):
        look_up(document, "a[")
