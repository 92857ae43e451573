"""The paper's bounds, how they compare, and the documents made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from histnu.experiments import us2
from histnu.report import paper, tables
from histnu.report.bounds import Level, charge_bound
from histnu.report.document import results_document
from histnu.report.paper import CHARGES, EXPERIMENTS, LEVEL_1D, MOMENTS, Settings, one_bound
from histnu.report.reproduce import inputs
from histnu.report.text import report_text
from histnu.serialize import dumps, jsonable

SETTINGS = Settings(m4_mev=(0.01, 5.0, 12.0, 40.0))


class Bounds(dict[tuple[str, str], dict[str, object]]):
    """1-dof bounds, (parameter, experiment) -> row, each computed when it is first asked for."""

    def __missing__(self, key):
        self[key] = one_bound(*key, SETTINGS, LEVEL_1D)
        return self[key]


@pytest.fixture(scope="module")
def bounds():
    """All 1-dof bounds."""
    return Bounds()


@pytest.fixture(scope="module")
def results(bounds):
    """A results document with every kind of piece, some of them few."""
    pieces = {
        "bounds": [bounds[p, e] for p in (*MOMENTS, *CHARGES) for e in EXPERIMENTS],
        "rates": [job.run() for job in paper.rate_jobs(SETTINGS)],
        "profiles": [job.run() for job in paper.profile_jobs(SETTINGS)[:12]],
        "dipole": [
            paper.dipole_jobs(SETTINGS)[0].run(),
            paper.electron_recoils(("mu_universal",), (0.01, 0.2, 5.0)),
        ],
        "regions": [],
        "full": [{"experiment": "xenonnt_4d_2024", "bounds": [], "skipped": "no release here"}],
        "reference": [job.run() for job in paper.reference_jobs(SETTINGS)[:2]],
        "alternatives": [
            one_bound("mu_e", e, Settings(interpolation="linear"), LEVEL_1D)
            for e in ("xenonnt", "combined")
        ],
        "variations": [paper.variation("one bin", us2.Us2Assumptions(edges=(4.0, 8.0)), SETTINGS)],
    }
    return jsonable(results_document(pieces, inputs(SETTINGS)))


@pytest.mark.parametrize("parameter", MOMENTS)
def test_magnetic_moments_against_the_paper(bounds, parameter):
    # published with two digits: rounding alone is 2.6 to 4.5 %; 5 % and 10 % are asked for
    assert bounds[parameter, "combined"]["ratio"] == pytest.approx(1.0, abs=0.05)
    assert bounds[parameter, "xenonnt"]["ratio"] == pytest.approx(1.0, abs=0.10)


@pytest.mark.slow
def test_charges_are_reported_with_their_ratio(bounds):
    for parameter in CHARGES:
        row = bounds[parameter, "combined"]
        assert row["lower"] < 0 < row["upper"]
        assert row["ratio"] == row["upper"] / row["published"]["upper"]
        assert row["provenance"] == "reconstructed"
        assert bounds[parameter, "xenonnt"]["provenance"] == "derived"


@pytest.mark.slow
def test_xenonnt_prefers_a_charge(bounds, results):
    row = bounds["q_ee", "xenonnt"]
    assert abs(row["best_fit"]) > 1.0
    # first bin up, third bin down: more than the SM fit can do, so -2 log L gains
    assert row["delta_sm"] > 1.0
    entry = next(r for r in results["rates"] if r["experiment"] == "xenonnt")["channels"][0]
    expected = np.array(entry["signal"]) + np.array(entry["background"])
    pulls = np.array(entry["observed"]) - expected
    assert pulls[0] > 0 > pulls[2]
    assert "Why XENONnT prefers a non-zero charge" in report_text(results)


def test_a_magnetic_moment_cannot_do_that(bounds):
    assert bounds["mu_universal", "xenonnt"]["best_fit"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "experiment",
    [e if e == "xenonnt" else pytest.param(e, marks=pytest.mark.slow) for e in EXPERIMENTS],
)
def test_pyhf_gives_the_same_limit(bounds, experiment):
    for engine, tolerance in (("pyhf", 1e-5), ("pyhf-scipy", 1e-6)):
        # minuit at tolerance 1e-3 leaves 1e-6 in -2 log L, SLSQP at 1e-10 much less
        row = one_bound("mu_universal", experiment, Settings(engine=engine), LEVEL_1D)
        ours = bounds["mu_universal", experiment]["upper"]
        assert row["upper"] == pytest.approx(ours, rel=tolerance)


def test_charge_profile_against_pyhf_likelihood(bounds):
    """The profiled point is a point of pyhf's likelihood of the same document, and the lowest."""
    import pyhf

    from histnu.analyses import assemble
    from histnu.inference.engine.fit import FitOptions
    from histnu.inference.profile import best_fit, profile
    from histnu.report.bounds import charge_likelihood

    assembly = assemble(paper.paper_analysis("millicharge", "xenonnt", SETTINGS))
    likelihood = charge_likelihood(assembly)
    found = profile(likelihood, None, "q_ee", [-4.0, 3.0, 12.0])
    workspace = pyhf.Workspace(dict(assembly.workspace))
    model = workspace.model(measurement_name="q_sq_e")
    data = workspace.data(model)
    for point, delta in zip(found.parameters, found.delta_twice_nll, strict=True):
        full = likelihood.base_parameters(point[None])[0]
        theirs = -2 * float(model.logpdf(full, data)[0])
        assert theirs == pytest.approx(delta + found.best_fit.twice_nll, abs=1e-9)
    # minuit from the engine's starts on pyhf's own logpdf finds nothing lower
    reference = best_fit(likelihood, None, FitOptions(engine="pyhf"))
    assert reference.twice_nll > bounds["q_ee", "xenonnt"]["twice_nll"] - 1e-6


