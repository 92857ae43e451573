"""Rates with one parameter per bin, or with yields given per problem.

A shape group g has rates ``lambda_gb = G_gb(gamma) M_gb``: ``M`` the sum of its terms and ``G``
the product of its layers of per-bin parameters (shapesys, staterror, shapefactor). Templates
replace the histograms of some terms by yields of every problem. Both need the Jacobian of the
rates, (n, B, P); models without them use the cheaper sums over terms of
:class:`~histnu.inference.engine.likelihood.BatchedLikelihood`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled
from histnu.inference.engine.kernel import StrengthKernel, Strengths

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Weights:
    """Weights of the Poisson part, all (B, P), of half of -2 log L.

    Attributes:
        residual: ``1 - d / lambda``, of the gradient.
        product: of products of first derivatives.
        second: of second derivatives: the residual, or zero for the expected information.
    """

    residual: Array
    product: Array
    second: Array

    @classmethod
    def of(cls, rates: Array, main: Array, information: Mask | None) -> Weights:
        """Return the weights, finite where an expected count is not positive.

        Products are weighted by ``d / lambda^2``, or by ``1 / lambda`` where the expected
        information is asked for.
        """
        safe = rates if rates.min(initial=1.0) > 0 else np.where(rates > 0, rates, 1.0)
        ratio = main / safe
        residual = 1 - ratio
        if information is None or not information.any():
            return cls(residual, ratio / safe, residual)
        product = np.where(information, 1.0, ratio) / safe
        return cls(residual, product, np.where(information, 0.0, residual))


class ShapedRates:
    """Rates and derivatives of shape groups and templates.

    Args:
        compiled: the model. kernel: its strengths. histograms: (T, B), zero for the terms
            that templates replace. replaced: those terms.
    """

    def __init__(
        self, compiled: Compiled, kernel: StrengthKernel, histograms: Array, replaced: Index
    ) -> None:
        self._kernel = kernel
        self._histograms = histograms
        self._layers = compiled.groups
        self._n = len(compiled.init)
        numbers = np.array([term.group for term in compiled.terms], dtype=np.intp)
        self._terms = [np.flatnonzero(numbers == g) for g in range(len(compiled.groups))]
        self.active = any(len(layers) for layers in compiled.groups)
        self._replaced = replaced
        self._group_of = numbers
        self._masks = np.zeros((len(replaced), compiled.n_bins, 1), dtype=bool)
        for mask, t in zip(self._masks, replaced, strict=True):
            mask[compiled.channels[compiled.terms[t].channel]] = True

    def _before(self, strengths: Array, templates: Array | None) -> list[Array]:
        """Return M (B, P) of every group."""
        groups = [self._histograms[t].T @ strengths[t] for t in self._terms]
        if templates is not None:
            for t, mask in zip(self._replaced, self._masks, strict=True):
                groups[self._group_of[t]] += strengths[t] * np.where(mask, templates, 0.0)
        return groups

    def rates(self, pars: Array, strengths: Array, templates: Array | None) -> Array:
        """Return expected counts (B, P) at parameters (n, P) and strengths (T, P)."""
        groups = self._before(strengths, templates)
        factors = [_factors(pars, layers) for layers in self._layers]
        return _total([m * _product(f) for m, f in zip(groups, factors, strict=True)])

    def derivatives(
        self,
        pars: Array,
        strengths: Strengths,
        templates: Array | None,
        data: tuple[Array, Mask | None],
        out: tuple[Array, Array],
    ) -> tuple[Array, Array]:
        """Add to gradient and Hessian of half of -2 log L.

        Args:
            pars: (n, P). strengths: of the terms. templates: (B, P) or None.
            data: counts (B, P) and the mask of the expected information.
            out: gradient (n, P) and Hessian (n, n, P) to add to.

        Returns:
            Expected counts (B, P), and for each term the sum over bins of its histogram times
            the weight of second derivatives, (T, P).
        """
        groups = self._before(strengths.value, templates)
        factors = [_factors(pars, layers) for layers in self._layers]
        rates = _total([m * _product(f) for m, f in zip(groups, factors, strict=True)])
        weights = Weights.of(rates, *data)
        jacobian = np.zeros((self._n, *rates.shape))
        pull = np.zeros_like(strengths.value)
        for g, (before, shapes) in enumerate(zip(groups, factors, strict=True)):
            product = _product(shapes)
            pull[self._terms[g]] = self._histograms[self._terms[g]] @ (weights.second * product)
            slopes = self._slopes(strengths, g, templates)
            jacobian += slopes * product
            self._layer_slopes(g, before, shapes, jacobian)
            self._cross(g, slopes, (shapes, weights.second), out[1])
            self._layer_pairs(g, before, (shapes, weights.second), out[1])
        if templates is not None:  # replaced terms have no layers
            for t, mask in zip(self._replaced, self._masks, strict=True):
                pull[t] = np.where(mask, templates * weights.second, 0.0).sum(axis=0)
        out[0][...] += np.einsum("ibp,bp->ip", jacobian, weights.residual)
        out[1][...] += _gram(jacobian, weights.product)
        return rates, pull

    def _slopes(self, s: Strengths, g: int, templates: Array | None) -> Array:
        """Return the derivatives (n, B, P) of M of group ``g``."""
        k, terms = self._kernel, self._terms[g]
        position = np.full(len(s.value), -1, dtype=np.intp)
        position[terms] = np.arange(len(terms))
        chosen = np.flatnonzero(position[k.first_term] >= 0)
        dense = np.zeros((self._n, len(terms), s.value.shape[1]))
        dense[k.first_parameter[chosen], position[k.first_term[chosen]]] = s.first[chosen]
        slopes = np.matmul(self._histograms[terms].T, dense)
        if templates is not None:
            for t, mask in zip(self._replaced, self._masks, strict=True):
                if position[t] >= 0:
                    slopes += dense[:, position[t], None, :] * np.where(mask, templates, 0.0)
        return slopes

    def _layer_slopes(self, g: int, before: Array, shapes: list[Array], jacobian: Array) -> None:
        """Add the derivatives of the rates with respect to per-bin parameters."""
        for m, layer in enumerate(self._layers[g]):
            bins = np.flatnonzero(layer >= 0)
            slope = before * _product(shapes[:m] + shapes[m + 1 :])
            jacobian[layer[bins], bins] += slope[bins]

    def _cross(
        self, g: int, slopes: Array, shape: tuple[list[Array], Array], hessian: Array
    ) -> None:
        """Add second derivatives in one per-bin and one other parameter."""
        shapes, weight = shape
        for m, layer in enumerate(self._layers[g]):
            scale = weight * _product(shapes[:m] + shapes[m + 1 :])
            for b in np.flatnonzero(layer >= 0):
                cross = slopes[:, b] * scale[b]
                hessian[:, layer[b]] += cross
                hessian[layer[b], :] += cross

    def _layer_pairs(
        self, g: int, before: Array, shape: tuple[list[Array], Array], hessian: Array
    ) -> None:
        """Add second derivatives in two per-bin parameters of different layers."""
        shapes, weight = shape
        layers = self._layers[g]
        for m, first in enumerate(layers):
            for q in range(m + 1, len(layers)):
                rest = [x for r, x in enumerate(shapes) if r not in (m, q)]
                twice = before * weight * _product(rest)
                for b in np.flatnonzero((first >= 0) & (layers[q] >= 0)):
                    hessian[first[b], layers[q][b]] += twice[b]
                    hessian[layers[q][b], first[b]] += twice[b]


def _factors(pars: Array, layers: tuple[Index, ...]) -> list[Array]:
    """Return the per-bin factors (B, P) of each layer: a parameter, or 1 where there is none."""
    return [np.where((x >= 0)[:, None], pars[np.maximum(x, 0)], 1.0) for x in layers]


def _product(factors: list[Array]) -> Array:
    """Return the product of arrays, (1, 1) ones for none."""
    out = np.ones((1, 1))
    for k, factor in enumerate(factors):
        out = factor if k == 0 else out * factor
    return out


def _total(groups: list[Array]) -> Array:
    """Return the sum of arrays."""
    return groups[0] if len(groups) == 1 else np.sum(groups, axis=0)


def _gram(jacobian: Array, weight: Array) -> Array:
    """Return ``sum_b J_ib w_b J_jb`` as (n, n, P)."""
    per_point = np.ascontiguousarray(np.moveaxis(jacobian, -1, 0))
    weighted = np.ascontiguousarray(np.moveaxis(jacobian * weight, -1, 0))
    return np.moveaxis(per_point @ weighted.transpose(0, 2, 1), 0, -1)
