"""The grammar of the fuzzed inputs: small good documents, and what is done to them."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import yaml

Files = dict[str, bytes | None]
Tree = Any

# ------------------------------------------------------------------ good documents


def workspace() -> Tree:
    """Two channels with every modifier type."""
    normsys = {"name": "sys", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    histosys = {
        "name": "shape",
        "type": "histosys",
        "data": {"hi_data": [11.0, 5.5], "lo_data": [9.0, 4.5]},
    }
    lumi = {"name": "lumi", "type": "lumi", "data": None}
    signal = {"name": "mu", "type": "normfactor", "data": None}
    background = {
        "name": "background",
        "data": [10.0, 5.0],
        "modifiers": [
            normsys,
            histosys,
            lumi,
            {"name": "stat_a", "type": "staterror", "data": [1.0, 0.5]},
        ],
    }
    other = {
        "name": "other",
        "data": [2.0],
        "modifiers": [{"name": "free_b", "type": "shapesys", "data": [0.5]}],
    }
    return {
        "channels": [
            {
                "name": "a",
                "samples": [
                    {"name": "signal", "data": [3.0, 1.0], "modifiers": [signal, lumi]},
                    background,
                ],
            },
            {
                "name": "b",
                "samples": [
                    {"name": "signal", "data": [1.0], "modifiers": [signal]},
                    other,
                    {
                        "name": "scaled",
                        "data": [4.0],
                        "modifiers": [{"name": "sf", "type": "shapefactor", "data": None}],
                    },
                ],
            },
        ],
        "observations": [{"name": "a", "data": [12.0, 4.0]}, {"name": "b", "data": [7.0]}],
        "measurements": [
            {
                "name": "m",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {
                            "name": "lumi",
                            "auxdata": [1.0],
                            "sigmas": [0.02],
                            "bounds": [[0.8, 1.2]],
                            "inits": [1.0],
                        },
                        {"name": "mu", "bounds": [[0.0, 10.0]], "inits": [1.0], "fixed": False},
                    ],
                },
            }
        ],
        "version": "1.0.0",
    }


def manifest() -> Tree:
    """A manifest for :func:`workspace`."""

    def channel(edges: list[float]) -> Tree:
        return {"edges": edges, "observable": "s2", "observable_title": "S2", "unit": "PE"}

    return {
        "schema": "histnu-manifest/1",
        "analysis": "example",
        "experiments": {
            "x": {"channels": {"a": channel([0.0, 1.0, 2.0]), "b": channel([0.0, 5.0])}}
        },
        "polynomial": {
            "parameters": ["g"],
            "outputs": ["mu"],
            "terms": [[{"coefficient": 1.0, "powers": {"g": 2}}]],
        },
        "units": {"g": "1e-9 mu_B"},
        "provenance": "published",
    }


def background() -> Tree:
    """The background-only workspace of :func:`patchset`."""
    document = workspace()
    for channel in document["channels"]:
        channel["samples"] = [s for s in channel["samples"] if s["name"] != "signal"]
    return document


def patchset(digest: str) -> Tree:
    """Two patches that add a signal."""

    def patch(name: str, value: float) -> Tree:
        modifiers = [{"name": "mu", "type": "normfactor", "data": None}]
        sample = {"name": "signal", "data": [value, 1.0], "modifiers": modifiers}
        return {
            "metadata": {"name": name, "values": [value]},
            "patch": [{"op": "add", "path": "/channels/0/samples/0", "value": sample}],
        }

    return {
        "metadata": {
            "name": "grid",
            "description": "two points",
            "references": {"hepdata": "ins1234567"},
            "digests": {"sha256": digest},
            "labels": ["mass"],
        },
        "patches": [patch("one", 1.0), patch("two", 2.0)],
        "version": "1.0.0",
    }


def experiment() -> Tree:
    """An experiment with a response table, a table of rates and every section."""
    origin = {"source": "an example", "provenance": "reconstructed"}
    return {
        "schema": "histnu-experiment/1",
        "name": "mine",
        "title": "An example",
        "target": "xenon",
        "recoil": "nuclear",
        "references": ["nobody, nowhere"],
        "assumptions": ["all"],
        "channels": [
            {
                "name": "mine",
                "title": "An example",
                "exposure": {"value": 3.0, "unit": "t yr", **origin},
                "observable": {"name": "s2", "title": "S2", "unit": "PE", "edges": [1, 2, 5]},
                "response": {"file": "response.csv", "interpolation": "linear", **origin},
                "backgrounds": [
                    {
                        "name": "ac",
                        "title": "accidentals",
                        "expected": "rates.csv:ac",
                        "uncertainties": [{"name": "ac_rate", "relative": 0.1, **origin}],
                        "shapes": [
                            {"name": "ac_shape", "down": [3.0, 1.5], "up": [5.0, 2.5], **origin}
                        ],
                        **origin,
                    }
                ],
                "observed": {"counts": [5, 2], **origin},
                "signal_uncertainties": [{"name": "eff", "relative": 0.05, **origin}],
                "published_signal": {"expected": [2.0, 1.0], "flux_cm2_s": 5.46e6, **origin},
            }
        ],
    }


RESPONSE = (
    b"e_recoil_kev,bin_0,bin_1\n0.5,0.0,0.0\n0.7,0.05,0.01\n1.0,0.2,0.1\n2.0,0.4,0.3\n5.0,0.4,0.4\n"
)
RATES = b"# events per bin\nac,other\n4.0,1\n2.0,1\n"
SPECTRUM = b"e_recoil_kev,wimp\n0.5,30.0\n1.0,10.0\n2.0,3.0\n4.0,0.1\n"


def analysis() -> Tree:
    """An analysis of the experiment beside it."""
    return {
        "schema": "histnu-analysis/1",
        "name": "mine",
        "title": "An example",
        "experiments": ["mine.yaml"],
        "model": {"name": "magnetic_moment"},
        "flux": {"total_cm2_s": 5.46e6, "relative": 0.12, "source": "an example"},
        "interpolation": "normsys",
        "correction": "none",
    }


def results() -> Tree:
    """A small results document."""
    row = {"experiment": "combined", "provenance": "reconstructed", "method": "profile likelihood"}
    bound = {**row, "model": "magnetic_moment", "unit": "1e-9 mu_B", "cl": 0.9, "dof": 1}
    ends = {
        "lower": None,
        "best_fit": 0.5,
        "upper": 1.0,
        "published": {"lower": None, "upper": 1.1},
    }
    dipole = {"lower": None, "best_fit": 0.1, "m4_mev": [1.0, 5.0], "upper": [1.0, None],
              "x": {"name": "m4", "unit": "MeV"}}  # fmt: skip
    return {
        "schema": "histnu-results/1",
        "bounds": [
            {**bound, **ends, "id": "mu_e", "parameter": "mu_e"},
            {**bound, **dipole, "id": "dipole_e", "parameter": "mu_e", "published": None},
        ],
        "alternatives": [],
        "profiles": [
            {
                **row,
                "id": "mu_e",
                "parameter": "mu_e",
                "unit": "1e-9 mu_B",
                "values": [0.0, 1.0],
                "delta_chi2": [0.0, 2.7],
            }
        ],
        "contours": [
            {
                **row,
                "id": "q_ee-q_mumu",
                "x": {"name": "q_ee", "unit": "1e-8 e"},
                "y": {"name": "q_mumu", "unit": "1e-8 e"},
                "cl": 0.9,
                "dof": 2,
                "best_fit": [0.0, 0.0],
                "polylines": [[[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]]],
            }
        ],
    }


# ------------------------------------------------------------------ what is done to them

RAW = "RAWTOKEN"
RAW_TEXTS = (
    "NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000, "-0", "1e300", "-1e300",
    "1e-320", "017", "1:30", "8_4", "0x10", "yes", "true", "null", "[" * 300 + "]" * 300,
    "[" * 3000 + "]" * 3000, '{"a":' * 70 + "1" + "}" * 70, ".nan", ".inf", "1e15", "1e17",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, 1e300, -1e300, 1e-300, 1e16, -0.001, "", "x", "mu", "a/b",
    "1:30", "é", "\u0000", "a" * 5000, "../../etc/passwd", [], {}, [[]], [None], [1.0, 2.0, 3.0],
    ["x"], {"x": 1}, [True], [-1.0, 0.5], [1e300],
)  # fmt: skip
CELLS = (
    "nan", "inf", "-1", "8_4", "1e300", "", "x", "1e999", "٣", "0x10", "1,5", '"', "9" * 5000,
    "a" * 200_000, "1:30", "true", "-0.0", "1e-320", "\t2", "2000",
)  # fmt: skip


def places(tree: Tree) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], (dict, list)):
                stack.append(node[key])
    return found


def mutate(tree: Tree, rng: random.Random) -> tuple[str, Tree]:
    """Do something to a tree; its name and the new tree."""
    tree = copy.deepcopy(tree)
    container, key = rng.choice(places(tree))
    action = rng.choice(
        ("replace", "replace", "raw", "raw", "delete", "repeat", "rename", "append")
    )
    if action == "replace":
        container[key] = copy.deepcopy(rng.choice(VALUES))
    elif action == "raw":
        container[key] = f"{RAW}{rng.randrange(len(RAW_TEXTS))}"
    elif action == "delete":
        del container[key]
    elif action == "repeat" and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif action == "rename" and isinstance(container, dict):
        container[rng.choice(("x", "", "name", str(key) + "x"))] = container.pop(key)
    elif isinstance(container[key], list):
        container[key].append(copy.deepcopy(rng.choice(VALUES)))
    else:
        container[key] = [container[key]]
    return f"{action} {key}", tree


def with_raw(text: str) -> bytes:
    """Put the raw texts into a serialised tree."""
    pattern = re.compile(f"[\"']?{RAW}([0-9]+)[\"']?")
    return pattern.sub(lambda m: RAW_TEXTS[int(m.group(1))], text).encode("utf-8", "surrogatepass")


def as_json(tree: Tree) -> bytes:
    """JSON with raw texts."""
    return with_raw(json.dumps(tree))


def as_yaml(tree: Tree) -> bytes:
    """YAML with raw texts."""
    return with_raw(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))


def break_text(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Do something to the bytes of a document."""
    at = rng.randrange(len(data) + 1)
    lines = data.split(b"\n")
    line = rng.randrange(len(lines))
    actions: dict[str, Callable[[], bytes]] = {
        "truncate": lambda: data[:at],
        "nothing": lambda: b"",
        "nul": lambda: data[:at] + b"\0" + data[at:],
        "latin": lambda: data[:at] + b"\xe9\xff" + data[at:],
        "mark": lambda: b"\xef\xbb\xbf" + data,
        "wide": lambda: data.decode().encode("utf-16"),
        "twice": lambda: data + data,
        "swap": lambda: data[at:] + data[:at],
        "tab": lambda: data.replace(b"  ", b"\t"),
        "line twice": lambda: b"\n".join([*lines[:line], lines[line], *lines[line:]]),
        "line less": lambda: b"\n".join(lines[:line] + lines[line + 1 :]),
        "deep": lambda: b"[" * 100_000,
        "escape": lambda: data[:at] + b"\x1b[31m" + data[at:],
        "key twice": lambda: re.sub(rb'("name": "[a-z]+")', rb'\1, "name": "x"', data, count=1),
    }
    name = rng.choice(sorted(actions))
    return name, actions[name]()


