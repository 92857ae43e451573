"""Electron-recoil results: likelihoods, bounds, contours, variations, figures."""

from __future__ import annotations

import json

import numpy as np
import pyhf
import pytest

from histnu.errors import ConfigError, DataError
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.plotting.electron_recoils import dipole_figure, parse_overlays, spectra_figure
from histnu.report import electron_jobs as jobs
from histnu.report import electron_recoils as er
from histnu.report import electron_report as report
from histnu.report import electron_variations as ev
from histnu.report.electron_likelihoods import (
    ELECTRON_SETS,
    electron_model,
    electron_templates,
    flux_components,
    sm_workspace,
    workspace_of,
)
from histnu.serialize import dumps, read_json


@pytest.fixture(scope="module")
def lz():
    return er.experiments_of("lz_er")


@pytest.fixture(scope="module")
def combined():
    return er.experiments_of("combined_er")


def test_fluxes_are_shared_by_all_channels_and_signals(combined):
    model = electron_model("millicharge")
    document = workspace_of(electron_templates(combined, model), model)
    found = {}
    for channel in document["channels"]:
        for sample in channel["samples"]:
            names = {m["name"] for m in sample["modifiers"]}
            fluxes = {n for n in names if n.endswith("_flux")}
            found.setdefault(channel["name"], set()).update(fluxes)
            if sample["name"].startswith(("eves_", "q_")):
                assert len(fluxes) == 1
    nine = {"pp", "be7", "pep", "b8", "hep", "n13", "o15", "f17"}
    assert set(map(frozenset, found.values())) == {frozenset(f"{n}_flux" for n in nine)}
    relative = {c.flux.name: c.flux.relative for c in flux_components()}
    assert relative["pp_flux"] == pytest.approx(0.006) and relative["b8_flux"] == 0.12


def test_workspace_is_valid_and_equal_to_pyhf(lz):
    hypothesis = electron_model("magnetic_moment")
    document = dict(workspace_of(electron_templates(lz, hypothesis), hypothesis))
    workspace = pyhf.Workspace(document)
    model = workspace.model(measurement_name="mu2_mu")
    likelihood = BatchedLikelihood.from_workspace(document, "mu2_mu")
    pars = np.array(model.config.suggested_init())
    data = workspace.data(model)
    # -2 log L of the engine is pyhf's, to the rounding of sums of about 1e3
    value = likelihood.twice_nll(pars[None, :], likelihood.observation)[0]
    assert value == pytest.approx(-2 * float(model.logpdf(pars, data)[0]), abs=1e-9)


@pytest.mark.parametrize("name", ELECTRON_SETS["combined_er"])
def test_background_only_agreement(name):
    row = er.validation_row(name)
    # chi2 of B bins has a spread sqrt(2/B) = 0.32 to 0.37 per bin; LZ WS2022's is low because
    # its published background is a fit with five free components
    assert 0.3 < row["chi2_per_bin"] < 1.5
    assert abs(row["observed"] - row["expected_solar"] - row["expected_other"]) < 3 * np.sqrt(
        row["observed"]
    )
    assert all(abs(v) < 0.5 for v in row["nuisances"].values())
    low, high = row["solar_strength_68"]
    assert (low or 0.0) < 1.0 < high


def test_solar_events_of_xenonnt():
    # Table I of arXiv:2207.11330: 300 +- 30 solar-neutrino events between 1 and 140 keV
    assert er.solar_events("xenonnt_er_2022", 1.0, 140.0) == pytest.approx(300, abs=15)


@pytest.mark.slow
def test_limit_of_lz_ws2022_against_the_collaboration():
    data = er.experiments_of("lz_er_ws2022")
    row = er.moment_limit(data, "lz_er_ws2022", "mu_universal")
    # arXiv:2307.15753: 1.36e-11 mu_B, from a two-dimensional unbinned fit; 10 % for the projection
    assert row["ratio"] == pytest.approx(1.0, abs=0.1)
    reference = er.moment_limit(data, "lz_er_ws2022", "mu_universal", engine="pyhf")
    # minuit's tolerance in -2 log L is 1e-3 x 0.002, relative to 2.7 about 1e-5 in mu
    assert reference["upper"] == pytest.approx(row["upper"], rel=1e-4)


def test_limit_of_xenonnt_against_the_collaboration():
    row = er.moment_limit(er.experiments_of("xenonnt_er"), "xenonnt_er", "mu_universal")
    # arXiv:2207.11330: 6.4e-12 mu_B from 1 keV thresholds and an unbinned fit. Bins of 2 keV and
    # a background digitised at one point of the first bin allow no better than 30 %.
    assert row["ratio"] == pytest.approx(1.0, abs=0.3)


