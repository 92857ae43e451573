"""Results of the full likelihoods, their validation, and the reference interpolation."""

from __future__ import annotations

import importlib
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from histnu.analysis.schema import load_analysis
from histnu.analysis.spectrum_table import read_spectra
from histnu.analysis.target import load_target
from histnu.core.errors import DataError, FitError, PhysicsError
from histnu.core.serialize import read_json
from histnu.experiments.builders import BUILDERS, build_experiment
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.tabulated import TabulatedSignal
from histnu.releases.locate import find_release
from histnu.studies.schema import load_study
from histnu.studies.tables import make_table
from histnu.studies.text import options_of
from histnu.verbs import limit, mass_curves
from histnu.workspace.shapes import split_shapes, with_bounds


@pytest.fixture(scope="module")
def validation():  # type: ignore[no-untyped-def]
    """``scripts/validation.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "scripts")
        return importlib.import_module("full_validation")


def needs(name: str) -> None:
    for release in BUILDERS[name].releases:
        try:
            find_release(release)
        except DataError as error:
            pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.release
def test_published_2024_flux_and_significance(validation) -> None:  # type: ignore[no-untyped-def]
    """arXiv:2408.02877: flux 4.7 (+3.6 -2.3) e6, background-only rejected at 2.73 sigma."""
    needs("xenonnt_4d_2024")
    found = validation.measure_flux("xenonnt_4d_2024")
    assert found.expected == pytest.approx(11.9, abs=0.05)
    assert found.flux == pytest.approx(4.7, abs=0.1)  # best fit, one decimal published
    assert found.lower is not None and found.upper is not None
    assert found.lower == pytest.approx(4.7 - 2.3, abs=0.15)
    # our upper end is asymptotic and interpolates from +-1 only; the published one is Neyman's
    assert found.upper == pytest.approx(4.7 + 3.6, abs=0.4)
    # asymptotic 2.67; the published 2.73 comes from toys
    assert found.significance == pytest.approx(2.73, abs=0.1)


@pytest.mark.slow
@pytest.mark.release
def test_same_model_as_the_collaborations(validation) -> None:  # type: ignore[no-untyped-def]
    """-2 log L of alea 0.3.5 at five points, from scripts/compare_alea.py (relative to point 0)."""
    needs("xenonnt_4d_2024")
    reference = validation.flux_reference("xenonnt_4d_2024")
    points = [
        ({}, 0.0),
        ({"b8_rate_multiplier": 0.6, "t_ly": 0.4, "t_qy": -0.3}, 0.382904),
        (
            {"b8_rate_multiplier": 1.7, "t_ly": -1.3, "t_qy": 1.6, "signal_efficiency": 0.8},
            6.731454,
        ),
        (
            {"b8_rate_multiplier": 2.5, "t_ly": 2.2, "t_qy": -2.7, "er_rate_multiplier": 2.0},
            19.177442,
        ),
    ]
    values = [reference.twice_nll(validation._our_point(reference, p)) for p, _ in points]
    assert np.array(values) - values[0] == pytest.approx([v for _, v in points], abs=1e-6)


@pytest.mark.slow
@pytest.mark.release
def test_wimp_limit_end_to_end(validation) -> None:  # type: ignore[no-untyped-def]
    """Ionization-only, 10 GeV: the published limit is 3.718e-45 cm^2."""
    needs("xenonnt_s2only_2026")
    found = validation.wimp_limit("xenonnt_s2only_2026", 10.0)
    published = validation.published_limits("xenonnt_s2only_2026")[10.0]
    # published: Neyman construction with toys; ours: asymptotic
    assert found["limit"] == pytest.approx(published, rel=0.03)


@pytest.mark.slow
@pytest.mark.release
def test_bound_and_sensitivity(part) -> None:  # type: ignore[no-untyped-def]
    needs("xenonnt_s2only_2026")

    def choose(i) -> bool:  # type: ignore[no-untyped-def]
        return (i.data, i.task.parameters) == ("xenonnt_s2only_2026", ("mu_e",))

    row = part("full_likelihoods", choose).row("bounds", id="mu_e")
    # ten digits are kept
    assert row["ratio"] == pytest.approx(row["upper"] / row["published"]["upper"], rel=1e-9)
    assert row["provenance"] == "published"
    # the data have fewer events than expected, so the bound is stronger than the sensitivity
    assert row["upper"] < row["expected"]["upper"]


@pytest.mark.slow
@pytest.mark.release
def test_pyhf_gives_the_same_bound() -> None:
    """The batched engine against pyhf itself (minuit) on the ionization-only workspace."""
    import pyhf
    from scipy.optimize import brentq

    needs("xenonnt_s2only_2026")
    target = load_target("magnetic_moment_xenonnt_s2only_2026")
    ours = limit(target, "mu_e").upper
    workspace = pyhf.Workspace(target.document)
    model = workspace.model(measurement_name="mu2_e")
    data = workspace.data(model)
    before = pyhf.get_backend()
    try:
        optimizer = pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1)
        pyhf.set_backend("numpy", optimizer)
        _, best = pyhf.infer.mle.fit(data, model, return_fitted_val=True)

        def excess(mu2: float) -> float:
            _, value = pyhf.infer.mle.fixed_poi_fit(mu2, data, model, return_fitted_val=True)
            return float(value - best - 2.705543)

        upper = math.sqrt(brentq(excess, 0.5, 10.0, xtol=1e-4))
    finally:
        pyhf.set_backend(*before)
    assert ours == pytest.approx(upper, rel=1e-3)  # minuit stops at 1e-3 in Delta


@pytest.mark.release
@pytest.mark.slow
def test_dipole_of_zero_mass_is_the_magnetic_moment() -> None:
    needs("xenonnt_s2only_2026")
    analysis = load_analysis("sterile_dipole_xenonnt_s2only_2026")
    (curve,) = mass_curves(analysis, "m4", ["mu_e"], [0.001, 15.9])
    bound = limit(load_target("magnetic_moment_xenonnt_s2only_2026"), "mu_e").upper
    # 2 dof at 90 % against 1 dof: the ratio of thresholds, larger mu for the first
    assert 1.0 < curve.upper[0] / bound < math.sqrt(4.605 / 2.706)
    assert curve.dof == 2


@pytest.mark.slow
@pytest.mark.release
def test_unknown_parameter_of_the_reference(validation) -> None:  # type: ignore[no-untyped-def]
    needs("xenonnt_4d_2024")
    with pytest.raises(FitError, match="unknown parameter 'mass'"):
        validation.flux_reference("xenonnt_4d_2024").fit({"mass": 1.0})


def test_tabulated_signal_follows_the_protocol(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.csv"
    path.write_text("e_recoil_kev,axion,relic\n1,2,0\n2,4,1\n4,0,1\n")
    energy, rates = read_spectra(path)
    model = TabulatedSignal(energy, rates)
    assert isinstance(model, SignalModel)
    found = model.basis_spectra(None, [0.5, 1.5, 3.0, 5.0])
    assert found["axion"].tolist() == [0.0, 3.0, 2.0, 0.0]
    assert model.polynomial([2.0, 3.0]).tolist() == [2.0, 3.0]
    path.write_text("energy,axion\n1,2\n2,4\n")
    with pytest.raises(DataError, match="e_recoil_kev: missing column"):
        read_spectra(path)
    path.write_text("e_recoil_kev,axion\n2,2\n1,4\n")
    with pytest.raises(DataError, match="increase"):
        read_spectra(path)


@pytest.mark.parametrize(
    ("energy", "rates"),
    [([1.0], {"a": [1.0]}), ([2.0, 1.0], {"a": [1.0, 1.0]}), ([1.0, 2.0], {}),
     ([1.0, 2.0], {"a": [1.0]}), ([1.0, 2.0], {"a": [1.0, np.nan]})],
)  # fmt: skip
def test_bad_tables_are_refused(energy, rates) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PhysicsError):
        TabulatedSignal(energy, rates)


def small_workspace():  # type: ignore[no-untyped-def]
    shape = {"hi_data": [3.0, 6.0], "lo_data": [1.0, 2.0]}
    sample = {
        "name": "s",
        "data": [2.0, 4.0],
        "modifiers": [{"name": "t", "type": "histosys", "data": shape}],
    }
    config = {"poi": "mu", "parameters": []}
    return {
        "channels": [{"name": "c", "samples": [sample]}],
        "observations": [{"name": "c", "data": [1.0, 1.0]}],
        "measurements": [{"name": "m", "config": config}],
        "version": "1.0.0",
    }


def test_a_pure_rate_shape_becomes_a_normsys() -> None:
    document = small_workspace()
    split = split_shapes(document, {"t"})["channels"][0]["samples"][0]["modifiers"]
    shape, rate = split
    assert shape["data"] == {"hi_data": [2.0, 4.0], "lo_data": [2.0, 4.0]}
    assert rate["data"] == {"hi": 1.5, "lo": 0.5}
    assert split_shapes(document, set()) == document


def test_bounds_are_written_into_every_measurement() -> None:
    found = with_bounds(small_workspace(), {"t": (-3.0, 3.0), "unused": (0.0, 1.0)})
    entries = found["measurements"][0]["config"]["parameters"]
    assert entries == [{"name": "t", "bounds": [[-3.0, 3.0]]}]


def test_published_limits_are_read(validation) -> None:  # type: ignore[no-untyped-def]
    needs("xenonnt_4d_2024")
    limits = validation.published_limits("xenonnt_4d_2024")
    assert limits[6.0] == pytest.approx(2.5324e-45, rel=1e-4)


@pytest.mark.release
def test_grid_is_cached_and_complete() -> None:
    needs("xenonnt_s2only_2026")
    assert build_experiment("xenonnt_s2only_2026") is build_experiment("xenonnt_s2only_2026")


@pytest.fixture(scope="module")
def documented(project_root):  # type: ignore[no-untyped-def]
    return read_json(project_root / "docs" / "full_likelihoods.json")


def test_documented_tables_are_those_of_the_run(documented, project_root):  # type: ignore[no-untyped-def]
    """docs/full_likelihoods.md shows what docs/full_likelihoods.json says, as the report does."""
    page = (project_root / "docs" / "full_likelihoods.md").read_text()
    report = load_study("full_likelihoods").report.read_text()
    places = re.findall(r"\{\{ table (\w+) (.*?) \}\}", report)
    assert [kind for kind, _ in places] == ["compare", "curves"]
    for kind, words in places:
        assert make_table(documented, kind, options_of(shlex.split(words))).markdown() in page
    assert ", ".join(f"{k} {v}" for k, v in documented["versions"].items()) in page


@pytest.mark.slow
@pytest.mark.release
def test_documented_results_are_current(documented, part):  # type: ignore[no-untyped-def]
    needs("xenonnt_s2only_2026")
    label = "xenonnt_s2only_2026"
    now = part("full_likelihoods", lambda i: i.data == label and i.task.parameters == ("mu_e",))
    row = now.row("bounds", id="mu_e")
    (shown,) = (r for r in documented["bounds"] if (r["id"], r["experiment"]) == ("mu_e", label))
    # the root finder stops at 1e-8 in Delta
    assert row["upper"] == pytest.approx(shown["upper"], rel=1e-6)
    assert row["expected"]["upper"] == pytest.approx(shown["expected"]["upper"], rel=1e-6)
