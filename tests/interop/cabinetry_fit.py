"""What cabinetry gets from one workspace: fit, MINOS, goodness of fit, yields, ranking.

Runs where cabinetry is, with nothing of histnu::

    python cabinetry_fit.py WORKSPACE [--no-ranking]

Prints one line, ``RESULT`` and JSON. Minuit runs at a tolerance of 1e-3 and strategy 2 with more
calls than its default, so that its covariance is that of the minimum.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

FIT = {"strategy": 2, "tolerance": 1e-3, "maxiter": 100000}


def yields(prediction):
    """Channel -> yields, their errors, sums and errors of the sums (the last of them: totals)."""
    channels = prediction.model.config.channels
    samples = prediction.model.config.samples
    return {
        name: {
            "samples": list(samples),
            "yields": prediction.model_yields[k],
            "errors": prediction.total_stdev_model_bins[k],
            "sum_errors": prediction.total_stdev_model_channels[k],
        }
        for k, name in enumerate(channels)
    }


def minos_errors(cabinetry, question, names):
    """Profile uncertainties of each parameter, without those at which Minuit stops (a bound)."""
    model, data = question
    found = {}
    for name in names:
        try:
            fitted = cabinetry.fit.fit(model, data, minos=name, custom_fit=True, **FIT)
        except RuntimeError:
            continue
        found.update({k: list(v) for k, v in fitted.minos_uncertainty.items()})
    return found


def run(specification, ranking):
    """All numbers of one document."""
    import cabinetry

    model, data = cabinetry.model_utils.model_and_data(specification)
    fitted = cabinetry.fit.fit(model, data, goodness_of_fit=True, **FIT)
    free = [n for n, u in zip(fitted.labels, fitted.uncertainty, strict=True) if u > 0]
    found = {
        "names": list(fitted.labels),
        "best_fit": fitted.bestfit.tolist(),
        "errors": fitted.uncertainty.tolist(),
        "correlation": fitted.corr_mat.tolist(),
        "twice_nll": fitted.best_twice_nll,
        "p_value": fitted.goodness_of_fit,
        "free": free,
        "prefit": yields(cabinetry.model_utils.prediction(model)),
        "postfit": yields(cabinetry.model_utils.prediction(model, fit_results=fitted)),
    }
    found["minos"] = minos_errors(cabinetry, (model, data), free)
    if ranking:
        start = time.perf_counter()
        ranked = cabinetry.fit.ranking(model, data, fit_results=fitted, **FIT)
        found["ranking_seconds"] = time.perf_counter() - start
        found["ranking"] = {
            label: [float(x[k]) for x in (
                ranked.prefit_up, ranked.prefit_down, ranked.postfit_up, ranked.postfit_down
            )]
            for k, label in enumerate(ranked.labels)
        }  # fmt: skip
    return found


def main():
    """Read a workspace, print what cabinetry says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--no-ranking", action="store_true")
    arguments = parser.parse_args()
    document = json.loads(arguments.workspace.read_text(encoding="utf-8"))
    sys.stdout.write(f"RESULT {json.dumps(run(document, not arguments.no_ranking))}\n")


if __name__ == "__main__":
    main()
