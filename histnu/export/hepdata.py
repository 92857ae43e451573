"""A complete HEPData submission through ``hepdata_lib``, and the way back.

The submission holds a table for every limit, profile, contour and channel, the likelihoods as an
additional resource of type ``HistFactory``, the figures with thumbnails, and keywords. It is
validated offline with ``hepdata-validator`` before it is moved to its place.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from histnu.core.errors import DataError, ExportError, located, missing_extra
from histnu.core.serialize import read_json, staged
from histnu.export.bundle import (
    Bundle,
    bundle_of,
    read_bundle,
    write_bundle,
    write_tar,
)
from histnu.export.hepdata_tables import (
    TableSpec,
    Variable,
    contour_tables,
    limit_tables,
    profile_tables,
    yield_tables,
)
from histnu.export.results_document import read_results
from histnu.workspace.archives import RESOURCE_TYPE, attached, read_archive, split_name
from histnu.workspace.archives import SUBMISSION as SUBMISSION_FILE
from histnu.workspace.checks import require_valid
from histnu.workspace.manifest_reader import manifest_beside

log = logging.getLogger(__name__)

ARCHIVE = "likelihoods.tar.gz"
SUBMISSION = "submission.tar.gz"
DIGITS = 8
THUMBNAIL = (240, 179)
"""Largest width and height of a thumbnail in pixels (HEPData's)."""

KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "reactions": ("NU NUCLEUS --> NU NUCLEUS",),
    "observables": ("CLS", "N"),
    "phrases": (
        "coherent elastic neutrino-nucleus scattering",
        "solar neutrinos",
        "neutrino magnetic moment",
        "neutrino millicharge",
        "sterile neutrino dipole portal",
        "xenon",
    ),
}

ABSTRACT = (
    "Bounds on electromagnetic properties of neutrinos from solar 8B neutrinos in xenon "
    "detectors, with the likelihoods (pyhf HistFactory JSON) they were computed from."
)


@dataclass(frozen=True)
class Source:
    """What a submission is made of.

    Attributes:
        results: a ``results.json`` document, or empty.
        documents: name inside the likelihood archive -> file.
        figures: PNG files.
    """

    results: Mapping[str, Any]
    documents: Mapping[str, Path]
    figures: tuple[Path, ...]


def find_source(path: str | Path) -> Source:
    """Collect results, likelihoods and figures from a workspace file or a results folder.

    Args:
        path: a workspace or PatchSet, or a folder with ``results.json``, any HistFactory JSON
            below it, and figures (PNG).

    Raises:
        DataError: if it is neither, or holds nothing to submit.
    """
    path = Path(path)
    if path.is_file():
        files = [path, *(path.with_name(n) for n in ("manifest.json", "patchset.json"))]
        name = path.resolve().parent.name if path.stem == "workspace" else path.stem
        documents = {f"{name}/{f.name}": f for f in files if f.is_file()}
        return Source({}, documents, ())
    if not path.is_dir():
        raise DataError(located(path, "", "does not exist", "give a workspace or a results folder"))
    results = read_results(path / "results.json") if (path / "results.json").exists() else {}
    documents = {}
    for file in sorted(path.rglob("*.json")):
        content = read_json(file)
        kinds = ({"channels", "measurements"}, {"patches", "metadata"}, {"documents", "polynomial"})
        if isinstance(content, dict) and any(k <= set(content) for k in kinds):
            documents[file.relative_to(path).as_posix()] = file
    if not results and not documents:
        mend = "give the folder of histnu reproduce or histnu build"
        raise DataError(located(path, "", "holds no results and no likelihood", mend))
    return Source(results, documents, tuple(sorted(path.glob("*.png"))))


def all_tables(source: Source) -> list[TableSpec]:
    """All tables of a submission, in the order limits, profiles, contours, yields."""
    results = source.results
    contours = results.get("contours", [])
    curves = [row for row in contours if "polylines" not in row]  # ends against a held parameter
    bounds = [*results.get("bounds", []), *results.get("alternatives", [])]
    tables = limit_tables([*bounds, *curves])
    tables += profile_tables(results.get("profiles", []))
    tables += contour_tables([row for row in contours if "polylines" in row])
    for name, file in source.documents.items():
        content = read_json(file)
        if isinstance(content, dict) and "channels" in content:
            require_valid(content, str(file))
            label = "" if Path(name).stem == "workspace" else Path(name).stem
            label = label or Path(name).parent.name
            tables += yield_tables(label, content, manifest_beside(file))
    return tables


