"""Read experiment files: YAML and the tables beside it become an :class:`Experiment`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from histnu.errors import ConfigError, DataError, HistnuError, located
from histnu.experiments import schema
from histnu.experiments.builders import build_experiment, built_names
from histnu.experiments.model import (
    Axis,
    Background,
    Beam,
    Channel,
    Experiment,
    Observable,
    Origin,
    PublishedExpectation,
    RateNuisance,
    ShapeNuisance,
    SourceChoice,
)
from histnu.experiments.response import Response
from histnu.installed import installed_files
from histnu.serialize import file_digest
from histnu.tables import read_csv

Array = NDArray[np.float64]


def available() -> tuple[str, ...]:
    """Names of the experiments of this package and of others that are installed."""
    return tuple(installed_files("experiments/*/experiment.yaml"))


def load_experiment(name_or_path: str | Path) -> Experiment:
    """Load an experiment of the package by name, or any experiment file by path.

    Args:
        name_or_path: a name from :func:`available`, or the path of a YAML file.

    Raises:
        ConfigError: for an unknown name or a file that breaks the schema; every mistake is named.
        DataError: for a missing or damaged table.

    >>> load_experiment("xenonnt_sr01").channels[0].observed.tolist()
    [16.0, 14.0, 7.0]
    """
    text = str(name_or_path)
    if text in available():
        return _load_packaged(text)
    if text in built_names():
        return build_experiment(text)
    path = Path(text)
    if path.suffix not in {".yaml", ".yml"}:
        known = ", ".join((*available(), *built_names()))
        raise ConfigError(f"unknown experiment {text!r}; known: {known}; or give a YAML file")
    return _load(path)


def read_yaml(path: Path) -> Any:
    """Read a YAML file with the safe loader.

    Raises:
        ConfigError: if it is missing or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise ConfigError(located(path, "", problem, "check the path")) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        problem = f"is not YAML ({getattr(error, 'problem', 'bad text')})"
        raise ConfigError(located(path, where, problem, "mend the syntax")) from None


def explain(path: Path, error: ValidationError) -> str:
    """One line with every mistake that pydantic found: field, value, reason."""
    mistakes = []
    for item in error.errors(include_url=False):
        path_in_file = [str(part) for part in item["loc"] if part not in schema.TAGS]
        where = ".".join(path_in_file) or "(file)"
        value = item.get("input")
        shown = f" (got {value!r})" if isinstance(value, (str, int, float, bool)) else ""
        mistakes.append(f"{where}: {item['msg']}{shown}")
    return f"{path}: " + "; ".join(mistakes)


@lru_cache(maxsize=32)
def _load_packaged(name: str) -> Experiment:
    return _load(installed_files("experiments/*/experiment.yaml")[name])


def _load(path: Path) -> Experiment:
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(
            located(path, "", "is not a mapping", f"start with schema: {schema.SCHEMA}")
        )
    try:
        section = schema.ExperimentSection.model_validate(document)
    except ValidationError as error:
        raise ConfigError(explain(path, error)) from None
    reader = _Reader(path, section)
    channels = tuple(reader.channel(c, f"channels.{i}") for i, c in enumerate(section.channels))
    return Experiment(
        section.name,
        section.title,
        channels,
        tuple(section.references),
        tuple(section.assumptions),
        {p.name: file_digest(p) for p in sorted(reader.files)},
        section.inspire,
        tuple(section.data_sets),
    )


