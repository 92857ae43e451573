"""What histnu needs in a browser: shipped by Pyodide, or pure Python, from the wheels' metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parents[2] / "notebooks" / "browser" / "pyodide.json"
LEFT_OUT = "uproot"
"""The requirement that is not installed in the browser."""


def lock() -> dict[str, object]:
    """Version of Pyodide, source of the list, and package -> version."""
    return json.loads(LOCK.read_text())


def requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Requirements of an installed package that hold in the browser."""
    where = {
        "sys_platform": "emscripten",
        "platform_system": "Emscripten",
        "platform_machine": "wasm32",
        "python_version": str(lock()["python"]).rsplit(".", 1)[0],
        "python_full_version": str(lock()["python"]),
        "os_name": "posix",
    }
    for text in metadata.requires(name) or []:
        r = Requirement(text)
        if r.marker is None or any(
            r.marker.evaluate({**where, "extra": e}) for e in extras or {""}
        ):
            yield r


def needed() -> dict[str, str]:
    """Package -> ``Pyodide``, ``pure Python`` or ``missing``, of all that the notebook installs.

    pyhf is taken without its extra ``xmlio`` and histnu without uproot.
    """
    shipped = lock()["packages"]
    found: dict[str, str] = {}
    todo = [
        r.name for r in requirements("histnu", frozenset()) if canonicalize_name(r.name) != LEFT_OUT
    ]
    while todo:
        name = canonicalize_name(todo.pop())
        if name in found:
            continue
        if name in shipped:
            found[name] = "Pyodide"
            continue
        wheel = metadata.distribution(name).read_text("WHEEL") or ""
        found[name] = "pure Python" if "-none-any" in wheel else "missing"
        todo += [r.name for r in requirements(name, frozenset())]
    return dict(sorted(found.items()))


def pure() -> list[str]:
    """Packages that the browser takes from the package index."""
    return [name for name, how in needed().items() if how == "pure Python"]


def table() -> str:
    """The list as Markdown."""
    shipped = lock()["packages"]
    versions = {n: shipped[n] if h == "Pyodide" else "" for n, h in needed().items()}
    rows = [f"| {n} | {how} | {versions[n]} |" for n, how in needed().items()]
    head = f"| package | from | version in Pyodide {lock()['pyodide']} |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n"
