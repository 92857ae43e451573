"""Fit a pyhf workspace with ROOT: HistFactory model, profile likelihood and CLs limits.

Runs where ROOT's Python bindings are, with nothing of histnu and no pyhf::

    pip install root
    python scripts/interop_root.py WORKSPACE.json --measurement mu2_universal --points 0.5 1 2

The wheel has no XML parser, so the HistFactory measurement is built from the JSON by its classes.
Prints one JSON document: version, q(mu) at the points, the profile-likelihood limit
(``Delta = 2.7055``), asymptotic CLs limits at 90 and 95 % and, with ``--hs3``, the difference of
``-2 log L`` of the HS3 document as ROOT reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import sys
import tempfile

PROFILE_CUT = 2.705543454095414
"""90 % quantile of chi^2 with one degree of freedom."""


def histogram(ROOT, name, values):
    """A TH1D that ROOT owns."""
    h = ROOT.TH1D(name, name, len(values), 0.0, float(len(values)))
    for i, value in enumerate(values):
        h.SetBinContent(i + 1, float(value))
        h.SetBinError(i + 1, 0.0)
    h.SetDirectory(ROOT.nullptr)
    ROOT.SetOwnership(h, False)
    return h


def make_sample(ROOT, channel, spec, settings):
    """A HistFactory sample with its modifiers."""
    hf = ROOT.RooStats.HistFactory
    base = f"{channel}_{spec['name']}"
    sample = hf.Sample(spec["name"])
    sample.SetHisto(histogram(ROOT, base, spec["data"]))
    sample.SetNormalizeByTheory(False)
    for m in spec["modifiers"]:
        name, data = m["name"], m["data"]
        if m["type"] == "normfactor":
            setting = settings.get(name, {})
            low, high = setting.get("bounds", [[0.0, 10.0]])[0]
            sample.AddNormFactor(name, setting.get("inits", [1.0])[0], low, high)
        elif m["type"] == "normsys":
            sample.AddOverallSys(name, data["lo"], data["hi"])
        elif m["type"] == "histosys":
            shape = hf.HistoSys()
            shape.SetName(name)
            shape.SetHistoLow(histogram(ROOT, f"{base}_{name}_low", data["lo_data"]))
            shape.SetHistoHigh(histogram(ROOT, f"{base}_{name}_high", data["hi_data"]))
            sample.AddHistoSys(shape)
        else:
            sys.exit(f"modifier {m['type']} is not supported by this script")
    return sample


def make_measurement(ROOT, workspace, measurement):
    """The HistFactory measurement of a workspace."""
    hf = ROOT.RooStats.HistFactory
    config = measurement["config"]
    settings = {p["name"]: p for p in config["parameters"]}
    made = hf.Measurement(measurement["name"], measurement["name"])
    made.SetPOI(config["poi"])
    made.SetLumi(1.0)
    made.SetLumiRelErr(0.001)
    made.AddConstantParam("Lumi")
    for name, setting in settings.items():
        if setting.get("fixed"):
            made.AddConstantParam(name)
    observed = {o["name"]: o["data"] for o in workspace["observations"]}
    for spec in workspace["channels"]:
        channel = hf.Channel(spec["name"])
        channel.SetData(histogram(ROOT, f"{spec['name']}_data", observed[spec["name"]]))
        for sample in spec["samples"]:
            channel.AddSample(make_sample(ROOT, spec["name"], sample, settings))
        made.AddChannel(channel)
    return made, settings


def make_model(ROOT, workspace, measurement):
    """RooFit workspace of a measurement, with the document's bounds."""
    made, settings = make_measurement(ROOT, workspace, measurement)
    space = ROOT.RooStats.HistFactory.MakeModelAndMeasurementFast(made)
    ROOT.SetOwnership(space, False)
    for name, setting in settings.items():
        variable = space.var(name) or space.var(f"alpha_{name}")
        if variable and "bounds" in setting:
            variable.setRange(*setting["bounds"][0])
    return space


class Profile:
    """-2 log L of a model, minimised by Minuit at fixed or free parameter of interest."""

    def __init__(self, ROOT, space):
        self.ROOT = ROOT
        self.config = space.obj("ModelConfig")
        self.poi = self.config.GetParametersOfInterest().first()
        constrain = ROOT.RooFit.GlobalObservables(self.config.GetGlobalObservables())
        offset = ROOT.RooFit.Offset("none")
        self.nll = self.config.GetPdf().createNLL(space.data("obsData"), constrain, offset)

    def minimum(self, value=None):
        """Minimum of -2 log L; the parameter of interest is held at ``value`` if given."""
        self.poi.setConstant(value is not None)
        if value is not None:
            self.poi.setVal(value)
        minimizer = self.ROOT.RooMinimizer(self.nll)
        minimizer.setPrintLevel(-1)
        minimizer.setStrategy(2)
        minimizer.setEps(1e-3)
        minimizer.minimize("Minuit2", "Migrad")
        minimizer.minimize("Minuit2", "Migrad")
        self.poi.setConstant(False)
        return 2.0 * self.nll.getVal()

    def limit(self, best, best_value):
        """Where q(mu) crosses the 90 % threshold, by bisection."""
        low, high = best_value, max(2.0 * best_value, 1.0)
        while self.minimum(high) - best < PROFILE_CUT:
            low, high = high, 2.0 * high
        while high - low > 1e-7 * high:
            middle = 0.5 * (low + high)
            if self.minimum(middle) - best < PROFILE_CUT:
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)


