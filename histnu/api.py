"""The public Python API: load a likelihood, ask it; the same verbs as the command line.

For example::

    import histnu

    likelihood = histnu.load("workspace.json")  # or the name of an analysis (histnu list)
    likelihood.limit("mu")
    histnu.limit("workspace.json", "mu", held={"mass": 5.0})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from histnu.analysis.target import ParameterOfInterest, Setting, Target
    from histnu.studies.reproduce import Outcome
    from histnu.verbs.fit_results import FitSummary, Impacts, Significance
    from histnu.verbs.options import Options
    from histnu.verbs.results import Bound, Coverage, MassCurve, Profile, Region, Test, ToyMap, Toys
    from histnu.workspace.selection import Patch


SELECTED = ("measurement", "patch", "patch_name")
"""Options of functions that choose a likelihood, as in :func:`load`."""


@dataclass(frozen=True, repr=False)
class Document:
    """A likelihood that can be asked: an analysis, or anybody's pyhf workspace.

    Every method takes the options of :class:`histnu.verbs.Options` by name: ``method``, ``cl``,
    ``dof``, ``engine``, ``held`` (parameters of the likelihood), ``n_toys``, ``seed``,
    ``allow_uncertified``. Results are typed, frozen, and know their inputs and versions
    (:mod:`histnu.verbs.results`).

    Attributes:
        target: what verbs work on.
    """

    target: Target

    @property
    def name(self) -> str:
        """Name of the analysis, or path."""
        return self.target.name

    @property
    def workspace(self) -> dict[str, Any]:
        """The HistFactory JSON workspace, for pyhf."""
        return self.target.document

    @property
    def parameters(self) -> tuple[str, ...]:
        """What can be asked (physical parameters, parameters of interest, and all others)."""
        from histnu.analysis.target import parameters_of

        return parameters_of(self.target)

    @property
    def units(self) -> dict[str, str]:
        """Units of physical parameters."""
        return dict(self.target.units)

    @property
    def held(self) -> dict[str, float]:
        """Values of held parameters of the model (a mass)."""
        return dict(self.target.held)

    @property
    def provenance(self) -> str | None:
        """Weakest provenance of any input; None where nothing says."""
        return self.target.provenance

    @property
    def channels(self) -> dict[str, int]:
        """Channels and their numbers of bins."""
        spec = self.workspace["channels"]
        return {c["name"]: len(c["samples"][0]["data"]) for c in spec}

    def cite(self) -> str:
        """BibTeX of everything that a result rests on (:mod:`histnu.analysis.citation`)."""
        from histnu.analysis.citation import bibtex

        return bibtex(self.target.name)

    # ------------------------------------------------------------------ verbs
    def limit(self, parameter: str | None = None, **options: Any) -> Bound:
        """Confidence region of one parameter (:func:`histnu.verbs.limit`)."""
        return self._answer("limit", (parameter,), options)

    def scan(self, parameter: str | None, values: ArrayLike, **options: Any) -> Profile:
        """Profile likelihood at values of one parameter (:func:`histnu.verbs.scan`)."""
        return self._answer("scan", (parameter, values), options)

    def contour(self, x: str, y: str, grid: tuple[ArrayLike, ArrayLike], **options: Any) -> Region:
        """Region of two parameters on a grid (:func:`histnu.verbs.contour`); 2 dof by default."""
        return self._answer("contour", ((x, y), grid), {"dof": 2, **options})

    def hypothesis_test(
        self, parameter: str | None = None, value: float = 1.0, **options: Any
    ) -> Test:
        """CLs of one value (:func:`histnu.verbs.hypothesis_test`).

        Asymptotic, or from toys with ``method="cls-toys"``; ``statistic="q"`` for a parameter
        that may be negative.
        """
        return self._answer("hypothesis_test", (parameter, value), {"method": "cls", **options})

    def toys(self, parameter: str | None, values: ArrayLike, **options: Any) -> Toys:
        """Feldman-Cousins acceptance of values from toys (:func:`histnu.verbs.toys`)."""
        return self._answer("toys", (parameter, values), {"method": "toys", **options})

    def coverage(self, parameter: str | None, truth: float, **options: Any) -> Coverage:
        """How often profile intervals cover a true value (:func:`histnu.verbs.coverage`)."""
        return self._answer("coverage", (parameter, truth), options)

    def feldman_cousins(self, axes: Mapping[str, ArrayLike], **options: Any) -> ToyMap:
        """Feldman-Cousins map of one or two parameters (:func:`histnu.feldman_cousins`)."""
        return feldman_cousins(self, axes, **options)

    def fit(self, parameter: str | None = None, **options: Any) -> FitSummary:
        """Best fit with uncertainties, correlations, goodness of fit and yields."""
        from histnu.verbs.estimation import summary_of

        return self._stamped(summary_of(*self._asked(parameter, options, needed=False))[0])

    def impacts(self, parameter: str | None = None, **options: Any) -> Impacts:
        """Impacts, pulls and constraints of the nuisance parameters."""
        from histnu.verbs.estimation import impacts_of

        return self._stamped(impacts_of(*self._asked(parameter, options)))

    def significance(
        self, parameter: str | None = None, signal: float | None = None, **options: Any
    ) -> Significance:
        """Significance of a signal, from q0; ``method="toys"`` also from toys.

        Args:
            parameter: of the signal. signal: value whose expected significance is wanted.
            options: of :class:`histnu.verbs.Options`.
        """
        from histnu.verbs.estimation import significance_of

        return self._stamped(significance_of(*self._asked(parameter, options), signal)[0])

    def pyhf(self, measurement: str | None = None) -> tuple[Any, list[float]]:
        """The ``pyhf.Model`` of the workspace (its chosen measurement if None) and its data."""
        import pyhf

        workspace = pyhf.Workspace(self.workspace)
        model = workspace.model(measurement_name=measurement or self.target.measurement)
        return model, workspace.data(model)

    def _answer(self, verb: str, asked: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What a verb of :mod:`histnu.verbs` gives, with digests and versions."""
        from histnu import verbs

        found = getattr(verbs, verb)(self.target, *asked, verbs.Options(**options))
        return self._stamped(found)

    def _asked(
        self, parameter: str | None, options: dict[str, Any], needed: bool = True
    ) -> tuple[Target, ParameterOfInterest, Options]:
        from histnu.analysis.target import parameter_of_interest
        from histnu.verbs.options import Options

        interest = parameter_of_interest(self.target, parameter, needed=needed)
        held = {**interest.fixed, **options.pop("held", {})}
        return self.target, interest, Options(held=held, **options)

    def _stamped(self, result: Any) -> Any:
        from histnu import verbs
        from histnu.verbs.envelope import stamped

        return stamped(result, verbs.inputs_of(self.target))

    # ------------------------------------------------------------------ looks
    def __repr__(self) -> str:
        bins = sum(self.channels.values())
        asked = ", ".join(self.parameters[:4]) + (", ..." if len(self.parameters) > 4 else "")
        held = "".join(f", {k} = {v:g}" for k, v in self.held.items())
        inputs = f", {self.provenance} inputs" if self.provenance else ""
        size = f"{len(self.channels)} channels, {bins} bins"
        name = " with ".join((self.name, *self.target.patches))
        return f"<histnu likelihood {name}: {size}; {asked}{held}{inputs}>"

    def _repr_html_(self) -> str:
        rows = {
            "channels": ", ".join(f"{k} ({n} bins)" for k, n in self.channels.items()),
            "parameters": ", ".join(self.parameters),
            "held": ", ".join(f"{k} = {v:g}" for k, v in self.held.items()) or "-",
            "provenance": self.provenance or "not stated",
        }
        cells = "".join(
            f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items()
        )
        return f"<table><caption>{escape(self.name)}</caption>{cells}</table>"


