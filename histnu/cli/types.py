"""Types of option values: what is no answer to any question is refused before anything runs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click

MAXIMUM = 1e30
"""Above this a value is no coupling, charge, mass or strength in any unit of the project."""
MAXIMUM_SEED = 2**63 - 1
SHOWN = 40
"""Characters of a wrong value that a message repeats."""
PICTURES = ("png", "pdf", "svg", "eps", "jpg", "jpeg", "webp", "tif", "tiff", "ps")

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")


class Number(click.ParamType):
    """A finite decimal number, optionally in a range.

    Args:
        low: smallest value. high: largest value, at most ``MAXIMUM``.
        open_ends: the ends themselves are excluded.
    """

    name = "number"

    def __init__(
        self, low: float = -MAXIMUM, high: float = MAXIMUM, open_ends: bool = False
    ) -> None:
        self.low, self.high, self.open_ends = low, high, open_ends

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number, or a usage error that names the range."""
        text = str(value).strip()
        number = float(text) if NUMBER.fullmatch(text) else math.nan
        if self.open_ends:
            inside = self.low < number < self.high
            ends = f"above {self.low:g} and below {self.high:g}"
        else:
            inside = self.low <= number <= self.high
            ends = f"from {self.low:g} to {self.high:g}"
        if not inside:
            self.fail(f"{_short(value)} is no number {ends}.", param, ctx)
        return number


class Integer(click.ParamType):
    """A decimal integer in a range."""

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """The integer, or a usage error that names the range."""
        text = str(value).strip()
        plain = len(text) <= 20 and re.fullmatch(r"[-+]?[0-9]+", text, re.ASCII)
        if not plain or not self.low <= int(text) <= self.high:
            ends = f"from {self.low} to {self.high}"
            self.fail(f"{_short(value)} is no integer {ends}.", param, ctx)
        return int(text)


class Place(click.ParamType):
    """A path that the system can hold; whether anything is there is looked up later.

    Args:
        folder: refuse a file, for folders to write into.
        picture: require the suffix of a picture, and refuse a folder.
    """

    name = "path"

    def __init__(self, folder: bool = False, picture: bool = False) -> None:
        self.folder, self.picture = folder, picture

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """The path, or a usage error."""
        path = Path(value)
        try:
            exists, is_folder = path.exists(), path.is_dir()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.fail(f"{_short(value)} is no path ({reason}).", param, ctx)
        if "\0" in str(value) or not str(value):
            self.fail(f"{_short(value)} is no path.", param, ctx)
        if self.folder and exists and not is_folder:
            self.fail(f"{_short(value)} is a file, and a folder is needed.", param, ctx)
        if self.picture and path.suffix.lower().removeprefix(".") not in PICTURES:
            self.fail(f"{_short(value)} has no suffix of {', '.join(PICTURES)}.", param, ctx)
        if self.picture and exists and not path.is_file():
            self.fail(f"{_short(value)} is no file to replace.", param, ctx)
        return path


class Target(click.ParamType):
    """Name or path of what a verb works on."""

    name = "target"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The text, or a usage error for what can neither be a name nor a path."""
        text = str(value)
        archive = text.partition("::")[0]
        if not text.strip() or "\0" in text:
            self.fail(f"{_short(value)} is neither a name nor a path.", param, ctx)
        try:
            Path(archive).exists()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.fail(f"{_short(value)} is neither a name nor a path ({reason}).", param, ctx)
        return text

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """Names of analyses; the shell adds files."""
        from click.shell_completion import CompletionItem

        from histnu.analysis.schema import builtin

        names = {name: a.title for name, a in builtin().items() if name.startswith(incomplete)}
        items = [CompletionItem(name, help=title) for name, title in names.items()]
        return items or [CompletionItem(incomplete, type="file")]


class Parameter(click.ParamType):
    """Name of a parameter; what a target has is looked up when it is loaded."""

    name = "text"

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """Parameters of the target that was typed before."""
        from click.shell_completion import CompletionItem

        from histnu.analysis.target import parameter_names

        # a word that waits for its value leaves TARGET among the unparsed ones
        target = str(ctx.params.get("target") or next(iter(ctx.args), ""))
        names = parameter_names(target) if target else ()
        return [CompletionItem(n) for n in names if n.startswith(incomplete)]


class Release(click.ParamType):
    """Name of a public release."""

    name = "release"

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """Names of the releases that are known."""
        from click.shell_completion import CompletionItem

        from histnu.releases import found

        return [CompletionItem(n) for n in found() if n.startswith(incomplete)]


LEVEL = Number(0.0, 1.0, open_ends=True)
ANY_NUMBER = Number()
POSITIVE = Number(0.0, MAXIMUM)
DEGREES = Integer(1, 100)
TOYS = Integer(10, 10_000_000)
JOBS = Integer(1, 1024)
SEED = Integer(0, MAXIMUM_SEED)
