"""Titles, edges and projections of channels."""

from __future__ import annotations

import numpy as np

from histnu.analysis.axes import Axis, ChannelAxes, channel_axes


def test_of_an_analysis_and_of_its_workspace(project_root):
    analysis = channel_axes("magnetic_moment_combined")
    folder = channel_axes(project_root / "workspaces" / "magnetic_moment_combined")
    assert set(analysis) == set(folder) == {"xenonnt_sr01", "pandax4t_us2"}
    for name, found in analysis.items():
        np.testing.assert_array_equal(found.axes[0].edges, folder[name].axes[0].edges)
    assert analysis["pandax4t_us2"].axes[0].label == "reconstructed electrons [e]"
    assert analysis["xenonnt_sr01"].axes[0].bins == ("bin 1", "bin 2", "bin 3")


def test_a_bare_workspace_has_none(project_root, tmp_path):
    bare = tmp_path / "workspace.json"
    source = project_root / "workspaces" / "magnetic_moment_xenonnt" / "workspace.json"
    bare.write_bytes(source.read_bytes())
    assert channel_axes(bare) == {}


def test_projections_of_three_axes():
    """The last axis runs fastest, as numpy reshapes."""
    sizes = (2, 3, 4)
    axes = tuple(Axis(f"x{k}", edges=np.arange(n + 1.0)) for k, n in enumerate(sizes))
    channel = ChannelAxes("run", axes)
    counts = np.random.default_rng(0).poisson(5.0, 24).astype(float)
    cube = counts.reshape(sizes)
    for k in range(3):
        others = tuple(a for a in range(3) if a != k)
        np.testing.assert_allclose(channel.projection(k, 24) @ counts, cube.sum(axis=others))


def test_one_axis_is_left_as_it_is():
    one = ChannelAxes("run", (Axis("x", edges=np.arange(4.0)),))
    np.testing.assert_array_equal(one.projection(0, 3), np.eye(3))
