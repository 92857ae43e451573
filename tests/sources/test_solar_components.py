"""All components of the solar neutrino flux."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.core.errors import ConfigError
from histnu.sources.solar import COMPONENTS, flux_parameter, load_flux, solar_source, solar_sources

# arXiv:1611.09867, B16-GS98, as quoted in the issue: total in cm^-2 s^-1, relative uncertainty
B16_GS98 = {
    "pp": (5.98e10, 0.006),
    "pep": (1.44e8, 0.01),
    "hep": (7.98e3, 0.30),
    "b8": (5.46e6, 0.12),
    "n13": (2.78e8, 0.15),
    "o15": (2.05e8, 0.17),
    "f17": (5.29e6, 0.20),
}
# End points in MeV: 2 m_p - m_d - 2 m_e for pp, Q - 2 m_e for the CNO decays, line energies.
END_POINTS = {"pp": 0.420, "n13": 1.199, "o15": 1.732, "f17": 1.740}
LINES = {"be7_384": 0.384, "be7_862": 0.862, "pep": 1.442}


@pytest.mark.parametrize("name", sorted(B16_GS98))
def test_totals_are_those_of_the_standard_solar_model(name: str) -> None:
    total, relative = B16_GS98[name]
    flux = load_flux(name)
    assert flux.total_cm2_s == pytest.approx(total, rel=1e-12)
    # hep is stored as an absolute uncertainty with three digits, hence 1e-2
    assert flux.relative_uncertainty == pytest.approx(relative, rel=1e-2)


def test_both_lines_of_beryllium_add_up() -> None:
    lines = [load_flux(n) for n in ("be7_384", "be7_862")]
    assert sum(f.total_cm2_s for f in lines) == pytest.approx(4.93e9, rel=1e-12)
    assert lines[0].total_cm2_s / 4.93e9 == pytest.approx(0.1044, rel=1e-12)
    assert {f.relative_uncertainty for f in lines} == {0.06}
    assert {flux_parameter(f.name) for f in lines} == {"be7_flux"}


@pytest.mark.parametrize("name", COMPONENTS)
def test_spectra_are_normalised(name: str) -> None:
    flux = load_flux(name)
    if flux.is_line:
        assert name in LINES
        # the tables give 0.3843, 0.8613 and 1.44 MeV
        assert flux.e_max_mev == pytest.approx(LINES[name], abs=2.5e-3)
        return
    assert np.trapezoid(flux.shape_per_mev, flux.e_nu_mev) == pytest.approx(1.0, rel=1e-12)
    if name in END_POINTS:
        # pp is extended above its end point by the thermal motion in the Sun (0.4234 MeV)
        assert flux.e_max_mev == pytest.approx(END_POINTS[name], abs=4e-3)


def test_mean_energies() -> None:
    # Bahcall, Neutrino Astrophysics (1989), Table 3.3 / 6.3: 0.2668, 0.7063, 0.9964 MeV
    for name, mean in {"pp": 0.2668, "n13": 0.7063, "o15": 0.9964}.items():
        flux = load_flux(name)
        value = np.trapezoid(flux.e_nu_mev * flux.shape_per_mev, flux.e_nu_mev)
        assert value == pytest.approx(mean, rel=2e-3)  # thinned tables


def test_survival_probability_falls_from_vacuum_to_matter() -> None:
    sources = solar_sources()
    mean = {}
    for name, source in sources.items():
        weight = source.flux.shape_per_mev
        mean[name] = float((source.probabilities["e"] * weight).sum() / weight.sum())
    # averaged vacuum: c13^4 (1 - sin^2(2 theta12)/2) + s13^4 = 0.5417 for the default parameters
    assert 0.53 < mean["pp"] < 0.5417
    assert mean["pp"] > mean["be7_384"] > mean["be7_862"] > mean["pep"] > mean["b8"]
    # Borexino, Nature 562 (2018) 505: P_ee(7Be) = 0.53 +- 0.05, P_ee(pep) = 0.43 +- 0.11
    assert mean["be7_862"] == pytest.approx(0.53, abs=0.05)
    assert mean["pep"] == pytest.approx(0.43, abs=0.11)
    for source in sources.values():
        assert np.allclose(sum(source.probabilities.values()), 1.0)


def test_unknown_component() -> None:
    for function in (load_flux, flux_parameter, solar_source):
        with pytest.raises(ConfigError, match="unknown solar component 'be7'; known: b8, be7_384"):
            function("be7")
