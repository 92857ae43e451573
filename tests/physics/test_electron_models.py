"""Electron-recoil models: shells, basis spectra, shared names, published rates."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from histnu.core.errors import PhysicsError
from histnu.physics.electrons import XENON_SHELLS, AtomicShells
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.millicharge import Millicharge
from histnu.physics.models.protocol import InUnit, Model, Parameter, SignalModel, Term
from histnu.physics.models.standard_model import ManyBodyCorrection, StandardModel
from histnu.physics.models.sterile_dipole import SterileDipole
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.sources.solar import COMPONENTS, solar_source, solar_sources

ROOT = Path(__file__).resolve().parents[2]
RELEASE = Path(os.environ.get("HISTNU_RELEASES", ROOT.parent / "shared" / "releases"))
FOLDER = RELEASE / "electron_recoil"
needs_release = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no release in {FOLDER}")
T = np.array([1.5, 3.0, 10.0, 20.0, 28.0])


def total_sm(t: np.ndarray) -> np.ndarray:
    model = StandardModel()
    return sum(
        model.basis_spectra(Scattering("electron", s, XENON), t)["eves"]
        for s in solar_sources().values()
    )


def test_shells_of_xenon() -> None:
    assert XENON_SHELLS.total == 54
    below, above = XENON_SHELLS.effective_electrons([34.758, 34.760])
    assert (below, above) == (52.0, 54.0)
    assert np.all(np.diff(XENON_SHELLS.effective_electrons(np.geomspace(1e-3, 100, 400))) >= 0)
    with pytest.raises(PhysicsError, match="differ in length"):
        AtomicShells(("1s",), (1.0, 2.0), (2,), "test")


@needs_release
@pytest.mark.release
def test_shells_are_those_of_the_release() -> None:
    lines = (FOLDER / "binding_xenon.csv").read_text().strip().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    assert [r[0] for r in rows] == list(XENON_SHELLS.labels)
    assert np.allclose([float(r[1]) for r in rows], 1e3 * np.array(XENON_SHELLS.binding_kev))
    assert [int(r[2]) for r in rows] == list(XENON_SHELLS.electrons)


@needs_release
@pytest.mark.release
def test_rate_is_that_of_the_collaboration() -> None:
    """XENONnT's own solar-neutrino background, digitised, events/(t yr keV)."""
    table = np.loadtxt(FOLDER / "xenonnt_2022" / "bkg_solar_nu.txt")
    edges = 1e3 * np.array([0.0006499, 0.0007081, 0.0009612, 0.0010248, 0.0011705])
    far = np.all(np.abs(table[:, :1] / edges - 1) > 0.1, axis=1)  # the digitised steps are ramps
    far &= (table[:, 0] < 80) & np.all(
        np.abs(table[:, :1] / [4.84, 5.16, 5.51, 34.76] - 1) > 0.05, 1
    )
    ratio = total_sm(table[far, 0]) / table[far, 1]
    assert far.sum() > 40
    # other fluxes and oscillation parameters: 0.6 % (pp), 6 % of 8 % (7Be); digitisation 1 %
    assert np.all(np.abs(ratio - 1) < 0.03)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.015)


def test_pp_dominates_and_the_rate_has_the_known_size() -> None:
    rates = {
        name: StandardModel().basis_spectra(Scattering("electron", s, XENON), T)["eves"]
        for name, s in solar_sources().items()
    }
    assert set(rates) == set(COMPONENTS)
    total = sum(rates.values())
    assert np.all((rates["pp"] / total > 0.85) & (rates["pp"] / total < 0.95))
    # 54 electrons x 4.587e27 atoms/t x 3.156e7 s x 6.5e10 /cm^2/s x ~3.3e-45 cm^2 / ~0.2 MeV:
    # about three events/(t yr keV) at low energy
    assert np.all((total > 2.5) & (total < 3.3))


def on_electrons(model: SignalModel, component: str, t: np.ndarray = T) -> dict[str, np.ndarray]:
    """Basis spectra of a model on the electrons of xenon."""
    return model.basis_spectra(Scattering("electron", solar_source(component), XENON), t)


@pytest.mark.parametrize("model", [MagneticMoment(), Millicharge(), SterileDipole(0.1)])
def test_one_model_has_both_processes(model: SignalModel) -> None:
    assert isinstance(model, SignalModel)
    assert model.processes == ("nuclear", "electron")
    electron = on_electrons(model, "pp")
    assert tuple(electron) == model.polynomial.outputs
    assert all(s.shape == T.shape and np.all(np.isfinite(s)) for s in electron.values())
    nuclear = model.basis_spectra(Scattering("nuclear", solar_source("b8"), XENON), T)
    assert tuple(nuclear) == model.polynomial.outputs


def test_units_rescale_the_templates() -> None:
    coarse = on_electrons(MagneticMoment(), "be7_862")
    fine = on_electrons(InUnit(MagneticMoment(), "1e-11 mu_B"), "be7_862")
    for name, values in fine.items():
        assert np.allclose(coarse[name], 1e4 * values, rtol=1e-12, atol=0)
    one = on_electrons(InUnit(Millicharge(), "1e-12 e"), "be7_862")
    ten = on_electrons(InUnit(Millicharge(), "1e-11 e"), "be7_862")
    for name, values in one.items():
        power = 1 if "lin" in name else 2
        assert np.allclose(ten[name], 10**power * values, rtol=1e-12, atol=0)