@pytest.mark.slow
def test_flavours_of_moments(combined):
    limits = {
        p: er.moment_limit(combined, "combined_er", p)["upper"]
        for p in ("mu_e", "mu_mu", "mu_tau", "mu_universal")
    }
    assert limits["mu_mu"] == pytest.approx(limits["mu_tau"], rel=1e-9)
    # mu_universal^2 spreads over all flavours: 1/u^2 = 1/e^2 + 1/mu^2 + 1/tau^2 when the shapes
    # are equal, which they are to a few per cent
    combination = sum(limits[p] ** -2 for p in ("mu_e", "mu_mu", "mu_tau")) ** -0.5
    assert limits["mu_universal"] == pytest.approx(combination, rel=0.02)


@pytest.mark.slow
def test_charges(lz):
    zero, profiled = er.charge_limits(lz, "lz_er", "q_ee")
    assert zero["other_charges"] == "zero" and profiled["other_charges"] == "profiled"
    # destructive interference for positive charges of nu_e: the interval leans to the right
    assert -1.0 < zero["lower"] < 0 < zero["upper"] < 2.0
    assert zero["upper"] > -zero["lower"]
    assert zero["unit"] == "1e-12 e"
    transition = er.charge_limits(lz, "lz_er", "q_emu")[0]
    assert transition["lower"] == pytest.approx(-transition["upper"], rel=1e-6)
    universal = er.universal_charge_limit(lz, "lz_er")
    assert universal["upper"] < zero["upper"]


@pytest.mark.slow
def test_contour_of_both_recoils():
    masses = [0.01, 0.3, 1.5, 6.0, 40.0]
    rows = {}
    for data in er.data_sets(["combined_er", "cevns", "combined_all"]):
        rows[data.label] = er.dipole_contours(data, ["mu", "tau"], masses)
    for pair in rows.values():
        assert pair[0]["upper_mu_b"] == pair[1]["upper_mu_b"]
        assert [r["id"] for r in pair] == ["dipole_mu", "dipole_tau"]
        assert pair[0]["upper_mu_b"][-1] is None  # 40 MeV cannot be made
    electron, nuclear, both = (
        rows[k][0]["upper_mu_b"] for k in ("combined_er", "cevns", "combined_all")
    )
    assert electron[3] is None and nuclear[3] is not None
    assert electron[0] < 0.02 * nuclear[0] and electron[2] > nuclear[2]
    # where one of them dominates the combination is that one, up to its other best fit
    assert both[0] == pytest.approx(electron[0], rel=0.1)
    assert both[3] == pytest.approx(nuclear[3], rel=0.1)


def test_massless_dipole_is_the_magnetic_moment():
    data = er.data_sets(["lz_er"])[0]
    row = er.dipole_contours(data, ["e"], [1e-4])[0]
    model = electron_model("magnetic_moment")
    document = workspace_of(electron_templates(data.electron, model), model)
    likelihood = BatchedLikelihood.from_workspace(dict(document), "mu2_e")
    moment = er.interval(likelihood, None, "mu2_e", 0.9, 2).upper
    # corrections of order m4^2 m_e/(E^2 T) ~ 1e-5
    assert row["upper_mu_b"][0] == pytest.approx(1e-11 * np.sqrt(moment), rel=1e-4)


def test_joint_limit_is_that_of_the_electrons():
    row = er.joint_moment_limit(er.data_sets(["combined_all"])[0], "mu_e")
    alone = er.moment_limit(er.experiments_of("combined_er"), "combined_er", "mu_e")
    # nuclear recoils are 1e4 times less sensitive to mu^2 per event of signal
    assert row["upper"] == pytest.approx(alone["upper"], rel=1e-3)


@pytest.mark.slow
def test_variations_of_the_response(lz):
    (same, _) = (ev.rebuilt(e, lambda eff, res: (eff, res)) for e in lz)
    assert np.allclose(
        same.channels[0].response.probability, lz[0].channels[0].response.probability, atol=1e-6
    )
    rows = {r["variation"]: r for r in ev.variation_rows("lz_er")}
    assert set(rows) == set(ev.variations())
    # none of the assumptions moves LZ's limit by more than a tenth
    assert all(abs(r["shift"]) < 0.1 for r in rows.values())
    assert rows["efficiency_plus_50ev"]["shift"] > 0 > rows["efficiency_minus_50ev"]["shift"]


def test_variation_without_first_bin(lz):
    shorter = ev.without_first_bin(lz[0])
    assert shorter.channels[0].n_bins == lz[0].channels[0].n_bins - 1
    assert sm_workspace([shorter])["observations"][0]["data"][0] == 50.0


def test_unknown_set():
    with pytest.raises(ConfigError, match=r"unknown electron-recoil data set 'x'; known: xeno"):
        er.experiments_of("x")


