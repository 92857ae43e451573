"""Results of the statistics: frozen, with named fields, and ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histnu.core.serialize import jsonable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """Base of all results."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain Python."""
        return {f.name: jsonable(getattr(self, f.name), exact=True) for f in fields(self)}


@dataclass(frozen=True)
class BestFit(Result):
    """A global minimum of -2 log L.

    Attributes:
        parameters: name -> value at the minimum.
        twice_nll: -2 log L there.
        converged: whether the fit converged.
        certified: whether it converged and two different starts agree on the minimum.
    """

    parameters: dict[str, float]
    twice_nll: float
    converged: bool
    certified: bool = False


@dataclass(frozen=True)
class Profile1D(Result):
    """``Delta(x) = -2 log [L(x, nuisances profiled) / L(best fit)]`` of one parameter.

    Attributes:
        parameter: its name. values: (P,) where it was held.
        delta_twice_nll: (P,) Delta, infinite where no start was allowed.
        best_fit: the unconditional fit.
        parameters: (P, n) profiled parameters. parameter_names: their names.
        converged: (P,) per point. certified: (P,) per point, see :class:`BestFit`.
        engine: ``batched`` or ``pyhf``.
        search: counts of fits, starts, certified and checked fits, and of second minima met.
    """

    parameter: str
    values: Array
    delta_twice_nll: Array
    best_fit: BestFit
    parameters: Array
    parameter_names: tuple[str, ...]
    converged: NDArray[np.bool_]
    engine: str = "batched"
    certified: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    search: dict[str, int] = field(default_factory=dict)


CROSSING, EDGE, BOUND, OPEN = "crossing", "edge", "bound", "open"
"""How a segment ends: the profile crosses the level; beyond it an expected count is negative
whatever the other parameters; the parameter's bound; or no end was found."""


@dataclass(frozen=True)
class Segment(Result):
    """One connected part of an allowed region.

    Attributes:
        lower, upper: its ends; None where it is open.
        lower_end, upper_end: ``crossing``, ``edge`` (the likelihood is undefined beyond),
            ``bound`` (allowed up to a bound of the parameter) or ``open`` (no end within reach).
    """

    lower: float | None
    upper: float | None
    lower_end: str = CROSSING
    upper_end: str = CROSSING


@dataclass(frozen=True)
class Interval(Result):
    """A confidence region of one parameter: a set of segments.

    Attributes:
        parameter: its name. cl: confidence level. dof: degrees of freedom of the threshold.
        threshold: value of Delta at the ends.
        lower, upper: outermost ends; None where the region is open or ends at a bound.
        best_fit: the unconditional fit.
        method: ``profile``, ``cls``, ``cls_toys`` or ``feldman_cousins``.
        engine: ``batched`` or ``pyhf``.
        other_roots: further crossings where the region is not connected.
        intervals: the allowed region, in ascending order.
        certified: whether every fit it rests on is certified, see :class:`BestFit`.
        boundary: at which end the rate of an empty bin is zero, and because of which sample.
        search: counts of fits, starts, certified and checked fits, and of second minima met.
    """

    parameter: str
    cl: float
    dof: int
    threshold: float
    lower: float | None
    upper: float | None
    best_fit: BestFit
    method: str = "profile"
    engine: str = "batched"
    other_roots: tuple[float, ...] = ()
    intervals: tuple[Segment, ...] = ()
    certified: bool = False
    boundary: tuple[str, ...] = ()
    search: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Region2D(Result):
    """A confidence region of two parameters.

    Attributes:
        parameters: the two names. cl, dof, threshold: as in :class:`Interval`.
        x: (X,) and y: (Y,) grid. delta_twice_nll: (Y, X).
        contours: polylines, each (N, 2), on which Delta equals the threshold.
        best_fit: the unconditional fit.
        certified: whether every fit it rests on is certified. search: counts, as above.
    """

    parameters: tuple[str, str]
    cl: float
    dof: int
    threshold: float
    x: Array
    y: Array
    delta_twice_nll: Array
    contours: tuple[Array, ...]
    best_fit: BestFit
    certified: bool = False
    search: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HypothesisTest(Result):
    """CLs of one signal strength (Cowan et al., arXiv:1007.1727; A. L. Read, CERN-OPEN-2000-205).

    Attributes:
        parameter, value: the tested hypothesis.
        cls, cl_b, cl_sb: CLs, CL_b and CL_s+b, observed.
        expected: CLs expected at (-2, -1, 0, 1, 2) standard deviations.
        test_statistic: observed value of ``statistic`` (``q_tilde`` or ``q``).
        method: ``asymptotic`` or ``toys``.
        n_toys: per hypothesis. errors: binomial errors of (cl_sb, cl_b, cls), toys only.
        certified: whether every fit it rests on is certified. search: counts, as above.
        failed: toys left out because a fit did not converge or was not certified.
        best_fit: the unconditional fit of the data.
    """

    parameter: str
    value: float
    cls: float
    cl_b: float
    cl_sb: float
    expected: tuple[float, ...]
    test_statistic: float
    method: str
    n_toys: int = 0
    errors: tuple[float, ...] = ()
    certified: bool = False
    search: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    best_fit: BestFit | None = None
    statistic: str = "q_tilde"


@dataclass(frozen=True)
class Coverage(Result):
    """How often the interval of a toy covers the truth.

    Attributes:
        parameter: its name. truth: all true parameters. cl: nominal confidence level.
        n_toys: toys whose fits converged. covered: how many cover.
        coverage: their fraction, and ``error`` its binomial standard error.
        failed: toys left out because a fit did not converge or was not certified.
        coverage_interval: 68.3 % interval of the coverage (C. J. Clopper, E. S. Pearson,
            Biometrika 26 (1934) 404), one-sided where all or none cover.
        certified, search: as in :class:`HypothesisTest`.
    """

    parameter: str
    truth: dict[str, float]
    cl: float
    n_toys: int
    covered: int
    coverage: float
    error: float
    failed: int = 0
    coverage_interval: tuple[float, float] = (0.0, 1.0)
    certified: bool = False
    search: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NeymanScan(Result):
    """Toy-based (Feldman-Cousins) acceptance of a scan of one parameter.

    Attributes:
        parameter: its name. values: (P,) scanned. delta_twice_nll: (P,) observed.
        critical: (P,) the cl quantile of Delta in toys at each value.
        p_value: (P,) fraction of toys with Delta at least as large. n_toys: per value.
        error: (P,) binomial standard error of the p-value.
        certified, search, failed: as in :class:`HypothesisTest`.
    """

    parameter: str
    cl: float
    values: Array
    delta_twice_nll: Array
    critical: Array
    p_value: Array
    error: Array
    n_toys: int
    best_fit: BestFit
    options: dict[str, Any] = field(default_factory=dict)
    certified: bool = False
    search: dict[str, int] = field(default_factory=dict)
    failed: int = 0
