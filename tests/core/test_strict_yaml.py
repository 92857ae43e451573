"""YAML is read as it is written."""

from __future__ import annotations

import math

import pytest

from histnu.core.errors import ConfigError
from histnu.core.strict_yaml import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),  # YAML 1.1: 90
        ("017", "017"),  # YAML 1.1: 15
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 1e-3),  # YAML 1.1: a text
        ("-5.46e+6", -5.46e6),
        (".5", 0.5),
        ("12", 12),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("'12'", "12"),
    ],
)
def test_scalars(text, value):
    found = parse_yaml(f"a: {text}", "x.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: is not YAML (the key 'a' appears twice)"),
        ("a: {b: 1, b: 2}", "the key 'b' appears twice"),
        ("a: " + "9" * 5000, "is no decimal integer below 2^63"),
        ("a: 1e999", "1e999 is no finite number"),
        ("a: !!int 0x1F", "0x1F is no decimal integer"),
        ("a: !!bool yes", "yes is neither true nor false"),
        ("[" * 3000, "nested more than 60 levels deep"),
        ("a: &a [*a]", "the alias *a holds itself"),
        (LAUGHS, "more than 1000000 values"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: !!timestamp 3", "could not determine a constructor"),
        ("\0", "unacceptable character"),
        ("? [1]\n: 2", "found unhashable key"),
        ("a: 1\n---\nb: 2", "found another document"),
    ],
)
def test_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "x.yaml")
    assert str(caught.value).startswith("x.yaml: ")
    assert message in str(caught.value)


def test_aliases_and_merges_within_reason():
    text = "base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nsame: *b"
    assert parse_yaml(text, "x")["mine"] == {"x": 1, "y": 3}


def test_a_folder(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        read_yaml(tmp_path)
