"""Electron-recoil data sets: smearing, tables, published totals, the script that makes them."""

from __future__ import annotations

import importlib
import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from histnu.core.errors import DataError
from histnu.core.tables import read_csv
from histnu.experiments.loader import load_experiment
from histnu.experiments.smearing import (
    Efficiency,
    Resolution,
    bin_probabilities,
    declared_detector,
    smeared_response,
)
from histnu.physics.electrons import XENON_SHELLS
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.sources.solar import solar_source, solar_sources
from histnu.templates.fold import fold

NAMES = ("xenonnt_er_2022", "lz_er_ws2022", "lz_er_ws2024", "pandax4t_er_run1")
TRUE = Efficiency(np.array([0.5, 2.0, 10.0]), np.array([0.0, 0.9, 0.8]))
RECONSTRUCTED = Efficiency(TRUE.e_kev, TRUE.value, of_reconstructed=True)
SIGMA = Resolution(((0.3, 0.5), (0.01, 1.0)))
EDGES = np.array([1.0, 2.0, 4.0, 7.0])


def test_smearing_with_efficiency_of_true_energy():
    t = np.array([0.7, 1.9, 5.0])
    rows = bin_probabilities(EDGES, t, TRUE, SIGMA)
    for i, energy in enumerate(t):
        shape = norm(energy, 0.3 * energy**0.5 + 0.01 * energy)
        expected = np.diff(shape.cdf(EDGES)) * np.interp(energy, TRUE.e_kev, TRUE.value)
        assert rows[:, i] == pytest.approx(expected, rel=1e-12)


def test_smearing_with_efficiency_of_reconstructed_energy():
    t = np.array([0.7, 1.9, 5.0])
    rows = bin_probabilities(EDGES, t, RECONSTRUCTED, SIGMA)
    for i, energy in enumerate(t):
        shape = norm(energy, float(SIGMA(energy)))
        for b, (low, high) in enumerate(pairwise(EDGES)):
            expected = quad(
                lambda e, s=shape: s.pdf(e) * np.interp(e, TRUE.e_kev, TRUE.value), low, high
            )[0]
            # the efficiency has kinks at its nodes, none inside a bin: Gauss-Legendre is exact
            assert rows[b, i] == pytest.approx(expected, rel=1e-8)


def test_perfect_resolution_gives_the_efficiency():
    t = np.array([1.5, 3.0, 6.0])
    rows = bin_probabilities(EDGES, t, TRUE, Resolution(((1e-6, 0.0),)))
    assert np.allclose(rows, np.diag(TRUE(t)))


def test_efficiency_outside_its_nodes():
    assert TRUE([0.1, 20.0]).tolist() == [0.0, 0.8]
    assert float(Efficiency(TRUE.e_kev, TRUE.value, beyond=0.5)(20.0)) == 0.5


