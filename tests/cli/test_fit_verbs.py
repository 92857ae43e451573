"""fit, impacts, significance, limit --expected, compare and plot from the command line."""

from __future__ import annotations

import json

import pytest

from histnu.verbs.plots import refined


@pytest.fixture
def folder(project_root):
    """A committed likelihood with its manifest."""
    return project_root / "workspaces" / "magnetic_moment_combined"


def test_fit_says_what_the_library_says(run, folder):
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.inference.summary import summarise

    status, out, _ = run("fit", folder, "--poi", "mu_universal", "--json")
    found = json.loads(out)
    ours = summarise(parameter_of_interest(load_target(folder), "mu_universal").likelihood)
    assert status == 0
    assert found["provenance"] == "reconstructed"
    assert found["engine"] == "batched"
    assert found["goodness"]["chi2"] == pytest.approx(ours.goodness.chi2, rel=1e-9)
    names = {p["name"]: p for p in found["parameters"]}
    # JSON keeps ten digits
    assert names["mu2_universal"]["error"] == pytest.approx(ours["mu2_universal"].error, rel=1e-9)
    total = found["postfit"][0]["sum_total"]
    assert total == pytest.approx(ours.postfit.channels[0].sum_total, rel=1e-9)


def test_fit_prints_tables(run, folder):
    _, out, _ = run("fit", folder, "--poi", "mu_universal")
    assert "[reconstructed inputs]" in out
    assert "saturated chi2 / dof" in out
    for word in ("mu2_universal", "ce_rate", "events in xenonnt_sr01", "observed"):
        assert word in out


def test_fit_agrees_with_the_pyhf_engine(run, folder):
    ours, theirs = (
        json.loads(run("fit", folder, "--no-profile", "--json", "--engine", e)[1])
        for e in ("batched", "pyhf")
    )
    assert theirs["twice_nll"] == pytest.approx(ours["twice_nll"], abs=1e-5)
    assert theirs["engine"] == "pyhf"


@pytest.mark.slow
def test_impacts(run, folder, tmp_path):
    figure = tmp_path / "impacts.svg"
    status, out, err = run("impacts", folder, "--poi", "mu_universal", "--plot", figure)
    assert status == 0
    assert out.splitlines()[0].startswith("mu2_universal = 0.152")
    assert "[reconstructed inputs]" in out
    assert figure.exists() and figure.with_suffix(".csv").exists()
    assert str(figure) in err
    ranked = json.loads(run("impacts", folder, "--poi", "mu_universal", "--json")[1])
    assert (ranked["parameter"], ranked["ranked"]) == ("mu_universal", "mu2_universal")
    assert len(ranked["impacts"]) == 8


def test_significance(run, project_root):
    target = project_root / "workspaces" / "standard_model_combined"
    arguments = ("significance", target, "--signal", "1", "--n-toys", "200", "--seed", "3")
    found = json.loads(run(*arguments, "--json")[1])
    assert found["significance"] ** 2 == pytest.approx(found["q0"], rel=1e-8)
    assert found["n_toys"] == 200
    text = run(*arguments, "-q")[1]
    assert "standard deviations" in text and "seed 3" in text and "[reconstructed inputs]" in text


@pytest.mark.slow
def test_expected_beside_observed(run, folder):
    arguments = (
        "limit",
        folder,
        "--poi",
        "mu_universal",
        "--method",
        "cls",
        "--expected",
        "asimov",
    )
    found = json.loads(run(*arguments, "--json")[1])
    strength = json.loads(
        run("limit", folder, "--poi", "mu2_universal", *arguments[4:], "--json")[1]
    )
    bands = found["expected"]["upper"]
    assert sorted(bands) == bands and len(bands) == 5
    # a moment is the root of its strength, in the bands as in the limit
    assert [b**2 for b in bands] == pytest.approx(strength["expected"]["upper"], rel=1e-8)
    assert "expected upper end without a signal" in run(*arguments)[1]


def test_compare(run, folder, project_root):
    other = project_root / "workspaces" / "magnetic_moment_xenonnt"
    status, out, _ = run("compare", folder, other, "--poi", "mu_e")
    assert status == 0
    assert "channel pandax4t_us2" in out
    assert out.count("at 90 % CL") == 2