def load(
    target: str | Path | Mapping[str, Any] | Document,
    *,
    measurement: str | None = None,
    patch: Patch | Sequence[Patch] = (),
    patch_name: str | Sequence[float] | None = None,
    **held: Setting,
) -> Document:
    """Load a likelihood.

    Args:
        target: name of an analysis, an analysis file, a workspace file or its folder, a HEPData
            archive, a pyhf workspace as a dictionary, or a document (returned as it is).
        measurement: name of the one to use; the parameter that is asked chooses if None.
        patch: a JSON patch or PatchSet (a file, or its content) that is applied to a workspace
            first, or several.
        patch_name: patch of the PatchSet, by name or coordinates; without ``patch`` of the
            ``patchset.json`` beside the workspace.
        held: values of parameters to hold: of the model (``m4=5``), or of the likelihood;
            ``"free"`` profiles one that its model holds at zero (``all="free"``: every one).

    Raises:
        HistnuError: for anything that cannot be read, or a held parameter without a value.

    For example, a signal of a search that was published on HEPData::

        histnu.load("BkgOnly.json", patch="patchset.json", patch_name="C1N2_200_50")
    """
    from histnu.analysis.target import load_target, target_of
    from histnu.workspace.selection import Selection

    if isinstance(target, Document):
        return target
    one = isinstance(patch, str | Path | Mapping) or _is_operations(patch)
    patches = (patch,) if one else tuple(cast(Any, patch))
    selection = Selection(measurement, patches, patch_name)
    if isinstance(target, Mapping):
        return Document(target_of(dict(target), held, selection))
    return Document(load_target(target, held, selection))


def _is_operations(patch: Sequence[Any]) -> bool:
    """Whether a list is a JSON patch, not a list of patches."""
    return bool(patch) and all(isinstance(p, Mapping) and "op" in p for p in patch)


def _loaded(target: Any, options: dict[str, Any]) -> Document:
    """The document of a call like ``limit(target, ..., held={...})``."""
    chosen = {k: options.pop(k) for k in SELECTED if k in options}
    return load(target, **chosen, **options.pop("held", {}))


def limit(target: Any, parameter: str | None = None, **options: Any) -> Bound:
    """``load(target).limit(parameter)``; ``held={"m4": 5}`` holds parameters."""
    return _loaded(target, options).limit(parameter, **options)


