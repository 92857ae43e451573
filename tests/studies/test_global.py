"""The study of all hypotheses: parameters alone, tables of sets, what may be combined, figures."""

from __future__ import annotations

import itertools

import pytest

from histnu.analysis.schema import load_analysis
from histnu.analysis.target import load_target
from histnu.core.errors import PhysicsError
from histnu.core.serialize import read_json
from histnu.core.units import unit_ratio
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import shared_data
from histnu.plotting.studies import KINDS, Drawing
from histnu.studies.answers import answer, nuisance_parameters
from histnu.studies.plan import plan
from histnu.studies.schema import load_study
from histnu.studies.tables import make_table, region
from histnu.studies.tasks import Task
from histnu.verbs import limit

STUDY = "global"
FOUR = "coherent,solar_b8,er_combined,global"


@pytest.fixture(scope="module")
def document(project_root):
    return read_json(project_root / "docs" / "global.json")


def test_every_hypothesis_is_asked():
    """Every installed model with parameters that the package has, and each of its parameters."""
    from histnu.analysis.hypothesis import model_names, signal_model
    from histnu.analysis.schema import ModelSection

    study = load_study(STUDY).study
    asked = {p for q in study.questions if q.kind == "bound" for p in q.parameters}
    for name in set(model_names()) - {"tabulated", "standard_model"}:
        model = signal_model(ModelSection(name=name))
        if not type(getattr(model, "model", model)).__module__.startswith("histnu."):
            continue
        missing = {p.name for p in model.parameters} - asked
        # the tau moment is the sterile dipole's nu_mu in the Sun, and COHERENT has none
        assert missing <= ({"mu_tau"} if name == "sterile_dipole" else set()), name


def test_no_data_counts_twice():
    for item in plan(load_study(STUDY), settings=_settings()).items:
        data = [load_experiment(e) for e in item.task.experiments]
        assert shared_data(data) is None, item.label


def _settings():
    from histnu.studies.plan import Settings

    return Settings()


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("magnetic_moment_solar_b8", "mu_e"),
        pytest.param("vector_nsi_solar_b8", "eps_d_ee", marks=pytest.mark.slow),
        pytest.param("charge_radius_er_combined", "r2_emu", marks=pytest.mark.slow),
    ],
)
def test_a_parameter_alone_is_the_likelihood_with_the_others_at_zero(name, parameter):
    task = Task(kind="bound", analysis=load_analysis(name), parameters=(parameter,))
    (alone,) = answer(task).results
    full = limit(load_target(name), parameter)
    assert alone.held == full.held
    assert alone.twice_nll == pytest.approx(full.twice_nll, abs=1e-8)  # the minimiser's tolerance
    for a, b in zip(alone.intervals, full.intervals, strict=True):
        # ends are roots to 1e-8 in Delta, whose slope is of the order of one
        assert (a.lower, a.upper) == pytest.approx((b.lower, b.upper), rel=1e-6)


def test_matrix_is_what_the_experiments_declare(document):
    described = {e["name"]: e for e in document["inputs"]["experiments"]}
    names = [n for n in described if not n.startswith("xenonnt_4d") and "s2only" not in n]
    for first, second in itertools.combinations(names, 2):
        pair = [load_experiment(first), load_experiment(second)]
        shared = set(described[first]["data_sets"]) & set(described[second]["data_sets"])
        assert bool(shared) == (shared_data(pair) is not None)
        common = set(nuisance_parameters(pair[0])) & set(nuisance_parameters(pair[1]))
        both = set(described[first]["parameters"]) & set(described[second]["parameters"])
        assert both == common
    table = make_table(document, "combinations", {"only": "xenonnt_sr01,pandax4t_us2_flux"})
    assert table.rows[0][1:] == ("·", "b8_flux")
    refused = make_table(document, "combinations", {"only": "pandax4t_us2,pandax4t_us2_flux"})
    assert {row[2 - i] for i, row in enumerate(refused.rows)} == {"**no**"}


def test_sets_in_words():
    def ends(lower, upper, kind="crossing"):
        return {"lower": lower, "upper": upper, "lower_end": kind, "upper_end": "crossing"}

    two = {"unit": "1e-9 e", "intervals": [ends(-1.0, 2.0), ends(3.0, None)]}
    assert region(two) == "[-1, 2] ∪ [3, open]"
    assert region(two, unit="1e-8 e") == "[-0.1, 0.2] ∪ [0.3, open]"
    assert region({"unit": "1", "intervals": [ends(0.0, 2.0, "bound")]}) == "< 2"
    with pytest.raises(PhysicsError, match="'1e-9 e' cannot be given in '1 mu_B'"):
        unit_ratio("1e-9 e", "1 mu_B")


def test_documented_tables_are_those_of_the_numbers(document, project_root):
    """docs/hypotheses.md shows what docs/global.json says."""
    page = (project_root / "docs" / "hypotheses.md").read_text()
    for section in ("moments", "charges", "radii", "vectors", "scalars", "dipole", "nsi"):
        data = "coherent,solar_b8,global" if section == "nsi" else FOUR
        table = make_table(document, "sets", {"section": section, "data": data})
        assert table.rows
        assert table.markdown() in page, section
    assert make_table(document, "combinations", {}).markdown() in page


@pytest.mark.slow
def test_documented_results_are_current(document, part):
    """Some rows of docs/global.json again: quick data, and one joint likelihood of everything."""
    labels = {("delta_s2w", "solar_b8"), ("r2_ee", "er_combined"), ("mu_universal", "global")}
    now = part(STUDY, lambda i: (i.task.parameters[0], i.data) in labels and i.task.kind == "bound")
    for section in ("mixing", "radii", "moments"):
        for row in now.sections[section]:
            wanted = {k: row[k] for k in ("id", "experiment", "cl")}
            (shown,) = [r for r in document[section] if wanted.items() <= r.items()]
            for a, b in zip(row["intervals"], shown["intervals"], strict=True):
                # the root finder stops at 1e-8 in Delta
                assert (a["lower"], a["upper"]) == pytest.approx((b["lower"], b["upper"]), rel=1e-6)


@pytest.mark.slow
def test_figures(document, tmp_path):
    """One figure per hypothesis, and its numbers; other studies draw theirs in every format."""
    figures = document["study"]["figures"]
    for name, section in figures.items():
        paths = KINDS[section["kind"]](Drawing(document, section), tmp_path / f"{name}.png")
        assert [p.name for p in paths] == [f"{name}.png", f"{name}.csv"]
        assert all(p.stat().st_size > 200 for p in paths)
    assert set(figures) == set(load_study(STUDY).study.figures)
    assert len(figures) == 9
