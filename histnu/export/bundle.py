"""Likelihood archives: what is attached to a HEPData record, and how anybody's is read safely.

Layout (a flat or nested folder of JSON, packed as ``.tar.gz``)::

    README.md                       what is inside and how to use it
    <name>/workspace.json           full workspace, or background-only workspace of a PatchSet
    <name>/patchset.json            one patch per grid point, where there is a grid
    <name>/manifest.json            bin edges, units, formulas, interpolation, provenance, digests

How archives are read is :mod:`histnu.workspace.archives`.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from histnu.core.errors import DataError, ExportError, located
from histnu.core.serialize import atomic_open, parse_json, read_bytes
from histnu.workspace.archives import check_name, read_archive

README = """# Likelihoods in pyhf's HistFactory JSON

Use them with any pyhf tool:

    pyhf cls NAME/workspace.json --measurement MEASUREMENT
    pyhf patchset verify NAME/workspace.json NAME/patchset.json
    pyhf patchset apply NAME/workspace.json NAME/patchset.json --name PATCH --output-file full.json
    pyhf cls full.json

`manifest.json` beside a document states what HistFactory JSON cannot hold: bin edges, units, the
formula of the parameters of interest, interpolation codes, provenance and digests. Where there is
a PatchSet, the parameter of interest `mu_sig` exists once a patch is applied; 1 is the hypothesis
that labels the patch.

Documents:

"""


def write_bundle(files: Mapping[str, Path], path: str | Path) -> Path:
    """Pack JSON documents into a ``.tar.gz``; equal input gives equal bytes.

    Args:
        files: name inside the archive (``moments/workspace.json``) -> file.
        path: the archive.

    Raises:
        ExportError: if there is nothing to pack, or a name climbs out of the archive.
    """
    if not files:
        raise ExportError(located(path, "", "no likelihood to pack", "build a workspace first"))
    listed = "".join(f"- `{name}`\n" for name in sorted(files))
    contents = {"README.md": (README + listed).encode()}
    contents |= {name: read_bytes(file) for name, file in files.items()}
    return write_tar(contents, path)


def write_tar(contents: Mapping[str, bytes], path: str | Path) -> Path:
    """Write a deterministic ``.tar.gz``: sorted names, no times, owners or modes of this machine.

    Raises:
        ExportError: if a name climbs out of the archive.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(contents):
            check_name(name, str(path))
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(contents[name]), 0o644
            tar.addfile(entry, io.BytesIO(contents[name]))
    with atomic_open(path, "wb") as stream, gzip.GzipFile("", "wb", 9, stream, mtime=0) as packed:
        packed.write(buffer.getvalue())
    return Path(path)


@dataclass(frozen=True)
class Bundle:
    """Likelihoods of an archive.

    Attributes:
        workspaces: name inside the archive -> HistFactory JSON.
        patchsets: name inside the archive -> PatchSet JSON.
        manifests: folder inside the archive -> manifest.
    """

    workspaces: dict[str, dict[str, Any]]
    patchsets: dict[str, dict[str, Any]]
    manifests: dict[str, dict[str, Any]]


def read_bundle(path: str | Path) -> Bundle:
    """Read the likelihoods of an archive or of a folder.

    Documents are told apart by what they hold, not by name, so archives of other experiments
    (``BkgOnly.json``, ``patchset.json``) are read as well.

    Raises:
        ExportError: as :func:`read_archive`, or if it holds no HistFactory JSON.
    """
    contents = _folder_files(Path(path)) if Path(path).is_dir() else read_archive(path)
    return bundle_of(contents, path)


def bundle_of(contents: Mapping[str, bytes], path: str | Path) -> Bundle:
    """Sort the files of an archive; the path is for messages.

    Raises:
        ExportError: if one is no strict JSON, or none is HistFactory JSON.
    """
    bundle = Bundle({}, {}, {})
    for name, data in sorted(contents.items()):
        if not name.endswith(".json"):
            continue
        try:
            document = parse_json(data, f"{path}::{name}")
        except DataError as error:
            raise ExportError(str(error)) from None
        if not isinstance(document, dict):
            continue
        if "patches" in document:
            bundle.patchsets[name] = document
        elif "channels" in document and "measurements" in document:
            bundle.workspaces[name] = document
        elif str(document.get("schema", "")).startswith("histnu-manifest/"):
            bundle.manifests[str(PurePosixPath(name).parent)] = document
    if not bundle.workspaces:
        mend = "give a likelihood archive or its folder"
        raise ExportError(located(path, "", "holds no HistFactory JSON", mend))
    return bundle


def _folder_files(folder: Path) -> dict[str, bytes]:
    """JSON files of a folder."""
    files = sorted(p for p in folder.rglob("*.json") if p.is_file())
    return {p.relative_to(folder).as_posix(): read_bytes(p) for p in files}