def test_two_degrees_of_freedom_are_wider(bounds):
    wide = one_bound("mu_e", "combined", SETTINGS, Level(0.9, 2))
    assert wide["upper"] > bounds["mu_e", "combined"]["upper"]
    assert wide["ratio"] is None


@pytest.mark.slow
def test_dipole_tends_to_the_moment_and_closes(results):
    rows = [b for b in results["bounds"] if b["id"] == "dipole_e"]
    moment = one_bound("mu_e", "xenonnt", SETTINGS, Level(0.9, 2))
    (row,) = [r for r in rows if r["experiment"] == "xenonnt"]
    # both are 2-dof contours; the global minimum over m4 may lie a little below that at m4 = 0
    assert row["upper"][0] == pytest.approx(moment["upper"], rel=0.02)
    assert row["upper"][1] > row["upper"][0]
    assert row["upper"][3] is None  # 40 MeV cannot be made


@pytest.mark.slow
def test_electron_recoils_win_at_small_masses(results):
    curves = {b["experiment"]: b for b in results["bounds"] if b["id"] == "dipole_e"}
    eves, nuclear = curves["eves"], curves["xenonnt"]
    assert eves["upper"][0] < 0.02 * nuclear["upper"][0]
    assert eves["upper"][2] is None  # 5 MeV cannot be made on an electron
    assert "Where each dominates" in report_text(results)


@pytest.mark.slow
def test_variation_moves_the_bounds(results):
    row = results["variations"][0]
    assert set(row["upper"]) == {*MOMENTS, *CHARGES}


@pytest.mark.slow
def test_document_is_deterministic(results, bounds):
    again = one_bound("q_emu", "xenonnt", SETTINGS, LEVEL_1D)
    assert dumps(again) == dumps(bounds["q_emu", "xenonnt"])
    assert json.loads(dumps(results)) == results


@pytest.mark.slow
def test_document_follows_the_contract(results):
    assert results["schema"] == "histnu-results/1"
    keys = {
        "id", "model", "parameter", "experiment", "method", "cl", "dof", "lower", "upper",
        "best_fit", "unit", "provenance", "published", "ratio",
    }  # fmt: skip
    for row in results["bounds"]:
        assert keys <= set(row)
    assert {"inputs", "versions", "contours"} <= set(results)


@pytest.mark.slow
def test_report_marks_provenance(results):
    text = report_text(results)
    assert "PandaX-4T‡" in text
    assert "XENONnT†" in text
    assert "Eq. 18" in text
    assert "reconstructed" in text


@pytest.mark.slow
def test_skipped_releases_are_named(results):
    assert results["skipped"] == {"xenonnt_4d_2024": "no release here"}
    assert "- xenonnt_4d_2024: no release here" in report_text(results)


@pytest.mark.slow
def test_reference_table(results):
    header, rows = tables.reference_rows(results)
    assert len(header) == 5
    (row,) = rows
    ours, minuit, slsqp = map(float, row[2:])
    # six decimals are shown; minuit leaves 1e-6 in -2 log L
    assert minuit == pytest.approx(ours, abs=2e-5)
    assert slsqp == pytest.approx(ours, abs=2e-6)


@pytest.mark.slow
def test_figures(results, tmp_path):
    from histnu.plotting.paper import draw_all

    paths = draw_all(results, tmp_path)
    assert sorted(p.name for p in paths) == sorted(
        f"fig{i}.{suffix}" for i in range(1, 5) for suffix in ("png", "pdf")
    )
    for path in paths:
        head = path.read_bytes()[:5]
        assert head in (b"\x89PNG\r", b"%PDF-")


def test_charge_bound_is_independent_of_the_interpolation_at_first_order():
    # normsys and linear agree at alpha = +-1 and differ in between by O(sigma^2): 5 % is generous
    from histnu.analyses import assemble

    rows = [
        charge_bound(
            assemble(paper.paper_analysis("millicharge", "xenonnt", Settings(interpolation=i))),
            "xenonnt",
            "q_emu",
            LEVEL_1D,
        )
        for i in ("normsys", "linear")
    ]
    assert rows[0]["upper"] == pytest.approx(rows[1]["upper"], rel=0.05)
