"""The batched engine against a loop over pyhf, in the same run.

    python -m tests.benchmarks.benchmark_engine            the table
    python -m tests.benchmarks.benchmark_engine --plot docs/figures/engine_scaling.png
    python -m tests.benchmarks.benchmark_engine --workspace FILE --parameter NAME

A pyhf loop is timed on a subsample where the whole task would take minutes; the column ``of``
says on how many points. Times are processor time, which other work on the machine does not
change; set OMP_NUM_THREADS=1 to measure one core. pyhf runs with its own default tolerances,
minuit as in :mod:`histnu.inference.engine.reference`; jax is used if it is installed.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pyhf

from histnu.inference import BatchedLikelihood, MappedLikelihood, best_fit, fit, profile
from tests.inference import examples

Array = np.ndarray


@dataclass(frozen=True)
class Task:
    """P conditional fits: values held, and data of each.

    Attributes:
        name: of the task. likelihood: of the model.
        held: parameter -> (P,) values. main, aux: (P, B), (P, A) data or one row.
    """

    name: str
    likelihood: BatchedLikelihood
    held: dict[str, Array]
    main: Array
    aux: Array

    @property
    def points(self) -> int:
        """Number of fits."""
        sizes = [len(v) for v in self.held.values()]
        return max([*sizes, len(np.atleast_2d(self.main))])


@dataclass(frozen=True)
class Timing:
    """Seconds per fit and the minima found on ``points`` fits."""

    seconds: float
    points: int
    minima: Array


def tasks(likelihood: BatchedLikelihood, parameter: str, second: str) -> list[Task]:
    """Return the 1-D scan, the 2-D scan and the toys of one model."""
    main, aux = likelihood.observation, likelihood.auxdata
    assert main is not None
    best = best_fit(likelihood)
    top = max(2.0, 4 * best.parameters[parameter])
    line = np.linspace(0, top, 200)
    xx, yy = np.meshgrid(np.linspace(0, top, 100), np.linspace(-2.5, 2.5, 100))
    rng = np.random.default_rng(1)
    truth = np.array([best.parameters[k] for k in likelihood.parameter_names])
    toys = rng.poisson(likelihood.expected(truth)[0], (10_000, likelihood.n_bins)).astype(float)
    c = likelihood.compiled.constraints
    center = likelihood.expected_auxdata(truth)[0]
    spread = np.where(c.normal, c.scale, 0.0)
    fluctuated = rng.normal(center, spread, (10_000, len(center)))
    value = np.full(10_000, best.parameters[parameter])
    return [
        Task("1-D scan, 200", likelihood, {parameter: line}, main, aux),
        Task(
            "2-D scan, 100x100", likelihood, {parameter: xx.ravel(), second: yy.ravel()}, main, aux
        ),
        Task("10,000 toys", likelihood, {parameter: value}, toys, fluctuated),
    ]


def run_batched(task: Task) -> Timing:
    """Time the engine on the whole task: the best of 3 to 30 repetitions in about a second."""
    likelihood = task.likelihood
    best, spent, repeat = np.inf, 0.0, 0
    while repeat < 3 or (spent < 1.0 and repeat < 30):
        start = process_time()
        observed = likelihood.observe(task.main, task.aux)
        free = likelihood.observe(likelihood.observation)
        first = fit(likelihood, free).parameters[0]  # a scan starts from the best fit
        found = fit(likelihood, observed, task.held, first)
        seconds = process_time() - start
        best, spent, repeat = min(best, seconds), spent + seconds, repeat + 1
    assert found.converged.all()
    return Timing(best / task.points, task.points, found.twice_nll)


def run_pyhf(task: Task, optimizer: Any, sample: int, backend: str = "numpy") -> Timing:
    """Time pyhf on evenly spread points of the task."""
    chosen = np.unique(np.linspace(0, task.points - 1, sample).round().astype(int))
    pyhf.set_backend(backend, optimizer)
    _pyhf_fit(task, 0)  # jax compiles at the first fit
    start = process_time()
    minima = [_pyhf_fit(task, int(p)) for p in chosen]
    seconds = (process_time() - start) / len(chosen)
    full = np.full(task.points, np.nan)
    full[chosen] = minima
    return Timing(seconds, len(chosen), full)


def _pyhf_fit(task: Task, p: int) -> float:
    """Return -2 log L of one fit by pyhf with its current backend, NaN if it fails."""
    likelihood = task.likelihood
    model, config = likelihood.model, likelihood.model.config
    init, fixed = config.suggested_init(), config.suggested_fixed()
    for name, values in task.held.items():
        init[likelihood.index(name)] = float(values[p])
        fixed[likelihood.index(name)] = True
    main = task.main if task.main.ndim == 1 else task.main[p]
    aux = task.aux if task.aux.ndim == 1 else task.aux[p]
    data = np.concatenate([main, aux]).tolist()
    try:
        _, value = pyhf.infer.mle.fit(
            data, model, init, config.suggested_bounds(), fixed, return_fitted_val=True
        )
    except pyhf.exceptions.FailedMinimization:
        return float("nan")
    return float(value)


def optimizers() -> list[tuple[str, str, Any, int]]:
    """Return (label, backend, optimizer, points timed)."""
    out = [
        ("pyhf numpy+scipy", "numpy", pyhf.optimize.scipy_optimizer(), 200),
        (
            "pyhf numpy+minuit",
            "numpy",
            pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1),
            30,
        ),
    ]
    if importlib.util.find_spec("jax") is not None:
        out.append(("pyhf jax+scipy", "jax", pyhf.optimize.scipy_optimizer(), 200))
    return out


def compare(name: str, likelihood: BatchedLikelihood, names: tuple[str, str]) -> list[dict]:
    """Return one row per task and engine."""
    rows = []
    for task in tasks(likelihood, *names):
        mine = run_batched(task)
        rows.append(_row(name, task, "batched", mine, mine))
        for label, backend, optimizer, sample in optimizers():
            size = sample if task.points <= 200 else min(sample, 100)
            other = run_pyhf(task, optimizer, size, backend)
            rows.append(_row(name, task, label, other, mine))
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer())
    return rows


def _row(name: str, task: Task, engine: str, timing: Timing, mine: Timing) -> dict:
    """Return one row of the table; ``pyhf lower`` and ``pyhf higher`` are in -2 log L."""
    gap = timing.minima - mine.minima
    gap = gap[np.isfinite(gap)]
    return {
        "workspace": name,
        "task": task.name,
        "engine": engine,
        "us_per_point": timing.seconds * 1e6,
        "of": timing.points,
        "ratio": timing.seconds / mine.seconds,
        "higher": float(gap.max(initial=0.0)),
        "lower": abs(float(gap.min(initial=0.0))),
    }


def print_table(rows: list[dict]) -> None:
    """Print the rows."""
    print(
        f"{'workspace':<12}{'task':<20}{'engine':<20}{'us/point':>11}{'of':>7}{'ratio':>8}"
        f"{'above by':>11}{'below by':>11}"
    )
    for r in rows:
        print(
            f"{r['workspace']:<12}{r['task']:<20}{r['engine']:<20}{r['us_per_point']:>11.1f}"
            f"{r['of']:>7d}{r['ratio']:>8.0f}{r['higher']:>11.1e}{r['lower']:>11.1e}"
        )


def charges() -> dict:
    """Return the time of the six-charge profile of one parameter at 200 points."""
    document, polynomial = examples.millicharge()
    likelihood = MappedLikelihood(BatchedLikelihood.from_workspace(document), polynomial)
    start = process_time()
    found = profile(likelihood, None, "q_ee", np.linspace(-5, 8, 200))
    seconds = process_time() - start
    assert found.converged.all()
    return {"task": "six charges, global profile of q_ee, 200 points", "seconds": seconds}


# ------------------------------------------------------------------ scaling
def _time(work: Callable[[], Any], repeat: int = 3) -> float:
    times = []
    for _ in range(repeat):
        start = process_time()
        work()
        times.append(process_time() - start)
    return min(times)


def _scan_time(likelihood: BatchedLikelihood, points: int) -> float:
    """Return the seconds of a scan of ``mu`` (one fit per point)."""
    observed = likelihood.observe(likelihood.observation)
    start = fit(likelihood, observed).parameters[0]
    held = {"mu": np.linspace(0, 1, points)}
    return _time(lambda: fit(likelihood, observed, held, start))


def _toy_time(likelihood: BatchedLikelihood, toys: int) -> float:
    """Return the seconds of toys, each fitted freely and at the tested value."""
    rng = np.random.default_rng(2)
    mean = likelihood.expected(likelihood.init)[0]
    observed = likelihood.observe(rng.poisson(mean, (toys, len(mean))).astype(float))

    def work() -> None:
        held = fit(likelihood, observed, {"mu": 1.0}, likelihood.init)
        fit(likelihood, observed, None, held.parameters)

    return _time(work, 2)


def _pyhf_time(likelihood: BatchedLikelihood, points: int = 10) -> float:
    """Return pyhf's seconds per point of the same scan."""
    main, aux = likelihood.observation, likelihood.auxdata
    assert main is not None
    task = Task("scan", likelihood, {"mu": np.linspace(0, 1, points)}, main, aux)
    return run_pyhf(task, pyhf.optimize.scipy_optimizer(), points).seconds


