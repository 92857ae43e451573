"""Electron-recoil models: shells, basis spectra, shared names, published rates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from histnu.errors import PhysicsError
from histnu.physics.electrons import XENON_SHELLS, AtomicShells
from histnu.physics.models.electron_magnetic_moment import ElectronMagneticMoment
from histnu.physics.models.electron_millicharge import ElectronMillicharge
from histnu.physics.models.electron_standard_model import (
    ElectronStandardModel,
    ManyBodyCorrection,
)
from histnu.physics.models.electron_sterile_dipole import ElectronSterileDipole
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.millicharge import Millicharge
from histnu.physics.models.protocol import SignalModel
from histnu.physics.models.sterile_dipole import SterileDipole
from histnu.physics.nuclei import XENON
from histnu.solar import COMPONENTS, solar_source, solar_sources

ROOT = Path(__file__).resolve().parents[2]
RELEASE = Path(os.environ.get("HISTNU_RELEASES", ROOT.parent / "shared" / "releases"))
FOLDER = RELEASE / "electron_recoil"
needs_release = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no release in {FOLDER}")
T = np.array([1.5, 3.0, 10.0, 20.0, 28.0])


def total_sm(t: np.ndarray) -> np.ndarray:
    model = ElectronStandardModel()
    return sum(model.basis_spectra(s, XENON, t)["eves"] for s in solar_sources().values())


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
        name: ElectronStandardModel().basis_spectra(s, XENON, T)["eves"]
        for name, s in solar_sources().items()
    }
    assert set(rates) == set(COMPONENTS)
    total = sum(rates.values())
    assert np.all((rates["pp"] / total > 0.85) & (rates["pp"] / total < 0.95))
    # 54 electrons x 4.587e27 atoms/t x 3.156e7 s x 6.5e10 /cm^2/s x ~3.3e-45 cm^2 / ~0.2 MeV:
    # about three events/(t yr keV) at low energy
    assert np.all((total > 2.5) & (total < 3.3))


@pytest.mark.parametrize(
    ("electron", "nuclear"),
    [
        (ElectronMagneticMoment(), MagneticMoment()),
        (ElectronMillicharge(), Millicharge()),
        (ElectronSterileDipole(0.1), SterileDipole(0.1)),
    ],
)
def test_parameters_are_shared_with_the_nuclear_models(
    electron: SignalModel, nuclear: SignalModel
) -> None:
    assert isinstance(electron, SignalModel)
    assert electron.recoil == "electron" and nuclear.recoil == "nuclear"
    assert [p.name for p in electron.parameters] == [p.name for p in nuclear.parameters]
    assert electron.polynomial == nuclear.polynomial
    spectra = electron.basis_spectra(solar_source("pp"), XENON, T)
    assert tuple(spectra) == electron.polynomial.outputs
    assert all(s.shape == T.shape and np.all(np.isfinite(s)) for s in spectra.values())


def test_units_rescale_the_templates() -> None:
    source = solar_source("be7_862")
    fine = ElectronMagneticMoment(1e-11).basis_spectra(source, XENON, T)
    coarse = ElectronMagneticMoment(1e-9).basis_spectra(source, XENON, T)
    for name, values in fine.items():
        assert np.allclose(coarse[name], 1e4 * values, rtol=1e-12)
    assert ElectronMagneticMoment(1e-9).parameters[0].unit == "1e-09 mu_B"
    one = ElectronMillicharge(1e-12).basis_spectra(source, XENON, T)
    ten = ElectronMillicharge(1e-11).basis_spectra(source, XENON, T)
    for name, values in one.items():
        power = 1 if "lin" in name else 2
        assert np.allclose(ten[name], 10**power * values, rtol=1e-12)


def test_dipole_of_zero_mass_is_the_magnetic_moment() -> None:
    source = solar_source("pp")
    moment = ElectronMagneticMoment().basis_spectra(source, XENON, T)
    dipole = ElectronSterileDipole(0.0).basis_spectra(source, XENON, T)
    for name, values in dipole.items():
        assert np.array_equal(values, moment[name])
    assert np.allclose(moment["mu2_universal"], sum(dipole.values()))


def test_heavy_sterile_states_are_not_made() -> None:
    # pp ends at 0.4234 MeV: m4 + m4^2/(2 m_e) <= E gives m4 <= 0.322 MeV
    source = solar_source("pp")
    for m4, open_channel in ((0.32, True), (0.34, False)):
        t = np.geomspace(0.1, 400, 2000)
        rate = ElectronSterileDipole(m4).basis_spectra(source, XENON, t)["mu2_e"]
        assert np.any(rate > 0) == open_channel
        assert np.all(rate >= 0)


def test_many_body_correction() -> None:
    correction = ManyBodyCorrection(np.array([1.0, 5.0]), np.array([0.8, 0.9]), "test")
    source = solar_source("pp")
    plain = ElectronStandardModel().basis_spectra(source, XENON, T)["eves"]
    reduced = ElectronStandardModel(many_body=correction).basis_spectra(source, XENON, T)["eves"]
    assert np.allclose(reduced / plain, [0.8125, 0.85, 1.0, 1.0, 1.0])
    with pytest.raises(PhysicsError, match="ratios must be positive"):
        ManyBodyCorrection(np.array([1.0, 5.0]), np.array([0.0, 0.9]), "test")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_bad_units_and_masses(value: float) -> None:
    with pytest.raises(PhysicsError, match=r"unit_mu_b = .* must be positive and finite"):
        ElectronMagneticMoment(value)
    with pytest.raises(PhysicsError, match=r"unit_e = .* must be positive and finite"):
        ElectronMillicharge(value)
    if not value >= 0:
        with pytest.raises(PhysicsError, match=r"m4 = .* MeV must be finite and >= 0"):
            ElectronSterileDipole(value)
