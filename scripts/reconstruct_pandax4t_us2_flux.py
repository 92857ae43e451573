"""Write the US2 channel that gives back the published flux (see scripts/us2_flux.py).

python scripts/reconstruct_pandax4t_us2_flux.py [-o histnu/data/experiments/pandax4t_us2_flux]

Prints, for every member of the envelope of shapes, the flux, its errors and its significance.
"""

from __future__ import annotations

import numpy as np
import us2_flux
from derived import parser, write_table

from histnu.experiments import us2
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.solar import solar_source
from histnu.templates.us2 import bare_signal

EXPOSURE_TONNE_YEAR = 1.04
SOURCE = (
    "reconstructed from totals, flux and significance of Bo et al., Phys. Rev. Lett. 133 (2024) "
    "191001, arXiv:2407.10892, with the assumptions of scripts/us2_flux.py"
)


def tables(
    assumptions: us2.Us2Assumptions,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], us2_flux.FluxFit]:
    """Columns of the response and of the rates, and the fit, for assumptions on the shapes."""
    source = solar_source("b8")
    signal = bare_signal(assumptions, source, StandardModel(), EXPOSURE_TONNE_YEAR)
    matched = us2_flux.matched(assumptions, signal)
    fit = us2_flux.whole_events(us2_flux.flux_fit(matched, signal))
    total = us2.published_signal_total(source.flux.total_cm2_s)
    made = us2.response(matched, signal, total)
    response = {"e_recoil_kev": made.e_recoil_kev}
    response |= {f"bin_{i}": p for i, p in enumerate(made.probability)}
    return response, {"observed": fit.observed, **us2.backgrounds(matched)}, fit


def main() -> None:
    folder = parser(__doc__, "experiments/pandax4t_us2_flux", releases=False).parse_args().output
    made = {}
    unit = us2.BEST_FIT_FLUX / us2.BEST_FIT_SIGNAL / 1e6
    for name, assumptions in us2_flux.ENVELOPE.items():  # the first is the nominal one
        response, rates, fit = tables(assumptions)
        down, up = (unit * x for x in fit.errors())
        print(
            f"{name}: {unit * fit.best():.2f} +{up:.2f} -{down:.2f} 1e6 cm^-2 s^-1, "
            f"{fit.significance():.2f} standard deviations"
        )
        made = made or {"response": response, "rates": rates}
    common = {
        "source": SOURCE,
        "provenance": "reconstructed",
        "derived_by": "scripts/reconstruct_pandax4t_us2_flux.py",
    }
    for name, title in (("response", "Detection probability"), ("rates", "Events")):
        title = f"{title} per bin of reconstructed electrons (4 to 8)"
        write_table(folder / name, made[name], {**common, "title": title}, digits=9)


if __name__ == "__main__":
    main()