def scan(target: Any, parameter: str | None, values: ArrayLike, **options: Any) -> Profile:
    """``load(target).scan(parameter, values)``."""
    return _loaded(target, options).scan(parameter, values, **options)


def contour(
    target: Any, x: str, y: str, grid: tuple[ArrayLike, ArrayLike], **options: Any
) -> Region:
    """``load(target).contour(x, y, grid)``."""
    return _loaded(target, options).contour(x, y, grid, **options)


def fit(target: Any, parameter: str | None = None, **options: Any) -> FitSummary:
    """``load(target).fit(parameter)``."""
    return _loaded(target, options).fit(parameter, **options)


def impacts(target: Any, parameter: str | None = None, **options: Any) -> Impacts:
    """``load(target).impacts(parameter)``."""
    return _loaded(target, options).impacts(parameter, **options)


def significance(target: Any, parameter: str | None = None, **options: Any) -> Significance:
    """``load(target).significance(parameter)``."""
    return _loaded(target, options).significance(parameter, **options)


def hypothesis_test(
    target: Any, parameter: str | None = None, value: float = 1.0, **options: Any
) -> Test:
    """``load(target).hypothesis_test(parameter, value)``: CLs, as ``pyhf.infer.hypotest``."""
    return _loaded(target, options).hypothesis_test(parameter, value, **options)


def toys(target: Any, parameter: str | None, values: ArrayLike, **options: Any) -> Toys:
    """``load(target).toys(parameter, values)``."""
    return _loaded(target, options).toys(parameter, values, **options)


def coverage(target: Any, parameter: str | None, truth: float, **options: Any) -> Coverage:
    """``load(target).coverage(parameter, truth)``."""
    return _loaded(target, options).coverage(parameter, truth, **options)


def feldman_cousins(
    target: str | Path | Document,
    axes: Mapping[str, ArrayLike],
    precision: float | None = None,
    jobs: int = 1,
    dask: str | None = None,
    chunks: str | Path | None = None,
    **options: Any,
) -> ToyMap:
    """Feldman-Cousins acceptance and region on one or two axes (:mod:`histnu.verbs.maps`).

    Args:
        target: name, path or loaded. axes: parameter -> ascending values; the first of two may be
            held by the model of an analysis that is named (``m4``).
        precision: error of the p-value near the contour at which no more toys are drawn.
        jobs: local processes. dask: address of a scheduler, or ``local``.
        chunks: folder in which chunks of toys are kept.
        options: of :class:`histnu.verbs.Options`; ``n_toys`` is the largest number per point.
    """
    from histnu import verbs
    from histnu.core.executor import executor
    from histnu.inference.maps import MapOptions
    from histnu.verbs.maps import Running, map_of, toy_map

    if any(name in options for name in SELECTED):
        target = _loaded(target, options)
    asked = target.target if isinstance(target, Document) else str(target)
    settings = options.pop("held", {}) if isinstance(asked, str) else None
    chosen = verbs.Options(**{"dof": len(axes), **options})
    folder = None if chunks is None else Path(chunks)
    with executor(jobs, dask) as processes:
        question = map_of(asked, list(axes.items()), chosen, settings, processes)
        how = MapOptions(precision=precision)
        return toy_map(question, chosen, how, Running(processes, folder))


def mass_curves(
    analysis: str | Path, held: str, parameters: Sequence[str], values: Sequence[float],
    **options: Any,
) -> tuple[MassCurve, ...]:  # fmt: skip
    """Ends of parameters against a held one (:func:`histnu.verbs.mass_curves`)."""
    from histnu import verbs
    from histnu.analysis.schema import load_analysis

    chosen = verbs.Options(**{"dof": 2, **options})
    return verbs.mass_curves(load_analysis(analysis), held, parameters, values, chosen)


def build(
    analysis: str | Path, folder: str | Path, grid: str | None = None, **held: float
) -> list[Path]:
    """Write ``workspace.json`` and its manifest; with ``grid`` a PatchSet. Returns the paths."""
    from histnu.analysis.build import grid_for, write_patchset, write_workspace
    from histnu.analysis.schema import load_analysis

    chosen = load_analysis(analysis).holding(held)
    if grid is None:
        return write_workspace(chosen, Path(folder))
    return write_patchset(chosen, grid_for(chosen, grid), Path(folder))


def reproduce(
    study: str | Path = "deromeri2024", folder: str | Path = "results", jobs: int = 1
) -> Outcome:
    """Answer a study's questions and write results, report, figures and workspaces.

    Questions without an answer (a fit that fails) are the ``problems`` of the outcome.
    """
    from histnu.core.executor import executor
    from histnu.studies.jobs import Running
    from histnu.studies.reproduce import compute, prepare, write_study
    from histnu.studies.schema import load_study

    prepared = prepare(load_study(str(study)))
    with executor(jobs) as kept:
        outcome = compute(prepared, Running(cache=Path(folder) / "cache", run=kept))
        write_study(outcome, prepared.loaded, Path(folder), run=kept)
    return outcome
