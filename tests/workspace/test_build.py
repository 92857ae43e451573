"""Workspaces: schema, Eq. 15 exactly, no NaN inside the bounds, the quadratic document."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.flux import components_of
from histnu.analysis.schema import builtin, load_analysis
from histnu.core.errors import WorkspaceError
from histnu.experiments.model import Origin, RateNuisance
from histnu.physics.models.standard_model import StandardModel
from histnu.templates.basis import channel_templates, correct_to_published
from histnu.workspace.build import Poi, Strength, build_workspace
from histnu.workspace.modifiers import linear_bounds, rate_modifier

pyhf = pytest.importorskip("pyhf")

PAPER = [
    n
    for n, analysis in sorted(builtin().items())
    if n.startswith(("magnetic", "millicharge"))
    and set(analysis.experiments) <= {"xenonnt_sr01", "pandax4t_us2"}
]
"""Eq. 15 knows neither shapes (the releases' likelihoods) nor log-normals (37Ar in LZ)."""
BOUNDED = [*PAPER, "magnetic_moment_all", "millicharge_er_lz"]


def model_and_data(document, measurement=None):
    workspace = pyhf.Workspace(document)
    name = measurement or document["measurements"][0]["name"]
    model = workspace.model(measurement_name=name)
    return model, workspace.data(model)


def linear(name):
    analysis = load_analysis(name).model_copy(update={"interpolation": "linear"})
    return assemble(analysis)


def test_one_flux_parameter_for_all():
    document = assemble(load_analysis("magnetic_moment_combined")).workspace
    carriers = {
        (c["name"], s["name"])
        for c in document["channels"]
        for s in c["samples"]
        if any(m["name"] == "b8_flux" for m in s["modifiers"])
    }
    signals = {"cevns", "mu2_e", "mu2_mu", "mu2_tau", "mu2_universal"}
    assert carriers == set(itertools.product(("xenonnt_sr01", "pandax4t_us2"), signals))
    model, _ = model_and_data(document)
    assert model.config.par_names.count("b8_flux") == 1


def test_a_measurement_per_flavour():
    document = assemble(load_analysis("magnetic_moment_combined")).workspace
    pois = [m["config"]["poi"] for m in document["measurements"]]
    assert pois == ["mu2_e", "mu2_mu", "mu2_tau", "mu2_universal"]
    for m in document["measurements"]:
        free = [p["name"] for p in m["config"]["parameters"] if p["name"].startswith("mu2")]
        free = [
            p["name"]
            for p in m["config"]["parameters"]
            if p["name"] in free and not p.get("fixed", False)
        ]
        assert free == [m["config"]["poi"]]


def settings(document, measurement=0):
    return {p["name"]: p for p in document["measurements"][measurement]["config"]["parameters"]}


def test_companions_and_floating_strengths_are_free():
    """Free are the parameter of interest, what floats with it, and what floats everywhere."""
    assembly = assemble(load_analysis("magnetic_moment_combined"))
    names = ("mu2_e", "mu2_mu", "mu2_tau")
    strengths = [Strength(n, (0.0, 5.0), floats=n == "mu2_tau") for n in names]
    pois = [Poi("alone", "mu2_e"), Poi("together", "mu2_e", floating=("mu2_mu",))]
    document = build_workspace(assembly.templates, strengths, pois)
    for k, free in enumerate(({"mu2_e", "mu2_tau"}, {"mu2_e", "mu2_mu", "mu2_tau"})):
        entries = settings(document, k)
        assert {n for n in names if not entries[n].get("fixed", False)} == free
        assert entries["mu2_universal"]["fixed"]


def test_the_tightest_bound_of_a_linear_uncertainty_counts():
    """-0.99 / (n sigma) of the sample that becomes negative first: 50 % beside 5 %."""
    made = assemble(load_analysis("magnetic_moment_xenonnt")).templates[0]
    wide = RateNuisance("shared", 0.5, "linear", Origin("derived", "test"))
    narrow = replace(wide, relative=0.05)
    first, *rest = made.channel.backgrounds
    for one, other in ((wide, narrow), (narrow, wide)):
        backgrounds = [replace(first, rates=(one,)), replace(rest[0], rates=(other,))]
        channel = replace(made.channel, backgrounds=tuple(backgrounds), signal_rates=())
        template = replace(made, channel=channel)
        document = build_workspace([template], [Strength("mu2_e", (0.0, 5.0))], [Poi("m", "mu2_e")])
        low, high = settings(document)["shared"]["bounds"][0]
        assert (low, high) == (pytest.approx(-0.99 / 0.5, rel=1e-9), 5.0)


def eq15(assembly, strengths, nuisances):
    """-2 log(L/L_saturated) as Eq. 15 writes it, with N_i (1 + sum of sigma alpha)."""
    total = 0.0
    used = {}
    for t in assembly.templates:
        observed = t.channel.observed
        expected = np.zeros(t.channel.n_bins)
        for s in t.signals:
            rates = (s.flux, *t.channel.signal_rates)
            scale = 1.0 if s.strength is None else strengths[s.strength]
            shift = sum(r.relative * nuisances[r.name] for r in rates)
            used |= {r.name: nuisances[r.name] for r in rates}
            expected += scale * s.expected * (1.0 + shift)
        for b in t.channel.backgrounds:
            shift = sum(r.relative * nuisances[r.name] for r in b.rates)
            used |= {r.name: nuisances[r.name] for r in b.rates}
            expected += b.expected * (1.0 + shift)
        total += 2 * np.sum(expected - observed + observed * np.log(observed / expected))
    return total + sum(a**2 for a in used.values())


@pytest.mark.parametrize("name", PAPER)
def test_linear_interpolation_is_equation_15(name):
    assembly = linear(name)
    model, data = model_and_data(assembly.workspace)
    rng = np.random.default_rng(7)
    main = np.array(data[: model.config.nmaindata])
    # the saturated likelihood: rates equal to the data, nuisances at their constraints
    from scipy.special import gammaln

    n_constraints = len(data) - len(main)
    saturated = np.sum(main * np.log(main) - main - gammaln(main + 1))
    saturated += -0.5 * n_constraints * np.log(2 * np.pi)
    checked = 0
    while checked < 50:
        pars, strengths, nuisances = [], {}, {}
        theta = rng.normal(0, 2.0, len(assembly.polynomial.parameters))
        values = dict(zip(assembly.polynomial.outputs, assembly.polynomial(theta), strict=True))
        for p in model.config.par_order:
            if p in values:
                strengths[p] = values[p]
                pars.append(values[p])
            else:
                nuisances[p] = rng.uniform(-0.9, 1.5)
                pars.append(nuisances[p])
        ours = eq15(assembly, strengths, nuisances)
        if not np.isfinite(ours):
            continue
        theirs = -2 * (model.logpdf(pars, data)[0] - saturated)
        # 1e-8 is asked for; the document keeps ten significant digits of every template
        assert theirs == pytest.approx(ours, rel=1e-8, abs=1e-8)
        checked += 1


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["normsys", "linear"])
@pytest.mark.parametrize("name", BOUNDED)
def test_no_nan_inside_the_bounds(name, interpolation):
    analysis = load_analysis(name).model_copy(update={"interpolation": interpolation})
    document = assemble(analysis).workspace
    for measurement in document["measurements"]:
        model, data = model_and_data(document, measurement["name"])
        bounds = np.array(model.config.suggested_bounds())
        fixed = np.array(model.config.suggested_fixed())
        init = np.array(model.config.suggested_init())
        free = np.flatnonzero(~fixed)
        rng = np.random.default_rng(3)
        corners = rng.integers(0, 2, (48, len(free)))
        points = [bounds[free, corner] for corner in corners]
        points += [rng.uniform(bounds[free, 0], bounds[free, 1]) for _ in range(30)]
        points.append(bounds[free, 0])
        for point in points:
            pars = init.copy()
            pars[free] = point
            assert np.isfinite(model.logpdf(pars.tolist(), data)[0])


