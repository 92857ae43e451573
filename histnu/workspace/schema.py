"""Whether documents obey pyhf's schemas, quickly: what is no plain yes is asked of pyhf itself.

pyhf's validator reads all references of its schemas anew for every document, tries every type of
modifier at every modifier, and looks at numbers one by one; on ours that is half of all checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

VERSION = "1.0.0"


def require_schema(document: Any, kind: str) -> None:
    """Do nothing where a document obeys a schema.

    Args:
        document: a JSON document.
        kind: ``workspace.json`` or ``patchset.json``.

    Raises:
        pyhf.exceptions.InvalidSpecification: it does not; pyhf says why.
    """
    import pyhf

    if not _validator(kind).is_valid(document):
        pyhf.schema.validate(document, kind, version=VERSION)


@cache
def _validator(kind: str) -> Any:
    """A validator that is strict (no arrays, no booleans as numbers) and keeps its references."""
    import jsonschema  # type: ignore[import-untyped]
    import pyhf

    schema = pyhf.schema.load_schema(f"{VERSION}/{kind}")
    known = pyhf.schema.variables.SCHEMA_CACHE  # holds the definitions, which pyhf loads itself
    resolver = jsonschema.RefResolver(schema["$id"], schema, store=known)
    slow = jsonschema.Draft6Validator.VALIDATORS

    def items(validator: Any, items: Any, instance: Any, schema: Any) -> Iterator[Any]:
        """Numbers all at once."""
        numbers = items == {"type": "number"} and isinstance(instance, list)
        if not (numbers and {type(x) for x in instance} <= {int, float}):
            yield from slow["items"](validator, items, instance, schema)

    def any_of(validator: Any, choices: Any, instance: Any, schema: Any) -> Iterator[Any]:
        """First the definition that has the name of the type of a modifier."""
        name = instance.get("type") if isinstance(instance, dict) else None
        likely = [c for c in choices if c.get("$ref", "").rpartition("/")[2] == name]
        if not any(validator.evolve(schema=c).is_valid(instance) for c in likely):
            yield from slow["anyOf"](validator, choices, instance, schema)

    quick = jsonschema.validators.extend(
        jsonschema.Draft6Validator, {"items": items, "anyOf": any_of}
    )
    return quick(schema, resolver=resolver)
