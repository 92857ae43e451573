"""Second derivatives of P problems, without the zeros among parameters that act in one bin each.

A parameter per bin (a staterror, say) that acts in one bin only couples to every parameter that
changes the bin, but of its own kind to those of the same bin alone. With such *local* parameters
last the matrix is an arrow::

    H = [[C, B], [B', A]],    H^-1 from the Schur complement  C - B A^-1 B',

``C`` (k, k), ``B`` (k, L) and ``A`` of a small block for every bin. Only these are kept: a Newton
step costs ``k^2 L`` instead of ``(k + L)^3``, and exactly the same system is solved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Arrow:
    """What belongs to the L local parameters: first those alone in their bins, then pairs, ...

    Attributes:
        border: (k, L, P) their second derivatives with the others.
        inner: (s, s, G, P) those of the s parameters of each of G bins, for every s.
        others, local: (k,) and (L,) numbers of the parameters; local ones of s to a bin are in
            the order of (s, G).
    """

    border: Array
    inner: tuple[Array, ...]
    others: Index
    local: Index

    def grids(self, x: NDArray[Any]) -> Iterator[tuple[Array, NDArray[Any]]]:
        """Yield each of ``inner`` and its part (s, G, ...) of values (L, ...), a view."""
        start = 0
        for a in self.inner:
            size = a.shape[0] * a.shape[2]
            yield a, x[start : start + size].reshape(a.shape[0], a.shape[2], *x.shape[1:])
            start += size

    def map(self, border: Array, inner: tuple[Array, ...]) -> Arrow:
        """Return another of the same parameters."""
        return Arrow(border, inner, self.others, self.local)


@dataclass(frozen=True)
class Hessian:
    """Second derivatives in n parameters of P problems.

    Attributes:
        core: (n, n, P), or (k, k, P) in the parameters that are not local.
        arrow: the local parameters, None where there are none.
    """

    core: Array
    arrow: Arrow | None = None

    def select(self, which: slice | Mask | Index) -> Hessian:
        """Return those of a subset of the problems."""
        a = self.arrow
        core = self.core[..., which]
        if a is None:
            return Hessian(core)
        return Hessian(core, a.map(a.border[..., which], tuple(x[..., which] for x in a.inner)))

    def where(self, taken: Mask, other: Hessian) -> Hessian:
        """Return these where ``taken`` (P,), elsewhere those of ``other``."""
        core = np.where(taken, self.core, other.core)
        a, b = self.arrow, other.arrow
        if a is None or b is None:
            return Hessian(core)
        inner = tuple(np.where(taken, x, y) for x, y in zip(a.inner, b.inner, strict=True))
        return Hessian(core, a.map(np.where(taken, a.border, b.border), inner))

    def diagonal(self) -> Array:
        """Return the diagonals (n, P)."""
        core = np.einsum("iip->ip", self.core)
        a = self.arrow
        if a is None:
            return core
        inner = [np.einsum("iigp->igp", x).reshape(-1, x.shape[-1]) for x in a.inner]
        return self._joined(core, np.concatenate(inner))

    def add_diagonal(self, values: Array) -> None:
        """Add values (n, P) to the diagonals, in place."""
        diagonal = np.einsum("iip->ip", self.core)  # a view
        a = self.arrow
        diagonal += values if a is None else values[a.others]
        if a is not None:
            for inner, x in a.grids(values[a.local]):
                diagonal = np.einsum("iigp->igp", inner)
                diagonal += x

    def scaled(self, scale: Array) -> Hessian:
        """Return rows and columns times ``scale`` (n, P)."""
        a = self.arrow
        s = scale if a is None else scale[a.others]
        core = _scaled(self.core, s, s)
        if a is None:
            return Hessian(core)
        t = scale[a.local]
        inner = tuple(x * (y[:, None] * y) for x, y in a.grids(t))
        return Hessian(core, a.map(_scaled(a.border, s, t), inner))

    def times(self, x: Array) -> Array:
        """Return the products (n, P) with vectors (n, P)."""
        a = self.arrow
        if a is None:
            return _product(self.core, x)
        y, z = x[a.others], x[a.local]
        core = _product(self.core, y) + _product(a.border, z)
        local = np.einsum("ijp,ip->jp", a.border, y)
        for (inner, of), (_, out) in zip(a.grids(z), a.grids(local), strict=True):
            out += np.einsum("ijgp,jgp->igp", inner, of)
        return self._joined(core, local)

    def dense(self) -> Array:
        """Return the whole matrices (n, n, P)."""
        a = self.arrow
        if a is None:
            return self.core
        n = len(a.others) + len(a.local)
        out = np.zeros((self.core.shape[-1], n, n)).transpose(1, 2, 0)
        out[np.ix_(a.others, a.others)] = self.core
        out[np.ix_(a.others, a.local)] = a.border
        out[np.ix_(a.local, a.others)] = a.border.swapaxes(0, 1)
        for inner, number in a.grids(a.local):
            out[number[:, None], number] = inner
        return out

    def _joined(self, others: Array, local: Array) -> Array:
        """Return (n, P) from values of the local and the other parameters."""
        a = self.arrow
        assert a is not None
        out = np.empty((len(a.others) + len(a.local), others.shape[1]))
        out[a.others], out[a.local] = others, local
        return out


# Matrices (..., P) may lie problem by problem in memory, or with the problems side by side.
def _by_problem(matrices: Array) -> bool:
    """Whether the problems are the outermost axis in memory."""
    return matrices.strides[-1] > matrices.strides[0]


def _scaled(matrices: Array, rows: Array, columns: Array) -> Array:
    """Return matrices (m, n, P) times ``rows`` (m, P) and ``columns`` (n, P), as they lie."""
    if not _by_problem(matrices):
        return matrices * (rows[:, None] * columns)
    out = matrices.transpose(2, 0, 1) * np.ascontiguousarray(rows.T)[:, :, None]
    out *= np.ascontiguousarray(columns.T)[:, None]
    return out.transpose(1, 2, 0)


def _product(matrices: Array, x: Array) -> Array:
    """Return the products (m, P) of matrices (m, n, P) with vectors (n, P)."""
    if not _by_problem(matrices):
        return np.einsum("ijp,jp->ip", matrices, x)
    return np.asarray((matrices.transpose(2, 0, 1) @ x.T[..., None])[..., 0].T)
