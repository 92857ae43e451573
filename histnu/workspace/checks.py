"""A linter for anybody's workspace or PatchSet: what the schema lets through and fits trip over.

Every finding names the place (a JSON pointer), the problem and the mend. ``error`` means a wrong
or undefined likelihood, ``warning`` a trap, ``info`` something a reader should know.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from histnu.errors import DataError
from histnu.workspace.rates import LowestRate, lowest_rates, parameter_ranges

SEVERITIES = ("error", "warning", "info")
SHOWN = 5
"""Places named one by one before the rest is counted."""

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


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        severity: ``error``, ``warning`` or ``info``.
        check: name of the check.
        path: JSON pointer (RFC 6901) into the document.
        problem: what is wrong, with the offending value.
        mend: what to do.
    """

    severity: str
    check: str
    path: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.path or '/'}: {self.problem}; {self.mend} [{self.check}]"

    def to_json(self) -> dict[str, str]:
        """The fields as plain Python."""
        return asdict(self)


Findings = Iterator[Finding]


def error(check: str, path: str, problem: str, mend: str) -> Finding:
    """A finding that makes the likelihood wrong or undefined."""
    return Finding("error", check, path, problem, mend)


def warning(check: str, path: str, problem: str, mend: str) -> Finding:
    """A finding that is a trap."""
    return Finding("warning", check, path, problem, mend)


def info(check: str, path: str, problem: str, mend: str) -> Finding:
    """A finding that a reader should know."""
    return Finding("info", check, path, problem, mend)


def pointer(*parts: object) -> str:
    """A JSON pointer.

    >>> pointer("channels", 0, "a/b")
    '/channels/0/a~1b'
    """
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
    """All numbers of a document with their pointers."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, path + pointer(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _numbers(item, f"{path}/{i}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def _samples(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """All samples: pointer, channel, sample."""
    for i, channel in enumerate(document["channels"]):
        for j, sample in enumerate(channel["samples"]):
            yield f"/channels/{i}/samples/{j}", channel, sample


def schema_findings(document: Any, kind: str) -> list[Finding]:
    """What pyhf's schema says (``workspace.json`` or ``patchset.json``)."""
    import pyhf

    try:
        pyhf.schema.validate(document, kind, version="1.0.0")
    except pyhf.exceptions.InvalidSpecification as fault:
        parts = str(getattr(fault, "path", "") or "").replace("[", ".").replace("]", "")
        where = pointer(*[p for p in parts.split(".") if p])
        reason = " ".join(str(fault).split())[:300]
        return [error("schema", where, reason, f"follow pyhf's {kind} 1.0.0")]
    return []


def check_finite(document: Any) -> Findings:
    """NaN and infinity pass the schema and spoil every fit."""
    for path, value in _numbers(document):
        if not math.isfinite(value):
            yield error("finite", path, f"{value} is not finite", "give a finite number")


def check_integers(document: Mapping[str, Any]) -> Findings:
    """Digests tell 1 from 1.0, and other languages write whole floats as integers."""
    found = [path for path, value in _numbers(document) if isinstance(value, int)]
    if found:
        problem = f"{len(found)} integers (this is the first); digests tell 1 from 1.0"
        yield warning("integers", found[0], problem, "write every number as a float before hashing")


def check_names(document: Mapping[str, Any]) -> Findings:
    """Channels, samples, observations and measurements must be named once."""
    for key in ("channels", "observations", "measurements"):
        names = [item["name"] for item in document[key]]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield error("names", f"/{key}/{i}/name", f"{name!r} is used twice", "rename one")
    for i, channel in enumerate(document["channels"]):
        names = [s["name"] for s in channel["samples"]]
        for j, name in enumerate(names):
            if name in names[:j]:
                path = f"/channels/{i}/samples/{j}/name"
                yield error("names", path, f"{name!r} is used twice", "rename one sample")


