"""The index of a folder of likelihoods: what, provenance, digest, how built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histnu.core.errors import DataError, located
from histnu.core.serialize import file_digest, read_json, write_json, write_text

SCHEMA = "histnu-index/1"


def build_index(folder: str | Path) -> dict[str, Any]:
    """Index every sub-folder that has a ``manifest.json``.

    Returns:
        The schema and a list of ``entries`` in the order of the folder names, each with folder,
        analysis, what it is, provenance, documents, interpolation and the command that builds it.

    Raises:
        DataError: for a document that is missing or is not the one its manifest describes.
    """
    folder = Path(folder)
    entries = [_entry(m, folder) for m in sorted(folder.glob("**/manifest.json"))]
    return {"schema": SCHEMA, "entries": entries}


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    """The entry of one manifest, after checking its files."""
    manifest = read_json(path)
    for name, described in manifest["documents"].items():
        file = path.parent / name
        if not file.is_file() or file_digest(file) != described["file_sha256"]:
            mend = f"rebuild it with: histnu build {manifest['analysis']}"
            raise DataError(located(file, "", "is not the file of its manifest", mend))
    return {
        "folder": path.parent.relative_to(folder).as_posix(),
        "analysis": manifest["analysis"],
        "what": manifest["description"],
        "provenance": manifest["provenance"],
        "interpolation": manifest["interpolation"]["mode"],
        "documents": manifest["documents"],
        "build": manifest["options"].get("command", f"histnu build {manifest['analysis']}"),
    }


def write_index(folder: str | Path) -> dict[str, Any]:
    """Write ``index.json`` and ``README.md`` into a folder of likelihoods; return the index."""
    index = build_index(folder)
    write_json(Path(folder) / "index.json", index)
    write_text(Path(folder) / "README.md", index_markdown(index))
    return index


def index_markdown(index: dict[str, Any]) -> str:
    """The index as a page: one table, one row per document."""
    lines = [
        "# Likelihoods",
        "",
        "HistFactory JSON documents that any pyhf tool can use. Digests are SHA-256 of the",
        "document as `pyhf digest` gives them (PatchSets: of the file).",
        "",
        "| document | what | provenance | interpolation | digest | built with |",
        "|---|---|---|---|---|---|",
    ]
    for entry in index["entries"]:
        for name, described in sorted(entry["documents"].items()):
            digest = described.get("digests", {}).get("sha256", described["file_sha256"])
            cells = (
                f"`{entry['folder']}/{name}`",
                entry["what"],
                entry["provenance"],
                entry["interpolation"],
                f"`{digest[:12]}`",
                f"`{entry['build']}`",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
