"""Print the lowest versions that ``pyproject.toml`` declares, as constraints for pip.

    python scripts/lowest_versions.py > lowest.txt
    python -m pip install -c lowest.txt -e '.[test]'

Only what histnu asks for itself is held at its lowest; what those packages need is up to them
(as with uv's ``--resolution lowest-direct``).
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(\[[^]]*\])?\s*>=\s*(?P<version>[0-9.]+)")


def lowest(project: Path) -> dict[str, str]:
    """Distribution name -> lowest version of every dependency and extra but ``dev``.

    Raises:
        ValueError: for a requirement without a lower bound.
    """
    section = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = section["optional-dependencies"]
    wanted = [*section["dependencies"], *(r for n, e in extras.items() if n != "dev" for r in e)]
    found: dict[str, str] = {}
    for requirement in wanted:
        if requirement.startswith(f"{section['name']}["):
            continue
        match = REQUIREMENT.match(requirement)
        if match is None:
            raise ValueError(f"{project}: {requirement!r} has no lower bound; write name>=version")
        found[match["name"].lower()] = match["version"]
    return found


def main() -> None:
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    for name, version in sorted(lowest(project).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
