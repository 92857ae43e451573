"""Answers on disk: one checksummed file per question, in a folder that may be deleted any time."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from histnu.core.store import Store
from histnu.studies.tasks import Answer, Task

SCHEMA = "histnu-cache/2"

log = logging.getLogger(__name__)


class Cache(Store):
    """Answers by the identity of their question, see :class:`histnu.core.store.Store`."""

    def __init__(self, folder: Path | None, fresh: bool = False) -> None:
        super().__init__(folder, SCHEMA, fresh)

    def get(self, key: str) -> Answer | None:
        """A stored answer; None if there is none, or if it is damaged (which is logged)."""
        content = super().get(key)
        try:
            return None if content is None else Answer.model_validate(content)
        except ValidationError:
            log.warning("%s is no answer and is computed again", self.path(key))
            return None

    def put(self, key: str, question: Task, content: Answer) -> Answer:
        """Store an answer, whole or not at all, and return it as it will be read."""
        return Answer.model_validate(super().put(key, question.to_json(), content.to_json()))
