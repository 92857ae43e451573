"""Maps on the command line: what they print, keep and refuse; processes that give the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from histnu.analysis.build import write_patchset
from histnu.analysis.schema import load_analysis
from histnu.cli.main import cli
from histnu.core.executor import Local
from histnu.inference import ToyOptions, neyman_scan
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.verbs.results import ToyMap, parse_result
from histnu.workspace.grids import Grid, GridAxis
from tests.inference import examples

DIPOLE = "sterile_dipole_xenonnt"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "workspace.json"
    path.write_text(json.dumps(examples.textbook()))
    return path


def parsed(result: Result) -> ToyMap:
    assert result.exit_code == 0, result.output
    text = result.stdout  # click 8.1 mixes what stands on standard error into it
    found = parse_result(json.loads(text[text.index("{") : text.rindex("}") + 1]))
    assert isinstance(found, ToyMap)
    return found


@pytest.mark.slow
def test_a_map_is_the_scan_of_the_library(workspace: Path, tmp_path: Path) -> None:
    arguments = ("toys", workspace, "--x", "mu", "--x-range", "0.5", "3", "--points", "3")
    plot = tmp_path / "map.png"
    found = parsed(
        call(*arguments, "--everywhere", "--n-toys", "300", "--seed", "5", "--json", "--plot", plot)
    )
    likelihood = BatchedLikelihood.from_workspace(examples.textbook())
    scan = neyman_scan(likelihood, None, "mu", found.axes[0].values, 0.9, ToyOptions(300, 5))
    # JSON keeps ten digits
    assert found.critical == pytest.approx(scan.critical, rel=1e-9)
    assert found.p_value == pytest.approx(scan.p_value, rel=1e-9)
    assert found.delta_twice_nll == pytest.approx(scan.delta_twice_nll, rel=1e-8, abs=1e-8)
    assert found.inputs.keys() == {str(workspace)}
    table = plot.with_suffix(".csv").read_text().splitlines()
    assert plot.stat().st_size > 10_000
    assert table[0].startswith("mu,delta_twice_nll,critical,")
    assert len(table) == 4


def test_chunks_are_kept_and_shared_by_verbs(workspace: Path, tmp_path: Path) -> None:
    chunks = tmp_path / "chunks"
    keep = ("--n-toys", "1200", "--chunks", chunks)
    first = call("coverage", workspace, "--poi", "mu", "--true", "1", *keep)
    assert len(list(chunks.iterdir())) == 2
    assert call("coverage", workspace, "--poi", "mu", "--true", "1", *keep).stdout == first.stdout
    assert first.stdout == call("coverage", workspace, "--true", "1", "--n-toys", "1200").stdout
    # the same point of a coverage map has the same toys
    found = parsed(
        call("coverage", workspace, "--x", "mu", "--x-range", "1", "2", "--points", "2", *keep,
             "--json")
    )  # fmt: skip
    assert len(list(chunks.iterdir())) == 4
    assert f"{found.coverage[0]:.4f}" in first.stdout
    assert found.nuisances == "nominal"


@pytest.mark.slow
def test_a_map_over_a_held_axis() -> None:
    arguments = ("toys", DIPOLE, "--x", "m4", "--x-range", "1", "12", "--y", "mu_e", "--y-range",
                 "1", "60", "--points", "4", "--n-toys", "1000", "--json")  # fmt: skip
    found = parsed(call(*arguments))
    assert [a.name for a in found.axes] == ["m4", "mu_e"]
    assert all(a.log for a in found.axes)
    assert found.axes[0].values == pytest.approx(np.geomspace(1, 12, 4))
    # the statistic of the data is that of the asymptotic contour: its ends lie where it says
    contour = call("contour", DIPOLE, "--x", "m4", "--y", "mu_e", "--x-range", "1", "12",
                   "--points", "5", "--json")  # fmt: skip
    curve = json.loads(contour.stdout)
    delta = np.array(found.delta_twice_nll, dtype=float).reshape(4, 4)
    for k in (0, 3):  # the values that both have
        upper = curve["upper"][0 if k == 0 else 4]
        below = np.array(found.axes[1].values) < upper
        # the best fit of the contour is over other masses: 0.05 is far above their difference
        assert np.all(delta[k, below] < curve["threshold"] + 0.05)
        # NaN: beyond the bound of the strength, and outside
        assert not np.any(delta[k, ~below] <= curve["threshold"] - 0.05)


@pytest.mark.slow
def test_a_map_of_two_parameters(tmp_path: Path) -> None:
    document = examples.workspace(
        {
            name: [
                {"name": "s", "data": [30.0],
                 "modifiers": [{"name": poi, "type": "normfactor", "data": None}]},
                {"name": "b", "data": [1000.0], "modifiers": []},
            ]
            for name, poi in (("c", "a"), ("d", "b"))
        },
        {"c": [1030], "d": [1000]},
        "a",
        [{"name": p, "bounds": [[-20.0, 20.0]], "inits": [1.0]} for p in "ab"],
    )  # fmt: skip
    path = tmp_path / "two.json"
    path.write_text(json.dumps(document))
    found = parsed(
        call("toys", path, "--x", "a", "--y", "b", "--points", "9", "--n-toys", "1000", "--json",
             "--plot", tmp_path / "two.pdf")
    )  # fmt: skip
    assert found.best_fit == pytest.approx((1.0, 0.0), abs=1e-6)
    (line,), (asymptotic,) = found.polylines, found.asymptotic_polylines
    # a circle of radius sqrt(4.61) sigma, sigma = sqrt(1000) / 30; the grid has steps of 0.9 sigma
    for curve, spread in ((line, 0.15), (asymptotic, 0.06)):
        radius = np.hypot(*(np.array(curve) - found.best_fit).T) / (np.sqrt(1000) / 30)
        assert radius == pytest.approx(np.full(len(radius), np.sqrt(4.605)), rel=spread)
    assert found.dof == 2
    text = call("toys", path, "--x", "a", "--y", "b", "--points", "5", "--n-toys", "1000").stdout
    assert "# Feldman-Cousins: 1 polylines" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--y", "mu"), "a map has its first axis in --x"),
        (("--x", "mu", "--y", "mu"), "one or two different axes"),
        (("--x", "mu", "--x-range", "3", "1"), "range of mu, 3 1: is empty"),
        (("--x", "nothing", "--x-range", "0", "1"), "unknown 'nothing'"),
    ],
)
def test_maps_that_cannot_be(workspace: Path, options: tuple[str, ...], message: str) -> None:
    from histnu.core.errors import HistnuError

    with pytest.raises(HistnuError, match=message):
        CliRunner().invoke(
            cli, ["toys", str(workspace), *options], catch_exceptions=False, standalone_mode=False
        )


@pytest.mark.slow
def test_held_axes_in_processes_give_the_same_bytes(tmp_path: Path) -> None:
    arguments = ("contour", DIPOLE, "--x", "m4", "--y", "mu_e", "--x-range", "1", "8", "--points",
                 "5")  # fmt: skip
    assert call(*arguments).stdout == call(*arguments, "-j", "2").stdout
    mass = GridAxis("m4", "MeV", (1.0, 5.0), outer=True)
    grid = Grid("small", (mass, GridAxis("mu_e", "1e-10 mu_B", (1.0, 2.0))))
    analysis = load_analysis(DIPOLE)
    write_patchset(analysis, grid, tmp_path / "one")
    write_patchset(analysis, grid, tmp_path / "two", Local(2))
    for name in ("workspace.json", "patchset.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_a_scan_in_slices_is_the_scan(workspace: Path) -> None:
    arguments = ("scan", workspace, "--poi", "mu", "--from", "0", "--to", "5", "--points", "40",
                 "--json")  # fmt: skip
    one, two = (json.loads(call(*arguments, *more).stdout) for more in ((), ("-j", "2")))
    assert two["delta_twice_nll"] == pytest.approx(one["delta_twice_nll"], abs=1e-8)
    assert two["certified"]
    assert len(two["certified_points"]) == 40
