"""The documents of all analyses: legal, built the same twice, of floats, without a trap."""

from __future__ import annotations

import json
from functools import cache

import pytest

from histnu.analysis.schema import builtin
from histnu.workspace.checks import check_workspace

PULSED = {n for n, a in builtin().items() if any("coherent" in e for e in a.experiments)}
NAMES = sorted(builtin().keys() - PULSED)
QUICK = {
    "magnetic_moment_combined",
    "millicharge_er_lz",
    "standard_model_lz_b8",
    "sterile_dipole_pandax4t",
    "weak_mixing_angle_solar_b8_free_flux",
}
"""Of each way of detection, several models, a held mass and a free flux; the rest is slow."""


def analyses(names):
    """Parameters of a test: the quick analyses, and the others marked slow."""
    return [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names]


@pytest.fixture(scope="module")
def document(assembled):
    """The document of an analysis, built once for all tests."""
    return cache(lambda name, interpolation="normsys": assembled(name, interpolation).workspace)


def integers(value):
    """Every integer in a document."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [x for v in value for x in integers(v)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


# of the largest documents, those of pulsed sources, one
@pytest.mark.parametrize("name", analyses([*NAMES, "standard_model_coherent"]))
def test_deterministic_and_of_floats(document, assembled, name):
    first = document(name)
    again = assembled(name).workspace
    assert json.dumps(first, sort_keys=True) == json.dumps(again, sort_keys=True)
    assert integers(first) == []


@pytest.mark.parametrize("interpolation", ["normsys", "linear"])
@pytest.mark.parametrize("name", analyses(NAMES))
def test_no_trap(document, name, interpolation):
    found = check_workspace(document(name, interpolation))  # pyhf's schema is its first check
    if name.startswith("universal_vector"):
        # g^2 alone, without the g^4 that goes with it, is destructive: the linter says so
        found = [f for f in found if (f.severity, f.check) != ("warning", "rates")]
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n in PULSED if n.startswith("standard_model")))
def test_those_of_pulsed_sources_have_negative_rates_at_most(document, name):
    """Their shape variations, linear in bins of little content, are negative before -5 sigma."""
    found = [f for f in check_workspace(document(name)) if f.severity != "info"]
    assert {(f.severity, f.check) for f in found} <= {("warning", "rates")}