def check_observations(document: Mapping[str, Any]) -> Findings:
    """Every channel needs one observation with as many bins, counts not negative."""
    observed = {o["name"]: (i, o) for i, o in enumerate(document["observations"])}
    channels = {c["name"] for c in document["channels"]}
    for i, channel in enumerate(document["channels"]):
        name, n_bins = channel["name"], len(channel["samples"][0]["data"])
        if name not in observed:
            problem = f"channel {name!r} has no observation"
            yield error("observations", f"/channels/{i}", problem, "add its observed counts")
        elif len(observed[name][1]["data"]) != n_bins:
            k, entry = observed[name]
            problem = f"{len(entry['data'])} counts, channel {name!r} has {n_bins} bins"
            yield error("observations", f"/observations/{k}/data", problem, "give one per bin")
    for name, (k, entry) in observed.items():
        if name not in channels:
            problem = f"{name!r} is no channel"
            yield error("observations", f"/observations/{k}/name", problem, "rename or remove it")
        for b, count in enumerate(entry["data"]):
            if count < 0:
                path = f"/observations/{k}/data/{b}"
                yield error("observations", path, f"{count} is negative", "give counts >= 0")


def check_lengths(document: Mapping[str, Any]) -> Findings:
    """Samples of a channel and the data of their modifiers have the same bins."""
    for path, channel, sample in _samples(document):
        n_bins = len(channel["samples"][0]["data"])
        if len(sample["data"]) != n_bins:
            problem = f"{len(sample['data'])} bins, the first sample of the channel {n_bins}"
            yield error("lengths", f"{path}/data", problem, "give every sample the same bins")
        yield from _modifier_lengths(path, sample)


def _modifier_lengths(path: str, sample: Mapping[str, Any]) -> Findings:
    """Modifier data with the wrong number of bins."""
    n_bins = len(sample["data"])
    for m, modifier in enumerate(sample["modifiers"]):
        data = modifier["data"]
        parts = data if isinstance(data, dict) else {"": data}
        for key, value in parts.items():
            if isinstance(value, list) and len(value) != n_bins:
                where = f"{path}/modifiers/{m}/data" + (f"/{key}" if key else "")
                problem = f"{len(value)} values, the sample has {n_bins} bins"
                yield error("lengths", where, problem, "give one value per bin")


def check_samples(document: Mapping[str, Any]) -> Findings:
    """Checks that look at one sample at a time."""
    for path, _, sample in _samples(document):
        yield from sample_findings(path, sample)


def sample_findings(path: str, sample: Mapping[str, Any]) -> Findings:
    """Illegal factors, repeated modifiers and uncertainties on negative bins of a sample."""
    seen: Counter[tuple[str, str]] = Counter()
    for m, modifier in enumerate(sample["modifiers"]):
        where = f"{path}/modifiers/{m}"
        name, kind = modifier["name"], modifier["type"]
        seen[name, kind] += 1
        if seen[name, kind] == 2:
            problem = f"{kind} {name!r} appears twice on one sample; pyhf keeps only one, silently"
            yield error("duplicates", where, problem, "merge them, or rename one")
        if kind == "normsys":
            for key in ("lo", "hi"):
                if modifier["data"][key] <= 0:
                    problem = f"factor {modifier['data'][key]} of {name!r} has no logarithm"
                    mend = "give a factor > 0, or write it as a histosys (linear)"
                    yield error("normsys", f"{where}/data/{key}", problem, mend)
        elif kind in {"staterror", "shapesys"}:
            yield from _bin_uncertainty(where, sample, modifier)


def _bin_uncertainty(
    where: str, sample: Mapping[str, Any], modifier: Mapping[str, Any]
) -> Findings:
    """Uncertainties per bin where the sample is negative, or that are negative themselves."""
    kind = modifier["type"]
    for b, (n, sigma) in enumerate(zip(sample["data"], modifier["data"], strict=False)):
        if sigma < 0:
            yield error(kind, f"{where}/data/{b}", f"{sigma} is negative", "give values >= 0")
        elif n < 0 and sigma > 0:
            problem = f"{kind} on a bin of {n:g} events; pyhf freezes it, silently"
            mend = "remove it from samples with negative bins (interference)"
            yield error(kind, f"{where}/data/{b}", problem, mend)
        elif n == 0 and sigma > 0 and kind == "shapesys":
            problem = f"{kind} of {sigma:g} on a bin without events has no effect in pyhf"
            yield warning(kind, f"{where}/data/{b}", problem, "give the bin its expected events")


