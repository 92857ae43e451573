"""Free fits and profiles of other people's likelihoods, beside pyhf with minuit in the same run.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.benchmark_documents FOLDER [--json FILE] [--jax]

FOLDER holds HistFactory JSON documents. Each is built in a process of its own, which reports time
and memory; then the free fit is timed, pyhf's beside it, and a profile of 50 points over three
standard deviations on both sides of the best fit. Times are processor time. A document whose
parameter of interest is not one of its parameters (a search published without its signals) is
fitted without one and profiled in its first free normfactor.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from histnu.inference import BatchedLikelihood, Problems, fit, minimise, profile

_POINTS = 50


@dataclass(frozen=True)
class Row:
    """What was measured on one document; seconds, megabytes, -2 log L.

    ``memory_mb`` is the peak while the likelihood is built less what the process held before;
    ``fit`` is from the suggested start, as pyhf's, ``certified`` from several starts that agree,
    the median of five fits before pyhf's and five after it; ``pyhf_gap`` is pyhf's minimum minus
    our certified one; ``at_ours`` is pyhf's -2 log L at that minus ours.
    """

    document: str
    parameters: int
    bins: int
    build: float
    memory_mb: float
    fit: float
    certified: float
    profile: float
    profiled: str
    converged: bool
    pyhf_build: float
    pyhf: float
    pyhf_gap: float
    at_ours: float
    jax: float | None = None
    jax_gap: float | None = None

    @property
    def ratio(self) -> float:
        """How many times pyhf's fit takes longer than one fit."""
        return self.pyhf / self.fit

    @property
    def certified_ratio(self) -> float:
        """How many times pyhf's fit takes longer than a certified one."""
        return self.pyhf / self.certified


def read(path: Path) -> dict[str, Any]:
    """Return a document; parameters of interest that it does not have are taken out."""
    document: dict[str, Any] = json.loads(path.read_text())
    names = {m["name"] for c in document["channels"] for s in c["samples"] for m in s["modifiers"]}
    for measurement in document["measurements"]:
        if measurement["config"]["poi"] not in names:
            measurement["config"]["poi"] = ""
    return document


def build(path: Path) -> dict[str, float]:
    """Return seconds and megabytes of one build, in this process."""
    document = read(path)
    before = _memory_mb("VmRSS")
    start = process_time()
    BatchedLikelihood.from_workspace(document)
    seconds = process_time() - start
    return {"build": seconds, "memory_mb": _memory_mb("VmHWM") - before}


def _memory_mb(field: str) -> float:
    """Return a size of this process from the kernel (Linux), megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _built_alone(path: Path) -> dict[str, float]:
    """Return what :func:`build` says in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.benchmark_documents", str(path), "--build"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def _timed(work: Callable[[], Any], repeat: int) -> tuple[list[float], Any]:
    """Return times and the last answer."""
    times, answer = [], None
    for _ in range(repeat):
        start = process_time()
        answer = work()
        times.append(process_time() - start)
    return times, answer


def scanned(likelihood: BatchedLikelihood, best: np.ndarray) -> tuple[str, np.ndarray]:
    """Return the parameter to profile and 50 values within three standard deviations."""
    free = np.flatnonzero(~likelihood.fixed)
    names = [likelihood.parameter_names[i] for i in free]
    chosen = [n for n in sorted(likelihood.compiled.normfactors) if n in names] or names
    if likelihood.poi_index is not None:
        chosen = [likelihood.parameter_names[likelihood.poi_index]]
    i = likelihood.index(chosen[0])
    observed = likelihood.observe(likelihood.observation)
    hessian = likelihood.derivatives(best[:, None], observed).hessian[:, :, 0]
    covariance = 2 * np.linalg.inv(hessian[np.ix_(free, free)])
    at = int(np.searchsorted(free, i))
    width = 3 * np.sqrt(covariance[at, at])
    low, high = likelihood.bounds[i]
    return chosen[0], np.linspace(max(low, best[i] - width), min(high, best[i] + width), _POINTS)


