"""Strict reading, and files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import resource
import signal

import pytest

from histnu.core.errors import DataError
from histnu.core.serialize import (
    MAXIMUM_DEPTH,
    parse_json,
    read_json,
    staged,
    write_json,
    write_with,
)

BAD_JSON = {
    "key twice": ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' appears twice in one object"),
    "nan": ("[NaN]", "NaN is no number"),
    "infinity": ("[-Infinity]", "-Infinity is no number"),
    "float too large": ("[1e999]", "the number 1e999 is too large"),
    "400 digits": ("[" + "9" * 400 + "]", "is too large"),
    "5000 digits": ("[" + "9" * 5000 + "]", "is too large"),
    "2^63": ("[9223372036854775808]", "the integer 9223372036854775808 is too large"),
    "deep": ("[" * 61 + "]" * 61, "is nested more than 60 levels deep"),
    "very deep": ('{"a":' * 100_000, "is nested more than 60 levels deep"),
    "cut": ('{"a": ', "is not JSON"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_json_that_others_read_differently(case):
    text, message = BAD_JSON[case]
    with pytest.raises(DataError) as caught:
        parse_json(text, "file.json")
    assert str(caught.value).startswith("file.json: is ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


def test_legal_json():
    inner = '"' + "[" * 100 + '"'  # brackets in a text are no nesting
    text = "[" * MAXIMUM_DEPTH + inner + "]" * MAXIMUM_DEPTH
    for _ in range(MAXIMUM_DEPTH):
        text = parse_json(text, "x") if isinstance(text, str) else text[0]
    assert parse_json('{"a": -9223372036854775807, "b": 1e308}', "x")["b"] == 1e308


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (".", "cannot be read (Is a directory)"),
        ("/dev/zero", "is no regular file"),
        ("none", "cannot be read (No such file"),
        ("a" * 5000, "cannot be read (File name too long)"),
        ("a\0b", "cannot be read (embedded null byte)"),
        ("latin", "is not UTF-8 text (byte 2)"),
    ],
)
def test_unreadable_places(tmp_path, monkeypatch, place, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin").write_bytes(b"ab\xe9")
    with pytest.raises(DataError) as caught:
        read_json(place)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("taken", "is a folder where a file is to be written"),
        ("/dev/full", "is no regular file"),
        ("/proc/none/x.json", "cannot be written"),
        ("file/x.json", "cannot be written"),
        ("deep/er/" + "a" * 300, "cannot be written (File name too long)"),
        ("a/" * 1500 + "x.json", "cannot be written (File name too long)"),
        ("deep/a\0b", "cannot be written (embedded null"),
    ],
)
def test_unwritable_places_leave_nothing(tmp_path, monkeypatch, place, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(DataError) as caught:
        write_json(place, {})
    assert message in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "taken"]
    assert os.path.exists("/dev/full")


@pytest.fixture
def small_disk():
    """No file can grow beyond 1000 bytes; as on a full disk, the write fails."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_file(tmp_path, small_disk):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(DataError, match=r"a\.json: cannot be written \(File too large\)"):
        write_json(path, ["x"] * 1000)
    with pytest.raises(DataError, match=r"new: cannot be written"), staged(tmp_path / "new") as t:
        (t / "out" / "a.txt").write_text("x" * 10_000)
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_faults_of_the_writer_are_not_hidden(tmp_path):
    def fail(path):
        path.write_text("half")
        raise ValueError("not ours")

    with pytest.raises(ValueError, match="not ours"):
        write_with(tmp_path / "new" / "a.png", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_a_file_belongs_moves_nothing(tmp_path):
    (tmp_path / "b.json").mkdir()
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(DataError, match="is a folder where a file"), staged(tmp_path) as t:
        for name in ("a.json", "b.json"):
            (t / "out" / name).write_text("new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]
