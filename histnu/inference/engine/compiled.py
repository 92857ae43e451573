"""Newton's method of :mod:`.newton` for one small problem after another, compiled by numba.

The same iteration as the numpy version, for small models: an array of five numbers costs numpy as
much as one of five hundred, a compiled loop does not. Parameters per bin are factors of channels
with one bin. Whatever is out of the ordinary (an undefined start, a matrix that stays indefinite)
is left to the numpy version, so that both give the same answers. Without numba (extra ``fast``)
everything is.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histnu.inference.engine.compile import Compiled, Row
from histnu.inference.engine.interpolation import Effect, code4_coefficients
from histnu.inference.engine.kernel import pad
from histnu.inference.engine.likelihood import BatchedLikelihood, Observed
from histnu.inference.engine.mapped import MappedLikelihood
from histnu.inference.engine.problems import BatchFit, MinimiseOptions, Problems

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]
Unsigned = NDArray[np.uint64]  # indices that numba need not check for wrapping

FEWEST = 1
"""Problems below which a call costs more than it saves."""
LARGEST = 150_000
"""Bins times parameters squared above which numpy is as fast (measured)."""
PIECE = 4000
"""Problems of one call: a signal waits for its end, and threads share the pieces."""
KINDS = {"identity": 0, "code1": 1, "code4": 2, "code0": 3, "code4p": 4}


class Tables(NamedTuple):
    """A model as arrays.

    Attributes:
        kind, parameter, first, second: (E,) of the effects; poly: (E, 6) of code 4.
        slots: (R, W) effects that multiply a row (samples of one channel), -1: none.
        histogram: (T, widest) yields and additive differences in the bins of their channel;
            owner: (T,) row; added: (T,) effect of the difference, -1: yields.
        first_histogram, first_pair: (R + 1,) those of a row.
        pair: (G, 2) differences of one row and parameter, the same twice where it is alone.
        channel: (R,) of a row; start, stop: (C,) its bins; first_row: (C + 1,) its rows.
        low, high: (n,) the bins that a parameter of the workspace can change.
        gauss, gauss_at, gauss_scale: parameters, places and 1 / sigma of Gaussian constraints.
        poisson, poisson_at, poisson_scale: of Poisson constraints.
        lower, upper: (m,) bounds of the fitted parameters.
        source: (n,) fitted parameter of each parameter of the workspace, -1 for outputs of the map.
        monomials: (M, D) powers of the physical parameters; coefficients of the rows of the map
            as (pointer, column, value); output: (K,) parameters that are outputs.
        slope, curve: (N1, 2) and (N2, 3) output and parameters of the rows of derivatives.
    """

    kind: Index
    parameter: Index
    first: Array
    second: Array
    poly: Array
    slots: Index
    histogram: Array
    owner: Index
    added: Index
    first_histogram: Index
    first_pair: Index
    pair: Index
    channel: Index
    start: Unsigned
    stop: Unsigned
    first_row: Index
    low: Unsigned
    high: Unsigned
    gauss: Index
    gauss_at: Index
    gauss_scale: Array
    poisson: Index
    poisson_at: Index
    poisson_scale: Array
    lower: Array
    upper: Array
    source: Index
    monomials: Index
    pointer: Index
    column: Index
    value: Array
    output: Index
    slope: Index
    curve: Index


Compilable = BatchedLikelihood | MappedLikelihood


def tables(likelihood: Any) -> Tables | None:
    """The arrays of a model, kept with it; None where it cannot be compiled."""
    known = vars(likelihood)
    if "_compiled_tables" not in known:
        known["_compiled_tables"] = _tables(likelihood) if _ordinary(likelihood) else None
    found: Tables | None = known["_compiled_tables"]
    return found


@functools.cache
def available() -> bool:
    """Whether numba is installed, and not switched off with ``HISTNU_NUMBA=0``."""
    if os.environ.get("HISTNU_NUMBA") == "0":
        return False
    return importlib.util.find_spec("numba") is not None


def _ordinary(likelihood: Any) -> bool:
    """Whether the model is small and smooth everywhere."""
    if not isinstance(likelihood, Compilable) or len(likelihood.kinks):
        return False
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    compiled = base.compiled
    if base.template_sample is not None:
        return False
    if len(compiled.init) ** 2 * compiled.n_bins > LARGEST:
        return False
    effects = [
        e
        for row in compiled.rows
        for e in (*row.factors, *_differences(row, compiled.histosys_code))
    ]
    return {e.kind for e in effects} <= set(KINDS)


def _tables(likelihood: Compilable) -> Tables:
    base = likelihood.base if isinstance(likelihood, MappedLikelihood) else likelihood
    compiled = base.compiled
    rows = _united(compiled)
    used = {e for row in rows for e in (*row.factors, *row.parts) if e is not None}
    effects = sorted(used, key=_order)
    number: dict[Effect | None, int] = {e: k for k, e in enumerate(effects)} | {None: -1}
    reached = np.zeros((len(base.init), compiled.n_bins), dtype=bool)
    for row in rows:
        for e in (*row.factors, *row.parts):
            if e is not None:
                reached[e.parameter, row.bins] = True
    c = compiled.constraints
    gauss, poisson = np.flatnonzero(c.normal), np.flatnonzero(~c.normal)
    return Tables._make((
        *_effects(effects),
        pad([[number[e] for e in row.factors] for row in rows], -1),
        *_histograms(rows, number), *_channels(rows), *_support(reached),
        c.parameters[gauss], gauss, 1 / c.scale[gauss],
        c.parameters[poisson], poisson, c.scale[poisson],
        *np.ascontiguousarray(likelihood.bounds.T), *_map(likelihood),
    ))  # fmt: skip


class _Sum(NamedTuple):
    """Samples of a channel with the same factors; their yields (None) and differences."""

    bins: slice
    factors: tuple[Effect, ...]
    parts: dict[Effect | None, Array]


def _order(e: Effect) -> tuple[Any, ...]:
    return e.parameter, e.kind, e.first, e.second


def _united(compiled: Compiled) -> list[_Sum]:
    sums: dict[Any, _Sum] = {}
    for row in sorted(_by_layers(compiled.rows), key=lambda row: row.bins.start):
        factors = tuple(sorted(row.factors, key=_order))
        parts = sums.setdefault((row.bins.start, factors), _Sum(row.bins, factors, {})).parts
        for e, h in (None, row.nominal), *_differences(row, compiled.histosys_code).items():
            parts[e] = parts.get(e, 0.0) + h
    return list(sums.values())


def _by_layers(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows without layers: of channels with parameters per bin every bin is a channel."""
    split = {row.channel for row in rows if row.layers}
    for row in rows:
        if row.channel not in split:
            yield row
            continue
        for b in range(row.bins.stop - row.bins.start):
            here = slice(b, b + 1)
            yield replace(
                row,
                bins=slice(row.bins.start + b, row.bins.start + b + 1),
                nominal=row.nominal[here],
                factors=(*row.factors, *(Effect("identity", layer[b]) for layer in row.layers)),
                differences=tuple(
                    replace(d, up=d.up[here], down=d.down[here]) for d in row.differences
                ),
                layers=(),
            )


