"""Full likelihoods against the releases they come from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from anchor_likelihood import blueice_events, multilinear
from scipy.interpolate import RectBivariateSpline

from histnu.analysis.flux import components_of
from histnu.analysis.schema import load_analysis
from histnu.core.errors import ConfigError, DataError
from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.builders import BUILDERS, build_experiment, built_names
from histnu.experiments.builders.digest import FileLog
from histnu.experiments.builders.rates import rate_bounds
from histnu.experiments.builders.xenonnt_4d import (
    BASIS_ENERGIES_KEV,
    BASIS_YIELDS,
    YIELD_ANCHORS,
    RunReader,
    basis_response,
    yields_at,
)
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.models.tabulated import TabulatedSignal
from histnu.physics.scattering import Scattering
from histnu.releases.locate import find_release
from histnu.releases.readers import read_binning
from histnu.sources.solar import solar_source
from histnu.templates.basis import ChannelTemplates, anchor_templates, channel_templates
from histnu.workspace.build import Poi, Strength, build_workspace

pytestmark = pytest.mark.release


SLOW = pytest.mark.slow
"""A likelihood in four dimensions is read from thousands of templates: five to ten seconds."""


@pytest.fixture(params=[pytest.param(n, marks=SLOW) if "_4d_" in n else n for n in built_names()])
def name(request: pytest.FixtureRequest) -> str:
    for release in BUILDERS[request.param].releases:
        try:
            find_release(release)
        except DataError as error:
            pytest.skip(str(error))
    return str(request.param)


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="xenonnt_4d_2024"):
        build_experiment("xenonnt_5d")


EVENTS = {
    "xenonnt_4d_2024": [9, 28],
    "xenonnt_4d_2026": [9, 28, 25],
    "xenonnt_s2only_2026": [583, 864, 1107],
}
"""Rows of the event files; 37 events in SR0 + SR1 are published (arXiv:2408.02877)."""
BINS = {"xenonnt_4d_2024": 162, "xenonnt_4d_2026": 243, "xenonnt_s2only_2026": 21}


@pytest.mark.slow
def test_bins_and_events(name: str) -> None:
    channels = build_experiment(name).channels
    assert [int(c.observed.sum()) for c in channels] == EVENTS[name]
    assert sum(c.n_bins for c in channels) == BINS[name]
    for c in channels:
        axes = c.observable.axes
        assert np.prod([a.n_bins for a in axes]) == c.n_bins == c.observable.edges.size - 1
        assert len(axes) == (1 if name.startswith("xenonnt_s2only") else 4)


def test_backgrounds_are_positive_and_small_detectors_add_up(name: str) -> None:
    for c in build_experiment(name).channels:
        for b in c.backgrounds:
            assert np.all(b.grid.values >= 0)
        assert c.response.anchors is not None
        assert np.all(c.response.anchors.values.sum(axis=-2) <= 1.0)


@SLOW
def test_published_8b_expectation() -> None:
    """11.9 events at 5.25e6 (arXiv:2408.02877), from the release's own templates."""
    try:
        channels = build_experiment("xenonnt_4d_2024").channels
    except DataError as error:
        pytest.skip(str(error))
    total = sum(c.published_signal.expected.sum() for c in channels)
    assert total == pytest.approx(11.9, abs=0.05)  # published with one decimal


@pytest.mark.parametrize(
    ("experiment", "tolerance"),
    # 2024: the released basis is coarse (16 energies, integer yields), 3 % at every anchor;
    # ionization-only: the response starts at 0.5 keV, below which up to 7 % of the CEvNS events
    # lie at the highest charge yield
    [pytest.param("xenonnt_4d_2024", 0.035, marks=SLOW), ("xenonnt_s2only_2026", 0.07)],
)
def test_folding_reproduces_the_releases_cevns(experiment: str, tolerance: float) -> None:
    """Our flux, cross section and folding against the release, at every yield anchor."""
    try:
        full = build_experiment(experiment)
    except DataError as error:
        pytest.skip(str(error))
    for c in full.channels:
        folded = anchor_templates(c, solar_source("b8", 5.25e6), [StandardModel()])
        ours = folded["cevns"].values.sum(axis=-1)
        published = c.published_signal.anchors.values.sum(axis=-1)
        assert ours == pytest.approx(published, rel=tolerance)


