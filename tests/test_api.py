"""The public Python API: names, laziness, and the same answers as the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import histnu
from histnu.cli.main import cli
from histnu.core.errors import ConfigError


@pytest.fixture(scope="module")
def likelihood():
    return histnu.load("magnetic_moment_combined")


def test_every_public_name_is_there():
    for name in histnu.__all__:
        assert getattr(histnu, name) is not None
    assert set(histnu.__all__) <= set(dir(histnu))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = histnu.nothing


def test_importing_starts_nothing():
    """Neither numpy nor pyhf is imported, and no file of the package's data is opened."""
    program = (
        "import sys, histnu; print([m for m in ('numpy', 'pyhf', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_python_and_command_line_agree(likelihood):
    words = ["limit", "magnetic_moment_combined", "--poi", "mu_universal", "--json"]
    document = json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).output)
    found = likelihood.limit("mu_universal")
    # the file keeps ten digits
    assert document["upper"] == pytest.approx(found.upper, rel=1e-9)
    assert set(document) == set(found.to_json())
    assert document["inputs"] == dict(found.inputs)


def test_any_pyhf_workspace_is_a_likelihood(likelihood):
    """Without the manifest there are strengths only: the moment is the root of its strength."""
    plain = histnu.load(likelihood.workspace)
    # roots of the profile are found to 1e-8 in Delta
    assert plain.limit("mu2_universal").upper ** 0.5 == pytest.approx(
        likelihood.limit("mu_universal").upper, rel=1e-7
    )


def test_any_parameter_can_be_asked(likelihood):
    found = likelihood.limit("b8_flux", cl=0.6827)
    # the data say little of the flux: its interval is that of the unit Gaussian that constrains it
    assert found.upper - found.lower == pytest.approx(2.0, abs=0.05)
    with pytest.raises(ConfigError, match="unknown 'nonsense'; use one of mu2_e, "):
        likelihood.limit("nonsense")
    assert {"mu_universal", "mu2_e", "b8_flux"} <= set(likelihood.parameters)


def test_held_parameters(likelihood):
    found = histnu.limit("sterile_dipole_xenonnt", "mu_e", held={"m4": 5.0})
    assert found.held == {"m4": 5.0}
    assert histnu.load("sterile_dipole_xenonnt", m4=5.0).limit("mu_e").upper == found.upper
    fixed = histnu.limit("magnetic_moment_combined", "mu_e", held={"b8_flux": 0.0})
    assert fixed.held == {"b8_flux": 0.0}
    with pytest.raises(ConfigError, match="m4"):
        histnu.load("sterile_dipole_xenonnt")


def test_looks_are_short(likelihood):
    text = repr(likelihood)
    assert len(text) < 200 and "\n" not in text
    assert "2 channels, 7 bins" in text and "reconstructed inputs" in text
    assert "<table>" in likelihood._repr_html_()
    line = repr(likelihood.limit("mu_e"))
    assert len(line) < 200 and line.startswith("mu_e: < 1.8")


def test_other_verbs(likelihood):
    scan = likelihood.scan("mu_e", np.linspace(0, 3, 4))
    assert scan.certified and len(scan.delta_twice_nll) == 4
    summary = likelihood.fit("mu_universal")
    ranked = likelihood.impacts("mu_universal").impacts
    assert {i.name for i in ranked} <= {p.name for p in summary.parameters}
    assert likelihood.significance("mu2_e").significance >= 0
    model, data = likelihood.pyhf("mu2_e")
    assert len(data) == len(model.expected_data(model.config.suggested_init()))
