"""JSON Schemas of the files a user writes and of results, made from the types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from histnu.analysis.schema import Analysis
from histnu.core.serialize import dumps
from histnu.experiments.schema import ExperimentSection
from histnu.studies.document import SCHEMA, SECTIONS
from histnu.studies.rows import (
    AgreementRow,
    BoundRow,
    MassCurveRow,
    NoAnswerRow,
    ProfileRow,
    RatesRow,
    RegionRow,
    Row,
    SpectrumRow,
    VariationRow,
)
from histnu.studies.schema import Study
from histnu.verbs.results import result_schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
RENAMED = {"tags", "values", "best_fit_x", "base"}
"""Fields of rows that are written under other names (see ``to_json`` of the rows)."""
ROWS: dict[str, tuple[type[Row | NoAnswerRow], ...]] = {
    "bounds": (BoundRow, MassCurveRow),
    "reference": (BoundRow,),
    "alternatives": (BoundRow,),
    "median_limits": (BoundRow,),
    "profiles": (ProfileRow,),
    "contours": (RegionRow, MassCurveRow),
    "rates": (RatesRow,),
    "variations": (VariationRow,),
    "validation": (AgreementRow,),
    "spectra": (SpectrumRow,),
    "no_answer": (NoAnswerRow,),
}
"""Types of the rows of a section; a study may have sections of other names."""


def results_schema() -> dict[str, Any]:
    """JSON Schema of ``results.json``. Rows may have further fields (a study's tags)."""
    types = tuple(dict.fromkeys(t for found in ROWS.values() for t in found))
    refs, top = models_json_schema([(t, "serialization") for t in types], by_alias=True)
    for definition in top["$defs"].values():
        definition.pop("additionalProperties", None)
    for t in types:
        definition = top["$defs"][t.__name__]
        renamed = RENAMED if t is MassCurveRow else {"tags"}
        definition["required"] = [r for r in definition["required"] if r not in renamed]
        for name in renamed:
            definition["properties"].pop(name, None)
    sections = {
        name: {"type": "array", "items": {"anyOf": [refs[t, "serialization"] for t in found]}}
        for name, found in ROWS.items()
    }
    objects = {name: {"type": "object"} for name in ("study", "inputs", "versions", "skipped")}
    return {
        "$schema": DRAFT,
        "title": SCHEMA,
        "type": "object",
        "required": ["schema", *SECTIONS, "inputs", "versions"],
        "properties": {"schema": {"const": SCHEMA}, **sections, **objects},
        "$defs": top["$defs"],
    }


def schemas() -> dict[str, dict[str, Any]]:
    """All schemas by file name."""
    files: dict[str, type[BaseModel]] = {
        "experiment": ExperimentSection,
        "analysis": Analysis,
        "study": Study,
    }
    written = {
        k: {"$schema": DRAFT, **t.model_json_schema(by_alias=True)} for k, t in files.items()
    }
    return {"result": result_schema(), "results": results_schema(), **written}


PROSE = frozenset(
    {"title", "description", "default", "examples", "$schema", "$defs", "discriminator"}
)
"""Keywords of a JSON Schema that allow and forbid nothing here (definitions are written out)."""


def structure(schema: Any) -> Any:
    """What a JSON Schema allows: without prose, definitions written out where they are named.

    Two versions of pydantic may name and place definitions differently and word titles in other
    ways; the structure is the same.
    """
    return _structure(schema, schema.get("$defs", {}), ())


def _structure(part: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        found = [_structure(p, definitions, inside) for p in part]
        return sorted(found, key=dumps) if all(isinstance(p, (str, dict)) for p in part) else found
    if not isinstance(part, dict):
        return part
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if name:
        if name in inside:
            return {"again": inside.index(name) - len(inside)}
        return _structure(definitions[name], definitions, (*inside, name))
    if "const" in part:  # {"const": x} and {"const": x, "enum": [x], "type": ...} are the same
        return {"const": part["const"]}
    kept = {k: v for k, v in part.items() if k not in PROSE}
    return {
        k: {name: _structure(p, definitions, inside) for name, p in v.items()}
        if k == "properties"
        else _structure(v, definitions, inside)
        for k, v in kept.items()
    }
