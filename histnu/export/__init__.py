"""Likelihoods in other people's formats, each with a way back: ROOT, XML, HS3, HEPData."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histnu.core.errors import ConfigError, ExportError, WorkspaceError, located

if TYPE_CHECKING:
    from histnu.workspace.selection import Selection

FILES = {"root": "templates.root", "hs3": "hs3.json"}
"""Files that formats of one file are written to."""


def load_workspace(path: str | Path, selection: Selection | None = None) -> dict[str, Any]:
    """Read a workspace, and apply the patches that are wanted.

    Raises:
        DataError: if a file is missing or not JSON.
        WorkspaceError: if it is no workspace, or a background-only one without a patch.
        PatchSetError: if the patch does not exist or does not fit.
    """
    from histnu.core.serialize import read_json
    from histnu.workspace.selection import PATCHSET, Selection, select

    path, selection = Path(path), selection or Selection()
    document = read_json(path)
    if not isinstance(document, dict) or not {"channels", "measurements"} <= set(document):
        raise WorkspaceError(located(path, "", "is no workspace", "give a HistFactory workspace"))
    beside = path.with_name(PATCHSET)
    found = select(str(path), document, selection, beside if beside.is_file() else None)
    document = found.document
    names = {m["name"] for c in document["channels"] for s in c["samples"] for m in s["modifiers"]}
    missing = [m["config"]["poi"] for m in document["measurements"]]
    missing = [p for p in missing if p and p not in names]
    if missing:
        problem = f"has no parameter {missing[0]!r}: it is background-only"
        raise WorkspaceError(located(path, "", problem, "name a patch with --patch-name"))
    return document


def export_document(
    source: str | Path, target: str, folder: str | Path, selection: Selection | None = None
) -> Path:
    """Write a workspace in another format and return what was written.

    Args:
        source: workspace file; for ``hepdata`` also a results folder.
        target: ``root``, ``xml``, ``hs3`` or ``hepdata``.
        folder: where to write.
        selection: patches to apply first.

    Raises:
        ConfigError: for an unknown format, or a patch together with ``hepdata``.
        HistnuError: for anything wrong with the source.
    """
    from histnu.workspace.manifest_reader import manifest_beside

    folder = Path(folder)
    if target == "hepdata":
        from histnu.export.hepdata import write_submission

        if selection is not None and selection.patched:
            raise ConfigError("a submission holds the whole PatchSet; leave out --patch")
        return write_submission(source, folder)
    if Path(source).is_dir():
        raise ExportError(located(source, "", "is a folder", "give a workspace file"))
    document, manifest = load_workspace(source, selection), manifest_beside(source)
    if target == "root":
        from histnu.export.root import write_root as write
    elif target == "xml":
        from histnu.export.xml import write_xml

        return write_xml(document, folder)
    elif target == "hs3":
        from histnu.export.hs3 import write_hs3 as write
    else:
        raise ConfigError(f"unknown format {target!r}; known: root, xml, hs3, hepdata")
    return write(document, folder / FILES[target], manifest)
