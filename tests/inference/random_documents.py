"""Random valid HistFactory documents, and an independent search of their minima with pyhf."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyhf
from iminuit import Minuit
from scipy.optimize import minimize

from tests.inference.formulas import Formulas

Json = dict[str, Any]
Array = np.ndarray

KINDS = ("normsys", "histosys", "staterror", "shapesys", "shapefactor", "lumi", "normfactor")


def document(seed: int) -> Json:
    """A document with one to three channels of one to four bins, two signals and backgrounds.

    Variations are large (histosys down to negative counts), bins may have no background or no
    events, parameters of interest may start at a bound.
    """
    rng = np.random.default_rng(seed)
    channels, observations = [], []
    settings = _parameters(rng)
    for c in range(int(rng.integers(1, 4))):
        samples = _channel(rng, c, int(rng.integers(1, 5)))
        channels.append({"name": f"c{c}", "samples": samples})
        total = sum(np.array(s["data"]) * (0.7 if s["name"].startswith("sig") else 1.0)
                    for s in samples)  # fmt: skip
        counts = rng.poisson(total * rng.choice([0.6, 1.0, 1.3]))
        if rng.random() < 0.3:
            counts[int(rng.integers(len(counts)))] = 0
        observations.append({"name": f"c{c}", "data": counts.astype(float).tolist()})
    measurements = [
        {"name": poi, "config": {"poi": poi, "parameters": settings}} for poi in ("mu", "mu2")
    ]
    return {
        "channels": channels,
        "observations": observations,
        "measurements": measurements,
        "version": "1.0.0",
    }


def _parameters(rng: np.random.Generator) -> list[Json]:
    """Bounds and starts of the two parameters of interest and the luminosity."""
    low, high = (0.0, 30.0) if rng.random() < 0.9 else (-5.0, 100.0)
    start = 0.0 if low == 0.0 and rng.random() < 0.3 else 1.0
    lumi = {
        "name": "lumi", "auxdata": [1.0], "sigmas": [0.05], "inits": [1.0], "bounds": [[0.5, 1.5]],
    }  # fmt: skip
    return [
        {"name": "mu", "bounds": [[low, high]], "inits": [start]},
        {"name": "mu2", "bounds": [[0.0, 10.0]], "inits": [0.5]},
        lumi,
    ]


def _channel(rng: np.random.Generator, c: int, bins: int) -> list[Json]:
    """Two signals and one or two backgrounds; at least one has counts in every bin."""
    samples = []
    for name, modifier in (("sig", "mu"), ("sig2", "mu2")):
        if name == "sig2" and rng.random() < 0.5:
            continue
        data = rng.uniform(1, 20, bins) * rng.choice([0.3, 1.0, 3.0])
        modifiers: list[Json] = [{"name": modifier, "type": "normfactor", "data": None}]
        if rng.random() < 0.5:
            modifiers.append(_normsys(rng, "sigsys"))
        samples.append({"name": name, "data": data.round(3).tolist(), "modifiers": modifiers})
    for k in range(int(rng.integers(1, 3))):
        data = rng.uniform(2, 60, bins)
        if rng.random() < 0.25:
            data[int(rng.integers(bins))] = 0.0
        data = data.round(3)
        chosen = rng.choice(KINDS, int(rng.integers(1, 4)), replace=False)
        modifiers = [_modifier(rng, str(kind), (c, k), data) for kind in chosen]
        samples.append({"name": f"b{k}", "data": data.tolist(), "modifiers": modifiers})
    return samples


def _normsys(rng: np.random.Generator, name: str) -> Json:
    lo, hi = 1 - rng.uniform(0.02, 0.5), 1 + rng.uniform(0.02, 0.6)
    return {"name": name, "type": "normsys", "data": {"lo": round(lo, 4), "hi": round(hi, 4)}}


def _modifier(rng: np.random.Generator, kind: str, place: tuple[int, int], data: Array) -> Json:
    """A modifier of a background; names are shared where that is legal and harder."""
    c, k = place
    if kind == "normsys":
        return _normsys(rng, "bsys")
    if kind == "histosys":
        size = rng.uniform(0.05, 0.4) if rng.random() < 0.6 else rng.uniform(0.5, 1.3)
        lo, hi = (data * (1 + size * rng.uniform(-1, 1, len(data))) for _ in range(2))
        return {
            "name": f"hs{k}", "type": "histosys",
            "data": {"lo_data": lo.round(3).tolist(), "hi_data": hi.round(3).tolist()},
        }  # fmt: skip
    if kind in ("staterror", "shapesys"):
        name = f"st_{c}" if kind == "staterror" else f"ss_{c}_{k}"
        errors = data * rng.uniform(0.05, 0.3, len(data))
        return {"name": name, "type": kind, "data": errors.round(4).tolist()}
    names = {"shapefactor": f"sf_{c}", "lumi": "lumi", "normfactor": "nf"}
    return {"name": names[kind], "type": kind, "data": None}


class PyhfReference:
    """Minima of pyhf's own -2 log L from many starts.

    The searches use the closed formulas of :class:`Formulas` and their slopes, which is an order of
    magnitude faster than pyhf's own rates and differences of them; what a search returns is always
    pyhf's -2 log L of where it ended, and :meth:`faults` compares the formulas with pyhf.
    """

    def __init__(self, document: Json, measurement: str) -> None:
        workspace = pyhf.Workspace(document, validate=False)
        self.model = workspace.model(measurement_name=measurement, validate=False)
        self.data = np.array(workspace.data(self.model))
        config = self.model.config
        self.init = np.array(config.suggested_init(), dtype=float)
        self.bounds = np.array(config.suggested_bounds(), dtype=float)
        self.held = np.array(config.suggested_fixed(), dtype=bool)
        self.counts = self.data[: config.nmaindata]
        self.formulas = Formulas(document, self.model, self.counts)
        self.empty = np.flatnonzero(self.counts == 0)
        self._counted = self.counts != 0
        self._names = config.par_names

    def value(self, x: Array) -> float:
        """-2 log L; infinite at negative rates, which pyhf itself accepts in empty bins."""
        with np.errstate(all="ignore"):
            value = -2 * float(self.model.logpdf(x, self.data)[0])
        return self._where_defined(value, np.asarray(self.model.main_model.expected_data(x)))

    def _where_defined(self, value: float, rates: Array) -> float:
        bad = not np.isfinite(value) or rates.min() < -1e-7 or np.any(rates[self._counted] <= 0)
        return np.inf if bad else value

    def faults(self, x: Array, rng: np.random.Generator) -> list[str]:
        """Where the formulas are not pyhf: -2 log L, rates, their slopes along a direction.

        Central differences of step 1e-5 have relative errors of 1e-10 times (step/scale)^-2, 1e-5
        where a rate of 3e-3 sets the scale, and 1e-12 of rounding.
        """
        step = 1e-5 * rng.choice([-1.0, 1.0], len(x))
        below, above = x - step, x + step
        f, own, main = self.formulas, self.value, self.model.main_model.expected_data
        pairs = {
            "rates": (f.rates(x), main(x), 1e-12),
            "slopes of rates": (f.slopes(x) @ step, (main(above) - main(below)) / 2, 1e-5),
        }
        if np.isfinite(ends := np.array([own(below), own(x), own(above)])).all():
            pairs["-2 log L"] = (f.value(x), ends[1], 1e-12)
            pairs["slope of -2 log L"] = (f.slope(x) @ step, (ends[2] - ends[0]) / 2, 1e-5)
        return [
            f"{name}: {ours} is {theirs} in pyhf"
            for name, (ours, theirs, tolerance) in pairs.items()
            if not np.allclose(ours, theirs, rtol=tolerance, atol=1e-10)
        ]

    def starts(self, count: int, rng: np.random.Generator) -> list[Array]:
        """The suggested start and random points within three widths and the bounds."""
        out = [self.init]
        low, high = self.bounds.T
        for _ in range(count - 1):
            width = np.minimum(1.0, 0.3 * (high - low)) * rng.choice([0.3, 1.0, 3.0])
            out.append(np.clip(self.init + width * rng.uniform(-1, 1, len(low)), low, high))
        return out

    def minimum(self, fixed: dict[str, float], starts: list[Array]) -> float:
        """Lowest -2 log L with some parameters fixed, of SLSQP from all starts.

        Where all are undefined the starts are first moved to where all rates are positive.
        """
        lowest = min((self._slsqp(fixed, s) for s in starts), default=np.inf)
        if np.isfinite(lowest):
            return lowest
        return min((self._slsqp(fixed, self._allowed(fixed, s)) for s in starts), default=np.inf)

    def _allowed(self, fixed: dict[str, float], start: Array) -> Array:
        """Where the squares of missing rates, below 0.2 of the counts, are least from a start."""
        x, free = self._free(fixed, start)
        least = 0.2 * np.maximum(self.counts, 1.0)

        def missing(z: Array) -> float:
            y = x.copy()
            y[free] = z
            return float(np.square(np.maximum(least - self.formulas.rates(y), 0.0)).sum())

        x[free] = minimize(missing, x[free], method="L-BFGS-B", bounds=self.bounds[free]).x
        return x

    def _free(self, fixed: dict[str, float], start: Array) -> tuple[Array, Array]:
        x, free = start.copy(), ~self.held
        for name, value in fixed.items():
            k = self._names.index(name)
            x[k], free[k] = value, False
        return x, np.flatnonzero(free)

    def _slsqp(self, fixed: dict[str, float], start: Array) -> float:
        x, free = self._free(fixed, start)
        if not len(free):
            return self.value(x)

        def full(z: Array) -> Array:
            y = x.copy()
            y[free] = z
            return y

        constraints = []
        if len(self.empty):
            constraints.append({
                "type": "ineq",
                "fun": lambda z: self.formulas.rates(full(z))[self.empty],
                "jac": lambda z: self.formulas.slopes(full(z))[np.ix_(self.empty, free)],
            })  # fmt: skip
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # scipy 1.13: x outside its bounds
            found = minimize(
                lambda z: self._search(full(z), free), x[free], jac=True, method="SLSQP",
                bounds=self.bounds[free], constraints=constraints,
                options={"ftol": 1e-8, "maxiter": 200},
            )  # fmt: skip
        low, high = self.bounds[free].T
        return self.value(full(np.clip(found.x, low, high)))

    def _search(self, x: Array, free: Array) -> tuple[float, Array]:
        """-2 log L and its slopes; large and flat where it is not defined."""
        value = self.formulas.value(x)
        if not np.isfinite(value):
            return 1e8, np.zeros(len(free))
        return value, self.formulas.slope(x)[free]

    def minuit(self, fixed: dict[str, float], start: Array) -> float:
        """-2 log L where MIGRAD ends from one start, with the same slopes."""
        x, free = self._free(fixed, start)

        def full(z: Array) -> Array:
            y = x.copy()
            y[free] = z
            return y

        def value(z: Array) -> float:
            y = full(z)
            return min(self._where_defined(self.formulas.value(y), self.formulas.rates(y)), 1e8)

        minuit = Minuit(value, x[free], grad=lambda z: self._search(full(z), free)[1])
        minuit.limits = [tuple(b) for b in self.bounds[free]]
        minuit.errordef, minuit.tol = 1.0, 1e-3
        with np.errstate(all="ignore"):
            minuit.migrad(ncall=4000)
        return self.value(full(np.asarray(minuit.values)))
