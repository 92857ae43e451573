"""Command lines as a terminal gives them."""

from __future__ import annotations

import pytest

from histnu.cli.main import main


@pytest.fixture
def run(capsys):
    """Run a command line; returns (status, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out = capsys.readouterr()
        return stop.value.code, out.out, out.err

    return call
