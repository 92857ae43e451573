"""The scripts that make the package's tables, run again where the releases are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from histnu.tables import read_csv


def load_script(root: Path, name: str):
    """Import a script of the ``scripts`` folder."""
    spec = importlib.util.spec_from_file_location(name, root / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    script = load_script(project_root, "derive_xenonnt_sr01")
    run(script, monkeypatch, str(releases), "-o", str(tmp_path))
    folder = project_root / "histnu/data/experiments/xenonnt_sr01"
    for name in ("response.csv", "rates.csv"):
        assert_same_tables(folder / name, tmp_path / name)


@pytest.mark.release
def test_flux_tables(project_root, releases, tmp_path, monkeypatch):
    script = load_script(project_root, "derive_flux")
    run(script, monkeypatch, str(releases), "-o", str(tmp_path))
    written = sorted(tmp_path.glob("*/*.csv"))
    assert len(written) >= 4
    for path in written:
        assert_same_tables(project_root / "histnu/data" / path.relative_to(tmp_path), path)


def test_pandax4t_us2(project_root, tmp_path, monkeypatch):
    script = load_script(project_root, "reconstruct_pandax4t_us2")
    run(script, monkeypatch, "-o", str(tmp_path))
    folder = project_root / "histnu/data/experiments/pandax4t_us2"
    for name in ("response.csv", "rates.csv"):
        assert_same_tables(folder / name, tmp_path / name)


@pytest.mark.slow
@pytest.mark.release
def test_xenonnt_totals(project_root, releases):
    derive = load_script(project_root, "derive_xenonnt_sr01").derive
    result = derive(releases)
    # 37 events and 11.9 expected 8B events: XENON, Phys. Rev. Lett. 133 (2024) 191002
    assert result["observed"].tolist() == [16.0, 14.0, 7.0]
    assert result["b8"].sum() == pytest.approx(11.9, abs=0.05)
    # 26.4 (+1.4 -1.3) background events: abstract of the same paper; rounded to 0.1
    background = sum(result[name].sum() for name in ("ac", "er", "neutron"))
    assert background == pytest.approx(26.4, abs=0.05)
    assert np.all(result["response"] >= 0)
