"""Time the templates of a full dipole grid: 100 masses x 3 flavours x 49 anchors x 243 bins.

    python scripts/benchmark_templates.py [--masses 100] [--experiment xenonnt_4d_2026]

Prints the time to read the release, to prepare the response and to make all templates, and
compares one mass with the general path.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np

import histnu
from histnu.experiments.builders import build_experiment
from histnu.physics.models.sterile_dipole import SterileDipole
from histnu.physics.nuclei import XENON
from histnu.physics.scattering import Scattering
from histnu.sources.solar import solar_source
from histnu.templates.basis import anchor_templates
from histnu.templates.fold import folding_rule


def grid_templates(name: str, masses: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Templates (masses, flavours, anchors..., bins) per channel, and seconds per stage."""
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    full = build_experiment(name)
    source = solar_source()
    seconds["read the release"] = time.perf_counter() - start

    start = time.perf_counter()
    rules = {c.name: folding_rule(c.response) for c in full.channels}
    seconds["prepare the response"] = time.perf_counter() - start

    start = time.perf_counter()
    nodes = next(iter(rules.values())).nodes
    shared = all(np.array_equal(r.nodes, nodes) for r in rules.values())
    spectra: dict[str, np.ndarray] = {}
    for channel, rule in rules.items():
        if spectra and shared:
            spectra[channel] = next(iter(spectra.values()))
            continue
        rows = [
            list(
                SterileDipole(float(m))
                .basis_spectra(Scattering("nuclear", source, XENON), rule.nodes)
                .values()
            )
            for m in masses
        ]
        spectra[channel] = np.array(rows)
    seconds["basis spectra"] = time.perf_counter() - start

    start = time.perf_counter()
    exposures = {c.name: c.exposure_tonne_year for c in full.channels}
    result = {}
    for channel, rule in rules.items():
        flat = spectra[channel].reshape(-1, rule.nodes.size)
        events = exposures[channel] * rule.fold(flat)
        result[channel] = events.reshape(len(masses), -1, *events.shape[1:])
    seconds["fold"] = time.perf_counter() - start
    return result, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masses", type=int, default=100)
    parser.add_argument("--experiment", default="xenonnt_4d_2026")
    options = parser.parse_args()
    masses = np.linspace(0.1, 15.0, options.masses)
    templates, seconds = grid_templates(options.experiment, masses)
    python = platform.python_version()
    print(f"histnu {histnu.__version__}, numpy {np.__version__}, Python {python}")
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}")
    for channel, values in templates.items():
        print(f"{channel}: templates {values.shape}")
    for stage, value in seconds.items():
        print(f"{stage}: {value:.2f} s")
    print(f"total: {sum(seconds.values()):.2f} s")
    middle = len(masses) // 2
    full = build_experiment(options.experiment)
    model = SterileDipole(float(masses[middle]))
    check = {c.name: anchor_templates(c, solar_source(), [model]) for c in full.channels}
    worst = max(
        float(np.max(np.abs(check[c]["mu2_e"].values - v[middle, 0])) / v[middle, 0].max())
        for c, v in templates.items()
    )
    print(f"difference to the general path at m4 = {masses[middle]:.2f} MeV: {worst:.1e}")


if __name__ == "__main__":
    main()