@pytest.fixture(scope="module")
def small_results():
    plan = er.Plan(
        sets=("lz_er_ws2022",),
        charges=(),
        contours=("pandax4t_er",),
        m4_mev=(0.01, 0.1, 1.0, 4.0),
    )
    return jobs.electron_results(plan)


@pytest.mark.slow
def test_results_document(small_results):
    assert small_results["schema"] == "histnu-electron-recoils/1"
    assert dumps(small_results)
    fields = {"id", "model", "parameter", "experiment", "method", "cl", "dof", "lower", "upper"}
    fields |= {"best_fit", "unit", "provenance", "published", "ratio"}
    for row in small_results["bounds"]:
        assert fields <= set(row)
    assert {r["experiment"] for r in small_results["bounds"]} == {"lz_er_ws2022", "combined_all"}
    assert [len(r["upper_mu_b"]) for r in small_results["contours"]] == [4, 4, 4]


@pytest.mark.slow
def test_figures(small_results, tmp_path):
    overlay = tmp_path / "borexino.csv"
    overlay.write_text("m4_mev,mu_b\n0.001,3e-11\n1,1e-10\n")
    curves = parse_overlays([f"somebody={overlay}"])
    paths = dipole_figure(small_results, tmp_path / "dipole", curves)
    paths += spectra_figure(small_results, tmp_path / "spectra")
    assert all(p.stat().st_size > 1000 for p in paths)


def test_bad_overlays(tmp_path):
    with pytest.raises(DataError, match=r"--overlay 'x' must be of the form name=file.csv"):
        parse_overlays(["x"])
    file = tmp_path / "a.csv"
    file.write_text("m4_mev,mu\n1,2\n")
    with pytest.raises(DataError, match=r"mu_b: missing column; name the columns m4_mev and mu_b"):
        parse_overlays([f"a={file}"])
    file.write_text("m4_mev,mu_b\n1,-2\n")
    with pytest.raises(DataError, match=r"mu_b: values must be positive"):
        parse_overlays([f"a={file}"])


def test_crossing_of_electron_and_nuclear_recoils():
    def row(experiment, upper):
        masses = [0.1, 1.0]
        return {"experiment": experiment, "id": "dipole_e", "m4_mev": masses, "upper_mu_b": upper}

    rows = [row("combined_er", [1e-11, 1e-7]), row("cevns", [1e-9, 1e-9])]
    # in logarithms the electron curve rises by 4 decades, and crosses after 2 of them
    assert report.crossing_mev({"contours": rows}, "e") == pytest.approx(10**-0.5)
    assert report.crossing_mev({"contours": rows}, "mu") is None
    assert report.crossing_mev({"contours": [row("cevns", [1e-9, None])]}, "e") is None


@pytest.mark.slow
def test_report_text(small_results):
    assert small_results["variations"] == []  # only data sets of a collaboration are varied
    shift = {"description": "x", "experiment": "lz_er", "shift": 0.1}
    text = report.report_text({**small_results, "variations": [shift]})
    assert "| lz_er_ws2022 | 19 | 471 |" in text
    assert "+10.0 %" in text and "1.36 | 0.997" in text


def test_workspaces_are_written_and_share_the_flux(tmp_path):
    paths = report.write_workspaces(tmp_path, ["er_xenonnt", "all"])
    assert len(paths) == 4
    joint = json.loads((tmp_path / "millicharge_all/workspace.json").read_text())
    model = pyhf.Workspace(joint).model()
    assert {"xenonnt_sr01", "xenonnt_er_2022"} <= set(model.config.channels)
    assert model.config.par_names.count("b8_flux") == 1
    units = json.loads((paths[0].parent / "manifest.json").read_text())["units"]
    assert units["mu_e"] == "1e-11 mu_B"


def test_verb_refuses_a_bad_overlay(tmp_path, capsys):
    from histnu.cli.main import main

    with pytest.raises(SystemExit) as exit_info:
        main(["electron", "-o", str(tmp_path / "out"), "--overlay", "x"])
    assert exit_info.value.code == 2
    assert "--overlay 'x' must be of the form name=file.csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_documented_results_are_current(project_root, combined):
    document = read_json(project_root / "docs" / "electron_recoils.json")
    rows = {(r["experiment"], r["id"]): r for r in document["bounds"]}
    again = er.moment_limit(combined, "combined_er", "mu_universal")
    # the root finder stops at 1e-8 in Delta
    assert rows["combined_er", "mu_universal"]["upper"] == pytest.approx(again["upper"], rel=1e-6)
    shown = {r["experiment"]: r["chi2"] for r in document["validation"]}
    chi2 = er.validation_row("lz_er_ws2024")["chi2"]
    assert shown["lz_er_ws2024"] == pytest.approx(chi2, rel=1e-5)
    text = (project_root / "docs" / "electron_recoils.md").read_text()
    assert f"{again['upper']:.2f} |" in text
