"""JSON Schemas of the files a user writes and of results, made from the types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from histnu.analysis.schema import Analysis
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