def _uses(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, str, int]]]:
    """Parameter -> its uses: (pointer, type, channel, bins)."""
    uses: dict[str, list[tuple[str, str, str, int]]] = {}
    for path, channel, sample in _samples(document):
        for m, modifier in enumerate(sample["modifiers"]):
            use = (f"{path}/modifiers/{m}", modifier["type"], channel["name"], len(sample["data"]))
            uses.setdefault(modifier["name"], []).append(use)
    return uses


def check_parameters(document: Mapping[str, Any]) -> Findings:
    """One name must be one parameter of one kind and size."""
    for name, uses in _uses(document).items():
        meanings = {KINDS[kind]: path for path, kind, _, _ in reversed(uses)}
        if len(meanings) > 1:
            path = next(p for p, kind, _, _ in uses if KINDS[kind] != KINDS[uses[0][1]])
            problem = f"{name!r} is {' and '.join(sorted(meanings))}"
            yield error("shared_names", path, problem, "give different parameters different names")
            continue
        kind = uses[0][1]
        if kind == "shapesys" and len(uses) > 1:
            problem = f"shapesys {name!r} is shared by {len(uses)} samples; pyhf refuses it"
            yield error("shared_names", uses[1][0], problem, "use one name per sample")
        elif kind in {"staterror", "shapefactor"} and len({c for _, _, c, _ in uses}) > 1:
            path = next(p for p, _, c, _ in uses if c != uses[0][2])
            sizes = sorted({n for _, _, _, n in uses})
            problem = f"{kind} {name!r} is shared by channels with {sizes} bins"
            make = error if len(sizes) > 1 or kind == "staterror" else warning
            yield make("shared_names", path, problem, "use one name per channel")


def check_measurements(document: Mapping[str, Any]) -> Findings:
    """Parameter settings: known names, bounds in order, starts inside, lumi with auxdata."""
    uses = _uses(document)
    for i, measurement in enumerate(document["measurements"]):
        base = f"/measurements/{i}/config"
        config = measurement["config"]
        poi = config["poi"]
        if poi and poi not in uses:
            problem = f"parameter of interest {poi!r} is no modifier: background-only until patched"
            mend = "apply a patch that adds the signal, or correct the name"
            yield info("poi", f"{base}/poi", problem, mend)
        elif poi and KINDS[uses[poi][0][1]] != KINDS["normfactor"]:
            problem = f"parameter of interest {poi!r} is {KINDS[uses[poi][0][1]]}"
            yield warning("poi", f"{base}/poi", problem, "use a normfactor")
        names = [p["name"] for p in config["parameters"]]
        for j, setting in enumerate(config["parameters"]):
            path = f"{base}/parameters/{j}"
            if setting["name"] in names[:j]:
                problem = f"{setting['name']!r} is set twice"
                yield error("settings", f"{path}/name", problem, "merge the settings")
            if setting["name"] not in uses and setting["name"] != poi:
                problem = f"{setting['name']!r} is no parameter of the model; pyhf ignores it"
                yield info("settings", f"{path}/name", problem, "correct the name or remove it")
            yield from _setting_findings(path, setting, poi)
        yield from _lumi_findings(base, config, uses)


def _setting_findings(path: str, setting: Mapping[str, Any], poi: str) -> Findings:
    """Bounds and start values of one setting."""
    bounds = setting.get("bounds", [])
    for k, bound in enumerate(bounds):
        if len(bound) != 2 or not bound[0] < bound[1]:
            problem = f"bounds {bound} are not [lower, upper]"
            yield error("settings", f"{path}/bounds/{k}", problem, "give lower < upper")
            continue
        start = setting.get("inits", [])[k : k + 1]
        if start and not bound[0] <= start[0] <= bound[1]:
            problem = f"start {start[0]} is outside the bounds {bound}"
            yield error("settings", f"{path}/inits/{k}", problem, "start inside the bounds")
    if setting["name"] == poi and setting.get("fixed"):
        problem = f"the parameter of interest {poi!r} is fixed"
        yield warning("settings", f"{path}/fixed", problem, "remove fixed to fit it")


