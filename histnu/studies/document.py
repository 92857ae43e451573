"""``results.json``: schema ``histnu-results/1``, deterministic and free of wall-clock times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histnu.core.constants import B8_FLUX, DM2_21, SIN2_THETA12, SIN2_THETA13, SIN2_THETA_W
from histnu.core.serialize import jsonable
from histnu.studies.numbers import derived
from histnu.studies.plan import Plan, Settings
from histnu.studies.rows import NoAnswerRow, Row
from histnu.studies.schema import Study
from histnu.verbs.envelope import versions

SCHEMA = "histnu-results/1"
SECTIONS = ("bounds", "reference", "alternatives", "profiles", "contours", "rates", "variations")
"""Lists that every document has, empty or not."""


def constants() -> dict[str, Any]:
    """The physical inputs with their sources."""
    named = {
        "b8_flux_cm2_s": B8_FLUX,
        "sin2_theta_w": SIN2_THETA_W,
        "sin2_theta12": SIN2_THETA12,
        "sin2_theta13": SIN2_THETA13,
        "dm2_21_ev2": DM2_21,
    }
    return {k: {"value": c.value, "unit": c.unit, "source": c.source} for k, c in named.items()}


def described(studies: Sequence[Study]) -> dict[str, Any]:
    """What tables and figures need to know of a study and those it includes."""
    first = studies[0]
    fields = {"data", "parameters", "figures"}
    parts = [s.model_dump(mode="json", include=fields) for s in reversed(studies)]
    return {
        "name": first.name,
        "title": first.title,
        "reference": first.reference,
        "includes": [s.name for s in studies[1:]],
        **{k: {name: v for p in parts for name, v in p[k].items()} for k in ("data", "parameters")},
        "figures": first.model_dump(mode="json", include={"figures"})["figures"],
        "overlaps": [line for s in studies for line in s.overlaps],
    }


def results_document(
    made: Plan,
    settings: Settings,
    rows: Mapping[str, Sequence[Row]],
    experiments: Sequence[Mapping[str, Any]],
    failed: Sequence[NoAnswerRow] = (),
) -> dict[str, Any]:
    """Assemble the document.

    Args:
        made: the plan. settings: what the user changed.
        rows: by section. experiments: descriptions of the data.
        failed: questions without an answer; the section ``no_answer`` is there if they are.
    """
    study = made.studies[0]
    every = {**rows, "no_answer": failed} if failed else rows
    sections = {name: [r.to_json() for r in found] for name, found in every.items()}
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "study": described(made.studies),
        **{name: sections.get(name, []) for name in dict.fromkeys([*SECTIONS, *sections])},
        "skipped": made.skipped,
        "inputs": {
            "settings": {
                **study.settings,
                **settings.analysis,
                "engine": settings.engine or study.engine,
                "replaced": dict(settings.replaced),
                "options": sorted(settings.options),
                "seed": study.seed,
            },
            "experiments": list(experiments),
            "constants": constants(),
        },
        "versions": versions(),
    }
    document = jsonable(document)
    numbers = {k: v for s in made.studies for k, v in derived(document, s.numbers).items()}
    document["numbers"] = jsonable(numbers)
    return document
