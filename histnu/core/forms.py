"""Forms of documents: pydantic finds every mistake at once, and one line names them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from histnu.core.errors import ConfigError, DataError, located
from histnu.core.serialize import shortened
from histnu.core.strict_yaml import read_yaml

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e30, le=1e30)]
"""A number, neither a text nor ``true``."""
SHOWN = 20
"""Mistakes named one by one before the rest is counted."""


class Form(BaseModel):
    """A part of a document; keys that nobody reads here may be there."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


def explain(path: str | Path, error: ValidationError) -> str:
    """One line with the mistakes that pydantic found: field, value, reason."""
    mistakes = []
    for item in error.errors(include_url=False):
        # a tag of a union, "(one axis)", stands in no file
        path_in_file = [str(p) for p in item["loc"] if not str(p).startswith("(")]
        where = ".".join(path_in_file) or "(file)"
        value = item.get("input")
        plain = isinstance(value, (str, int, float, bool))
        shown = f" (got {shortened(repr(value))})" if plain else ""
        mistakes.append(f"{where}: {item['msg']}{shown}")
    more = [f"{len(mistakes) - SHOWN} more"] if len(mistakes) > SHOWN else []
    return f"{path}: " + "; ".join(mistakes[:SHOWN] + more)


F = TypeVar("F", bound=BaseModel)


def read_form(form: type[F], path: Path, schema: str) -> F:
    """Read a YAML file of a form.

    Raises:
        ConfigError: for a file that cannot be read or breaks the form; every mistake is named.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(located(path, "", "is not a mapping", f"start with schema: {schema}"))
    try:
        return form.model_validate(document)
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from None


def require(form: type[Form], document: Any, path: str | Path, mend: str) -> dict[str, Any]:
    """The document itself, if it has the form.

    Args:
        form: what is needed of it.
        document: JSON content.
        path: where it comes from, for messages.
        mend: what to do about a document that lacks it.

    Raises:
        DataError: with every field that is missing or wrong.
    """
    if not isinstance(document, dict):
        raise DataError(located(path, "", "is no JSON object", mend))
    try:
        form.model_validate(document)
    except ValidationError as error:
        raise DataError(f"{explain(path, error)}; {mend}") from None
    return document
