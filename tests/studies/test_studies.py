"""Studies as data: the schema, planning, the cache, resuming, the example of the tutorial."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from histnu.core.errors import ConfigError, DataError, FitError
from histnu.core.serialize import dumps, read_json
from histnu.core.strict_yaml import read_yaml
from histnu.core.tables import data_path
from histnu.studies import jobs
from histnu.studies.cache import Cache
from histnu.studies.jobs import Running, run_tasks
from histnu.studies.plan import Settings, plan
from histnu.studies.reproduce import compute, prepare, write_study
from histnu.studies.schema import builtin_studies, load_study
from histnu.studies.schemas import schemas
from histnu.studies.tasks import Task, identity

PROSE = frozenset(
    {"title", "description", "default", "examples", "$schema", "$defs", "discriminator"}
)
"""Keywords of a JSON Schema that allow and forbid nothing here (definitions are written out)."""


def structure(schema: Any) -> Any:
    """What a JSON Schema allows: without prose, definitions written out where they are named.

    Two versions of pydantic may name and place definitions differently and word titles in other
    ways; the structure is the same.
    """
    return _structure(schema, schema.get("$defs", {}), ())


def _structure(part: Any, definitions: dict, inside: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        found = [_structure(p, definitions, inside) for p in part]
        return sorted(found, key=dumps) if all(isinstance(p, (str, dict)) for p in part) else found
    if not isinstance(part, dict):
        return part
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if name:
        if name in inside:
            return {"again": inside.index(name) - len(inside)}
        return _structure(definitions[name], definitions, (*inside, name))
    if "const" in part:  # {"const": x} and {"const": x, "enum": [x], "type": ...} are the same
        return {"const": part["const"]}
    kept = {k: v for k, v in part.items() if k not in PROSE}
    return {
        k: {name: _structure(p, definitions, inside) for name, p in v.items()}
        if k == "properties"
        else _structure(v, definitions, inside)
        for k, v in kept.items()
    }


@pytest.fixture(scope="module")
def example(project_root):
    """The study of the tutorial."""
    return load_study(project_root / "examples" / "own_study")


@pytest.fixture(scope="module")
def computed(example, tmp_path_factory):
    """The example's outcome, its output folder and its cache."""
    folder = tmp_path_factory.mktemp("own")
    outcome = compute(prepare(example), Running(1, folder / "cache"))
    write_study(outcome, example, folder)
    return outcome, folder


@pytest.fixture
def own(project_root, tmp_path):
    """A copy of the example whose ``study.yaml`` a test may change: returns (folder, write)."""
    source = project_root / "examples" / "own_study"
    document = yaml.safe_load((source / "study.yaml").read_text())
    (tmp_path / "report.md").write_text((source / "report.md").read_text())

    def write(change):
        change(document)
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(document))
        return tmp_path

    return write


@pytest.mark.parametrize("name", builtin_studies())
def test_every_study_of_the_package_is_valid_and_can_be_planned(name):
    loaded = load_study(name)
    assert loaded.study.name == name
    made = plan(loaded, Settings())
    labels = {(i.section, i.task.kind, i.data) for i in made.items}
    assert labels or made.skipped


@pytest.mark.parametrize("name", schemas())
def test_shipped_schemas_are_those_of_the_types(name):
    """They allow the same; names of definitions and prose differ between versions of pydantic."""
    made = json.loads(dumps(schemas()[name]))
    assert structure(read_json(data_path(f"schemas/{name}.json"))) == structure(made)


def test_structure_sees_what_a_schema_allows():
    shipped = read_json(data_path("schemas/analysis.json"))
    other = json.loads(json.dumps(shipped).replace("FluxSection", "Flux"))
    other["properties"]["interpolation"]["title"] = "Another"
    assert structure(other) == structure(shipped)
    other["properties"]["interpolation"]["enum"].append("quadratic")
    assert structure(other) != structure(shipped)
    closed = json.loads(json.dumps(shipped))
    closed["$defs"]["FluxSection"]["properties"]["relative"]["exclusiveMaximum"] = 2
    assert structure(closed) != structure(shipped)


def test_study_files_obey_the_shipped_schema(project_root):
    jsonschema = pytest.importorskip("jsonschema")
    schema = read_json(data_path("schemas/study.json"))
    folders = [data_path("studies") / n for n in builtin_studies()]
    for folder in [*folders, project_root / "examples" / "own_study"]:
        document = yaml.safe_load((folder / "study.yaml").read_text())
        jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.slow