def large(bins: int, normsys: int, staterror: bool) -> dict[str, Any]:
    """Return one channel of five samples, each with all normsys, and one staterror if asked."""
    rng = np.random.default_rng(1)
    x = (np.arange(bins) + 0.5) / bins
    samples = []
    for k in range(5):
        data = 20 + 80 * np.exp(-k * x) * (1 + 0.3 * np.sin(6 * x + k))
        size = rng.uniform(0.005, 0.05, normsys) * rng.choice([-1, 1], normsys)
        modifiers: list[dict[str, Any]] = [
            {"name": f"n{i}", "type": "normsys", "data": {"lo": 1 - a, "hi": 1 + 0.9 * a}}
            for i, a in enumerate(size.tolist())
        ]
        if k == 0:
            modifiers.append({"name": "mu", "type": "normfactor", "data": None})
        if staterror:
            modifiers.append({"name": "mc", "type": "staterror", "data": (0.03 * data).tolist()})
        samples.append({"name": f"sample_{k}", "data": data.tolist(), "modifiers": modifiers})
    total = np.sum([s["data"] for s in samples], axis=0)
    counts = rng.poisson(total).astype(float).tolist()
    return examples.workspace({"bins": samples}, {"bins": counts}, "mu")


def _fit_time(likelihood: BatchedLikelihood) -> float:
    """Return the seconds of one free fit from the suggested start."""
    observed = likelihood.observe(likelihood.observation)
    return _time(lambda: fit(likelihood, observed))


