"""HistFactory XML + ROOT through pyhf's own converter, and back.

XML has no place for the bounds of nuisance parameters, gives every measurement a luminosity, and
takes the settings of a ``normfactor`` from the first measurement. What it cannot hold is written
beside it, as ``settings.json``, and put back by :func:`read_xml`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from histnu.core.errors import ExportError, located
from histnu.core.serialize import read_json, staged, write_json

log = logging.getLogger(__name__)

TOP = "histfactory.xml"
SETTINGS = "settings.json"
SETTINGS_SCHEMA = "histnu-xml-settings/1"


def write_xml(workspace: Mapping[str, Any], folder: str | Path) -> Path:
    """Write ``histfactory.xml``, ``config/``, ``data/`` and ``settings.json`` into a folder.

    All paths inside are relative to the folder, so it can be moved; run other tools inside it.

    Returns:
        The folder.

    Raises:
        ExportError: if pyhf's XML support is not installed, or the document does not convert.
    """
    writexml = _module("writexml")
    folder = Path(folder)
    with staged(folder) as temporary:
        base = temporary / "out"
        (base / "config").mkdir()
        (base / "data").mkdir()
        try:
            top = writexml.writexml(workspace, str(base / "config"), str(base / "data"), "channel")
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ExportError(f"the document does not convert to XML: {error}") from None
        (base / TOP).write_bytes(top)
        for file in [base / TOP, *sorted((base / "config").glob("*.xml"))]:
            text = file.read_text(encoding="utf-8").replace(f"{base}/", "")
            file.write_text(text, encoding="utf-8")
        write_json(base / SETTINGS, settings_of(workspace))
    return folder


def settings_of(workspace: Mapping[str, Any]) -> dict[str, Any]:
    """Parameter settings of every measurement, which XML holds only in part."""
    measurements = {m["name"]: m["config"]["parameters"] for m in workspace["measurements"]}
    return {"schema": SETTINGS_SCHEMA, "measurements": measurements}


def read_xml(path: str | Path) -> dict[str, Any]:
    """Read a HistFactory XML configuration with its ROOT files.

    Args:
        path: a folder written by :func:`write_xml`, or the top XML file of anybody's; the paths
            in it are relative to its folder.

    Returns:
        A workspace. The ``lumi`` setting that the converter adds is left out where no sample
        uses it; ``settings.json`` beside the file restores bounds and start values.

    Raises:
        ExportError: for a missing or damaged file, or a histogram that is not in the ROOT file.
    """
    readxml = _module("readxml")
    file = Path(path) / TOP if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise ExportError(located(file, "", "does not exist", "give the top XML file"))
    try:
        with np.errstate(invalid="ignore"):  # roots of negative templates, which are not used
            document = readxml.parse(file, file.parent, track_progress=False)
    except Exception as error:  # uproot, ElementTree and pyhf raise many kinds
        problem = f"cannot be read ({type(error).__name__}: {error})"
        raise ExportError(located(file, "", problem, "give intact XML and ROOT files")) from None
    finally:
        readxml.clear_filecache()
    return _restored(document, file.with_name(SETTINGS))


def _restored(document: dict[str, Any], settings: Path) -> dict[str, Any]:
    """Drop an unused lumi and put back the settings that XML cannot hold."""
    used = {m["type"] for c in document["channels"] for s in c["samples"] for m in s["modifiers"]}
    stored = read_json(settings)["measurements"] if settings.is_file() else {}
    for measurement in document["measurements"]:
        config = measurement["config"]
        if measurement["name"] in stored:
            config["parameters"] = stored[measurement["name"]]
        elif "lumi" not in used:
            config["parameters"] = [p for p in config["parameters"] if p["name"] != "lumi"]
            log.info("%s: dropped the unused lumi setting", measurement["name"])
    return document


def _module(name: str) -> Any:
    """pyhf's ``readxml`` or ``writexml``."""
    import importlib

    return importlib.import_module(f"pyhf.{name}")
