"""Weights of the Poisson part of -2 log L in its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
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
