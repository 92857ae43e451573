"""Compare histnu's XENONnT 2024 likelihood with the collaboration's own model, run by alea.

    ALEA_PYTHON scripts/compare_alea.py run RELEASES -o alea.json      (environment with alea)
    python scripts/compare_alea.py compare alea.json                   (environment with histnu)

``run`` needs alea-inference 0.3.5, blueice 1.2.1, inference-interface 0.0.3 and appletree 0.6.0
(Python 3.11). It reads ``xenonnt_light_wimp_2024/statistical_model_base.yaml``, drops the WIMP
source, frees the 8B rate, fits the 37 events and profiles the 8B rate. ``compare`` does the same
with histnu: with the release's seven-anchor interpolation, and with the pyhf workspace.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
from pathlib import Path

import numpy as np

VALUES = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0]
OBSERVABLES = ("cs2", "s2_shadow_s2_time_shadow", "s1_bdt_score", "s2_bdt_score")
RUNS = ("SR0", "SR1")
POINTS = [
    {},
    {"b8_rate_multiplier": 0.6, "t_ly": 0.4, "t_qy": -0.3},
    {"b8_rate_multiplier": 1.7, "t_ly": -1.3, "t_qy": 1.6, "signal_efficiency": 0.8},
    {"b8_rate_multiplier": 2.5, "t_ly": 2.2, "t_qy": -2.7, "er_rate_multiplier": 2.0},
    {"ac_sr0_rate_multiplier": 1.1, "ac_sr1_rate_multiplier": 0.9, "nr_rate_multiplier": 1.5},
]
"""Parameters at which -2 log L is compared directly; those not given are nominal."""


def alea_config(release: Path) -> dict:
    """The release's statistical model without the WIMP, with a free 8B rate."""
    import yaml

    config = yaml.safe_load((release / "statistical_model_base.yaml").read_text())
    config["parameter_definition"].pop("wimp_rate_multiplier")
    config["parameter_definition"]["b8_rate_multiplier"]["uncertainty"] = None
    likelihood = config["likelihood_config"]
    likelihood["template_folder"] = str(release)
    for term in likelihood["likelihood_terms"]:
        term["sources"] = [s for s in term["sources"] if s["name"] != "wimp"]
    return config


def alea_data(events: Path) -> dict:
    """Events of SR0 and SR1 as the structured arrays that alea takes."""
    data = {}
    for run in RUNS:
        table = np.loadtxt(events / f"{run.lower()}.csv", delimiter=",", skiprows=1, ndmin=2)
        array = np.zeros(len(table), dtype=[(k, float) for k in OBSERVABLES])
        for i, name in enumerate(OBSERVABLES):
            array[name] = table[:, i + 1]
        data[run] = array
    return data


def build_alea(release: Path, events: Path):
    """The collaboration's model with its data."""
    from alea.models import BlueiceExtendedModel

    config = alea_config(release)
    model = BlueiceExtendedModel(
        parameter_definition=config["parameter_definition"],
        likelihood_config=copy.deepcopy(config["likelihood_config"]),
    )
    generated = model.generate_data()
    data = alea_data(events)
    template = dict(generated)
    for run in RUNS:
        empty = np.zeros(len(data[run]), dtype=generated[run].dtype)
        for name in OBSERVABLES:
            empty[name] = data[run][name]
        template[run] = empty
    # auxiliary measurements at their nominal values, not at those of a toy
    ancillary = template["ancillary"].copy()
    for name in ancillary.dtype.names:
        ancillary[name] = model.parameters[name].nominal_value
    template["ancillary"] = ancillary
    model.data = template
    return model


def run_alea(releases: Path, output: Path) -> None:
    """Fit and profile with alea; write JSON."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # blueice writes its cache into the working directory
        try:
            model = build_alea(
                releases / "xenonnt_light_wimp_2024", releases / "xenonnt_cevns_2026" / "data"
            )
            best, ll = model.fit()
            profile = []
            for value in VALUES:
                _, conditional = model.fit(b8_rate_multiplier=value)
                profile.append(2.0 * (ll - conditional))
            points = [-2.0 * float(model.ll(**(nominal(model) | p))) for p in POINTS]
            mus = model.get_expectation_values(**nominal(model))
        finally:
            os.chdir(here)
    result = {
        "best_fit": {k: float(v) for k, v in best.items()},
        "values": VALUES,
        "points": POINTS,
        "twice_nll_at_points": points,
        "delta_twice_nll": [float(x) for x in profile],
        "expectation": {k: float(v) for k, v in mus.items()},
    }
    output.write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    print(json.dumps(result, indent=2, sort_keys=True))


def nominal(model) -> dict:
    """Nominal value of every parameter."""
    return {p.name: p.nominal_value for p in model.parameters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="in the environment with alea")
    run.add_argument("releases", type=Path)
    run.add_argument("-o", "--output", type=Path, default=Path("alea.json"))
    compare = verbs.add_parser("compare", help="in the environment with histnu")
    compare.add_argument("result", type=Path)
    options = parser.parse_args()
    if options.verb == "run":
        run_alea(options.releases.resolve(), options.output.resolve())
    else:
        from full_validation import alea_table

        print(alea_table(json.loads(options.result.read_text())))


if __name__ == "__main__":
    main()
