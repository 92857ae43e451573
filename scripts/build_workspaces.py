"""Build the likelihoods that are kept in ``workspaces/`` and their index.

    python scripts/build_workspaces.py [-o workspaces]

``tests/test_workspaces.py`` builds them again and compares: equal to 1e-9 on any machine, byte for
byte on one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from likelihood_index import write_index

from histnu.analysis.build import write_patchset, write_workspace
from histnu.analysis.schema import load_analysis
from histnu.physics.models.charge_radius import ChargeRadius
from histnu.physics.models.light_vector import LightVector
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.millicharge import Millicharge
from histnu.physics.models.protocol import linear, logarithmic
from histnu.physics.models.sterile_dipole import SterileDipole
from histnu.workspace.grids import Grid, make_grid

WORKSPACES = (
    *(
        f"{model}_{experiment}"
        for model in ("standard_model", "magnetic_moment", "millicharge")
        for experiment in ("xenonnt", "pandax4t", "combined")
    ),
    "magnetic_moment_all",
    "millicharge_all",
    "standard_model_coherent",
    "standard_model_coherent_csi",
    "standard_model_lz_b8",
    "standard_model_pandax4t_flux",
)
LINEAR = ("magnetic_moment_combined", "millicharge_combined")
PATCHSETS: dict[str, tuple[str, Grid]] = {
    "patchset_mu_universal_combined": (
        "magnetic_moment_combined",
        make_grid(MagneticMoment(), "mu_universal", [("mu_universal", linear(0.0, 2.0, 11))]),
    ),
    "patchset_q_ee_combined": (
        "millicharge_combined",
        make_grid(Millicharge(), "q_ee", [("q_ee", linear(-10.0, 10.0, 21))]),
    ),
    "patchset_dipole_e_xenonnt": (
        "sterile_dipole_xenonnt",
        make_grid(
            SterileDipole(),
            "dipole_e",
            [("m4", (0.001, 1.0, 4.0, 8.0, 12.0)), ("mu_e", logarithmic(1.0, 32.0, 6))],
        ),
    ),
    "patchset_g_bl_coherent_csi": (
        "light_vector_coherent_csi",
        make_grid(
            LightVector(),
            "mass_coupling",
            [("m_v", (1.0, 10.0, 100.0, 1000.0)), ("g_bl", logarithmic(1.0, 100.0, 5))],
        ),
    ),
    "patchset_r2_ee_coherent_csi": (
        "charge_radius_coherent_csi",
        make_grid(ChargeRadius(), "r2_ee", [("r2_ee", linear(-80.0, 20.0, 21))]),
    ),
}


def build(folder: Path) -> list[str]:
    """Write all likelihoods and the index into a folder; return the names of the sub-folders."""
    for name in WORKSPACES:
        write_workspace(load_analysis(name), folder / name)
    for name in LINEAR:
        analysis = load_analysis(name).model_copy(update={"interpolation": "linear"})
        write_workspace(analysis, folder / f"{name}_linear")
    for name, (analysis_name, grid) in PATCHSETS.items():
        write_patchset(load_analysis(analysis_name), grid, folder / name)
    write_index(folder)
    return [*WORKSPACES, *(f"{n}_linear" for n in LINEAR), *PATCHSETS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("workspaces"))
    for name in build(parser.parse_args().output):
        print(name)


if __name__ == "__main__":
    main()
