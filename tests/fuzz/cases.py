"""The cases: every kind of file mutated, through the verbs that read it; every option badly set."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import grammar as g
from runner import Case

SEED = 20240917
LISTED = 700
"""Of the thousand bad option values, targets and places, as many as there is time for."""

READERS: tuple[tuple[str, ...], ...] = (
    ("validate", "workspace.json"),
    ("validate", "workspace.json", "--json", "--strict"),
    ("limit", "workspace.json", "--json"),
    ("limit", "workspace.json", "--poi", "g"),
    ("limit", ".", "--method", "cls"),
    ("scan", "workspace.json", "--from", "0", "--to", "2", "--points", "3"),
    ("toys", "workspace.json", "--n-toys", "10", "-q"),
    ("cls", "workspace.json", "--json"),
    ("cls", "workspace.json", "--n-toys", "10", "-q"),
    ("coverage", "workspace.json", "--true", "1", "--n-toys", "10", "-q"),
    ("export", "workspace.json", "--to", "hs3", "-o", "out"),
    ("export", "workspace.json", "--to", "root", "-o", "out"),
    ("export", "workspace.json", "--to", "xml", "-o", "out"),
    ("export", "workspace.json", "--to", "hepdata", "-o", "out"),
)
EXPORTS = tuple(words for words in READERS if words[0] == "export")
SMALL = ("--n-toys", "10")
BASE: dict[str, tuple[str, ...]] = {
    "limit": ("workspace.json",),
    "scan": ("workspace.json", "--from", "0", "--to", "1", "--points", "3"),
    "toys": ("workspace.json", "--n-toys", "10", "-q"),
    "cls": ("workspace.json", "-q"),
    "coverage": ("workspace.json", "--n-toys", "10", "-q"),
    "contour": ("workspace.json", "--x", "mu", "--y", "sf", "--points", "5"),
    "build": ("mine-analysis.yaml", "-o", "out"),
    "export": ("workspace.json", "--to", "hs3", "-o", "out"),
    "validate": ("patchset.json",),
    "plot": ("results.json", "-o", "out"),
    "fetch": ("xenonnt_cevns_2026", "--from", "none.zip", "-o", "out"),
    "reproduce": ("-q", "--replace", "pandax4t_us2=none.yaml"),
    "electron": ("-q", "--overlay", "x=none.csv"),
}
TARGETED = tuple(verb for verb in BASE if verb not in ("fetch", "reproduce", "electron"))


def tree_of_files() -> g.Files:
    """A folder with a good document of every kind, and things that are in the way."""
    from histnu.workspace.digests import document_digests

    digest = document_digests(g.background())["sha256"]
    return {
        "workspace.json": g.as_json(g.workspace()),
        "manifest.json": g.as_json(g.manifest()),
        "patchset.json": g.as_json(g.patchset(digest)),
        "patch.json": g.as_json(g.patchset(digest)["patches"][0]["patch"]),
        "results.json": g.as_json(g.results()),
        "mine.yaml": g.as_yaml(g.experiment()),
        "mine-analysis.yaml": g.as_yaml(g.analysis()),
        "response.csv": g.RESPONSE,
        "rates.csv": g.RATES,
        "spectrum.csv": g.SPECTRUM,
        "file": b"x",
        "folder": None,
        "folder.json": None,
        "folder.yaml": None,
        "folder.zip": None,
        "folder.png": None,
        "taken/workspace.json": None,
        "taken/manifest.json": None,
        "taken/hs3.json": None,
        "taken/templates.root": None,
        "taken/histfactory.xml": None,
        "taken/submission.yaml": None,
        "taken/fig1.png": None,
    }


def some(files: g.Files, *names: str) -> g.Files:
    """Some of the files."""
    return {n: files[n] for n in names}


Mutation = Callable[[random.Random], tuple[str, bytes]]


def of_tree(tree: Any, write: Callable[[Any], bytes]) -> Mutation:
    """Mutations of a document: mostly of its tree (once or twice), sometimes of its text."""

    def change(rng: random.Random) -> tuple[str, bytes]:
        if rng.random() < 0.2:
            return g.break_text(write(tree), rng)
        name, changed = g.mutate(tree, rng)
        if rng.random() < 0.2:
            second, changed = g.mutate(changed, rng)
            name = f"{name}, {second}"
        return name, write(changed)

    return change


def of_table(data: bytes) -> Mutation:
    """Mutations of a table."""
    return lambda rng: g.break_table(data, rng)


def mutated(
    label: str, file: str, mutation: Mutation, files: g.Files, verbs: Any, count: int
) -> Iterator[Case]:
    """Cases with one mutated file, the verbs in turn."""
    rng = random.Random(f"{SEED} {label}")
    for i, words in zip(range(count), itertools.cycle(verbs), strict=False):
        what, content = mutation(rng)
        yield Case(f"{label} {i}: {what}", tuple(words), {**files, file: content})


def documents(files: g.Files, share: float) -> Iterator[Case]:
    """Mutated documents of every kind."""

    def n(count: int) -> int:
        return max(1, round(share * count))

    w = some(files, "workspace.json")
    described = some(files, "workspace.json", "manifest.json")
    sets = {
        "workspace.json": g.as_json(g.background()),
        **some(files, "patchset.json", "patch.json"),
    }
    own = some(files, "mine.yaml", "mine-analysis.yaml", "response.csv", "rates.csv")
    with_table = {**own, "spectrum.csv": g.SPECTRUM}
    tabulated = {**g.analysis(), "model": {"name": "tabulated", "table": "spectrum.csv"}}
    spectrum = {**with_table, "mine-analysis.yaml": g.as_yaml(tabulated)}
    load = (("validate", "mine.yaml"),)
    build = (("build", "mine-analysis.yaml", "-o", "out"), ("validate", "mine-analysis.yaml"))
    patch = (
        ("validate", "patchset.json"),
        ("export", "workspace.json", "--patch-name", "one", "--to", "hs3", "-o", "out"),
        ("cls", "workspace.json", "--patch-name", "one", "--json"),
        ("limit", "workspace.json", "--patch", "patchset.json", "--patch-name", "one"),
        ("limit", "workspace.json", "--patch", "patch.json"),
        ("validate", "patchset.json", "--background", "workspace.json"),
    )
    draw = (("export", ".", "--to", "hepdata", "-o", "out"), ("plot", ".", "-o", "out"))
    digest = patchset_digest()
    tree = of_tree
    plan = (
        ("workspace", "workspace.json", tree(g.workspace(), g.as_json), w, READERS, 420),
        ("manifest", "manifest.json", tree(g.manifest(), g.as_json), described,
         (READERS[3], READERS[2], *EXPORTS), 120),
        ("patchset", "patchset.json", tree(g.patchset(digest), g.as_json), sets, patch, 150),
        ("patch", "patch.json", tree(g.patchset(digest)["patches"][0]["patch"], g.as_json), sets,
         (patch[4],), 20),
        ("background", "workspace.json", tree(g.background(), g.as_json), sets, patch, 45),
        ("experiment", "mine.yaml", tree(g.experiment(), g.as_yaml), own, (*load, *build), 210),
        ("analysis", "mine-analysis.yaml", tree(g.analysis(), g.as_yaml), own, build, 100),
        ("response", "response.csv", of_table(g.RESPONSE), own, (*load, *build), 60),
        ("rates", "rates.csv", of_table(g.RATES), own, (*load, *build), 45),
        ("tabulated", "mine-analysis.yaml", tree(tabulated, g.as_yaml), with_table, build, 40),
        ("spectrum", "spectrum.csv", of_table(g.SPECTRUM), spectrum, build, 60),
        ("results", "results.json", tree(g.results(), g.as_json), {}, draw[:1], 80),
        ("figures", "results.json", tree(g.results(), g.as_json), {}, draw[1:], 3),
    )  # fmt: skip
    for label, file, mutation, around, verbs, count in plan:
        yield from mutated(label, file, mutation, around, verbs, n(count))


def patchset_digest() -> str:
    """Digest of the background-only workspace."""
    from histnu.workspace.digests import document_digests

    return document_digests(g.background())["sha256"]


def archives() -> Iterator[Case]:
    """Damaged and hostile archives as targets and releases."""
    rng = random.Random(f"{SEED} archives")
    good = {
        "x/workspace.json": g.as_json(g.workspace()),
        "x/manifest.json": g.as_json(g.manifest()),
    }
    verbs = (
        ("limit", "{}"),
        ("fetch", "xenonnt_s2only_2026", "--from", "{}", "-o", "out"),
        ("scan", "{}::x/workspace.json", "--from", "0", "--to", "1", "--points", "2"),
    )
    for i, (name, suffix, content) in enumerate(g.broken_archives(good, rng)):
        file = f"a{suffix}"
        words = tuple(w.format(file) for w in verbs[i % 3])
        yield Case(f"archive {i}: {name}{suffix}", words, {file: content})


def options(files: g.Files) -> Iterator[Case]:
    """Every option of every verb with every bad value."""
    for verb, table in g.OPTIONS.items():
        for option, values in table.items():
            for value in values:
                words = (verb, *BASE[verb], option, value)
                yield Case(f"{verb} {option} {value[:20]!r}", words, files)


def targets(files: g.Files) -> Iterator[Case]:
    """Every verb on everything that is no target."""
    for verb in TARGETED:
        for value in g.TARGETS:
            words = (verb, value, *BASE[verb][1:])
            yield Case(f"{verb} on {value[:20]!r}", words, files)


def outputs(files: g.Files) -> Iterator[Case]:
    """Every writer in every place that cannot be written, and on a full disk."""
    writers: tuple[tuple[str, ...], ...] = (
        ("build", "mine-analysis.yaml", "-o"),
        ("build", "magnetic_moment_xenonnt", "--grid", "mu_e", "-o"),
        *(("export", "workspace.json", "--to", f, "-o") for f in ("hs3", "root", "xml", "hepdata")),
        ("contour", "workspace.json", "--x", "mu", "--y", "sf", "--points", "5", "--plot"),
    )
    for words in writers:
        picture = words[-1] == "--plot"
        for value in g.PICTURES if picture else g.OUTPUTS:
            yield Case(f"{words[0]} into {value[:20]!r}", (*words, value), files)
        for size in (400, 1500):
            place = "out/p.png" if picture else "out"
            name = f"{words[0]} {words[-2]} on a disk with {size} bytes"
            yield Case(name, (*words, place), files, file_bytes=size)
    for words in (("list", "--json"), ("limit", "workspace.json", "--json"), ("--help",)):
        yield Case(f"{words[0]} to a full output", words, files, file_bytes=0)
    for words in ((), ("--debug",), ("x",), ("--x",), ("limit",), ("limit", "a", "b"), ("-",)):
        yield Case(f"words {words}", words, files)


def all_cases(share: float = 1.0) -> list[Case]:
    """All cases, or an even share of them, in a fixed order.

    Args:
        share: 1.0 for all.
    """
    files = tree_of_files()
    lists = [*archives(), *options(files), *targets(files), *outputs(files)]
    random.Random(SEED).shuffle(lists)
    return [*documents(files, share), *lists[: round(share * LISTED)]]


def warming() -> list[Case]:
    """Good cases that load every library.

    Of toys those of the other verbs: the limit with toys of one case takes as long as the rest.
    """
    files = tree_of_files()
    sets = {"workspace.json": g.as_json(g.background()), **some(files, "patchset.json")}
    described = some(files, "workspace.json", "manifest.json")
    fine = [Case("warm", words, described) for words in READERS if words[0] != "toys"]
    fine += [
        Case("warm", ("validate", "patchset.json"), sets),
        Case("warm", ("build", "mine-analysis.yaml", "-o", "out"), files),
        Case("warm", ("validate", "mine.yaml"), files),
        Case("warm", ("list",), {}),
        Case("warm", ("contour", *BASE["contour"], "--plot", "p.png"), files),
        Case("warm", ("fetch", *BASE["fetch"]), {}),
    ]
    return fine
