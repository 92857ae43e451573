"""Which likelihood of a document is meant: its measurement, and what is patched into it.

Searches are published as a background-only workspace and a PatchSet of signals: one likelihood
for each patch. What was chosen here is part of the name of every result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histnu.core.errors import ConfigError, PatchSetError, located
from histnu.core.serialize import read_json
from histnu.workspace.archives import read_member
from histnu.workspace.checks import require_valid
from histnu.workspace.digests import document_digest
from histnu.workspace.patchset_reader import PatchSetDocument, apply_operations, check_form

PATCHSET = "patchset.json"
"""Name of the PatchSet that is used where none is given: the one beside the workspace."""
SHOWN = 3
"""Patches of a set that an error names."""

Patch = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A file (also ``ARCHIVE::NAME``), a PatchSet, or the operations of a JSON patch (RFC 6902)."""


@dataclass(frozen=True)
class Selection:
    """Which likelihood of a document.

    Attributes:
        measurement: its name, None where the parameter that is asked decides.
        patches: JSON patches and PatchSets, applied in their order.
        patch_name: patch of the PatchSet (or its coordinates): of the one among ``patches``, or of
            ``patchset.json`` beside the workspace.
    """

    measurement: str | None = None
    patches: tuple[Patch, ...] = ()
    patch_name: str | Sequence[float] | None = None

    @property
    def patched(self) -> bool:
        """Whether anything is applied to the document."""
        return bool(self.patches) or self.patch_name is not None


@dataclass(frozen=True)
class Selected:
    """A document with its patches.

    Attributes:
        name: file it came from. document: valid workspace. patches: what was applied, as ``FILE``
            or ``FILE::NAME``. inputs: SHA-256 (pyhf's) of the document before, and of the
            operations of each patch; empty without patches. measurement: that was chosen.
    """

    name: str
    document: dict[str, Any] = field(repr=False)
    patches: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    measurement: str | None = None


def select(name: str, document: Any, selection: Selection, beside: Any = None) -> Selected:
    """Apply patches to a document, validate it, and look its measurement up.

    Args:
        name: file of the document, for messages. document: workspace; it is not changed.
        selection: what is wanted.
        beside: ``patchset.json`` beside it, a path or document, None where there is none.

    Raises:
        WorkspaceError: if it is no valid workspace, with its patches.
        PatchSetError: for a patch that is not there, made for another workspace, or wrong.
        ConfigError: for an unknown measurement, or patches that are not told apart.
    """
    found = Selected(name, document)
    if selection.patched:
        if not isinstance(document, dict) or "channels" not in document:
            require_valid(document, name)
        found = replace(found, inputs={name: document_digest(document)})
        for patch in _patches(name, selection, beside):
            found = _applied(found, patch, selection)
    where = " with ".join((name, *found.patches))
    valid = require_valid(found.document, where)
    if selection.measurement is not None:
        require_measurement(valid, selection.measurement, name)
    return replace(found, document=valid, measurement=selection.measurement)


def require_measurement(document: Mapping[str, Any], measurement: str, name: str) -> None:
    """Raise ConfigError unless the document has a measurement of this name."""
    known = [m["name"] for m in document["measurements"]]
    if measurement not in known:
        problem, mend = f"no measurement {measurement!r}", f"use one of {', '.join(known)}"
        raise ConfigError(located(name, "--measurement", problem, mend))


def _patches(
    name: str, selection: Selection, beside: Any
) -> list[tuple[str, PatchSetDocument | Sequence[Any]]]:
    """The patches with their labels; the PatchSet beside the document where only a name says so."""
    given = [_read(patch) for patch in selection.patches]
    n_sets = sum(isinstance(patch, PatchSetDocument) for _, patch in given)
    if n_sets > 1:
        mend = "give one of them, and operations of others as JSON patches"
        raise ConfigError(located(name, "--patch", f"{n_sets} PatchSets", mend))
    if n_sets or selection.patch_name is None:
        return given
    if beside is None:
        problem = f"there is no {PATCHSET} beside it to find {selection.patch_name!r} in"
        raise ConfigError(located(name, "--patch-name", problem, "give its file with --patch"))
    return [_read(beside), *given]


def _read(patch: Patch) -> tuple[str, PatchSetDocument | Sequence[Any]]:
    """Label and content of a patch."""
    path = str(patch) if isinstance(patch, str | Path) else None
    content = patch if path is None else _file(path)
    if isinstance(content, Mapping) and "patches" in content:
        return path or "patchset", check_form(content, path)
    if not isinstance(content, list | tuple):
        mend = "give a list of operations (JSON patch), or a PatchSet"
        raise PatchSetError(located(path, "", "is no patch", mend))
    return path or "patch", content


def _file(path: str) -> Any:
    """Content of a JSON file, or of one in an archive."""
    found = read_member(path)
    return read_json(path) if found is None else found


def _applied(
    found: Selected, patch: tuple[str, PatchSetDocument | Sequence[Any]], selection: Selection
) -> Selected:
    """The document after one more patch."""
    label, content = patch
    if isinstance(content, PatchSetDocument):
        key = _key(content, label, selection.patch_name)
        document = content.apply(found.document, key)
        chosen = content.patch(key)
        label, operations = f"{label}::{chosen['metadata']['name']}", chosen["patch"]
    else:
        document, operations = apply_operations(found.document, content, label), content
    inputs = {**found.inputs, label: document_digest(operations)}
    return replace(found, document=document, patches=(*found.patches, label), inputs=inputs)


def _key(
    patchset: PatchSetDocument, label: str, wanted: str | Sequence[float] | None
) -> str | Sequence[float]:
    """Which patch of a set: the one that was named, or its only one."""
    if wanted is not None:
        return wanted
    if len(patchset) == 1:
        return patchset.names[0]
    some = ", ".join(patchset.names[:SHOWN])
    problem, mend = f"holds {len(patchset)} patches", f"choose with --patch-name: {some}, ..."
    raise ConfigError(located(label, "", problem, mend))