def _histograms(rows: list[_Sum], number: dict[Effect | None, int]) -> tuple[Any, ...]:
    """The tables from ``histogram`` to ``pair``."""
    listed = [(r, e, h) for r, row in enumerate(rows) for e, h in row.parts.items()]
    owner = np.array([r for r, *_ in listed], dtype=np.intp)
    pairs = _pairs([(r, e.parameter if e else None) for r, e, _ in listed])
    values = np.zeros((len(listed), max((len(h) for *_, h in listed), default=0)))
    for out, (*_, h) in zip(values, listed, strict=True):
        out[: len(h)] = h
    count = np.arange(len(rows) + 1)
    return (
        values, owner, np.array([number[e] for _, e, _ in listed], dtype=np.intp),
        np.searchsorted(owner, count), np.searchsorted(owner[pairs[:, 0]], count), pairs,
    )  # fmt: skip


def _channels(rows: list[_Sum]) -> tuple[Any, ...]:
    """The tables from ``channel`` to ``first_row``."""
    bins = sorted({(row.bins.start, row.bins.stop) for row in rows})
    channel = np.searchsorted([b[0] for b in bins], [row.bins.start for row in rows])
    start, stop = np.array(bins, dtype=np.uint64).reshape(-1, 2).T.copy()
    return channel, start, stop, np.searchsorted(channel, np.arange(len(bins) + 1))