def write_submission(path: str | Path, folder: str | Path) -> Path:
    """Write a HEPData submission and validate it.

    Args:
        path: a workspace or a results folder (:func:`find_source`).
        folder: where to write ``submission.yaml``, the tables, the likelihood archive, figures
            and ``submission.tar.gz`` (which holds all of them and is what one uploads).

    Returns:
        The folder.

    Raises:
        DataError: if there is nothing to submit.
        ExportError: if ``hepdata_lib`` is not installed, or the submission is not valid; nothing
            is written then.
    """
    source = find_source(path)
    with staged(Path(folder).absolute()) as temporary:
        staging, inputs = temporary / "out", temporary / "inputs"
        inputs.mkdir()
        _compose(source, inputs, staging)
        (temporary / SUBMISSION).unlink(missing_ok=True)
        files = sorted(p for p in staging.iterdir() if p.is_file())
        write_tar({p.name: p.read_bytes() for p in files}, staging / SUBMISSION)
        validate_submission(staging / SUBMISSION)
    return Path(folder)


def _compose(source: Source, inputs: Path, staging: Path) -> None:
    """Let ``hepdata_lib`` write the submission of a source into a staging folder."""
    lib = _library()
    submission = lib.Submission()
    submission.comment = ABSTRACT
    if source.documents:
        archive = write_bundle(source.documents, inputs / ARCHIVE)
        description = "Likelihoods in pyhf's HistFactory JSON (workspaces, PatchSets, manifests)"
        submission.add_additional_resource(
            description, str(archive), copy_file=True, file_type=RESOURCE_TYPE
        )
    images = thumbnails(source.figures, inputs)
    for spec in all_tables(source):
        table = _table(lib, spec)
        for image, thumbnail in images.get(spec.figure, ()):
            table.add_additional_resource("Image file", str(image), copy_file=True)
            table.add_additional_resource("Thumbnail image file", str(thumbnail), copy_file=True)
        submission.add_table(table)
    printed = io.StringIO()
    # hepdata_lib writes its archive into the working directory and prints its notes
    with contextlib.chdir(staging.parent), contextlib.redirect_stdout(printed):
        submission.create_files(staging.name, validate=False)
    for line in printed.getvalue().splitlines():
        log.info("hepdata_lib: %s", line)


def _library() -> Any:
    try:
        import hepdata_lib
    except ImportError:
        raise ExportError(missing_extra("submissions", "hepdata-lib", "hepdata")) from None
    return hepdata_lib


def _table(lib: Any, spec: TableSpec) -> Any:
    """A ``hepdata_lib.Table``."""
    table = lib.Table(spec.name)
    table.description, table.location = spec.description, spec.location
    table.keywords = {k: list(v) for k, v in KEYWORDS.items()}
    for variable in spec.independent:
        table.add_variable(_variable(lib, variable, True))
    for variable in spec.dependent:
        table.add_variable(_variable(lib, variable, False))
    return table


def _variable(lib: Any, v: Variable, independent: bool) -> Any:
    """A ``hepdata_lib.Variable`` with qualifiers and uncertainties."""
    binned = bool(v.values) and isinstance(v.values[0], tuple)
    column = lib.Variable(
        v.name,
        is_independent=independent,
        is_binned=binned,
        units=v.units,
        values=list(v.values),
        zero_uncertainties_warning=False,
    )
    column.digits = DIGITS
    for name, value in v.qualifiers:
        column.add_qualifier(name, value)
    for label, errors in v.uncertainties.items():
        uncertainty = lib.Uncertainty(label, is_symmetric=False)
        uncertainty.values = [(0.0, 0.0) if e is None else e for e in errors]
        column.add_uncertainty(uncertainty)
    return column


