"""Read experiment files: YAML and the tables beside it become an :class:`Experiment`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from histnu.core.constants import ELECTRON_MASS
from histnu.core.errors import ConfigError, DataError, HistnuError, located
from histnu.core.forms import read_form
from histnu.core.installed import installed_files
from histnu.core.serialize import file_digest
from histnu.core.tables import read_csv
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
    OtherRecoil,
    PublishedExpectation,
    RateNuisance,
    ShapeNuisance,
    SourceChoice,
)
from histnu.experiments.response import Response
from histnu.physics.kinematics import e_recoil_max_mev
from histnu.physics.nuclei import material

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
T = TypeVar("T")

MAXIMUM_EVENTS = 1e15
"""Above this a double no longer tells one event from the next, and no experiment counts so many."""
HIGHEST_E_NU_MEV = 52.83
"""End of the neutrino spectrum of muons at rest, m_mu / 2; solar neutrinos end at 18.8 (hep)."""


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


@lru_cache(maxsize=32)
def _load_packaged(name: str) -> Experiment:
    return _load(installed_files("experiments/*/experiment.yaml")[name])


def _load(path: Path) -> Experiment:
    log.info("experiment %s", path)
    section = read_form(schema.ExperimentSection, path, schema.SCHEMA)
    reader = _Reader(path, section)
    tried = [reader.channel(c, f"channels.{i}") for i, c in enumerate(section.channels)]
    channels = tuple(c for c in tried if c is not None)
    reader.finish()
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


def recoil_end_kev(target_name: str, recoil: str) -> float:
    """Largest recoil energy, ``2 E^2 / (m + 2 E)`` in keV, that a neutrino of any source gives.

    Args:
        target_name: detector material. recoil: ``nuclear`` (the lightest isotope) or ``electron``.

    Raises:
        PhysicsError: for an unknown target.

    >>> round(recoil_end_kev("xenon", "nuclear"), 1)
    48.3
    """
    isotopes = material(target_name).isotopes
    nuclear = min(i.mass_mev for i in isotopes)
    mass = nuclear if recoil == "nuclear" else float(ELECTRON_MASS)
    return 1e3 * float(e_recoil_max_mev(HIGHEST_E_NU_MEV, mass))


class _Reader:
    """Resolves the sections of one file; remembers the files it read and every mistake."""

    def __init__(self, path: Path, section: schema.ExperimentSection) -> None:
        self.path = path
        self.section = section
        self.files = {path}
        self.mistakes: list[HistnuError] = []

    def tried(self, make: Callable[[], T]) -> T | None:
        """What is made, or None and one mistake more."""
        try:
            return make()
        except HistnuError as error:
            self.mistakes.append(error)
            return None

    def finish(self) -> None:
        """Raise all mistakes as one line."""
        if self.mistakes:
            texts = [str(e).removeprefix(f"{self.path}: ") for e in self.mistakes]
            first = str(self.mistakes[0]).startswith(f"{self.path}: ")
            text = "; ".join(dict.fromkeys(texts))
            raise type(self.mistakes[0])(f"{self.path}: {text}" if first else text)

    def fail(self, field: str, problem: str, mend: str) -> DataError:
        return DataError(located(self.path, field, problem, mend))

    def values(self, value: schema.Values, field: str) -> Array:
        """Numbers given as a list, ``table.csv:column`` or ``file.root:path/to/hist``."""
        numbers = self._values(value, field)
        for i in np.flatnonzero(~(np.abs(numbers) <= MAXIMUM_EVENTS))[:1]:
            problem = f"{numbers[i]:g} is no number of events"
            raise self.fail(f"{field}.{i}", problem, f"give numbers below {MAXIMUM_EVENTS:g}")
        return numbers

    def counts(self, value: schema.Values, field: str) -> Array:
        """Observed events: whole numbers, not negative."""
        numbers = self.values(value, field)
        for i in np.flatnonzero((numbers < 0) | (numbers != np.floor(numbers)))[:1]:
            problem = f"{numbers[i]:g} is no count of events"
            raise self.fail(f"{field}.{i}", problem, "give whole numbers >= 0")
        return numbers

    def _values(self, value: schema.Values, field: str) -> Array:
        """The numbers, wherever they are."""
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

    def check_energies(self, channel: Channel, field: str) -> None:
        """Refuse a response that finds no recoil that neutrinos can give (energies in eV)."""
        self._check_energies(channel, f"{field}.response.file")
        for i, other in enumerate(channel.for_other_recoils):
            self._check_energies(other, f"{field}.other_recoils.{i}.response.file")

    def _check_energies(self, channel: Channel, field: str) -> None:
        try:
            end_kev = recoil_end_kev(channel.target, channel.recoil)
        except HistnuError as error:
            raise self.fail("target", str(error), "use a target that histnu knows") from None
        response = channel.response
        seen = response.e_recoil_kev[response.probability.sum(axis=0) > 0]
        if not seen.size:
            raise self.fail(field, "finds no recoil at any energy", "give the efficiencies")
        if seen[0] >= end_kev:
            problem = (
                f"finds no recoil below {seen[0]:g} keV; neutrinos give up to {end_kev:.3g} keV"
            )
            raise self.fail(field, problem, "give e_recoil_kev in keV (these look like eV)")

    def responses(
        self, section: schema.ResponseSection, field: str
    ) -> tuple[Response, dict[str, tuple[Response, Response]]]:
        """A response and its variations."""
        kind = section.interpolation
        varied = {}
        for name, (down, up) in section.variations.items():
            where = f"{field}.variations.{name}"
            varied[name] = (self.response(down, kind, where), self.response(up, kind, where))
        return self.response(section.file, kind, f"{field}.file"), varied

    def other_recoil(self, section: schema.OtherRecoilSection, field: str) -> OtherRecoil:
        """A further recoil of a channel."""
        response, varied = self.responses(section.response, f"{field}.response")
        origin = Origin(section.response.provenance, section.response.source)
        return OtherRecoil(section.recoil, response, varied, origin)

    def channel(self, c: schema.ChannelSection, field: str) -> Channel | None:
        """A channel with its tables; None where something in it is wrong."""
        before = len(self.mistakes)
        read = self.tried(lambda: self.responses(c.response, f"{field}.response"))
        others = [
            self.tried(lambda o=o, i=i: self.other_recoil(o, f"{field}.other_recoils.{i}"))  # type: ignore[misc]
            for i, o in enumerate(c.other_recoils)
        ]
        backgrounds = [
            self.tried(lambda b=b, i=i: self.background(b, f"{field}.backgrounds.{i}"))  # type: ignore[misc]
            for i, b in enumerate(c.backgrounds)
        ]
        observed = self.tried(lambda: self.counts(c.observed.counts, f"{field}.observed.counts"))
        beam = self.tried(lambda: self.beam(c.beam, f"{field}.beam"))
        signal = f"{field}.published_signal"
        published = self.tried(lambda: self.published(c.published_signal, signal))
        if len(self.mistakes) > before or read is None:
            return None
        response, variations = read
        sections: dict[str, schema.Sourced] = {
            "exposure": c.exposure,
            "response": c.response,
            "observed": c.observed,
            **({} if c.beam is None else {"beam": c.beam}),
        }
        make = lambda: Channel(  # noqa: E731
            name=c.name,
            title=c.title,
            recoil=c.recoil or self.section.recoil,
            target=c.target or self.section.target,
            source=_source(c.source or self.section.source),
            beam=beam,
            exposure_tonne_year=c.exposure.value,
            observable=_observable(c.observable),
            response=response,
            backgrounds=tuple(backgrounds),  # type: ignore[arg-type]
            observed=observed,  # type: ignore[arg-type]
            signal_rates=tuple(_rate(u) for u in c.signal_uncertainties),
            origins={k: Origin(s.provenance, s.source) for k, s in sections.items()},
            published_signal=published,
            response_variations=variations,
            other_recoils=tuple(others),  # type: ignore[arg-type]
        )
        return self.tried(lambda: self.checked(make, field))

    def checked(self, make: Callable[[], Channel], field: str) -> Channel:
        """A channel whose parts fit together and that can see neutrinos."""
        try:
            channel = make()
        except DataError as error:
            if str(error).startswith("channel "):
                raise self.fail(field, str(error), "make the numbers agree") from None
            raise
        self.check_energies(channel, field)
        return channel

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
