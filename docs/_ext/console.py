"""Sessions of commands that the build really runs, and the files they need.

``run`` executes its lines that start with ``$`` and shows them with their output; a command that
ends otherwise than expected stops the build. ``file`` writes a file and shows it. The commands of
a page work in one folder, ``docs/_generated/run/PAGE``, where a page finds its figures, too::

    ```{file} signal.csv
    e_recoil_kev,dipole
    ```

    ```{run}
    $ histnu limit my_search.yaml
    ```
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120


def session(commands: list[str], folder: Path, status: int = 0) -> str:
    """Run commands and return what a terminal would show.

    Args:
        commands: for a shell, in order.
        folder: where they run.
        status: exit status that each of them has to end with.

    Raises:
        RuntimeError: if one ends otherwise; its output is in the message.
    """
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": bin_folder + os.pathsep + os.environ["PATH"],
        "COLUMNS": "88",
        "NO_COLOR": "1",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    shown = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=folder, env=environment, text=True, timeout=TIMEOUT_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        output = done.stdout.replace(f"{folder}/", "").rstrip()
        output = "\n".join(line.rstrip() for line in output.splitlines())
        if done.returncode != status:
            raise RuntimeError(f"{command!r} ended with {done.returncode}, not {status}: {output}")
        shown.append(f"$ {command}\n{output}".rstrip())
    return "\n".join(shown)


def commands_of(lines: list[str]) -> list[str]:
    """The commands of a session; one may go on where a line ends with a backslash."""
    text = "\n".join(lines).replace("\\\n", "\\\n ")
    joined: list[str] = []
    for line in text.splitlines():
        if joined and joined[-1].endswith("\\"):
            joined[-1] += "\n" + line
        elif line.startswith("$ "):
            joined.append(line[2:])
    return joined


def head(text: str, lines: int | None) -> str:
    """The first lines of an output, and a sign where some are left out."""
    every = text.splitlines()
    return text if lines is None or len(every) <= lines else "\n".join([*every[:lines], "..."])


class PageFolder(SphinxDirective):
    """What both directives know: the folder of their page."""

    has_content = True

    def folder(self) -> Path:
        """The folder of this page's commands; emptied when the page is read anew."""
        path = Path(self.env.srcdir) / "_generated" / "run" / self.env.docname
        seen = self.env.temp_data.setdefault("console_folders", set())
        if path not in seen:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            seen.add(path)
        return path

    def block(self, text: str, language: str) -> list[nodes.Node]:
        """A literal block."""
        node = nodes.literal_block(text, text, language=language)
        self.set_source_info(node)
        return [node]


class Run(PageFolder):
    """Commands with their output."""

    option_spec: ClassVar = {
        "exit": directives.nonnegative_int,
        "lines": directives.positive_int,
        "copy": directives.unchanged,
        "silent": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Copy what is needed from the repository, run, show."""
        folder = self.folder()
        for name in self.options.get("copy", "").split():
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
        try:
            text = session(commands_of(list(self.content)), folder, self.options.get("exit", 0))
        except (RuntimeError, subprocess.TimeoutExpired) as problem:
            raise self.severe(str(problem)) from None
        if "silent" in self.options:
            return []
        return self.block(head(text, self.options.get("lines")), "console")


class File(PageFolder):
    """A file that the page's commands use."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write it and show it under its name."""
        name = self.arguments[0]
        path = self.folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.content) + "\n")
        languages = {".yaml": "yaml", ".csv": "text", ".py": "python", ".json": "json"}
        block = self.block("\n".join(self.content), languages.get(path.suffix, "text"))
        wrapper = nodes.container("", literal_block=True, classes=["literal-block-wrapper"])
        wrapper += [nodes.caption("", "", nodes.literal(name, name)), *block]
        return [wrapper]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("run", Run)
    app.add_directive("file", File)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
