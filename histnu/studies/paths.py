"""Paths into a results document: ``bounds[id=q_ee,dof=1].best_fit``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from histnu.core.errors import ConfigError

_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]|\[([^\]=]+=[^\]]*)\]")


def rows_where(rows: Any, condition: str) -> list[Any]:
    """Rows whose fields have the values of ``name=value,name=value``.

    >>> rows_where([{"id": "a", "dof": 1}, {"id": "a", "dof": 2}], "id=a,dof=2")
    [{'id': 'a', 'dof': 2}]
    """
    pairs = [part.partition("=") for part in condition.split(",") if part.strip()]
    wanted = {name.strip(): value.strip() for name, _, value in pairs}
    return [r for r in rows if all(_same(r.get(k), v) for k, v in wanted.items())]


def _same(value: Any, text: str) -> bool:
    if isinstance(value, bool) or value is None:
        return str(value).lower() == text.lower()
    if isinstance(value, (int, float)):
        try:
            return float(text) == float(value)
        except ValueError:
            return False
    return str(value) == text


def look_up(document: Mapping[str, Any], path: str) -> Any:
    """The value at a path; None where a row or a value is absent.

    Raises:
        ConfigError: if it is no path.

    >>> look_up({"bounds": [{"id": "a", "x": [3.0, 4.0]}]}, "bounds[id=a].x[1]")
    4.0
    """
    value: Any = document
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            raise ConfigError(f"{path!r} is no path; write section[name=value].field[0]")
        position = step.end()
        value = _step(value, step)
        if value is None:
            return None
    return value


def _step(value: Any, step: re.Match[str]) -> Any:
    """One step down: a field, an element, or the first row that fits."""
    name, index, condition = step.groups()
    if name is not None:
        return value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, list):
        return None
    if index is not None:
        return value[int(index)] if int(index) < len(value) else None
    return next(iter(rows_where(value, condition)), None)
