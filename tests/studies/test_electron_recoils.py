"""Electron recoils: likelihoods, bounds, contours, variations, figures."""

from __future__ import annotations

import numpy as np
import pyhf
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.core.errors import ConfigError, DataError
from histnu.core.serialize import read_json
from histnu.experiments.loader import load_experiment
from histnu.experiments.smearing import declared_detector
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.plotting.overlays import parse_mass_overlays
from histnu.plotting.studies import draw_all
from histnu.sources.solar import Solar
from histnu.studies.changes import CHANGES, Setup, changed
from histnu.studies.numbers import crossing
from histnu.studies.schema import Change, load_study
from histnu.studies.text import report_text

STUDY = "electron_recoils"
EXPERIMENTS = ("xenonnt_er_2022", "lz_er_ws2022", "lz_er_ws2024", "pandax4t_er_run1")


def test_fluxes_are_shared_by_all_channels_and_signals():
    document = assemble(load_analysis("millicharge_er_combined")).workspace
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


def test_workspace_is_valid_and_equal_to_pyhf():
    document = dict(assemble(load_analysis("magnetic_moment_er_lz")).workspace)
    workspace = pyhf.Workspace(document)
    model = workspace.model(measurement_name="mu2_mu")
    likelihood = BatchedLikelihood.from_workspace(document, "mu2_mu")
    pars = np.array(model.config.suggested_init())
    data = workspace.data(model)
    # -2 log L of the engine is pyhf's, to the rounding of sums of about 1e3
    value = likelihood.twice_nll(pars[None, :], likelihood.observation)[0]
    assert value == pytest.approx(-2 * float(model.logpdf(pars, data)[0]), abs=1e-9)


@pytest.fixture(scope="module")
def agreement(part):
    return part(STUDY, lambda i: i.section == "validation")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_background_only_agreement(agreement, name):
    row = agreement.row("validation", experiment=name)
    # chi2 of B bins has a spread sqrt(2/B) = 0.32 to 0.37 per bin; LZ WS2022's is low because
    # its published background is a fit with five free components
    assert 0.3 < row["chi2_per_bin"] < 1.5
    excess = row["observed"] - row["expected_signal"] - row["expected_background"]
    assert abs(excess) < 3 * np.sqrt(row["observed"])
    assert all(abs(v) < 0.5 for v in row["nuisances"].values())
    assert (row["strength"]["lower"] or 0.0) < 1.0 < row["strength"]["upper"]


def test_solar_events_of_xenonnt():
    """Table I of arXiv:2207.11330: 300 +- 30 solar-neutrino events between 1 and 140 keV."""
    exposure = load_experiment("xenonnt_er_2022").channels[0].exposure_tonne_year
    efficiency, _ = declared_detector("xenonnt_er_2022")
    t = np.linspace(1.0, 140.0, 20001)
    components = Solar().components("electron")
    spectra = [
        StandardModel().basis_spectra(Scattering("electron", c.source, XENON), t)["eves"]
        for c in components
    ]
    events = exposure * np.trapezoid(efficiency(t) * np.sum(spectra, axis=0), t)
    assert events == pytest.approx(300, abs=15)


@pytest.fixture(scope="module")
def many_bounds(part):
    """Bounds that the tests look at."""

    def choose(i):
        moments = i.task.analysis.model.name == "magnetic_moment"
        lz_charges = i.data == "lz_er" and i.task.parameters[0] in ("q_ee", "q_emu", "q_universal")
        return i.section == "bounds" and (moments or lz_charges)

    return part(STUDY, choose)


