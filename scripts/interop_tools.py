"""What other people's tools get from the same likelihood: pyhf, cabinetry, spey, pyhs3.

Runs where the tool is, with nothing of histnu::

    python scripts/interop_tools.py cabinetry FOLDER

``FOLDER`` holds ``workspace.json`` (one measurement), ``hs3.json`` and ``background.json`` with
``patchset.json``, as ``scripts/interop_table.py`` writes them. Prints one line, ``RESULT`` and
JSON: version, q(mu) at the points, the profile-likelihood limit at 90 % and CLs limits at 90 and
95 %, as far as the tool has them. ROOT has a script of its own, ``interop_root.py``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path

POINTS = (0.5, 1.0, 2.0)
PROFILE_CUT = 2.705543454095414
"""90 % quantile of chi^2 with one degree of freedom."""
LEVELS = {"cls_90": 0.90, "cls_95": 0.95}


def load(path):
    """A JSON document."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def crossing(function, low, high, level=PROFILE_CUT):
    """Where an increasing function crosses a level."""
    from scipy.optimize import brentq

    return brentq(lambda x: function(x) - level, low, high, rtol=1e-7)


def run_pyhf(folder):
    """pyhf with Minuit: fits at fixed parameter, and where its own CLs crosses the level."""
    import pyhf

    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1))
    workspace = pyhf.Workspace(load(folder / "workspace.json"))
    model = workspace.model()
    data = workspace.data(model)
    best = float(pyhf.infer.mle.fit(data, model, return_fitted_val=True)[1])

    def q(mu):
        held = pyhf.infer.mle.fixed_poi_fit(mu, data, model, return_fitted_val=True)
        return float(held[1]) - best

    @cache
    def excluded(mu):
        return 1 - float(pyhf.infer.hypotest(mu, data, model))

    limits = {k: crossing(excluded, 0.2, 6.0, cl) for k, cl in LEVELS.items()}
    profile = crossing(q, 0.2, 6.0)
    return {"q": [q(p) for p in POINTS], "profile_90": profile, **limits}


def run_cabinetry(folder):
    """cabinetry: fit, ranking, likelihood scan, limits, and all plots."""
    import cabinetry
    import matplotlib

    matplotlib.use("Agg")
    specification = load(folder / "workspace.json")
    model, data = cabinetry.model_utils.model_and_data(specification)
    poi = model.config.poi_name
    fitted = cabinetry.fit.fit(model, data)
    scan = cabinetry.fit.scan(model, data, poi, par_range=(0.0, 2.0), n_steps=5)
    values = [round(float(v), 6) for v in scan.parameter_values]
    deltas = dict(zip(values, scan.delta_nlls, strict=True))
    limits = {}
    for key, level in LEVELS.items():
        found = cabinetry.fit.limit(
            model, data, bracket=(0.3, 4.0), confidence_level=level, tolerance=1e-4
        )
        limits[key] = float(found.observed_limit)
    ranked = ranking_document(specification)
    ranking_model, ranking_data = cabinetry.model_utils.model_and_data(ranked)
    free = cabinetry.fit.fit(ranking_model, ranking_data)
    ranking = cabinetry.fit.ranking(ranking_model, ranking_data, fit_results=free)
    plots = draw(cabinetry, folder / "plots", (model, data, fitted, scan, found, ranking))
    return {
        "best_fit": float(fitted.bestfit[model.config.poi_index]),
        "q": [float(deltas[p]) for p in POINTS],
        "ranking": len(ranking.labels),
        "plots": plots,
        **limits,
    }


def ranking_document(specification):
    """The document without bounds of nuisance parameters.

    Ranking holds each parameter at its best value plus and minus its uncertainty, which is below
    the bound of a 100 % linear rate uncertainty (-0.99); cabinetry has no guard for that.
    """
    document = json.loads(json.dumps(specification))
    for measurement in document["measurements"]:
        for setting in measurement["config"]["parameters"]:
            if setting.get("bounds", [[0, 0]])[0][0] < 0:
                setting.pop("bounds")
    return document


def draw(cabinetry, folder, results):
    """Every plot of cabinetry; returns the number of files."""
    model, data, fitted, scan, limit, ranking = results
    show = cabinetry.visualize
    show.data_mc(cabinetry.model_utils.prediction(model), data, figure_folder=folder)
    show.data_mc(
        cabinetry.model_utils.prediction(model, fit_results=fitted), data, figure_folder=folder
    )
    show.pulls(fitted, figure_folder=folder)
    show.correlation_matrix(fitted, figure_folder=folder)
    show.ranking(ranking, figure_folder=folder)
    show.scan(scan, figure_folder=folder)
    show.limit(limit, figure_folder=folder)
    return len(list(Path(folder).glob("*.pdf")))


def run_spey(folder):
    """spey through spey-pyhf: background-only workspace and one patch of the PatchSet.

    The patch is the hypothesis mu_universal = 1, so its normalisation is mu2_universal.
    """
    import spey

    patches = load(folder / "patchset.json")["patches"]
    patch = next(p for p in patches if p["metadata"]["values"] == [1.0])
    model = spey.get_backend("pyhf")(
        analysis="histnu",
        background_only_model=load(folder / "background.json"),
        signal_patch=patch["patch"],
    )
    return {k: float(model.poi_upper_limit(confidence_level=cl)) for k, cl in LEVELS.items()}


def run_pyhs3(folder):
    """pyhs3: the HS3 document as a graph, minimised here with SLSQP."""
    import numpy as np
    import pyhs3
    import pytensor
    from pytensor.graph.traversal import explicit_graph_inputs
    from scipy.optimize import minimize

    workspace = pyhs3.Workspace.load(str(folder / "hs3.json"))
    analysis = next(iter(workspace.analyses))
    model = workspace.model(analysis, progress=False)
    poi = analysis.parameters_of_interest[0]
    start = dict(model.free_params)
    value = -2.0 * model.log_prob.sum()
    inputs = list(explicit_graph_inputs([value]))
    compiled = pytensor.function(inputs, value)
    names = [str(v.name) for v in inputs]
    domain = analysis.domains[0]
    bounds = {n: domain.get(n, (None, None)) for n in names}
    fixed_start = float(compiled(*[start[n] for n in names]))

    def minimum(mu=None):
        held = {} if mu is None else {poi: mu}
        limits = [(held[n],) * 2 if n in held else bounds[n] for n in names]
        x0 = [held.get(n, start[n]) for n in names]
        found = minimize(
            lambda x: float(compiled(*x)),
            x0,
            bounds=limits,
            method="SLSQP",
            options={"ftol": 1e-11, "maxiter": 500},
        )
        return float(found.fun)

    best = minimum()
    q = [minimum(p) - best for p in POINTS]
    profile = crossing(lambda mu: minimum(mu) - best, 0.2, 6.0)
    parameters = {n: float(np.asarray(start[n])) for n in names}
    return {"q": q, "profile_90": profile, "twice_nll": fixed_start, "start": parameters}


TOOLS = {
    "pyhf": (run_pyhf, "pyhf"),
    "cabinetry": (run_cabinetry, "cabinetry"),
    "spey": (run_spey, "spey", "spey-pyhf"),
    "pyhs3": (run_pyhs3, "pyhs3"),
}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool", choices=sorted(TOOLS))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    run, *packages = TOOLS[options.tool]
    result = run(options.folder)
    version = " + ".join(f"{p} {metadata.version(p)}" for p in packages)
    names = {"tool": options.tool, "version": version.removeprefix(f"{options.tool} ")}
    print("RESULT " + json.dumps({**names, "points": POINTS, **result}))


if __name__ == "__main__":
    main()
