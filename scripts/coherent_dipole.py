"""The sterile dipole portal with COHERENT, solar CEvNS and electron recoils together.

    python scripts/coherent_dipole.py [-o docs/coherent_dipole.json] [--figure docs/figures]

Contours at 90 % (2 dof) of dipole and mass, as in Fig. 4 of De Romeri et al. 2024, and the ratio
COHERENT / solar CEvNS, whose published value is 1.5 to 2 for nu_mu and nu_tau below 7 MeV.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from histnu.analysis.mass_scan import ScanOptions, mass_scan
from histnu.analysis.schema import load_analysis
from histnu.core.serialize import write_json
from histnu.plotting.style import figure_style

LOW = (0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
CURVES: dict[str, tuple[str, tuple[float, ...]]] = {
    "solar CEvNS (XENONnT, PandaX-4T)": ("sterile_dipole_combined", (*LOW, 11.0, 12.0, 13.0)),
    "solar CEvNS with LZ": ("sterile_dipole_solar_b8", (*LOW, 11.0, 12.0, 13.0)),
    "electron recoils": ("sterile_dipole_er_combined", (*LOW[:3], 0.4, 0.5, 0.6, 0.8, 1.0)),
    "COHERENT": (
        "sterile_dipole_coherent",
        (*LOW, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 48.0, 50.0),
    ),
}
UNIT = "1e-9 mu_B"
FLAVOURS = {"mu_e": r"$\nu_e$", "mu_mu": r"$\nu_\mu$"}


def curves() -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """Upper ends against the mass, curve -> parameter -> masses and limits in 1e-9 mu_B."""
    result: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for label, (name, masses) in CURVES.items():
        analysis = load_analysis(name)
        model = analysis.model.model_copy(update={"unit": UNIT})
        analysis = analysis.model_copy(update={"model": model})
        found = mass_scan(analysis, "m4", list(FLAVOURS), masses, ScanOptions(cl=0.9, dof=2))
        result[label] = {
            c.parameter: {"m4_mev": list(c.values), "upper": list(c.upper), "lower": list(c.lower)}
            for c in found
        }
        print(label, {c.parameter: [u and round(u, 3) for u in c.upper] for c in found}, flush=True)
    return result


def ratios(found: dict, solar: str) -> dict[str, dict[str, float]]:
    """COHERENT / solar at every common mass, parameter -> mass -> ratio."""
    result: dict[str, dict[str, float]] = {}
    for parameter in FLAVOURS:
        upper = [
            dict(zip(found[k][parameter]["m4_mev"], found[k][parameter]["upper"], strict=True))
            for k in ("COHERENT", solar)
        ]
        result[parameter] = {
            f"{m:g}": upper[0][m] / upper[1][m] for m in upper[0] if upper[0][m] and upper[1].get(m)
        }
    return result


def draw(found: dict, folder: Path) -> None:
    """One panel per flavour."""
    with figure_style() as plt:
        figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
        for ax, (parameter, symbol) in zip(axes, FLAVOURS.items(), strict=True):
            for label, curve in found.items():
                masses = np.array(curve[parameter]["m4_mev"])
                upper = np.array([np.nan if u is None else u for u in curve[parameter]["upper"]])
                ax.loglog(masses, 1e-9 * upper, label=label)
            ax.set_xlabel(r"$m_4$ [MeV]")
            ax.set_title(f"{symbol}, 90 % CL (2 dof)")
            ax.set_ylim(1e-12, 3e-7)
        axes[0].set_ylabel(r"$\mu_{\nu_\ell}$ [$\mu_B$]")
        axes[0].legend(loc="upper left", fontsize=9)
        figure.savefig(folder / "coherent_dipole.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/coherent_dipole.json"))
    parser.add_argument("--figure", type=Path, default=Path("docs/figures"))
    parser.add_argument("--draw-only", action="store_true", help="draw from earlier numbers")
    options = parser.parse_args()
    drawn = options.draw_only
    found = json.loads(options.output.read_text())["curves"] if drawn else curves()
    two = ratios(found, "solar CEvNS (XENONnT, PandaX-4T)")
    three = ratios(found, "solar CEvNS with LZ")
    write_json(options.output, {"curves": found, "ratio": two, "ratio_with_lz": three})
    draw(found, options.figure)


if __name__ == "__main__":
    main()