def test_limits_against_the_collaborations(many_bounds):
    # arXiv:2307.15753: 1.36e-11 mu_B, from a two-dimensional unbinned fit; 10 % for the projection
    lz = many_bounds.row("bounds", id="mu_universal", experiment="lz_er_ws2022")
    assert lz["ratio"] == pytest.approx(1.0, abs=0.1)
    # arXiv:2207.11330: 6.4e-12 mu_B from 1 keV thresholds and an unbinned fit. Bins of 2 keV and
    # a background digitised at one point of the first bin allow no better than 30 %.
    xenonnt = many_bounds.row("bounds", id="mu_universal", experiment="xenonnt_er")
    assert xenonnt["ratio"] == pytest.approx(1.0, abs=0.3)


def test_pyhf_gives_the_same_limit(many_bounds):
    """Its own profile rises by the threshold where our limit is."""
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.inference import FitOptions, profile

    row = many_bounds.row("bounds", id="mu_universal", experiment="lz_er")
    target = load_target("magnetic_moment_er_lz")
    likelihood = parameter_of_interest(target, "mu_universal").likelihood
    squared = row["upper"] ** 2
    found = profile(likelihood, None, "mu2_universal", squared, FitOptions(engine="pyhf"))
    # 90 % of chi^2 with one degree of freedom; either fit of minuit is within 2e-6 in -2 log L,
    # and the profile rises by 2e-5 where the limit rises by about 2e-6 of itself
    assert found.delta_twice_nll[0] == pytest.approx(2.705543, abs=2e-5)


def test_flavours_of_moments(many_bounds):
    limits = {
        p: many_bounds.row("bounds", id=p, experiment="combined_er")["upper"]
        for p in ("mu_e", "mu_mu", "mu_tau", "mu_universal")
    }
    assert limits["mu_mu"] == pytest.approx(limits["mu_tau"], rel=1e-9)
    # mu_universal^2 spreads over all flavours: 1/u^2 = 1/e^2 + 1/mu^2 + 1/tau^2 when the shapes
    # are equal, which they are to a few per cent
    combination = sum(limits[p] ** -2 for p in ("mu_e", "mu_mu", "mu_tau")) ** -0.5
    assert limits["mu_universal"] == pytest.approx(combination, rel=0.02)


def test_charges(many_bounds):
    zero = many_bounds.row("bounds", id="q_ee", experiment="lz_er", other_charges="zero")
    profiled = many_bounds.row("bounds", id="q_ee", experiment="lz_er", other_charges="profiled")
    # destructive interference for positive charges of nu_e: the interval leans to the right
    assert -1.0 < zero["lower"] < 0 < zero["upper"] < 2.0
    assert zero["upper"] > -zero["lower"]
    assert zero["unit"] == "1e-12 e"
    assert set(zero["held"]) == {"q_mumu", "q_tautau", "q_emu", "q_etau", "q_mutau"}
    assert profiled["held"] == {} and profiled["lower"] < 0 < profiled["upper"]
    transition = many_bounds.row("bounds", id="q_emu", experiment="lz_er", other_charges="zero")
    assert transition["lower"] == pytest.approx(-transition["upper"], rel=1e-6)
    universal = many_bounds.row("bounds", id="q_universal", experiment="lz_er")
    assert universal["upper"] < zero["upper"]


def test_joint_limit_is_that_of_the_electrons(many_bounds):
    joint, alone = (
        many_bounds.row("bounds", id="mu_e", experiment=e)["upper"]
        for e in ("combined_all", "combined_er")
    )
    # nuclear recoils are 1e4 times less sensitive to mu^2 per event of signal
    assert joint == pytest.approx(alone, rel=1e-3)


@pytest.fixture(scope="module")
def contours(part):
    """Contours at few masses; 40 MeV cannot be made."""

    def few(task):
        return task.model_copy(update={"grids": ((1e-4, 0.01, 0.3, 1.5, 6.0, 40.0),)})

    wanted = ("combined_er", "cevns", "combined_all")
    return part(STUDY, lambda i: i.section == "contours" and i.data in wanted, None, few)


