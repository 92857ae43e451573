"""The scripts that make the package's tables, run again where the releases are."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from histnu.core.tables import read_csv


def run(module, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["script", *arguments])
    module.main()


def assert_same_tables(ours: Path, again: Path) -> None:
    """Same columns; numbers equal to the last written digits (scipy's splines may round)."""
    a, b = read_csv(ours), read_csv(again)
    assert list(a) == list(b)
    for name in a:
        # nine digits are written
        assert a[name] == pytest.approx(b[name], rel=1e-7, abs=1e-12), f"{ours.name}:{name}"


@pytest.mark.slow
@pytest.mark.release
def test_xenonnt_sr01(project_root, releases, tmp_path, monkeypatch):
    script = import_module("derive_xenonnt_sr01")
    run(script, monkeypatch, str(releases), "-o", str(tmp_path))
    folder = project_root / "histnu/data/experiments/xenonnt_sr01"
    for name in ("response.csv", "rates.csv"):
        assert_same_tables(folder / name, tmp_path / name)


@pytest.mark.release
def test_flux_tables(project_root, releases, tmp_path, monkeypatch):
    script = import_module("derive_flux")
    run(script, monkeypatch, str(releases), "-o", str(tmp_path))
    written = sorted(tmp_path.glob("*/*.csv"))
    assert len(written) >= 4
    for path in written:
        assert_same_tables(project_root / "histnu/data" / path.relative_to(tmp_path), path)


def test_pandax4t_us2(project_root, tmp_path, monkeypatch):
    script = import_module("reconstruct_pandax4t_us2")
    run(script, monkeypatch, "-o", str(tmp_path))
    folder = project_root / "histnu/data/experiments/pandax4t_us2"
    for name in ("response.csv", "rates.csv"):
        assert_same_tables(folder / name, tmp_path / name)


@pytest.mark.slow
@pytest.mark.release
def test_xenonnt_totals(project_root, releases):
    derive = import_module("derive_xenonnt_sr01").derive
    result = derive(releases)
    # 37 events and 11.9 expected 8B events: XENON, Phys. Rev. Lett. 133 (2024) 191002
    assert result["observed"].tolist() == [16.0, 14.0, 7.0]
    assert result["b8"].sum() == pytest.approx(11.9, abs=0.05)
    # 26.4 (+1.4 -1.3) background events: abstract of the same paper; rounded to 0.1
    background = sum(result[name].sum() for name in ("ac", "er", "neutron"))
    assert background == pytest.approx(26.4, abs=0.05)
    assert np.all(result["response"] >= 0)


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.parametrize("name", ["coherent_lar_2020", "coherent_csi_2021"])
def test_coherent(name, project_root, releases, tmp_path, monkeypatch):
    script = import_module(f"derive_{name}")
    run(script, monkeypatch, str(releases), "-o", str(tmp_path))
    written = sorted(tmp_path.glob("*.csv"))
    assert len(written) >= 7
    for path in written:
        assert_same_tables(project_root / "histnu/data/experiments" / name / path.name, path)


@pytest.mark.slow
@pytest.mark.release
def test_beam_of_csi(project_root, releases):
    """The mean arrival in the experiment file is the one fitted to the data."""
    from histnu.experiments.loader import load_experiment

    script = import_module("derive_coherent_csi_2021")
    mean, error = script.fitted_beam_mean(script.rates(releases / "coherent_csi_2021"))
    options = load_experiment("coherent_csi_2021").channels[0].source.options
    assert options["beam_mean_us"] == pytest.approx(mean, abs=0.005)  # two decimals are stated
    assert options["beam_mean_sigma_us"] == pytest.approx(error, abs=0.005)


@pytest.mark.slow
@pytest.mark.release
def test_lz_b8(project_root, releases, tmp_path, monkeypatch):
    script = import_module("reconstruct_lz_b8_2025")
    run(script, monkeypatch, str(releases), "-o", str(tmp_path))
    folder = project_root / "histnu/data/experiments/lz_b8_2025"
    for name in ("response.csv", "rates.csv"):
        ours, again = read_csv(folder / name), read_csv(tmp_path / name)
        for column in ours:
            # a fit of two numbers ends within 1e-4 on any machine
            np.testing.assert_allclose(ours[column], again[column], rtol=1e-3, atol=1e-12)


@pytest.mark.slow
def test_pandax4t_us2_flux(project_root, tmp_path, monkeypatch):
    script = import_module("reconstruct_pandax4t_us2_flux")
    response, rates, _ = script.tables(script.us2_flux.ENVELOPE["CE slope 4 electrons"])
    folder = project_root / "histnu/data/experiments/pandax4t_us2_flux"
    for name, columns in (("response.csv", response), ("rates.csv", rates)):
        ours = read_csv(folder / name)
        for column in ours:
            # a root of the slope to 1e-4 electrons
            np.testing.assert_allclose(ours[column], columns[column], rtol=1e-3, atol=1e-9)