def _pyhf_free(likelihood: BatchedLikelihood) -> float:
    """Return the seconds of pyhf's free fit with SLSQP."""
    data = np.concatenate([likelihood.observation, likelihood.auxdata]).tolist()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(maxiter=100_000))
    return _time(lambda: pyhf.infer.mle.fit(data, likelihood.model), 1)


def _sizes(
    values: list[int], make: Callable[[int], dict[str, Any]], most_pyhf: int
) -> dict[str, list[float]]:
    """Return free fits of documents of growing size; pyhf's up to a size."""
    models = {n: BatchedLikelihood.from_workspace(make(n)) for n in values}
    small = [n for n in values if n <= most_pyhf]
    return {
        "x": [float(n) for n in values],
        "batched": [_fit_time(m) for m in models.values()],
        "pyhf_x": [float(n) for n in small],
        "pyhf": [_pyhf_free(models[n]) for n in small],
    }


def _building(values: list[int]) -> dict[str, list[float]]:
    """Return the seconds to build models of growing size."""
    documents = [large(50, n, True) for n in values]
    x = [float(n) for n in values]
    return {
        "x": x,
        "batched": [_time(lambda d=d: BatchedLikelihood.from_workspace(d)) for d in documents],
        "pyhf_x": x,
        "pyhf": [_time(lambda d=d: pyhf.Workspace(d).model(), 1) for d in documents],
    }


