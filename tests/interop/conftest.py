"""The likelihood that every tool is asked about, and how a tool is found."""

from __future__ import annotations

import importlib.util
import sys

import pytest


@pytest.fixture(scope="session")
def interop(project_root):
    """The module ``scripts/interop_table.py``."""
    path = project_root / "scripts" / "interop_table.py"
    specification = importlib.util.spec_from_file_location("interop_table", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["interop_table"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def inputs(interop, tmp_path_factory):
    """Folder with workspace, HS3 document, background-only workspace and PatchSet."""
    folder = tmp_path_factory.mktemp("interop")
    interop.write_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def reference(interop, inputs):
    """histnu's own numbers."""
    return interop.ours(inputs)


@pytest.fixture(scope="session")
def answer(interop, inputs):
    """Numbers of a tool, or a skip that says how to get it."""
    known = {}

    def ask(tool):
        if interop.interpreter(tool) is None:
            variable = f"HISTNU_{tool.upper()}_PYTHON"
            pytest.skip(f"{tool} is not installed here; name an interpreter with {variable}")
        if tool not in known:
            known[tool] = interop.ask(tool, inputs)
        return known[tool]

    return ask
