"""Two likelihoods or two results: what differs, and the same limit from both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histnu.analysis.target import Target, load_target
from histnu.core.errors import ConfigError, HistnuError, located
from histnu.core.serialize import read_json
from histnu.verbs.envelope import stamped
from histnu.verbs.intervals import limit
from histnu.verbs.options import Options, inputs_of
from histnu.verbs.results import Bound, Comparison, NoAnswer
from histnu.verbs.results import Difference as DifferenceRow
from histnu.workspace.compare import CHANGED, ONLY_FIRST, ONLY_SECOND, Difference, compare_documents
from histnu.workspace.selection import Selection


def compare(
    first: str,
    second: str,
    poi: str | None = None,
    options: Options | None = None,
    relative: float = 1e-6,
    selections: tuple[Selection, Selection] = (Selection(), Selection()),
) -> Comparison:
    """Return the differences, and of two likelihoods the limit on one parameter.

    Args:
        first, second: two targets, or two files of results.
        poi: parameter asked of both likelihoods; the first's own if None.
        options: level and engine of the limit.
        relative: numbers closer than this are the same.
        selections: measurement and patches of each likelihood.

    Raises:
        ConfigError: for a likelihood and a result, or results with a selection.
        HistnuError: for what cannot be read.
    """
    results = [result_document(first), result_document(second)]
    if any(r is not None for r in results):
        if results[0] is None or results[1] is None:
            odd = first if results[0] is None else second
            raise ConfigError(located(odd, "", "is no result", "compare two of a kind"))
        if selections != (Selection(), Selection()):
            problem = "is a result, which has no measurement to choose and takes no patch"
            raise ConfigError(located(first, "", problem, "give two workspaces"))
        return _comparison(first, second, compare_results(results[0], results[1], relative))
    pairs = zip((first, second), selections, strict=True)
    targets = [load_target(name, None, chosen) for name, chosen in pairs]
    rows = compare_documents(targets[0].document, targets[1].document, relative)
    asked = poi or targets[0].pois[0]
    answers = tuple(_answer(t, asked, options or Options()) for t in targets)
    names = [_patched(*pair) for pair in zip((first, second), targets, strict=True)]
    return _comparison(names[0], names[1], rows, answers)


def _patched(name: str, target: Target) -> str:
    """The name that was given, and what was applied."""
    return " with ".join((name, *target.patches))


def _comparison(
    first: str, second: str, rows: Sequence[Difference], answers: tuple[Bound | NoAnswer, ...] = ()
) -> Comparison:
    differences = tuple(DifferenceRow(**r.to_json()) for r in rows)
    return Comparison(first=first, second=second, differences=differences, answers=answers)


def result_document(text: str) -> Any:
    """The document of a JSON file that is no likelihood, else None."""
    path = Path(text)
    if path.suffix != ".json" or not path.is_file():
        return None
    document = read_json(path)
    return None if isinstance(document, dict) and "channels" in document else document


def compare_results(
    first: Any, second: Any, relative: float = 1e-6, where: str = ""
) -> list[Difference]:
    """Return the leaves in which two JSON documents differ.

    Rows of a list that name themselves (``id``, ``experiment``) are compared by name.

    >>> compare_results({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]})[0].where
    'a/1'
    """
    if isinstance(first, dict) and isinstance(second, dict):
        a, b = first, second
    elif isinstance(first, list) and isinstance(second, list):
        a, b = _named(first), _named(second)
    else:
        return _leaf(first, second, relative, where)
    return [
        row
        for key in [*a, *(k for k in b if k not in a)]
        for row in compare_results(
            a.get(key), b.get(key), relative, f"{where}/{key}" if where else str(key)
        )
    ]


def _named(rows: list[Any]) -> dict[str, Any]:
    """Rows by what they call themselves where that tells them apart, else by place."""
    if rows and all(isinstance(r, dict) and "id" in r for r in rows):
        names = [" ".join(str(r[k]) for k in ("id", "experiment") if k in r) for r in rows]
        if len(set(names)) == len(names):
            return dict(zip(names, rows, strict=True))
    return {str(k): row for k, row in enumerate(rows)}


def _leaf(a: Any, b: Any, relative: float, where: str) -> list[Difference]:
    """The difference of two leaves, if there is one."""
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (a, b))
    apart = abs(a - b) / max(abs(a), abs(b), 1e-300) if numeric else None
    if a == b or (apart is not None and apart <= relative):
        return []
    kind = ONLY_SECOND if a is None else ONLY_FIRST if b is None else CHANGED
    shown = [None if v is None else _short(v) for v in (a, b)]
    return [Difference(where, kind, shown[0], shown[1], apart)]


def _short(value: Any) -> str:
    """A value on one line."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _answer(target: Target, poi: str, options: Options) -> Bound | NoAnswer:
    """The limit on one parameter, or why there is none."""
    try:
        return stamped(limit(target, poi, options), inputs_of(target))
    except HistnuError as error:
        return NoAnswer(target=target.name, parameter=poi, problem=str(error))
