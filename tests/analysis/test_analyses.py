"""Analyses: files of the package, mixtures of recoils, fluxes, held parameters, what they need."""

from __future__ import annotations

import json

import numpy as np
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.hypothesis import load_model, signal_model
from histnu.analysis.schema import (
    Analysis,
    FluxSection,
    ModelSection,
    analysis_names,
    builtin,
    load_analysis,
    needs,
)
from histnu.core.errors import ConfigError
from histnu.physics.models.protocol import Model, Parameter, Term

MODELS = ("standard_model", "magnetic_moment", "millicharge", "sterile_dipole")
SETS = (
    *("xenonnt", "pandax4t", "combined", "combined_full"),
    *("xenonnt_4d_2024", "xenonnt_4d_2026", "xenonnt_s2only_2026"),
    *("er_xenonnt", "er_lz", "er_pandax4t", "er_combined", "all"),
)


def test_every_model_with_every_data_set():
    assert {f"{m}_{s}" for m in MODELS for s in SETS} <= set(analysis_names())
    assert all(name == analysis.name for name, analysis in builtin().items())


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS[1:])
def test_nuclear_and_electron_recoils_in_one_document(model):
    analysis = load_analysis(f"{model}_all")
    analysis = analysis.holding({h.name: 1.0 for h in load_model(model).held})
    document = assemble(analysis).workspace
    carriers = {}
    for channel in document["channels"]:
        for sample in channel["samples"]:
            for modifier in sample["modifiers"]:
                carriers.setdefault(modifier["name"], set()).add(channel["name"])
    # one 8B flux and one set of strengths for everything, pp only where electrons recoil
    everywhere = {c["name"] for c in document["channels"]}
    assert carriers["b8_flux"] == everywhere
    assert carriers["pp_flux"] == everywhere - {"xenonnt_sr01", "pandax4t_us2"}
    for name in signal_model(analysis.model).polynomial.outputs:
        assert carriers[name] == everywhere


@pytest.mark.slow
def test_joint_document_is_that_of_each_part():
    """A channel predicts the same alone and together with others, in the unit of the analysis."""
    joint = {c["name"]: c for c in assemble(load_analysis("millicharge_all")).workspace["channels"]}
    electron = assemble(load_analysis("millicharge_er_combined")).workspace["channels"]
    assert all(joint[c["name"]] == c for c in electron)
    nuclear = assemble(load_analysis("millicharge_combined")).workspace["channels"]
    for channel in nuclear:
        for mine, alone in zip(joint[channel["name"]]["samples"], channel["samples"], strict=True):
            assert mine["name"] == alone["name"]
            power = 1 if "lin" in alone["name"] else 2 if "sq" in alone["name"] else 0
            # 1e-12 e instead of 1e-8 e; ten digits are written
            assert mine["data"] == pytest.approx(np.array(alone["data"]) * 1e-4**power, rel=1e-9)


def test_rate_of_the_standard_model():
    """One flux: it is measured. Several: their uncertainties stay."""
    one = assemble(load_analysis("standard_model_xenonnt")).workspace
    assert one["measurements"][0]["config"]["poi"] == "b8_strength"
    assert "b8_flux" not in json.dumps(one)
    several = assemble(load_analysis("standard_model_er_lz")).workspace
    assert several["measurements"][0]["config"]["poi"] == "solar_strength"
    assert "b8_flux" in json.dumps(several)


def test_fluxes_by_name():
    flux = FluxSection(total_cm2_s=2 * 5.46e6, relative=0.2, source="twice")
    plain = load_analysis("magnetic_moment_xenonnt")
    once, twice = (
        assemble(a).templates[0].standard_model()
        for a in (plain, plain.model_copy(update={"fluxes": {"b8": flux}}))
    )
    assert twice == pytest.approx(2 * once, rel=1e-12)
    short = assemble(plain.model_copy(update={"flux": flux}))
    assert short.templates[0].standard_model() == pytest.approx(2 * once, rel=1e-12)
    assert short.fluxes == {"b8": 2 * 5.46e6}


def test_flux_that_is_not_there():
    flux = FluxSection(total_cm2_s=1.0, relative=0.2, source="none")
    wrong = load_analysis("magnetic_moment_xenonnt").model_copy(update={"fluxes": {"pp": flux}})
    with pytest.raises(ConfigError, match=r"fluxes\.pp: no channel has this flux; fluxes here: b8"):
        assemble(wrong)
    short = load_analysis("magnetic_moment_er_lz").model_copy(update={"flux": flux})
    with pytest.raises(ConfigError, match=r"several fluxes \(pp, be7_384, .*give fluxes: {NAME"):
        assemble(short)


def test_held_parameters_must_be_given():
    analysis = load_analysis("sterile_dipole_er_lz")
    with pytest.raises(ConfigError, match=r"m4 \[MeV\] of sterile_dipole has no value; give --set"):
        assemble(analysis)
    held = analysis.holding({"m4": 0.1})
    assert held.model.held == {"m4": 0.1} and assemble(held).model.holding({}).m4_mev == 0.1
    with pytest.raises(ConfigError, match=r"holds no parameter 'mass'; held: m4"):
        analysis.holding({"mass": 0.1})


def test_unit_of_another_quantity():
    model = ModelSection(name="millicharge", unit="1e-11 mu_B")
    with pytest.raises(ConfigError, match=r"model millicharge counts in e; give a number and one"):
        signal_model(model)


def test_no_measurement_alone():
    """Where no strength can stand alone the first one is the parameter, with the rest floating."""
    from histnu.analysis.assemble import measurements_of

    class Mediator(Model):
        name = "mediator"
        parameters = (Parameter("g", "g", "1", (0.0, 1.0)),)
        terms = (
            Term("g2", ((1.0, {"g": 2}),), alone=False),
            Term("g4", ((1.0, {"g": 4}),), alone=False),
        )

        def basis_spectra(self, scattering, e_recoil_kev):
            t = np.asarray(e_recoil_kev)
            return {"g2": -np.ones_like(t), "g4": np.ones_like(t)}

    from histnu.analysis.assemble import templates_for
    from histnu.experiments.loader import load_experiment

    analysis = load_analysis("magnetic_moment_xenonnt")
    templates = templates_for(analysis, [load_experiment("xenonnt_sr01")], [Mediator()])
    (poi,) = measurements_of(Mediator(), templates)
    assert (poi.parameter, poi.floating) == ("g2", ("g4",))


def test_needs():
    found = needs(load_analysis("magnetic_moment_xenonnt_4d_2024"))
    assert found.releases == ("xenonnt_light_wimp_2024", "xenonnt_cevns_2026")
    assert found.extras == ("releases",)
    assert needs(load_analysis("magnetic_moment_all")).releases == ()


def test_unknown_source(tmp_path, project_root):
    import shutil

    folder = tmp_path / "mine"
    shutil.copytree(project_root / "histnu/data/experiments/xenonnt_sr01", folder)
    file = folder / "experiment.yaml"
    file.write_text(
        file.read_text().replace("recoil: nuclear\n", "recoil: nuclear\nsource: moon\n")
    )
    analysis = Analysis(
        name="x", title="x", experiments=(str(file),), model=ModelSection(name="magnetic_moment")
    )
    with pytest.raises(ConfigError, match=r"unknown source 'moon'; known: .*solar"):
        assemble(analysis)
    file.write_text(
        file.read_text().replace("source: moon", "source: {name: solar, options: {hep: 1}}")
    )
    samples = [s["name"] for s in assemble(analysis).workspace["channels"][0]["samples"]]
    assert {"cevns_b8", "cevns_hep", "mu2_e_hep"} <= set(samples)
