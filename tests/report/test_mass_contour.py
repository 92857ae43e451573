"""Contours of -2 log L(m4, mu) from one likelihood per mass."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.inference import BatchedLikelihood, profile
from histnu.report.mass_contour import mass_contour
from tests.inference import examples


def likelihoods() -> list[BatchedLikelihood]:
    """Counts that the second signal fits 0.4 worse and the third 15 worse than the first."""
    out = []
    for background in (50.0, 56.0, 90.0):
        samples = [
            {
                "name": "signal", "data": [12.0],
                "modifiers": [{"name": "mu2_e", "type": "normfactor", "data": None}],
            },
            {"name": "background", "data": [background], "modifiers": []},
        ]  # fmt: skip
        document = examples.workspace({"c": samples}, {"c": [51]}, "mu2_e")
        out.append(BatchedLikelihood.from_workspace(document))
    return out


def test_ends_lie_on_the_level_above_the_global_minimum() -> None:
    level = 4.61
    several = likelihoods()
    uppers, best = mass_contour(several, "mu2_e", level, None)
    assert best is not None and best[0] == 0
    lowest = profile(several[0], None, "mu2_e", [0.0]).best_fit.twice_nll
    for like, upper in zip(several[:2], uppers[:2], strict=True):
        assert upper is not None
        found = profile(like, None, "mu2_e", [upper**2])
        # Delta to the minimum of all masses, not to that of this mass, is the level
        total = found.best_fit.twice_nll + found.delta_twice_nll[0] - lowest
        assert total == pytest.approx(level, abs=1e-6)
    assert np.diff([u for u in uppers[:2] if u is not None])[0] < 0


def test_a_mass_above_the_level_has_no_end() -> None:
    uppers, _ = mass_contour(likelihoods(), "mu2_e", 4.61, None)
    assert uppers[2] is None
