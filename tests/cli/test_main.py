"""The guard at the top: one line and the right status, whatever happens below."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import click
import pytest

from histnu.cli import main as entry
from histnu.cli import types
from histnu.core.errors import FitError


@pytest.fixture
def verb(monkeypatch, capsys):
    """Run a verb whose body is given; returns (status, stdout, stderr)."""

    def run(body, *words):
        monkeypatch.setattr(entry.LazyGroup, "get_command", lambda *_: click.command("x")(body))
        with pytest.raises(SystemExit) as stop:
            entry.main([*words, "x"])
        out = capsys.readouterr()
        return stop.value.code, out.out, out.err

    return run


def raising(error):
    def body():
        raise error

    return body


def test_a_fault_of_ours(verb):
    status, out, err = verb(raising(KeyError("a\nb")))
    assert (status, out) == (70, "")
    assert err == (
        "histnu: error: this is a fault of histnu (KeyError: 'a\\nb'); "
        "histnu --debug VERB ... shows the traceback for a report\n"
    )


def test_debug_shows_the_traceback(verb):
    status, _, err = verb(raising(ZeroDivisionError()), "--debug")
    assert status == 70
    assert "Traceback (most recent call last)" in err
    assert "ZeroDivisionError" in err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (FitError("no\n  root \x1b[31m"), 2, "histnu: error: no root ?[31m\n"),
        (MemoryError(), 2,
         "histnu: error: the memory is not enough; ask for fewer points or toys\n"),
        (OSError(28, "No space left on device"), 2,
         "histnu: error: the output cannot be written (No space left on device)\n"),
        (BrokenPipeError(), 0, ""),
        (KeyboardInterrupt(), 130, "histnu: error: interrupted; files are written whole or not at "
         "all, so nothing is half-written\n"),
    ],
)  # fmt: skip
def test_status_and_line(verb, monkeypatch, error, status, line):
    monkeypatch.setattr(entry, "_close_output", lambda: None)  # pytest's own output
    assert verb(raising(error)) == (status, "", line)


def test_warnings_come_after_the_answer_and_never_before_an_error(verb):
    def answer(fail):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("overflow encountered", RuntimeWarning, stacklevel=1)
        logging.getLogger("histnu.x").warning("3 of 5 left out")
        logging.getLogger("histnu.x").warning("3 of 5 left out")
        if fail:
            raise FitError("no root")
        click.echo("1.0")

    assert verb(lambda: answer(False)) == (0, "1.0\n", "histnu: warning: 3 of 5 left out\n")
    assert verb(lambda: answer(True)) == (2, "", "histnu: error: no root\n")


def test_a_very_long_line_is_cut(verb):
    _, _, err = verb(raising(FitError("a" * 10_000)))
    assert len(err) < 2100


@pytest.mark.parametrize(
    "words", [*(pytest.param(w, marks=pytest.mark.slow) for w in ("list", "list --json")), "--help"]
)
def test_a_reader_that_stops_early_is_no_error(words):
    line = f"{sys.executable} -m histnu.cli.main {words} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.slow
def test_a_full_output_is_one_line():
    line = f"{sys.executable} -m histnu.cli.main list --json > /dev/full"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "histnu: error: the output cannot be written (No space left on device)\n"
    )


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        (types.ANY_NUMBER, "nan", "'nan' is no number from -1e+30 to 1e+30"),
        (types.ANY_NUMBER, "1e308", "is no number"),
        (types.ANY_NUMBER, "1_0", "is no number"),  # Python's float reads 10
        (types.ANY_NUMBER, "٣", "is no number"),  # and 3
        (types.ANY_NUMBER, "9" * 5000, "'" + "9" * 40 + "...' is no number"),
        (types.LEVEL, "1", "is no number above 0 and below 1"),
        (types.LEVEL, "nan", "is no number above 0 and below 1"),
        (types.SEED, "-1", "'-1' is no integer from 0 to 9223372036854775807"),
        (types.SEED, "1.5", "is no integer"),
        (types.TOYS, "1000000000000", "is no integer from 10 to 10000000"),
        (types.Target(), "a" * 5000, "is neither a name nor a path (File name too long)"),
        (types.Target(), "a\0", "is neither a name nor a path"),
        (types.Place(folder=True), "/dev/full", "is a file, and a folder is needed"),
        (types.Place(picture=True), "p.xyz", "has no suffix of png, pdf, svg"),
        (types.Place(), "", "is no path"),
    ],
)  # fmt: skip
def test_option_values(type_, value, message):
    with pytest.raises(click.BadParameter) as caught:
        type_.convert(value, None, None)
    assert message in caught.value.message


def test_numbers_as_written():
    assert types.ANY_NUMBER.convert("-2.5e-3", None, None) == -0.0025
    assert types.SEED.convert("42", None, None) == 42
