"""CLs limits of other people's likelihoods, and the CLs that pyhf with minuit gives at them.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.benchmark_cls FOLDER [--pyhf]

FOLDER holds HistFactory JSON documents, or is one. Limits are asymptotic, at 95 %, with q-tilde. A
search published without its signals gets one: two standard deviations of the background in every
bin of the first signal region. Parameters of interest get the bounds 0 and at least 20.
Times are processor time. pyhf starts where it always does, and once more from our minimum with the
limit held. Where one of its five fits ends in a higher minimum its CLs is not 0.05 (documents with
folds: its -2 log L at our minima decides then).
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from histnu.inference import BatchedLikelihood, cls_limit, profile

Json = dict[str, Any]
_SIGNAL = 2.0  # standard deviations of the background
_WIDE = 20.0  # upper bound of the parameter of interest, where the document's is lower
_REGIONS = ("sr", "r_")  # how the names of signal regions begin


def read(path: Path) -> tuple[Json, str, str]:
    """Return a document with a signal of a strength above zero, its name, and what was done."""
    document: Json = json.loads(path.read_text())
    names = {m["name"] for c in document["channels"] for s in c["samples"] for m in s["modifiers"]}
    config = document["measurements"][0]["config"]
    done = ""
    if config["poi"] not in names:
        add_signal(document, config["poi"])
        done = "with a signal"
    settings = [p for p in config["parameters"] if p["name"] == config["poi"]]
    if not settings:
        settings = [{"name": config["poi"]}]
        config["parameters"] += settings
    low, high = settings[0].get("bounds", [[0.0, 10.0]])[0]
    settings[0]["bounds"] = [[0.0, max(high, _WIDE)]]
    done += " bound set to 0" if low < 0 else ""
    return document, config["poi"], done


def add_signal(document: Json, poi: str) -> None:
    """Add a sample scaled by ``poi`` to the first signal region."""
    region = next(c for c in document["channels"] if c["name"].lower().startswith(_REGIONS))
    background = np.sum([sample["data"] for sample in region["samples"]], axis=0)
    modifier = {"name": poi, "type": "normfactor", "data": None}
    signal = {"name": "signal", "data": (_SIGNAL * np.sqrt(background)).tolist()}
    region["samples"].append({**signal, "modifiers": [modifier]})


def pyhf_cls(document: Json, held: list[float], value: float) -> tuple[str, float]:
    """Return CLs of pyhf at a value, from its own start and from ``held``, and its seconds."""
    import pyhf

    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer())
    workspace = pyhf.Workspace(document)
    model = workspace.model()
    data = workspace.data(model)
    said = []
    start = process_time()
    for init in (model.config.suggested_init(), held):
        try:
            cls = float(pyhf.infer.hypotest(value, data, model, test_stat="qtilde", init_pars=init))
            said.append(f"{cls:.7f}")
        except pyhf.exceptions.FailedMinimization:
            said.append("fails")
    return " | ".join(said), (process_time() - start) / 2


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder of documents, or one document")
    parser.add_argument("--pyhf", action="store_true", help="also give pyhf's CLs at the limits")
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.json")) if options.folder.is_dir() else [options.folder]
    for path in paths:
        document, poi, done = read(path)
        likelihood = BatchedLikelihood.from_workspace(document)
        start = process_time()
        upper = cls_limit(likelihood, None, poi, 0.95).upper
        seconds = process_time() - start
        said, took = "", 0.0
        if options.pyhf:
            held = profile(likelihood, None, poi, [upper]).parameters[0].tolist()
            said, took = pyhf_cls(document, held, upper)
        print(
            f"| {path.stem}, {done} | {upper:.5f} | {seconds:.2f} | {said} | {took:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