def break_table(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Do something to a cell, row or column of a CSV table."""
    rows = [line.split(",") for line in data.decode().strip().split("\n")]
    r = rng.randrange(len(rows))
    c = rng.randrange(len(rows[r]))
    action = rng.choice(("cell", "cell", "cell", "row less", "row twice", "column less", "text"))
    if action == "text":
        return break_text(data, rng)
    if action == "cell":
        rows[r][c] = rng.choice(CELLS)
    elif action == "row less":
        del rows[r]
    elif action == "row twice":
        rows.insert(r, rows[r])
    else:
        rows = [[x for i, x in enumerate(row) if i != c] for row in rows]
    return f"{action} {r} {c}", "\n".join(",".join(row) for row in rows).encode()


# ------------------------------------------------------------------ archives


def tar_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def encrypted(data: bytes) -> bytes:
    """A zip archive whose members say that they are encrypted."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.find(mark)
        while at >= 0:
            changed[at + offset] |= 1
            at = changed.find(mark, at + 4)
    return bytes(changed)


def linked() -> bytes:
    """A tar archive with a link that leaves it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("workspace.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    return buffer.getvalue()


def broken_archives(good: dict[str, bytes], rng: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """Damaged archives: name, suffix, content."""
    for suffix, whole in ((".tar.gz", tar_of(good)), (".zip", zip_of(good))):
        yield "whole", suffix, whole
        for _ in range(12):
            name, data = break_text_bytes(whole, rng)
            yield name, suffix, data
    yield "encrypted", ".zip", encrypted(zip_of(good))
    yield "link", ".tar.gz", linked()
    yield "climbs", ".tar.gz", tar_of({"../x.json": b"{}"})
    yield "climbs", ".zip", zip_of({"../../x.json": b"{}"})
    yield "absolute", ".tar", tar_of({"/etc/x.json": b"{}"}, "w")
    yield "empty", ".tar", tar_of({}, "w")
    yield "no json", ".zip", zip_of({"a.json": b"{", "b.txt": b"x"})
    yield "list", ".zip", zip_of({"a.json": b"[1]"})
    yield "xz", ".tar.gz", tar_of(good, "w:xz")
    for text in (b"", b"- 1", b"a: [", b"additional_resources: 3", b"additional_resources: [3]",
                 b"additional_resources: [{type: HistFactory}]",
                 b"additional_resources: [{type: HistFactory, location: ../x}]",
                 b"additional_resources: [{type: HistFactory, location: none.tar.gz}]",
                 b"a: 1\n---\na: &x [*x]", b"\xff"):  # fmt: skip
        yield "submission", ".zip", zip_of({"submission.yaml": text, **good})


def break_text_bytes(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Damage the bytes of an archive."""
    at = rng.randrange(len(data))
    action = rng.choice(("truncate", "flip", "zeros", "swap"))
    changed = bytearray(data)
    if action == "truncate":
        return action, data[:at]
    if action == "flip":
        changed[at] ^= 0xFF
    elif action == "zeros":
        changed[at : at + 20] = bytes(20)
    else:
        changed = changed[at:] + changed[:at]
    return action, bytes(changed)


# ------------------------------------------------------------------ option values

NUMBERS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e300", "1e30", "1e29", "-1", "0", "-0.0", "1e-320",
    "1_0", "0x10", "", "x", "9" * 5000, "1e999", "٣", "1:30", "true", "--", "1,5", " 1 ",
)  # fmt: skip
INTEGERS = (
    "-1", "0", "1", "1.5", "1e3", "nan", "", "x", "9" * 30, "9" * 5000, str(2**63), str(2**64),
    "1_0", "0x10", "٣",
)  # fmt: skip
NAMES = ("", " ", "x", "a" * 5000, "mu\0", "../x", "é", "-", "m4", "lumi", "sys", "stat_a", "sf")
TARGETS = (
    "", " ", "x", "a" * 5000, "a" * 5000 + ".json", "w\0.json", ".", "..", "/", "/dev/null",
    "/dev/full", "/dev/zero", "/proc/self/mem", "none.json", "none.yaml", "none.tar.gz",
    "none.zip::x", "::", "::x", ".json", "a/" * 2000, "\x1b[31m.json", "folder", "folder.json",
    "folder.yaml", "folder.zip", "magnetic_moment_nowhere", "magnetic_moment_combined::x",
)  # fmt: skip
OUTPUTS = (
    "", " ", "/dev/full", "/dev/null", "/dev/null/x", "/proc/x", "/proc/self/x", "file", "file/x",
    "a" * 300, "a" * 5000, "o\0", "a/" * 2000, "deep/" * 20 + "x", "taken", "link", "é\x1b[31m",
)  # fmt: skip
PICTURES = (
    "p.png", "p.pdf", "p.xyz", "p", ".png", "p.PNG", "", "/dev/full", "folder.png",
    "file/p.png", "a" * 300 + ".png", "p\0.png", "/proc/p.png", "p.tar.gz", "p.pgf",
)  # fmt: skip
SETTINGS = (
    "", "x", "=", "mu=", "=1", "mu=nan", "mu=1e308", "mu=1_0", "mu=1=2", "lumi=1", "lumi=9", "m4=5",
    "x=1", "mu=-1", "a" * 5000 + "=1", "sf=1",
)  # fmt: skip
PATCHES = (*TARGETS, "patchset.json", "results.json", "manifest.json", "rates.csv")
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "limit": {
        "--set": SETTINGS,
        "--poi": NAMES, "--cl": NUMBERS, "--dof": INTEGERS, "--n-toys": INTEGERS,
        "--seed": INTEGERS, "--method": ("", "x", "CLS", "cls"),
        "--engine": ("", "x", "pyhf-scipy"), "--measurement": NAMES, "--patch": PATCHES,
        "--patch-name": NAMES,
    },
    "cls": {
        "--poi": NAMES, "--value": NUMBERS, "--test-stat": ("", "x", "qtilde", "q"),
        "--n-toys": INTEGERS, "--seed": INTEGERS, "--measurement": NAMES, "--patch": PATCHES,
        "--patch-name": (*NAMES, "one"),
    },
    "scan": {
        "--set": SETTINGS,
        "--poi": NAMES, "--from": NUMBERS, "--to": NUMBERS, "--points": INTEGERS,
        "--engine": ("", "x"),
    },
    "toys": {
        "--poi": NAMES, "--n-toys": INTEGERS, "--cl": NUMBERS,
        "--seed": INTEGERS, "--engine": ("", "x"),
    },
    "coverage": {
        "--poi": NAMES, "--true": NUMBERS, "--n-toys": INTEGERS, "--cl": NUMBERS,
        "--seed": INTEGERS,
    },
    "contour": {
        "--x": NAMES, "--y": NAMES, "--points": INTEGERS, "--cl": NUMBERS, "--dof": INTEGERS,
        "--plot": PICTURES, "--engine": ("", "x"),
    },
    "build": {
        "--set": SETTINGS,
        "--grid": NAMES, "--m4-mev": NUMBERS, "--interpolation": ("", "x"),
        "--correction": ("", "x"), "-o": OUTPUTS,
    },
    "export": {"--to": ("", "x", "ROOT"), "-o": OUTPUTS, "--patch": PATCHES, "--patch-name": NAMES},
    "validate": {"--background": TARGETS},
    "plot": {"-o": OUTPUTS},
    "fetch": {
        "--from": tuple(t for t in TARGETS if t),
        "--checksum": ("", "x", "md5:x", "shake_128:00", ":"),
        "-o": OUTPUTS,
    },
    "reproduce": {
        "--jobs": ("-1", "0", "x", "9" * 30), "--interpolation": ("", "x"), "--engine": ("", "x"),
        "--replace": tuple(f"pandax4t_us2={t}" for t in TARGETS if t),
        "-o": ("file", "/dev/full", "o\0", ""),
    },
    "electron": {"--jobs": ("-1", "0", "x"), "--overlay": ("", "x", "x=none.csv", "=", "x=folder"),
                 "-o": ("file", "/dev/full", "o\0", "")},
}  # fmt: skip
