"""HistFactory's published formulas and their derivatives, written without histnu and pyhf.

K. Cranmer et al., CERN-OPEN-2012-016; interpolation codes 4 (normsys) and 4p (histosys), pyhf's
defaults. Only the settings of constraints are read from a model of pyhf.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pyhf
from scipy.special import gammaln, xlogy

Json = dict[str, Any]
Array = np.ndarray

PER_BIN = ("staterror", "shapesys", "shapefactor")
POWERS = np.arange(7)


class Normsys:
    """The factor of a normsys of each cell: hi^a, lo^-a, and a polynomial of degree 6 between."""

    def __init__(self, low: Array, high: Array) -> None:
        self.log = np.log([low, high])
        powers = np.arange(1, 7)
        # value, slope and curvature of the polynomial at -1 and 1 are those outside
        rows, wanted = [], []
        for sign, size, log in ((-1, low, self.log[0]), (1, high, self.log[1])):
            rows += [
                sign**powers * 1.0,
                powers * sign ** (powers - 1),
                powers * (powers - 1) * sign**powers,
            ]
            wanted += [size - 1, sign * log * size, log**2 * size]
        self.coefficients = np.linalg.solve(np.array(rows), np.array(wanted))  # (6, cells)
        self.slopes = powers[:, None] * self.coefficients

    def __call__(self, a: float) -> tuple[Array, Array]:
        """Factors (cells,) and their derivatives."""
        if abs(a) >= 1:
            log = self.log[int(a > 0)]
            factor = np.exp(abs(a) * log)
            return factor, np.sign(a) * log * factor
        powers = a**POWERS
        return 1 + powers[1:] @ self.coefficients, powers[:-1] @ self.slopes


class Histosys:
    """What a histosys adds to each cell: linear outside, a polynomial of degree 6 between."""

    def __init__(self, low: Array, high: Array) -> None:
        self.low, self.high = -low, high
        self.half_sum, self.sixteenth = (high - low) / 2, (high + low) / 16

    def __call__(self, a: float) -> tuple[Array, Array]:
        """Added counts (cells,) and their derivatives."""
        if abs(a) >= 1:
            slope = self.high if a > 0 else self.low
            return a * slope, slope
        even = 3 * a**6 - 10 * a**4 + 15 * a**2
        odd = 18 * a**5 - 40 * a**3 + 30 * a
        return a * self.half_sum + even * self.sixteenth, self.half_sum + odd * self.sixteenth


class Formulas:
    """Rates and -2 log L of a document and their slopes.

    A cell is one bin of one sample; ``cells`` counts them all and ``bins`` those of all channels.
    Counted are the factors of a cell that are parameters: ``factors[k, c]`` is the number of
    factor k of cell c, or the number of parameters where it has fewer (1 is written there).
    """

    def __init__(self, document: Json, model: pyhf.Model, counts: Array) -> None:
        self.counts, self.n = counts, model.config.npars
        self._slice = model.config.par_slice
        nominal, bins, factors, systematics = [], [], [], {}
        first = 0
        for channel in sorted(document["channels"], key=lambda c: str(c["name"])):
            width = len(channel["samples"][0]["data"])
            for sample in channel["samples"]:
                here = np.arange(len(nominal), len(nominal) + width)
                nominal += sample["data"]
                bins += range(first, first + width)
                numbers = []
                for modifier in sample["modifiers"]:
                    if modifier["type"] in ("normsys", "histosys"):
                        key = modifier["type"], modifier["name"]
                        systematics.setdefault(key, []).append((here, modifier["data"]))
                    else:
                        numbers.append(self._numbers(modifier, width))
                factors += np.array(numbers, dtype=int).reshape(len(numbers), width).T.tolist()
            first += width
        self.nominal, self.bins = np.array(nominal), np.array(bins)
        self.cells = len(nominal)
        most = max(len(f) for f in factors)
        self.factors = np.array([f + [self.n] * (most - len(f)) for f in factors]).T
        self._systematics(systematics)
        self._constraints(model)
        self._constants()
        n = self.n + 1
        everywhere = np.ones(self.cells, dtype=int)
        systematic = [number * everywhere for number, _ in (*self.multiplied, *self.added)]
        self._places = (self.bins * n + np.vstack([self.factors, *systematic])).ravel()
        self._key = b""

    def _numbers(self, modifier: Json, width: int) -> list[int]:
        """The parameters of a factor in each bin."""
        first = self._slice(modifier["name"]).start
        return [first + (k if modifier["type"] in PER_BIN else 0) for k in range(width)]

    def _systematics(self, found: dict[tuple[str, str], list[tuple[Array, Json]]]) -> None:
        """Factors and additions of all cells with the number of their parameter."""
        self.multiplied: list[tuple[int, Normsys]] = []
        self.added: list[tuple[int, Histosys]] = []
        for (kind, name), places in found.items():
            number = self._slice(name).start
            low, high = np.full((2, self.cells), 1.0 if kind == "normsys" else 0.0)
            for here, data in places:
                if kind == "normsys":
                    low[here], high[here] = data["lo"], data["hi"]
                else:
                    low[here] = np.array(data["lo_data"]) - self.nominal[here]
                    high[here] = np.array(data["hi_data"]) - self.nominal[here]
            if kind == "normsys":
                self.multiplied.append((number, Normsys(low, high)))
            else:
                self.added.append((number, Histosys(low, high)))

    def _constraints(self, model: pyhf.Model) -> None:
        """Parameter, auxiliary measurement and width (or factor) of both kinds of constraint."""
        rows, poisson = np.zeros((3, 0)), []
        for name in model.config.auxdata_order:
            part, where = model.config.param_set(name), self._slice(name)
            counted = part.pdf_type == "poisson"
            third = part.factors if counted else part.width()
            rows = np.hstack([rows, [np.arange(where.start, where.stop), part.auxdata, third]])
            poisson += [counted] * len(part.auxdata)
        self._constrained, self._poisson = rows, np.array(poisson, dtype=bool)

    def _constants(self) -> None:
        """What -2 log L has of the counts and auxiliary measurements alone."""
        number, measured, third = self._constrained
        normal, poisson = ~self._poisson, self._poisson
        place = number.astype(int)
        self.normal = place[normal], measured[normal], third[normal]
        self.poisson = place[poisson], measured[poisson], third[poisson]
        counted = np.concatenate([self.counts, measured[poisson]])
        widths = np.log(2 * np.pi * np.square(third[normal]))
        self._constant = float(2 * gammaln(counted + 1).sum() + widths.sum())

    def observing(self, counts: Array, auxiliary: Array) -> Formulas:
        """The same with other counts (bins,) and auxiliary measurements."""
        out = copy(self)
        out._constrained = np.vstack([self._constrained[0], auxiliary, self._constrained[2]])
        out.counts = counts
        out._constants()
        return out

    def _move(self, x: Array) -> None:
        """Evaluate rates at ``x``, and what their slopes are made of, unless they are there."""
        if self._key == (key := x.tobytes()):
            return
        multiplied = [normsys(x[number]) for number, normsys in self.multiplied]
        added = [histosys(x[number]) for number, histosys in self.added]
        self._base = self.nominal + sum(a for a, _ in added)
        self._factor = np.vstack([np.append(x, 1.0)[self.factors], *(f for f, _ in multiplied)])
        self._parts = [slope for _, slope in multiplied], [slope for _, slope in added]
        self._product = np.prod(self._factor, axis=0)
        self._rates = np.bincount(self.bins, self._base * self._product, len(self.counts))
        self._key, self._slopes = key, None

    def _differentiate(self) -> Array:
        """Slopes of the rates (bins, n) where they are evaluated."""
        multiplied, added = self._parts
        one = np.ones((1, self.cells))
        before = np.vstack([one, np.cumprod(self._factor[:-1], axis=0)])
        after = np.vstack([np.cumprod(self._factor[:0:-1], axis=0)[::-1], one])
        others = self._base * before * after
        first = len(self.factors)
        if multiplied:
            others[first:] *= multiplied
        slopes = np.vstack([others, *(self._product * slope for slope in added)])
        shape = len(self.counts), self.n + 1
        table = np.bincount(self._places, slopes.ravel(), shape[0] * shape[1])
        return table.reshape(shape)[:, :-1]

    def rates(self, x: Array) -> Array:
        """Expected counts (bins,)."""
        self._move(x)
        return self._rates

    def slopes(self, x: Array) -> Array:
        """Derivatives of the expected counts (bins, n)."""
        self._move(x)
        if self._slopes is None:
            self._slopes = self._differentiate()
        return self._slopes

    def value(self, x: Array) -> float:
        """-2 log L; not finite where the rate of a bin with events is not positive."""
        rates = self.rates(x)
        number, measured, width = self.normal
        pull = (x[number] - measured) / width
        place, count, factor = self.poisson
        auxiliary = factor * x[place]
        main = rates.sum() - xlogy(self.counts, rates).sum()
        aux = auxiliary.sum() - xlogy(count, auxiliary).sum()
        return float(2 * (main + aux) + pull @ pull) + self._constant

    def slope(self, x: Array) -> Array:
        """Derivatives of -2 log L (n,)."""
        rates, slopes = self.rates(x), self.slopes(x)
        ratio = np.divide(self.counts, rates, out=np.zeros_like(rates), where=self.counts > 0)
        out = 2 * (1 - ratio) @ slopes
        number, measured, width = self.normal
        np.add.at(out, number, 2 * (x[number] - measured) / width**2)
        place, count, factor = self.poisson
        np.add.at(out, place, 2 * (factor - count / x[place]))
        return out
