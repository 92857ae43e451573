"""The linter's checks of PatchSets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from histnu.core.errors import DataError, PatchSetError
from histnu.core.serialize import shortened
from histnu.workspace.checks import check_finite, check_workspace, sample_findings, schema_findings
from histnu.workspace.checks_settings import KINDS
from histnu.workspace.digests import ALGORITHMS, document_digest
from histnu.workspace.findings import Finding, Findings, error, info, ordered, warning
from histnu.workspace.patchset_reader import PatchSetDocument, operation_problem

TAKEN = frozenset({"name", "values"})
"""Patch names that pyhf 0.7 rejects as duplicates."""

REPORTED = ("integers", "signal")
"""Checks of a patched workspace that are reported for the set, or for the patch, already."""

FULL_CHECKS = 20
"""Patches that are applied and checked as whole workspaces, evenly spread over the set."""


def check_patchset(document: Any, background: Any = None) -> list[Finding]:
    """All findings of a PatchSet, errors first.

    Every patch is checked by itself; with its background-only workspace at hand, digests and
    paths are checked for every patch and the whole workspace for some (``FULL_CHECKS``).
    """
    found = list(_digest_names(document))
    if not found:
        found += schema_findings(document, "patchset.json")
    found += list(check_finite(document))
    if found:
        return ordered(found)
    for check in (_names, _values, _coverage, _patches, _described):
        found += list(check(document))
    if background is not None:
        found += _against(document, background)
    return ordered(found)


def _digest_names(document: Any) -> Findings:
    """Digest algorithms that the schema does not know."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    digests = metadata.get("digests") if isinstance(metadata, dict) else None
    if not isinstance(digests, dict):
        return
    for name in digests:
        if name not in ALGORITHMS:
            problem = f"unknown digest algorithm {name!r}"
            yield error("digests", f"/metadata/digests/{name}", problem, "use md5 or sha256")


def _names(document: Mapping[str, Any]) -> Findings:
    """Repeated patch names, and those pyhf cannot take."""
    seen: set[str] = set()
    for i, patch in enumerate(document["patches"]):
        name, path = patch["metadata"]["name"], f"/patches/{i}/metadata/name"
        if name in TAKEN:
            problem = f"pyhf rejects a patch called {name!r} as a duplicate"
            yield error("patch_names", path, problem, "rename it")
        if name in seen:
            yield error("patch_names", path, f"{name!r} is used twice", "rename one patch")
        seen.add(name)


def _values(document: Mapping[str, Any]) -> Findings:
    """Coordinates: one per label, no point twice."""
    labels = document["metadata"]["labels"]
    seen: set[tuple[Any, ...]] = set()
    for i, patch in enumerate(document["patches"]):
        values, path = tuple(patch["metadata"]["values"]), f"/patches/{i}/metadata/values"
        if len(values) != len(labels):
            problem = f"{len(values)} values for {len(labels)} labels"
            yield error("patch_values", path, problem, "give one value per label")
        if values in seen:
            problem = f"the point {list(values)} appears twice; pyhf finds only one"
            yield error("patch_values", path, problem, "remove one patch")
        seen.add(values)
        if any(isinstance(v, float) and float(f"{v:.12g}") != v for v in values):
            problem = f"{list(values)} has rounding noise; pyhf looks points up exactly"
            yield warning("patch_values", path, problem, "write decimal-rounded coordinates")


def _touched(patch: Mapping[str, Any]) -> tuple[str, ...]:
    """Channels a patch touches."""
    paths = [str(o["path"]).split("/") for o in patch["patch"]]
    return tuple(sorted({p[2] for p in paths if len(p) > 2 and p[1] == "channels"}))


def _coverage(document: Mapping[str, Any]) -> Findings:
    """Patches that leave out channels which the others touch."""
    touched = [_touched(p) for p in document["patches"]]
    usual = Counter(touched).most_common(1)[0][0]
    for i, channels in enumerate(touched):
        missing = sorted(set(usual) - set(channels))
        if missing:
            problem = f"touches no sample of channel {', '.join(missing)}, unlike most patches"
            mend = "add the signal to every channel, with zeros where there is none"
            yield warning("patch_channels", f"/patches/{i}/patch", problem, mend)
        if not document["patches"][i]["patch"]:
            yield error("patch_channels", f"/patches/{i}/patch", "is empty", "add the signal")


