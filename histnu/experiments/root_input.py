"""Histograms of ROOT files as inputs of an experiment (optional: needs ``uproot``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError, located


def read_histogram(path: str | Path, name: str) -> NDArray[np.float64]:
    """Read the contents of a one-dimensional histogram, without under- and overflow.

    Args:
        path: a ROOT file.
        name: path of a TH1 inside it.

    Raises:
        DataError: if the file is missing or damaged, or it holds no such one-dimensional
            histogram.
    """
    import uproot

    try:
        file = uproot.open(path)
    except FileNotFoundError:
        raise DataError(located(path, "", "does not exist", "check the path")) from None
    except Exception as error:
        problem = f"is not a readable ROOT file ({type(error).__name__})"
        raise DataError(located(path, "", problem, "give an intact ROOT file")) from None
    with file:
        keys = [k.split(";")[0] for k in file.keys(recursive=True)]
        if name not in keys:
            known = ", ".join(sorted(set(keys))) or "nothing"
            raise DataError(located(path, name, "no such histogram", f"the file holds {known}"))
        item = file[name]
        is_histogram = str(getattr(item, "classname", "")).startswith("TH1")
        values = item.values() if is_histogram else np.zeros((0, 0))
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not array.size:
        raise DataError(located(path, name, "is not a one-dimensional histogram", "give a TH1"))
    return array
