"""Architecture: arrows run one way, importing is light, the command starts fast."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "histnu"

ABOVE_TEMPLATES = (
    "workspace",
    "analysis",
    "inference",
    "verbs",
    "studies",
    "export",
    "plotting",
    "api",
    "cli",
)
FORBIDDEN = {
    "core": ("physics", "sources", "experiments", "templates", "releases", *ABOVE_TEMPLATES),
    "physics": ("sources", "experiments", "templates", "releases", *ABOVE_TEMPLATES),
    "sources": ("experiments", "templates", "releases", *ABOVE_TEMPLATES),
    "experiments": ("sources", "templates", *ABOVE_TEMPLATES),
    "templates": ABOVE_TEMPLATES,
    "workspace": ("sources", *(n for n in ABOVE_TEMPLATES if n != "workspace")),
    "analysis": ("plotting", "verbs", "studies", "api", "cli"),
    "inference": ("physics", "sources", "experiments", "templates", "analysis", "verbs", "studies",
                  "export", "plotting", "api", "cli"),
    "plotting": ("physics", "sources", "experiments", "templates", "workspace", "analysis",
                 "studies", "export", "verbs", "api", "cli"),
    "export": ("analysis", "verbs", "studies", "api", "cli"),
    "verbs": ("studies", "api", "cli"),
    "studies": ("api", "cli"),
}  # fmt: skip
HEAVY = {
    "pyhf",
    "uproot",
    "h5py",
    "hepdata_lib",
    "matplotlib",
    "iminuit",
    "pooch",
    "hist",
    "mplhep",
}


def modules(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).rglob("*.py"))


class Facts(NamedTuple):
    """What a module imports anywhere and at its top, and the names that it calls."""

    imported: set[str]
    at_the_top: set[str]
    called: set[str]


@cache
def facts(path: Path) -> Facts:
    tree = ast.parse(path.read_text())
    out = Facts(set(), set(), set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            out.called.add(node.func.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            out.imported.update(names(node))
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            out.at_the_top.update(names(node))
    return out


def names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if node.module else []


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_arrows_run_one_way(folder):
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules(folder)
        for name in facts(path).imported
        if name.startswith("histnu.") and name.split(".")[1] in FORBIDDEN[folder]
    ]
    assert not wrong


@pytest.mark.slow
def test_packages_import_each_other_in_no_circle():
    drawing = runpy.run_path(str(PACKAGE.parent / "scripts" / "draw_architecture.py"))
    floor = drawing["floors"](drawing["arrows"]())  # raises for a circle
    assert floor["core"] == 1 and floor["cli"] == max(floor.values())
    with pytest.raises(ValueError, match="a circle: a, b"):
        drawing["floors"]({("a", "b"): 1, ("b", "a"): 1})


def test_physics_and_experiments_know_no_pyhf():
    for folder in ("physics", "experiments"):
        for path in modules(folder):
            assert not {n for n in facts(path).imported if n.split(".")[0] == "pyhf"}, path


def test_heavy_libraries_are_imported_where_they_are_used():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in facts(path).at_the_top
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_import_is_silent_and_light():
    code = (
        "import sys, histnu, histnu.physics.rates, histnu.cli.main;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'pyhf', 'matplotlib', 'pandas', 'jax', 'uproot', 'iminuit'}))"
    )
    assert run(code) == "[]"


@pytest.mark.slow
def test_a_limit_on_a_document_imports_no_pyhf(project_root):
    """Validated, fitted and certified: the import of pyhf alone takes longer than that."""
    code = (
        "import sys, histnu\n"
        f"histnu.load({str(project_root / 'workspaces' / 'magnetic_moment_xenonnt')!r}).limit()\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pyhf', 'iminuit', 'matplotlib'}))"
    )
    assert run(code) == "[]"


def test_help_imports_no_numerics():
    # the command must start in 0.5 s; what takes time is numpy, scipy, pydantic, rich and pyhf
    code = (
        "import sys\nfrom histnu.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'scipy', 'pydantic', 'rich', 'pyhf', 'yaml'}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == "[]"


def test_nothing_is_printed_or_evaluated():
    for path in sorted(PACKAGE.rglob("*.py")):
        assert not facts(path).called & {"print", "eval", "exec"}, path
