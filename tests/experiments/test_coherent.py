"""COHERENT: predictions against the releases, fits against the collaboration's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histnu.analysis.assemble import assemble
from histnu.analysis.flux import components_of
from histnu.analysis.schema import load_analysis
from histnu.experiments.loader import load_experiment
from histnu.inference.engine.fit import FitOptions
from histnu.inference.engine.likelihood import BatchedLikelihood
from histnu.inference.profile import best_fit
from histnu.physics.cross_sections import Electroweak
from histnu.physics.form_factors import helm
from histnu.physics.models.standard_model import StandardModel
from histnu.templates.basis import channel_templates

HELM = Electroweak(form_factor=helm)


def prediction(name, weak=None):
    """Standard Model events of an experiment, in the shape of its axes."""
    (channel,) = load_experiment(name).channels
    analysis = load_analysis("standard_model_" + name.rsplit("_", 1)[0])
    components = components_of(analysis, channel)
    made = channel_templates(channel, components, [StandardModel(weak or Electroweak())])
    return channel, made.standard_model().reshape(channel.observable.shape)


class Fit:
    """Best fit of the rate of the signal, with everything else profiled."""

    def __init__(self, analysis, experiments=None):
        self.assembly = assemble(analysis, experiments)
        self.likelihood = BatchedLikelihood.from_workspace(dict(self.assembly.workspace))
        self.best = best_fit(self.likelihood)
        self.values = self.best.parameters
        self.strength = self.assembly.workspace["measurements"][0]["config"]["poi"]

    def without_signal(self):
        """Standard deviations against no signal."""
        none = best_fit(self.likelihood, options=FitOptions(fixed={self.strength: 0.0}))
        return float(np.sqrt(none.twice_nll - self.best.twice_nll))

    def signal_events(self):
        """Events of all signal samples at the best fit."""
        point = np.array([[self.values[k] for k in self.likelihood.parameter_names]])
        none = point.copy()
        none[:, self.likelihood.index(self.strength)] = 0.0
        with_signal, without = self.likelihood.expected(np.vstack([point, none]))
        return float((with_signal - without).sum())

    def background_events(self, background):
        """Fitted events of a background with one linear rate uncertainty."""
        (rate,) = background.rates
        return background.expected.sum() * (1.0 + rate.relative * self.values[rate.name])


def test_argon_prediction():
    """The package's own physics against the release's CEvNS distribution, 128 +- 17."""
    channel, ours = prediction("coherent_lar_2020")
    published = channel.published_signal.expected.reshape(ours.shape)
    assert published.sum() == pytest.approx(128.0, abs=0.01)
    # 17 of 128: the release's own uncertainty of its prediction
    assert ours.sum() == pytest.approx(128.0, abs=17.0)
    assert ours.sum() == pytest.approx(117.9, abs=0.1)  # this package, Klein-Nystrand
    # energy: 15 % of the bins that hold 97 % of the events; the harder published spectrum has a
    # smaller nucleus (the next test) and a resolution that was simulated
    energy, theirs = ours.sum(axis=(1, 2)), published.sum(axis=(1, 2))
    np.testing.assert_allclose(energy[:2], theirs[:2], rtol=0.16)
    # time: shares within 2.5 %, from a mean arrival of 0.44 us and two lifetimes
    share = ours.sum(axis=(0, 1)) / ours.sum()
    np.testing.assert_allclose(share[1:], published.sum(axis=(0, 1))[1:] / 128.0, rtol=0.025)
    assert share[0] == pytest.approx(published.sum(axis=(0, 1))[0] / 128.0, rel=0.12)
    # every bin within a third of the error of the data in it
    error = np.sqrt(np.maximum(channel.observed.reshape(ours.shape), 1.0))
    assert np.max(np.abs(ours - published) / error) < 0.35


def test_argon_prediction_with_a_smaller_nucleus():
    _, ours = prediction("coherent_lar_2020", HELM)
    assert ours.sum() == pytest.approx(123.2, abs=0.1)  # this package, Helm: closer to 128


def test_csi_prediction():
    """341 +- 43 published; 11 % between the two form factors (docs/coherent.md)."""
    _, ours = prediction("coherent_csi_2021")
    _, smaller = prediction("coherent_csi_2021", HELM)
    for total in (ours.sum(), smaller.sum()):
        assert total == pytest.approx(341.0, abs=43.0)
    assert ours.sum() == pytest.approx(306.1, abs=0.2)  # this package, Klein-Nystrand
    assert smaller.sum() == pytest.approx(343.0, abs=0.2)  # this package, Helm


def test_csi_backgrounds():
    (channel,) = load_experiment("coherent_csi_2021").channels
    total = {b.name: b.expected.sum() for b in channel.backgrounds}
    # published for 0 to 60 PE and 0 to 6 us: 1286 +- 27, 18 +- 5, 6 +- 2; the bins start at 8 PE
    assert total["steady_state"] == pytest.approx(1286.0, abs=27.0)
    assert total["brn"] == pytest.approx(18.0, abs=5.0)
    assert total["nin"] == pytest.approx(6.0, abs=2.0)


def argon_with_the_releases_signal():
    """The release's distributions, normalisations only: the collaboration's statistical fit."""
    experiment = load_experiment("coherent_lar_2020")
    (channel,) = experiment.channels
    plain = replace(
        channel,
        signal_rates=(),
        response_variations={},
        backgrounds=tuple(replace(b, shapes=()) for b in channel.backgrounds),
    )
    options = {**channel.source.options, "beam_mean_sigma_us": 0.0}
    plain = replace(plain, source=replace(channel.source, options=options))
    return experiment.with_channels((plain,))


def test_argon_fit_of_the_collaboration():
    """159 +- 43, 3131 +- 23, 553 +- 34, 10 +- 11 and 3.9 standard deviations, arXiv:2003.10630."""
    analysis = load_analysis("standard_model_coherent_lar")
    analysis = analysis.model_copy(update={"correction": "published_sm", "interpolation": "linear"})
    experiment = argon_with_the_releases_signal()
    found = Fit(analysis, [experiment])
    values = found.values
    # same distributions and constraints, so digits of the paper: half a unit of the last, and one
    # event for the rounding of the distributions (flux of all samples: one strength)
    assert 128.0 * values[found.strength] == pytest.approx(159.0, abs=1.5)
    counts = {b.name: b for b in experiment.channels[0].backgrounds}
    assert found.background_events(counts["steady_state"]) == pytest.approx(3131.0, abs=1.5)
    assert found.background_events(counts["brn"]) == pytest.approx(553.0, abs=1.5)
    assert found.background_events(counts["delayed_brn"]) == pytest.approx(10.0, abs=1.5)
    assert found.without_signal() == pytest.approx(3.9, abs=0.05)


def test_argon_fit_with_our_signal():
    """Own prediction and all systematics: 159 +- 43 and 3.5 standard deviations published."""
    found = Fit(load_analysis("standard_model_coherent_lar"))
    events = found.signal_events()
    # half a standard deviation of the published result: the collaboration's CEvNS spectrum has
    # 31 % of its events above 10 keVee, ours 27 %
    assert events == pytest.approx(159.0, abs=21.5)
    assert found.without_signal() == pytest.approx(3.5, abs=0.1)


def test_csi_fit():
    """306 +- 20 published, 11.6 standard deviations."""
    found = Fit(load_analysis("standard_model_coherent_csi"))
    # flux 10 % multiplies the strength: events are what the data measure
    assert found.signal_events() == pytest.approx(306.0, abs=20.0)
    assert found.without_signal() > 10.0


def electron_events(model, component):
    """Events on the electrons of CsI by a sum over shells, written out, in the PE bins."""
    from histnu.physics.electrons import CESIUM_SHELLS, IODINE_SHELLS

    (channel,) = load_experiment("coherent_csi_2021").channels
    (electrons,) = channel.for_other_recoils
    t = np.arange(0.1, 9.0, 5e-4) + 2.5e-4  # keV; shells open inside bins of 0.5 eV
    bound = [(b, 0.5 * n) for s in (CESIUM_SHELLS, IODINE_SHELLS)
             for b, n in zip(s.binding_kev, s.electrons, strict=True)]  # fmt: skip
    free = sum(n * (t >= b) for b, n in bound)
    seen = electrons.response(t).sum(axis=0)
    atoms = 0.0146e6 / 129.9 * 6.02214e23  # half a CsI pair: 129.9 g/mol
    return float(np.sum(model(t) * free * seen) * 5e-4 * atoms * component)


def test_csi_counts_electrons():
    """Moments and the Standard Model on electrons against pi alpha^2/m_e^2 (1/T - 1/E), by hand."""
    from histnu.core.constants import FINE_STRUCTURE, HBAR_C

    assembly = assemble(load_analysis("magnetic_moment_coherent_csi"))
    events = {s.sample: float(s.expected.sum()) for t in assembly.templates for s in t.signals}
    fluence = 3.20e23 * 0.0848 / (4 * np.pi * 1930.0**2)
    e_nu = 29.79e3  # keV
    mass = 510.999
    scale = np.pi * float(FINE_STRUCTURE) ** 2 / mass**2 * (float(HBAR_C) * 1e3 * 1e-13) ** 2

    def cross_section(t):  # cm^2/keV for 1e-9 mu_B
        return scale * (1.0 / t - 1.0 / e_nu) * 1e-18

    by_hand = electron_events(cross_section, fluence)
    # times: the share of prompt neutrinos in 0 to 6 us and the efficiency in time are those of
    # the nuclear recoils, whose response has no time either
    (channel,) = load_experiment("coherent_csi_2021").channels
    prompt = components_of(assembly.analysis, channel)[0]
    arrived = np.diff(prompt.arrival.cumulative(np.linspace(0.0, 6.0, 6001)))
    middle = np.linspace(0.0005, 5.9995, 6000)
    by_hand *= np.sum(arrived * np.interp(middle, channel.beam.time_us, channel.beam.efficiency))
    # 1 %: interpolation of the response between its nodes
    assert events["mu2_mu_numu_electron"] == pytest.approx(by_hand, rel=0.01)
    assert 0.0 < sum(v for k, v in events.items() if k.startswith("eves")) < 1e-3


def test_quarks_do_not_scatter_on_electrons():
    assembly = assemble(load_analysis("vector_nsi_coherent_csi"))
    samples = [s.sample for t in assembly.templates for s in t.signals]
    electrons = [s for s in samples if s.endswith("_electron")]
    assert electrons and all(s.startswith("eves") for s in electrons)
