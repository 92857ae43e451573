"""Digests of documents as pyhf computes them, without importing pyhf."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from histnu.core.errors import PatchSetError

ALGORITHMS = ("md5", "sha256")
"""The algorithms that the PatchSet schema 1.0.0 knows."""


def document_digest(document: Any, algorithm: str = "sha256") -> str:
    """Digest of a JSON document, equal to ``pyhf.utils.digest``.

    Numbers are hashed as they are written: 1 and 1.0 give different digests, so every number of a
    shared document should be a float (:func:`histnu.workspace.build.float_document`).

    Args:
        document: JSON-ready document without NaN.
        algorithm: ``md5`` or ``sha256``.

    Raises:
        PatchSetError: for an algorithm the schema does not know.

    >>> document_digest({"a": 2.0, "b": 3.0, "c": 1.0})[:16]
    'a38f6093800189b7'
    >>> document_digest({"a": 1}) == document_digest({"a": 1.0})
    False
    """
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise PatchSetError(f"unknown digest algorithm {algorithm!r}; use {known}")
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return hashlib.new(algorithm, text.encode("utf8"), usedforsecurity=False).hexdigest()


def document_digests(document: Any) -> dict[str, str]:
    """All digests of a document, ready for the metadata of a PatchSet."""
    return {name: document_digest(document, name) for name in ALGORITHMS}