def _differences(row: Row, code: str) -> dict[Effect, Array]:
    """Effect -> histogram of the histosys of a row: one where up and down are equal, else two."""
    out: dict[Effect, Array] = {}
    for d in row.differences:
        same = np.array_equal(d.up, d.down)
        for h, u, v in [(d.up, 1.0, 1.0)] if same else [(d.up, 1.0, 0.0), (d.down, 0.0, 1.0)]:
            effect = Effect(code, d.parameter, u, v)
            out[effect] = out.get(effect, 0.0) + h
    return out


def _pairs(owners: list[tuple[int, int | None]]) -> Index:
    """Number of each difference and of the next, where both have the same row and parameter."""
    out: list[tuple[int, int]] = []
    for d, owner in enumerate(owners):
        if owner[1] is None:
            continue
        if out and out[-1] == (d - 1, d - 1) and owners[d - 1] == owner:
            out[-1] = (d - 1, d)
        else:
            out.append((d, d))
    return np.array(out, dtype=np.intp).reshape(-1, 2)


def _support(mask: Mask) -> Iterator[Unsigned]:
    """First and last + 1 of the True of each row; an empty range where there is none."""
    some = mask.any(axis=1)
    first, last = mask.argmax(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    return (np.where(some, x, 0).astype(np.uint64) for x in (first, last))


def _effects(effects: list[Effect]) -> tuple[Index, Index, Array, Array, Array]:
    first, second = (np.array([getattr(e, k) for e in effects]) for k in ("first", "second"))
    poly = np.zeros((len(effects), 6))
    for k, e in enumerate(effects):
        if e.kind == "code4":
            poly[k] = code4_coefficients(first[k : k + 1, None], second[k : k + 1, None])[:, 0]
    normsys = np.array([e.kind in ("code1", "code4") for e in effects], dtype=bool)
    logs = (np.log(np.where(normsys, x, 1.0)) for x in (first, second))
    lo, hi = (np.where(normsys, log, x) for log, x in zip(logs, (first, second), strict=True))
    kind = np.array([KINDS[e.kind] for e in effects], dtype=np.intp)
    return kind, np.array([e.parameter for e in effects], dtype=np.intp), lo, hi, poly


def _map(likelihood: Compilable) -> tuple[Any, ...]:
    """The polynomial map of physical parameters, empty without one."""
    none, flat = np.zeros((0, 0), dtype=np.intp), np.zeros(0, dtype=np.intp)
    if not isinstance(likelihood, MappedLikelihood):
        source = np.arange(len(likelihood.init))
        pairs = np.zeros((0, 2), dtype=np.intp), np.zeros((0, 3), dtype=np.intp)
        return (source, none, np.zeros(1, dtype=np.intp), flat, np.zeros(0), flat, *pairs)
    table = likelihood.table
    source = np.full(len(likelihood.base.init), -1, dtype=np.intp)
    source[likelihood.rest] = likelihood.n_theta + np.arange(len(likelihood.rest))
    rows = [np.flatnonzero(row) for row in table.coefficients]
    pointer = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.intp)
    values = np.concatenate([row[r] for row, r in zip(table.coefficients, rows, strict=True)])
    return (
        source, table.powers, pointer, np.concatenate(rows).astype(np.intp), values,
        likelihood.outputs, table.first_index, table.second_index,
    )  # fmt: skip


