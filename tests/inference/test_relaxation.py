"""The convex relaxation proves minima that the search finds, and never a higher one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest

from histnu.core.polynomial import PolynomialMap
from histnu.inference import (
    FitOptions,
    IntervalOptions,
    MappedLikelihood,
    Problems,
    relaxed_minimum,
)
from histnu.inference.engine import compiled, global_min
from histnu.inference.engine.global_min import GlobalOptions, global_minimise
from histnu.inference.engine.problems import MinimiseOptions
from histnu.inference.engine.relaxation import relaxation, relaxed_fits
from histnu.inference.toys import sample

if find_spec("numba") is None:  # imported where it is used
    pytest.skip("the extra fast is not installed", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("compiled_fits")

OPTIONS = MinimiseOptions(compiled=True)
TOYS = 60


def toys_of(likelihood, charge):
    """Counts drawn at a charge of the electron neutrino."""
    truth = likelihood.init.copy()
    truth[: likelihood.n_theta] = 0.0
    truth[0] = charge
    data = next(sample(likelihood, truth, TOYS, np.random.default_rng(8)))
    return truth, likelihood.observe(*data)


@pytest.mark.slow
def test_ends_of_a_charge_with_many_empty_bins_are_crossings(releases):
    """The last bracket of an end is narrow beside the width that a flat minimum suggests."""
    from histnu.analysis.target import load_target, parameter_of_interest
    from histnu.inference import interval, profile

    target = load_target("millicharge_combined_full")
    likelihood = parameter_of_interest(target, "q_mumu").likelihood
    assert np.any(likelihood.observation == 0)
    options = FitOptions(search=GlobalOptions(minimise=OPTIONS))
    found = interval(likelihood, None, "q_mumu", 0.9, 1, IntervalOptions(fit=options))
    ends = [found.lower, found.upper]
    delta = profile(likelihood, None, "q_mumu", ends, options).delta_twice_nll
    # the root is found to 1e-8; both minima of charges are known to 1e-7
    np.testing.assert_allclose(delta, found.threshold, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("charge", "held"), [(2.0, {"q_ee": 2.0}), (2.0, {}), (-8.0, {}), (4.0, {"q_emu": 3.0})]
)
def test_the_same_minima_as_the_search(project_root, monkeypatch, charge, held):
    from histnu.analysis.target import load_target, parameter_of_interest

    target = load_target(project_root / "workspaces" / "millicharge_combined")
    likelihood = parameter_of_interest(target, "q_ee").likelihood
    truth, observed = toys_of(likelihood, charge)
    problems = Problems.make(likelihood, TOYS, held, truth)
    options = GlobalOptions(minimise=OPTIONS)
    found = global_minimise(likelihood, observed, problems, options)
    with monkeypatch.context() as without:
        without.setattr(global_min, "relaxed_fits", lambda *_: None)
        searched = global_minimise(likelihood, observed, problems, options)
    # a bound counts as reached at 1e-7, and the search's own minima have an edm below 1e-9
    assert np.all(found.twice_nll <= searched.twice_nll + 2e-7)
    assert found.converged.all()
    # the value is that of the parameters: the last step of a fit changes it by less than 1e-9
    again = likelihood.value(found.parameters.T, observed)
    np.testing.assert_allclose(again, found.twice_nll, rtol=0, atol=1e-8)
    for name, value in held.items():
        np.testing.assert_array_equal(found.parameters[:, likelihood.index(name)], value)


@pytest.mark.slow
def test_the_bound_is_below_the_minimum_and_reached(charges):
    """Where the charges are certified from the relaxation no other start is lower."""
    truth, observed = toys_of(charges, 1.0)
    problems = Problems.make(charges, TOYS, None, truth)
    fit, certified = relaxed_fits(charges, observed, problems, OPTIONS)
    assert certified.mean() > 0.9
    free = relaxed_minimum(charges, observed.main[:, 0], observed.aux[:, 0])
    assert free <= fit.twice_nll[0] + 1e-7  # with free strengths: a lower bound of the bound
    rng = np.random.default_rng(2)
    from histnu.inference import minimise

    for _ in range(5):
        start = np.tile(charges.init, (TOYS, 1))
        start[:, :6] = rng.normal(size=(TOYS, 6)) * 3
        other = minimise(charges, observed, Problems.make(charges, TOYS, None, start), OPTIONS)
        assert np.all(fit.twice_nll[certified] <= other.twice_nll[certified] + 2e-7)


def product_map(charges):
    """The same workspace with a product of two parameters in one strength."""
    names = charges.polynomial.outputs
    terms = tuple(((1.0, {"a": 1, "b": 1}),) if k == 0 else ((1.0, {"a": 2}),) for k in range(6))
    return MappedLikelihood(charges.base, PolynomialMap(("a", "b"), names, terms))


def test_what_is_not_a_sum_of_squares_is_left_to_the_search(charges):
    assert relaxation(charges) is not None
    assert relaxation(charges) is relaxation(charges)  # made once
    assert list(relaxation(charges).squares) == [False] * 3 + [True] * 3
    mixed = product_map(charges)
    assert relaxation(mixed) is None
    bounded = MappedLikelihood(charges.base, charges.polynomial, {"q_ee": (-1.0, 1.0)})
    assert relaxation(bounded) is None
    observed = charges.observe(charges.observation)
    problems = Problems.make(charges, 10)
    assert relaxed_fits(charges, observed, problems, MinimiseOptions()) is None
    assert relaxed_fits(mixed, observed, Problems.make(mixed, 10), OPTIONS) is None


def test_squares_have_the_rates_of_their_roots(charges):
    found = relaxation(charges)
    x = np.tile(charges.init, (4, 1))
    x[:, :6] = np.random.default_rng(1).normal(size=(4, 6))
    squared = x.copy()
    squared[:, :6] = np.where(found.squares, x[:, :6] ** 2, x[:, :6])
    np.testing.assert_allclose(
        found.likelihood.expected(squared), charges.expected(x), rtol=1e-14
    )  # the same products


_COMPILE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
import numpy as np
from histnu.inference import BatchedLikelihood, Problems
from histnu.inference.engine import compiled
from histnu.inference.engine.problems import MinimiseOptions
from tests.inference import examples
likelihood = BatchedLikelihood.from_workspace(examples.correlated())
observed = likelihood.observe(likelihood.observation)
print("ready", flush=True)
fit, left = compiled.compiled_newton(
    likelihood, observed, Problems.make(likelihood, 20), MinimiseOptions(compiled=True)
)
print("done", int(fit.converged.sum()), flush=True)
"""


def compiling(project_root, cache):
    """A process that compiles, and keeps what it compiled in a folder if it can."""
    env = {**os.environ, "HISTNU_NUMBA": "1", "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", _COMPILE], env=env, cwd=project_root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_the_compiler(project_root, tmp_path):
    process = compiling(project_root, tmp_path)
    assert process.stdout.readline() == "ready\n"
    time.sleep(3.0)  # of the quarter of a minute that it takes
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 5.0  # asked: 2 s, on a machine with nothing else to do
    assert "done" not in out
    assert process.returncode != 0


def test_without_a_folder_to_keep_it_is_compiled_each_time(monkeypatch):
    import numba

    from histnu.inference.engine import compiled_loops

    def refuse(*_args, **kwargs):
        if kwargs.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: ("not kept", function)

    monkeypatch.setattr(numba, "njit", refuse)
    assert compiled_loops.entry(len) == ("not kept", len)


def test_a_full_disk_costs_only_what_is_kept():
    """What cannot be written is compiled all the same, and the call made."""
    calls = []

    def call():
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no space left on device")

    compiled._aside(call)
    assert len(calls) == 2
    with pytest.raises(ZeroDivisionError):
        compiled._aside(lambda: 1 / 0)
