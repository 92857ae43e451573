"""A linter for anybody's workspace or PatchSet: what the schema lets through and fits trip over.

Every finding names the place (a JSON pointer), the problem and the mend. ``error`` means a wrong
or undefined likelihood, ``warning`` a trap, ``info`` something a reader should know.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from histnu.core.errors import WorkspaceError, located
from histnu.workspace.checks_settings import KINDS, check_measurements, samples, uses_of
from histnu.workspace.findings import Finding, Findings, error, ordered, pointer, warning
from histnu.workspace.rates import LowestRate, lowest_rates, negated, parameter_ranges
from histnu.workspace.schema import VERSION, obeys

log = logging.getLogger(__name__)

SHOWN = 5
"""Places named one by one before the rest is counted."""
MAXIMUM_EVENTS = 1e15
"""Above this a double no longer tells one event from the next."""
MAXIMUM_SETTING = 1e30
"""Above this a bound or start value is no number anybody means."""
FREE = ("normfactor", "shapefactor")
"""Modifiers that scale a sample freely."""


def _numbers(
    value: Any, wanted: Callable[[float], bool], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str, int | float]]:
    """Those numbers of a document that are wanted, with their pointers."""
    if isinstance(value, (Mapping, list)):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            if type(item) is not float or wanted(item):
                yield from _numbers(item, wanted, (*path, key))
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and wanted(value):
        yield pointer(*path), value


def schema_findings(document: Any, kind: str) -> list[Finding]:
    """What pyhf's schema says (``workspace.json`` or ``patchset.json``)."""
    if obeys(document, kind):
        return []
    import pyhf

    try:
        pyhf.schema.validate(document, kind, version=VERSION)
    except pyhf.exceptions.InvalidSpecification as fault:
        parts = str(getattr(fault, "path", "") or "").replace("[", ".").replace("]", "")
        where = pointer(*[p for p in parts.split(".") if p])
        reason = " ".join(str(fault).split())[:300]
        return [error("schema", where, reason, f"follow pyhf's {kind} {VERSION}")]
    return []


def check_finite(document: Any) -> Findings:
    """NaN and infinity pass the schema and spoil every fit."""
    for path, value in _numbers(document, lambda x: not math.isfinite(x)):
        yield error("finite", path, f"{value} is not finite", "give a finite number")


def _above(limit: float) -> Callable[[float], bool]:
    return lambda x: abs(x) > limit


def check_magnitudes(document: Mapping[str, Any]) -> Findings:
    """Numbers that no experiment counts."""
    for key, limit in (
        ("channels", MAXIMUM_EVENTS),
        ("observations", MAXIMUM_EVENTS),
        ("measurements", MAXIMUM_SETTING),
    ):
        for path, value in _numbers(document[key], _above(limit), (key,)):
            problem = f"{value:g} is no number of events or setting"
            yield error("magnitude", path, problem, f"give numbers up to {limit:g}")


def check_integers(document: Mapping[str, Any]) -> Findings:
    """Digests tell 1 from 1.0, and other languages write whole floats as integers."""
    found = [path for path, _ in _numbers(document, lambda x: isinstance(x, int))]
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
            mend = "rename or remove it; pyhf ignores it"
            yield warning("observations", f"/observations/{k}/name", problem, mend)
        yield from _counts(f"/observations/{k}/data", entry["data"])


def _counts(path: str, data: list[float]) -> Findings:
    """Counts are not negative, and whole unless they are an Asimov set."""
    for b, count in enumerate(data):
        if count < 0:
            yield error("observations", f"{path}/{b}", f"{count} is negative", "give counts >= 0")
    fractional = [b for b, count in enumerate(data) if count != math.floor(count)]
    if fractional:
        problem = f"{data[fractional[0]]} is no count ({len(fractional)} such bins)"
        mend = "give whole counts, unless this is an Asimov data set"
        yield warning("observations", f"{path}/{fractional[0]}", problem, mend)


def check_lengths(document: Mapping[str, Any]) -> Findings:
    """Samples of a channel and the data of their modifiers have the same bins."""
    for path, channel, sample in samples(document):
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
    """Checks that look at one sample, and at those that share its uncertainties per bin."""
    for path, channel, sample in samples(document):
        yield from sample_findings(path, sample)
        yield from _frozen_bins(path, channel, sample)


