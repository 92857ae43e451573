"""Whether documents obey pyhf's schemas, quickly: what is no plain yes is asked of pyhf itself.

pyhf's validator reads all references of its schemas anew for every document, tries every type of
modifier at every modifier, and looks at numbers one by one; on ours that is half of all checks.
Its schemas are read from its files: its import takes longer than most fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

VERSION = "1.0.0"


def obeys(document: Any, kind: str) -> bool:
    """Return whether a document plainly obeys a schema; where not, pyhf has the last word.

    Args:
        document: a JSON document.
        kind: ``workspace.json`` or ``patchset.json``.
    """
    return bool(_validator(kind).is_valid(document))


@cache
def _schemas() -> dict[str, Any]:
    """pyhf's schemas, by their identifier."""
    found = find_spec("pyhf")
    assert found is not None and found.origin is not None  # a dependency
    folder = Path(found.origin).parent / "schemas" / VERSION
    read = [json.loads(f.read_text(encoding="utf-8")) for f in folder.glob("*.json")]
    return {schema["$id"]: schema for schema in read}


@cache
def _validator(kind: str) -> Any:
    """A validator that is strict (no arrays, no booleans as numbers) and keeps its references."""
    import jsonschema  # type: ignore[import-untyped]

    known = _schemas()
    schema = next(known[name] for name in known if name.endswith(f"/{VERSION}/{kind}"))
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
