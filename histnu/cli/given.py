"""What every verb on a likelihood is given, and how it answers: the same options, one envelope."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from histnu.cli import types
from histnu.cli.common import (
    allow_option,
    engine_option,
    json_option,
    progress_bar,
    quiet_option,
    selection_options,
    set_option,
)
from histnu.core.units import held_parts

if TYPE_CHECKING:
    from histnu.analysis.target import ParameterOfInterest, Setting, Target
    from histnu.verbs.envelope import Envelope
    from histnu.verbs.options import Options
    from histnu.workspace.selection import Selection

UNCERTIFIED = "NOT CERTIFIED: a fit did not converge, or no two starts agree on its minimum"

poi_option = click.option(
    "--poi",
    type=types.Parameter(),
    default=None,
    help="Parameter: of interest, or physical (mu_e, q_ee).",
)
plot_option = click.option(
    "--plot", type=types.Place(), default=None,
    help="Draw into FILE (.png, .pdf, .svg; without suffix all three); numbers beside it as CSV.",
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    """Target and options that all verbs on a likelihood share."""

    target: str
    settings: dict[str, Setting]
    measurement: str | None
    patches: tuple[str, ...]
    patch_name: str | None
    engine: str
    allow_uncertified: bool
    as_json: bool
    quiet: bool

    @property
    def selection(self) -> Selection:
        """Measurement and patches."""
        from histnu.workspace.selection import Selection

        return Selection(self.measurement, self.patches, self.patch_name)

    def on_axes(self, *names: str | None) -> str | Target:
        """The target, loaded unless an axis is a parameter that its model holds."""
        from histnu.verbs.planes import target_of_axes

        return target_of_axes(self.target, names, self.settings, self.selection)

    def load(self, poi: str | None, needed: bool = True) -> tuple[Target, ParameterOfInterest]:
        """The target and one of its parameters, if one is needed or there is one."""
        from histnu.analysis.target import load_target, parameter_of_interest

        loaded = load_target(self.target, self.settings, self.selection)
        return loaded, parameter_of_interest(loaded, poi, needed=needed)

    def options(self, interest: ParameterOfInterest, **more: Any) -> Options:
        """Options of the verb; what is held for the parameter is held."""
        from histnu.verbs.options import Options

        return Options(
            engine=self.engine,
            held=interest.fixed,
            at=interest.at,
            allow_uncertified=self.allow_uncertified,
            **more,
        )

    @contextmanager
    def toys(self, options: Options, needed: bool = True) -> Iterator[Options]:
        """The options with a progress bar of their toys."""
        quiet = self.quiet or self.as_json or not needed
        with progress_bar(options.n_toys, quiet, "toys") as advance:
            yield replace(options, progress=advance)

    def show(self, result: Envelope, loaded: Target) -> bool:
        """Print the JSON of a result, with digests and versions, where that was asked for."""
        if self.as_json:
            from histnu.core.serialize import dumps
            from histnu.verbs import inputs_of
            from histnu.verbs.envelope import stamped

            click.echo(dumps(stamped(result, inputs_of(loaded)).to_json()), nl=False)
        return self.as_json

    def parts(self, result: Envelope) -> list[str]:
        """What was held and chosen for a result."""
        parts = [*held_parts(result.held), *(f"patch {p}" for p in result.patches)]
        return parts + ([] if self.measurement is None else [f"measurement {self.measurement}"])

    def marks(self, loaded: Target, interest: ParameterOfInterest, result: Any) -> str:
        """The end of a line: what was held and chosen, provenance, and a warning."""
        parts = self.parts(result)
        if interest.taken:
            parts.append(f"measurement {interest.measurement} was taken; {_others(loaded)}")
        text = "".join(f"; {p}" for p in parts)
        if loaded.provenance:
            text += f" [{loaded.provenance} inputs]"
        return text if result.certified else f"{text} [{UNCERTIFIED}]"


def _others(loaded: Target) -> str:
    """How another measurement is chosen: by its parameter of interest where it has its own."""
    _, *others = loaded.document["measurements"]
    if len(loaded.pois) == len(others) + 1:
        return f"--poi takes {', '.join(loaded.pois[1:])}"
    names = ", ".join(m["name"] for m in others)
    return f"--measurement takes {names}"


def likelihood_verb(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command TARGET and the options of :class:`Given`; it takes them as one argument."""

    @wraps(function)
    def command(**options: Any) -> None:
        shared = {f.name: options.pop(f.name) for f in fields(Given)}
        function(Given(**shared), **options)

    shared = (selection_options, set_option, engine_option, allow_option, json_option, quiet_option)
    for option in reversed(shared):
        command = option(command)
    return click.argument("target", type=types.Target())(command)


def say_written(paths: list[Path]) -> None:
    """Name the files of a figure on standard error."""
    for path in paths:
        click.echo(f"wrote {path}", err=True)