def test_plot_names_its_kinds(run):
    assert "histnu plot fit" in run("plot", "--help")[1]
    status, _, err = run("plot", "histogram", "x")
    assert status == 2 and "unknown kind 'histogram'; use one of band, contour" in err
    status, _, err = run("plot", "fit")
    assert status == 2 and "needs a TARGET" in err
    status, _, err = run("plot", "fit", "a", "b")
    assert status == 2 and "takes one TARGET, not 2" in err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("fit", "--poi", "mu_e"), marks=pytest.mark.slow),
        pytest.param(("impacts", "--poi", "mu_e"), marks=pytest.mark.slow),
        pytest.param(("correlation", "--poi", "mu_e"), marks=pytest.mark.slow),
        ("scan", "--poi", "mu_e", "--points", "5", "--from", "0", "--to", "3"),
        pytest.param(("nuisances", "--poi", "mu_e"), marks=pytest.mark.slow),
    ],
    ids=lambda a: a[0],
)
def test_plot_draws(run, folder, tmp_path, arguments):
    kind, *options = arguments
    status, out, err = run("plot", kind, folder, *options, "-o", tmp_path / f"{kind}.png")
    assert status == 0, err
    assert out.split() == [str(tmp_path / f"{kind}.png"), str(tmp_path / f"{kind}.csv")]


@pytest.mark.parametrize("kind", [pytest.param("spectra", marks=pytest.mark.slow), "response"])
def test_plot_draws_an_analysis(run, tmp_path, kind):
    status, _, err = run("plot", kind, "millicharge_xenonnt", "-o", tmp_path / f"{kind}.png")
    assert status == 0, err
    assert (tmp_path / f"{kind}.png").exists()


