"""Verbs in Python: typed results in one envelope, equal to what the statistics say."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from histnu import verbs
from histnu.analysis.schema import load_analysis
from histnu.analysis.target import load_target, parameter_of_interest
from histnu.core.errors import ConfigError
from histnu.core.serialize import digest, read_json
from histnu.core.tables import data_path
from histnu.inference.limits import interval, threshold
from histnu.inference.profile import best_fit
from histnu.verbs import Options
from histnu.verbs.envelope import stamped
from histnu.verbs.results import parse_result


@pytest.fixture(scope="module")
def target():
    """XENONnT's magnetic moments."""
    return load_target("magnetic_moment_xenonnt")


@pytest.fixture(scope="module")
def every(target):
    """A result of every verb."""
    few = {"n_toys": 60, "seed": 5}
    charges = load_target("millicharge_xenonnt")
    grid = (np.linspace(-8.0, 15.0, 9), np.linspace(-8.0, 8.0, 9))
    return {
        "bound": verbs.limit(target, "mu_e"),
        "fit": verbs.fit(target, "mu_e"),
        "profile": verbs.scan(target, "mu_e", [0.0, 1.0, 2.0]),
        "region": verbs.contour(charges, ("q_ee", "q_emu"), grid),
        "test": verbs.hypothesis_test(target, "mu_e", 2.0),
        "toys": verbs.toys(target, "mu_e", [1.0, 2.5], Options(method="toys", **few)),
        "coverage": verbs.coverage(target, "mu_e", 1.5, Options(**few)),
        "mass_curve": verbs.mass_curves(
            load_analysis("sterile_dipole_xenonnt"), "m4", ["mu_e"], [1.0, 8.0, 40.0]
        )[0],
    }


def test_every_result_obeys_the_shipped_schema(every, target):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(read_json(data_path("schemas/result.json")))
    for kind, result in every.items():
        document = stamped(result, verbs.inputs_of(target)).to_json()
        validator.validate(document)
        assert document["kind"] == kind and document["schema"] == "histnu-result/1"
        assert document["inputs"] == {"magnetic_moment_xenonnt": digest(target.document)}
        assert document["versions"]["numpy"] == np.__version__
        assert parse_result(document).to_json() == document


def test_results_are_frozen_and_refuse_nonsense(every):
    with pytest.raises(ValidationError, match="frozen"):
        every["bound"].upper = 1.0
    document = every["bound"].to_json()
    for change in ({"colour": "red"}, {"upper": float("nan")}, {"kind": "guess"}):
        with pytest.raises(ValidationError):
            parse_result({**document, **change})


def test_a_moment_is_the_root_of_its_strength(every, target):
    interest = parameter_of_interest(target, "mu2_e")
    strength = interval(interest.likelihood, None, "mu2_e")
    # the same numbers up to the rounding of a root
    assert every["bound"].upper ** 2 == pytest.approx(strength.upper, rel=1e-12)
    assert every["bound"].unit == "1e-9 mu_B"
    fitted = best_fit(interest.likelihood)
    assert every["fit"].twice_nll == pytest.approx(fitted.twice_nll, abs=1e-9)


def test_the_profile_is_at_the_threshold_at_the_bound(every, target):
    found = verbs.scan(target, "mu_e", [every["bound"].upper])
    # the root finder stops at 1e-8 in Delta
    assert found.delta_twice_nll[0] == pytest.approx(threshold(0.9, 1), abs=1e-7)
    assert every["profile"].delta_twice_nll[0] == pytest.approx(0.0, abs=1e-7)


def test_a_region_touches_the_two_dimensional_bound(every):
    line = np.concatenate([np.array(p) for p in every["region"].polylines])
    target = load_target("millicharge_xenonnt")
    wide = verbs.limit(target, "q_ee", Options(dof=2))
    # the line is inside the bound of one parameter and comes near it on a coarse grid
    assert line[:, 0].max() <= wide.upper + 1e-6
    assert line[:, 0].max() > 0.95 * wide.upper


def test_held_parameters_are_held_and_said(target):
    free = verbs.limit(target, "mu_e")
    held = verbs.limit(target, "mu_e", Options(held={"b8_flux": 0.0}))
    assert held.held == {"b8_flux": 0.0} and held.parameters["b8_flux"] == 0.0
    # a nuisance less can only make the interval narrower
    assert held.upper < free.upper


def test_asimov_data_have_no_signal(target):
    found = verbs.limit(target, "mu_e", Options(data="asimov"))
    assert found.data == "asimov" and found.best_fit == pytest.approx(0.0, abs=1e-4)
    assert found.twice_nll < verbs.limit(target, "mu_e").twice_nll


def test_cls_excludes_beyond_its_limit(target):
    limit = verbs.limit(target, "mu_e", Options(method="cls", cl=0.9))
    test = verbs.hypothesis_test(target, "mu_e", limit.upper)
    # the root of CLs = 0.1 is found to 1e-6 or better
    assert test.cls == pytest.approx(0.1, abs=1e-5)
    assert limit.method == "cls" and limit.dof is None


def test_toys_are_seeded(target, every):
    again = verbs.toys(target, "mu_e", [1.0, 2.5], Options(method="toys", n_toys=60, seed=5))
    assert again == every["toys"]
    assert every["coverage"].covered <= every["coverage"].n_toys <= 60


def test_the_curve_closes(every):
    curve = every["mass_curve"]
    assert curve.x.name == "m4" and curve.x.unit == "MeV"
    assert curve.upper[0] < curve.upper[1] and curve.upper[2] is None


def test_mistakes_are_named(target):
    with pytest.raises(ConfigError, match="unknown method 'guess'; use one of profile"):
        verbs.limit(target, "mu_e", Options(method="guess"))
    with pytest.raises(ConfigError, match="mu_e enters squared; give its strength mu2_e"):
        verbs.contour(target, ("mu_e", "mu_mu"), ([0.0, 1.0], [0.0, 1.0]))
