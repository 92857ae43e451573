"""Small workspace documents for doctests, tests and benchmarks.

They have the shape of real analyses and round numbers; none is a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from histnu.core.polynomial import Monomial, PolynomialMap
from histnu.workspace.digests import document_digests

Json = dict[str, Any]
FLAVOURS = ("e", "mu", "tau")


def _modifier(kind: str, name: str, data: Any = None) -> Json:
    return {"name": name, "type": kind, "data": data}


def _sample(name: str, data: Sequence[float], modifiers: list[Json]) -> Json:
    return {"name": name, "data": [float(x) for x in data], "modifiers": modifiers}


def _normsys(name: str, size: float) -> Json:
    return _modifier("normsys", name, {"lo": 1 - size, "hi": 1 + size})


def _symmetric(name: str, data: Sequence[float], size: float) -> Json:
    return _modifier(
        "histosys",
        name,
        {"lo_data": [x * (1 - size) for x in data], "hi_data": [x * (1 + size) for x in data]},
    )


def workspace(
    channels: dict[str, list[Json]],
    observed: dict[str, Sequence[float]],
    poi: str,
    parameters: list[Json] | None = None,
) -> Json:
    """Return a pyhf workspace document.

    Args:
        channels: channel -> samples. observed: channel -> counts.
        poi: parameter of interest. parameters: the measurement's parameter settings.
    """
    return {
        "channels": [{"name": c, "samples": s} for c, s in channels.items()],
        "observations": [{"name": c, "data": [float(x) for x in d]} for c, d in observed.items()],
        "measurements": [
            {"name": "measurement", "config": {"poi": poi, "parameters": parameters or []}}
        ],
        "version": "1.0.0",
    }


def textbook() -> Json:
    """Two bins, one signal, one background with an uncorrelated uncertainty.

    >>> textbook()["observations"][0]["data"]
    [51.0, 48.0]
    """
    samples = [
        _sample("signal", [12, 11], [_modifier("normfactor", "mu")]),
        _sample("background", [50, 52], [_modifier("shapesys", "uncorrelated", [3.0, 7.0])]),
    ]
    return workspace({"singlechannel": samples}, {"singlechannel": [51, 48]}, "mu")


def _signal_region() -> list[Json]:
    """Return the samples of the signal region of :func:`multichannel`."""
    return [
        _sample(
            "signal",
            [5.0, 10.0, 4.0],
            [_modifier("normfactor", "mu"), _modifier("lumi", "lumi")],
        ),
        _sample(
            "top",
            [30.0, 25.0, 12.0],
            [
                _modifier("lumi", "lumi"),
                _modifier("staterror", "stat_signal_region", [2.0, 1.5, 1.0]),
                _normsys("top_rate", 0.1),
            ],
        ),
        _sample(
            "fakes",
            [10.0, 6.0, 2.0],
            [
                _modifier("shapesys", "fakes_shape", [2.0, 1.0, 0.5]),
                _modifier("staterror", "stat_signal_region", [1.0, 0.5, 0.3]),
            ],
        ),
    ]


def multichannel() -> Json:
    """Two channels with shapesys, staterror, lumi and a control region."""
    control = [
        _sample(
            "top",
            [100.0, 80.0],
            [
                _modifier("lumi", "lumi"),
                _modifier("staterror", "stat_control", [3.0, 2.0]),
                _normsys("top_rate", 0.1),
                _modifier("normfactor", "top_scale"),
            ],
        )
    ]
    lumi = {
        "name": "lumi",
        "auxdata": [1.0],
        "sigmas": [0.03],
        "bounds": [[0.5, 1.5]],
        "inits": [1.0],
    }
    return workspace(
        {"signal_region": _signal_region(), "control": control},
        {"signal_region": [48, 44, 17], "control": [104, 77]},
        "mu",
        [lumi],
    )


def correlated() -> Json:
    """Two channels whose normsys and histosys are shared, one name for both kinds."""
    first = [
        _sample("signal", [6.0, 9.0, 5.0], [_modifier("normfactor", "mu"), _normsys("flux", 0.12)]),
        _sample(
            "background",
            [40.0, 30.0, 25.0],
            [
                _modifier("normsys", "flux", {"lo": 0.85, "hi": 1.2}),
                _modifier(
                    "histosys",
                    "shape",
                    {"lo_data": [36.0, 31.0, 27.0], "hi_data": [45.0, 29.0, 22.0]},
                ),
            ],
        ),
    ]
    second = [
        _sample("signal", [3.0, 4.0], [_modifier("normfactor", "mu"), _normsys("flux", 0.12)]),
        _sample(
            "background",
            [15.0, 20.0],
            [
                _modifier("normsys", "scale", {"lo": 0.9, "hi": 1.1}),
                _modifier("histosys", "shape", {"lo_data": [13.0, 21.0], "hi_data": [18.0, 19.5]}),
                _modifier("histosys", "scale", {"lo_data": [14.0, 19.0], "hi_data": [16.5, 20.5]}),
            ],
        ),
    ]
    return workspace(
        {"first": first, "second": second}, {"first": [50, 41, 27], "second": [20, 22]}, "mu"
    )


_XENONNT = {
    "cevns": [3.54, 5.66, 3.04],
    "ac": [8.42, 8.42, 8.42],
    "neutron": [0.07, 0.12, 0.28],
    "er": [0.011, 0.056, 0.61],
}
_PANDAX = {
    "cevns": [20.0, 14.0, 9.0, 6.0],
    "ce": [90.0, 40.0, 18.0, 7.0],
    "md": [40.0, 30.0, 18.0, 8.0],
}
_XENONNT_SIGNAL = [1.9, 2.4, 1.0]
_PANDAX_SIGNAL = [17.0, 9.0, 4.5, 2.4]
_ER = {"name": "er", "bounds": [[-0.99, 5.0]]}


def _combined_backgrounds() -> tuple[list[Json], list[Json], list[Json], list[Json]]:
    """Return the samples of both channels and the signal modifiers of both channels."""
    shared = _normsys("b8_flux", 0.12)
    xe_signal = [shared, _normsys("xenonnt_signal", 0.05)]
    pandax_signal = [shared, _normsys("pandax4t_signal", 0.22)]
    xenonnt = [
        _sample("cevns", _XENONNT["cevns"], xe_signal),
        _sample("ac", _XENONNT["ac"], [_normsys("ac", 0.048)]),
        _sample("neutron", _XENONNT["neutron"], [_normsys("neutron", 0.5)]),
        _sample("er", _XENONNT["er"], [_symmetric("er", _XENONNT["er"], 1.0)]),
    ]
    pandax = [
        _sample("cevns", _PANDAX["cevns"], pandax_signal),
        _sample("ce", _PANDAX["ce"], [_normsys("ce", 0.31)]),
        _sample("md", _PANDAX["md"], [_normsys("md", 0.23)]),
    ]
    return xenonnt, pandax, xe_signal, pandax_signal


def combined() -> Json:
    """Two experiments, 3 + 4 bins, one signal strength ``mu`` and nine nuisances.

    >>> [c["name"] for c in combined()["channels"]]
    ['xenonnt', 'pandax4t']
    """
    xenonnt, pandax, xe_signal, pandax_signal = _combined_backgrounds()
    poi = _modifier("normfactor", "mu")
    xenonnt.append(_sample("bsm", _XENONNT_SIGNAL, [poi, *xe_signal]))
    pandax.append(
        _sample("bsm", _PANDAX_SIGNAL, [poi, *pandax_signal, _normsys("pandax4t_threshold", 0.1)])
    )
    return workspace(
        {"xenonnt": xenonnt, "pandax4t": pandax},
        {"xenonnt": [16, 14, 7], "pandax4t": [170, 88, 50, 24]},
        "mu",
        [_ER],
    )


def millicharge() -> tuple[Json, PolynomialMap]:
    """Return the combined document with six charges, and the polynomial map of its strengths.

    Per flavour ``lin = q_ll`` and ``sq = q_ll^2 + sum_{l'} q_ll'^2`` multiply an
    interference template, which is negative, and a squared template; those of mu and tau are
    identical because of maximal mixing.

    >>> millicharge()[1].parameters
    ('q_ee', 'q_mumu', 'q_tautau', 'q_emu', 'q_etau', 'q_mutau')
    """
    xenonnt, pandax, xe_signal, pandax_signal = _combined_backgrounds()
    wide = []
    weights = {"e": np.linspace(0.55, 0.45, 4), "mu": np.linspace(0.2, 0.3, 4)}
    weights["tau"] = weights["mu"]
    for flavour in FLAVOURS:
        for kind, size in (("lin", -0.8), ("sq", 0.4)):
            name = f"{kind}_{flavour}"
            poi = _modifier("normfactor", name)
            power = 0.5 if kind == "lin" else 1.0
            for samples, base, mods, low in (
                (xenonnt, _XENONNT["cevns"], xe_signal, _XENONNT_SIGNAL),
                (pandax, _PANDAX["cevns"], pandax_signal, _PANDAX_SIGNAL),
            ):
                shape = [
                    float(size * w * b ** (1 - power) * x**power)
                    for b, x, w in zip(base, low, weights[flavour], strict=False)
                ]
                samples.append(_sample(name, shape, [poi, *mods]))
            wide.append({"name": name, "bounds": [[-1e4, 1e4]], "inits": [0.0]})
    document = workspace(
        {"xenonnt": xenonnt, "pandax4t": pandax},
        {"xenonnt": [16, 14, 7], "pandax4t": [170, 88, 50, 24]},
        "lin_e",
        [_ER, *wide],
    )
    return document, charge_polynomial()


def charge_polynomial() -> PolynomialMap:
    """Return the map from six charges to ``lin_l`` and ``sq_l`` of each flavour."""
    parameters = ("q_ee", "q_mumu", "q_tautau", "q_emu", "q_etau", "q_mutau")
    outputs: list[str] = []
    terms: list[tuple[Monomial, ...]] = []
    for flavour in FLAVOURS:
        diagonal = f"q_{flavour}{flavour}"
        transitions = [
            p for p in parameters[3:] if p[2:].startswith(flavour) or p.endswith(flavour)
        ]
        outputs += [f"lin_{flavour}", f"sq_{flavour}"]
        terms.append(((1.0, {diagonal: 1}),))
        terms.append(tuple((1.0, {p: 2}) for p in [diagonal, *transitions]))
    return PolynomialMap(parameters, tuple(outputs), tuple(terms))


def binned(n_bins: int = 162, n_nuisances: int = 12, seed: int = 1) -> Json:
    """Return one channel with a signal, four backgrounds and many nuisances.

    Args:
        n_bins: number of bins. n_nuisances: number of normsys and histosys parameters.
        seed: of the pseudo-data.

    >>> len(binned(10)["channels"][0]["samples"][0]["data"])
    10
    """
    x = (np.arange(n_bins) + 0.5) / n_bins
    shapes = {
        "signal": 120 * np.exp(-5 * x),
        "flat": np.full(n_bins, 2.0),
        "falling": 300 * np.exp(-6 * x) + 0.1,
        "peak": 80 * np.exp(-0.5 * ((x - 0.6) / 0.1) ** 2) + 0.1,
        "rising": 1 + 3 * x,
    }
    shapes = {k: v * 162 / n_bins for k, v in shapes.items()}
    names = list(shapes)
    modifiers: dict[str, list[Json]] = {name: [] for name in names}
    modifiers["signal"].append(_modifier("normfactor", "mu"))
    for k in range(n_nuisances):
        name = names[k % len(names)]
        if k % 4 == 3:
            tilt = 1 + 0.1 * (x - 0.5)
            data = {
                "lo_data": (shapes[name] / tilt).tolist(),
                "hi_data": (shapes[name] * tilt).tolist(),
            }
            modifiers[name].append(_modifier("histosys", f"nuisance_{k}", data))
        else:
            modifiers[name].append(_normsys(f"nuisance_{k}", 0.05 + 0.02 * k))
    rng = np.random.default_rng(seed)
    total = sum(v for k, v in shapes.items() if k != "signal")
    samples = [_sample(k, v.tolist(), modifiers[k]) for k, v in shapes.items()]
    return workspace({"bins": samples}, {"bins": rng.poisson(total).tolist()}, "mu")


def search() -> tuple[Json, Json]:
    """A background-only workspace with two measurements and its PatchSet, as searches publish them.

    The second measurement holds ``jes``. A patch adds the signal to both regions and bounds mu_SIG.

    >>> background, patchset = search()
    >>> [p["metadata"]["name"] for p in patchset["patches"]]
    ['C1N2_200_50', 'C1N2_300_50', 'C1N2_300_100']
    """
    background = workspace(
        {
            "SR": [_sample("top", [12.0, 5.0], [_normsys("jes", 0.1), _normsys("xsec", 0.05)])],
            "CR": [_sample("top", [210.0], [_normsys("xsec", 0.05)])],
        },
        {"SR": [14, 6], "CR": [205]},
        "mu_SIG",
    )
    held = {"poi": "mu_SIG", "parameters": [{"name": "jes", "fixed": True, "inits": [0.0]}]}
    background["measurements"].append({"name": "no_jes", "config": held})
    sizes = {(200, 50): [6.0, 4.0], (300, 50): [3.0, 2.5], (300, 100): [2.0, 1.5]}
    signals = {
        values: _sample("signal", size, [_modifier("normfactor", "mu_SIG")])
        for values, size in sizes.items()
    }
    patches = [
        {
            "metadata": {"name": f"C1N2_{m}_{m1}", "values": [m, m1]},
            "patch": [
                {"op": "add", "path": "/channels/0/samples/1", "value": signal},
                {"op": "add", "path": "/channels/1/samples/0", "value": {**signal, "data": [0.5]}},
            ],
        }
        for (m, m1), signal in signals.items()
    ]
    metadata = {
        "references": {"hepdata": "ins1234567"},
        "description": "a search",
        "digests": document_digests(background),
        "labels": ["m", "m1"],
    }
    return background, {"metadata": metadata, "patches": patches, "version": "1.0.0"}