def scaling() -> dict[str, dict[str, list[float]]]:
    """Return how the cost grows with points and toys, bins, parameters, and the document."""
    combined = BatchedLikelihood.from_workspace(examples.combined())
    out: dict[str, dict[str, list[float]]] = {}
    sizes = [1, 10, 100, 1000, 10_000, 100_000]
    reference = _pyhf_time(combined)
    for key, work, count in (("points", _scan_time, 1), ("toys", _toy_time, 2)):
        x = sizes if key == "points" else sizes[2:]
        out[key] = {
            "x": x,
            "batched": [work(combined, n) / n for n in x],
            "pyhf_x": x,
            "pyhf": [count * reference] * len(x),
        }
    out["bins"] = _sizes([10, 100, 1000, 10_000], lambda n: examples.binned(n, 12), 10_000)
    out["normsys"] = _sizes([10, 30, 100, 300, 1000], lambda n: large(50, n, False), 100)
    out["staterror"] = _sizes([50, 100, 200, 500, 1000], lambda n: large(n, 10, True), 100)
    out["build"] = _building([10, 30, 100, 300, 1000])
    return out


_PANELS = {
    "points": ("points of a scan (7 bins, 9 nuisances)", "per point"),
    "toys": ("toys (7 bins, 9 nuisances)", "per toy of two fits"),
    "bins": ("bins (13 parameters)", "of a free fit"),
    "normsys": ("normsys on each of 5 samples (50 bins)", "of a free fit"),
    "staterror": ("bins with a staterror (10 normsys)", "of a free fit"),
    "build": ("normsys on each of 5 samples (50 bins)", "to build the model"),
}


def plot(results: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw the panels of :func:`scaling`, in the project's style with the numbers beside it."""
    from histnu.plotting.canvas import COLORS, label_axes, write_figure
    from histnu.plotting.style import figure_style

    columns = {}
    with figure_style() as plt:
        figure, axes = plt.subplots(2, 3, figsize=(12, 6.8), layout="constrained")
        for axis, (key, (title, what)) in zip(axes.T.flat, _PANELS.items(), strict=True):
            r = results[key]
            axis.loglog(r["pyhf_x"], r["pyhf"], "s--", color=COLORS[3], label="pyhf (numpy, SLSQP)")
            axis.loglog(r["x"], r["batched"], "o-", color=COLORS[0], label="histnu")
            label_axes(axis, title, f"seconds {what}")
            low, high = min(r["batched"]), max(max(r["pyhf"]), max(r["batched"]))
            axis.set_ylim(low / 3, high * 3)
            if max(r["x"]) <= 1000:
                axis.set_xticks(r["x"], [f"{n:.0f}" for n in r["x"]])
                axis.minorticks_off()
            columns |= {f"{key}_{name}": values for name, values in r.items()}
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center",
                      ncols=2, frameon=False)  # fmt: skip
        write_figure(figure, columns, path)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, help="a workspace document besides the built-in")
    parser.add_argument("--parameter", default="mu", help="its scanned parameter")
    parser.add_argument("--second", default="b8_flux", help="its second scanned parameter")
    parser.add_argument("--plot", type=Path, help="only draw how the cost grows")
    parser.add_argument("--json", type=Path, help="write all numbers")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"numpy {np.__version__}, pyhf {pyhf.__version__}"
    )
    if options.plot:
        results = {"scaling": scaling()}
        plot(results["scaling"], options.plot)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
        return
    models = [
        ("combined", examples.combined(), ("mu", "b8_flux")),
        ("162 bins", examples.binned(162, 12), ("mu", "nuisance_0")),
    ]
    if options.workspace:
        document = json.loads(options.workspace.read_text())
        models.append(("given", document, (options.parameter, options.second)))
    rows = []
    for name, document, names in models:
        rows += compare(name, BatchedLikelihood.from_workspace(document), names)
    print_table(rows)
    six = charges()
    print(f"{six['task']}: {six['seconds']:.2f} s")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "charges": six}, indent=1))


__all__ = ["compare", "main", "run_batched", "scaling", "tasks"]

if __name__ == "__main__":
    main()
