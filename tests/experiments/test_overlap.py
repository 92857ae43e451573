"""Data sets in common are declared by the experiments and refused by analyses."""

from __future__ import annotations

import itertools

import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import builtin, load_analysis
from histnu.core.errors import ConfigError
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import shared_data

PACKAGED = (
    "coherent_csi_2021",
    "coherent_lar_2020",
    "lz_b8_2025",
    "lz_er_ws2022",
    "lz_er_ws2024",
    "pandax4t_er_run1",
    "pandax4t_us2",
    "pandax4t_us2_flux",
    "xenonnt_er_2022",
    "xenonnt_sr01",
)


def test_matrix_of_the_package():
    """The only pair of packaged experiments with the same events is the two US2 readings."""
    data = [load_experiment(name) for name in PACKAGED]
    assert all(e.data_sets for e in data)
    pairs = [pair for pair in itertools.combinations(data, 2) if shared_data(pair)]
    assert [{e.name for e in pair} for pair in pairs] == [{"pandax4t_us2", "pandax4t_us2_flux"}]


@pytest.mark.slow
@pytest.mark.release
def test_full_likelihoods_are_the_same_events(releases):
    paired = load_experiment("xenonnt_sr01")
    for name in ("xenonnt_4d_2024", "xenonnt_4d_2026", "xenonnt_s2only_2026"):
        shared = shared_data([paired, load_experiment(name)])
        assert shared == ("xenonnt_sr01", name, "xenonnt_sr0_paired")
    assert (
        shared_data([load_experiment("xenonnt_er_2022"), load_experiment("xenonnt_4d_2026")])
        is None
    )


def test_refused():
    analysis = load_analysis("magnetic_moment_xenonnt")
    twice = analysis.model_copy(update={"experiments": ("pandax4t_us2", "pandax4t_us2_flux")})
    message = (
        "magnetic_moment_xenonnt: experiments: pandax4t_us2 and pandax4t_us2_flux share the data "
        "set pandax4t_us2; take one of them"
    )
    with pytest.raises(ConfigError) as error:
        assemble(twice)
    assert str(error.value) == message
    again = analysis.model_copy(update={"experiments": ("xenonnt_sr01", "xenonnt_sr01")})
    with pytest.raises(ConfigError, match="share the data set xenonnt_sr01"):
        assemble(again)


def test_no_built_in_analysis_counts_twice():
    for analysis in builtin().values():
        names = [e for e in analysis.experiments if e in PACKAGED]
        assert shared_data([load_experiment(e) for e in names]) is None, analysis.name
