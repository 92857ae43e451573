"""The quick look at pyhf's schema lets nothing through that pyhf refuses, and refuses as pyhf."""

from __future__ import annotations

import copy
from typing import Any

import pyhf
import pytest

from histnu.workspace.checks import schema_findings
from histnu.workspace.schema import VERSION
from tests.inference import examples

MODIFIERS: dict[str, Any] = {
    "histosys": {"lo_data": [1.0, 2.0], "hi_data": [3, 4.0]},
    "lumi": None,
    "normfactor": None,
    "normsys": {"lo": 0.9, "hi": 1.1},
    "shapefactor": None,
    "shapesys": [1.0, 2.0],
    "staterror": [0.1, 0.2],
}
VALUES: tuple[Any, ...] = (None, True, [], [True], [1.0, "x"], {"lo": 1.0})


def document() -> dict[str, Any]:
    """A workspace of one sample with every type of modifier."""
    out = copy.deepcopy(examples.textbook())
    modifiers = [{"name": t, "type": t, "data": d} for t, d in MODIFIERS.items()]
    sample = out["channels"][0]["samples"][0]
    sample["modifiers"], sample["data"] = [*modifiers, *sample["modifiers"]], [1.0, 2]
    return out


def refusal(changed: Any) -> str | None:
    """What pyhf says is wrong, or None."""
    try:
        pyhf.schema.validate(changed, "workspace.json", version=VERSION)
    except pyhf.exceptions.InvalidSpecification as fault:
        return str(fault)
    return None


def test_good_documents_are_not_asked_about(monkeypatch):
    monkeypatch.setattr(pyhf.schema, "validate", pytest.fail)
    assert schema_findings(document(), "workspace.json") == []


def test_answers_are_those_of_pyhf():
    refused = 0
    for value in VALUES:
        for name in (*MODIFIERS, "sample", "type"):
            changed = document()
            sample = changed["channels"][0]["samples"][0]
            if name == "sample":
                sample["data"] = value
            elif name == "type":
                sample["modifiers"][0]["type"] = value
            else:
                sample["modifiers"][list(MODIFIERS).index(name)]["data"] = value
            theirs = refusal(changed)
            ours = [f.problem for f in schema_findings(changed, "workspace.json")]
            assert ours == ([] if theirs is None else [" ".join(theirs.split())[:300]])
            refused += theirs is not None
    # null for lumi, normfactor and shapefactor; lists of numbers, where pyhf takes true for one
    assert 0 < refused < len(VALUES) * (len(MODIFIERS) + 2)
