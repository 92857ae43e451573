"""Every kind of figure against its image, and against the numbers it was made from.

The images are drawn with matplotlib's own DejaVu Sans at 60 dpi. Freetype and Agg of other versions
shift glyphs and lines by fractions of a pixel, which is an RMS of 1 to 4; a curve that is missing
makes more than ``TOLERANCE`` (tested below). ``HISTNU_UPDATE_BASELINES=1`` writes them again.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.testing.compare import compare_images

from histnu.core.errors import ConfigError
from histnu.plotting import planes, prediction, spectra, statistics, studies, style
from histnu.plotting.canvas import Header, table_text, write_figure

BASELINE = Path(__file__).with_name("baseline")
TOLERANCE = 6.0
RECONSTRUCTED = Header("analysis: what was asked", "reconstructed", "a note")
X = np.linspace(-2.0, 3.0, 61)


def profile(center, width):
    return ((X - center) / width) ** 2


def scan():
    curves = (
        statistics.Curve("one", X, profile(0.5, 1.0), ((-1.145, 2.706), (2.145, 2.706)), 0.5),
        statistics.Curve("two", X, profile(0.0, 1.5), (), 0.0),
    )
    levels = {"90 % CL (1 dof)": 2.706}
    return statistics.ScanFigure("q [1e-8 e]", curves, levels, RECONSTRUCTED)


def band():
    mass = np.geomspace(0.1, 10.0, 21)
    median = 1.0 + (mass / 5.0) ** 3
    quantiles = median[:, None] * np.array([0.55, 0.72, 1.0, 1.4, 1.9])
    quantiles[-1] = np.nan
    return statistics.BandFigure(
        "m4 [MeV]", "mu [1e-9 mu_B]", mass, quantiles, 1.2 * median, (True, True), RECONSTRUCTED
    )


def ranking():
    rows = tuple(
        statistics.ImpactRow(f"nuisance_{k}", 0.4 - 0.3 * k, 0.9 - 0.1 * k,
                             (0.5 / (k + 1), -0.45 / (k + 1)), (0.4 / (k + 1), -0.38 / (k + 1)))
        for k in range(4)
    )  # fmt: skip
    free = statistics.ImpactRow("free_scale", None, None, (None, None), (0.05, -0.05))
    return statistics.ImpactsFigure("mu", (*rows, free), RECONSTRUCTED)


def correlations():
    matrix = np.array([[1.0, -0.62, 0.05], [-0.62, 1.0, 0.2], [0.05, 0.2, 1.0]])
    return statistics.CorrelationFigure(("mu", "flux", "rate"), matrix, RECONSTRUCTED)


def toys():
    rng = np.random.default_rng(0)
    sampled = np.maximum(rng.normal(size=4000), 0.0) ** 2
    return statistics.ToysFigure("$q_0$ of mu", sampled, 6.2, "half_chi2", 1, ("p = 0.01",),
                                 RECONSTRUCTED)  # fmt: skip


def nuisances():
    pulls = np.column_stack([0.3 * X, 0.1 * X**2 - 0.2, -0.2 * X])
    return statistics.NuisancesFigure("q", X, ("flux", "rate", "volume"), pulls, 0.5,
                                      {"upper end, 90 % CL": 2.1}, RECONSTRUCTED)  # fmt: skip


def plane():
    angle = np.linspace(0, 2 * np.pi, 60)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    regions = (
        planes.Region("combined*", (2 * ring,), (0.3, 0.2)),
        planes.Region("XENONnT", (3 * ring + 0.5,), (1.0, -0.5)),
        planes.Region("published", (1.5 * ring,), published=True),
    )
    return planes.PlaneFigure("q_ee [1e-8 e]", "q_mumu [1e-8 e]", regions, header=RECONSTRUCTED)


def mass():
    m4 = np.geomspace(0.1, 10.0, 31)
    line = np.column_stack([m4, 1e-9 * (1 + (m4 / 3) ** 4)])
    above = (*line.T, np.full(31, np.inf))
    regions = (planes.Region("combined*", (line,), excluded=(above,)),
               planes.Region("published", (line * [1.0, 2.0],), published=True))  # fmt: skip
    return planes.PlaneFigure("m4 [MeV]", "mu_e [mu_B]", regions, (True, True), RECONSTRUCTED)


def marked():
    """A limit: level, crossing, ends of another method and a published number."""
    marks = {"upper end, 90 % CL, CLs": 2.3, "published": 2.7}
    spec = scan()
    return dataclasses.replace(spec, curves=spec.curves[:1], marks=marks)


def numbers():
    """Published limits that are one number, against a mass."""
    return dataclasses.replace(mass(), limits=(("Borexino 2017", 5e-10), ("LZ", 2e-10)))


def many():
    """More samples than colours: none looks like another."""
    names = tuple(f"sample_{k}" for k in range(12))
    yields = np.outer(1.0 + np.arange(12) % 3, [3.0, 2.0])
    panel = prediction.Panel(
        "channel", "recoil energy [keV]", np.array([0.0, 1.0, 2.0]), names, yields,
        np.array([3.0, 2.5]), yields.sum(axis=0), np.array([70.0, 50.0]),
    )  # fmt: skip
    return prediction.PredictionFigure((panel,), RECONSTRUCTED)


STUDY = {
    "study": {
        "data": {
            "one": {"title": "one", "color": "#1f3b8a", "linestyle": "-."},
            "both": {"title": "both", "color": "#ffa90e", "linestyle": "-", "linewidth": 3.8},
        },
        "parameters": {"m4": {"latex": "$m_4$"}},
    },
    "bounds": [
        {
            "id": "dipole", "experiment": name, "provenance": "reconstructed", "cl": 0.9, "dof": 2,
            "unit": "1e-9 mu_B", "x": {"name": "m4", "unit": "MeV"},
            "m4_mev": [0.001, 0.1, 1.0, 10.0], "upper": [2.0, 2.0, 3.0, None],
        }
        for name in ("one", "both")
    ],
    "contours": [
        {
            "id": "x-y", "experiment": name, "provenance": "derived", "cl": 0.9, "dof": 2,
            "x": {"name": "x", "unit": "1"}, "y": {"name": "y", "unit": "1"},
            "best_fit": [k, 0.0], "polylines": [[[-1, k], [1, -1], [1 + k, 1], [-1, k]]],
        }
        for k, name in enumerate(("one", "both"))
    ],
    "spectra": [
        {
            "id": "one", "experiment": "one", "provenance": "derived", "signal": [[4.0, 2.0]],
            "channels": [{"edges": [1.0, 2.0, 4.0], "observed": [12.0, 20.0],
                          "signal": [3.0, 3.0], "background": [6.0, 18.0]}],
        }
    ],
}  # fmt: skip
SECTION = {"data": None, "columns": 1, "size": (4.5, 4.6)}


def drawing(section, **more):
    """One figure of a study."""
    from histnu.plotting.studies import Drawing

    return lambda: Drawing(STUDY, {**SECTION, "section": section, **more})


STUDY_KINDS = {
    "mass_curves": drawing(
        "bounds", panels=[{"id": "dipole", "title": "e", "xlim": [0.001, 20]}],
        ylabel="mu", ylim=[1e-11, 1e-7], published=["borexino_2017", "neff_2022"],
    ),
    "regions": drawing("contours", panels=[{"id": "x-y", "xlim": None}]),
    "spectra": drawing("spectra", panels=[{"id": "one"}]),
}  # fmt: skip


def recoils():
    e = np.geomspace(0.05, 5.0, 80)
    found = (
        spectra.Spectrum("Standard Model", 1e3 * np.exp(-2 * e), True),
        spectra.Spectrum("mu2_e", 200 / e * np.exp(-2 * e)),
        spectra.Spectrum("q_lin_e", -300 / e * np.exp(-2.5 * e)),
    )
    return spectra.SpectraFigure(e, found, RECONSTRUCTED)


def response():
    e = np.linspace(0.3, 5.0, 50)
    rows = np.stack([0.1 * np.exp(-((e - c) ** 2)) for c in (1.0, 2.0)])
    panel = spectra.ResponsePanel("XENONnT SR0 + SR1", e, rows, ("bin 1", "bin 2"))
    return spectra.ResponseFigure((panel,), RECONSTRUCTED)


def fit():
    yields = np.array([[20.0, 12.0, 5.0], [6.0, 8.0, 3.0], [2.0, 4.0, 3.0]])
    panel = prediction.Panel(
        "XENONnT SR0 + SR1", "cS2 [PE]", np.array([90.0, 170.0, 250.0, 500.0]),
        ("ac", "er", "signal"), yields, np.array([3.0, 2.5, 1.5]), yields[:2].sum(axis=0),
        np.array([31.0, 19.0, 14.0]), yields.sum(axis=0) + 6.0,
    )  # fmt: skip
    numbered = dataclasses.replace(panel, title="PandaX-4T", edges=None, x="bin", overlay=None)
    return prediction.PredictionFigure(
        (panel, numbered), RECONSTRUCTED, "at the 90 % CL limit", ("signal",)
    )


KINDS = {
    "scan": (scan, statistics.draw_scan),
    "band": (band, statistics.draw_band),
    "impacts": (ranking, statistics.draw_impacts),
    "correlation": (correlations, statistics.draw_correlation),
    "toys": (toys, statistics.draw_toys),
    "nuisances": (nuisances, statistics.draw_nuisances),
    "plane": (plane, planes.draw_plane),
    "mass": (mass, planes.draw_plane),
    "spectra": (recoils, spectra.draw_spectra),
    "response": (response, spectra.draw_response),
    "fit": (fit, prediction.draw_prediction),
    "marked": (marked, statistics.draw_scan),
    "numbers": (numbers, planes.draw_plane),
    "many": (many, prediction.draw_prediction),
}
STUDY_FIGURES = {f"study_{k}": (make, studies.KINDS[k]) for k, make in STUDY_KINDS.items()}
KINDS |= STUDY_FIGURES


@pytest.fixture
def plain(monkeypatch):
    """matplotlib's own font, and small images."""
    for key, value in {"figure.dpi": 60, "savefig.dpi": 60, "font.family": "DejaVu Sans"}.items():
        monkeypatch.setitem(style.SIZES, key, value)


