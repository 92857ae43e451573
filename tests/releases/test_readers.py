"""Readers refuse everything that is not what a release holds, naming file and field."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from full_validation import read_recoil_spectrum

from histnu.core.errors import DataError
from histnu.releases.readers import (
    count_events,
    read_binning,
    read_curve,
    read_matching,
    read_parameters,
    read_template,
)

EDGES = (np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 1.0, 2.0]))


def template(path: Path, contents: np.ndarray, edges=EDGES) -> Path:  # type: ignore[no-untyped-def]
    with h5py.File(path, "w") as file:
        file["templates/template"] = contents
        for i, axis in enumerate(edges):
            file[f"bins/{i}"] = axis
    return path


def test_template_round_trip(tmp_path: Path) -> None:
    contents = np.arange(6.0).reshape(2, 3)
    path = template(tmp_path / "t.h5", contents)
    found = read_template(path, (2, 3))
    assert np.array_equal(found.contents, contents)
    assert read_matching(path, (2, 3), EDGES).tolist() == contents.ravel().tolist()


@pytest.mark.parametrize(
    ("contents", "edges", "message"),
    [
        (np.ones((3, 2)), EDGES, "has shape"),
        (np.array([[1.0, np.nan, 0], [0, 0, 0]]), EDGES, "NaN"),
        (-np.ones((2, 3)), EDGES, "negative"),
        (np.ones((2, 3)), (EDGES[0][::-1].copy(), EDGES[1]), "increasing edges"),
    ],
)
def test_bad_templates(contents, edges, message, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = template(tmp_path / "t.h5", contents, edges)
    with pytest.raises(DataError, match=message) as caught:
        read_template(path, (2, 3))
    assert "t.h5" in str(caught.value)


@pytest.mark.parametrize("content", ["text", h5py.Empty("f"), None], ids=["text", "empty", "group"])
def test_something_else_in_place_of_a_template(content, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with h5py.File(tmp_path / "t.h5", "w") as file:
        if content is None:
            file.create_group("templates/template")
        else:
            file["templates/template"] = content
    with pytest.raises(DataError, match=r"t\.h5: is not a template"):
        read_template(tmp_path / "t.h5", (2, 3))


def test_other_edges_missing_and_truncated(tmp_path: Path) -> None:
    path = template(tmp_path / "t.h5", np.ones((2, 3)))
    with pytest.raises(DataError, match="differ"):
        read_matching(path, (2, 3), (EDGES[0] + 0.1, EDGES[1]))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="is not a template"):
        read_template(path, (2, 3))
    with pytest.raises(DataError, match="is missing"):
        read_template(tmp_path / "none.h5", (2, 3))


def test_events_are_counted_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(",x\n0,0.5\n1,1.5\n2,1.6\n")
    assert count_events(path, {"x": EDGES[0]}).tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="2 events are outside"):
        count_events(path, {"x": np.array([0.0, 1.0])})
    with pytest.raises(DataError, match="missing column"):
        count_events(path, {"y": EDGES[0]})


def test_binning_curve_spectrum_and_parameters(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text("x: [0, 1, 1]\n")
    with pytest.raises(DataError, match="increasing"):
        read_binning(path)
    curve = {"coordinate_system": [0.0, 0.5, 1.0], "map": [1.0, 2.0, 3.0], "rate": 4.0}
    file = tmp_path / "c.json"
    file.write_text(json.dumps(curve))
    assert read_curve(file)[1].tolist() == [1.0, 2.0, 3.0]
    energy, rate = read_recoil_spectrum(file)
    assert np.trapezoid(rate, energy) == pytest.approx(4.0)  # the total rate, exactly for a line
    file.write_text(json.dumps(curve | {"rate": -1}))
    with pytest.raises(DataError, match="positive rate"):
        read_recoil_spectrum(file)
    file.write_text(json.dumps(curve | {"map": [1.0]}))
    with pytest.raises(DataError, match="is not a curve"):
        read_curve(file)
    path.write_text("parameter_definition: {a: {nominal_value: x}}\n")
    with pytest.raises(DataError, match=r"parameter_definition\.a"):
        read_parameters(path)
