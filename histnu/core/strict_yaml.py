"""YAML read strictly: what is written is what is read.

PyYAML reads YAML 1.1, where ``1:30`` is 90 (base 60), ``017`` is 15 (base 8), ``1_000`` is 1000,
``yes`` and ``on`` are true and a repeated key is dropped silently, while ``1e-3`` is a text. Here
only ``null``, ``true``, ``false`` and decimal numbers (with or without exponent) are not text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

from histnu.core.errors import ConfigError, DataError, located
from histnu.core.serialize import MAXIMUM_DEPTH, MAXIMUM_INTEGER, read_text, shortened

MAXIMUM_NODES = 1_000_000
"""Values that a document may hold once its aliases are written out."""

INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Strict(yaml.SafeLoader):
    """The safe loader without YAML 1.1's readings, with limits of depth and size."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in {"null", "str", "seq", "map"}
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.count = 0
        self.sizes: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        anchor = getattr(event, "anchor", None)
        if self.check_event(yaml.AliasEvent):
            if anchor in self.anchors and anchor not in self.sizes:
                self._refuse(f"the alias *{anchor} holds itself", event.start_mark)
            self.count += self.sizes.get(str(anchor), 0)
        self.count += 1
        self.depth += 1
        if self.depth > MAXIMUM_DEPTH:
            self._refuse(f"nested more than {MAXIMUM_DEPTH} levels deep", event.start_mark)
        if self.count > MAXIMUM_NODES:
            self._refuse(f"more than {MAXIMUM_NODES} values", event.start_mark)
        before = self.count
        node = super().compose_node(parent, index)
        self.depth -= 1
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            self.sizes[anchor] = self.count - before + 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen:
                self._refuse(f"the key {shortened(str(key.value))!r} appears twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def integer(self, node: Any) -> int:
        text = self.construct_scalar(node)
        plain = INTEGER.fullmatch(text) is not None
        if not plain or len(text) > 20 or abs(int(text)) >= MAXIMUM_INTEGER:
            self._refuse(f"{shortened(text)} is no decimal integer below 2^63", node.start_mark)
        return int(text)

    def number(self, node: Any) -> float:
        text = self.construct_scalar(node)
        if SPECIAL.fullmatch(text):
            return float(text.replace(".", "", 1))
        value = float(text) if NUMBER.fullmatch(text) else math.inf
        if not math.isfinite(value):
            self._refuse(f"{shortened(text)} is no finite number", node.start_mark)
        return value

    def boolean(self, node: Any) -> bool:
        text = self.construct_scalar(node)
        if text not in {"true", "false"}:
            self._refuse(f"{shortened(text)} is neither true nor false", node.start_mark)
        return bool(text == "true")

    def _refuse(self, problem: str, mark: Any) -> None:
        raise yaml.constructor.ConstructorError(None, None, problem, mark)


def _resolve(tag: str, pattern: str, first: Iterable[str]) -> None:
    """Give plain scalars that match the whole pattern, and start as said, a tag."""
    _Strict.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("null", r"^(?:~|null|)$", ("~", "n", ""))
_resolve("bool", r"^(?:true|false)$", "tf")
_resolve("int", rf"^(?:{INTEGER.pattern})$", "-+0123456789")
_resolve("float", rf"^(?:{NUMBER.pattern}|{SPECIAL.pattern})$", "-+0123456789.")
_resolve("merge", r"^(?:<<)$", "<")
_Strict.add_constructor("tag:yaml.org,2002:int", _Strict.integer)
_Strict.add_constructor("tag:yaml.org,2002:float", _Strict.number)
_Strict.add_constructor("tag:yaml.org,2002:bool", _Strict.boolean)


def parse_yaml(text: str, path: str | Path) -> Any:
    """Parse one YAML document strictly.

    Raises:
        ConfigError: for bad syntax, a key that appears twice, an object tag, a number that is not
            finite or too large, or a document too deep or too large; the line is named.

    >>> parse_yaml("{a: 1:30, b: 017, c: yes, d: 1e-3, e: true, f: 5}", "x.yaml")
    {'a': '1:30', 'b': '017', 'c': 'yes', 'd': 0.001, 'e': True, 'f': 5}
    """
    with _explained(path):
        return yaml.load(text, Loader=_Strict)


def parse_documents(text: str, path: str | Path) -> list[Any]:
    """Parse all YAML documents of a text (see :func:`parse_yaml`)."""
    with _explained(path):
        return list(yaml.load_all(text, Loader=_Strict))


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Turn what PyYAML raises into one line."""
    try:
        yield
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error) or type(error).__name__
        problem = f"is not YAML ({shortened(' '.join(str(reason).split()), 200)})"
        raise ConfigError(located(path, where, problem, "mend the syntax")) from None


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file strictly (see :func:`parse_yaml`).

    Raises:
        ConfigError: if it cannot be read or is not YAML.
    """
    try:
        text = read_text(path)
    except DataError as error:
        raise ConfigError(str(error)) from None
    return parse_yaml(text, path)
