"""pytest-benchmark: ``pytest tests/benchmarks --override-ini addopts= --benchmark-only``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood, MappedLikelihood, ToyOptions, coverage, fit, profile
from tests.inference import examples

DOCUMENTS = {"combined": examples.combined, "162 bins": examples.binned}


@pytest.fixture(params=sorted(DOCUMENTS))
def likelihood(request: Any) -> BatchedLikelihood:
    return BatchedLikelihood.from_workspace(DOCUMENTS[request.param]())


def test_scan_of_200_points(benchmark: Any, likelihood: BatchedLikelihood) -> None:
    found = benchmark(profile, likelihood, None, "mu", np.linspace(0, 3, 200))
    assert found.converged.all()


def test_scan_of_100_by_100_points(benchmark: Any, likelihood: BatchedLikelihood) -> None:
    second = "b8_flux" if "b8_flux" in likelihood.parameter_names else "nuisance_0"
    xx, yy = np.meshgrid(np.linspace(0, 3, 100), np.linspace(-2, 2, 100))
    observed = likelihood.observe(likelihood.observation)
    start = fit(likelihood, observed).parameters[0]
    held = {"mu": xx.ravel(), second: yy.ravel()}
    found = benchmark(fit, likelihood, observed, held, start)
    assert found.converged.all()


def test_10000_toys(benchmark: Any, likelihood: BatchedLikelihood) -> None:
    found = benchmark(coverage, likelihood, {"mu": 1.0}, "mu", 0.9, 1, ToyOptions(10_000))
    assert found.failed == 0


def test_six_charges(benchmark: Any) -> None:
    document, polynomial = examples.millicharge()
    charges = MappedLikelihood(BatchedLikelihood.from_workspace(document), polynomial)
    found = benchmark(profile, charges, None, "q_ee", np.linspace(-5, 8, 200))
    assert found.converged.all()


def test_one_pyhf_fit(benchmark: Any, likelihood: BatchedLikelihood) -> None:
    import pyhf

    data = np.concatenate([likelihood.observation, likelihood.auxdata]).tolist()
    benchmark(pyhf.infer.mle.fixed_poi_fit, 1.0, data, likelihood.model)
