"""Profiles of disjoint data add up: the combination of docs/hypotheses.md, jointly."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.schema import load_analysis
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.profile import profile

POINTS = np.array([-0.08, -0.02, 0.0, 0.03, 0.09])


def absolute(experiments):
    """-2 ln L of a departure of the mixing angle, everything else profiled, at ``POINTS``."""
    analysis = load_analysis("weak_mixing_angle_coherent_csi")
    analysis = analysis.model_copy(update={"experiments": tuple(experiments)})
    assembly = assemble(analysis)
    document = dict(assembly.workspace)
    base = BatchedLikelihood.from_workspace(
        document, measurement=document["measurements"][0]["name"]
    )
    found = profile(MappedLikelihood(base, assembly.polynomial), None, "delta_s2w", POINTS)
    assert np.all(found.converged)
    return found.delta_twice_nll + found.best_fit.twice_nll


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "tolerance"),
    [
        # no nuisance in common: exact but for the minimiser's 1e-8 per fit
        (["coherent_csi_2021"], ["xenonnt_sr01", "lz_b8_2025"], 1e-5),
        # the 8B flux in common, which makes 0.1 % of the electron recoils
        (["xenonnt_er_2022"], ["xenonnt_sr01", "lz_b8_2025"], 0.01),
    ],
)
def test_profiles_add_up(first, second, tolerance):
    joint = absolute([*first, *second])
    apart = absolute(first) + absolute(second)
    np.testing.assert_allclose(joint - joint[2], apart - apart[2], atol=tolerance)