def sample_findings(path: str, sample: Mapping[str, Any]) -> Findings:
    """Illegal factors, repeated modifiers, negative backgrounds, uncertainties on negative bins."""
    if _is_negative(sample):
        problem = (
            f"{sample['name']!r} expects {sum(sample['data']):g} events, and nothing scales it"
        )
        mend = "give a background >= 0, unless these are weights of a simulation"
        yield warning("negative", f"{path}/data", problem, mend)
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


def _is_negative(sample: Mapping[str, Any]) -> bool:
    """Whether a sample expects less than nothing, and is no interference of a free strength."""
    return sum(sample["data"]) < 0 and not any(m["type"] in FREE for m in sample["modifiers"])


def _frozen_bins(path: str, channel: Mapping[str, Any], sample: Mapping[str, Any]) -> Findings:
    """Parameters of a staterror that are frozen: its samples together expect less than nothing."""
    for m, modifier in enumerate(sample["modifiers"]):
        if modifier["type"] != "staterror" or min(sample["data"]) >= 0:
            continue
        key = modifier["type"], modifier["name"]
        sharing = (
            s["data"]
            for s in channel["samples"]
            if any((n["type"], n["name"]) == key for n in s["modifiers"])
        )
        totals = (sum(bins) for bins in zip(*sharing, strict=False))
        for b, (n, sigma) in enumerate(zip(totals, modifier["data"], strict=False)):
            if n < 0 < sigma:
                yield _frozen("staterror", f"{path}/modifiers/{m}/data/{b}", n)


def _frozen(kind: str, path: str, events: float) -> Finding:
    problem = f"{kind} on a bin of {events:g} events; pyhf freezes it, silently"
    return warning(kind, path, problem, "remove it, or give its samples expected events above 0")


def _bin_uncertainty(
    where: str, sample: Mapping[str, Any], modifier: Mapping[str, Any]
) -> Findings:
    """Uncertainties per bin that are negative, or have no effect on their sample."""
    kind = modifier["type"]
    for b, (n, sigma) in enumerate(zip(sample["data"], modifier["data"], strict=False)):
        if sigma < 0:
            yield error(kind, f"{where}/data/{b}", f"{sigma} is negative", "give values >= 0")
        elif n < 0 < sigma and kind == "shapesys":
            yield _frozen(kind, f"{where}/data/{b}", n)
        elif n == 0 and sigma > 0 and kind == "shapesys":
            problem = f"{kind} of {sigma:g} on a bin without events has no effect in pyhf"
            yield warning(kind, f"{where}/data/{b}", problem, "give the bin its expected events")


def check_parameters(document: Mapping[str, Any]) -> Findings:
    """One name must be one parameter of one kind and size."""
    for name, uses in uses_of(document).items():
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


def check_expectations(document: Mapping[str, Any]) -> Findings:
    """Bins that a negative sample keeps below zero, whatever the parameters are."""
    ranges = parameter_ranges(document, document["measurements"][0])
    for i, channel in enumerate(document["channels"]):
        negative = [s["name"] for s in channel["samples"] if _is_negative(s)]
        if not negative:
            continue
        reached = {low.bin for low in lowest_rates(negated(channel), ranges)}
        never = [b for b in range(len(channel["samples"][0]["data"])) if b not in reached]
        if never:
            problem = (
                f"bin {never[0]} of {channel['name']!r} expects less than 0 events whatever the "
                f"parameters are, because of {negative[0]!r} ({len(never)} such bins)"
            )
            mend = "give the bin a background, or merge it with another"
            yield error("negative", f"/channels/{i}", problem, mend)


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
    check_magnitudes,
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
    if not any(f.severity == "error" for f in found):
        found += list(check_expectations(document))
    if rates and not any(f.severity == "error" for f in found):
        found += list(check_rates(document))
    return ordered(found)


def require_valid(document: Any, path: str) -> dict[str, Any]:
    """The document, if the linter finds no error in it (trapped rates are not searched).

    Samples that expect less than nothing are named in a warning.

    Raises:
        WorkspaceError: otherwise, with the first error and the number of the others.
    """
    if not isinstance(document, dict) or "channels" not in document:
        mend = "give a HistFactory JSON workspace (histnu build makes one)"
        raise WorkspaceError(located(path, "", "is not a workspace", mend))
    found = check_workspace(document, rates=False)
    faults = [f for f in found if f.severity == "error"]
    for f in found if not faults else []:
        if f.check == "negative":
            log.warning("%s", located(path, f.path, f.problem, f.mend))
    if faults:
        first = faults[0]
        more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
        mend = f"{first.mend}{more}; see histnu validate"
        raise WorkspaceError(located(path, first.path, first.problem, mend))
    return document
