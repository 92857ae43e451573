"""``results.json``: schema ``histnu-results/1``, deterministic and free of wall-clock times."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import histnu
from histnu.constants import B8_FLUX, DM2_21, SIN2_THETA12, SIN2_THETA13, SIN2_THETA_W
from histnu.results_document import SCHEMA

PACKAGES = ("numpy", "scipy", "pyhf", "iminuit")


def versions() -> dict[str, str]:
    """Versions of histnu, Python and the numerical packages."""
    found = {"histnu": histnu.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def constants() -> dict[str, Any]:
    """The physical inputs with their sources."""
    named = {
        "b8_flux_cm2_s": B8_FLUX,
        "sin2_theta_w": SIN2_THETA_W,
        "sin2_theta12": SIN2_THETA12,
        "sin2_theta13": SIN2_THETA13,
        "dm2_21_ev2": DM2_21,
    }
    return {k: {"value": c.value, "unit": c.unit, "source": c.source} for k, c in named.items()}


def results_document(
    pieces: Mapping[str, Sequence[Any]], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Assemble the document from the results of the jobs.

    Args:
        pieces: results by kind, see :func:`histnu.report.paper.all_jobs`.
        inputs: experiments and settings.
    """
    full = pieces["full"]
    dipole = [row for rows in pieces["dipole"] for row in rows]
    return {
        "schema": SCHEMA,
        "bounds": [*pieces["bounds"], *dipole, *(row for f in full for row in f["bounds"])],
        "skipped": {f["experiment"]: f["skipped"] for f in full if f["skipped"]},
        "reference": list(pieces["reference"]),
        "alternatives": list(pieces["alternatives"]),
        "profiles": list(pieces["profiles"]),
        "contours": list(pieces["regions"]),
        "rates": list(pieces["rates"]),
        "variations": list(pieces["variations"]),
        "inputs": {**inputs, "constants": constants()},
        "versions": versions(),
    }
