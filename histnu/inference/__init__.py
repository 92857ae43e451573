"""Statistics on pyhf documents: a batched engine, and pyhf itself as its reference.

    likelihood = BatchedLikelihood.from_workspace(document)
    interval(likelihood, None, "mu", cl=0.9)

``FitOptions(engine="pyhf")`` makes the same call with pyhf. Importing this package does not
import pyhf.
"""

from histnu.inference.cls import cls_limit, hypotest, hypotest_toys
from histnu.inference.contours import RegionOptions, region
from histnu.inference.engine import (
    BatchedLikelihood,
    BatchFit,
    FitOptions,
    GlobalOptions,
    MappedLikelihood,
    MinimiseOptions,
    Problems,
    StartOptions,
    fit,
    global_minimise,
    minimise,
    relaxed_minimum,
)
from histnu.inference.limits import IntervalOptions, interval, threshold
from histnu.inference.profile import best_fit, profile
from histnu.inference.results import (
    BestFit,
    Coverage,
    HypothesisTest,
    Interval,
    NeymanScan,
    Profile1D,
    Region2D,
    Segment,
)
from histnu.inference.toys import ToyOptions, coverage, feldman_cousins, neyman_scan, sample

__all__ = [
    "BatchFit",
    "BatchedLikelihood",
    "BestFit",
    "Coverage",
    "FitOptions",
    "GlobalOptions",
    "HypothesisTest",
    "Interval",
    "IntervalOptions",
    "MappedLikelihood",
    "MinimiseOptions",
    "NeymanScan",
    "Problems",
    "Profile1D",
    "Region2D",
    "RegionOptions",
    "Segment",
    "StartOptions",
    "ToyOptions",
    "best_fit",
    "cls_limit",
    "coverage",
    "feldman_cousins",
    "fit",
    "global_minimise",
    "hypotest",
    "hypotest_toys",
    "interval",
    "minimise",
    "neyman_scan",
    "profile",
    "region",
    "relaxed_minimum",
    "sample",
    "threshold",
]