def difference(expected, actual):
    """RMS of two images of one size; infinite for two sizes."""
    from matplotlib.testing.exceptions import ImageComparisonFailure

    try:
        found = compare_images(str(expected), str(actual), tol=0.0, in_decorator=True)
    except ImageComparisonFailure:
        return np.inf
    return 0.0 if found is None else found["rms"]


SHORT = ("scan", "mass", "band")
"""Figures of the quick suite, one of each sort."""


@pytest.mark.parametrize(
    "kind", [k if k in SHORT else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_image(kind, plain, tmp_path):
    make, draw = KINDS[kind]
    image, numbers = draw(make(), tmp_path / f"{kind}.png")
    assert len(read(numbers)) >= 2
    baseline = BASELINE / f"{kind}.png"
    if os.environ.get("HISTNU_UPDATE_BASELINES"):
        shutil.copy(image, baseline)
    expected = shutil.copy(baseline, tmp_path / "expected.png")  # differences are written beside it
    assert difference(expected, image) < TOLERANCE


def test_a_missing_curve_is_seen(plain, tmp_path):
    """What the tolerance must not hide: of each figure one curve, row or sample is left out."""
    full = plane()
    planes.draw_plane(dataclasses.replace(full, regions=full.regions[1:]), tmp_path / "a.png")
    expected = shutil.copy(BASELINE / "plane.png", tmp_path / "expected.png")
    assert difference(expected, tmp_path / "a.png") > TOLERANCE
    curves = scan()
    statistics.draw_scan(dataclasses.replace(curves, curves=curves.curves[:1]), tmp_path / "b.png")
    expected = shutil.copy(BASELINE / "scan.png", tmp_path / "expected.png")
    assert difference(expected, tmp_path / "b.png") > TOLERANCE


def test_a_broad_line_lies_below_the_narrow_one_it_would_hide(plain):
    one, both = (STUDY_KINDS["mass_curves"]().style(r) for r in STUDY["bounds"])
    assert both["linewidth"] > 1.8 and both["zorder"] < 2 < 2.01 and "zorder" not in one


def test_no_two_samples_look_the_same():
    names = [f"s{k}" for k in range(25)]
    looks = prediction._colors(names, names[-2:])
    assert len(set(looks.values())) == 25 and list(looks) == names


@pytest.mark.slow
def test_numbers_of_a_study_figure_are_beside_it(plain, tmp_path):
    files = studies.KINDS["spectra"](STUDY_KINDS["spectra"](), tmp_path / "s.png")
    table = read(files[-1])
    # (12 - 9) / sqrt(9), (20 - 21) / sqrt(21)
    assert [float(p) for p in table["pull"]] == pytest.approx([1.0, -1 / np.sqrt(21)])
    files = studies.KINDS["mass_curves"](STUDY_KINDS["mass_curves"](), tmp_path / "m.png")
    assert read(files[-1])["upper"][:4] == ["2e-09", "2e-09", "3e-09", ""]


def read(path):
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {k: [r[k] for r in rows] for k in rows[0]}


# each way of drawing once: a format fails with an artist, not with its data. The figures of
# studies are drawn in every format where the studies are tested.
WAYS = {draw: kind for kind, (_, draw) in reversed(KINDS.items()) if kind not in STUDY_FIGURES}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(WAYS.values()))
def test_numbers_are_beside_the_figure(kind, plain, tmp_path):
    make, draw = KINDS[kind]
    files = draw(make(), tmp_path / "figure")
    assert [f.name for f in files] == ["figure.png", "figure.pdf", "figure.svg", "figure.csv"]
    assert all(f.stat().st_size > 50 for f in files)
    assert len(read(files[-1])) >= 2


def test_numbers_are_those_drawn(plain, tmp_path):
    spec = band()
    table = read(statistics.draw_band(spec, tmp_path / "band.png")[-1])
    written = np.array([float(v or "nan") for v in table["expected_median"]])
    np.testing.assert_allclose(written, spec.expected[:, 2], rtol=1e-9)
    spec = fit()
    table = read(prediction.draw_prediction(spec, tmp_path / "fit.png")[-1])
    np.testing.assert_allclose([float(v) for v in table["observed"][:3]], spec.panels[0].observed)
    expected = (31 - 28) / np.sqrt(28 + 9)
    assert float(table["pull"][0]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_toys_are_normalised_to_the_asymptotic_distribution(tmp_path, plain):
    """Both columns are fractions per bin; the asymptotic one misses only its tail."""
    table = read(statistics.draw_toys(toys(), tmp_path / "toys.png")[-1])
    assert sum(map(float, table["fraction"])) == pytest.approx(1.0, abs=1e-9)
    # P(chi2_1 > 13) / 2 is 2e-4
    assert sum(map(float, table["asymptotic"])) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_same_input_gives_the_same_bytes(plain, tmp_path):
    for suffix in (".pdf", ".svg"):
        for name in ("a", "b"):
            statistics.draw_scan(scan(), tmp_path / f"{name}{suffix}")
        one, other = (tmp_path / f"{name}{suffix}" for name in ("a", "b"))
        assert one.read_bytes() == other.read_bytes(), suffix


def test_an_unknown_format_is_refused(tmp_path):
    with style.figure_style() as plt:
        figure = plt.figure()
        with pytest.raises(ConfigError, match=r"unknown format '.gif'; use one of .png, .pdf"):
            write_figure(figure, {}, tmp_path / "figure.gif")
        plt.close(figure)
    assert not list(tmp_path.iterdir())


def test_garwood_intervals():
    """Central 68.3 % intervals of 0, 1 and 10 counts (Garwood 1936; PDG, statistics)."""
    low, high = prediction.poisson_interval(np.array([0.0, 1.0, 10.0]))
    np.testing.assert_allclose(low, [0.0, 0.173, 6.891], atol=1e-3)
    np.testing.assert_allclose(high, [1.841, 3.300, 14.267], atol=1e-3)


def test_table_keeps_short_columns_and_gaps():
    text = table_text({"a": np.array([1.0, np.nan]), "b": ["x"]})
    assert text == "a,b\n1,x\n,\n"


def segment(lower, upper, lower_end="crossing"):
    return {"lower": lower, "upper": upper, "lower_end": lower_end, "upper_end": "crossing"}


def test_lines_follow_the_ends_of_sets_in_pieces():
    """Two pieces, of which the upper one grows together with the lower, and then a closed value."""
    allowed = [
        [segment(0.0, 1.0, "bound"), segment(3.0, 4.0)],
        [segment(0.0, 1.5, "bound"), segment(2.5, 5.0)],
        [segment(0.0, 6.0, "bound")],
        None,
        [segment(0.0, 9.0, "bound")],
    ]
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    lines = [line.tolist() for line in planes.end_lines(values, allowed)]
    assert lines == [
        [[1.0, 1.0], [2.0, 1.5]],
        [[1.0, 3.0], [2.0, 2.5]],
        [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]],
        [[5.0, 9.0]],
    ]
    above, gap = planes.excluded(values, allowed)
    np.testing.assert_array_equal(above[1], [4.0, 5.0, 6.0, np.nan, 9.0])
    np.testing.assert_array_equal(gap[1:], [[1.0, 1.5, *[np.nan] * 3], [3.0, 2.5, *[np.nan] * 3]])


@pytest.mark.slow
def test_a_mass_curve_of_a_study_draws_every_end(tmp_path):
    ends = [[segment(-1.0, 1.0), segment(3.0, 4.0)], [segment(-2.0, 2.0), segment(5.0, 6.0)]]
    row = {"id": "g", "experiment": "a", "provenance": "derived", "unit": "1e-5", "cl": 0.9,
           "dof": 2, "x": {"name": "m_v", "unit": "MeV"}, "m_v_mev": [1.0, 10.0],
           "upper": [4.0, 6.0], "allowed": ends}  # fmt: skip
    results = {"study": {"data": {"a": {"title": "A"}}, "parameters": {}}, "bounds": [row]}
    panels = [{"id": "g", "title": "g", "xlim": None}]
    section = {**SECTION, "section": "bounds", "panels": panels, "ylabel": "g", "ylim": [1e-6, 1]}
    studies.mass_curves(studies.Drawing(results, section), tmp_path / "figure")
    header, *lines = (tmp_path / "figure.csv").read_text().splitlines()
    assert header == "panel,data,x,upper,line"
    found = [(float(x), float(y), int(k)) for _, _, x, y, k in (r.split(",") for r in lines)]
    expected = [(1, 4e-5, 0), (10, 6e-5, 0), (1, 1e-5, 1), (10, 2e-5, 1), (1, 3e-5, 2),
                (10, 5e-5, 2)]  # fmt: skip
    assert found == [pytest.approx(e) for e in expected]
