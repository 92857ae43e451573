"""What the scripts that derive tables share: a CSV file with its source beside it, arguments."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histnu.core.serialize import write_json, write_text


def write_table(
    path: Path, columns: Mapping[str, np.ndarray], source: Mapping[str, Any], digits: int = 6
) -> None:
    """Write ``path.csv`` with a header and ``path.source.json``.

    Args:
        path: without suffix. columns: of equal length. source: where they are from.
        digits: significant ones that are written.
    """
    rows = [",".join(f"{v:.{digits}g}" for v in row) for row in zip(*columns.values(), strict=True)]
    write_text(path.with_name(f"{path.name}.csv"), "\n".join([",".join(columns), *rows]) + "\n")
    write_json(path.with_name(f"{path.name}.source.json"), dict(source))


def response_columns(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a response from (N, 1 + bins): true energies in keV, probabilities."""
    names = ["e_recoil_kev", *(f"bin_{i}" for i in range(rows.shape[1] - 1))]
    return dict(zip(names, rows.T, strict=True))


def parser(description: str | None, folder: str, releases: bool = True) -> argparse.ArgumentParser:
    """Command line ``[RELEASES] [-o FOLDER]``; ``folder`` is the default inside ``histnu/data``."""
    made = argparse.ArgumentParser(description=description)
    if releases:
        made.add_argument("releases", type=Path)
    made.add_argument("-o", "--output", type=Path, default=Path("histnu/data") / folder)
    return made
