"""The collaborations' full likelihoods, read from public releases at run time.

``load_full(name)`` gives the plain :class:`~histnu.experiments.model.Experiment`;
``load_full_grid(name)`` gives the same with every anchor of the release's shape parameters.
"""

from __future__ import annotations

from functools import lru_cache

from histnu.errors import ConfigError
from histnu.experiments.full.grids import FullExperiment
from histnu.experiments.model import Experiment

BUILDERS = {
    "xenonnt_4d_2024": "xenonnt_4d",
    "xenonnt_4d_2026": "xenonnt_4d",
    "xenonnt_s2only_2026": "xenonnt_s2only",
}
NEEDS = {
    "xenonnt_4d_2024": ("xenonnt_light_wimp_2024", "xenonnt_cevns_2026"),
    "xenonnt_4d_2026": ("xenonnt_cevns_2026",),
    "xenonnt_s2only_2026": ("xenonnt_s2only_2026",),
}
"""Releases that an experiment reads (the events of 2024 are in the release of 2026)."""


def full_names() -> tuple[str, ...]:
    """Names of the full likelihoods."""
    return tuple(BUILDERS)


@lru_cache(maxsize=4)
def load_full_grid(name: str) -> FullExperiment:
    """Read a full likelihood with all anchors of its shape parameters.

    Args:
        name: one of :func:`full_names`.

    Raises:
        ConfigError: for an unknown name.
        DataError: if a release is absent, incomplete or damaged.
    """
    if name not in BUILDERS:
        raise ConfigError(f"unknown full likelihood {name!r}; known: {', '.join(BUILDERS)}")
    if BUILDERS[name] == "xenonnt_s2only":
        from histnu.experiments.full.xenonnt_s2only import build_s2only

        return build_s2only()
    from histnu.experiments.full.xenonnt_4d import build_2024, build_2026

    return build_2024() if name == "xenonnt_4d_2024" else build_2026()


def load_full(name: str) -> Experiment:
    """Read a full likelihood as an :class:`Experiment` with shapes at -1 and +1 deviation.

    Raises:
        ConfigError: for an unknown name.
        DataError: if a release is absent, incomplete or damaged.
    """
    return load_full_grid(name).experiment()