@pytest.mark.slow
def test_spectra_are_the_models(run, tmp_path):
    """The Standard Model curve integrates to the 304 events/(t yr) above 0.51 keV of the design."""
    import csv

    import numpy as np

    run("plot", "spectra", "magnetic_moment_xenonnt", "--from", "0.51", "--to", "6",
        "-o", tmp_path / "s.png")  # fmt: skip
    with open(tmp_path / "s.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    energy = np.array([float(r["e_recoil_kev"]) for r in rows])
    rate = np.array([float(r["Standard Model"]) for r in rows])
    # trapezoids between 400 logarithmic points are good to 1e-3
    assert np.trapezoid(rate, energy) == pytest.approx(304, rel=5e-3)


@pytest.mark.slow
def test_published_curves_are_drawn_over_ours(run, tmp_path):
    curve = tmp_path / "published.csv"
    curve.write_text("x,y\n-1,-1\n1,-1\n1,1\n-1,1\n-1,-1\n")
    arguments = ("plot", "contour", "millicharge_xenonnt", "--x", "q_ee", "--y", "q_mumu",
                 "--from", "-10", "--to", "15", "--points", "9")  # fmt: skip
    status, _, err = run(*arguments, "--overlay", f"square={curve}", "-o", tmp_path / "c.png")
    assert status == 0, err
    assert "square,0,-1,-1" in (tmp_path / "c.csv").read_text()
    status, _, err = run(*arguments, "--overlay", "square", "-o", tmp_path / "d.png")
    assert status == 2 and "unknown published limit 'square'; known: borexino_2017" in err
    status, _, err = run(*arguments, "--overlay", "borexino_2017", "-o", tmp_path / "d.png")
    assert status == 2 and "Borexino 2017: 'mu_B' cannot be given in '1e-8 e'" in err


def test_limit_draws_its_profile(run, folder, tmp_path):
    """The crossing that is marked is the limit that is printed."""
    arguments = ("limit", folder, "--poi", "mu_universal", "--json", "--plot", tmp_path / "l.svg")
    _, out, err = run(*arguments)
    upper = json.loads(out)["upper"]
    table = _table(tmp_path / "l.csv")
    assert float(table[0]["crossing"]) == pytest.approx(upper, rel=1e-8)  # ten digits
    assert "wrote" in err and (tmp_path / "l.svg").exists()
    at = [float(row["value"]) for row in table]
    assert min(at) < upper < max(at)


def test_limit_of_another_method_marks_its_end(run, folder, tmp_path):
    _, out, _ = run("limit", folder, "--poi", "mu_universal", "--json", "--method", "cls",
                    "--expected", "asimov", "--plot", tmp_path / "l.png")  # fmt: skip
    found = json.loads(out)
    marks = {r["mark"]: float(r["mark_value"]) for r in _table(tmp_path / "l.csv") if r["mark"]}
    assert marks["upper end, 90 % CL, CLs"] == pytest.approx(found["upper"], rel=1e-8)
    median = found["expected"]["upper"][2]
    assert marks["expected upper end, median"] == pytest.approx(median, rel=1e-8)


@pytest.mark.slow
def test_scan_draws_what_it_prints(run, folder, tmp_path):
    arguments = ("scan", folder, "--poi", "mu_universal", "--from", "0", "--to", "2",
                 "--points", "5")  # fmt: skip
    _, out, _ = run(*arguments, "--json", "--plot", tmp_path / "s.pdf")
    drawn = [float(r["delta_twice_nll"]) for r in _table(tmp_path / "s.csv")]
    assert drawn == pytest.approx(json.loads(out)["delta_twice_nll"], rel=1e-8, abs=1e-9)


def test_published_number_is_drawn_in_the_unit_of_the_axis(run, folder, tmp_path):
    arguments = ("plot", "scan", folder, "--poi", "mu_universal", "--from", "0", "--to", "2")
    run(*arguments, "--points", "5", "--overlay", "xenonnt_er_2022", "-o", tmp_path / "s.png")
    (mark,) = [r for r in _table(tmp_path / "s.csv") if r["mark"]]
    # 6.4e-12 mu_B (arXiv:2207.11330) on an axis in 1e-9 mu_B
    assert (mark["mark"], float(mark["mark_value"])) == ("XENONnT 2022", pytest.approx(6.4e-3))


def _table(path):
    import csv

    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_masses_are_added_where_a_curve_bends_or_ends():
    """1 / (1 - x) ends at 1: the last points come close to it and steps stay below a fifth."""
    import numpy as np

    values, rows = refined(
        np.geomspace(0.1, 2.0, 5),
        lambda x: np.array([1 / (1 - x) if x < 1 else np.nan]),
        rounds=9,
    )
    inside = values[~np.isnan(rows[:, 0])]
    assert inside[-1] > 0.99
    steps = np.diff(np.log(rows[: len(inside) - 1, 0]))
    assert np.median(steps) < 0.2


@pytest.fixture
def search(tmp_path):
    """Write a two-bin search; the measurement's parameter of interest and settings are given."""

    def write(poi, settings=()):
        signal = {
            "name": "signal",
            "data": [5.0, 12.0],
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        }
        background = {
            "name": "background",
            "data": [52.0, 52.0],
            "modifiers": [{"name": "norm", "type": "normsys", "data": {"lo": 0.9, "hi": 1.1}}],
        }
        document = {
            "version": "1.0.0",
            "channels": [{"name": "search", "samples": [signal, background]}],
            "observations": [{"name": "search", "data": [62.0, 63.0]}],
            "measurements": [{"name": "m", "config": {"poi": poi, "parameters": list(settings)}}],
        }
        path = tmp_path / "search.json"
        path.write_text(json.dumps(document))
        return path

    return write


def test_a_document_without_a_parameter_of_interest_is_fitted(run, search):
    status, out, _ = run("fit", search(""), "--json")
    free = json.loads(out)
    assert status == 0
    # the parameter of interest is no part of the likelihood: the same fit, to JSON's ten digits
    assert free["twice_nll"] == json.loads(run("fit", search("mu"), "--json")[1])["twice_nll"]
    status, _, err = run("limit", search(""))
    assert status == 2
    assert "--poi: the document has no parameter of interest; use one of mu, norm" in err


def test_a_parameter_of_interest_that_is_none_names_the_file_and_the_mend(run, search):
    path = search("mu_SIG")
    status, _, err = run("fit", path)
    assert status == 2
    assert f"{path}: not a valid workspace: the parameter of interest 'mu_SIG' is no" in err
    assert "apply a signal patch" in err


HELD = {
    "limit": (), "limit --method cls": (), "significance": (), "scan": ("--from", 0, "--to", 1),
    "coverage": ("--n-toys", 10), "toys": ("--n-toys", 10), "cls": (),
}  # fmt: skip


@pytest.mark.parametrize("verb", HELD)
def test_a_parameter_that_is_held_cannot_be_asked(run, search, verb):
    """Its best fit would be the held value, and q0 or CLs would count from there."""
    name, *options = verb.split()
    path = search("mu", [{"name": "mu", "fixed": True, "inits": [1.0]}])
    status, _, err = run(name, path, *options, *HELD[verb])
    assert (status, "--poi: mu is fixed in measurement m; take fixed out" in err) == (2, True)
    path = search("mu")
    status, _, err = run(name, path, *options, *HELD[verb], "--set", "mu=1")
    assert (status, "--set: mu is held at 1 and asked; do one of both" in err) == (2, True)
