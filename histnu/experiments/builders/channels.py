"""Channels of XENONnT's releases, whose templates are tabulated at anchors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from histnu.experiments.anchors import AnchorGrid
from histnu.experiments.model import Channel, PublishedExpectation

FLUX_CM2_S = 5.25e6
"""8B flux of the releases' own CEvNS templates."""


def anchored_channel(published: AnchorGrid | None = None, **fields: Any) -> Channel:
    """A run of XENONnT: nuclear recoils in xenon, shapes at all anchors.

    Args:
        published: the release's own CEvNS template in events, (..., B).
        fields: further fields of :class:`~histnu.experiments.model.Channel`.
    """
    expectation = None
    if published is not None:
        origin = fields["origins"]["response"]
        expectation = PublishedExpectation(published.at(), FLUX_CM2_S, origin, published)
    made = Channel(
        recoil="nuclear",
        target="xenon",
        published_signal=expectation,
        response_variations=fields["response"].variations,
        **fields,
    )
    return replace(made, split_shapes=made.shape_parameters)
