"""The stopped-pion source: totals, flavours, arrival times, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.errors import PhysicsError
from histnu.core.units import CM2_PER_INVERSE_MEV2, SECONDS_PER_YEAR
from histnu.physics.cross_sections import Electroweak, cevns_coefficients
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import material
from histnu.physics.pion_decay import fluence_cm2
from histnu.physics.scattering import Scattering
from histnu.sources.pion_decay_at_rest import PionDecayAtRest
from histnu.sources.protocol import Source

SNS = PionDecayAtRest(3.2, 0.0848, 19.3, beam_mean_us=0.5, beam_mean_sigma_us=0.1, detector=7)


def test_components():
    assert isinstance(SNS, Source)
    components = {c.name: c for c in SNS.components("nuclear")}
    assert {k: c.source.flavours for k, c in components.items()} == {
        "numu": ("mu",),
        "nue": ("e",),
        "numubar": ("mu",),
    }
    assert {c.flux.name for c in components.values()} == {"sns_flux"}
    assert [c.source.anti for c in components.values()] == [False, False, True]
    total = fluence_cm2(3.2e23, 0.0848, 19.3) / SECONDS_PER_YEAR
    for c in components.values():
        assert c.source.flux.total_cm2_s == pytest.approx(total, rel=1e-12)


def test_arrival_and_its_variations():
    components = {c.name: c for c in SNS.components("nuclear")}
    prompt, delayed = components["numu"], components["nue"]
    assert prompt.arrival.cumulative(1.0) > 0.95 > delayed.arrival.cumulative(1.0)
    early, late = prompt.arrival_variations["beam_arrival_7"]
    # one standard deviation of 0.1 us moves the whole distribution
    assert early.cumulative(0.5) == pytest.approx(prompt.arrival.cumulative(0.6), rel=1e-12)
    assert late.cumulative(0.6) == pytest.approx(prompt.arrival.cumulative(0.5), rel=1e-12)
    assert PionDecayAtRest(3.2, 0.0848, 19.3).components("nuclear")[0].arrival_variations == {}


def test_prompt_rate_by_hand():
    """A line: rate = fluence N sigma, with the cross section at one energy."""
    component = SNS.components("nuclear")[0]
    argon = material("argon")
    t = 20.0
    scattering = Scattering("nuclear", component.source, argon)
    ours = StandardModel().basis_spectra(scattering, [t])["cevns"][0]
    weight = sum(i.abundance for i in argon.isotopes)
    e = component.source.flux.e_nu_mev[0]
    sigma = 0.0
    for isotope in argon.isotopes:
        c = cevns_coefficients([1e-3 * t], isotope, Electroweak())[:, 0]
        sigma += isotope.abundance / weight * (c[0] + c[1] / e + c[2] / e**2)
    direct = sigma * 1e-3 * CM2_PER_INVERSE_MEV2 * argon.atoms_per_tonne
    direct *= fluence_cm2(3.2e23, 0.0848, 19.3)
    assert ours == pytest.approx(direct, rel=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protons": 0.0}, "protons = 0"),
        ({"exposure_year": 0.0}, "exposure_year = 0"),
        ({"beam_width_us": -1.0}, "beam_width_us = -1"),
        ({"beam_mean_sigma_us": -1.0}, "beam_mean_sigma_us = -1"),
    ],
)
def test_refusals(options, message):
    given = {"protons": 1.0, "neutrinos_per_proton": 0.09, "distance_m": 20.0, **options}
    with pytest.raises(PhysicsError, match=message):
        PionDecayAtRest(**given).components("nuclear")


def test_exposure_time_does_not_matter_for_the_fluence():
    longer = PionDecayAtRest(3.2, 0.0848, 19.3, exposure_year=2.0)
    assert longer.flux_cm2_s * 2.0 == pytest.approx(SNS.flux_cm2_s, rel=1e-12)
    assert np.isfinite(longer.flux_cm2_s)
