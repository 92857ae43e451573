"""Results on disk by the identity of their question: one checksummed file each, in a folder that
may be deleted any time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from histnu.core.errors import DataError
from histnu.core.serialize import digest, jsonable, read_json, write_json

log = logging.getLogger(__name__)


class Store:
    """Plain data by key.

    Args:
        folder: where the entries are; None keeps nothing.
        schema: of the entries; others are not read.
        fresh: read nothing that is there, but write.
    """

    def __init__(self, folder: Path | None, schema: str, fresh: bool = False) -> None:
        self.folder, self.schema, self.fresh = folder, schema, fresh

    def path(self, key: str) -> Path | None:
        """File of an entry."""
        return None if self.folder is None else self.folder / f"{key}.json"

    def get(self, key: str) -> Any:
        """A stored content; None if there is none, or if it is damaged (which is logged)."""
        path = self.path(key)
        if self.fresh or path is None or not path.is_file():
            return None
        try:
            entry = read_json(path)
            content = entry["content"]
            found = (entry["schema"], entry["identity"], entry["sha256"])
            if found == (self.schema, key, digest(content)):
                return content
        except (DataError, KeyError, TypeError):
            pass
        log.warning("%s is damaged and is computed again", path)
        return None

    def put(self, key: str, question: Any, content: Any) -> Any:
        """Store a content, whole or not at all, and return it as it will be read."""
        content = jsonable(content)
        path = self.path(key)
        if path is not None:
            entry = {
                "schema": self.schema,
                "identity": key,
                "question": question,
                "sha256": digest(content),
                "content": content,
            }
            write_json(path, entry, indent=None)
        return content
