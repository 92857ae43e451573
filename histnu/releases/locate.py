"""Find a release: ``$HISTNU_RELEASES``, ``../shared/releases``, the user's cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from histnu.core.errors import DataError, located
from histnu.releases.registry import RELEASES, Release, release

VARIABLE = "HISTNU_RELEASES"


def cache_folder() -> Path:
    """The user's cache of releases (XDG on Linux, Library/Caches on macOS, LOCALAPPDATA)."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "histnu" / "releases"


def search_folders() -> tuple[Path, ...]:
    """Folders that are searched, in order. ``HISTNU_RELEASES`` may list several."""
    named = [Path(p).expanduser() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    project = Path(__file__).resolve().parents[2]
    return (*named, project.parent / "shared" / "releases", cache_folder())


def missing_files(folder: Path, wanted: Release) -> list[str]:
    """Expected files that a folder does not hold."""
    return [f for f in wanted.expected if not (folder / f).is_file()]


def find_release(name: str) -> Path:
    """Return the folder of a release.

    Args:
        name: a name of ``histnu.releases.registry.RELEASES``.

    Raises:
        ConfigError: for an unknown name.
        DataError: if no searched folder holds it, or if the folder found is incomplete.
    """
    wanted = release(name)
    for base in search_folders():
        folder = base / name
        if not folder.is_dir():
            continue
        missing = missing_files(folder, wanted)
        if missing:
            problem = f"is incomplete ({len(missing)} files missing, first: {missing[0]})"
            raise DataError(located(folder, "", problem, f"run: histnu fetch {name}"))
        return folder
    searched = ", ".join(str(p) for p in search_folders())
    mend = f"run: histnu fetch {name}, or set {VARIABLE} to the folder that holds it"
    raise DataError(f"release {name} not found in {searched}; {mend}")


def releases_found() -> dict[str, Path | None]:
    """Every known release with its folder, or None where it is absent or incomplete."""
    found: dict[str, Path | None] = {}
    for name in RELEASES:
        try:
            found[name] = find_release(name)
        except DataError:
            found[name] = None
    return found
