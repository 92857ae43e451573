"""The Newton step on matrices that are not nice."""

from __future__ import annotations

import numpy as np

from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.linalg import _solve_vectorised, newton_step


def test_overflowing_second_derivatives_do_not_stop_the_others():
    hessian = np.zeros((2, 2, 2))
    hessian[:, :, 0] = [[np.inf, 1.0], [1.0, np.nan]]
    hessian[:, :, 1] = [[2.0, 0.0], [0.0, 4.0]]
    gradient = np.array([[1.0, 2.0], [1.0, 4.0]])
    with np.errstate(all="ignore"):
        found = newton_step(Hessian(hessian), gradient, np.ones((2, 2), bool), np.zeros(2))
    # the second problem is a diagonal Newton step; rounding only
    np.testing.assert_allclose(found.step[:, 1], [-1.0, -1.0], rtol=1e-12)
    assert found.indefinite.tolist() == [True, False]


def test_saddle_point_goes_downhill():
    hessian = np.diag([1.0, -1.0])[:, :, None]
    gradient = np.array([[0.5], [0.5]])
    found = newton_step(Hessian(hessian), gradient, np.ones((2, 1), bool), np.zeros(1))
    assert float((found.step * gradient).sum()) < 0


def test_overflow_of_a_flagged_problem_is_silent():
    """The second pivot is -1e20, so its row is left out; the other problem is solved."""
    matrices = np.stack([[[1.0, 0.0], [1e10, 1.0]], [[2.0, 0.0], [0.0, 4.0]]], axis=-1)
    found, bad = _solve_vectorised(matrices, np.array([[0.0, 2.0], [1e300, 4.0]]))
    assert bad.tolist() == [True, False]
    np.testing.assert_allclose(found[:, 1], [1.0, 1.0], rtol=1e-12)  # rounding only
