"""Second derivatives of P problems, without the zeros among parameters that act in one bin each.

A parameter per bin (a staterror, say) that acts in one bin only couples to every parameter that
changes the bin, but to no other of its kind. With such *local* parameters last the matrix is an
arrow::

    H = [[C, B], [B', diag d]],    H^-1 from the Schur complement  C - B diag(1/d) B'

of which ``C`` (k, k), ``B`` (k, L) and ``d`` (L,) are kept: a Newton step costs ``k^2 L`` instead
of ``(k + L)^3``, and exactly the same matrix is solved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Arrow:
    """What belongs to the local parameters.

    Attributes:
        border: (k, L, P) their second derivatives with the others. inner: (L, P) the diagonal.
        others, local: (k,) and (L,) numbers of the parameters.
    """

    border: Array
    inner: Array
    others: Index
    local: Index


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
        if a is None:
            return Hessian(self.core[..., which])
        part = Arrow(a.border[..., which], a.inner[..., which], a.others, a.local)
        return Hessian(self.core[..., which], part)

    def among(self, chosen: Index) -> Hessian:
        """Return those in a subset of the parameters (in order)."""
        a = self.arrow
        if a is None:
            return Hessian(self.core[np.ix_(chosen, chosen)])
        size = len(a.others) + len(a.local)
        number = np.full(size, -1)
        number[chosen] = np.arange(len(chosen))
        k, b = (np.flatnonzero(number[x] >= 0) for x in (a.others, a.local))
        part = Arrow(a.border[np.ix_(k, b)], a.inner[b], number[a.others[k]], number[a.local[b]])
        return Hessian(self.core[np.ix_(k, k)], part)

    def where(self, taken: Mask, other: Hessian) -> Hessian:
        """Return these where ``taken`` (P,), elsewhere those of ``other``."""
        core = np.where(taken, self.core, other.core)
        a, b = self.arrow, other.arrow
        if a is None or b is None:
            return Hessian(core)
        border, inner = np.where(taken, a.border, b.border), np.where(taken, a.inner, b.inner)
        return Hessian(core, Arrow(border, inner, a.others, a.local))

    def diagonal(self) -> Array:
        """Return the diagonals (n, P)."""
        core = np.einsum("iip->ip", self.core)
        return core if self.arrow is None else self._joined(core, self.arrow.inner)

    def add_diagonal(self, values: Array) -> None:
        """Add values (n, P) to the diagonals, in place."""
        diagonal = np.einsum("iip->ip", self.core)  # a view
        a = self.arrow
        diagonal += values if a is None else values[a.others]
        if a is not None:
            a.inner[...] += values[a.local]

    def scaled(self, scale: Array) -> Hessian:
        """Return rows and columns times ``scale`` (n, P)."""
        a = self.arrow
        s = scale if a is None else scale[a.others]
        core = self.core * (s[:, None] * s)
        if a is None:
            return Hessian(core)
        t = scale[a.local]
        arrow = Arrow(a.border * (s[:, None] * t), a.inner * t**2, a.others, a.local)
        return Hessian(core, arrow)

    def times(self, x: Array) -> Array:
        """Return the products (n, P) with vectors (n, P)."""
        a = self.arrow
        if a is None:
            return np.einsum("ijp,jp->ip", self.core, x)
        y, z = x[a.others], x[a.local]
        core = np.einsum("ijp,jp->ip", self.core, y) + np.einsum("ijp,jp->ip", a.border, z)
        return self._joined(core, np.einsum("ijp,ip->jp", a.border, y) + a.inner * z)

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
        out[a.local, a.local] = a.inner
        return out

    def _joined(self, others: Array, local: Array) -> Array:
        """Return (n, P) from values of the local and the other parameters."""
        a = self.arrow
        assert a is not None
        out = np.empty((len(a.others) + len(a.local), others.shape[1]))
        out[a.others], out[a.local] = others, local
        return out