def test_example_is_the_library(computed):
    """The study's numbers are those of the verbs for the same analyses."""
    from histnu.analysis.target import load_target
    from histnu.verbs import limit

    outcome, _ = computed
    rows = {(r["id"], r["experiment"]): r for r in outcome.results["bounds"]}
    ours = limit(load_target("magnetic_moment_xenonnt"), "mu_e")
    # ten digits are kept
    assert rows["mu_e", "paper_flux"]["upper"] == pytest.approx(ours.upper, rel=1e-9)
    # a better known, lower flux: fewer events to hide a moment behind, a larger moment allowed
    assert rows["mu_e", "our_flux"]["upper"] != rows["mu_e", "paper_flux"]["upper"]
    assert rows["mu_e", "paper_flux"]["ratio"] == pytest.approx(ours.upper / 1.9, rel=1e-9)
    assert rows["mu_e", "our_flux"]["published"] is None


def test_example_obeys_the_results_schema(computed):
    jsonschema = pytest.importorskip("jsonschema")
    schema = read_json(data_path("schemas/results.json"))
    jsonschema.Draft202012Validator(schema).validate(computed[0].results)


def test_example_writes_everything(computed):
    _, folder = computed
    text = (folder / "results.md").read_text()
    assert "{{" not in text and "| XENONnT† | < 1.80 |" in text
    for name in ("results.json", "profiles.png", "profiles.pdf"):
        assert (folder / name).stat().st_size > 0
    workspace = folder / "workspaces" / "magnetic_moment_our_flux"
    manifest = read_json(workspace / "manifest.json")
    assert manifest["documents"]["workspace.json"]["kind"] == "workspace"
    assert read_json(workspace / "workspace.json")["channels"]


def test_variation_is_relative_to_the_same_bound(computed):
    results = computed[0].results
    half, double = results["variations"]
    usual = next(r for r in results["bounds"] if (r["id"], r["experiment"]) == ("mu_e", "our_flux"))
    for row in (half, double):
        assert row["shift"]["mu_e"] == pytest.approx(
            row["upper"]["mu_e"] / usual["upper"] - 1, rel=1e-6
        )
    # more background uncertainty can only weaken the bound
    assert half["shift"]["mu_e"] < 0 < double["shift"]["mu_e"]


def test_a_repeated_study_computes_nothing_and_gives_the_same_bytes(computed, example, monkeypatch):
    outcome, folder = computed

    def refuse(task):
        raise AssertionError(f"{task.kind} was computed again")

    monkeypatch.setattr(jobs, "answer", refuse)
    again = compute(prepare(example), Running(1, folder / "cache"))
    assert dumps(again.results) == dumps(outcome.results)
    assert dumps(again.workspaces) == dumps(outcome.workspaces)


def test_other_prose_and_published_numbers_recompute_nothing(computed, own, monkeypatch):
    _, folder = computed

    def change(document):
        document["published"][0]["upper"] = 3.8
        document["data"]["our_flux"]["title"] = "another name"

    loaded = load_study(own(change))
    monkeypatch.setattr(jobs, "answer", lambda task: pytest.fail("computed again"))
    results = compute(prepare(loaded), Running(1, folder / "cache")).results
    row = next(r for r in results["bounds"] if r["published"])
    assert row["ratio"] == pytest.approx(row["upper"] / 3.8, rel=1e-9)


