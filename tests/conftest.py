"""Shared fixtures: releases, the solar source, small experiments."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Compiling takes a quarter of a minute where the cache is empty: only tests of it switch it on.
os.environ.setdefault("HISTNU_NUMBA", "0")

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))  # tests run the scripts that make the tables


def releases_folder() -> Path | None:
    """``$HISTNU_RELEASES``, else ``../shared/releases`` beside the project, else None."""
    for candidate in (os.environ.get("HISTNU_RELEASES"), ROOT.parent / "shared" / "releases"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    return None


@pytest.fixture(scope="session")
def releases() -> Path:
    """Folder of the public releases; tests that need it are skipped where it is absent."""
    folder = releases_folder()
    if folder is None:
        pytest.skip("no public releases here (set HISTNU_RELEASES)")
    return folder


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Top level of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def b8():
    """Solar 8B neutrinos at Earth."""
    from histnu.sources.solar import solar_source

    return solar_source("b8")


@pytest.fixture(scope="session")
def xenon():
    """Natural xenon."""
    from histnu.physics.nuclei import XENON

    return XENON


@pytest.fixture(scope="session")
def assembled():
    """Assemble a built-in analysis (interpolation optional); skip where its release is absent."""
    from histnu.analysis.assemble import assemble
    from histnu.analysis.hypothesis import load_model
    from histnu.analysis.schema import load_analysis
    from histnu.core.errors import DataError
    from histnu.experiments.builders import built_names

    def make(name: str, interpolation: str = "normsys"):
        analysis = load_analysis(name).model_copy(update={"interpolation": interpolation})
        held = load_model(analysis.model.name).held
        analysis = analysis.holding({h.name: h.scan[0] for h in held})
        try:
            return assemble(analysis)
        except DataError as error:
            if set(analysis.experiments) & set(built_names()):
                pytest.skip(str(error))
            raise

    return make