def _patches(document: Mapping[str, Any]) -> Findings:
    """Samples that patches add, one at a time."""
    for i, patch in enumerate(document["patches"]):
        for j, operation in enumerate(patch["patch"]):
            value = operation.get("value")
            if not isinstance(value, dict) or not {"data", "modifiers"} <= set(value):
                continue
            path = f"/patches/{i}/patch/{j}/value"
            wrong = sample_problem(value)
            if wrong:
                yield error("patch_sample", path, wrong, "follow pyhf's workspace.json 1.0.0")
                continue
            yield from sample_findings(path, value)
            if not any(value["data"]):
                name = patch["metadata"]["name"]
                problem = f"the signal of {name} is zero in every bin"
                yield info("patch_signal", path, problem, "expect no sensitivity there")


def sample_problem(value: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of a sample that a patch adds, or None."""
    if not _is_numbers(value["data"]):
        return "data is no list of numbers"
    if not isinstance(value["modifiers"], list):
        return "modifiers is no list"
    for m in value["modifiers"]:
        kind = m.get("type") if isinstance(m, Mapping) else None
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(m.get("name"), str):
            return f"{shortened(str(m))} is no modifier with a name and a type"
        data = m.get("data")
        if kind in NEEDS:
            fields, right = NEEDS[kind]
            parts = [data.get(k) for k in fields] if isinstance(data, Mapping) else [None]
        else:
            right = _is_numbers if kind in PER_BIN_DATA else lambda x: x is None
            parts = [data]
        if not all(right(part) for part in parts):
            return f"data {shortened(str(data))} does not fit a {kind} modifier"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


NEEDS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], bool]]] = {
    "normsys": (("hi", "lo"), _is_number),
    "histosys": (("hi_data", "lo_data"), _is_numbers),
}
"""Fields of the data of a modifier, and what each must be."""
PER_BIN_DATA = ("shapesys", "staterror")


def _described(document: Mapping[str, Any]) -> Findings:
    """Metadata that a reader needs."""
    metadata = document["metadata"]
    units = metadata.get("units")
    missing = [x for x in metadata["labels"] if not isinstance(units, dict) or x not in units]
    if missing:
        problem = f"no units are stated for {', '.join(missing)}"
        mend = "add metadata.units, a mapping from label to unit"
        yield info("units", "/metadata", problem, mend)
    if metadata["references"]["hepdata"] == "ins0000000":
        mend = "give the record when it exists"
        yield info("reference", "/metadata/references/hepdata", "is a placeholder", mend)


def _against(document: Mapping[str, Any], background: Any) -> list[Finding]:
    """Findings that need the background-only workspace."""
    found = [f for f in check_workspace(background, rates=False) if f.severity == "error"]
    if found:
        return found
    for algorithm, stated in document["metadata"]["digests"].items():
        computed = document_digest(background, algorithm)
        if computed != stated.lower():
            path = f"/metadata/digests/{algorithm}"
            problem = f"states {stated}, the workspace has {computed}"
            mend = "use the background-only workspace of this set, or hash it again"
            found.append(error("digests", path, problem, mend))
    for i, patch in enumerate(document["patches"]):
        for j, operation in enumerate(patch["patch"]):
            wrong = operation_problem(background, operation)
            if wrong:
                path = f"/patches/{i}/patch/{j}"
                found.append(error("patch_channels", path, wrong, "correct the path"))
    if not found:
        found += _applied(document, background)
    return found


def _applied(document: Mapping[str, Any], background: Any) -> list[Finding]:
    """Errors and warnings of some patched workspaces, each reported once."""
    digests = {name: document_digest(background, name) for name in ALGORITHMS}
    metadata = {**document["metadata"], "digests": digests}
    reader = PatchSetDocument({**document, "metadata": metadata})
    step = max(1, len(reader) // FULL_CHECKS)
    found: list[Finding] = []
    seen: set[tuple[str, str, str]] = set()
    for i in range(0, len(reader), step):
        name = reader.names[i]
        try:
            patched = reader.apply(background, name)
        except PatchSetError as fault:
            found.append(error("patch", f"/patches/{i}/patch", str(fault), "correct the patch"))
            continue
        for f in check_workspace(patched):
            key = (f.check, f.path, re.sub(r"[-\d.e+]+", "", f.problem))
            if f.severity != "info" and f.check not in REPORTED and key not in seen:
                seen.add(key)
                problem = f"with patch {name}: {f.path}: {f.problem}"
                found.append(Finding(f.severity, f.check, f"/patches/{i}", problem, f.mend))
    return found


def check_document(document: Any, background: Any = None) -> list[Finding]:
    """Findings of a workspace or a PatchSet, whichever the document is.

    Args:
        document: the JSON document.
        background: background-only workspace of a PatchSet, if there is one.

    Raises:
        DataError: if it is neither.
    """
    if isinstance(document, dict) and "patches" in document:
        return check_patchset(document, background)
    if isinstance(document, dict) and "channels" in document:
        return check_workspace(document)
    raise DataError("the document has neither channels nor patches; give a workspace or PatchSet")
