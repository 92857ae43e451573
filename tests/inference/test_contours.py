"""Two-dimensional regions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from histnu.core.errors import FitError
from histnu.inference import (
    BatchedLikelihood,
    MappedLikelihood,
    RegionOptions,
    fit,
    interval,
    region,
    threshold,
)

Example = Callable[[str], BatchedLikelihood]


@pytest.mark.parametrize("size", [12, 30])
def test_vertices_lie_on_the_profile_contour(example: Example, size: int) -> None:
    likelihood = example("combined")
    grid = (np.linspace(0, 4, size), np.linspace(-3, 3, size))
    found = region(likelihood, None, ("mu", "b8_flux"), grid)
    assert found.threshold == threshold(0.9, 2)
    assert found.delta_twice_nll.shape == (size, size)
    for line in found.contours:
        held = {"mu": line[:, 0], "b8_flux": line[:, 1]}
        at = fit(likelihood, likelihood.observe(likelihood.observation), held).twice_nll
        # exactly refined, whatever the grid
        np.testing.assert_allclose(at - found.best_fit.twice_nll, found.threshold, atol=1e-6)


def test_extent_of_the_region_is_the_interval_of_the_profile(example: Example) -> None:
    likelihood = example("combined")
    grid = (np.linspace(0, 4, 60), np.linspace(-3.2, 3.2, 60))
    line = np.concatenate(region(likelihood, None, ("mu", "b8_flux"), grid).contours)
    # a region of one threshold projects onto the interval of the same threshold
    limit = interval(likelihood, None, "mu", 0.9, 2)
    assert limit.upper == pytest.approx(line[:, 0].max(), rel=2e-3)  # vertices are discrete
    assert np.all(line[:, 0] <= limit.upper + 1e-6)


@pytest.mark.slow
def test_grid_order_does_not_matter(charges: MappedLikelihood) -> None:
    grid = (np.linspace(-3, 5, 7), np.linspace(-4, 6, 6))
    one = region(charges, None, ("q_ee", "q_mumu"), grid)
    two = region(charges, None, ("q_mumu", "q_ee"), grid[::-1])
    np.testing.assert_allclose(one.delta_twice_nll, two.delta_twice_nll.T, atol=1e-7)
    assert np.all(one.delta_twice_nll > -1e-7)


def test_bad_grids_are_refused(example: Example) -> None:
    likelihood = example("combined")
    with pytest.raises(FitError, match="ascending"):
        region(likelihood, None, ("mu", "ce"), ([1.0, 0.0], [0.0, 1.0]))
    with pytest.raises(FitError, match="not mu twice"):
        region(likelihood, None, ("mu", "mu"), ([0.0, 1.0], [0.0, 1.0]))
    with pytest.raises(FitError, match="not between"):
        region(likelihood, None, ("mu", "ce"), ([0.0, 1.0], [0.0, 1.0]), RegionOptions(cl=2.0))
