"""Read and check the files of a release. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from histnu.core.errors import ConfigError, DataError, located, missing_extra
from histnu.core.tables import read_csv

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Template:
    """A histogram of a release.

    Attributes:
        contents: one value per bin, any number of axes.
        edges: bin edges of each axis.
    """

    contents: Array
    edges: tuple[Array, ...]


@dataclass(frozen=True)
class RateParameter:
    """A parameter of a statistical model.

    Attributes:
        nominal: nominal value.
        uncertainty: relative (rates) or absolute (shapes) standard deviation; None if free.
        limits: allowed values in a fit, or None.
    """

    nominal: float
    uncertainty: float | None
    limits: tuple[float, float] | None


def read_template(path: Path, shape: tuple[int, ...]) -> Template:
    """Read ``templates/template`` with its ``bins`` from an HDF5 file.

    Args:
        path: the file.
        shape: the shape it must have.

    Raises:
        ConfigError: if h5py is not installed.
        DataError: for a missing, truncated or foreign file, another shape, edges that do not
            increase, a NaN, an infinity or a negative content.
    """
    try:
        import h5py
    except ImportError:
        raise ConfigError(missing_extra("HDF5 templates", "h5py", "releases")) from None
    try:
        # a release has thousands of files: h5py's own objects take twice as long as its low level
        file = h5py.h5f.open(bytes(path), h5py.h5f.ACC_RDONLY)
        try:
            contents = _dataset(h5py.h5d.open(file, b"templates/template"))
            edges = tuple(
                _dataset(h5py.h5d.open(file, f"bins/{i}".encode())) for i in range(contents.ndim)
            )
        finally:
            file.close()
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = "is missing" if not path.is_file() else f"is not a template ({error})"
        raise DataError(located(path, "", reason, "fetch the release again")) from None
    _check_template(path, contents, edges, shape)
    return Template(contents, edges)


def _dataset(found: Any) -> Array:
    """Read a dataset that h5py's low level has opened.

    Raises:
        ValueError: it has no values.
    """
    import h5py

    if found.shape is None:
        raise ValueError("an empty dataset")
    contents = np.empty(found.shape)  # HDF5 converts what is stored otherwise
    found.read(h5py.h5s.ALL, h5py.h5s.ALL, contents)
    return contents


def _check_template(
    path: Path, contents: Array, edges: Sequence[Array], shape: tuple[int, ...]
) -> None:
    mend = "fetch the release again"
    if contents.shape != shape:
        problem = f"has shape {contents.shape}, expected {shape}"
        raise DataError(located(path, "templates/template", problem, mend))
    if not ((contents >= 0) & (contents < np.inf)).all():
        problem = "holds a NaN, an infinity or a negative number"
        raise DataError(located(path, "templates/template", problem, mend))
    for i, axis in enumerate(edges):
        if axis.shape != (shape[i] + 1,) or not (axis[1:] > axis[:-1]).all():
            raise DataError(located(path, f"bins/{i}", f"{axis} are not increasing edges", mend))


def read_matching(path: Path, shape: tuple[int, ...], edges: Sequence[Array]) -> Array:
    """Contents of a template whose edges must be those given (to 1e-6), flattened.

    Raises:
        DataError: as :func:`read_template`, and for other edges.
    """
    template = read_template(path, shape)
    for i, (have, want) in enumerate(zip(template.edges, edges, strict=True)):
        if not (np.abs(have - want) <= 1e-9 + 1e-6 * np.abs(want)).all():
            problem = f"edges {have} differ from {want}"
            raise DataError(located(path, f"bins/{i}", problem, "use files of one release"))
    return template.contents.ravel()


def read_binning(path: Path) -> dict[str, Array]:
    """Read bin edges per observable from YAML, in the order of the file."""
    document = _yaml(path)
    if not isinstance(document, dict) or not document:
        raise DataError(located(path, "", "holds no binning", "fetch the release again"))
    result = {str(k): np.asarray(v, dtype=float) for k, v in document.items()}
    for name, edges in result.items():
        if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
            problem = f"{edges} are not increasing edges"
            raise DataError(located(path, name, problem, "fetch the release again"))
    return result


def count_events(path: Path, binning: Mapping[str, Array]) -> Array:
    """Histogram the events of a CSV file in the given observables, flattened.

    Raises:
        DataError: for a missing column or an event outside the bins (none may be lost).
    """
    columns = read_csv(path)
    missing = [name for name in binning if name not in columns]
    if missing:
        known = ", ".join(c or "(index)" for c in columns)
        raise DataError(located(path, missing[0], "missing column", f"columns here: {known}"))
    sample = np.stack([columns[name] for name in binning], axis=1)
    counts = np.histogramdd(sample, bins=list(binning.values()))[0].ravel()
    if counts.sum() != len(sample):
        problem = f"{len(sample) - int(counts.sum())} events are outside the bins"
        raise DataError(located(path, "", problem, "use events and binning of one release"))
    return np.asarray(counts, dtype=float)


def read_curve(path: Path) -> tuple[Array, Array]:
    """Read a one-dimensional map (``coordinate_system``, ``map``) from JSON.

    Raises:
        DataError: for a missing file, other content, or lengths that differ.
    """
    document = _json(path)
    try:
        x = np.asarray(document["coordinate_system"], dtype=float).ravel()
        y = np.asarray(document["map"], dtype=float).ravel()
    except (KeyError, TypeError, ValueError):
        problem = "has no numeric coordinate_system and map"
        raise DataError(located(path, "", problem, "fetch the release again")) from None
    finite = np.all(np.isfinite(x)) and np.all(np.isfinite(y))
    if x.size < 2 or x.shape != y.shape or np.any(np.diff(x) < 0) or not finite:
        problem = f"is not a curve ({x.size} coordinates, {y.size} values)"
        raise DataError(located(path, "", problem, "fetch the release again"))
    return x, y


def read_parameters(path: Path) -> dict[str, RateParameter]:
    """Read ``parameter_definition`` of a statistical model.

    Raises:
        DataError: for a missing section or a number that is not one.
    """
    document = _yaml(path)
    section = document.get("parameter_definition") if isinstance(document, dict) else None
    if not isinstance(section, dict):
        problem = "missing section"
        raise DataError(located(path, "parameter_definition", problem, "fetch the release again"))
    return {str(k): _parameter(path, str(k), v) for k, v in section.items()}


def _parameter(path: Path, name: str, entry: Any) -> RateParameter:
    try:
        uncertainty = entry.get("uncertainty")
        limits = entry.get("fit_limits")
        return RateParameter(
            float(entry["nominal_value"]),
            None if uncertainty is None else float(uncertainty),
            None if limits is None else (float(limits[0]), float(limits[1])),
        )
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        field = f"parameter_definition.{name}"
        raise DataError(located(path, field, f"{entry!r} is no parameter", "fetch again")) from None


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise DataError(located(path, "", problem, "fetch the release again")) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DataError(located(path, "", "is not YAML", "fetch the release again")) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise DataError(located(path, "", problem, "fetch the release again")) from None
    except ValueError:
        raise DataError(located(path, "", "is not JSON", "fetch the release again")) from None
    if not isinstance(document, dict):
        raise DataError(located(path, "", "is not an object", "fetch the release again"))
    return document