def cls_limit(ROOT, space, guess, level):
    """Asymptotic CLs limit of RooStats, interpolated in log CLs between close points."""
    config = space.obj("ModelConfig")
    poi = config.GetParametersOfInterest().first()
    null = config.Clone("background")
    poi.setVal(0.0)
    null.SetSnapshot(ROOT.RooArgSet(poi))
    poi.setVal(guess)
    config.SetSnapshot(ROOT.RooArgSet(poi))
    ROOT.RooStats.AsymptoticCalculator.SetPrintLevel(-1)
    calculator = ROOT.RooStats.AsymptoticCalculator(space.data("obsData"), null, config)
    calculator.SetOneSided(True)
    calculator.SetQTilde(True)
    low, high = 0.6 * guess, 1.6 * guess
    for _ in range(3):
        inverter = ROOT.RooStats.HypoTestInverter(calculator)
        inverter.SetConfidenceLevel(level)
        inverter.UseCLs(True)
        inverter.SetVerbose(False)
        inverter.SetFixedScan(9, low, high)
        result = inverter.GetInterval()
        points = [(result.GetXValue(i), result.CLs(i)) for i in range(result.ArraySize())]
        low, high, found = bracket(sorted(points), 1.0 - level)
    return found


def bracket(points, target):
    """Neighbours of the crossing and its position, linear in log CLs."""
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if y0 >= target > y1:
            fraction = (math.log(y0) - math.log(target)) / (math.log(y0) - math.log(y1))
            return x0, x1, x0 + fraction * (x1 - x0)
    sys.exit(f"no crossing of CLs = {target} among {points}")


def hs3_differences(ROOT, path, workspace, measurement, values):
    """-2 log L of ROOT's reading of an HS3 document at points, relative to the first.

    Only the parameter of interest moves, so constraints cancel and channels can be added.
    """
    space = ROOT.RooWorkspace("hs3")
    if not ROOT.RooJSONFactoryWSTool(space).importJSON(path):
        sys.exit(f"{path}: ROOT does not read this HS3 document")
    space.loadSnapshot(f"start_{measurement['name']}")
    names = [c["name"] for c in workspace["channels"]]
    offset = ROOT.RooFit.Offset("none")
    terms = [space.pdf(f"model_{n}").createNLL(space.data(f"data_{n}"), offset) for n in names]
    poi = space.var(measurement["config"]["poi"])
    found = []
    for value in values:
        poi.setVal(value)
        found.append(2.0 * sum(term.getVal() for term in terms))
    return [f - found[0] for f in found]


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace")
    parser.add_argument("--measurement", required=True)
    parser.add_argument("--points", type=float, nargs="*", default=[0.5, 1.0, 2.0])
    parser.add_argument("--hs3", help="HS3 document of the same workspace")
    options = parser.parse_args()
    import ROOT

    ROOT.gROOT.SetBatch(True)
    ROOT.Math.MinimizerOptions.SetDefaultStrategy(2)
    ROOT.Math.MinimizerOptions.SetDefaultTolerance(1e-3)
    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
    with open(options.workspace, encoding="utf-8") as stream:
        workspace = json.load(stream)
    measurement = next(m for m in workspace["measurements"] if m["name"] == options.measurement)
    hs3 = os.path.abspath(options.hs3) if options.hs3 else None
    # HistFactory writes its models into the working directory
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        space = make_model(ROOT, workspace, measurement)
    profile = Profile(ROOT, space)
    best = profile.minimum()
    best_value = profile.poi.getVal()
    limit = profile.limit(best, best_value)
    result = {
        "tool": "ROOT",
        "version": ROOT.gROOT.GetVersion(),
        "best_fit": best_value,
        "points": options.points,
        "q": [profile.minimum(p) - best for p in options.points],
        "profile_90": limit,
        "cls_90": cls_limit(ROOT, space, limit, 0.90),
        "cls_95": cls_limit(ROOT, space, limit, 0.95),
    }
    if hs3:
        result["hs3"] = hs3_differences(ROOT, hs3, workspace, measurement, options.points)
    print("RESULT " + json.dumps(result))


if __name__ == "__main__":
    main()
