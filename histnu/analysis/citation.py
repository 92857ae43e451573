"""What a result rests on, as BibTeX: data, releases, fluxes, hypothesis, software.

Experiments, models, sources and fluxes say in plain words what they come from; the table
``data/references.yaml`` knows those works by their arXiv number, DOI or journal reference. A work
that the table does not know is not lost: it becomes an entry that quotes the words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from histnu import __version__
from histnu.analysis.flux import components_of, load_source
from histnu.analysis.hypothesis import model_names, signal_model
from histnu.analysis.schema import Analysis, ModelSection, analysis_names, load_analysis
from histnu.core.errors import ConfigError, located
from histnu.core.serialize import read_json
from histnu.core.strict_yaml import read_yaml
from histnu.core.tables import data_path
from histnu.experiments.loader import load_experiment
from histnu.physics.models.standard_model import StandardModel

SOFTWARE = ("pyhf", "HistFactory")
FIELDS = ("author", "collaboration", "title", "journal", "volume", "pages", "year", "publisher",
          "eprint", "archivePrefix", "doi", "url", "note")  # fmt: skip


@dataclass(frozen=True)
class Citation:
    """A work: key of its BibTeX entry and its fields."""

    key: str
    fields: Mapping[str, str]

    def __str__(self) -> str:
        kind = "article" if "journal" in self.fields else "misc"
        lines = [f"  {k} = {{{self.fields[k]}}}," for k in FIELDS if k in self.fields]
        return "\n".join([f"@{kind}{{{self.key},", *lines, "}"])


@lru_cache(maxsize=1)
def table() -> Mapping[str, Mapping[str, Any]]:
    """The table of the package: key -> what is known of a work."""
    found: dict[str, dict[str, Any]] = read_yaml(data_path("references.yaml"))
    return found


def cited(text: str) -> tuple[str, ...]:
    """Keys of the works that a reference text names.

    >>> cited("Eq. 4; Vogel and Engel, Phys. Rev. D 39 (1989) 3378")
    ('vogel_engel_1989',)
    """
    return tuple(
        key for key, work in table().items() if any(_named(str(m), text) for m in _marks(work))
    )


def _marks(work: Mapping[str, Any]) -> Iterator[str]:
    yield from (work[k] for k in ("eprint", "doi") if k in work)
    yield from work.get("match", ())


def _named(mark: str, text: str) -> bool:
    """Whether a mark stands in a text by itself: 1 (1974) 138 is not 1 (1974) 1389."""
    return re.search(rf"(?<![\w.]){re.escape(mark)}(?!\w)", text) is not None


def _citation(key: str) -> Citation:
    work = table()[key]
    fields = {k: str(v) for k, v in work.items() if k in FIELDS}
    if "authors" in work:
        fields["author"] = " and ".join(work["authors"])
    elif "collaboration" in work:
        fields["author"] = f"{{{work['collaboration']} Collaboration}}"
    if "eprint" in work:
        fields["archivePrefix"] = "arXiv"
    return Citation(key, fields)


def unknown(text: str) -> Citation:
    """An entry that quotes a reference of which the table knows nothing."""
    return Citation(f"reference_{hashlib.sha256(text.encode()).hexdigest()[:8]}", {"note": text})


def citations(target: str) -> tuple[Citation, ...]:
    """Works that a result for a target rests on, each once.

    Args:
        target: name or file of an analysis, or a workspace with its manifest beside it (file or
            folder).

    Raises:
        HistnuError: for an unknown target.
    """
    found: dict[str, Citation] = {}
    for text in (*references(target), *SOFTWARE):
        keys = cited(text)
        for entry in map(_citation, keys) if keys else [unknown(text)]:
            found.setdefault(entry.key, entry)
    own = {"author": "{The histnu developers}", "note": f"version {__version__}",
           "title": "histnu: neutrino electromagnetic physics as pyhf likelihoods"}  # fmt: skip
    return (*found.values(), Citation("histnu", own))


def references(target: str) -> tuple[str, ...]:
    """Reference texts of a target: of data, hypothesis, Standard Model, source and fluxes.

    Raises:
        HistnuError: for an unknown target.
    """
    if target in analysis_names() or target.endswith((".yaml", ".yml")):
        return tuple(_of_analysis(load_analysis(target)))
    manifest = _manifest(target)
    if manifest.get("analysis") in analysis_names():
        return tuple(_of_analysis(load_analysis(manifest["analysis"])))
    texts = [r for e in manifest.get("experiments", {}).values() for r in e["references"]]
    name = manifest.get("model")
    if name in model_names():
        texts.append(signal_model(ModelSection(name=name)).reference)
    return tuple(texts)


def _of_analysis(analysis: Analysis) -> Iterator[str]:
    for experiment in map(load_experiment, analysis.experiments):
        yield from experiment.references
        for channel in experiment.channels:
            source = load_source(channel.source)
            yield from getattr(source, "references", ())
            for component in components_of(analysis, channel):
                yield component.source.flux.source
                yield component.flux.source
    yield StandardModel().reference
    yield signal_model(analysis.model).reference


def _manifest(target: str) -> dict[str, Any]:
    """The manifest beside a workspace; empty where a document has none.

    Raises:
        ConfigError: if there is no such file.
    """
    path = Path(target)
    if not path.exists():
        mend = f"give a workspace or an analysis ({', '.join(analysis_names()[:3])}, ...)"
        raise ConfigError(located(target, "", "is neither a file nor an analysis", mend))
    file = (path if path.is_dir() else path.parent) / "manifest.json"
    return dict(read_json(file)) if file.is_file() else {}


def bibtex(target: str) -> str:
    """BibTeX of :func:`citations`."""
    return "\n\n".join(map(str, citations(target))) + "\n"