def test_an_interrupted_study_goes_on_where_it_was(example, tmp_path, monkeypatch):
    prepared = prepare(example)
    real, done = jobs.answer, []

    def stop_after_three(task):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(task.kind)
        return real(task)

    monkeypatch.setattr(jobs, "answer", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        compute(prepared, Running(1, tmp_path))
    assert len(list(tmp_path.glob("*.json"))) == 3
    later = []
    monkeypatch.setattr(jobs, "answer", lambda task: later.append(task.kind) or real(task))
    compute(prepared, Running(1, tmp_path))
    assert len(done) + len(later) == len({identity(t) for _, t in prepared.tasks})


def test_a_failing_question_stops_no_other(own, tmp_path, monkeypatch, capsys):
    """Two fits fail: one for real (CLs of a charge without a bound at 0), one as not certified."""
    from histnu.cli.main import main

    def change(document):
        document["analyses"]["charges"] = {"paper_flux": "millicharge_xenonnt"}
        usual = {"kind": "bound", "section": "bounds"}
        document["questions"] = [
            {**usual, "analyses": "charges", "parameters": ["q_ee"], "method": "cls"},
            {**usual, "analyses": "moments", "parameters": ["mu_e", "mu_universal"]},
        ]

    real = jobs.answer

    def answer(task):
        if (task.parameters, task.analysis and task.analysis.name) == (
            ("mu_e",),
            "magnetic_moment_our_flux",
        ):
            raise FitError("mu_e: the best fit is not certified")
        return real(task)

    monkeypatch.setattr(jobs, "answer", answer)
    folder, out = own(change), tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", str(folder), "-o", str(out), "-q", "-j", "1"])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.err == "histnu: error: 2 of 7 questions have no answer\n"
    first = "bound q_ee paper_flux", "q-tilde needs q_ee bounded at 0, not at -inf; set its bounds"
    second = "bound mu_e our_flux", "mu_e: the best fit is not certified"
    results = read_json(out / "results.json")
    assert [(r["question"], r["problem"]) for r in results["no_answer"]] == [first, second]
    for name, problem in (first, second):
        assert f"{name}: no answer: {problem}" in shown.out
        assert f"| {name} | no answer: {problem} |" in (out / "results.md").read_text()
    found = {(r["id"], r["experiment"]) for r in results["bounds"]}
    assert found == {("mu_e", "paper_flux"), ("mu_universal", "paper_flux"),
                     ("mu_universal", "our_flux")}  # fmt: skip
    jsonschema = pytest.importorskip("jsonschema")
    schema = read_json(data_path("schemas/results.json"))
    jsonschema.Draft202012Validator(schema).validate(results)
    # what failed is asked again by the next run, nothing else is
    monkeypatch.setattr(
        jobs, "answer", lambda t: real(t) if t.parameters == ("mu_e",) else answer(t)
    )
    again = compute(prepare(load_study(folder)), Running(1, out / "cache"))
    assert again.problems == [f"{first[0]}: no answer: {first[1]}"]


def test_fresh_computes_again(tmp_path, monkeypatch):
    task = Task(kind="experiment", name="xenonnt_sr01")
    run_tasks([("a", task)], Running(1, tmp_path))
    calls = []
    real = jobs.answer
    monkeypatch.setattr(jobs, "answer", lambda t: calls.append(t) or real(t))
    run_tasks([("a", task)], Running(1, tmp_path))
    assert not calls
    run_tasks([("a", task)], Running(1, tmp_path, fresh=True))
    assert len(calls) == 1


def test_a_damaged_entry_is_computed_again(tmp_path, caplog):
    task = Task(kind="experiment", name="xenonnt_sr01")
    (first,) = run_tasks([("a", task)], Running(1, tmp_path))
    (entry,) = tmp_path.glob("*.json")
    good = entry.read_bytes()
    for damage in (good[:-40], good.replace(b'"derived"', b'"published"', 1), b""):
        entry.write_bytes(damage)
        assert Cache(tmp_path).get(identity(task)) is None
        assert "is damaged and is computed again" in caplog.text
        assert run_tasks([("a", task)], Running(1, tmp_path)) == [first]
        assert entry.read_bytes() == good


def test_equal_questions_are_answered_once(tmp_path, monkeypatch):
    task = Task(kind="experiment", name="xenonnt_sr01")
    calls = []
    real = jobs.answer
    monkeypatch.setattr(jobs, "answer", lambda t: calls.append(t) or real(t))
    a, b = run_tasks([("a", task), ("b", task)], Running(1, tmp_path))
    assert a == b and len(calls) == 1


def test_identity_follows_question_inputs_and_code(own, tmp_path, monkeypatch):
    from histnu.studies import tasks

    folder = tmp_path / "mine"
    folder.mkdir()
    source = data_path("experiments/xenonnt_sr01")
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    task = Task(kind="experiment", name=str(folder / "experiment.yaml"))
    tasks.experiment_inputs.cache_clear()
    first = identity(task)
    assert identity(task) == first
    assert identity(task.model_copy(update={"cl": 0.95})) != first
    text = (folder / "rates.csv").read_text()
    (folder / "rates.csv").write_text(text + "# a comment\n")
    tasks.experiment_inputs.cache_clear()
    second = identity(task)
    assert second != first
    monkeypatch.setattr(tasks, "numerics", lambda: "another version of the code")
    assert identity(task) != second
    tasks.experiment_inputs.cache_clear()


def test_toys_have_seeds_of_their_own(own):
    def change(document):
        document["questions"] = [
            {"kind": "bound", "section": "bounds", "analyses": "moments", "method": "toys",
             "n_toys": 50, "parameters": ["mu_e", "mu_universal"]}
        ]  # fmt: skip

    folder = own(change)
    seeds = [i.task.seed for i in plan(load_study(folder), Settings()).items]
    assert len(set(seeds)) == 4  # two parameters, two data sets
    assert seeds == [i.task.seed for i in plan(load_study(folder), Settings()).items]
    other = [
        i.task.seed for i in plan(load_study(own(lambda d: d.update(seed=1))), Settings()).items
    ]
    assert not set(seeds) & set(other)


@pytest.mark.slow
def test_processes_give_what_one_gives(computed, example, tmp_path):
    two = compute(prepare(example), Running(2, tmp_path))
    assert dumps(two.results) == dumps(computed[0].results)


BAD = {
    "unknown key": (lambda d: d.update(colour="red"), "colour: Extra inputs are not permitted"),
    "unknown group": (
        lambda d: d["questions"][0].update(analyses="charges"),
        "unknown analyses 'charges'; known: moments",
    ),
    "unknown data": (
        lambda d: d["questions"][0].update(data=["lz"]),
        "questions.0: unknown data 'lz'; known: ",
    ),
    "no description": (lambda d: d["data"].pop("our_flux"), "'our_flux' is not described in data"),
    "unknown kind": (lambda d: d["questions"][0].update(kind="guess"), "questions.0"),
    "bad level": (lambda d: d["questions"][0].update(levels=[{"cl": 90}]), "less than 1"),
    "unknown analysis": (
        lambda d: d["analyses"]["moments"].update(paper_flux="nothing"),
        "unknown analysis 'nothing'",
    ),
    "bad setting": (lambda d: d.update(settings={"interpolation": "cubic"}), "'normsys' or"),
    "unknown change": (
        lambda d: d["questions"][2]["assumptions"][0]["alternatives"][0][0].update(name="magic"),
        "unknown change 'magic'; known: background",
    ),
    "bad option of a change": (
        lambda d: d["questions"][2]["assumptions"][0]["alternatives"][0][0].update(
            options={"size": 2}
        ),
        "change background_uncertainties_scaled",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named(own, tmp_path, case):
    change, message = BAD[case]
    folder = own(change)
    with pytest.raises(ConfigError) as error:
        compute(prepare(load_study(folder)), Running(1, None))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown study .*; known: deromeri2024, .*study.yaml"):
        load_study(tmp_path)


def test_an_unknown_option_is_named(example):
    with pytest.raises(ConfigError, match="own_study has no option 'full'; options: none"):
        prepare(example, Settings(options=frozenset({"full"})))


def test_absent_releases_are_skipped_and_named(monkeypatch):
    from histnu.studies import plan as planning

    def absent(name):
        if name.startswith("xenonnt_4d") or "s2only" in name:
            raise DataError(f"release of {name} not found")
        return {}

    monkeypatch.setattr(planning, "experiment_inputs", absent)
    made = plan(load_study("full_likelihoods"), Settings())
    assert not made.items
    assert made.skipped["combined_full"] == "release of xenonnt_4d_2026 not found"
    assert set(made.skipped) == set(load_study("full_likelihoods").study.data)


def test_editors_find_the_schemas_of_yaml_files(project_root):
    """What a file names is the schema of its kind, and the file obeys it."""
    jsonschema = pytest.importorskip("jsonschema")
    loaded, named = {}, set()
    for path in (p for f in (data_path(""), project_root / "examples") for p in f.rglob("*.yaml")):
        first, second = path.read_text().splitlines()[:2]
        _, found, target = first.partition("yaml-language-server: $schema=")
        if not found:
            continue
        file = (path.parent / target).resolve()
        validator = loaded.setdefault(file, jsonschema.Draft202012Validator(read_json(file)))
        kind = second.removeprefix("schema: histnu-").partition("/")[0]
        assert file == data_path(f"schemas/{kind}.json").resolve(), path
        assert validator.is_valid(read_yaml(path)), path
        named.add(path)
    for pattern in ("analyses/*.yaml", "experiments/*/experiment.yaml"):
        assert set(data_path("").glob(pattern)) <= named
    assert set((project_root / "examples").rglob("*.yaml")) <= named
