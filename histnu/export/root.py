"""Templates as ROOT histograms (``uproot``; no ROOT needed)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.serialize import write_with
from histnu.export.bins import Binning, binnings
from histnu.export.histograms import templates


def write_root(
    workspace: Mapping[str, Any], path: str | Path, manifest: Mapping[str, Any] | None = None
) -> Path:
    """Write every template as a ``TH1D`` in folders ``channel/sample``; axis titles have units.

    The file is not the same byte for byte twice: ROOT files hold times and identifiers.

    Args:
        workspace: HistFactory JSON.
        path: the file to write.
        manifest: source of edges and units; without it the axes are bin numbers.

    Raises:
        ExportError: if the manifest does not fit.
        DataError: if the file cannot be written.
    """
    import uproot

    axes = binnings(workspace, manifest)
    path = Path(path)

    def fill(temporary: Path) -> None:
        with uproot.recreate(temporary) as file:
            for name, (channel, values) in templates(workspace).items():
                counts = name == f"{channel}/data"
                file[name] = _th1(name, axes[channel], np.asarray(values, dtype=float), counts)

    write_with(path, fill)
    return path


def _th1(name: str, binning: Binning, values: NDArray[np.float64], counts: bool) -> Any:
    """A writable TH1D with title, axis title and edges; only counts have an error per bin."""
    from uproot.writing import identify

    edges = np.asarray(binning.edges)
    content = np.concatenate([[0.0], values, [0.0]])
    axis = identify.to_TAxis(
        fName="xaxis",
        fTitle=binning.label,
        fNbins=values.size,
        fXmin=float(edges[0]),
        fXmax=float(edges[-1]),
        fXbins=edges,
    )
    return identify.to_TH1x(
        fName=name.rsplit("/", 1)[-1],
        fTitle=name,
        data=content,
        fEntries=float(content.sum()),
        fTsumw=float(content.sum()),
        fTsumw2=float(content.sum()) if counts else 0.0,
        fTsumwx=0.0,
        fTsumwx2=0.0,
        fSumw2=content if counts else np.zeros_like(content),
        fXaxis=axis,
    )
