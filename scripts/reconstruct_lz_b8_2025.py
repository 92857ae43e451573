"""Write the tables of the reconstructed one-channel LZ 8B experiment.

    python scripts/reconstruct_lz_b8_2025.py RELEASES [-o FOLDER] [--interpolation linear]

Published: the nuclear-recoil efficiency (HEPData 10.17182/hepdata.167350), 5.7 t yr, the flux
3.1 (+2.1 -1.3) 1e6 cm^-2 s^-1 and 4.5 standard deviations. The events in the signal region and
their backgrounds enter a likelihood of several observables that is not public. One counting channel
with an effective background and an uncertainty of the signal has two unknowns,

* the background b, 10 % uncertain, and
* the log-normal uncertainty of the signal (detector response; it makes the errors asymmetric),

for three published numbers: both errors of the flux and the significance. They are fitted; the
third is a check. The observed events are those at which the best fit is the published flux.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from derived import parser, response_columns, write_table
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq, least_squares, minimize

from histnu.physics.models.standard_model import StandardModel
from histnu.physics.nuclei import material
from histnu.physics.scattering import NUCLEAR, Scattering
from histnu.sources.solar import solar_source

EXPOSURE_TONNE_YEAR = 5.7
FLUX, FLUX_DOWN, FLUX_UP = 3.1, 1.3, 2.1  # 1e6 cm^-2 s^-1
SIGNIFICANCE = 4.5
BACKGROUND_RELATIVE = 0.10
SOURCE = (
    "LZ Collaboration, arXiv:2512.08065: efficiency HEPData 10.17182/hepdata.167350; flux and "
    "significance as published"
)


@dataclass(frozen=True)
class Counting:
    """One counting channel: observed and background events, signal per 1e6 cm^-2 s^-1."""

    observed: float
    background: float
    signal_relative: float
    signal: float
    background_relative: float = BACKGROUND_RELATIVE

    def profile(self, flux: float) -> float:
        """``-2 ln L`` at a flux, least over both nuisance parameters."""

        def nll(x: np.ndarray) -> float:
            background = self.background * np.exp(self.background_relative * x[1])
            mu = background + self.signal * flux * np.exp(self.signal_relative * x[0])
            return float(2.0 * (mu - self.observed * np.log(mu)) + x @ x)

        return float(minimize(nll, np.zeros(2), method="BFGS").fun)

    def summary(self) -> tuple[float, float, float]:
        """Lower and upper error of the flux (1e6 cm^-2 s^-1) at its best fit, significance."""
        best = (self.observed - self.background) / self.signal
        least = self.profile(best)
        low = brentq(lambda x: self.profile(x) - least - 1.0, 1e-3, best)
        high = brentq(lambda x: self.profile(x) - least - 1.0, best, 20.0 * best)
        return best - low, high - best, float(np.sqrt(self.profile(0.0) - least))


def at_flux(background: float, signal_relative: float, start: Counting) -> Counting:
    """The channel with its observed events where the published flux is the best fit."""
    observed = background + start.signal * FLUX
    return replace(start, observed=observed, background=background, signal_relative=signal_relative)


def reconstruct(signal: float, background_relative: float = BACKGROUND_RELATIVE) -> Counting:
    """Background and signal uncertainty that give back the published errors and significance."""
    start = Counting(1.0, 1.0, 0.3, signal, background_relative)

    def residuals(x: np.ndarray) -> list[float]:
        down, up, significance = at_flux(np.exp(x[0]), np.exp(x[1]), start).summary()
        return [10 * (significance - SIGNIFICANCE), 10 * (down - FLUX_DOWN), 10 * (up - FLUX_UP)]

    found = least_squares(residuals, np.log([3.0, 0.3]), diff_step=1e-3).x
    return at_flux(float(np.exp(found[0])), float(np.exp(found[1])), start)


def efficiency(releases: Path) -> np.ndarray:
    """Energy in keV and efficiency, shape (N, 2)."""
    text = (releases / "lz_b8_2025" / "LZB8-v2-Efficiency.csv").read_text().splitlines()
    rows = [line.split(",") for line in text if line[:1].isdigit()]
    return np.array(rows, dtype=float)


def expected_signal(table: np.ndarray, interpolation: str) -> float:
    """Standard Model events of the exposure per 1e6 cm^-2 s^-1."""
    t = np.linspace(table[0, 0] + 1e-3, table[-1, 0], 20_000)
    if interpolation == "pchip":
        probability = PchipInterpolator(table[:, 0], table[:, 1])(t)
    else:
        probability = np.interp(t, table[:, 0], table[:, 1])
    scattering = Scattering(NUCLEAR, solar_source("b8", 1e6), material("xenon"))
    spectrum = np.sum(list(StandardModel().basis_spectra(scattering, t).values()), axis=0)
    return float(EXPOSURE_TONNE_YEAR * np.trapezoid(spectrum * probability, t))


def main() -> None:
    line = parser(__doc__, "experiments/lz_b8_2025")
    line.add_argument("--interpolation", choices=["pchip", "linear"], default="pchip")
    options = line.parse_args()
    table = efficiency(options.releases)
    channel = reconstruct(expected_signal(table, options.interpolation))
    common = {"source": SOURCE, "derived_by": "scripts/reconstruct_lz_b8_2025.py"}
    source = {**common, "title": "Efficiency as published", "provenance": "derived"}
    write_table(options.output / "response", response_columns(table), source)
    channel = replace(channel, observed=float(round(channel.observed)))  # 13.001 before
    rates = {"observed": [channel.observed], "background": [channel.background]}
    title = "Effective events that give back the published flux and significance"
    source = {**common, "title": title, "provenance": "reconstructed"}
    write_table(options.output / "rates", rates, source)
    down, up, significance = channel.summary()
    print(f"observed {channel.observed:.3f}, background {channel.background:.3f}")
    print(f"signal per 1e6 {channel.signal:.4f}, uncertainty {channel.signal_relative:.4f}")
    print(f"flux {FLUX} +{up:.3f} -{down:.3f}, {significance:.3f} standard deviations")


if __name__ == "__main__":
    main()