def made(name: str, *models: SignalModel) -> list[ChannelTemplates]:
    """Templates of all channels at the paper's flux."""
    analysis = load_analysis(f"magnetic_moment_{name}")
    channels = build_experiment(name).channels
    return [channel_templates(c, components_of(analysis, c), models) for c in channels]


def test_two_ways_to_the_templates_agree(name: str) -> None:
    """All anchors at once, and the response at -1, 0 and +1 deviation by itself."""
    models = [StandardModel(), MagneticMoment()]
    fast = made(name, *models)
    for a in fast:
        plain = replace(a.channel, response=replace(a.channel.response, anchors=None))
        components = components_of(load_analysis(f"magnetic_moment_{name}"), plain)
        b = channel_templates(plain, components, models)
        for s, t in zip(a.signals, b.signals, strict=True):
            assert s.sample == t.sample
            # the quadrature rules differ: 8 against 24 nodes between two energies
            assert s.expected == pytest.approx(t.expected, rel=1e-5, abs=1e-9)
            for shape in t.variations:
                # the correlation of the yields is taken at every energy, or after folding
                assert s.variations[shape][0] == pytest.approx(
                    t.variations[shape][0], rel=1e-2, abs=1e-6
                )


def test_workspace_is_read_by_pyhf(name: str) -> None:
    import pyhf

    templates = made(name, StandardModel(), MagneticMoment())
    strengths = [Strength(f"mu2_{k}", (0.0, 100.0)) for k in ("e", "mu", "tau", "universal")]
    document = build_workspace(templates, strengths, [Poi("e", "mu2_e")])
    assert json.loads(json.dumps(document)) == document
    workspace = pyhf.Workspace(document)
    model = workspace.model()
    data = workspace.data(model)
    assert np.isfinite(model.logpdf(model.config.suggested_init(), data)).all()
    bounds = dict(zip(model.config.par_names, model.config.suggested_bounds(), strict=True))
    assert tuple(bounds["t_qy"]) == (-3.0, 3.0)
    samples = [c["samples"][0] for c in document["channels"]]
    kinds = {(m["name"], m["type"]) for s in samples for m in s["modifiers"]}
    assert {("t_qy", "normsys"), ("t_qy", "histosys"), ("b8_flux", "normsys")} <= kinds


def test_split_shapes_keep_the_templates_at_one_deviation(name: str) -> None:
    """At t = -1 and +1 the workspace's signal is the folded template, to rounding."""
    import pyhf

    templates = made(name, StandardModel(), MagneticMoment())
    document = build_workspace(templates, [Strength("mu2_e", (0.0, 100.0))], [Poi("e", "mu2_e")])
    model = pyhf.Workspace(document).model()
    channel = templates[0].channel.name
    at = model.config.channel_slices[channel]
    for sign, side in ((-1.0, 0), (1.0, 1)):
        pars = np.array(model.config.suggested_init())
        pars[model.config.par_map["mu2_e"]["slice"]] = 0.0
        pars[model.config.par_map["t_qy"]["slice"]] = sign
        expected = model.main_model.expected_data(pars, return_by_sample=True)
        index = model.config.samples.index("cevns")
        wanted = templates[0].signals[0].variations["t_qy"][side]
        # numbers of the document are rounded to ten digits
        assert np.asarray(expected)[index][at] == pytest.approx(wanted, rel=1e-7, abs=1e-10)