class _Reader:
    """Resolves the sections of one file; remembers the files it read."""

    def __init__(self, path: Path, section: schema.ExperimentSection) -> None:
        self.path = path
        self.section = section
        self.files = {path}

    def fail(self, field: str, problem: str, mend: str) -> DataError:
        return DataError(located(self.path, field, problem, mend))

    def values(self, value: schema.Values, field: str) -> Array:
        """Numbers given as a list, ``table.csv:column`` or ``file.root:path/to/hist``."""
        if not isinstance(value, str):
            return np.array(value, dtype=float)
        file, _, item = value.partition(":")
        if not item:
            mend = "write table.csv:column or file.root:path/to/hist"
            raise self.fail(field, f"{value!r} names no column or histogram", mend)
        path = self.path.parent / file
        if path.suffix == ".root":
            from histnu.experiments.root_input import read_histogram

            self.files.add(path)
            return read_histogram(path, item)
        columns = read_csv(path)
        self.files.add(path)
        if item not in columns:
            raise self.fail(field, f"{file} has no column {item!r}", f"use {', '.join(columns)}")
        return columns[item]

    def response(self, file: str, interpolation: str, field: str) -> Response:
        """A response table."""
        path = self.path.parent / file
        columns = read_csv(path)
        self.files.add(path)
        names = [c for c in columns if c.startswith("bin_")]
        if "e_recoil_kev" not in columns or names != [f"bin_{i}" for i in range(len(names))]:
            mend = "name the columns e_recoil_kev, bin_0, bin_1, ..."
            raise self.fail(field, f"{file} has columns {', '.join(columns)}", mend)
        probability = np.stack([columns[c] for c in names]) if names else np.zeros((0, 0))
        try:
            return Response(columns["e_recoil_kev"], probability, interpolation)
        except HistnuError as error:
            raise self.fail(field, f"{file}: {error}", "mend the table") from None

    def channel(self, c: schema.ChannelSection, field: str) -> Channel:
        """A channel with its tables."""
        r = c.response
        variations = {
            name: tuple(
                self.response(f, r.interpolation, f"{field}.response.variations.{name}")
                for f in files
            )
            for name, files in r.variations.items()
        }
        sections: dict[str, schema.Sourced] = {
            "exposure": c.exposure,
            "response": r,
            "observed": c.observed,
        }
        if c.beam is not None:
            sections["beam"] = c.beam
        try:
            return Channel(
                name=c.name,
                title=c.title,
                recoil=c.recoil or self.section.recoil,
                target=c.target or self.section.target,
                source=_source(c.source or self.section.source),
                beam=self.beam(c.beam, f"{field}.beam"),
                exposure_tonne_year=c.exposure.value,
                observable=_observable(c.observable),
                response=self.response(r.file, r.interpolation, f"{field}.response.file"),
                backgrounds=tuple(
                    self.background(b, f"{field}.backgrounds.{i}")
                    for i, b in enumerate(c.backgrounds)
                ),
                observed=self.values(c.observed.counts, f"{field}.observed.counts"),
                signal_rates=tuple(_rate(u) for u in c.signal_uncertainties),
                origins={k: Origin(s.provenance, s.source) for k, s in sections.items()},
                published_signal=self.published(c.published_signal, f"{field}.published_signal"),
                response_variations=variations,  # type: ignore[arg-type]
            )
        except DataError as error:
            if str(error).startswith("channel "):
                raise self.fail(field, str(error), "make the numbers agree") from None
            raise

    def beam(self, section: schema.BeamSection | None, field: str) -> Beam | None:
        """The time axis of a pulsed source, if the channel has one."""
        if section is None:
            return None
        path = self.path.parent / section.efficiency
        columns = read_csv(path)
        self.files.add(path)
        if {"time_us", "efficiency"} - set(columns):
            mend = "name the columns time_us and efficiency"
            problem = f"{section.efficiency} has columns {', '.join(columns)}"
            raise self.fail(f"{field}.efficiency", problem, mend)
        return Beam(section.axis, columns["time_us"], columns["efficiency"])

    def published(
        self, section: schema.PublishedSignal | None, field: str
    ) -> PublishedExpectation | None:
        """A published SM expectation, if the file gives one."""
        if section is None:
            return None
        expected = self.values(section.expected, f"{field}.expected")
        origin = Origin(section.provenance, section.source)
        return PublishedExpectation(expected, section.flux_cm2_s, origin)

    def background(self, b: schema.BackgroundSection, field: str) -> Background:
        """A background with its templates."""
        return Background(
            b.name,
            b.title,
            self.values(b.expected, f"{field}.expected"),
            tuple(_rate(u) for u in b.uncertainties),
            tuple(
                ShapeNuisance(
                    s.name,
                    self.values(s.down, f"{field}.shapes.{i}.down"),
                    self.values(s.up, f"{field}.shapes.{i}.up"),
                    Origin(s.provenance, s.source),
                )
                for i, s in enumerate(b.shapes)
            ),
            Origin(b.provenance, b.source),
        )


def _observable(section: schema.AxisSection | schema.AxesSection) -> Observable:
    axes = section.axes if isinstance(section, schema.AxesSection) else [section]
    return Observable(tuple(Axis(a.name, a.title, a.unit, np.array(a.edges)) for a in axes))


def _source(section: schema.SourceSection) -> SourceChoice:
    return SourceChoice(section.name, dict(section.options))


def _rate(u: schema.RateUncertainty) -> RateNuisance:
    return RateNuisance(u.name, u.relative, u.interpolation, Origin(u.provenance, u.source))
