"""Random valid HistFactory documents, and an independent search of their minima with pyhf."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyhf
from iminuit import Minuit
from scipy.optimize import minimize

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
    """Minima of pyhf's own -2 log L from many starts, gradients by its batched models."""

    def __init__(self, document: Json, measurement: str) -> None:
        workspace = pyhf.Workspace(document, validate=False)
        self.model = workspace.model(measurement_name=measurement, validate=False)
        self.data = np.array(workspace.data(self.model))
        config = self.model.config
        self.init = np.array(config.suggested_init(), dtype=float)
        self.bounds = np.array(config.suggested_bounds(), dtype=float)
        self.held = np.array(config.suggested_fixed(), dtype=bool)
        n = len(self.init)
        self._batch = workspace.model(
            measurement_name=measurement, validate=False, batch_size=2 * n + 1
        )
        self.empty = np.flatnonzero(self.data[: config.nmaindata] == 0)
        self.counted = np.flatnonzero(self.data[: config.nmaindata] > 0)
        self._names = config.par_names
        self._last: tuple[bytes, Array] = (b"", self.init)

    def value(self, x: Array) -> float:
        """-2 log L; infinite at negative rates, which pyhf itself accepts in empty bins."""
        with np.errstate(all="ignore"):
            value = -2 * float(self.model.logpdf(x, self.data)[0])
            rates = self.rates(x)
        bad = not np.isfinite(value) or np.any(rates < -1e-7) or np.any(rates[self.counted] <= 0)
        return np.inf if bad else value

    def rates(self, x: Array) -> Array:
        """Expected counts of all bins."""
        return np.asarray(self.model.main_model.expected_data(x))

    def _around(self, x: Array) -> tuple[Array, Array]:
        """Points at both sides of each parameter and ``x`` (2 n + 1, n), and their steps (n,)."""
        n = len(x)
        step = 1e-6 * np.maximum(1.0, np.abs(x))
        points = np.tile(x, (2 * n + 1, 1))
        points[np.arange(n), np.arange(n)] += step
        points[n + np.arange(n), np.arange(n)] -= step
        return points, step

    def slope(self, x: Array) -> tuple[float, Array]:
        """-2 log L and its central differences, in one batched call."""
        points, step = self._around(x)
        with np.errstate(all="ignore"):
            value = -2 * np.asarray(self._batch.logpdf(points, self.data), dtype=float).ravel()
        value = np.where(np.isfinite(value), value, 1e8)
        return float(value[-1]), (value[: len(x)] - value[len(x) : -1]) / (2 * step)

    def emptied(self, x: Array) -> tuple[Array, Array]:
        """Rates (bins,) of the empty bins and their central differences (bins, n)."""
        if self._last[0] != x.tobytes():  # SLSQP asks for rates and slopes at one point in turn
            rates = np.asarray(self._batch.main_model.expected_data(self._around(x)[0]))
            self._last = x.tobytes(), rates[:, self.empty]
        rates, n = self._last[1], len(x)
        return rates[-1], ((rates[:n] - rates[n:-1]) / (2 * self._around(x)[1][:, None])).T

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
        least = 0.2 * np.maximum(self.data[: self.model.config.nmaindata], 1.0)

        def missing(z: Array) -> float:
            y = x.copy()
            y[free] = z
            return float(np.square(np.maximum(least - self.rates(y), 0.0)).sum())

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

        def objective(z: Array) -> tuple[float, Array]:
            value, gradient = self.slope(full(z))
            return value, gradient[free]

        constraints = []
        if len(self.empty):
            constraints.append({
                "type": "ineq",
                "fun": lambda z: self.emptied(full(z))[0],
                "jac": lambda z: self.emptied(full(z))[1][:, free],
            })  # fmt: skip
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # scipy 1.13: x outside its bounds
            found = minimize(
                objective, x[free], jac=True, method="SLSQP", bounds=self.bounds[free],
                constraints=constraints, options={"ftol": 1e-8, "maxiter": 200},
            )  # fmt: skip
        low, high = self.bounds[free].T
        return self.value(full(np.clip(found.x, low, high)))

    def minuit(self, fixed: dict[str, float], start: Array) -> float:
        """-2 log L where MIGRAD ends from one start, with the same slopes."""
        x, free = self._free(fixed, start)

        def full(z: Array) -> Array:
            y = x.copy()
            y[free] = z
            return y

        minuit = Minuit(
            lambda z: min(self.value(full(z)), 1e8), x[free],
            grad=lambda z: self.slope(full(z))[1][free],
        )  # fmt: skip
        minuit.limits = [tuple(b) for b in self.bounds[free]]
        minuit.errordef, minuit.tol = 1.0, 1e-3
        minuit.migrad(ncall=4000)
        return self.value(full(np.asarray(minuit.values)))
