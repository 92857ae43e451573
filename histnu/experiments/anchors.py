"""Numbers on the anchors of shape parameters, and their reduction to -1 and +1 deviation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histnu.core.errors import DataError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AnchorGrid:
    """Numbers on the anchors of k shape parameters.

    Attributes:
        parameters: names, k of them (may be none).
        anchors: values of each parameter, in standard deviations, increasing.
        values: shape (n_1, ..., n_k, ...): one array per anchor point.
    """

    parameters: tuple[str, ...]
    anchors: tuple[Array, ...]
    values: Array

    def __post_init__(self) -> None:
        sizes = tuple(a.size for a in self.anchors)
        if self.values.shape[: len(sizes)] != sizes:
            raise DataError(f"anchors {sizes} do not fit values of shape {self.values.shape}")

    def at(self, **point: float) -> Array:
        """Values at an anchor; parameters not given are at zero.

        Raises:
            DataError: if there is no such anchor.
        """
        index = []
        for name, anchors in zip(self.parameters, self.anchors, strict=True):
            match = np.flatnonzero(np.isclose(anchors, point.get(name, 0.0)))
            if match.size != 1:
                raise DataError(f"{name} has no anchor at {point.get(name, 0.0)}")
            index.append(int(match[0]))
        return np.asarray(self.values[tuple(index)])

    def pairs(self) -> dict[str, tuple[Array, Array]]:
        """Values at -1 and +1 of each parameter, as HistFactory needs them.

        HistFactory multiplies the changes of two parameters. Where both move the same way, which
        is where limits are set, the true total differs from the product by ``c = T(s,s) T(0,0) /
        (T(s,0) T(0,s))``; each of the two is therefore multiplied by ``sqrt(c)``.
        """
        pairs = {p: (self.at(**{p: -1.0}), self.at(**{p: 1.0})) for p in self.parameters}
        if len(self.parameters) != 2:
            return pairs
        factors = [self._correlation(sign) for sign in (-1.0, 1.0)]
        return {p: (down * factors[0], up * factors[1]) for p, (down, up) in pairs.items()}

    def _correlation(self, sign: float) -> Array:
        """``sqrt(c)`` of :meth:`pairs`; one where a total is zero or changes sign."""
        first, second = self.parameters
        points: tuple[dict[str, float], ...] = (
            {first: sign, second: sign},
            {},
            {first: sign},
            {second: sign},
        )
        both, none, one, other = (self.at(**p).sum(axis=0) for p in points)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = both * none / (one * other)
        return np.asarray(np.where(np.isfinite(ratio) & (ratio > 0), np.sqrt(np.abs(ratio)), 1.0))

    def scaled(self, factor: float) -> AnchorGrid:
        """The same grid times a number."""
        return AnchorGrid(self.parameters, self.anchors, self.values * factor)