def thumbnails(figures: Sequence[Path], folder: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Thumbnails of PNG figures, made with Pillow.

    Returns:
        Stem up to the first underscore (``fig1``) -> (figure, thumbnail) pairs. Empty where
        Pillow is not installed (said in the log).

    Raises:
        ExportError: for a file that is no image.
    """
    found: dict[str, list[tuple[Path, Path]]] = {}
    if not figures:
        return found
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        log.warning("figures left out: %s", missing_extra("thumbnails", "pillow", "hepdata"))
        return found
    for figure in figures:
        target = folder / f"thumb_{figure.name}"
        try:
            with Image.open(figure) as image:
                small = image.convert("RGB")
                small.thumbnail(THUMBNAIL)
                small.save(target, format="PNG")
        except (UnidentifiedImageError, OSError):
            mend = "draw it again with histnu plot"
            raise ExportError(located(figure, "", "is no image", mend)) from None
        found.setdefault(figure.stem.split("_")[0], []).append((figure, target))
    return found


def validate_submission(path: str | Path) -> None:
    """Validate a submission (folder or archive) offline with ``hepdata-validator``.

    Raises:
        ExportError: with the first fault, or if the validator is not installed.
    """
    try:
        from hepdata_validator.full_submission_validator import FullSubmissionValidator
    except ImportError:
        hint = missing_extra("validations", "hepdata-validator", "hepdata")
        raise ExportError(hint) from None
    path = Path(path)
    validator = FullSubmissionValidator()
    where = {"directory": str(path)} if path.is_dir() else {"archive": str(path)}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the validator leaves files open
        valid = validator.validate(**where)
    if not valid:
        first = next(f"{n}: {m}" for n, ms in validator.get_messages().items() for m in ms)
        raise ExportError(located(path, "", f"is not a valid submission ({first})", "mend it"))


def read_submission(path: str | Path) -> Bundle:
    """The likelihoods of a submission or record: the resources of type HistFactory.

    Args:
        path: a submission folder or archive, or a likelihood archive itself.

    Raises:
        ExportError: for a damaged archive, a path that climbs out of it, or no likelihood.
    """
    path = Path(path)
    contents = _top_level(path) if path.is_dir() else read_archive(path)
    if SUBMISSION_FILE not in contents:
        return read_bundle(path)
    bundle = Bundle({}, {}, {})
    for files in attached(path, contents):
        inner = bundle_of(files, path)
        bundle.workspaces.update(inner.workspaces)
        bundle.patchsets.update(inner.patchsets)
        bundle.manifests.update(inner.manifests)
    if not bundle.workspaces:
        mend = "the record has no resource of type HistFactory"
        raise ExportError(located(path, "", "holds no likelihood", mend))
    return bundle


@dataclass(frozen=True)
class Archived:
    """A likelihood in an archive: its name there, and what lies beside it."""

    name: str
    document: dict[str, Any]
    manifest: dict[str, Any] | None
    patchset: dict[str, Any] | None


def archived_likelihood(text: str) -> Archived | None:
    """The likelihood that ``ARCHIVE`` or ``ARCHIVE::NAME`` names, or None for any other text.

    Args:
        text: a submission or likelihood archive; ``NAME`` is a document inside it and may be left
            out where there is only one.

    Raises:
        ExportError: as :func:`read_submission`, or for an unknown name.
    """
    named = split_name(text)
    if named is None:
        return None
    archive, name = named
    bundle = read_submission(archive)
    if not name and len(bundle.workspaces) == 1:
        name = next(iter(bundle.workspaces))
    if name not in bundle.workspaces:
        mend = f"write {archive}::NAME with one of {', '.join(sorted(bundle.workspaces))}"
        raise ExportError(located(archive, name, "names no likelihood in the archive", mend))
    path = PurePosixPath(name)
    beside = bundle.patchsets.get(str(path.with_name("patchset.json")))
    manifest = bundle.manifests.get(str(path.parent))
    return Archived(f"{archive}::{name}", bundle.workspaces[name], manifest, beside)


def _top_level(folder: Path) -> dict[str, bytes]:
    """Files of a folder, without those of its folders."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
