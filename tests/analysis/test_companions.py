"""Companions of the parameter that is asked: profiled, or zero, as the model says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from histnu import verbs
from histnu.analysis.build import write_workspace
from histnu.analysis.schema import load_analysis
from histnu.analysis.target import load_target, parameter_of_interest
from histnu.cli.main import cli
from histnu.core.errors import ConfigError
from histnu.workspace.manifest_reader import manifest_beside

ANALYSIS = "charge_radius_solar_b8"
OTHERS = {"r2_mumu", "r2_tautau", "r2_emu", "r2_etau", "r2_mutau"}


def test_one_at_a_time():
    target = load_target(ANALYSIS)
    assert parameter_of_interest(target, "r2_ee").fixed == dict.fromkeys(OTHERS, 0.0)
    assert parameter_of_interest(target, "r2_ee", ("r2_emu",)).fixed == dict.fromkeys(
        OTHERS - {"r2_emu"}, 0.0
    )
    by_hand = load_target(ANALYSIS, {"r2_emu": "free", "r2_etau": 3.0})
    fixed = dict.fromkeys(OTHERS - {"r2_emu", "r2_etau"}, 0.0) | {"r2_etau": 3.0}
    assert parameter_of_interest(by_hand, "r2_ee").fixed == fixed
    assert parameter_of_interest(load_target(ANALYSIS, {"all": "free"}), "r2_ee").fixed == {}


def test_profiled_together_by_default():
    assert parameter_of_interest(load_target("millicharge_xenonnt"), "q_ee").fixed == {}


def test_nothing_is_held_where_a_strength_or_a_nuisance_is_asked():
    """The document's own settings hold there: strengths as the measurement says."""
    target = load_target(ANALYSIS)
    assert parameter_of_interest(target, "r2_sq_e").fixed == {}
    assert parameter_of_interest(target, "b8_flux").fixed == {}


@pytest.mark.slow
def test_a_wider_set_when_companions_are_profiled():
    """A profile over more parameters is nowhere higher: its interval holds the other one."""
    one = verbs.limit(load_target(ANALYSIS), "r2_emu")
    two = verbs.limit(load_target(ANALYSIS, {"r2_ee": "free"}), "r2_emu")
    assert one.held == dict.fromkeys((OTHERS | {"r2_ee"}) - {"r2_emu"}, 0.0)
    assert "r2_ee" not in two.held
    assert one.upper is not None and two.upper is not None
    assert two.upper > one.upper
    assert two.twice_nll <= one.twice_nll + 1e-8  # the minimiser's tolerance


def test_unknown():
    message = (
        f"{ANALYSIS}: --set: r2_xx is no physical parameter to set free; use one of r2_ee, "
        "r2_mumu, r2_tautau, r2_emu, r2_etau, r2_mutau, all"
    )
    with pytest.raises(ConfigError) as error:
        parameter_of_interest(load_target(ANALYSIS, {"r2_xx": "free"}), "r2_ee")
    assert str(error.value) == message


def test_manifest_carries_it(tmp_path):
    write_workspace(load_analysis(ANALYSIS), tmp_path / "built")
    write_workspace(load_analysis("magnetic_moment_xenonnt"), tmp_path / "moments")
    manifest = manifest_beside(tmp_path / "built" / "workspace.json")
    assert manifest is not None and manifest["options"]["companions"] == "zero"
    other = manifest_beside(tmp_path / "moments" / "workspace.json")
    assert other is not None and "companions" not in other["options"]
    assert parameter_of_interest(load_target(tmp_path / "built"), "r2_ee").fixed == dict.fromkeys(
        OTHERS, 0.0
    )


@pytest.mark.slow
def test_command_line_says_what_was_held():
    arguments = ["limit", ANALYSIS, "--poi", "r2_ee", "--set", "r2_emu=free"]
    text = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert text.exit_code == 0
    assert "; r2_mumu = r2_tautau = r2_etau = r2_mutau = 0 [reconstructed inputs]" in text.output
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)
    assert found["held"] == dict.fromkeys(OTHERS - {"r2_emu"}, 0.0)
