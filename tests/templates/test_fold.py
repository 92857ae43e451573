"""Folding: closed form, convergence, limits of the coupling."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.core.errors import TemplateError
from histnu.experiments.loader import load_experiment
from histnu.experiments.response import Response
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.scattering import Scattering
from histnu.templates.fold import fold, quadrature, response_nodes


def test_linear_response_closed_form():
    r = Response(np.array([1.0, 3.0]), np.array([[0.0, 1.0]]), "linear")
    # int_1^3 (t - 1)/2 t^2 dt = 17/3 - ... evaluated exactly
    exact = (81 / 4 - 27 / 3 - (1 / 4 - 1 / 3)) / 2
    assert fold(r, lambda t: t**2, 2.0)[0] == pytest.approx(2 * exact, rel=1e-13)


def adaptive(function, nodes, tolerance):
    """Integrals of (P,) -> (bins, P) over the pieces between nodes, each halved until ten Gauss
    points in it and in its halves agree."""
    x, w = np.polynomial.legendre.leggauss(10)

    def rule(low, high):
        half = (high - low) / 2
        points = low + half * (1 + x[:, None])
        values = function(points.ravel()).reshape(-1, *points.shape)
        return (values * (w[:, None] * half)).sum(axis=1)

    low, high, total = nodes[:-1], nodes[1:], 0.0
    whole = rule(low, high)
    while low.size:
        middle = (low + high) / 2
        halves = rule(low, middle), rule(middle, high)
        left = np.abs(sum(halves) - whole).max(axis=0) > tolerance
        total = total + sum(halves)[:, ~left].sum(axis=1)
        low, high = (np.concatenate([p[left], q[left]]) for p, q in ((low, middle), (middle, high)))
        whole = np.concatenate([h[:, left] for h in halves], axis=1)
    return total


@pytest.mark.parametrize("name", ["xenonnt_sr01", "pandax4t_us2"])
def test_against_adaptive_quadrature(name, b8, xenon):
    channel = load_experiment(name).channels[0]
    model = StandardModel()

    def counted(t):
        spectrum = model.basis_spectra(Scattering("nuclear", b8, xenon), t)["cevns"]
        return channel.response(t) * spectrum

    ours = fold(
        channel.response,
        lambda t: model.basis_spectra(Scattering("nuclear", b8, xenon), t)["cevns"],
        channel.exposure_tonne_year,
    )
    # of each of about 100 pieces: 1e-7 of the smallest bin in total
    tolerance = 1e-9 * ours.min() / channel.exposure_tonne_year
    expected = adaptive(counted, channel.response.e_recoil_kev, tolerance)
    # asked: 1e-6 against adaptive quadrature
    assert ours == pytest.approx(channel.exposure_tonne_year * expected, rel=1e-6)


def test_halving_the_step_changes_nothing(b8, xenon):
    channel = load_experiment("xenonnt_sr01").channels[0]
    model = StandardModel()
    nodes, weights = response_nodes(channel.response)
    coarse = weights @ model.basis_spectra(Scattering("nuclear", b8, xenon), nodes)["cevns"]
    x, w = quadrature(channel.response.e_recoil_kev, panels=16)
    fine = (channel.response(x) * w) @ model.basis_spectra(Scattering("nuclear", b8, xenon), x)[
        "cevns"
    ]
    assert coarse == pytest.approx(fine, rel=1e-6)


def test_coupling_to_zero_is_the_sm():
    sm = assemble(load_analysis("standard_model_combined"))
    moment = assemble(load_analysis("magnetic_moment_combined"))
    for a, b in zip(sm.templates, moment.templates, strict=True):
        total = np.sum([s.expected for s in a.signals], axis=0)
        assert np.array_equal(total, b.standard_model())


def test_dipole_templates_become_the_moments():
    moment = assemble(load_analysis("magnetic_moment_combined"))
    dipole = assemble(load_analysis("sterile_dipole_combined").holding({"m4": 0.0}))
    for a, b in zip(moment.templates, dipole.templates, strict=True):
        for s in ("mu2_e", "mu2_mu", "mu2_tau"):
            assert a.basis([s]) == pytest.approx(b.basis([s]), rel=1e-12)


def test_nan_is_refused():
    r = Response(np.array([1.0, 3.0]), np.array([[0.5, 1.0]]), "linear")
    with pytest.raises(TemplateError, match="NaN or infinity"):
        fold(r, lambda t: np.full_like(t, np.nan), 1.0)


def test_wrong_recoil_type(b8):
    from histnu.physics.models.tabulated import TabulatedSignal
    from histnu.sources.solar import solar_component
    from histnu.templates.basis import channel_templates

    model = TabulatedSignal([1.0, 2.0], {"x": [1.0, 1.0]}, recoil="electron")
    channel = load_experiment("xenonnt_sr01").channels[0]
    problem = "responds to nuclear recoils, model tabulated makes electron recoils"
    with pytest.raises(TemplateError, match=problem):
        channel_templates(channel, [solar_component("b8")], [model])
