"""The command line: every verb, and every kind of bad input as one line with status 2."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from histnu.cli.main import VERBS, main
from histnu.physics.scattering import Scattering


@pytest.fixture(scope="module")
def likelihood(tmp_path_factory):
    """A built combined magnetic-moment likelihood."""
    folder = tmp_path_factory.mktemp("likelihood")
    with pytest.raises(SystemExit):
        main(["build", "magnetic_moment_combined", "-o", str(folder)])
    return folder


def assert_bad(result, *words: str):
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.startswith("histnu: error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_shows_an_example(run, verb):
    status, out, _ = run(verb, "--help")
    assert status == 0
    usage, _, rest = out.partition("\n")
    assert usage.startswith("Usage: histnu")
    assert f"histnu {verb} " in rest or f"histnu {verb}\n" in rest


def test_main_help(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(verb in out for verb in VERBS)
    assert "histnu reproduce -o results" in out


def test_version(run):
    import histnu

    assert run("--version")[1].strip().endswith(histnu.__version__)


def test_version_for_a_report(run):
    import numpy

    lines = run("--version", "-v")[1].splitlines()
    assert f"numpy {numpy.__version__}" in lines
    assert any("threads" in line for line in lines) and lines[-1].startswith("releases: ")
    assert not any(line.startswith(("pytest", "sphinx")) for line in lines)


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "histnu", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("histnu, version ")


@pytest.mark.slow
def test_verbose_says_what_is_done():
    command = [sys.executable, "-m", "histnu", "-v", "limit", "magnetic_moment_xenonnt"]
    done = subprocess.run([*command, "--poi", "mu_e"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mu_e: < ")
    assert "histnu.experiments.loader: experiment" in done.stderr
    assert "strengths mu2_e, mu2_mu, mu2_tau, mu2_universal" in done.stderr


@pytest.mark.parametrize(
    "words, wanted",
    [
        (("limit", "millicharge_x"), "millicharge_xenonnt"),
        (("limit", "millicharge_xenonnt", "--poi", "q_e"), "q_ee"),
        (("fetch", "xenonnt_c"), "xenonnt_cevns_2026"),
    ],
)
def test_shell_completion(words, wanted):
    from click.shell_completion import ShellComplete

    from histnu.cli.main import cli

    found = ShellComplete(cli, {}, "histnu", "_HISTNU_COMPLETE").get_completions(
        list(words[:-1]), words[-1]
    )
    assert wanted in {item.value for item in found}


def test_list_json(run):
    _, out, _ = run("list", "--json")
    names = json.loads(out)
    assert "magnetic_moment_combined" in {a["name"] for a in names["analyses"]}
    provenance = {e["name"]: e["provenance"] for e in names["experiments"]}
    assert provenance["pandax4t_us2"] == "reconstructed"


def test_list_fits_80_columns_and_breaks_no_name(run):
    _, out, _ = run("list")
    assert max(map(len, out.splitlines())) <= 80
    names = json.loads(run("list", "--json")[1])
    assert set(names) == {"models", "experiments", "analyses", "releases", "published"}
    words = set(out.split())
    assert {row["name"] for rows in names.values() for row in rows} <= words


def test_list_one_section(run):
    _, out, _ = run("list", "published", "--json")
    (rows,) = json.loads(out).values()
    limits = {r["name"]: r["limit"] for r in rows}
    # arXiv:1707.09355
    assert limits["borexino_2017"] == "2.8e-11 mu_B"
    assert "magnetic_moment_combined" not in out


def test_fetch_says_what_is_here(run, tmp_path, monkeypatch):
    from histnu.releases.registry import release

    name = "xenonnt_cevns_2026"
    monkeypatch.setenv("HISTNU_RELEASES", str(tmp_path))
    for file in release(name).expected:
        (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / file).touch()
    status, out, err = run("fetch", name)
    assert (status, out.strip()) == (0, str(tmp_path / name))
    assert err == f"{name} is complete in {tmp_path / name}; --force downloads it again\n"
    assert f"{name}: {tmp_path / name}" in run("fetch")[1]


def test_validate_counts_what_repeats(run, tmp_path):
    """Twelve patches touch no sample of the second channel: three are printed, nine counted."""
    from histnu.cli.validate import summary
    from histnu.workspace.findings import error, warning

    found = [error("names", "/a", "p", "m")]
    found += [warning("channels", f"/patches/{i}", "p", "m") for i in range(12)]
    lines = list(summary(found))
    assert lines[:2] == ["error: /a: p; m [names]", "warning: /patches/0: p; m [channels]"]
    assert lines[-1] == "warning: 9 more [channels]; --all shows them" and len(lines) == 5


def test_cite(run):
    status, out, _ = run("cite", "magnetic_moment_combined")
    assert status == 0 and out.startswith("@article{") and "@misc{histnu," in out


def test_build_writes_the_same_bytes_twice(run, likelihood, tmp_path):
    run("build", "magnetic_moment_combined", "-o", tmp_path)
    for name in ("workspace.json", "manifest.json"):
        assert (tmp_path / name).read_bytes() == (likelihood / name).read_bytes()


@pytest.mark.slow
def test_limit_agrees_with_pyhf(run, likelihood):
    arguments = ("limit", likelihood, "--poi", "mu_universal", "--json", "--engine")
    ours, reference, scipy = (
        json.loads(run(*arguments, e)[1]) for e in ("batched", "pyhf", "pyhf-scipy")
    )
    assert ours["provenance"] == "reconstructed"
    # minuit's tolerance of 1e-3 leaves 1e-6 in -2 log L; SLSQP runs at 1e-10
    assert ours["upper"] == pytest.approx(reference["upper"], rel=1e-5)
    assert ours["upper"] == pytest.approx(scipy["upper"], rel=1e-6)


def test_limit_of_a_strength_is_the_square(run, likelihood):
    strength = json.loads(run("limit", likelihood, "--poi", "mu2_e", "--json")[1])
    moment = json.loads(run("limit", likelihood, "--poi", "mu_e", "--json")[1])
    assert moment["upper"] ** 2 == pytest.approx(strength["upper"], rel=1e-9)
    assert strength["unit"] == "(1e-9 mu_B)^2"


@pytest.mark.slow
def test_cls_agrees_with_pyhf(run, likelihood):
    pyhf = pytest.importorskip("pyhf")
    arguments = ("limit", likelihood, "--poi", "mu2_universal", "--method", "cls", "--cl", "0.95")
    found = json.loads(run(*arguments, "--json")[1])
    workspace = pyhf.Workspace(json.loads((likelihood / "workspace.json").read_text()))
    model = workspace.model(measurement_name="mu2_universal")
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1))
    try:
        cls = pyhf.infer.hypotest(found["upper"], workspace.data(model), model, test_stat="qtilde")
    finally:
        pyhf.set_backend(backend, optimizer)
    # minuit's 1e-6 in -2 log L moves CLs by a few 1e-6
    assert float(cls) == pytest.approx(0.05, abs=2e-5)


@pytest.mark.slow
def test_scan_and_contour(run, tmp_path):
    _, out, _ = run(
        "scan", "millicharge_xenonnt", "--poi", "q_ee", "--from", "-5", "--to", "5",
        "--points", "5", "--json",
    )  # fmt: skip
    scan = json.loads(out)
    assert len(scan["values"]) == 5
    assert min(scan["delta_twice_nll"]) >= 0
    figure = tmp_path / "region.png"
    status, out, _ = run(
        "contour", "millicharge_xenonnt", "--x", "q_ee", "--y", "q_emu", "--points", "15",
        "--x-range", "-10", "20", "--plot", figure, "--json",
    )  # fmt: skip
    assert status == 0
    assert json.loads(out)["polylines"]
    assert figure.read_bytes()[:4] == b"\x89PNG"


def test_mass_contour(run):
    _, out, _ = run(
        "contour", "sterile_dipole_xenonnt", "--x", "m4", "--y", "mu_e", "--x-range", "0.1", "12",
        "--points", "5", "--json",
    )  # fmt: skip
    curve = json.loads(out)
    assert curve["kind"] == "mass_curve"
    assert curve["values"] == sorted(curve["values"])
    assert curve["upper"][-1] > 2 * curve["upper"][0]  # the limit weakens towards the kinematic end
    bad = run("contour", "sterile_dipole_xenonnt", "--x", "m4", "--y", "q_ee")
    assert_bad(bad, "sterile_dipole has no 'q_ee' here; parameters: mu_e, mu_mu, mu_tau")


@pytest.mark.slow
def test_toys_are_reproducible(run, likelihood):
    arguments = ("cls", likelihood, "--poi", "mu_universal", "--value", "1.1", "--n-toys", "500")
    first, again = (run(*arguments, "--json", "--seed", "3")[1] for _ in range(2))
    assert first == again
    assert first != run(*arguments, "--json", "--seed", "4")[1]


def test_coverage(run, likelihood):
    _, out, _ = run(
        "coverage", likelihood, "--poi", "mu_universal", "--true", "1.5", "--n-toys", "400",
        "--json",
    )  # fmt: skip
    found = json.loads(out)
    # far from the boundary the coverage of the profile interval is the nominal one; 5 sigma
    assert abs(found["coverage"] - 0.9) < 5 * (0.9 * 0.1 / 400) ** 0.5


def test_analysis_file(run, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: histnu-analysis/1\nname: mine\ntitle: My analysis\n"
        "experiments: [xenonnt_sr01]\nmodel: {name: sterile_dipole, options: {m4_mev: 5.0}}\n"
        "flux: {total_cm2_s: 5.25e+6, relative: 0.04, source: my table}\n"
    )
    status, _, _ = run("build", file, "-o", tmp_path / "out")
    assert status == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["options"]["fluxes"]["b8"] == {
        "total_cm2_s": 5.25e6, "relative": 0.04, "parameter": "b8_flux", "source": "my table",
    }  # fmt: skip
    assert manifest["options"]["held"] == {"m4": 5.0}


BAD = {
    "unknown verb": (("reprodce",), "No such command"),
    "unknown option": (("list", "--colour"), "No such option"),
    "unknown analysis": (("build", "nothing"), "unknown analysis 'nothing'; the nearest of "),
    "missing file": (("limit", "none.json"), "none.json: cannot be read (No such file"),
    "missing yaml": (("build", "none.yaml"), "none.yaml: cannot be read"),
    "bad level": (("limit", "magnetic_moment_xenonnt", "--cl", "1.5"), "--cl"),
    "bad mass": (
        ("build", "sterile_dipole_xenonnt", "--set", "m4=-1"),
        "m4 = -1.0 MeV must be finite and in [0, 1e+06] MeV",
    ),
    "no mass": (("build", "sterile_dipole_xenonnt"), "has no value; give --set m4=VALUE"),
    "bad assignment": (
        ("build", "sterile_dipole_xenonnt", "--set", "m4"),
        "'m4' is not NAME=VALUE with a finite number",
    ),
    "option of another model": (
        ("build", "magnetic_moment_xenonnt", "--set", "m4=1"),
        "model magnetic_moment holds no parameter 'm4'; held: none",
    ),
    "unknown parameter": (
        ("limit", "magnetic_moment_xenonnt", "--poi", "q_ee"),
        "unknown 'q_ee'; use one of mu2_e",
    ),
    "unknown grid": (
        ("build", "magnetic_moment_xenonnt", "--grid", "q_ee"),
        "grids of magnetic_moment",
    ),
    "bad range": (
        ("scan", "millicharge_xenonnt", "--poi", "q_ee", "--from", "3", "--to", "1"),
        "--from 3 must be below --to 1",
    ),
    "missing results": (("plot", "nowhere.json"), "nowhere.json: cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(run, case, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD[case]
    assert_bad(run(*arguments), message)
    assert not list(tmp_path.rglob("*.json"))


def test_not_a_workspace(run, tmp_path):
    file = tmp_path / "file.json"
    file.write_text("{}")
    assert_bad(run("limit", file), "is not a workspace")
    file.write_text("{")
    assert_bad(run("limit", file), "is not JSON")
    file.write_text('{"channels": [], "observations": [], "measurements": [], "version": "9"}')
    assert_bad(run("limit", file), "see histnu validate")


def test_unwritable_output(run, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert_bad(run("build", "magnetic_moment_xenonnt", "-o", blocker / "x"), "cannot be written")


def test_interrupted_run_leaves_nothing(run, tmp_path, monkeypatch):
    import histnu.analysis.build

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(histnu.analysis.build, "manifest_of", stop)
    monkeypatch.setattr(histnu.analysis.build, "write_json", stop)
    status, out, err = run("build", "magnetic_moment_xenonnt", "-o", tmp_path / "x")
    assert (status, out) == (130, "")
    assert err.startswith("histnu: error: interrupted; ")
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.json"))


def test_results_of_another_schema(run, tmp_path):
    (tmp_path / "results.json").write_text('{"schema": "other/1"}')
    assert_bad(run("plot", tmp_path), "schema is 'other/1'", "histnu reproduce")


def test_wrong_replacement(run, tmp_path):
    table = tmp_path / "mine.yaml"
    table.write_text("schema: histnu-experiment/1\n")
    replacement = f"pandax4t_us2={table}"
    result = run("reproduce", "-q", "-j", "1", "-o", tmp_path / "out", "--replace", replacement)
    assert_bad(result, "mine.yaml", "Field required")
    assert not (tmp_path / "out").exists()


def test_signal_from_a_table(run, tmp_path):
    """A user's dR/dT: strength one of the SM spectrum in a table is the SM rate itself."""
    import numpy as np

    from histnu.physics.models.standard_model import StandardModel
    from histnu.physics.nuclei import XENON
    from histnu.sources.solar import solar_source

    t = np.geomspace(0.4, 5.5, 400)
    rate = StandardModel().basis_spectra(Scattering("nuclear", solar_source("b8"), XENON), t)[
        "cevns"
    ]
    rows = "\n".join(f"{a:.9g},{b:.9g}" for a, b in zip(t, rate, strict=True))
    (tmp_path / "signal.csv").write_text(f"e_recoil_kev,extra\n{rows}\n")
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: histnu-analysis/1\nname: mine\ntitle: My signal\n"
        "experiments: [xenonnt_sr01]\nmodel: {name: tabulated, table: signal.csv}\n"
    )
    assert run("build", file, "-o", tmp_path / "out")[0] == 0
    document = json.loads((tmp_path / "out" / "workspace.json").read_text())
    samples = {s["name"]: s for s in document["channels"][0]["samples"]}
    # linear interpolation between 400 points of a falling spectrum: a few 1e-4
    assert samples["extra"]["data"] == pytest.approx(samples["cevns"]["data"], rel=1e-3)
    assert "b8_flux" not in {m["name"] for m in samples["extra"]["modifiers"]}
    limit = json.loads(run("limit", tmp_path / "out", "--poi", "extra", "--json")[1])
    assert limit["upper"] > 0


