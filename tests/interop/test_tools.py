"""Other people's tools get our numbers from our documents.

Each tool runs in a process of its own (``scripts/interop_tools.py``, ``scripts/interop_root.py``)
with nothing of histnu, in this environment or in the one that ``HISTNU_<TOOL>_PYTHON`` names.
"""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow

LIMITS = {
    # relative; Minuit at a tolerance of 1e-3 leaves 2 log L good to 1e-6
    "pyhf": {"cls_90": 1e-4, "cls_95": 1e-4, "profile_90": 1e-6},
    # cabinetry fits with Minuit's default tolerance of 0.1: 2 log L is good to 3e-4 only
    "cabinetry": {"cls_90": 5e-3, "cls_95": 5e-3},
    "spey": {"cls_90": 1e-4, "cls_95": 1e-4},
    # SLSQP at 1e-11 on the same function
    "pyhs3": {"profile_90": 1e-6},
    # RooStats interpolates CLs between scan points and fits its Asimov data with Minuit
    "root": {"cls_90": 5e-4, "cls_95": 5e-4, "profile_90": 1e-5},
}
Q_TOLERANCE = {"pyhf": 1e-5, "cabinetry": 1e-3, "pyhs3": 1e-6, "root": 5e-4}
"""Absolute; q is 0.4 to 7 at the three points."""


@pytest.mark.slow
@pytest.mark.parametrize("tool", LIMITS)
def test_limits(answer, reference, tool):
    found = answer(tool)
    for key, tolerance in LIMITS[tool].items():
        assert found[key] == pytest.approx(reference[key], rel=tolerance), key


@pytest.mark.parametrize("tool", Q_TOLERANCE)
def test_q_at_each_point(answer, reference, tool):
    found = answer(tool)
    np.testing.assert_allclose(found["q"], reference["q"], rtol=0, atol=Q_TOLERANCE[tool])


def test_cabinetry_ranks_and_draws(answer):
    found = answer("cabinetry")
    assert found["ranking"] >= 8, "every nuisance parameter is ranked"
    # two channels before and after the fit, pulls, correlations, ranking, scan, limit (two pages)
    assert found["plots"] >= 9


def test_pyhs3_has_the_same_constants(answer, inputs):
    """-2 log L at the start, constants included: 1e-9 leaves room for another summation order."""
    import pyhf

    from histnu.core.serialize import read_json

    workspace = pyhf.Workspace(read_json(inputs / "workspace.json"))
    model = workspace.model()
    found = answer("pyhs3")
    start = dict(zip(model.config.par_names, model.config.suggested_init(), strict=True))
    parameters = [{**start, **found["start"]}[n] for n in model.config.par_names]
    ours = -2 * model.logpdf(parameters, workspace.data(model))[0]
    assert found["twice_nll"] == pytest.approx(float(ours), abs=1e-9)


def test_root_reads_our_hs3(answer, inputs):
    """Differences of -2 log L along the parameter of interest, all else at its start."""
    import pyhf

    from histnu.core.serialize import read_json

    workspace = pyhf.Workspace(read_json(inputs / "workspace.json"))
    model = workspace.model()
    data = workspace.data(model)
    found = answer("root")
    point = np.array(model.config.suggested_init())
    values = []
    for mu in found["points"]:
        point[model.config.poi_index] = mu
        values.append(-2 * model.logpdf(point, data)[0])
    np.testing.assert_allclose(found["hs3"], np.array(values) - values[0], rtol=0, atol=1e-7)


def test_the_page_shows_these_numbers(interop, reference):
    """The table is made by a script: run it again when physics or inputs change."""
    text = interop.PAGE.read_text(encoding="utf-8")
    lines = text.split(interop.BEGIN)[1].split(interop.END)[0].strip().splitlines()
    rows = {line.split("|")[1].split()[0]: line.split("|")[2:5] for line in lines[2:]}
    shown = [float(cell) for cell in rows["histnu"]]
    expected = [reference[key] for key in interop.COLUMNS]
    message = "run scripts/interop_table.py"
    np.testing.assert_allclose(shown, expected, rtol=1e-3, err_msg=message)
    assert set(rows) == {"histnu", "pyhf", "cabinetry", "spey", "pyhs3", "ROOT"}