def _pyhf_fit(model: Any, data: Any, backend: str) -> tuple[float, float]:
    """Return seconds and minimum of pyhf's free fit with minuit, NaN where it fails.

    With jax the second of two fits is timed: the first compiles.
    """
    import pyhf

    pyhf.set_backend(backend, pyhf.optimize.minuit_optimizer())
    value = float("nan")
    for _ in range(2 if backend == "jax" else 1):
        start = process_time()
        try:
            value = float(pyhf.infer.mle.fit(data, model, return_fitted_val=True)[1])
        except pyhf.exceptions.FailedMinimization as error:
            value = float(getattr(error.result, "fun", np.nan))
        seconds = process_time() - start
    pyhf.set_backend("numpy")
    return seconds, value


def measure(path: Path, with_jax: bool) -> Row:
    """Return the numbers of one document."""
    import pyhf

    logging.getLogger("pyhf").setLevel(logging.CRITICAL + 1)  # it prints the matrices of a failure
    document = read(path)
    likelihood = BatchedLikelihood.from_workspace(document)
    observed = likelihood.observe(likelihood.observation)
    seconds, found = _timed(lambda: minimise(likelihood, observed, Problems.make(likelihood, 1)), 5)
    before, certified = _timed(lambda: fit(likelihood, observed), 6)
    name, values = scanned(likelihood, found.parameters[0])
    profile_seconds, scan = _timed(lambda: profile(likelihood, None, name, values), 1)
    start = process_time()
    workspace = pyhf.Workspace(document)
    model = workspace.model()
    data = workspace.data(model)
    pyhf_build = process_time() - start
    minimum = float(certified.twice_nll[0])
    at_ours = -2 * float(model.logpdf(certified.parameters[0].tolist(), data)[0]) - minimum
    pyhf_seconds, value = _pyhf_fit(model, data, "numpy")
    after, _ = _timed(lambda: fit(likelihood, observed), 5)
    jax = _pyhf_fit(workspace.model(), data, "jax") if with_jax else (None, np.nan)
    return Row(
        document=path.stem, parameters=len(likelihood.init), bins=likelihood.n_bins,
        fit=float(np.median(seconds)), certified=float(np.median(before[1:] + after)),
        profile=profile_seconds[0], profiled=name,
        converged=all(map(np.all, (found.converged, certified.certified, scan.converged))),
        pyhf_build=pyhf_build,
        pyhf=pyhf_seconds, pyhf_gap=value - minimum, at_ours=at_ours, jax=jax[0],
        jax_gap=jax[1] - minimum, **_built_alone(path),
    )  # fmt: skip


def show(row: Row) -> None:
    """Print one row of a Markdown table."""
    jax = "" if row.jax is None else f" {row.jax:.2f} | {row.jax_gap:+.1e} |"
    print(
        f"| {row.document} | {row.parameters} / {row.bins} | {row.build:.2f} | {row.memory_mb:.0f} "
        f"| {row.fit:.4f} | {row.certified:.3f} | {row.profile:.2f} | {row.pyhf_build:.2f} "
        f"| {row.pyhf:.1f} | {row.ratio:.0f} | {row.certified_ratio:.0f} "
        f"| {row.pyhf_gap:+.1e} | {row.at_ours:+.0e} |{jax}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder of documents, or one document")
    parser.add_argument("--build", action="store_true", help="only build, and report that")
    parser.add_argument("--jax", action="store_true", help="also fit with pyhf's jax backend")
    parser.add_argument("--json", type=Path, help="write all numbers")
    options = parser.parse_args()
    if options.build:
        print(json.dumps(build(options.folder)))
        return
    paths = sorted(options.folder.glob("*.json")) if options.folder.is_dir() else [options.folder]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"numpy {np.__version__}"
    )
    rows = []
    for path in paths:
        rows.append(measure(path, options.jax))
        show(rows[-1])
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


__all__ = ["build", "measure", "read", "scanned"]

if __name__ == "__main__":
    main()
