"""Observables of several axes: a pulsed source in a channel with an axis of time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from histnu.core.errors import DataError, TemplateError
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Axis, Beam, Channel, Observable
from histnu.physics.models.magnetic_moment import MagneticMoment
from histnu.physics.models.standard_model import StandardModel
from histnu.sources.solar import solar_component
from histnu.templates.basis import ChannelTemplates, channel_templates

PULSE_US = 2.2


@dataclass(frozen=True)
class Decay:
    """Arrival of the neutrinos of a decay, from a start time on."""

    start_us: float = 0.0

    def cumulative(self, time_us):
        t = np.maximum(np.asarray(time_us) - self.start_us, 0.0)
        return 1.0 - np.exp(-t / PULSE_US)


TIME = Axis("time", "time", "us", np.array([0.0, 1.0, 3.0, 30.0]))


def in_time(axes, efficiency=((0.0, 100.0), (1.0, 1.0))) -> Channel:
    """The three cS2 bins of a nuclear-recoil channel times three bins of time."""
    channel = load_experiment("xenonnt_sr01").channels[0]
    (cs2,) = channel.observable.axes
    observable = Observable(tuple(cs2 if a == "cs2" else TIME for a in axes))
    time_us, values = map(np.array, efficiency)
    return replace(
        channel,
        observable=observable,
        backgrounds=(),
        observed=np.zeros(9),
        published_signal=None,
        beam=Beam("time", time_us, values),
    )


def made(channel: Channel, component=None) -> ChannelTemplates:
    pulsed = component or replace(solar_component("b8"), arrival=Decay())
    return channel_templates(channel, [pulsed], [StandardModel(), MagneticMoment()])


@pytest.mark.parametrize("axes", [("cs2", "time"), ("time", "cs2")])
def test_signal_factorises_in_the_declared_order(axes):
    plain = load_experiment("xenonnt_sr01").channels[0]
    energies = channel_templates(plain, [solar_component("b8")], [StandardModel()]).standard_model()
    shares = np.diff(1.0 - np.exp(-TIME.edges / PULSE_US))
    outer = np.multiply.outer(energies, shares)
    expected = outer if axes[0] == "cs2" else outer.T
    # efficiency one: the pieces of a bin add up to the exponential exactly
    assert made(in_time(axes)).standard_model() == pytest.approx(expected.ravel(), rel=1e-12)


def test_efficiency_in_time():
    shares = made(in_time(("cs2", "time"), ((0.0, 2.0), (1.0, 0.0)))).standard_model().reshape(3, 3)
    plain = made(in_time(("cs2", "time"))).standard_model().reshape(3, 3)
    # int_0^1 (1 - t/2) exp(-t/tau)/tau dt; 64 midpoints per bin: an error of (1/64)^2/24 = 1e-5
    tau = PULSE_US
    edge = np.exp(-1.0 / tau)
    first = (1.0 - edge) - 0.5 * (tau - (tau + 1.0) * edge)
    assert shares[:, 0] / plain[:, 0] == pytest.approx(first / (1.0 - edge), rel=1e-4)
    assert np.all(shares[:, 2] == 0.0)


def test_clock_of_the_beam_is_a_shape():
    early, late = Decay(-0.5), Decay(0.5)
    component = replace(
        solar_component("b8"), arrival=Decay(), arrival_variations={"clock": (early, late)}
    )
    for signal in made(in_time(("cs2", "time")), component).signals:
        down, up = (v.reshape(3, 3) for v in signal.variations["clock"])
        nominal = signal.expected.reshape(3, 3)
        assert np.all(up[:, 0] < nominal[:, 0]) and np.all(down[:, 0] < nominal[:, 0])
        assert up.sum() == pytest.approx(
            nominal.sum() * Decay(0.5).cumulative(30.0) / Decay().cumulative(30.0), rel=1e-9
        )


def test_steady_source_does_not_fit():
    problem = "has a time axis, but the flux b8 no arrival times; use a pulsed source"
    with pytest.raises(TemplateError, match=problem):
        made(in_time(("cs2", "time")), solar_component("b8"))


def test_unknown_time_axis():
    channel = in_time(("cs2", "time"))
    with pytest.raises(DataError, match=r"no axis 'clock'; axes: cs2_bin, time"):
        replace(channel, beam=replace(channel.beam, axis="clock"))


def test_sizes_must_agree():
    with pytest.raises(DataError, match=r"response has 3 bins, the edges make 9"):
        replace(in_time(("cs2", "time")), beam=None)