def test_any_spectrum_can_be_folded(name: str) -> None:
    """A table of the Standard Model's dR/dT gives the Standard Model's templates."""
    full = build_experiment(name)
    source = solar_source()
    energy = np.geomspace(0.4, 6.0, 3000)
    from histnu.physics.nuclei import XENON

    rate = StandardModel().basis_spectra(Scattering("nuclear", source, XENON), energy)["cevns"]
    for channel in full.channels:
        table = anchor_templates(channel, source, [TabulatedSignal(energy, {"mine": rate})])
        model = anchor_templates(channel, source, [StandardModel()])
        # linear interpolation of 3000 points: second order in a step of 0.1 %
        assert table["mine"].values == pytest.approx(model["cevns"].values, rel=1e-4, abs=1e-9)


def test_interpolations_agree_at_the_anchors(name: str) -> None:
    for c in build_experiment(name).channels:
        grid = next(b.grid for b in c.backgrounds if b.anchors and b.anchors.parameters)
        point = dict.fromkeys(grid.parameters, 2.0)
        for interpolate in (multilinear, blueice_events):
            assert interpolate(grid, point) == pytest.approx(grid.at(**point), rel=1e-12)


def test_pairs_carry_the_correlation_of_two_parameters() -> None:
    """The product of both changes equals the corner where both move the same way."""
    t = np.array([-1.0, 0.0, 1.0])
    a, b = np.meshgrid(t, t, indexing="ij")
    values = (10.0 + 2.0 * a + 3.0 * b + 0.5 * a * b)[..., None] * np.array([0.25, 0.75])
    pairs = AnchorGrid(("a", "b"), (t, t), values).pairs()
    for side, corner in ((0, values[0, 0]), (1, values[2, 2])):
        product = pairs["a"][side].sum() * pairs["b"][side].sum() / values[1, 1].sum()
        assert product == pytest.approx(corner.sum(), rel=1e-12)
    single = AnchorGrid(("a",), (t,), values[:, 1]).pairs()
    assert np.array_equal(single["a"][0], values[0, 1])


@pytest.mark.slow
def test_basis_between_its_yields_is_fitpacks_bicubic(releases: Path) -> None:
    """Another library's interpolating spline, also with not-a-knot ends, at every tenth bin."""
    folder, edges = (releases / n for n in ("xenonnt_light_wimp_2024", "xenonnt_cevns_2026"))
    log = FileLog()
    reader = RunReader(folder, "sr0", read_binning(edges / "binning" / "sr0.yaml"), log)
    response = basis_response(reader, folder).values
    for k in (0, 7, 15):
        energy = np.array([BASIS_ENERGIES_KEV[k]])
        grid = reader.basis(energy[0])
        ly, qy = (
            np.clip([yields_at(folder, q, energy, t, log)[0] for t in YIELD_ANCHORS],
                    BASIS_YIELDS[0], BASIS_YIELDS[-1])
            for q in ("ly", "qy")
        )  # fmt: skip
        for b in range(0, 81, 10):
            spline = RectBivariateSpline(BASIS_YIELDS, BASIS_YIELDS, grid[..., b], s=0)
            theirs = np.maximum(spline(ly, qy), 0.0)
            # two ways to solve the same equations, rounding only; contents are up to 0.02
            np.testing.assert_allclose(response[..., b, k], theirs, rtol=0, atol=1e-14)


def test_anchor_grid_refuses_what_is_not_there() -> None:
    grid = AnchorGrid(("t",), (np.array([-1.0, 0.0, 1.0]),), np.arange(6.0).reshape(3, 2))
    assert grid.at(t=1.0).tolist() == [4.0, 5.0]
    with pytest.raises(DataError, match=r"no anchor at 0\.5"):
        grid.at(t=0.5)
    with pytest.raises(DataError, match="do not fit"):
        AnchorGrid(("t",), (np.array([0.0, 1.0]),), np.zeros((3, 2)))


def test_bounds_follow_the_releases_fit_limits() -> None:
    assert rate_bounds(1.0, (0.0, 100.0)) == (-1.0, 5.0)
    assert rate_bounds(0.1, None) == (-5.0, 5.0)