def test_units_keep_everything_else() -> None:
    model = InUnit(SterileDipole(), "1e-11 mu_B")
    assert [p.unit for p in model.parameters] == ["1e-11 mu_B"] * 3
    assert model.holding({"m4": 2.0}).model.m4_mev == 2.0
    assert model.polynomial == SterileDipole().polynomial
    again = InUnit(InUnit(MagneticMoment(), "1e-11 mu_B"), "1e-9 mu_B")
    # two changes of unit are one: factors of 1e-4 and 1e4, to rounding
    assert all(
        np.allclose(a, b, rtol=1e-14, atol=0)
        for a, b in zip(
            on_electrons(again, "pp").values(),
            on_electrons(MagneticMoment(), "pp").values(),
            strict=True,
        )
    )


def test_strength_without_a_degree_has_no_unit() -> None:
    class Mixed(Model):
        name = "mixed"
        parameters = (Parameter("g", "g", "1", (0.0, 1.0)),)
        terms = (Term("both", ((1.0, {"g": 1}), (1.0, {"g": 2}))),)

    with pytest.raises(PhysicsError, match=r"model mixed: both mixes powers of its parameters"):
        _ = InUnit(Mixed(), "0.1").factors


def test_dipole_of_zero_mass_is_the_magnetic_moment() -> None:
    moment = on_electrons(MagneticMoment(), "pp")
    dipole = on_electrons(SterileDipole(0.0), "pp")
    for name, values in dipole.items():
        # the massless bracket has the same terms, two of them zero
        assert np.allclose(values, moment[name], rtol=1e-14, atol=0)
    assert np.allclose(moment["mu2_universal"], sum(dipole.values()))


def test_heavy_sterile_states_are_not_made() -> None:
    # pp ends at 0.4234 MeV: m4 + m4^2/(2 m_e) <= E gives m4 <= 0.322 MeV
    for m4, open_channel in ((0.32, True), (0.34, False)):
        rate = on_electrons(SterileDipole(m4), "pp", np.geomspace(0.1, 400, 2000))["mu2_e"]
        assert np.any(rate > 0) == open_channel
        assert np.all(rate >= 0)


def test_antineutrinos_have_the_other_axial_coupling() -> None:
    source = replace(solar_source("b8"), anti=True)
    t = np.array([500.0, 3000.0])
    anti = StandardModel().basis_spectra(Scattering("electron", source, XENON), t)["eves"]
    ordinary = on_electrons(StandardModel(), "b8", t)["eves"]
    # g_A -> -g_A exchanges (g_V + g_A)^2 and (g_V - g_A)^2, 0.98 and 0.23 for nu_e: fewer, softer
    assert np.all(anti < ordinary) and anti[1] / ordinary[1] < anti[0] / ordinary[0]
    charge = Millicharge().basis_spectra(Scattering("nuclear", source, XENON), T)
    plain = Millicharge().basis_spectra(Scattering("nuclear", solar_source("b8"), XENON), T)
    # charge conjugation turns the sign of the weak vector and of the electric charge
    assert all(np.array_equal(charge[k], plain[k]) for k in plain)


def test_many_body_correction() -> None:
    correction = ManyBodyCorrection(np.array([1.0, 5.0]), np.array([0.8, 0.9]), "test")
    source = solar_source("pp")
    plain = StandardModel().basis_spectra(Scattering("electron", source, XENON), T)["eves"]
    reduced = StandardModel(many_body=correction).basis_spectra(
        Scattering("electron", source, XENON), T
    )["eves"]
    assert np.allclose(reduced / plain, [0.8125, 0.85, 1.0, 1.0, 1.0])
    with pytest.raises(PhysicsError, match="ratios must be positive"):
        ManyBodyCorrection(np.array([1.0, 5.0]), np.array([0.0, 0.9]), "test")


@pytest.mark.parametrize("unit", ["0 mu_B", "-1e-9 mu_B", "nan mu_B"])
def test_bad_units(unit: str) -> None:
    with pytest.raises(PhysicsError, match=r"mu_B' must be positive and finite"):
        InUnit(MagneticMoment(), unit)


def test_unit_of_another_quantity() -> None:
    with pytest.raises(PhysicsError, match=r"unit '1e-12 e': model magnetic_moment counts in mu_B"):
        InUnit(MagneticMoment(), "1e-12 e")


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_bad_masses(value: float) -> None:
    with pytest.raises(PhysicsError, match=r"m4 = .* MeV must be finite and in \[0, 1e\+06\] MeV"):
        SterileDipole(value)
    with pytest.raises(PhysicsError, match=r"m4 = .* MeV must be finite and in \[0, 1e\+06\] MeV"):
        SterileDipole().holding({"m4": value})
    with pytest.raises(PhysicsError, match=r"holds no parameter 'mass'; held: m4"):
        SterileDipole().holding({"mass": 1.0})