def test_hundred_percent_is_linear_or_lognormal():
    origin = Origin("published", "test")
    nominal = np.array([2.0, 4.0])
    default = RateNuisance("er_rate", 1.0, "default", origin)
    assert rate_modifier(default, nominal, "normsys")["type"] == "histosys"
    assert linear_bounds([default], "normsys") == {"er_rate": -0.99}
    lognormal = RateNuisance("er_rate", 1.0, "lognormal", origin)
    assert rate_modifier(lognormal, nominal, "normsys") == {
        "name": "er_rate",
        "type": "normsys",
        "data": {"hi": 2.0, "lo": 0.5},
    }


def test_quadratic_document_equals_a_direct_template():
    """SM, linear and squared samples with normfactors against one directly built template."""
    assembly = assemble(load_analysis("millicharge_combined"))
    model, data = model_and_data(assembly.workspace)
    theta = np.array([0.8, -1.1, 0.4, 0.9, -0.3, 0.2])
    strengths = dict(zip(assembly.polynomial.outputs, assembly.polynomial(theta), strict=True))
    direct = json.loads(json.dumps(assembly.workspace))
    for channel in direct["channels"]:
        signals = [s for s in channel["samples"] if s["name"] in (*strengths, "cevns")]
        total = sum(np.array(s["data"]) * strengths.get(s["name"], 1.0) for s in signals)
        cevns = next(s for s in signals if s["name"] == "cevns")
        cevns["data"] = total.tolist()
        channel["samples"] = [s for s in channel["samples"] if s["name"] not in strengths]
    for m in direct["measurements"]:
        m["config"]["parameters"] = [
            p for p in m["config"]["parameters"] if p["name"] not in strengths
        ]
        m["config"]["poi"] = ""
    other = pyhf.Workspace(direct).model(poi_name=None)
    rng = np.random.default_rng(5)
    for _ in range(20):
        nuisance = {n: rng.uniform(-0.8, 0.8) for n in other.config.par_order}
        a = model.logpdf([strengths.get(n, nuisance.get(n)) for n in model.config.par_order], data)
        b = other.logpdf([nuisance[n] for n in other.config.par_order], data)
        # the direct template is not rounded to ten digits a second time
        assert a[0] == pytest.approx(b[0], abs=1e-9)


