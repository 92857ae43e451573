"""Answer one task: the part of a study that runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from histnu.analysis.assemble import Assembly, assemble
from histnu.analysis.build import manifest_of
from histnu.analysis.flux import load_source
from histnu.analysis.hypothesis import signal_model
from histnu.analysis.target import ParameterOfInterest, Target, parameter_of_interest
from histnu.core.errors import ConfigError, FitError
from histnu.core.polynomial import PolynomialMap
from histnu.core.serialize import dumps
from histnu.experiments.loader import load_experiment
from histnu.experiments.model import Experiment, weakest
from histnu.inference.engine.fit import FitOptions
from histnu.inference.profile import best_fit
from histnu.inference.saturated import saturated_twice_nll
from histnu.studies.changes import Setup, changed
from histnu.studies.tasks import Answer, Task
from histnu.templates.basis import ChannelTemplates
from histnu.verbs import (
    Options,
    Search,
    contour_of,
    find_interval,
    limit_of,
    mass_curves,
    scan_of,
)
from histnu.verbs.results import (
    Agreement,
    AnyResult,
    Bound,
    ChannelCounts,
    Estimate,
    Rates,
    Spectrum,
)
from histnu.workspace.manifest import Manifest
from histnu.workspace.shapes import without_strengths


def answer(task: Task) -> Answer:
    """Answer a task.

    Raises:
        HistnuError: for anything wrong in the inputs, or a fit that fails.
    """
    return ANSWERS[task.kind](task)


def options_of(task: Task, interest: ParameterOfInterest | None = None) -> Options:
    """How to answer a task; what is held for the parameter is held."""
    held: dict[str, float] = {}
    if interest is not None:
        known = interest.likelihood.parameter_names
        held = {k: v for k, v in task.held.items() if k in known} | dict(interest.fixed)
    return Options(
        method=task.method,
        cl=task.cl,
        dof=task.dof,
        engine=task.engine,
        held=held,
        data=task.data,
        n_toys=task.n_toys,
        seed=task.seed,
        search=Search(task.search.starts, task.search.linear_points),
        many=True,
    )


@lru_cache(maxsize=6)
def _assembled(key: str) -> Assembly:
    setup = setup_of(Task.model_validate_json(key))
    return assemble(setup.analysis, setup.experiments, setup.standard_model)


def assembly_of(task: Task) -> Assembly:
    """The assembled analysis of a task; the last few are kept."""
    bare = Task(kind="bound", analysis=task.analysis, changes=task.changes, held=task.held)
    return _assembled(dumps(bare.to_json()))


def setup_of(task: Task) -> Setup:
    """What a task analyses: held parameters given, experiments loaded, changes made."""
    if task.analysis is None:
        raise ConfigError(f"{task.kind}: no analysis")
    names = {h.name for h in signal_model(task.analysis.model).held}
    analysis = task.analysis.holding({k: v for k, v in task.held.items() if k in names})
    data = tuple(load_experiment(e) for e in analysis.experiments)
    return changed(Setup(analysis, data), task.changes)


def target_of(assembly: Assembly, task: Task) -> Target:
    """What the verbs work on: tied parameters are one, companions are as the task wants them."""
    units = {p.name: p.unit for p in assembly.model.parameters}
    polynomial = assembly.polynomial if assembly.model.parameters else None
    for name, members in task.tie.items():
        if polynomial is None or not set(members) <= set(polynomial.parameters):
            raise ConfigError(f"tie {name}: {', '.join(members)} are not parameters of the model")
        polynomial = tied(polynomial, name, members)
        units[name] = units[members[0]]
    document = dict(assembly.workspace)
    held = assembly.held
    if polynomial and (task.others or assembly.model.companions) == "zero":
        asked = [p for p in task.parameters if p in polynomial.parameters]
        if asked:
            held |= {p: 0.0 for p in polynomial.parameters if p not in asked}
            polynomial, document = alone(polynomial, document, asked)
    name, provenance = assembly.analysis.name, assembly.provenance
    return Target(name, document, polynomial, units, provenance, held=held)


def alone(
    polynomial: PolynomialMap, document: dict[str, Any], asked: Collection[str]
) -> tuple[PolynomialMap, dict[str, Any]]:
    """The likelihood where all parameters but some are zero: without the samples that vanish.

    >>> q = PolynomialMap(("a", "b"), ("lin",), (((1.0, {"a": 1}), (2.0, {"b": 1})),))
    >>> alone(q, {"channels": [], "measurements": []}, ["a"])[0].terms
    (((1.0, {'a': 1}),),)
    """
    kept = {
        k: tuple((c, n) for c, n in terms if set(n) <= set(asked))
        for k, terms in zip(polynomial.outputs, polynomial.terms, strict=True)
    }
    left = {k: terms for k, terms in kept.items() if terms}
    gone = set(kept) - set(left)
    alone = PolynomialMap(tuple(asked), tuple(left), tuple(left.values()))
    return alone, without_strengths(document, gone) if gone else document


def tied(polynomial: PolynomialMap, name: str, members: tuple[str, ...]) -> PolynomialMap:
    """The map with some parameters equal to a new one and all others zero.

    >>> q = PolynomialMap(("a", "b"), ("lin",), (((1.0, {"a": 1}), (2.0, {"b": 1})),))
    >>> tied(q, "c", ("a",)).terms
    (((1.0, {'c': 1}),),)
    """
    terms = []
    for monomials in polynomial.terms:
        kept = [(c, n) for c, n in monomials if set(n) <= set(members)]
        sums: dict[int, float] = {}
        for coefficient, powers in kept:
            degree = sum(powers.values())
            sums[degree] = sums.get(degree, 0.0) + coefficient
        terms.append(tuple((c, {name: n} if n else {}) for n, c in sorted(sums.items())))
    return PolynomialMap((name,), polynomial.outputs, tuple(terms))


def _facts(assembly: Assembly) -> dict[str, Any]:
    """What an answer says of its hypothesis."""
    return {
        "model": assembly.model.name,
        "provenance": assembly.provenance,
        "physical": assembly.polynomial.parameters,
        "strengths": assembly.polynomial.outputs,
    }


def _bound(task: Task) -> Answer:
    """A bound, and the Asimov sensitivity beside it where that is asked."""
    assembly = assembly_of(task)
    target = target_of(assembly, task)
    interest = parameter_of_interest(target, task.parameters[0])
    options = options_of(task, interest)
    results: list[Bound] = [limit_of(target, interest, options)]
    if task.expected:
        results.append(limit_of(target, interest, replace(options, data="asimov")))
    gain = _gain(interest, options, results[0])
    return Answer(results=tuple(results), gain=gain, **_facts(assembly))


def _gain(interest: ParameterOfInterest, options: Options, found: Bound) -> float | None:
    """How much -2 log L improves over no signal, in likelihoods of several parameters."""
    polynomial = getattr(interest.likelihood, "polynomial", None)
    if polynomial is None or options.data == "asimov":
        return None
    zero = dict.fromkeys(polynomial.parameters, 0.0)
    nothing = best_fit(interest.likelihood, None, FitOptions(fixed=zero))
    return nothing.twice_nll - found.twice_nll


def _profile(task: Task) -> Answer:
    assembly = assembly_of(task)
    target = target_of(assembly, task)
    interest = parameter_of_interest(target, task.parameters[0])
    found = scan_of(target, interest, task.grids[0], options_of(task, interest))
    return Answer(results=(found,), **_facts(assembly))


def _region(task: Task) -> Answer:
    assembly = assembly_of(task)
    target = target_of(assembly, task)
    interest = parameter_of_interest(target, task.parameters[0], task.parameters[1:])
    plane, grid = (task.parameters[0], task.parameters[1]), (task.grids[0], task.grids[1])
    found = contour_of(target, interest, plane, grid, options_of(task, interest))
    return Answer(results=(found,), **_facts(assembly))


def _mass_curve(task: Task) -> Answer:
    """The curves of all parameters of a task: the templates at each value serve them all."""
    setup, x = setup_of(task), task.x
    if x is None:
        raise ConfigError(f"mass curve of {setup.analysis.name}: no held parameter")
    results: list[AnyResult] = []
    for data in ("observed", "asimov") if task.expected else ("observed",):
        options = replace(options_of(task), data=data)
        results += mass_curves(
            setup.analysis, x.name, task.parameters, task.grids[0], options, setup.experiments
        )
    model = signal_model(setup.analysis.model)
    provenance = weakest([e.provenance for e in setup.experiments])
    return Answer(results=tuple(results), model=model.name, provenance=provenance)


def _counts(t: ChannelTemplates, with_strength: bool = True) -> ChannelCounts:
    """Events of a channel before any fit; of a hypothesis only if its strengths are counted."""
    zero = np.zeros(t.channel.n_bins)
    samples = [s.expected for s in t.signals if with_strength or s.strength is None]
    return ChannelCounts(
        channel=t.channel.name,
        edges=tuple(t.channel.observable.edges),
        observed=tuple(t.channel.observed),
        signal=tuple(np.sum([zero, *samples], axis=0)),
        background=tuple(np.sum([zero, *(b.expected for b in t.channel.backgrounds)], axis=0)),
        provenance=t.channel.provenance,
    )


def _estimate(interest: ParameterOfInterest, options: Options) -> Estimate:
    found = find_interval(interest, options)
    best = found.best_fit.parameters[interest.parameter]
    return Estimate(best_fit=best, lower=found.lower, upper=found.upper, cl=options.cl)


def _rates(task: Task) -> Answer:
    assembly = assembly_of(task)
    target = target_of(assembly, task)
    interest = parameter_of_interest(target, None)
    fluxes = assembly.fluxes
    rates = Rates(
        target=target.name,
        unit="events",
        provenance=assembly.provenance,
        channels=tuple(_counts(t) for t in assembly.templates),
        strength=_estimate(interest, options_of(task)),
        flux_cm2_s=next(iter(fluxes.values())) if len(fluxes) == 1 else None,
    )
    return Answer(results=(rates,), **_facts(assembly))


def _agreement(task: Task) -> Answer:
    """Saturated goodness of fit at strength one, and the strength left free."""
    assembly = assembly_of(task)
    target = target_of(assembly, task)
    interest = parameter_of_interest(target, None)
    fixed = FitOptions(fixed={interest.parameter: 1.0})
    found = best_fit(interest.likelihood, None, fixed)
    counts = [_counts(t) for t in assembly.templates]
    bins = sum(len(c.observed) for c in counts)
    main, aux = np.asarray(interest.likelihood.observation), interest.likelihood.auxdata
    chi2 = found.twice_nll - float(saturated_twice_nll(interest.likelihood, main, aux))
    agreement = Agreement(
        target=target.name,
        unit="events",
        held={interest.parameter: 1.0},
        provenance=assembly.provenance,
        bins=bins,
        observed=sum(sum(c.observed) for c in counts),
        expected_signal=sum(sum(c.signal) for c in counts),
        expected_background=sum(sum(c.background) for c in counts),
        chi2=chi2,
        chi2_per_bin=chi2 / bins,
        nuisances={k: v for k, v in found.parameters.items() if k != interest.parameter},
        strength=_estimate(interest, options_of(task)),
    )
    return Answer(results=(agreement,), **_facts(assembly))


def _spectrum(task: Task) -> Answer:
    """Counts before any fit, and the signal of a parameter at its own limit."""
    assembly = assembly_of(task)
    target = target_of(assembly, task)
    interest = parameter_of_interest(target, task.parameters[0])
    found = limit_of(target, interest, options_of(task, interest))
    if found.upper is None:
        raise FitError(f"{task.parameters[0]}: no upper limit, so there is no signal to show")
    at = dict.fromkeys(assembly.polynomial.parameters, 0.0) | {task.parameters[0]: found.upper}
    polynomial = assembly.polynomial
    strengths = polynomial([at[p] for p in polynomial.parameters])
    signals = [strengths @ t.basis(polynomial.outputs) for t in assembly.templates]
    spectrum = Spectrum(
        target=target.name,
        unit=found.unit,
        provenance=assembly.provenance,
        parameter=found.parameter,
        value=found.upper,
        channels=tuple(_counts(t, with_strength=False) for t in assembly.templates),
        signal=tuple(tuple(s) for s in signals),
    )
    return Answer(results=(spectrum,), **_facts(assembly))


def _workspace(task: Task) -> Answer:
    """The likelihood and its manifest, without the digests of files that are not yet written."""
    assembly = assembly_of(task)
    manifest: Manifest = manifest_of(assembly)
    document = {
        "workspace": dict(assembly.workspace),
        "manifest": manifest.to_json((), with_environment=False),
    }
    return Answer(document=document, **_facts(assembly))


def nuisance_parameters(experiment: Experiment) -> tuple[str, ...]:
    """Names of the nuisance parameters of an experiment and of its fluxes."""
    names: list[str] = []
    for c in experiment.channels:
        for b in c.backgrounds:
            names += [r.name for r in b.rates] + [s.name for s in b.shapes]
        names += [r.name for r in c.signal_rates] + list(c.response_variations)
        for f in load_source(c.source).components(c.recoil):
            names += [f.flux.name, *f.arrival_variations]
    return tuple(dict.fromkeys(names))


def _experiment(task: Task) -> Answer:
    """Origin and assumptions of an experiment."""
    e = load_experiment(task.name)
    document = {
        "name": e.name,
        "title": e.title,
        "provenance": e.provenance,
        "assumptions": list(e.assumptions),
        "references": list(e.references),
        "data_sets": [e.name, *e.data_sets],
        "parameters": list(nuisance_parameters(e)),
        "files": {f.rsplit("/", 1)[-1]: d for f, d in e.files.items()},
    }
    return Answer(document=document, provenance=e.provenance)


ANSWERS: Mapping[str, Callable[[Task], Answer]] = {
    "bound": _bound,
    "profile": _profile,
    "region": _region,
    "mass_curve": _mass_curve,
    "rates": _rates,
    "agreement": _agreement,
    "spectrum": _spectrum,
    "workspace": _workspace,
    "experiment": _experiment,
}
