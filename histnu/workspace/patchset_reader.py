"""Read anybody's PatchSet: look points up by value, verify everything, apply a patch."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histnu.core.errors import PatchSetError, known_names, located
from histnu.core.serialize import read_json, shortened
from histnu.workspace.digests import ALGORITHMS, document_digest

VERSION = "1.0.0"
STRANGE = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What jsonpatch raises for operations that do not fit the document."""
RECORD = re.compile(r"ins[0-9]{7}")


@dataclass(frozen=True)
class PatchSetDocument:
    """A PatchSet in memory.

    Attributes:
        document: the JSON document.
        path: the file it was read from, for messages.
    """

    document: Mapping[str, Any]
    path: str | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of the set."""
        return self.document["metadata"]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the coordinates."""
        return tuple(self.metadata["labels"])

    @property
    def units(self) -> dict[str, str]:
        """Units of the coordinates, where the document states them."""
        return dict(self.metadata.get("units", {}))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the patches."""
        return tuple(p["metadata"]["name"] for p in self.document["patches"])

    def __len__(self) -> int:
        return len(self.document["patches"])

    def _fail(self, field: str, problem: str, mend: str) -> PatchSetError:
        return PatchSetError(located(self.path, field, problem, mend))

    def patch(self, key: str | Sequence[float], tolerance: float = 1e-9) -> Mapping[str, Any]:
        """The patch of a name, or of coordinates within a relative tolerance.

        Args:
            key: name, or one value per label (strings of digits are not converted).
            tolerance: largest relative (near zero: absolute) distance per coordinate.

        Raises:
            PatchSetError: if there is no such patch; the message names the nearest one.
        """
        if isinstance(key, str):
            for patch in self.document["patches"]:
                if patch["metadata"]["name"] == key:
                    return patch
            mend = known_names(key, self.names)
            raise self._fail("patches", f"no patch is called {shortened(key)!r}", mend)
        values = [float(v) for v in key]
        nearest = self.nearest(values)
        found = nearest["metadata"]["values"]
        scale = [max(abs(v), 1.0) if v == 0 else abs(v) for v in values]
        close = all(
            abs(float(f) - v) <= tolerance * s for f, v, s in zip(found, values, scale, strict=True)
        )
        if not close:
            problem = f"no patch at {values} within a tolerance of {tolerance:g}"
            mend = f"the nearest is {nearest['metadata']['name']} at {list(found)}"
            raise self._fail("patches", problem, mend)
        return nearest

    def nearest(self, values: Sequence[float]) -> Mapping[str, Any]:
        """The patch with the smallest distance, each coordinate in units of its range.

        Raises:
            PatchSetError: for a wrong number of values, or coordinates that are not numbers.
        """
        if len(values) != len(self.labels):
            problem = f"{len(values)} values for the labels {', '.join(self.labels)}"
            raise self._fail("metadata.labels", problem, "give one value per label")
        try:
            points = np.array(
                [[float(v) for v in p["metadata"]["values"]] for p in self.document["patches"]]
            )
        except ValueError:
            problem = "some coordinates are not numbers"
            raise self._fail("patches", problem, "look up by name") from None
        span = np.ptp(points, axis=0)
        span[span == 0] = 1.0
        distance = np.sum(((points - np.asarray(values, dtype=float)) / span) ** 2, axis=1)
        return self.document["patches"][int(np.argmin(distance))]

    def verify(self, workspace: Mapping[str, Any]) -> None:
        """Check the digests and every patch against the background-only workspace.

        Raises:
            PatchSetError: for a digest that differs, or a patch that touches a channel, sample or
                bin the workspace does not have.
        """
        self.verify_digests(workspace)
        for i, patch in enumerate(self.document["patches"]):
            for j, operation in enumerate(patch["patch"]):
                self._check_operation(workspace, operation, f"patches/{i}/patch/{j}")

    def verify_digests(self, workspace: Mapping[str, Any]) -> None:
        """Check only the digests."""
        for algorithm, stated in self.metadata["digests"].items():
            field = f"metadata/digests/{algorithm}"
            if algorithm not in ALGORITHMS:
                problem = f"unknown digest algorithm {algorithm!r}"
                raise self._fail(field, problem, f"use {', '.join(ALGORITHMS)}")
            found = document_digest(workspace, algorithm)
            if found != str(stated).lower():
                problem = f"states {stated}, the workspace has {found}"
                mend = "use the background-only workspace that the set was made for"
                raise self._fail(field, problem, mend)

    def _check_operation(
        self, workspace: Mapping[str, Any], operation: Mapping[str, Any], field: str
    ) -> None:
        """Check that an operation points at something that exists, with the right bins."""
        problem = operation_problem(workspace, operation)
        if problem:
            mend = "build the set from this background-only workspace"
            raise self._fail(field, problem, mend)

    def apply(
        self, workspace: Mapping[str, Any], key: str | Sequence[float], tolerance: float = 1e-9
    ) -> dict[str, Any]:
        """The workspace of one grid point.

        Args:
            workspace: background-only document; it is not changed.
            key: patch name or coordinates (see :meth:`patch`).
            tolerance: see :meth:`patch`.

        Raises:
            PatchSetError: if the digests differ, or the patch cannot be found or applied.
        """
        self.verify_digests(workspace)
        patch = self.patch(key, tolerance)
        where = f"{self.path or 'PatchSet'}: patches/{patch['metadata']['name']}"
        return apply_operations(workspace, patch["patch"], where)


def apply_operations(
    workspace: Mapping[str, Any], operations: Sequence[Any], where: str
) -> dict[str, Any]:
    """The workspace after the operations of a JSON patch (RFC 6902), one after the other.

    Args:
        workspace: is not changed. operations: of the patch. where: it stands, for messages.

    Raises:
        PatchSetError: for an operation that cannot be applied.
    """
    import jsonpatch

    result = copy.deepcopy(dict(workspace))
    for j, operation in enumerate(copy.deepcopy(list(operations))):
        try:
            wrong = operation_problem(result, operation)
            if wrong is None:
                result = jsonpatch.apply_patch(result, [operation], in_place=True)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, *STRANGE) as error:
            wrong = shortened(f"{type(error).__name__}: {error}")
        if wrong:
            problem = f"the patch cannot be applied ({wrong})"
            mend = "use the workspace it was made for, or correct its path"
            raise PatchSetError(located(where, str(j), problem, mend))
    return result


def operation_problem(workspace: Mapping[str, Any], operation: Mapping[str, Any]) -> str | None:
    """What is wrong with a JSON-patch operation on a workspace, or None.

    >>> operation_problem({"channels": []}, {"op": "add", "path": "/channels/0/samples/0"})
    'path /channels/0/samples/0: channel 0 does not exist (there are 0)'
    """
    if not isinstance(operation, Mapping) or not isinstance(operation.get("path"), str):
        return f"{shortened(str(operation))} is no operation with a path"
    path = str(operation["path"])
    parts = path.split("/")[1:]
    if not parts or parts[0] not in {"channels", "observations", "measurements", "version"}:
        return f"path {path!r} is outside a workspace"
    if parts[0] != "channels" or len(parts) < 2:
        return None
    channels = workspace["channels"]
    if not parts[1].isdecimal() or int(parts[1]) >= len(channels):
        is_new = parts[1] in {"-", str(len(channels))} and operation.get("op") == "add"
        if is_new and len(parts) == 2:
            return None
        return f"path {path}: channel {parts[1]} does not exist (there are {len(channels)})"
    value = operation.get("value")
    samples = channels[int(parts[1])]["samples"]
    if len(parts) == 4 and parts[2] == "samples" and isinstance(value, dict) and samples:
        bins = len(samples[0]["data"])
        data = value.get("data")
        if not isinstance(data, list):
            return f"path {path}: sample has no list of data"
        got = len(data)
        if got != bins:
            return f"path {path}: sample has {got} bins, the channel {bins}"
    return None


def read_patchset(path: str | Path) -> PatchSetDocument:
    """Read a PatchSet and check its form.

    Raises:
        DataError: if the file is missing or not JSON.
        PatchSetError: for a wrong version, missing metadata, or patches without name and values.
    """
    return check_form(read_json(path), str(path))


def check_form(document: Any, path: str | None = None) -> PatchSetDocument:
    """Check the form of a PatchSet document (see :func:`read_patchset`)."""

    def fail(field: str, problem: str, mend: str) -> PatchSetError:
        return PatchSetError(located(path, field, problem, mend))

    if not isinstance(document, Mapping) or not isinstance(document.get("patches"), list):
        raise fail("patches", "is not a PatchSet", "give a document with metadata and patches")
    if document.get("version") != VERSION:
        problem = f"version {document.get('version')!r} is not supported"
        raise fail("version", problem, f"use version {VERSION}")
    metadata = document.get("metadata")
    required = ("references", "digests", "labels", "description")
    missing = [k for k in required if not isinstance(metadata, dict) or k not in metadata]
    if missing:
        raise fail("metadata", f"lacks {', '.join(missing)}", "complete the metadata")
    assert isinstance(metadata, dict)
    for key, kind in (("references", dict), ("digests", dict), ("labels", list)):
        if not isinstance(metadata[key], kind):
            problem = f"is no {'list' if kind is list else 'mapping'}"
            raise fail(f"metadata/{key}", problem, "complete the metadata")
    record = metadata["references"].get("hepdata", "")
    if not RECORD.fullmatch(str(record)):
        problem = f"{record!r} is no record"
        raise fail("metadata/references/hepdata", problem, "give ins and seven digits")
    if not document["patches"]:
        raise fail("patches", "is empty", "give at least one patch")
    if not metadata["digests"]:
        raise fail("metadata/digests", "is empty", "give md5 or sha256 of the background")
    for i, patch in enumerate(document["patches"]):
        wrong = _patch_problem(patch, len(metadata["labels"]))
        if wrong:
            raise fail(f"patches/{i}", wrong, "correct the patch")
    names = [p["metadata"]["name"] for p in document["patches"]]
    if len(set(names)) != len(names):
        repeated = sorted({n for n in names if names.count(n) > 1})[0]
        raise fail("patches", f"two patches are called {repeated}", "rename one")
    return PatchSetDocument(document, path)


def _patch_problem(patch: Any, n_labels: int) -> str | None:
    """What is wrong with the form of one patch, or None."""
    if not isinstance(patch, dict) or not isinstance(patch.get("patch"), list):
        return "has no list of operations"
    described = patch.get("metadata")
    if not isinstance(described, dict) or not {"name", "values"} <= set(described):
        return "has no name and values"
    if not re.fullmatch(r"[a-zA-Z0-9_]+", str(described["name"])):
        return f"name {described['name']!r} must match [a-zA-Z0-9_]+"
    values = described["values"]
    if not isinstance(values, list) or len(values) != n_labels:
        return f"{described['name']} has values {values!r} for {n_labels} labels"
    if any(isinstance(v, float) and not math.isfinite(v) for v in values):
        return f"{described['name']} has a coordinate that is not finite"
    return None
