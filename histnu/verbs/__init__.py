"""One function per verb: a target in, a typed result out.

The command line, studies and notebooks call these; nothing else turns a likelihood into a number
that is published.
"""

from histnu.verbs.intervals import (
    expected_of,
    find_interval,
    hypothesis_test,
    limit,
    limit_of,
    test_of,
)
from histnu.verbs.options import METHODS, Options, Search, inputs_of
from histnu.verbs.profiles import contour, contour_of, fit, mass_curves, scan, scan_of
from histnu.verbs.sampling import coverage, toys

__all__ = [
    "METHODS",
    "Options",
    "Search",
    "contour",
    "contour_of",
    "coverage",
    "expected_of",
    "find_interval",
    "fit",
    "hypothesis_test",
    "inputs_of",
    "limit",
    "limit_of",
    "mass_curves",
    "scan",
    "scan_of",
    "test_of",
    "toys",
]