def test_bad_detectors():
    with pytest.raises(DataError, match=r"values must lie in \[0, 1\]"):
        Efficiency(np.array([1.0, 2.0]), np.array([0.5, 1.2]))
    with pytest.raises(DataError, match="energies must increase"):
        Efficiency(np.array([2.0, 1.0]), np.array([0.5, 0.6]))
    with pytest.raises(DataError, match="resolution must be positive"):
        Resolution(((-0.1, 0.5),))(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_files(name):
    experiment = load_experiment(name)
    (channel,) = experiment.channels
    assert experiment.recoil == "electron" and experiment.target == "xenon"
    assert np.all(channel.observed == np.round(channel.observed))
    assert all(np.all(b.expected >= 0) for b in channel.backgrounds)
    names = [r.name for b in channel.backgrounds for r in b.rates]
    assert len(set(names)) == len(names) and experiment.assumptions
    provenance = "reconstructed" if name.startswith("pandax") else "derived"
    assert experiment.provenance == provenance


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_fine_enough(name):
    """A response on twice as many nodes changes no bin by more than 2e-3."""
    (channel,) = load_experiment(name).channels
    efficiency, resolution = declared_detector(name)
    edges = channel.observable.edges
    coarse = channel.response
    nodes = coarse.e_recoil_kev
    fine = np.sort(np.concatenate([nodes, 0.5 * (nodes[1:] + nodes[:-1])]))
    steps = XENON_SHELLS.steps_kev()
    again = smeared_response(edges, efficiency, resolution, np.union1d(fine, steps))
    for component in ("pp", "be7_862"):
        source = solar_source(component)
        for model, key in (
            (StandardModel(), "eves"),
            (MagneticMoment(), "mu2_e"),
        ):

            def spectrum(t, source=source, model=model, key=key):
                return model.basis_spectra(Scattering("electron", source, XENON), t)[key]

            a = fold(coarse, spectrum, 1.0)
            b = fold(again, spectrum, 1.0)
            # linear interpolation of a Gaussian of sigma >= 0.3 keV over 0.05 keV (sigma > 0.9
            # over 0.25 keV): second-order errors of up to 1e-3 in the first bin
            assert a == pytest.approx(b, rel=2e-3)


@pytest.mark.slow
@pytest.mark.release
def test_script_again(project_root, releases, tmp_path, monkeypatch):
    script = importlib.import_module("derive_electron_recoil")
    monkeypatch.setattr(sys, "argv", ["script", str(releases), "-o", str(tmp_path)])
    script.main()
    written = sorted(tmp_path.rglob("*.csv"))
    assert len(written) == 3 * len(NAMES) + 1
    for file in written:
        ours = read_csv(project_root / "histnu/data" / file.relative_to(tmp_path))
        for key, values in read_csv(file).items():
            # six digits are written
            assert ours[key] == pytest.approx(values, rel=1e-5, abs=1e-9), f"{file}:{key}"


@pytest.mark.release
def test_background_of_lz_is_the_published_total(releases):
    for run in ("2022", "2024"):
        file = releases / "electron_recoil" / "lz_2025" / f"BKG_FIT_WS{run}.csv"
        total = np.loadtxt(file, delimiter=",")[1:, 1]
        (channel,) = load_experiment(f"lz_er_ws{run}").channels
        other = np.sum([b.expected for b in channel.backgrounds], axis=0)
        solar = np.zeros(channel.n_bins)
        for source in solar_sources().values():
            solar += fold(
                channel.response,
                lambda t, s=source: StandardModel().basis_spectra(
                    Scattering("electron", s, XENON), t
                )["eves"],
                channel.exposure_tonne_year,
            )
        # the table's linear interpolation and six written digits
        assert other + solar == pytest.approx(total, rel=1e-3)


@pytest.mark.release
def test_solar_events_of_lz(releases):
    """Published: 102 +- 6 in WS2024 (arXiv:2410.17036), computed with a many-body rate."""
    file = releases / "electron_recoil" / "lz_2025" / "WS2024_2DROI_eff_data.txt"
    energy, efficiency = np.loadtxt(file).T
    t = np.linspace(0.3, 20.0, 8000)
    model = StandardModel()
    rate = sum(
        model.basis_spectra(Scattering("electron", s, XENON), t)["eves"]
        for s in solar_sources().values()
    )
    events = 3.31 * np.trapezoid(rate * np.interp(t, energy, efficiency), t)
    # 118.7 events: free electrons by steps give 16 % more than the many-body rate that LZ uses.
    # The bound says that the difference is this known one and not a unit or an exposure.
    assert 1.10 < events / 102.0 < 1.22


def test_argon_of_lz():
    """The 37Ar line fitted to LZ WS2022: 52.5 +9.6 -8.9 in arXiv:2207.03764, Table I."""
    (channel,) = load_experiment("lz_er_ws2022").channels
    argon = next(b for b in channel.backgrounds if b.name == "ar37")
    assert argon.expected.sum() == pytest.approx(52.5, abs=9.0)
