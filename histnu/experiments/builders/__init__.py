"""Experiments that need code: the collaborations' likelihoods, read from releases at run time."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from histnu.core.errors import named
from histnu.experiments.model import Experiment


@dataclass(frozen=True)
class Builder:
    """Where an experiment is built, and from what.

    Attributes:
        module, function: function without arguments that returns the experiment.
        releases: public releases it reads.
    """

    module: str
    function: str
    releases: tuple[str, ...]


BUILDERS: Mapping[str, Builder] = {
    "xenonnt_4d_2024": Builder(
        "xenonnt_4d", "build_2024", ("xenonnt_light_wimp_2024", "xenonnt_cevns_2026")
    ),  # the events of 2024 are in the release of 2026
    "xenonnt_4d_2026": Builder("xenonnt_4d", "build_2026", ("xenonnt_cevns_2026",)),
    "xenonnt_s2only_2026": Builder("xenonnt_s2only", "build_s2only", ("xenonnt_s2only_2026",)),
}


def built_names() -> tuple[str, ...]:
    """Names of the experiments that are built from releases."""
    return tuple(BUILDERS)


@lru_cache(maxsize=4)
def build_experiment(name: str) -> Experiment:
    """Read an experiment from its releases, with all anchors of its shape parameters.

    Args:
        name: one of :func:`built_names`.

    Raises:
        ConfigError: for an unknown name.
        DataError: if a release is absent, incomplete or damaged.
    """
    builder = named(BUILDERS, name, "experiment")
    module = importlib.import_module(f"{__name__}.{builder.module}")
    built: Experiment = getattr(module, builder.function)()
    return built
