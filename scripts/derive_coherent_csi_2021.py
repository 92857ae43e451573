"""Derive the tables of the COHERENT CsI[Na] experiment from its public ancillary files.

    python scripts/derive_coherent_csi_2021.py RELEASES [-o FOLDER]

Reads ``RELEASES/coherent_csi_2021`` (ancillary files of arXiv:2110.07730) and writes

* ``response*.csv``: probability of the bins of photoelectrons against true recoil energy: the
  release's scintillation response, a Gamma distribution (shape 1 + 9.56 E, mean E/0.0749 PE, E in
  keVee), the release's efficiency; ``_efficiency_*``, ``_quenching0_*``, ``_quenching1_*``: its
  variations; ``_electron*``: the same for an electron, whose visible energy is its energy;
* ``rates.csv``: bins of PE and time (time fastest): beam-coincident data, steady-state background
  (PE distribution of the anti-coincident data times an exponential in time fitted to them), prompt
  and neutrino-induced neutrons (release's distributions; the time distribution adds up to the
  events of all PE, the PE distribution to one below 60 PE);
* ``time_efficiency.csv``: the efficiency in time of the public code Newtrinos.jl.

It prints the beam's mean arrival fitted to the same data, which the experiment file uses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from derived import parser, response_columns, write_table
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import gamma

from histnu.physics.electrons import shells
from histnu.physics.nuclei import material
from histnu.physics.pion_decay import BeamProfile

EDGES_PE = np.array([8.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 50.0, 60.0])
EDGES_US = np.array([0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0, 2.0, 4.0, 6.0])
SOURCE = "COHERENT CsI[Na] ancillary files of arXiv:2110.07730 (Phys. Rev. Lett. 129, 081801)"
NODES_KEV = np.concatenate([np.arange(1.0, 20.0, 1.0), np.arange(20.0, 51.0, 2.0)])
SMOOTH_KEVEE = np.concatenate([np.arange(0.1, 1.0, 0.1), np.arange(1.0, 9.01, 0.25)])
STEPS_KEVEE = shells(material("cesium_iodide")).steps_kev()  # the rate jumps where a shell opens
NODES_KEVEE = np.union1d(SMOOTH_KEVEE, STEPS_KEVEE[(STEPS_KEVEE > 0.1) & (STEPS_KEVEE < 9.0)])
RESOLUTION = (0.0749, 9.56)  # not in the release's files; as in the public code Newtrinos.jl
TIME_EFFICIENCY = (0.52, 0.0494)  # us, 1/us: the same
BEAM_WIDTH_US = 0.15  # width of the SNS protons in the release of the argon detector
PROMPT_SHARE = 0.16  # of the CEvNS events, from the package's own prediction


def coefficients(path: Path) -> list[list[float]]:
    """Rows of numbers of a coefficient file, in its order."""
    lines = path.read_text().splitlines()
    return [[float(x) for x in s.split()] for s in lines if s.strip() and not s.startswith("#")]


def visible_kevee(t_kev: np.ndarray, c: list[float]) -> np.ndarray:
    """Scintillation response in keVee, a polynomial of the recoil energy in MeV."""
    x = t_kev * 1e-3
    return 1e3 * (c[0] * x + c[1] * x**2 + c[2] * x**3 + c[3] * x**4)


def efficiency(pe: np.ndarray, c: list[float]) -> np.ndarray:
    """``a/(1 + exp(-b (PE - c))) + d``, zero where that is negative."""
    return np.maximum(c[0] / (1.0 + np.exp(-c[1] * (pe - c[2]))) + c[3], 0.0)


def response(visible_kevee: np.ndarray, eff: list[float]) -> np.ndarray:
    """Probability per PE bin against visible energy in keVee, shape (N, 8)."""
    fine = np.arange(EDGES_PE[0], EDGES_PE[-1] + 0.05, 0.1)
    middle = 0.5 * (fine[1:] + fine[:-1])
    e = visible_kevee[:, None]
    shape = 1.0 + RESOLUTION[1] * e
    cells = np.diff(gamma.cdf(fine, shape, scale=e / RESOLUTION[0] / shape), axis=1)
    starts = np.searchsorted(middle, EDGES_PE[:-1])
    return np.add.reduceat(cells * efficiency(middle, eff), starts, axis=1)


def responses(release: Path) -> dict[str, np.ndarray]:
    """Tables of node energies and probabilities, name -> (N, 9)."""
    eff = coefficients(release / "effCoefficients.txt")
    quenching = coefficients(release / "scintRespCoefficients.txt")
    nuclear = [visible_kevee(NODES_KEV, row) for row in quenching]
    made = {
        "": (NODES_KEV, response(nuclear[0], eff[0])),
        "_electron": (NODES_KEVEE, response(NODES_KEVEE, eff[0])),
    }
    for i, side in ((1, "up"), (2, "down")):
        made[f"_efficiency_{side}"] = (NODES_KEV, response(nuclear[0], eff[i]))
        made[f"_electron_efficiency_{side}"] = (NODES_KEVEE, response(NODES_KEVEE, eff[i]))
        for k in (0, 1):
            made[f"_quenching{k}_{side}"] = (NODES_KEV, response(nuclear[i + 2 * k], eff[0]))
    return {k: np.column_stack(pair) for k, pair in made.items()}


def time_slope(times_us: np.ndarray, end_us: float) -> float:
    """Decay constant in 1/us of an exponential on [0, end], maximum likelihood."""

    def nll(k: float) -> float:
        return k * times_us.sum() - times_us.size * np.log(k / -np.expm1(-k * end_us))

    return float(minimize_scalar(nll, bounds=(1e-6, 1.0), method="bounded").x)


def steady_state(events: np.ndarray) -> np.ndarray:
    """Expected steady-state events, shape (8, 11)."""
    slope = time_slope(events[events[:, 1] < EDGES_US[-1], 1], EDGES_US[-1])
    survival = np.exp(-slope * EDGES_US)
    shape = -np.diff(survival) / (survival[0] - survival[-1])
    inside = events[events[:, 1] < EDGES_US[-1]]
    return np.histogram(inside[:, 0], EDGES_PE)[0][:, None] * shape


def neutrons(release: Path, name: str) -> np.ndarray:
    """Events of prompt (``brn``) or neutrino-induced (``nin``) neutrons, shape (8, 11)."""
    pe = np.loadtxt(release / f"{name}PE.txt")
    time = np.loadtxt(release / f"{name}Trec.txt")
    in_pe = np.histogram(pe[:, 0], EDGES_PE, weights=pe[:, 1])[0] / pe[:, 1].sum()
    half = 0.5 * (time[1, 0] - time[0, 0])
    edges = np.append(time[:, 0] - half, time[-1, 0] + half)
    cumulative = np.append(0.0, np.cumsum(time[:, 1]))
    return in_pe[:, None] * np.diff(np.interp(EDGES_US, edges, cumulative))


def in_time(time_us: np.ndarray) -> np.ndarray:
    """Efficiency in time."""
    start, slope = TIME_EFFICIENCY
    return np.exp(-slope * np.maximum(time_us - start, 0.0))


def fitted_beam_mean(rates: dict[str, np.ndarray]) -> tuple[float, float]:
    """Mean proton arrival and its uncertainty in us, from the time distribution of the data.

    Free: CEvNS events, mean. Steady state and neutrons are as expected.
    """
    shape = (EDGES_PE.size - 1, EDGES_US.size - 1)
    data = rates["observed"].reshape(shape).sum(axis=0)
    middle = 0.5 * (EDGES_US[1:] + EDGES_US[:-1])
    known = sum(rates[k].reshape(shape).sum(axis=0) for k in ("steady_state", "brn", "nin"))

    def nll(x: np.ndarray) -> float:
        beam = BeamProfile(x[1], BEAM_WIDTH_US)
        prompt, delayed = (beam.fractions(EDGES_US, k) for k in ("prompt", "delayed"))
        signal = (PROMPT_SHARE * prompt + (1 - PROMPT_SHARE) * delayed) * in_time(middle)
        expected = known + x[0] * signal
        return float(np.sum(expected - data * np.log(expected)))

    best = minimize(nll, [300.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-5})
    steps = np.linspace(-0.2, 0.2, 81)
    profile = [
        minimize_scalar(lambda n, m=m: nll([n, m]), bounds=(50, 600), method="bounded").fun
        for m in best.x[1] + steps
    ]
    inside = steps[np.array(profile) - best.fun < 0.5]
    return float(best.x[1]), float(0.5 * (inside[-1] - inside[0]))


def rates(release: Path) -> dict[str, np.ndarray]:
    """Columns of ``rates.csv``, each of 88 bins."""
    data = np.loadtxt(release / "dataBeamOnC.txt")
    columns = {
        "observed": np.histogram2d(data[:, 0], data[:, 1], [EDGES_PE, EDGES_US])[0],
        "steady_state": steady_state(np.loadtxt(release / "dataBeamOnAC.txt")),
        "brn": neutrons(release, "brn"),
        "nin": neutrons(release, "nin"),
    }
    background = columns["steady_state"]
    totals = background.sum(axis=1)
    for k, total in enumerate(totals):  # Poisson error of the anti-coincident events of a PE bin
        for side, sign in (("down", -1.0), ("up", 1.0)):
            varied = background.copy()
            varied[k] *= 1.0 + sign / np.sqrt(total)
            columns[f"steady_state_pe{k}_{side}"] = varied
    return {k: v.ravel() for k, v in columns.items()}


def write(release: Path, folder: Path) -> None:
    """Write all tables with their sources."""
    common = {
        "source": SOURCE,
        "provenance": "derived",
        "derived_by": "scripts/derive_coherent_csi_2021.py",
    }
    title = "Detection probability per bin of photoelectrons, all times"
    source = {**common, "title": title, "units": {"e_recoil_kev": "keV", "bin_*": "1"}}
    for name, rows in responses(release).items():
        write_table(folder / f"response{name}", response_columns(rows), source)
    columns = rates(release)
    title = "Events per bin of photoelectrons and time (time fastest)"
    units = dict.fromkeys(columns, "events")
    write_table(folder / "rates", columns, {**common, "title": title, "units": units})
    times = np.append(np.array([EDGES_US[0]]), np.linspace(TIME_EFFICIENCY[0], EDGES_US[-1], 23))
    title = (
        "Efficiency in time: 1 below 0.52 us, exp(-0.0494 (t/us - 0.52)) above, as in Newtrinos.jl"
    )
    source = {**common, "title": title, "units": {"time_us": "us", "efficiency": "1"}}
    in_us = {"time_us": times, "efficiency": in_time(times)}
    write_table(folder / "time_efficiency", in_us, source)
    mean, error = fitted_beam_mean(columns)
    print(f"mean arrival of the protons: {mean:.3f} +- {error:.3f} us")


def main() -> None:
    options = parser(__doc__, "experiments/coherent_csi_2021").parse_args()
    write(options.releases / "coherent_csi_2021", options.output)


if __name__ == "__main__":
    main()
