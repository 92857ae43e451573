"""histnu: neutrino physics beyond the Standard Model as pyhf/HistFactory likelihoods.

    import histnu
    likelihood = histnu.load("magnetic_moment_combined")   # or a path, or a pyhf workspace
    likelihood.limit("mu_universal")

Importing this package reads no file and starts no backend: names are looked up when they are used.
The subpackages follow the order of the calculation::

    physics -> sources -> experiments -> templates -> workspace -> inference -> studies, export
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "histnu.api": (
        "Document",
        "build",
        "contour",
        "coverage",
        "feldman_cousins",
        "fit",
        "hypothesis_test",
        "impacts",
        "limit",
        "load",
        "mass_curves",
        "reproduce",
        "scan",
        "significance",
        "toys",
    ),
    "histnu.analysis.assemble": ("assemble",),
    "histnu.analysis.schema": ("Analysis", "load_analysis"),
    "histnu.experiments.model": ("Channel", "Experiment"),
    "histnu.experiments.loader": ("load_experiment",),
    "histnu.inference": ("BatchedLikelihood", "MappedLikelihood"),
    "histnu.physics.models.protocol": ("HeldParameter", "Model", "Parameter", "Term"),
    "histnu.core.errors": ("HistnuError",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from histnu.analysis.assemble import assemble as assemble
    from histnu.analysis.schema import Analysis as Analysis
    from histnu.analysis.schema import load_analysis as load_analysis
    from histnu.api import Document as Document
    from histnu.api import build as build
    from histnu.api import contour as contour
    from histnu.api import coverage as coverage
    from histnu.api import feldman_cousins as feldman_cousins
    from histnu.api import fit as fit
    from histnu.api import hypothesis_test as hypothesis_test
    from histnu.api import impacts as impacts
    from histnu.api import limit as limit
    from histnu.api import load as load
    from histnu.api import mass_curves as mass_curves
    from histnu.api import reproduce as reproduce
    from histnu.api import scan as scan
    from histnu.api import significance as significance
    from histnu.api import toys as toys
    from histnu.core.errors import HistnuError as HistnuError
    from histnu.experiments.loader import load_experiment as load_experiment
    from histnu.experiments.model import Channel as Channel
    from histnu.experiments.model import Experiment as Experiment
    from histnu.inference import BatchedLikelihood as BatchedLikelihood
    from histnu.inference import MappedLikelihood as MappedLikelihood
    from histnu.physics.models.protocol import HeldParameter as HeldParameter
    from histnu.physics.models.protocol import Model as Model
    from histnu.physics.models.protocol import Parameter as Parameter
    from histnu.physics.models.protocol import Term as Term


def __getattr__(name: str) -> Any:
    """Look a public name up in the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module 'histnu' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
