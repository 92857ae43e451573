"""A HistFactory likelihood that holds P parameter points, data sets or templates at once.

    -2 log L = 2 sum_b [lambda_b - d_b log lambda_b + log Gamma(d_b + 1)]
               - 2 sum_a log f_a(a_a | theta),

with ``f_a`` a Gaussian or a Poisson as in pyhf, constants included: the value equals
``-2 * model.logpdf(...)``. Gradients and Hessians are analytic.

References: HistFactory, CERN-OPEN-2012-016; pyhf, JOSS 6 (2021) 2823.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlogy

from histnu.core.errors import FitError, WorkspaceError
from histnu.inference.engine.compile import (
    PYHF_DEFAULTS,
    Compiled,
    Constraints,
    compile_model,
    compile_spec,
    kinks,
)
from histnu.inference.engine.document import read_workspace
from histnu.inference.engine.hessian import Hessian
from histnu.inference.engine.rows import RowRates
from histnu.inference.engine.terms import TermRates, by_terms

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_WORK_BYTES = 4e6  # largest work array of an evaluation of many points
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Observed:
    """Data of P problems (or of one, shared by all), points on the last axis.

    Attributes:
        main: (B, P) or (B, 1) counts.
        aux: (A, P) or (A, 1) auxiliary data.
        constant: (P,) or (1,) the part of -2 log L that depends on the data alone.
        scale: (B, P) or (B, 1) the counts, 1 where there is none.
        scale_aux: the same of the auxiliary data.
        templates: per-problem nominal yields of one sample, (B, P), or None.
    """

    main: Array
    aux: Array
    constant: Array
    scale: Array
    scale_aux: Array
    templates: Array | None = None

    def select(self, which: Mask | Index | slice) -> Observed:
        """Return the data of a subset of the problems."""

        def pick(x: Array) -> Array:
            return x if x.shape[-1] == 1 else x[..., which]

        templates = None if self.templates is None else self.templates[:, which]
        return replace(
            self,
            main=pick(self.main),
            aux=pick(self.aux),
            constant=pick(self.constant),
            scale=pick(self.scale),
            scale_aux=pick(self.scale_aux),
            templates=templates,
        )

    @property
    def size(self) -> int | None:
        """Number of problems, or None when one data set serves any number."""
        sizes = {x.shape[-1] for x in (self.main, self.aux)} - {1}
        if self.templates is not None:
            sizes.add(self.templates.shape[-1])
        return max(sizes) if sizes else None


@dataclass(frozen=True)
class _Auxiliary:
    """Auxiliary measurements of one kind: positions, parameters and scale (N, 1)."""

    where: Index
    parameters: Index
    scale: Array

    @classmethod
    def of(cls, constraints: Constraints, chosen: Mask, scale: Array) -> _Auxiliary:
        where = np.flatnonzero(chosen)
        return cls(where, constraints.parameters[where], scale[where, None])


@dataclass(frozen=True)
class Derivatives:
    """-2 log L (P,), its gradient (n, P) and second derivatives; ``inf`` where undefined."""

    value: Array
    gradient: Array
    second: Hessian

    @functools.cached_property
    def hessian(self) -> Array:
        """(n, n, P) second derivatives."""
        return self.second.dense()

    def select(self, which: slice | Mask | Index) -> Derivatives:
        """Return those of a subset of the problems."""
        return Derivatives(self.value[which], self.gradient[:, which], self.second.select(which))

    def where(self, taken: Mask, other: Derivatives) -> Derivatives:
        """Return these where ``taken`` (P,), elsewhere ``other``."""
        return Derivatives(
            np.where(taken, self.value, other.value),
            np.where(taken, self.gradient, other.gradient),
            self.second.where(taken, other.second),
        )

    def widths(self) -> Array:
        """Return (n, P): how far each parameter alone moves to raise -2 log L by one.

        To second order, ``|g| d + h d^2 / 2 = 1``: a conditional standard deviation where the
        slope g is zero; infinite where there is neither slope nor curvature h.
        """
        slope, bend = np.abs(self.gradient), np.maximum(self.second.diagonal(), 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(2 / (slope + np.sqrt(slope**2 + 2 * bend)))


class Likelihood(Protocol):
    """What the minimiser and the statistics need of a likelihood."""

    parameter_names: tuple[str, ...]
    init: Array
    bounds: Array
    fixed: Mask

    def observe(self, data: ArrayLike, auxdata: ArrayLike | None = None) -> Observed:
        """Return checked data."""
        ...

    def least(self, observed: Observed) -> Array:
        """Return a bound of -2 log L from below (P,) or (1,)."""
        ...

    def value(self, pars: Array, observed: Observed) -> Array:
        """Return -2 log L (P,) at parameters (n, P), ``inf`` where a rate is not positive."""
        ...

    def derivatives(
        self, pars: Array, observed: Observed, information: Mask | None = None
    ) -> Derivatives:
        """Return value, gradient and Hessian at parameters (n, P)."""
        ...

    def expected(self, pars: ArrayLike) -> Array:
        """Return expected counts (P, B) at parameters (P, n)."""
        ...

    def expected_auxdata(self, pars: ArrayLike) -> Array:
        """Return expected auxiliary data (P, A) at parameters (P, n)."""
        ...

    def twice_nll(
        self, pars: ArrayLike, data: ArrayLike, auxdata: ArrayLike | None = None
    ) -> Array:
        """Return -2 log L (P,) at parameters (P, n)."""
        ...

    def index(self, name: str) -> int:
        """Return the index of a parameter."""
        ...


class Rates(Protocol):
    """Expected counts of a model and the derivatives of the Poisson part of -2 log L.

    Attributes:
        floats_per_point: numbers that derivatives at a point hold at once.
        floats_per_value: numbers of the largest array of a point without derivatives.
    """

    floats_per_point: int
    floats_per_value: int
    local: Index

    def rates(self, pars: Array, templates: Array | None = None) -> Array:
        """Return expected counts (B, P) at parameters (n, P)."""
        ...

    def derivatives(
        self, pars: Array, data: tuple[Array, Mask | None], templates: Array | None = None
    ) -> tuple[Array, Array, Hessian]:
        """Return rates (B, P), gradient (n, P) and second derivatives."""
        ...


class BatchedLikelihood:
    """P evaluations of one HistFactory model in one call.

    Models with few effects and no parameters per bin are evaluated by their terms, the others
    row by row (:mod:`~histnu.inference.engine.terms`, :mod:`~histnu.inference.engine.rows`).

    Args:
        compiled: arrays of the model; use :meth:`from_model` or :meth:`from_workspace`.
        model: makes the pyhf model when it is asked for, or None.
        template_sample: sample whose yields are given per problem, see :meth:`with_template`.

    Attributes:
        parameter_names: flat names in pyhf's order (``model.config.par_names``).
        init: (n,) suggested start; bounds: (n, 2); fixed: (n,) mask.
        poi_index: index of the parameter of interest, or None.
        n_bins: B. channels: name -> slice of the bins. auxdata: (A,) observed values.
        kinks: parameters at whose zero the likelihood has a kink.
        local: parameters whose second derivatives are kept apart, see :mod:`.hessian`.
        floats_per_point: numbers that the evaluation of a point holds at once.
        rates: evaluates expected counts and their derivatives.
    """

    def __init__(
        self,
        compiled: Compiled,
        model: Callable[[], Any] | None = None,
        template_sample: str | None = None,
    ) -> None:
        _keep_freed_memory()
        self.compiled = compiled
        self._make_model = model
        self.parameter_names = compiled.parameter_names
        self.init = compiled.init
        self.bounds = compiled.bounds
        self.fixed = compiled.fixed
        self.poi_index = compiled.poi_index
        self.channels = compiled.channels
        self.n_bins = compiled.n_bins
        self.auxdata = compiled.constraints.auxdata
        self.observation: Array | None = None
        self.template_sample = template_sample
        self.kinks = kinks(compiled)
        self.rates: Rates = (
            TermRates(compiled)
            if template_sample is None and by_terms(compiled)
            else RowRates(compiled, template_sample)
        )
        self.local = self.rates.local
        self.floats_per_point = self.rates.floats_per_point
        normal, scale = compiled.constraints.normal, compiled.constraints.scale
        self._gauss = _Auxiliary.of(compiled.constraints, normal, 1 / scale)
        self._poisson = _Auxiliary.of(compiled.constraints, ~normal, scale)

    @functools.cached_property
    def model(self) -> Any:
        """The pyhf model, made when it is first asked for; None without a document."""
        return None if self._make_model is None else self._make_model()

    # ------------------------------------------------------------------ construction
    @classmethod
    def from_model(cls, model: Any) -> BatchedLikelihood:
        """Return the batched likelihood of a ``pyhf.Model``.

        Raises:
            FitError: the model uses something the engine does not support (named).
        """
        return cls(compile_model(model), lambda: model)

    @classmethod
    def from_workspace(
        cls,
        document: Mapping[str, Any],
        measurement: str | None = None,
        modifier_settings: Mapping[str, Any] | None = None,
    ) -> BatchedLikelihood:
        """Return the batched likelihood of a pyhf workspace document.

        Args:
            document: the workspace JSON as a mapping.
            measurement: name of the measurement; the first if None.
            modifier_settings: interpolation codes; pyhf's defaults (normsys code4,
                histosys code4p) if None.

        Raises:
            WorkspaceError: it is no valid workspace.
            FitError: the engine does not support it.
        """
        settings = {k: dict(v) for k, v in (modifier_settings or PYHF_DEFAULTS).items()}
        try:
            spec, observation = read_workspace(document, measurement)
            compiled = compile_spec(spec, settings)
        except WorkspaceError as error:
            raise WorkspaceError(f"not a valid workspace: {error}") from None
        kept = json.dumps(document)  # what the caller does to the document later does not matter
        likelihood = cls(compiled, lambda: _pyhf_model(kept, measurement, settings))
        likelihood.observation = observation
        return likelihood

    def with_template(self, sample: str) -> BatchedLikelihood:
        """Return a likelihood whose nominal yields of ``sample`` are given per problem.

        The yields are passed as ``templates`` (P, B) to :meth:`observe`.

        Raises:
            FitError: the sample is unknown, or has modifiers whose size depends on its
                nominal yields (histosys, shapesys, staterror).
        """
        rows = [row for row in self.compiled.rows if row.sample == sample]
        if not rows:
            known = ", ".join(sorted({row.sample for row in self.compiled.rows}))
            raise FitError(f"no sample {sample!r} in the model; choose from {known}")
        if any(row.differences or row.layers for row in rows):
            raise FitError(
                f"sample {sample!r} has histosys, shapesys or staterror modifiers, "
                "which depend on its nominal yields; it cannot be replaced per problem"
            )
        out = BatchedLikelihood(self.compiled, self._make_model, sample)
        out.observation = self.observation
        return out

    # ------------------------------------------------------------------ data
    def index(self, name: str) -> int:
        """Return the index of parameter ``name``; FitError if there is none."""
        try:
            return self.parameter_names.index(name)
        except ValueError:
            known = ", ".join(self.parameter_names)
            raise FitError(f"no parameter {name!r}; choose from {known}") from None

    def observe(
        self,
        data: ArrayLike,
        auxdata: ArrayLike | None = None,
        templates: ArrayLike | None = None,
    ) -> Observed:
        """Return checked data for :meth:`value` and :meth:`derivatives`.

        Args:
            data: (B,) or (P, B) counts.
            auxdata: (A,) or (P, A); the model's own if None.
            templates: (P, B) yields of the sample chosen with :meth:`with_template`.

        Raises:
            FitError: wrong shape, a NaN, an infinity or a negative count.
        """
        main = self._checked("data", data, self.n_bins)
        aux = self._checked("auxdata", self.auxdata if auxdata is None else auxdata, None)
        if (templates is None) != (self.template_sample is None):
            raise FitError("give templates exactly when with_template() chose a sample")
        if np.any(main < 0):
            raise FitError(f"data holds a negative count ({main.min():g})")
        yields = None
        if templates is not None:
            yields = self._checked("templates", templates, self.n_bins)
        c = self.compiled.constraints
        scale, scale_aux = (np.where(x > 0, x, 1.0) for x in (main, aux))
        poisson = ~c.normal
        constant = 2 * _saturated(main, scale).sum(axis=0)
        constant = constant + 2 * _saturated(aux[poisson], scale_aux[poisson]).sum(axis=0)
        constant = constant + (2 * np.log(c.scale[c.normal]) + _LOG_2PI).sum()
        return Observed(main, aux, constant, scale, scale_aux, yields)

    def least(self, observed: Observed) -> Array:
        """Return a bound from below (P,) or (1,): -2 log L with everything as it was observed."""
        poisson = ~self.compiled.constraints.normal
        none = (observed.main == 0).sum(axis=0) + (observed.aux[poisson] == 0).sum(axis=0)
        return np.asarray(observed.constant - 2 * none)  # written with 1 in place of no counts

    def _checked(self, name: str, values: ArrayLike, width: int | None) -> Array:
        """Return (width, P) from (width,) or (P, width), all finite."""
        width = len(self.auxdata) if width is None else width
        array = np.asarray(values, dtype=float)
        if array.ndim not in (1, 2) or array.shape[-1] != width:
            raise FitError(f"{name} has shape {array.shape}; the last axis must be {width}")
        if not np.all(np.isfinite(array)):
            raise FitError(f"{name} holds a NaN or an infinity")
        return np.ascontiguousarray(np.atleast_2d(array).T)

    # ------------------------------------------------------------------ evaluation
    def value(self, pars: Array, observed: Observed) -> Array:
        """Return -2 log L (P,) at parameters (n, P).

        It is ``inf`` where an expected count is negative, or zero with events observed. Of large
        models a few points are evaluated at a time, in work arrays about the size of a cache.
        """
        points, step = pars.shape[1], max(int(_WORK_BYTES / 8 / self.rates.floats_per_value), 1)
        if points > step:
            parts = [slice(k, k + step) for k in range(0, points, step)]
            return np.concatenate([self.value(pars[:, w], observed.select(w)) for w in parts])
        return self._twice_nll(pars, self.rates.rates(pars, observed.templates), observed)

    def _twice_nll(self, pars: Array, rates: Array, observed: Observed) -> Array:
        """Return -2 log L (P,) from the expected counts (B, P).

        Written as ``2 sum_b d [q - 1 - log q]`` with ``q = lambda / d`` and a constant: these
        terms are small near the minimum and insensitive to the rounding of q there. With 10^5
        events the sum of ``lambda - d log lambda`` is rounded to 1e-9, which is as much as the
        last steps of a fit gain.
        """
        main = observed.main
        positive = bool(rates.min(initial=1.0) > 0)
        safe = rates if positive else np.where(rates > 0, rates, 1.0)
        ratio = safe / observed.scale
        logs = np.log(ratio)
        logs *= main
        ratio -= 1
        ratio *= observed.scale
        ratio -= logs
        if not positive:
            ratio += np.where(rates > 0, 0.0, rates - 1)
        out = 2 * ratio.sum(axis=0) + observed.constant
        gauss, poisson = self._gauss, self._poisson
        pull = (pars[gauss.parameters] - observed.aux[gauss.where]) * gauss.scale
        out += (pull * pull).sum(axis=0)
        if len(poisson.where):
            mean = pars[poisson.parameters] * poisson.scale
            aux, scale = (x[poisson.where] for x in (observed.aux, observed.scale_aux))
            ratio = mean / scale
            out += 2 * (scale * (ratio - 1) - xlogy(aux, ratio)).sum(axis=0)
        if not positive:
            out[np.any((rates < 0) | ((rates == 0) & (main > 0)), axis=0)] = np.inf
        return np.where(np.isnan(out), np.inf, out) if len(poisson.where) else out

    def derivatives(
        self, pars: Array, observed: Observed, information: Mask | None = None
    ) -> Derivatives:
        """Return -2 log L, gradient (n, P) and Hessian (n, n, P) at parameters (n, P).

        Where ``information`` (P,) is True the Hessian is that of the expected information,
        ``2 sum_b dlambda_b dlambda_b / lambda_b`` (Fisher scoring): positive definite, and the
        better model of -2 log L far from its minimum. Elsewhere it has all second derivatives.
        Where -2 log L is ``inf`` the derivatives are finite but meaningless.
        """
        data = (observed.main, information)
        rates, gradient, second = self.rates.derivatives(pars, data, observed.templates)
        self._constraint_derivatives(pars, observed, (gradient, second))
        return Derivatives(self._twice_nll(pars, rates, observed), gradient, second)

    def _constraint_derivatives(
        self, pars: Array, observed: Observed, out: tuple[Array, Hessian]
    ) -> None:
        """Add gradient and second derivatives of the auxiliary measurements."""
        gradient, second = out
        diagonal = np.zeros_like(pars)
        i = self._gauss.parameters
        inverse = 2 * np.square(self._gauss.scale)
        gradient[i] += inverse * (pars[i] - observed.aux[self._gauss.where])
        diagonal[i] = inverse
        i = self._poisson.parameters
        if len(i):
            aux = observed.aux[self._poisson.where]
            gradient[i] += 2 * (self._poisson.scale - aux / pars[i])
            diagonal[i] = 2 * aux / np.square(pars[i])
        second.add_diagonal(diagonal)

    # ------------------------------------------------------------------ public values
    def expected(self, pars: ArrayLike, templates: ArrayLike | None = None) -> Array:
        """Return expected counts, shape (P, B), at parameters (P, n) or (n,)."""
        theta = self._parameters(pars)
        if (templates is None) != (self.template_sample is None):
            raise FitError("give the templates chosen with with_template()")
        yields = None
        if templates is not None:
            yields = self._checked("templates", templates, self.n_bins)
        return self.rates.rates(theta, yields).T

    def expected_auxdata(self, pars: ArrayLike) -> Array:
        """Return expected auxiliary data, shape (P, A), at parameters (P, n) or (n,)."""
        theta = self._parameters(pars)
        c = self.compiled.constraints
        return (theta[c.parameters] * np.where(c.normal, 1.0, c.scale)[:, None]).T

    def twice_nll(
        self,
        pars: ArrayLike,
        data: ArrayLike,
        auxdata: ArrayLike | None = None,
        templates: ArrayLike | None = None,
    ) -> Array:
        """Return -2 log L, shape (P,), equal to ``-2 * model.logpdf``.

        Args:
            pars: (P, n) or (n,) parameters.
            data: (B,) or (P, B) counts.
            auxdata: (A,) or (P, A); the model's own if None.
            templates: (P, B), see :meth:`with_template`.

        Where an expected count is negative, or zero with events observed, it is ``inf``.
        """
        return self.value(self._parameters(pars), self.observe(data, auxdata, templates))

    def gradient(self, pars: ArrayLike, data: ArrayLike, auxdata: ArrayLike | None = None) -> Array:
        """Return d(-2 log L)/d theta, shape (P, n)."""
        return self.derivatives(self._parameters(pars), self.observe(data, auxdata)).gradient.T

    def hessian(self, pars: ArrayLike, data: ArrayLike, auxdata: ArrayLike | None = None) -> Array:
        """Return the second derivatives of -2 log L, shape (P, n, n)."""
        h = self.derivatives(self._parameters(pars), self.observe(data, auxdata)).hessian
        return np.ascontiguousarray(np.moveaxis(h, -1, 0))

    def _parameters(self, pars: ArrayLike) -> Array:
        """Return parameters as (n, P)."""
        return checked_parameters(pars, len(self.parameter_names))


@functools.cache
def _keep_freed_memory() -> None:
    """Let the C library keep work arrays that are freed, for the next evaluation.

    glibc maps large arrays anew in every call and clears their pages, until a larger one has been
    freed; 32 MB is the largest that counts (mallopt(3), M_MMAP_THRESHOLD). This one is not touched.
    """
    np.empty(31 * 2**17)


def _saturated(counts: Array, scale: Array) -> Array:
    """Return what makes ``scale (q - 1) - d log q`` minus the logarithm of a Poisson."""
    return np.asarray(gammaln(np.maximum(counts, 0.0) + 1) + scale - counts * np.log(scale))


def checked_parameters(pars: ArrayLike, n: int) -> Array:
    """Return (n, P) from (P, n) or (n,); FitError on any other shape."""
    array = np.asarray(pars, dtype=float)
    if array.ndim not in (1, 2) or array.shape[-1] != n:
        raise FitError(f"parameters have shape {array.shape}; the last axis must be {n}")
    return np.ascontiguousarray(np.atleast_2d(array).T)


def _pyhf_model(kept: str, measurement: str | None, settings: Mapping[str, Any]) -> Any:
    """Return the ``pyhf.Model`` of a document."""
    import pyhf  # four seconds of import: only where a model is asked for

    workspace = pyhf.Workspace(json.loads(kept), validate=False)  # it was read already
    return workspace.model(
        measurement_name=measurement, modifier_settings=dict(settings), validate=False
    )
