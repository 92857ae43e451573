"""The linter's checks of measurements: parameters of interest and parameter settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from histnu.workspace.findings import Findings, error, info, warning

KINDS: Mapping[str, str] = {
    "normsys": "a Gaussian nuisance parameter",
    "histosys": "a Gaussian nuisance parameter",
    "normfactor": "a free normalisation",
    "shapefactor": "free factors per bin",
    "shapesys": "Poisson-constrained factors per bin",
    "staterror": "Gaussian-constrained factors per bin",
    "lumi": "the luminosity",
}
"""What a parameter is, by the type of its modifier; one name must mean one of these."""
PER_BIN = ("shapefactor", "shapesys", "staterror")

Use = tuple[str, str, str, int]
"""Where a parameter is used: pointer, type of the modifier, channel, bins."""


def samples(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """All samples: pointer, channel, sample."""
    for i, channel in enumerate(document["channels"]):
        for j, sample in enumerate(channel["samples"]):
            yield f"/channels/{i}/samples/{j}", channel, sample


def uses_of(document: Mapping[str, Any]) -> dict[str, list[Use]]:
    """Parameter -> its uses."""
    uses: dict[str, list[Use]] = {}
    for path, channel, sample in samples(document):
        for m, modifier in enumerate(sample["modifiers"]):
            use = (f"{path}/modifiers/{m}", modifier["type"], channel["name"], len(sample["data"]))
            uses.setdefault(modifier["name"], []).append(use)
    return uses


def check_measurements(document: Mapping[str, Any]) -> Findings:
    """Parameter settings: known names, bounds in order, starts inside, lumi with auxdata."""
    uses = uses_of(document)
    for i, measurement in enumerate(document["measurements"]):
        base = f"/measurements/{i}/config"
        config = measurement["config"]
        poi = config["poi"]
        yield from _poi_findings(document, base, poi, uses)
        names = [p["name"] for p in config["parameters"]]
        for j, setting in enumerate(config["parameters"]):
            path = f"{base}/parameters/{j}"
            name = setting["name"]
            if name in names[:j]:
                yield error("settings", f"{path}/name", f"{name!r} is set twice", "merge them")
            if name not in uses:
                if name != poi:
                    problem = f"{name!r} is no parameter of the model; pyhf ignores it"
                    yield info("settings", f"{path}/name", problem, "correct the name or remove it")
            else:
                yield from _sizes(path, setting, uses[name][0])
            yield from _setting_findings(path, setting, poi)
        yield from _lumi_findings(base, config, uses)


def _poi_findings(
    document: Mapping[str, Any], base: str, poi: str, uses: Mapping[str, Sequence[Use]]
) -> Findings:
    """A parameter of interest exists, is free, and has an effect."""
    if not poi:
        return
    if poi not in uses:
        problem = f"parameter of interest {poi!r} is no modifier: background-only until patched"
        mend = "apply a patch that adds the signal, or correct the name"
        yield info("poi", f"{base}/poi", problem, mend)
        return
    kind = uses[poi][0][1]
    if KINDS[kind] != KINDS["normfactor"]:
        problem = f"parameter of interest {poi!r} is {KINDS[kind]}"
        yield warning("poi", f"{base}/poi", problem, "use a normfactor")
    elif not any(
        any(sample["data"])
        for _, _, sample in samples(document)
        if any(m["name"] == poi for m in sample["modifiers"])
    ):
        problem = f"the signal of {poi!r} is zero in every bin: no data can tell its strength"
        mend = "check the units of energies and tables, or leave the signal out"
        yield error("signal", f"{base}/poi", problem, mend)


def _sizes(path: str, setting: Mapping[str, Any], use: Use) -> Findings:
    """One start value and one pair of bounds per parameter."""
    _, kind, _, n_bins = use
    expected = n_bins if kind in PER_BIN else 1
    what = f"{kind} {setting['name']!r}"
    for key in ("inits", "bounds", "auxdata", "sigmas"):
        found = setting.get(key)
        if found is not None and len(found) != expected:
            problem = f"{len(found)} {key} for {what}, which is {expected} parameter(s)"
            yield error("settings", f"{path}/{key}", problem, "give one per parameter")


def _setting_findings(path: str, setting: Mapping[str, Any], poi: str) -> Findings:
    """Bounds, start values and widths of one setting."""
    for k, bound in enumerate(setting.get("bounds", [])):
        if len(bound) != 2 or not bound[0] < bound[1]:
            problem = f"bounds {bound} are not [lower, upper]"
            yield error("settings", f"{path}/bounds/{k}", problem, "give lower < upper")
            continue
        start = setting.get("inits", [])[k : k + 1]
        if start and not bound[0] <= start[0] <= bound[1]:
            problem = f"start {start[0]} is outside the bounds {bound}"
            yield error("settings", f"{path}/inits/{k}", problem, "start inside the bounds")
    for k, sigma in enumerate(setting.get("sigmas", [])):
        if not sigma > 0:
            problem = f"sigma {sigma} of {setting['name']!r} constrains nothing"
            yield error("settings", f"{path}/sigmas/{k}", problem, "give a sigma > 0")
    if setting["name"] == poi and setting.get("fixed"):
        problem = f"the parameter of interest {poi!r} is fixed"
        yield warning("settings", f"{path}/fixed", problem, "remove fixed to fit it")


def _lumi_findings(
    base: str, config: Mapping[str, Any], uses: Mapping[str, Sequence[Use]]
) -> Findings:
    """A lumi modifier needs auxdata, sigmas and bounds: pyhf has no default for them."""
    named = [name for name, found in uses.items() if any(u[1] == "lumi" for u in found)]
    for name in named:
        j, setting = next(
            ((j, p) for j, p in enumerate(config["parameters"]) if p["name"] == name), (None, {})
        )
        missing = [k for k in ("auxdata", "sigmas", "bounds") if k not in setting]
        if missing:
            where = f"{base}/parameters" + ("" if j is None else f"/{j}")
            problem = f"the lumi parameter {name!r} has no {' and no '.join(missing)}"
            mend = 'give them, as {"auxdata": [1.0], "sigmas": [0.02], "bounds": [[0.8, 1.2]]}'
            yield error("lumi", where, problem, mend)
