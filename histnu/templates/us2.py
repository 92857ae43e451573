"""PandaX-4T US2 channels under other assumptions than the package's tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from histnu.experiments import us2
from histnu.experiments.model import Channel
from histnu.physics.models.protocol import SignalModel
from histnu.physics.nuclei import material
from histnu.physics.rates import NeutrinoSource
from histnu.physics.scattering import NUCLEAR, Scattering
from histnu.templates.fold import fold


def bare_signal(
    assumptions: us2.Us2Assumptions,
    source: NeutrinoSource,
    model: SignalModel,
    exposure_tonne_year: float,
) -> NDArray[np.float64]:
    """SM events per bin for a selection efficiency of one, shape (B,)."""
    scattering = Scattering(NUCLEAR, source, material(us2.TARGET))
    return fold(
        us2.bare_response(assumptions),
        lambda t: np.sum(list(model.basis_spectra(scattering, t).values()), axis=0),
        exposure_tonne_year,
    )


def reconstruct(
    channel: Channel, assumptions: us2.Us2Assumptions, source: NeutrinoSource, model: SignalModel
) -> Channel:
    """Return the US2 channel rebuilt under the given assumptions.

    Args:
        channel: the package's channel; exposure, uncertainties and origins are kept.
        assumptions: what to assume.
        source: solar 8B neutrinos.
        model: the Standard Model.
    """
    signal = bare_signal(assumptions, source, model, channel.exposure_tonne_year)
    total = us2.published_signal_total(source.flux.total_cm2_s)
    expected = us2.backgrounds(assumptions)
    return replace(
        channel,
        observable=channel.observable.with_edges(np.array(assumptions.edges)),
        response=us2.response(assumptions, signal, total),
        backgrounds=tuple(replace(b, expected=expected[b.name]) for b in channel.backgrounds),
        observed=us2.observed(assumptions, signal),
    )