def test_contour_of_both_recoils(contours):
    rows = {r["experiment"]: r for r in contours.sections["contours"] if r["id"] == "dipole_mu"}
    electron, nuclear, both = (
        rows[k]["upper_mu_b"] for k in ("combined_er", "cevns", "combined_all")
    )
    assert electron[-1] is nuclear[-1] is both[-1] is None
    assert electron[4] is None and nuclear[4] is not None
    assert electron[1] < 0.02 * nuclear[1] and electron[3] > nuclear[3]
    # where one of them dominates the combination is that one, up to its other best fit
    assert both[1] == pytest.approx(electron[1], rel=0.1)
    assert both[4] == pytest.approx(nuclear[4], rel=0.1)
    # ten digits of each are kept
    assert electron[1] == pytest.approx(1e-11 * rows["combined_er"]["upper"][1], rel=1e-9)


def test_massless_dipole_is_the_magnetic_moment(part):
    def one(task):
        return task.model_copy(update={"grids": ((1e-4,),)})

    curve = part(STUDY, lambda i: (i.section, i.data) == ("contours", "lz_er"), None, one)
    row = curve.row("contours", id="dipole_e")
    from histnu.analysis.target import load_target
    from histnu.verbs import Options, limit

    moment = limit(load_target("magnetic_moment_er_lz"), "mu_e", Options(dof=2))
    # corrections of order m4^2 m_e/(E^2 T) ~ 1e-5
    assert row["upper"][0] == pytest.approx(moment.upper, rel=1e-4)


@pytest.fixture(scope="module")
def variations(part):
    def choose(i):
        usual = i.section == "bounds" and i.task.parameters == ("mu_universal",)
        return i.data == "lz_er" and (i.section == "variations" or usual)

    return part(STUDY, choose)


def test_variations_of_the_response(variations):
    rows = {r["id"]: r for r in variations.sections["variations"]}
    shifts = {k: r["shift"]["mu_universal"] for k, r in rows.items()}
    assert "xenonnt_first_bin" not in shifts  # XENONnT is not part of these data
    # none of the assumptions moves LZ's limit by more than a tenth
    assert len(shifts) == 10 and all(abs(s) < 0.1 for s in shifts.values())
    assert shifts["efficiency_plus_50ev"] > 0 > shifts["efficiency_minus_50ev"]


def lz_setup() -> Setup:
    analysis = load_analysis("standard_model_er_lz")
    return Setup(analysis, tuple(load_experiment(e) for e in analysis.experiments))


def test_an_unchanged_response_is_the_shipped_one():
    same = CHANGES["resolution_scaled"](load_experiment("lz_er_ws2022"), factor=1.0)
    shipped = load_experiment("lz_er_ws2022").channels[0].response.probability
    # the shipped table has six decimals
    assert np.allclose(same.channels[0].response.probability, shipped, atol=1e-6)


def test_variation_without_first_bin():
    setup = changed(lz_setup(), [Change(name="without_first_bin")])
    whole, shorter = (s.experiments[0].channels[0] for s in (lz_setup(), setup))
    assert shorter.n_bins == whole.n_bins - 1
    assert shorter.observed.tolist() == whole.observed[1:].tolist()


def test_another_neutrino_rate_keeps_the_published_total():
    options = {"factor": 0.86, "keep_total": ["lz_er_ws2022"]}
    setup = changed(lz_setup(), [Change(name="electron_rate_scaled", options=options)])
    made = assemble(setup.analysis, setup.experiments, setup.standard_model)
    usual = assemble(lz_setup().analysis)
    for i, kept in enumerate((True, False)):
        new, old = made.templates[i], usual.templates[i]
        signal = [sum(s.expected for s in t.signals) for t in (new, old)]
        background = [sum(b.expected for b in t.channel.backgrounds) for t in (new, old)]
        # folding is linear in the rate; the factor ends at 100 keV, far above the range
        assert signal[0] == pytest.approx(0.86 * signal[1], rel=1e-6)
        total = signal[0] + background[0] - signal[1] - background[1]
        assert np.allclose(total, 0.0, atol=1e-9) == kept


