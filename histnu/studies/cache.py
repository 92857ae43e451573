"""Answers on disk: one checksummed file per question, in a folder that may be deleted any time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from histnu.core.errors import DataError
from histnu.core.serialize import digest, jsonable, read_json, write_json
from histnu.studies.tasks import Answer, Task

SCHEMA = "histnu-cache/1"

log = logging.getLogger(__name__)


class Cache:
    """Answers by the identity of their question.

    Args:
        folder: where the entries are; None keeps nothing.
        fresh: read nothing that is there, but write.
    """

    def __init__(self, folder: Path | None, fresh: bool = False) -> None:
        self.folder = folder
        self.fresh = fresh

    def path(self, key: str) -> Path | None:
        """File of an entry."""
        return None if self.folder is None else self.folder / f"{key}.json"

    def get(self, key: str) -> Answer | None:
        """A stored answer; None if there is none, or if it is damaged (which is logged)."""
        path = self.path(key)
        if self.fresh or path is None or not path.is_file():
            return None
        try:
            entry = read_json(path)
            return _checked(entry, key)
        except (DataError, ValidationError, KeyError, TypeError):
            log.warning("%s is damaged and is computed again", path)
            return None

    def put(self, key: str, task: Task, answer: Answer) -> Answer:
        """Store an answer, whole or not at all, and return it as it will be read."""
        content = jsonable(answer.to_json())
        path = self.path(key)
        if path is not None:
            entry = {
                "schema": SCHEMA,
                "identity": key,
                "task": task.to_json(),
                "sha256": digest(content),
                "answer": content,
            }
            write_json(path, entry, indent=None)
        return Answer.model_validate(content)


def _checked(entry: dict[str, Any], key: str) -> Answer:
    """The answer of an entry.

    Raises:
        DataError: for another schema or question, or content that does not fit its checksum.
    """
    content = entry["answer"]
    if (entry["schema"], entry["identity"], entry["sha256"]) != (SCHEMA, key, digest(content)):
        raise DataError(f"cache entry {key} does not fit its checksum")
    return Answer.model_validate(content)
