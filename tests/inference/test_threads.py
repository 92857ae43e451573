"""BLAS has one thread in a fit, and afterwards those it had."""

from __future__ import annotations

import numpy as np
import pytest

from histnu.inference.engine.threads import one_blas_thread

threadpoolctl = pytest.importorskip("threadpoolctl")


def threads() -> set[int]:
    return {
        pool["num_threads"]
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    }


def test_blas_is_limited_inside_and_restored() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = threads()
    if not before:
        pytest.skip("this numpy has no BLAS that threadpoolctl knows")
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert one_blas_thread(threads)() == {1}
        assert threads() == {2}

        @one_blas_thread
        def fails() -> None:
            raise ValueError("stop")

        with pytest.raises(ValueError, match="stop"):
            fails()
        assert threads() == {2}
    assert threads() == before
