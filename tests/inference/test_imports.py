"""The package is light and independent."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import histnu.inference


def test_importing_does_not_import_pyhf_or_minuit() -> None:
    code = (
        "import sys, histnu.inference\n"
        "print([m for m in ('pyhf', 'iminuit', 'matplotlib', 'scipy.stats') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_inference_imports_no_physics_and_no_interface() -> None:
    forbidden = ("physics", "experiments", "templates", "cli", "studies", "plotting", "workspace")
    root = Path(histnu.inference.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            for name in names:
                assert not name.startswith(tuple(f"histnu.{f}" for f in forbidden)), path


def test_public_names_exist() -> None:
    for name in histnu.inference.__all__:
        assert hasattr(histnu.inference, name)