def compiled_newton(
    likelihood: Any, observed: Observed, problems: Problems, options: MinimiseOptions
) -> tuple[BatchFit, Mask] | None:
    """Fits, and the (P,) mask of problems that are left to numpy.

    None where the model cannot be compiled, for few problems, unless the options ask for it, and
    without numba. The choice depends on nothing but the call, so that it has the same digits.
    """
    points = problems.start.shape[1]
    if not options.compiled or points < FEWEST or not available():
        return None
    model = tables(likelihood)
    if model is None or observed.templates is not None:
        return None
    from histnu.inference.engine.compiled_loops import solve

    n = len(problems.start)
    out = (np.empty((points, n)), np.empty(points), np.empty((points, n)),
           np.zeros(points, dtype=np.intp), np.zeros(points, dtype=bool),
           np.zeros(points, dtype=bool))  # fmt: skip
    patience = 8 if options.boundary else options.max_iterations
    numbers = (options.edm, options.max_iterations, patience)
    in_pieces(
        solve,
        lambda data, given, results: solve(model, *given, *data, *numbers, *results),
        observed, (problems.start.T.copy(), problems.fixed.T.copy()), out,
    )  # fmt: skip
    x, value, gradient, iterations, converged, left = out
    return BatchFit.of(x, value, converged, iterations, gradient=gradient), left


def in_pieces(
    function: Any,
    call: Callable[[list[Array], list[Any], list[Any]], None],
    observed: Observed,
    given: Sequence[Any],
    results: Sequence[Any],
) -> None:
    """Call a compiled function for all problems, in pieces, on all free cores.

    Args:
        function: what numba compiles. call: takes data, what is given and where the results go,
            all with problems first; it releases the lock of Python.
        observed: one set of data, or one per problem.
        given, results: arrays with P problems on the first axis.
    """
    points = len(results[0])
    data = [
        np.ascontiguousarray(np.atleast_2d(np.asarray(a, dtype=float).T))
        for a in (observed.main, observed.scale, observed.aux, observed.scale_aux)
    ]
    data.append(np.atleast_1d(np.asarray(observed.constant, dtype=float)))

    def piece(which: slice) -> None:
        shared = [a if len(a) == 1 else a[which] for a in data]
        call(shared, [a[which] for a in given], [a[which] for a in results])

    pieces = [slice(k, min(k + PIECE, points)) for k in range(0, points, PIECE)]
    if pieces and not function.signatures:
        last = pieces.pop()
        _aside(lambda: piece(last))
    for _ in _each(piece, pieces):
        pass


def _aside(call: Callable[[], None]) -> None:
    """Make a call that compiles for a while in a thread of its own.

    An interrupt then ends the process at once, and not after the compiler has finished.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            try:
                call()
            except OSError as error:  # it is compiled, and could not be written to disk
                log.info("compiled fits are not kept: %s", error)
                call()
        except BaseException as error:
            failed.append(error)

    log.info("compiling the fits, once per installation")
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failed:
        raise failed[0]


def _each(piece: Any, pieces: list[slice]) -> Iterator[None]:
    """Call a function that releases the lock of Python for every piece, on all free cores."""
    threads = _threads()
    if threads == 1 or len(pieces) == 1:
        yield from map(piece, pieces)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(piece, pieces)


def _threads() -> int:
    """One in a process of a pool or where ``OMP_NUM_THREADS`` says so, else one per core."""
    if multiprocessing.parent_process() is not None:
        return 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(int(wanted), cores or 1) if wanted.isdecimal() and int(wanted) else cores or 1