def test_figures_and_report(many_bounds, contours, variations, agreement, part, tmp_path):
    spectra = part(STUDY, lambda i: i.section == "spectra")
    overlay = tmp_path / "borexino.csv"
    overlay.write_text("m4_mev,mu_b\n0.001,3e-11\n1,1e-10\n")
    document = {
        **many_bounds.document,
        **{p: part_.document[p] for p, part_ in (
            ("contours", contours), ("variations", variations), ("validation", agreement),
            ("spectra", spectra),
        )},
        "median_limits": [],
    }  # fmt: skip
    paths = draw_all(document, tmp_path, parse_mass_overlays([f"somebody={overlay}"]))
    assert {p.name for p in paths} >= {"electron_dipole.png", "electron_spectra.pdf"}
    assert all(p.stat().st_size > 1000 for p in paths)
    text = report_text(document, load_study(STUDY).report)
    assert "| LZ WS2022† | 19 | 471 |" in text
    assert "1.36 | 0.997" in text
    # the signal at its limit is the difference that Delta = 2.71 allows: positive in every bin
    row = spectra.row("spectra", experiment="lz_er_ws2022")
    assert all(s > 0 for s in row["signal"][0])


def test_bad_overlays(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown published limit 'x'; known: borexino_2017"):
        parse_mass_overlays(["x"])
    with pytest.raises(ConfigError, match=r"--overlay '=x' must be a name .* or NAME=FILE.csv"):
        parse_mass_overlays(["=x"])
    file = tmp_path / "a.csv"
    file.write_text("m4_mev,mu\n1,2\n")
    with pytest.raises(DataError, match=r"mu_b: missing column; name the columns m4_mev and mu_b"):
        parse_mass_overlays([f"a={file}"])
    file.write_text("m4_mev,mu_b\n1,-2\n")
    with pytest.raises(DataError, match=r"mu_b: values must be positive"):
        parse_mass_overlays([f"a={file}"])


def test_crossing_of_electron_and_nuclear_recoils():
    def row(upper):
        axis = {"name": "m4", "unit": "MeV"}
        return {"x": axis, "unit": "1e-11 mu_B", "m4_mev": [0.1, 1.0], "upper": upper}

    # in logarithms the electron curve rises by 4 decades, and crosses after 2 of them
    assert crossing(row([1.0, 1e4]), row([100.0, 100.0])) == pytest.approx(10**-0.5)
    assert crossing(row([1.0, 1e4]), row([100.0, None])) is None
    assert crossing(row([1.0, 2.0]), {**row([3.0, 3.0]), "unit": "1e-9 mu_B"}) is None


def test_verb_refuses_a_bad_overlay(tmp_path, capsys):
    from histnu.cli.main import main

    with pytest.raises(SystemExit) as exit_info:
        main(["electron", "-o", str(tmp_path / "out"), "--overlay", "x"])
    assert exit_info.value.code == 2
    assert "unknown published limit 'x'; known: borexino_2017" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_documented_results_are_current(project_root, many_bounds, agreement):
    document = read_json(project_root / "docs" / "electron_recoils.json")
    rows = {(r["experiment"], r["id"]): r for r in document["bounds"]}
    again = many_bounds.row("bounds", id="mu_universal", experiment="combined_er")["upper"]
    # the root finder stops at 1e-8 in Delta
    assert rows["combined_er", "mu_universal"]["upper"] == pytest.approx(again, rel=1e-6)
    shown = {r["experiment"]: r["chi2"] for r in document["validation"]}
    chi2 = agreement.row("validation", experiment="lz_er_ws2024")["chi2"]
    assert shown["lz_er_ws2024"] == pytest.approx(chi2, rel=1e-5)
    text = (project_root / "docs" / "electron_recoils.md").read_text()
    assert f"{again:.2f} |" in text