def test_table_where_none_belongs(run, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: histnu-analysis/1\nname: mine\ntitle: My signal\n"
        "experiments: [xenonnt_sr01]\nmodel: {name: millicharge, table: signal.csv}\n"
    )
    assert_bad(run("build", file, "-o", tmp_path / "out"), "give a table with the model")


def test_a_held_mass_must_be_given_and_is_echoed(run):
    arguments = ("limit", "sterile_dipole_xenonnt", "--poi", "mu_e")
    assert_bad(run(*arguments), "--set m4=VALUE")
    text = run(*arguments, "--set", "m4=5")[1]
    assert text.startswith("mu_e: < ") and "m4 = 5" in text
    document = json.loads(run(*arguments, "--set", "m4=5", "--json")[1])
    assert document["held"] == {"m4": 5.0} and document["certified"]
    assert document["intervals"][0]["lower_end"] == "bound"
    assert_bad(run(*arguments, "--set", "m4"), "NAME=VALUE")


def test_the_measurement_taken_is_said(run, likelihood):
    assert "measurement mu2_e was taken" in run("limit", likelihood)[1]
    assert "was taken" not in run("limit", likelihood, "--poi", "mu2_e")[1]


def test_a_nuisance_can_be_held(run, likelihood):
    arguments = ("limit", likelihood, "--poi", "mu_universal", "--json")
    free = json.loads(run(*arguments)[1])
    held = json.loads(run(*arguments, "--set", "b8_flux=0")[1])
    assert held["held"] == {"b8_flux": 0.0}
    # less freedom, a narrower interval: both ends are of the same profile's restriction
    assert held["upper"] < free["upper"]


def test_coverage_refuses_a_truth_outside_the_bounds(run, likelihood):
    arguments = ("coverage", likelihood, "--poi", "mu2_e", "--true", "-1", "-q")
    assert_bad(run(*arguments), "outside its bounds")
