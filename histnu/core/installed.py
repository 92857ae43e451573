"""What is installed: models, sources, experiments and analyses of this and other packages.

Another package adds to histnu through three groups of entry points:

* ``histnu.models``: name of a hypothesis = a class of the protocol
  :class:`histnu.physics.models.protocol.SignalModel`;
* ``histnu.sources``: name of a neutrino source = a class of the protocol
  :class:`histnu.sources.protocol.Source`;
* ``histnu.data``: any name = a package with the folders ``experiments/NAME/experiment.yaml`` (with
  tables beside it) and ``analyses/NAME.yaml``.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from histnu.core.errors import ConfigError, named
from histnu.core.tables import data_path

MODELS, SOURCES, DATA = "histnu.models", "histnu.sources", "histnu.data"
KINDS = {MODELS: "model", SOURCES: "source"}


@cache
def entries(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name."""
    return {e.name: e for e in entry_points(group=group)}


def registered(group: str) -> tuple[str, ...]:
    """Names in a group of entry points, sorted."""
    return tuple(sorted(entries(group)))


def instantiate(group: str, name: str, options: dict[str, Any]) -> Any:
    """Make an object registered in a group of entry points.

    Raises:
        ConfigError: for an unknown name, one that cannot be imported, or an unknown option.
    """
    kind = KINDS[group]
    found = entries(group)
    entry = named(found, name, kind)
    try:
        made = entry.load()
    except (ImportError, AttributeError) as error:
        problem = f"{kind} {name}: {entry.value} cannot be imported ({error})"
        raise ConfigError(f"{problem}; install its package again") from None
    try:
        return made(**options)
    except TypeError as error:
        raise ConfigError(f"{kind} {name}: {error}; check its options") from None


@lru_cache(maxsize=1)
def data_folders() -> tuple[Path, ...]:
    """Folders with experiments and analyses: that of histnu first.

    Raises:
        ConfigError: for an entry point that names no installed package.
    """
    folders = [data_path("")]
    for _, entry in sorted(entries(DATA).items()):
        spec = find_spec(entry.value)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"{DATA}: {entry.name} = {entry.value!r} is no installed package")
        folders += [Path(p) for p in spec.submodule_search_locations]
    return tuple(folders)


def installed_files(pattern: str) -> dict[str, Path]:
    """Files of all data folders by name: the part of the path that a star stands for.

    The first folder wins where two have the same name. Sorted by name.
    """
    return dict(_files(data_folders(), pattern))


@lru_cache(maxsize=32)
def _files(folders: tuple[Path, ...], pattern: str) -> dict[str, Path]:
    before, after = pattern.split("*")
    found: dict[str, Path] = {}
    for folder in folders:
        for path in folder.glob(pattern):
            text = path.relative_to(folder).as_posix()
            found.setdefault(text[len(before) : len(text) - len(after)], path)
    return dict(sorted(found.items()))