def _lumi_findings(base: str, config: Mapping[str, Any], uses: Mapping[str, Any]) -> Findings:
    """A lumi modifier needs auxdata and sigmas."""
    if not any(kind == "lumi" for _, kind, _, _ in uses.get("lumi", [])):
        return
    settings = [p for p in config["parameters"] if p["name"] == "lumi"]
    if not settings or not {"auxdata", "sigmas"} <= set(settings[0]):
        mend = "set auxdata and sigmas of lumi in the measurement"
        yield error("lumi", f"{base}/parameters", "lumi has no auxdata and sigmas", mend)


def check_rates(document: Mapping[str, Any]) -> Findings:
    """Total rates of zero or less at the start or inside the parameter bounds."""
    observed = {o["name"]: o["data"] for o in document["observations"]}
    told: set[tuple[int, bool]] = set()
    for measurement in document["measurements"]:
        ranges = parameter_ranges(document, measurement)
        for i, channel in enumerate(document["channels"]):
            found = lowest_rates(channel, ranges)
            for at_start in (True, False):
                bins = [low for low in found if (low.total <= 0.0) == at_start]
                if bins and (i, at_start) not in told:
                    told.add((i, at_start))
                    finding = _start_finding if at_start else _bounds_finding
                    yield finding(f"/channels/{i}", channel["name"], bins, observed)


def _more(bins: list[LowestRate]) -> str:
    """How many further bins have the same fault."""
    return f" (and {len(bins) - 1} more bins)" if len(bins) > 1 else ""


def _start_finding(
    path: str, name: str, bins: list[LowestRate], observed: Mapping[str, list[float]]
) -> Finding:
    """Bins that expect nothing at the start values."""
    first = max(bins, key=lambda low: observed[name][low.bin])
    events = observed[name][first.bin]
    problem = f"bin {first.bin} of {name!r} expects {first.total:g} events, {events:g} are observed"
    mend = "give the bin a background, or merge it with another"
    make = error if events > 0 or first.total < 0 else warning
    return make("rates", path, problem + _more(bins), mend)


def _bounds_finding(
    path: str, name: str, bins: list[LowestRate], observed: Mapping[str, list[float]]
) -> Finding:
    """Bins that reach zero or less inside the bounds; the one with the simplest point is shown."""
    first = min(bins, key=lambda low: len(low.parameters))
    shown = ", ".join(f"{k} = {v:g}" for k, v in list(first.parameters.items())[:SHOWN])
    extra = len(first.parameters) - SHOWN
    shown += f" and {extra} more" if extra > 0 else ""
    reached = f"bin {first.bin} of {name!r} reaches {first.lowest:.3g} events"
    problem = f"{reached} inside the bounds ({shown}){_more(bins)}"
    return warning("rates", path, problem, "tighten the bounds of these parameters")


STRUCTURE: tuple[Callable[[Mapping[str, Any]], Findings], ...] = (
    check_integers,
    check_names,
    check_observations,
    check_lengths,
    check_samples,
    check_parameters,
    check_measurements,
)


def check_workspace(document: Any, rates: bool = True) -> list[Finding]:
    """All findings of a workspace, errors first.

    Args:
        document: a JSON document that should be a HistFactory workspace.
        rates: also search the parameter bounds for rates of zero or less.

    >>> [f.check for f in check_workspace({"channels": []})]
    ['schema']
    """
    found = schema_findings(document, "workspace.json")
    found += list(check_finite(document))
    if found:
        return ordered(found)
    for check in STRUCTURE:
        found += list(check(document))
    if rates and not any(f.severity == "error" for f in found):
        found += list(check_rates(document))
    return ordered(found)


def ordered(found: list[Finding]) -> list[Finding]:
    """Errors first, then warnings, then information; the order of the checks otherwise."""
    return sorted(found, key=lambda f: SEVERITIES.index(f.severity))


def check_document(document: Any, background: Any = None) -> list[Finding]:
    """Findings of a workspace or a PatchSet, whichever the document is.

    Args:
        document: the JSON document.
        background: background-only workspace of a PatchSet, if there is one.

    Raises:
        DataError: if it is neither.
    """
    if isinstance(document, dict) and "patches" in document:
        from histnu.workspace.patchset_checks import check_patchset

        return check_patchset(document, background)
    if isinstance(document, dict) and "channels" in document:
        return check_workspace(document)
    raise DataError("the document has neither channels nor patches; give a workspace or PatchSet")
