"""A HistFactory likelihood that holds P parameter points, data sets or templates at once.

    -2 log L = 2 sum_b [lambda_b - d_b log lambda_b + log Gamma(d_b + 1)]
               - 2 sum_a log f_a(a_a | theta),

with ``f_a`` a Gaussian or a Poisson as in pyhf, constants included: the value equals
``-2 * model.logpdf(...)``. Gradients and Hessians are analytic.

References: HistFactory, CERN-OPEN-2012-016; pyhf, JOSS 6 (2021) 2823.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlogy

from histnu.errors import FitError, WorkspaceError
from histnu.inference.engine.compile import Compiled, Constraints, compile_model
from histnu.inference.engine.kernel import StrengthKernel, Strengths
from histnu.inference.engine.shapes import ShapedRates, Weights

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

_MAX_PRODUCTS = 1500  # longest list of products of derivatives that is evaluated at once
_LOG_2PI = float(np.log(2 * np.pi))
PYHF_DEFAULTS = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


@dataclass(frozen=True)
class Observed:
    """Data of P problems (or of one, shared by all), points on the last axis.

    Attributes:
        main: (B, P) or (B, 1) counts.
        aux: (A, P) or (A, 1) auxiliary data.
        constant: (P,) or (1,) the part of -2 log L that depends on the data alone.
        templates: per-problem nominal yields of one sample, (B, P), or None.
    """

    main: Array
    aux: Array
    constant: Array
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
    """-2 log L (P,), its gradient (n, P) and Hessian (n, n, P); ``inf`` where undefined."""

    value: Array
    gradient: Array
    hessian: Array


class Likelihood(Protocol):
    """What the minimiser and the statistics need of a likelihood."""

    parameter_names: tuple[str, ...]
    init: Array
    bounds: Array
    fixed: Mask

    def observe(self, data: ArrayLike, auxdata: ArrayLike | None = None) -> Observed:
        """Return checked data."""
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


class BatchedLikelihood:
    """P evaluations of one HistFactory model in one call.

    Args:
        compiled: arrays of the model; use :meth:`from_model` or :meth:`from_workspace`.
        document: the workspace it was made from, if any.

    Attributes:
        parameter_names: flat names in pyhf's order (``model.config.par_names``).
        init: (n,) suggested start; bounds: (n, 2); fixed: (n,) mask.
        poi_index: index of the parameter of interest, or None.
        n_bins: B. channels: name -> slice of the bins. auxdata: (A,) observed values.
        model: the pyhf model, when made from one.
    """

    def __init__(self, compiled: Compiled, model: Any = None) -> None:
        self.compiled = compiled
        self.model = model
        self.parameter_names = compiled.parameter_names
        self.init = compiled.init
        self.bounds = compiled.bounds
        self.fixed = compiled.fixed
        self.poi_index = compiled.poi_index
        self.channels = compiled.channels
        self.n_bins = compiled.n_bins
        self.auxdata = compiled.constraints.auxdata
        self.observation: Array | None = None
        self.template_sample: str | None = None
        self._kernel = StrengthKernel(compiled.terms)
        self._histograms = np.stack([t.histogram for t in compiled.terms])
        self._prepare()

    # ------------------------------------------------------------------ construction
    @classmethod
    def from_model(cls, model: Any) -> BatchedLikelihood:
        """Return the batched likelihood of a ``pyhf.Model``.

        Raises:
            FitError: the model uses something the engine does not support (named).
        """
        return cls(compile_model(model), model)

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
            WorkspaceError: pyhf refuses the document.
            FitError: the engine does not support it.
        """
        import pyhf  # four seconds of import: only where a document is given

        settings = {k: dict(v) for k, v in (modifier_settings or PYHF_DEFAULTS).items()}
        try:
            workspace = pyhf.Workspace(dict(document))
            model = workspace.model(measurement_name=measurement, modifier_settings=settings)
            data = workspace.data(model, include_auxdata=False)
        except AssertionError as error:  # pyhf checks the codes with assert
            raise FitError(f"unknown interpolation code in {settings}") from error
        except (pyhf.exceptions.InvalidSpecification, ValueError, KeyError) as error:
            raise WorkspaceError(f"pyhf refuses the workspace: {error}".splitlines()[0]) from error
        except Exception as error:
            if type(error).__module__.startswith("pyhf"):
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise WorkspaceError(f"pyhf refuses the workspace: {first}") from error
            raise
        likelihood = cls.from_model(model)
        likelihood.observation = np.asarray(data, dtype=float)
        return likelihood

    def _prepare(self) -> None:
        """Precompute what depends on the model alone."""
        c = self.compiled
        normal = c.constraints.normal
        self._gauss = _Auxiliary.of(c.constraints, normal, 1 / c.constraints.scale)
        self._poisson = _Auxiliary.of(c.constraints, ~normal, c.constraints.scale)
        hist = self._histograms
        self._shapes = ShapedRates(c, self._kernel, hist, np.zeros(0, dtype=np.intp))
        overlap = (hist[:, None] != 0) & (hist[None] != 0)
        first, second = np.nonzero(overlap.any(axis=2))
        upper = first <= second
        self._pair_histograms = hist[first[upper]] * hist[second[upper]]
        zero_row = int(upper.sum())  # pairs that share no bin point at a row of zeros
        self._pair_of = np.full((len(hist), len(hist)), zero_row, dtype=np.intp)
        self._pair_of[first[upper], second[upper]] = np.arange(zero_row)
        self._pair_of[second[upper], first[upper]] = np.arange(zero_row)
        k = self._kernel
        edges = np.flatnonzero(np.diff(k.first_parameter, prepend=-1))
        self._parameter_starts = edges
        self._parameters_used = k.first_parameter[edges]
        self._parameter_entries = np.split(np.arange(len(k.first_parameter)), edges[1:])
        self._plan_pairs()
        self.kinks = np.array(sorted({e.parameter for e in k.effects if not e.smooth}), np.intp)
        n = len(self.init)
        shaped = 3 * n * self.n_bins if self._shapes.active else 0
        self.floats_per_point = (
            (3 * n * n + 5 * self.n_bins + 4 * len(k.first_term) + 3 * len(k.second_term))
            + len(self._pair_histograms)
            + shaped
        )
        key = k.second_i * len(self.init) + k.second_j
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        self._second_starts = starts
        self._second_pairs = (k.second_i[starts], k.second_j[starts])

    def _plan_pairs(self) -> None:
        """List the products of first derivatives that make up the Hessian, if they are few.

        A row is (entry a, entry b, histogram pair) with parameters i <= j and terms that
        share a bin; rows are sorted by (i, j).
        """
        k = self._kernel
        parameter, term = k.first_parameter, k.first_term
        self._products: tuple[Index, Index, Index, Index] | None = None
        if len(parameter) > 200:
            return
        overlap = self._pair_of[np.ix_(term, term)] < len(self._pair_histograms)
        a, b = np.nonzero(overlap & (parameter[:, None] <= parameter[None]))
        key = parameter[a] * len(self.init) + parameter[b]
        order = np.argsort(key, kind="stable")
        a, b, key = a[order], b[order], key[order]
        if not 0 < len(a) <= _MAX_PRODUCTS:
            return
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        self._products = (a, b, self._pair_of[term[a], term[b]], starts)
        self._product_pairs = (parameter[a[starts]], parameter[b[starts]])

    def with_template(self, sample: str) -> BatchedLikelihood:
        """Return a likelihood whose nominal yields of ``sample`` are given per problem.

        The yields are passed as ``templates`` (P, B) to :meth:`observe`.

        Raises:
            FitError: the sample is unknown, or has modifiers whose size depends on its
                nominal yields (histosys, shapesys, staterror).
        """
        terms = [(t, x) for t, x in enumerate(self.compiled.terms) if x.sample == sample]
        if not terms:
            known = ", ".join(sorted({x.sample for x in self.compiled.terms}))
            raise FitError(f"no sample {sample!r} in the model; choose from {known}")
        if any(not x.nominal or self.compiled.groups[x.group] for _, x in terms):
            raise FitError(
                f"sample {sample!r} has histosys, shapesys or staterror modifiers, "
                "which depend on its nominal yields; it cannot be replaced per problem"
            )
        out = BatchedLikelihood(self.compiled, self.model)
        out.observation = self.observation
        out.template_sample = sample
        replaced = np.array([t for t, _ in terms], dtype=np.intp)
        out._histograms = self._histograms.copy()
        out._histograms[replaced] = 0.0
        out._shapes = ShapedRates(self.compiled, out._kernel, out._histograms, replaced)
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
        constant = 2 * gammaln(main + 1).sum(axis=0)
        constant = constant + 2 * gammaln(np.maximum(aux, 0)[~c.normal] + 1).sum(axis=0)
        constant = constant + (2 * np.log(c.scale[c.normal]) + _LOG_2PI).sum()
        return Observed(main, aux, constant, yields)

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
    def _rates(self, pars: Array, strengths: Array, observed: Observed | None) -> Array:
        """Return expected counts (B, P)."""
        templates = None if observed is None else observed.templates
        if templates is None and not self._shapes.active:
            return np.asarray(self._histograms.T @ strengths)
        return self._shapes.rates(pars, strengths, templates)

    def value(self, pars: Array, observed: Observed) -> Array:
        """Return -2 log L (P,) at parameters (n, P).

        It is ``inf`` where an expected count is negative, or zero with events observed.
        """
        rates = self._rates(pars, self._kernel.values(pars), observed)
        return self._twice_nll(pars, rates, observed)

    def _twice_nll(self, pars: Array, rates: Array, observed: Observed) -> Array:
        """Return -2 log L (P,) from the expected counts (B, P)."""
        main = observed.main
        positive = bool(rates.min(initial=1.0) > 0)
        logs = np.log(rates) if positive else np.log(np.where(rates > 0, rates, 1.0))
        out = 2 * (rates - main * logs).sum(axis=0) + observed.constant
        gauss, poisson = self._gauss, self._poisson
        pull = (pars[gauss.parameters] - observed.aux[gauss.where]) * gauss.scale
        out += (pull * pull).sum(axis=0)
        if len(poisson.where):
            mean = pars[poisson.parameters] * poisson.scale
            out += 2 * (mean - xlogy(observed.aux[poisson.where], mean)).sum(axis=0)
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
        strengths = self._kernel.derivatives(pars)
        n, points = pars.shape
        gradient, hessian = np.zeros((n, points)), np.zeros((n, n, points))
        if self._shapes.active or observed.templates is not None:
            rates, pull = self._shapes.derivatives(
                pars, strengths, observed.templates, (observed.main, information),
                (gradient, hessian),
            )  # fmt: skip
            self._add_second(strengths, pull, hessian)
        else:
            rates = np.asarray(self._histograms.T @ strengths.value)
            weights = Weights.of(rates, observed.main, information)
            self._term_derivatives(strengths, weights, (gradient, hessian))
        gradient *= 2
        hessian *= 2
        self._constraint_derivatives(pars, observed, (gradient, hessian))
        return Derivatives(self._twice_nll(pars, rates, observed), gradient, hessian)

    def _term_derivatives(self, s: Strengths, weights: Weights, out: tuple[Array, Array]) -> None:
        """Add gradient and Hessian of the Poisson part, in the space of the terms.

        With ``r_b = 1 - d_b / lambda_b`` and ``w_b = d_b / lambda_b^2`` (half of -2 log L):
        ``g_i = sum_t c_t,i (T r)_t`` and
        ``H_ij = sum_tt' c_t,i (T w T')_tt' c_t',j + sum_t (T r)_t c_t,ij``.
        """
        gradient, hessian = out
        k = self._kernel
        pull = self._histograms @ weights.residual
        used, starts = self._parameters_used, self._parameter_starts
        if not len(used):
            return
        gradient[used] += np.add.reduceat(s.first * pull[k.first_term], starts, axis=0)
        if weights.second is not weights.residual:
            pull = self._histograms @ weights.second
        self._add_second(s, pull, hessian)
        if self._products is not None:
            a, b, pair, first = self._products
            rows = s.first[a] * s.first[b]
            rows *= (self._pair_histograms @ weights.product)[pair]
            self._add_pairs(np.add.reduceat(rows, first, axis=0), self._product_pairs, hessian)
            return
        pairs = np.zeros((len(self._pair_histograms) + 1, s.value.shape[1]))
        np.matmul(self._pair_histograms, weights.product, out=pairs[:-1])
        for j, entries in zip(used, self._parameter_entries, strict=True):
            columns = self._pair_of[k.first_term[entries]]
            push = pairs[columns[0]] * s.first[entries[0]]
            for column, entry in zip(columns[1:], entries[1:], strict=True):
                push += pairs[column] * s.first[entry]
            hessian[used, j] += np.add.reduceat(s.first * push[k.first_term], starts, axis=0)

    def _add_second(self, s: Strengths, pull: Array, hessian: Array) -> None:
        """Add ``sum_t pull_t d^2 c_t`` to the Hessian."""
        k = self._kernel
        if not len(k.second_term):
            return
        sums = np.add.reduceat(s.second * pull[k.second_term], self._second_starts, axis=0)
        self._add_pairs(sums, self._second_pairs, hessian)

    @staticmethod
    def _add_pairs(sums: Array, pairs: tuple[Index, Index], hessian: Array) -> None:
        """Add values (N, P) at the places (i, j), i <= j, and at their mirror images."""
        i, j = pairs
        hessian[i, j] += sums
        off = i != j
        hessian[j[off], i[off]] += sums[off]

    def _constraint_derivatives(
        self, pars: Array, observed: Observed, out: tuple[Array, Array]
    ) -> None:
        """Add gradient and Hessian of the auxiliary measurements."""
        gradient, hessian = out
        i = self._gauss.parameters
        inverse = 2 * np.square(self._gauss.scale)
        gradient[i] += inverse * (pars[i] - observed.aux[self._gauss.where])
        hessian[i, i] += inverse
        i = self._poisson.parameters
        if len(i):
            aux = observed.aux[self._poisson.where]
            gradient[i] += 2 * (self._poisson.scale - aux / pars[i])
            hessian[i, i] += 2 * aux / np.square(pars[i])

    # ------------------------------------------------------------------ public values
    def expected(self, pars: ArrayLike, templates: ArrayLike | None = None) -> Array:
        """Return expected counts, shape (P, B), at parameters (P, n) or (n,)."""
        theta = self._parameters(pars)
        observed = None
        if templates is not None:
            observed = self.observe(np.zeros(self.n_bins), templates=templates)
        elif self.template_sample is not None:
            raise FitError("give the templates chosen with with_template()")
        return self._rates(theta, self._kernel.values(theta), observed).T

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


def checked_parameters(pars: ArrayLike, n: int) -> Array:
    """Return (n, P) from (P, n) or (n,); FitError on any other shape."""
    array = np.asarray(pars, dtype=float)
    if array.ndim not in (1, 2) or array.shape[-1] != n:
        raise FitError(f"parameters have shape {array.shape}; the last axis must be {n}")
    return np.ascontiguousarray(np.atleast_2d(array).T)
