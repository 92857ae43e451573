"""Compiled fits in tests, which run without them otherwise (``tests/conftest.py``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

from histnu.inference.engine import compiled


def kept() -> bool:
    """Whether they were compiled beforehand from what the loops are now (``make test`` does)."""
    if find_spec("numba") is None or os.environ.get("NUMBA_CACHE_DIR"):
        return False
    for name in ("compiled_loops", "relaxation_loops"):
        loops = Path(compiled.__file__).with_name(f"{name}.py")
        found = (loops.parent / "__pycache__").glob(f"{name}.*.nbi")
        if max((p.stat().st_mtime for p in found), default=0.0) < loops.stat().st_mtime:
            return False
    return True


@contextmanager
def compiled_fits() -> Iterator[None]:
    """Switch compiled fits on."""
    before = os.environ.get("HISTNU_NUMBA")
    os.environ["HISTNU_NUMBA"] = "1"
    compiled.available.cache_clear()
    try:
        yield
    finally:
        if before is None:
            del os.environ["HISTNU_NUMBA"]
        else:
            os.environ["HISTNU_NUMBA"] = before
        compiled.available.cache_clear()


def where_kept() -> AbstractContextManager[None]:
    """Switch compiled fits on where they were compiled beforehand."""
    return compiled_fits() if kept() else nullcontext()
