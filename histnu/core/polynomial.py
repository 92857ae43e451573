"""Polynomials that map physical parameters to the strengths of basis templates.

Every model of histnu is linear in a few basis spectra whose strengths are polynomials of
the physical parameters (a magnetic moment enters squared, a millicharge linearly and
squared). One small, exact, JSON-serialisable object serves physics, workspaces (where the
strengths are ``normfactor`` parameters) and inference (which needs the derivatives).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histnu.core.errors import PhysicsError

Monomial = tuple[float, Mapping[str, int]]


@dataclass(frozen=True)
class PolynomialMap:
    """Strengths ``s_k(theta) = sum_j c_kj prod_i theta_i**n_kji`` of K basis templates.

    Attributes:
        parameters: names of the D physical parameters theta.
        outputs: names of the K strengths (the ``normfactor`` names of a workspace).
        terms: for each output its monomials ``(coefficient, {parameter: power})``.

    >>> q = PolynomialMap(("q",), ("lin", "sq"), (((1.0, {"q": 1}),), ((1.0, {"q": 2}),)))
    >>> q([[2.0], [-3.0]]).tolist()
    [[2.0, 4.0], [-3.0, 9.0]]
    """

    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    terms: tuple[tuple[Monomial, ...], ...]

    def __post_init__(self) -> None:
        if len(self.terms) != len(self.outputs):
            raise PhysicsError(f"{len(self.outputs)} outputs but {len(self.terms)} term lists")
        known = set(self.parameters)
        for monomials in self.terms:
            for _, powers in monomials:
                unknown = set(powers) - known
                if unknown:
                    raise PhysicsError(f"unknown parameter {sorted(unknown)} in a polynomial")
                if any(n < 0 for n in powers.values()):
                    raise PhysicsError("powers of a polynomial must be >= 0")

    @cached_property
    def _flat(self) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
        """Return (output index, coefficient, powers) of all monomials: (J,), (J,), (J, D)."""
        index, coefficient, powers = [], [], []
        for k, monomials in enumerate(self.terms):
            for c, n in monomials:
                index.append(k)
                coefficient.append(c)
                powers.append([n.get(p, 0) for p in self.parameters])
        shape = (len(index), len(self.parameters))
        return (
            np.array(index, dtype=np.intp),
            np.array(coefficient, dtype=float),
            np.array(powers, dtype=np.intp).reshape(shape),
        )

    def __call__(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Return the strengths, shape (..., K), at parameters of shape (..., D)."""
        return self._evaluate(np.asarray(theta, dtype=float), ())

    def jacobian(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Return ``d s_k / d theta_i``, shape (..., K, D)."""
        t = np.asarray(theta, dtype=float)
        return np.stack([self._evaluate(t, (i,)) for i in range(len(self.parameters))], axis=-1)

    def hessian(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Return ``d^2 s_k / d theta_i d theta_j``, shape (..., K, D, D)."""
        t = np.asarray(theta, dtype=float)
        n = range(len(self.parameters))
        rows = [np.stack([self._evaluate(t, (i, j)) for j in n], axis=-1) for i in n]
        return np.stack(rows, axis=-2)

    def _evaluate(self, t: NDArray[np.float64], derive: Sequence[int]) -> NDArray[np.float64]:
        """Evaluate the polynomial, differentiated once for each index in ``derive``."""
        if t.shape[-1:] != (len(self.parameters),):
            raise PhysicsError(
                f"parameters have shape {t.shape}; the last axis must be {len(self.parameters)}"
            )
        index, coefficient, powers = self._flat
        for i in derive:
            coefficient = coefficient * powers[:, i]
            powers = powers.copy()
            powers[:, i] = np.maximum(powers[:, i] - 1, 0)
        monomials = coefficient * np.prod(t[..., None, :] ** powers, axis=-1)
        select = (index[:, None] == np.arange(len(self.outputs))).astype(float)
        return np.asarray(monomials @ select)

    def restricted(self, outputs: Collection[str]) -> PolynomialMap:
        """The map to some of the outputs, of the parameters that these depend on."""
        rows = [(k, t) for k, t in zip(self.outputs, self.terms, strict=True) if k in outputs]
        used = {p for _, monomials in rows for _, powers in monomials for p in powers}
        return PolynomialMap(
            tuple(p for p in self.parameters if p in used),
            tuple(k for k, _ in rows),
            tuple(t for _, t in rows),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description (see :meth:`from_json`)."""
        return {
            "parameters": list(self.parameters),
            "outputs": list(self.outputs),
            "terms": [
                [{"coefficient": float(c), "powers": dict(sorted(n.items()))} for c, n in monomials]
                for monomials in self.terms
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PolynomialMap:
        """Rebuild a map written by :meth:`to_json`."""
        return cls(
            tuple(document["parameters"]),
            tuple(document["outputs"]),
            tuple(
                tuple((float(m["coefficient"]), dict(m["powers"])) for m in monomials)
                for monomials in document["terms"]
            ),
        )