def test_published_correction_scales_to_the_release():
    analysis = load_analysis("magnetic_moment_xenonnt")
    assembly = assemble(analysis.model_copy(update={"correction": "published_sm"}))
    t = assembly.templates[0]
    expected = t.channel.published_signal.expected * 5.46 / 5.25
    assert t.standard_model() == pytest.approx(expected, rel=1e-12)
    plain = assemble(analysis).templates[0]
    factor = t.standard_model() / plain.standard_model()
    for a, b in zip(t.signals, plain.signals, strict=True):
        assert a.expected == pytest.approx(b.expected * factor, rel=1e-12)


def test_errors():
    templates = assemble(load_analysis("magnetic_moment_xenonnt")).templates
    with pytest.raises(WorkspaceError, match="'nothing' is no strength of a sample; known: mu2_e"):
        build_workspace(templates, [], [Poi("a", "nothing")])
    with pytest.raises(WorkspaceError, match="a channel appears twice"):
        build_workspace([*templates, *templates], [], [Poi("a", "mu2_e")])
    with pytest.raises(WorkspaceError, match="unknown interpolation 'cubic'"):
        build_workspace(templates, [Strength("mu2_e", (0, 1))], [Poi("a", "mu2_e")], "cubic")


def varied_template(**changes):
    """The paper's XENONnT channel with a response that a parameter scales by 0.9 and 1.2."""
    assembly = assemble(load_analysis("magnetic_moment_xenonnt"))
    channel = assembly.templates[0].channel
    response = channel.response
    down, up = (replace(response, probability=f * response.probability) for f in (0.9, 1.2))
    channel = replace(channel, response_variations={"yield": (down, up)}, **changes)
    fluxes = components_of(assembly.analysis, channel)
    return channel_templates(channel, fluxes, [StandardModel(), assembly.model])


def test_shape_variations_are_corrected_with_their_sample():
    """The correction is one of the response at any value of its parameters: ratios stay."""
    plain = varied_template()
    corrected = correct_to_published(plain, 5.46e6)
    published = corrected.channel.published_signal
    expected = published.expected * 5.46e6 / published.flux_cm2_s
    for t in (plain, corrected):
        for s in t.signals:
            down, up = s.variations["yield"]
            # a response times a constant: the fold is linear, only rounding differs
            assert down == pytest.approx(0.9 * s.expected, rel=1e-12)
            assert up == pytest.approx(1.2 * s.expected, rel=1e-12)
    assert corrected.standard_model() == pytest.approx(expected, rel=1e-12)
    factor = corrected.standard_model() / plain.standard_model()
    assert np.all(np.abs(factor - 1.0) > 1e-3)  # a correction of one would prove nothing
    document = build_workspace([corrected], [], [Poi("e", "mu2_e")])
    model, _ = model_and_data(document)
    pars = np.array(model.config.suggested_init())
    pars[model.config.par_map["yield"]["slice"]] = 1.0
    background = sum(b.expected for b in corrected.channel.backgrounds)
    rates = model.expected_data(pars.tolist(), include_auxdata=False)
    assert rates == pytest.approx(1.2 * expected + background, rel=1e-9)


@pytest.mark.parametrize("interpolation", ["normsys", "linear"])
def test_rates_multiply_shapes_that_are_split(interpolation):
    """Both asked for, a channel with split shapes predicts the product of its factors.

    Linear rates would add to the shapes: 1 + 3 (-0.1) + ... reaches zero inside the bounds.
    """
    t = varied_template(split_shapes=("yield",))
    document = build_workspace([t], [], [Poi("e", "mu2_e")], interpolation)
    model, _ = model_and_data(document)
    flux = t.signals[0].flux
    rates = {r.name: r.relative for r in (flux, *t.channel.signal_rates)}
    assert len(rates) > 1
    background = sum(b.expected for b in t.channel.backgrounds)
    rng = np.random.default_rng(11)
    for _ in range(20):
        alpha = {n: float(rng.choice([-3.0, -1.0, 1.0, 3.0])) for n in (*rates, "yield")}
        pars = np.array(model.config.suggested_init())
        for name, value in alpha.items():
            pars[model.config.par_map[name]["slice"]] = value
        # beyond one standard deviation code4 is hi**alpha and lo**-alpha
        factor = (1.2 if alpha["yield"] > 0 else 0.9) ** abs(alpha["yield"])
        for name, relative in rates.items():
            factor *= (1.0 + np.sign(alpha[name]) * relative) ** abs(alpha[name])
        got = model.expected_data(pars.tolist(), include_auxdata=False)
        expected = factor * t.standard_model() + background
        # pyhf's code4 at the document's ten digits, to the third power
        assert got == pytest.approx(expected, rel=1e-8)
