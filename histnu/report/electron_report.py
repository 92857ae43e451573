"""The electron-recoil report: document, text, figures, workspaces in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histnu.analyses import load_analysis
from histnu.building import write_workspace
from histnu.plotting.electron_recoils import Curve, dipole_figure, spectra_figure
from histnu.serialize import jsonable, staged, write_json, write_text

Results = Mapping[str, Any]
Row = Mapping[str, Any]


def contour(results: Results, experiment: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Masses (MeV) and limits (mu_B, nan where closed) of a contour; empty if it is missing."""
    for row in results["contours"]:
        if (row["experiment"], row["id"]) == (experiment, name):
            upper = [np.nan if u is None else u for u in row["upper_mu_b"]]
            return np.asarray(row["m4_mev"], dtype=float), np.asarray(upper, dtype=float)
    return np.empty(0), np.empty(0)


def crossing_mev(results: Results, flavour: str) -> float | None:
    """Sterile mass where combined electron and nuclear recoils exclude the same dipole, in MeV.

    Linear in the logarithms between the masses of the scan; None where they do not cross.
    """
    m4, electron = contour(results, "combined_er", f"dipole_{flavour}")
    _, nuclear = contour(results, "cevns", f"dipole_{flavour}")
    if electron.size == 0 or electron.shape != nuclear.shape:
        return None
    gap = np.log(electron / nuclear)
    for i in range(gap.size - 1):
        if gap[i] < 0 <= gap[i + 1]:
            share = -gap[i] / (gap[i + 1] - gap[i])
            low, high = np.log(m4[i]), np.log(m4[i + 1])
            return float(np.exp(low + share * (high - low)))
    return None


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}g}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(r) + " |" for r in rows)])


def validation_text(results: Results) -> str:
    """Agreement of background and Standard Model neutrinos with the data."""
    header = ("data", "bins", "observed", "background", "solar neutrinos", "chi2 / bin", "strength")
    rows = []
    for r in results["validation"]:
        low, high = r["solar_strength_68"]
        strength = f"{r['solar_strength']:.2f} [{_number(low, 2)}, {_number(high, 2)}]"
        counts = [f"{r[k]:.0f}" for k in ("observed", "expected_other", "expected_solar")]
        chi2 = f"{r['chi2_per_bin']:.2f}"
        rows.append([r["experiment"], str(r["bins"]), *counts, chi2, strength])
    return table(header, rows)


def bounds_text(results: Results) -> str:
    """Bounds at 90 % CL, one row per parameter and data set."""
    header = ("parameter", "data", "other charges", "interval", "unit", "published", "ratio")
    rows = []
    for r in results["bounds"]:
        ends = f"[{_number(r['lower'])}, {_number(r['upper'])}]"
        published = "-" if r["published"] is None else _number(r["published"]["upper"])
        ratio = _number(r["ratio"], 3)
        mark = "*" if r["provenance"] == "reconstructed" else ""
        others = r.get("other_charges", "-")
        rows.append([r["id"], r["experiment"] + mark, others, ends, r["unit"], published, ratio])
    return table(header, rows)


def variations_text(results: Results) -> str:
    """Shift of the universal moment's limit under each variation, one column per data set."""
    sets = list(dict.fromkeys(r["experiment"] for r in results["variations"]))
    names = list(dict.fromkeys(r["description"] for r in results["variations"]))
    shift = {(r["description"], r["experiment"]): r["shift"] for r in results["variations"]}
    rows = [[n, *(f"{100 * shift[n, s]:+.1f} %" for s in sets)] for n in names]
    return table(("variation", *sets), rows)


def comparison_text(results: Results) -> str:
    """One paragraph: where electron and nuclear recoils dominate, and why."""
    crossings = {f: crossing_mev(results, f) for f in ("e", "mu", "tau")}
    found = {f: m for f, m in crossings.items() if m is not None}
    where = ", ".join(f"{_number(m, 2)} MeV (nu_{f})" for f, m in found.items())
    return (
        "Electron recoils give the stronger limit on the dipole below a sterile mass of "
        f"{where or 'no mass of this scan'}, nuclear recoils above. A photon exchanged with a "
        "dipole makes a rate that goes like 1/T whatever the target, so what counts is the number "
        "of neutrinos, the threshold in T and the background. pp neutrinos are ten thousand times "
        "more abundant than 8B neutrinos and make electron recoils of keV energies, where the "
        "detectors see tens of events per keV; this wins by two orders of magnitude in the moment "
        "although the nucleus adds its charge squared. But an electron is light: a neutrino of "
        "energy E makes no state heavier than m4 + m4^2/(2 m_e) = E on it, which is 0.32 MeV for "
        "pp neutrinos and 0.56 MeV for the 0.86 MeV line of 7Be, and above these only the rare "
        "CNO, pep and 8B neutrinos are left, with recoils beyond the range of the data. On a "
        "xenon nucleus 8B neutrinos make states up to nearly their own energy, and the limit "
        "stays flat up to about 5 MeV."
    )


def report_text(results: Results) -> str:
    """The report in Markdown."""
    parts = [
        "# Electron recoils: neutrino-electron scattering in XENONnT, LZ and PandaX-4T",
        "Profile-likelihood intervals at 90 % CL, 1 dof (contours 2 dof). Rows marked * use "
        "reconstructed inputs (PandaX-4T background uncertainties). Charges and moments are those "
        "of free electrons counted by shell binding energies.",
        "## Agreement with background and Standard Model neutrinos",
        validation_text(results),
        "## Bounds",
        bounds_text(results),
        "## How far the assumptions move the limit on a universal magnetic moment",
        variations_text(results),
        "## Electron against nuclear recoils",
        comparison_text(results),
    ]
    return "\n\n".join(parts) + "\n"


WORKSPACES = ("er_xenonnt", "er_lz", "er_pandax4t", "er_combined", "all")
"""Data sets of the analyses whose likelihoods are written."""


def write_workspaces(folder: Path, names: Sequence[str] = WORKSPACES) -> list[Path]:
    """Write the magnetic-moment and millicharge likelihoods of data sets, with manifests.

    ``all`` holds electron and nuclear recoils, which share the strengths and the 8B flux.
    """
    analyses = [f"{model}_{name}" for name in names for model in ("magnetic_moment", "millicharge")]
    return [write_workspace(load_analysis(a), folder / a)[0] for a in analyses]


def write_electron_report(
    results: dict[str, Any], folder: Path, overlays: Mapping[str, Curve] | None = None
) -> None:
    """Write ``electron_recoils.json`` and ``.md``, figures and ``workspaces`` into a folder.

    Args:
        results: from :func:`histnu.report.electron_jobs.electron_results`.
        folder: made if it does not exist.
        overlays: published dipole curves by name, for the figure.
    """
    document = jsonable(results)
    with staged(folder) as temporary:
        out = temporary / "out"
        write_json(out / "electron_recoils.json", document)
        write_text(out / "electron_recoils.md", report_text(document))
        dipole_figure(document, out / "electron_dipole", overlays)
        spectra_figure(document, out / "electron_spectra")
        write_workspaces(out / "workspaces")
